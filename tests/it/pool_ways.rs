//! Pools whose workers are started in other ways than by the fork server.

use crate::kit::pid_of;
use crate::pool::until;
use crate::runner::{Case, case, scaled};
use crate::ways::{WAYS, run_by};
use multiproc::{Context, ErrorKind, Pool, Process, Queue, StartMethod};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

pub(crate) fn tests() -> Vec<Case> {
    vec![
        case("pool_ways::work_is_done", work_is_done),
        case("pool_ways::workers_that_die_are_replaced", replaced),
        case("pool_ways::contexts_make_pools", contexts),
        case("pool_ways::in_a_child", in_a_child),
        case("pool_ways::beside_other_processes", beside_others),
        case("pool_ways::terminated", terminated),
    ]
}

fn pool(way: StartMethod, workers: usize) -> Pool {
    Pool::builder()
        .workers(workers)
        .start_method(way)
        .build()
        .unwrap()
}

fn work_is_done() {
    for way in WAYS {
        let pool = pool(way, 2);
        let squares = pool.map(|x: u64| x * x, 0..1_000).unwrap();
        assert_eq!(
            squares,
            (0..1_000).map(|x| x * x).collect::<Vec<u64>>(),
            "{way}"
        );
        let fails = |what: String| -> u64 { panic!("no {what}") };
        let error = pool.apply(fails, ("bread".to_owned(),)).unwrap_err();
        assert_eq!(error.remote().unwrap().message(), "no bread", "{way}");
        pool.close();
        pool.join().unwrap();
    }
}

fn replaced() {
    for way in WAYS {
        let pool = pool(way, 2);
        for _ in 0..scaled(3) {
            let suicide = || _ = kill(Pid::this(), Signal::SIGKILL);
            let error = pool.apply(suicide, ()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::WorkerDied, "{way}: {error}");
            assert_eq!(error.remote().unwrap().exitcode(), Some(-9), "{way}");
            until(|| pool.worker_pids().len() == 2);
            assert_eq!(pool.apply(|x: u64| 2 * x, (4,)).unwrap(), 8, "{way}");
        }
        // One at rest.
        let victim = pool.worker_pids()[0];
        kill(Pid::from_raw(victim.cast_signed()), Signal::SIGKILL).unwrap();
        until(|| pool.worker_pids().len() == 2 && !pool.worker_pids().contains(&victim));
        let sum: u64 = pool.map(|x: u64| x, 0..100).unwrap().into_iter().sum();
        assert_eq!(sum, 4_950, "{way}");
        pool.close();
        pool.join().unwrap();
    }
}

fn contexts() {
    for context in [Context::fork(), Context::spawn(), Context::forkserver()] {
        let pools = [
            context.pool(1).unwrap(),
            context.pool_builder().workers(2).build().unwrap(),
        ];
        for pool in pools {
            assert_eq!(pool.map(|x: u64| x + 1, 0..5).unwrap(), [1, 2, 3, 4, 5]);
            pool.close();
            pool.join().unwrap();
        }
    }
}

/// A child has a pool of its own, whichever way it came and the workers come.
fn in_a_child() {
    let body = |way: StartMethod, answers: Queue<u64>| {
        let pool = pool(way, 2);
        answers
            .put(pool.map(|x: u64| x, 0..10).unwrap().into_iter().sum())
            .unwrap();
        pool.close();
        pool.join().unwrap();
    };
    for way in WAYS {
        for below in WAYS {
            let answers = Queue::new().unwrap();
            run_by(way, body, (below, answers.clone()));
            assert_eq!(answers.get().unwrap(), 45, "{way}, then {below}");
        }
    }
}

/// The pool has a thread in this process: forks beside it must not copy its locks held.
fn beside_others() {
    for way in WAYS {
        let pool = pool(way, 2);
        let results: Vec<_> = (0..200_u64)
            .map(|x| pool.apply_async(|x: u64| x, (x,)).unwrap())
            .collect();
        for _ in 0..scaled(10) {
            for other in WAYS {
                let process = Process::builder(|| (), ())
                    .start_method(other)
                    .start()
                    .unwrap();
                assert_ne!(pid_of(&process), Pid::this());
                assert_eq!(process.join().unwrap(), 0, "{other} beside a pool by {way}");
            }
        }
        for (result, x) in results.into_iter().zip(0..) {
            assert_eq!(result.get().unwrap(), x);
        }
        pool.close();
        pool.join().unwrap();
    }
}

fn terminated() {
    for way in WAYS {
        let pool = pool(way, 2);
        let busy = pool
            .apply_async(|| crate::runner::Gate::new().wait(), ())
            .unwrap();
        let pids = pool.worker_pids();
        pool.terminate();
        for pid in pids {
            crate::runner::wait_for_exit(Pid::from_raw(pid.cast_signed()));
        }
        assert!(busy.get().is_err(), "{way}");
        pool.join().unwrap();
    }
}
