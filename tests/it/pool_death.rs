//! Workers die, one by one and on purpose: exactly their task is touched, and they are replaced.

use crate::pool::{double, exists, hold, kind, until};
use crate::runner::{Case, Gate, RemoteGate, case, scaled};
use multiproc::{AsyncResult, ErrorKind, Pool, Queue, arena};
use nix::sys::signal::{Signal, kill, raise};
use nix::unistd::Pid;

pub(crate) fn tests() -> Vec<Case> {
    vec![
        case("pool_death::exit_in_a_task", exit_in_a_task),
        case("pool_death::abort_in_a_task", abort_in_a_task),
        case("pool_death::kill_in_a_task", kill_in_a_task),
        case("pool_death::exit_with_0_in_a_task", exit_with_0),
        case("pool_death::exit_in_the_last_task", exit_in_the_last_task),
        case("pool_death::others_are_not_touched", others_not_touched),
        case("pool_death::retries_are_counted", retries_are_counted),
        case("pool_death::panics_are_not_retried", panics_not_retried),
        case("pool_death::retried_after_close", retried_after_close),
        case("pool_death::map_is_retried", map_is_retried),
        case("pool_death::handles_survive_a_retry", handles_survive_retry),
        case("pool_death::killed_while_idle", killed_while_idle),
        case("pool_death::all_killed_at_once", all_killed_at_once),
    ]
}

#[expect(
    clippy::disallowed_methods,
    reason = "a worker that exits is the subject"
)]
pub(crate) fn exits(code: i32) -> u64 {
    std::process::exit(code)
}

fn aborts() {
    std::process::abort()
}

pub(crate) fn kills_itself() {
    raise(Signal::SIGKILL).unwrap();
}

pub(crate) fn pid_of(pid: u32) -> Pid {
    Pid::from_raw(pid.cast_signed())
}

pub(crate) fn sigkill(pid: u32) {
    kill(pid_of(pid), Signal::SIGKILL).unwrap();
}

/// The result of `task` must be the death of the one worker with that code, which is then replaced.
fn dies_of(task: impl FnOnce(&Pool) -> AsyncResult<()>, code: i32) {
    let pool = Pool::new(1).unwrap();
    let pid = pool.apply(std::process::id, ()).unwrap();
    let result = task(&pool);
    let after = pool.apply_async(std::process::id, ()).unwrap();
    let error = result.get().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WorkerDied);
    let remote = error.remote().unwrap();
    assert_eq!((remote.exitcode(), remote.pid()), (Some(code), pid));
    assert!(remote.message().contains("attempt 1"), "{error}");
    assert!(remote.process().starts_with("PoolWorker-"), "{error}");
    let other = after.get().unwrap();
    assert_ne!(other, pid);
    until(|| pool.worker_pids() == [other]);
    let stats = pool.stats();
    assert_eq!(
        (stats.deaths, stats.deaths_in_task, stats.retried),
        (1, 1, 0)
    );
}

fn exit_in_a_task() {
    let exits_with_3 = || _ = exits(3);
    dies_of(|pool| pool.apply_async(exits_with_3, ()).unwrap(), 3);
}

fn abort_in_a_task() {
    dies_of(|pool| pool.apply_async(aborts, ()).unwrap(), -6);
}

fn kill_in_a_task() {
    dies_of(|pool| pool.apply_async(kills_itself, ()).unwrap(), -9);
}

fn exit_with_0() {
    let exits_with_0 = || _ = exits(0);
    dies_of(|pool| pool.apply_async(exits_with_0, ()).unwrap(), 0);
}

/// An exit with 0 after close is not the worker's leaving, when it had a task.
fn exit_in_the_last_task() {
    let pool = Pool::new(1).unwrap();
    let (runs, go) = (Gate::new(), Gate::new());
    let last = |runs, go| {
        hold(runs, go);
        exits(0)
    };
    let result = pool
        .apply_async(last, (runs.remote(), go.remote()))
        .unwrap();
    runs.wait();
    pool.close();
    go.open(1);
    assert_eq!(kind(result.get()), ErrorKind::WorkerDied);
    pool.join().unwrap();
    let stats = pool.stats();
    assert_eq!((stats.deaths, stats.deaths_in_task), (1, 1));
}

fn others_not_touched() {
    let pool = Pool::new(3).unwrap();
    let odd_die = |n: u64| match n % 50 {
        7 => exits(3),
        9 => std::process::abort(),
        11 => {
            kills_itself();
            0
        }
        _ => n,
    };
    let results: Vec<_> = (0..500)
        .map(|n| pool.apply_async(odd_die, (n,)).unwrap())
        .collect();
    for (n, result) in (0..).zip(results) {
        let code = match n % 50 {
            7 => 3,
            9 => -6,
            11 => -9,
            _ => {
                assert_eq!(result.get().unwrap(), n);
                continue;
            }
        };
        let error = result.get().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WorkerDied);
        assert_eq!(error.remote().unwrap().exitcode(), Some(code), "{n}");
    }
    let stats = pool.stats();
    assert_eq!(
        (stats.deaths, stats.deaths_in_task, stats.retried),
        (30, 30, 0)
    );
}

/// Notes its worker, and kills it the first `times` times.
pub(crate) fn dies_first(log: Queue<u32>, times: usize) -> usize {
    log.put(std::process::id()).unwrap();
    let seen = log.len();
    if seen <= times {
        kills_itself();
    }
    seen
}

fn retries_are_counted() {
    let before = arena::usage().unwrap();
    for retries in [0, 1, 4] {
        let pool = Pool::builder().workers(2).retries(retries).build().unwrap();
        for times in 0..=usize::try_from(retries).unwrap() + 2 {
            let log = Queue::new().unwrap();
            let (deaths, retried) = (pool.stats().deaths_in_task, pool.stats().retried);
            let result = pool.apply(dies_first, (log.clone(), times));
            let attempts = log.len();
            let workers: std::collections::BTreeSet<u32> =
                (0..attempts).map(|_| log.get().unwrap()).collect();
            assert_eq!(workers.len(), attempts, "a dead worker does not work");
            if times as u64 <= retries {
                assert_eq!((result.unwrap(), attempts), (times + 1, times + 1));
            } else {
                let error = result.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::WorkerDied);
                assert_eq!(attempts as u64, retries + 1);
                let words = format!("(attempt {attempts})");
                assert!(error.to_string().contains(&words), "{error}");
            }
            let stats = pool.stats();
            assert_eq!(
                stats.deaths_in_task - deaths,
                attempts.min(times) as u64,
                "{stats:?}"
            );
            assert_eq!(stats.retried - retried, attempts as u64 - 1);
        }
    }
    assert_eq!(arena::usage().unwrap(), before);
}

fn panics_not_retried() {
    let pool = Pool::builder().workers(1).retries(5).build().unwrap();
    let log = Queue::new().unwrap();
    let falls = |log: Queue<u32>| {
        log.put(1).unwrap();
        panic!("once is enough")
    };
    let result: multiproc::Result<()> = pool.apply(falls, (log.clone(),));
    assert_eq!(kind(result), ErrorKind::Panicked);
    assert_eq!(log.len(), 1);
}

/// The other workers have left already when the last one dies: its task still gets its retry.
fn retried_after_close() {
    let pool = Pool::builder().workers(3).retries(2).build().unwrap();
    let (runs, go, log) = (Gate::new(), Gate::new(), Queue::new().unwrap());
    let late = |log, runs: RemoteGate, go: RemoteGate| {
        runs.open(1);
        go.wait();
        dies_first(log, 2)
    };
    let result = pool
        .apply_async(late, (log.clone(), runs.remote(), go.remote()))
        .unwrap();
    runs.wait();
    pool.close();
    until(|| pool.worker_pids().len() == 1);
    go.open(3);
    pool.join().unwrap();
    assert_eq!(result.get().unwrap(), 3);
    assert_eq!(pool.stats().deaths, 2);
}

fn map_is_retried() {
    let pool = Pool::builder().workers(2).retries(1).build().unwrap();
    let log = Queue::<u32>::new().unwrap();
    let work = |(log, n): (Queue<u32>, u64)| {
        if n == 40 && log.is_empty() {
            log.put(0).unwrap();
            kills_itself();
        }
        n
    };
    let items = (0..100).map(|n| (log.clone(), n));
    assert_eq!(
        pool.map(work, items).unwrap(),
        (0..100).collect::<Vec<u64>>()
    );
    assert_eq!(pool.stats().retried, 1);
}

/// The first worker decodes the handles and dies with them; they must be there for the second.
fn handles_survive_retry() {
    let before = arena::usage().unwrap();
    let pool = Pool::builder().workers(1).retries(3).build().unwrap();
    for _ in 0..scaled(5) {
        let (log, other) = (Queue::<u32>::new().unwrap(), Queue::<u32>::new().unwrap());
        let work = |other: Queue<u32>, log| {
            other.put(5).unwrap();
            dies_first(log, 3);
            other
        };
        let result = pool.apply_async(work, (other, log)).unwrap();
        let other = result.get().unwrap();
        assert_eq!(other.len(), 4);
    }
    drop(pool);
    assert_eq!(arena::usage().unwrap(), before);
}

fn killed_while_idle() {
    let pool = Pool::new(2).unwrap();
    for round in 1..=u64::from(scaled(10)) {
        let pids = pool.worker_pids();
        pids.iter().copied().for_each(sigkill);
        until(|| pool.stats().deaths == 2 * round && pool.worker_pids().len() == 2);
        assert!(!pids.into_iter().any(exists));
        // Tasks make them no accident in a row.
        assert_eq!(pool.map(double, 0..8).unwrap()[7], 14);
    }
    assert_eq!(pool.stats().deaths_in_task, 0);
}

fn all_killed_at_once() {
    let workers = 4;
    let pool = Pool::new(workers).unwrap();
    for _ in 0..scaled(3) {
        let (runs, never) = (Gate::new(), Gate::new());
        let log = Queue::new().unwrap();
        let gates = (runs.remote(), never.remote());
        let held: Vec<_> = (0..workers)
            .map(|_| pool.apply_async(hold, gates).unwrap())
            .collect();
        let note = |log: Queue<u64>, n| {
            log.put(n).unwrap();
            n
        };
        let queued: Vec<_> = (0..1000)
            .map(|n| pool.apply_async(note, (log.clone(), n)).unwrap())
            .collect();
        (0..workers).for_each(|_| runs.wait());
        // A worker may have begun before it is listed.
        until(|| pool.worker_pids().len() == workers);
        pool.worker_pids().into_iter().for_each(sigkill);
        for result in held {
            let error = result.get().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::WorkerDied);
            assert_eq!(error.remote().unwrap().exitcode(), Some(-9));
        }
        for (n, result) in (0..).zip(queued) {
            assert_eq!(result.get().unwrap(), n);
        }
        assert_eq!(log.len(), 1000, "each has run once");
    }
}
