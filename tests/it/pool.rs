//! A pool calls functions on workers: apply, map, results, closing, terminating, many threads, many pools.

use crate::runner::{Case, Gate, RemoteGate, case, scaled};
use multiproc::{AsyncResult, ErrorKind, Pool, Queue, Result, arena};
use std::collections::BTreeSet;
use std::time::Duration;

pub(crate) fn tests() -> Vec<Case> {
    vec![
        case("pool::apply_and_apply_async", apply_and_apply_async),
        case("pool::first_use_in_the_body", apply_and_apply_async).cold(),
        case("pool::no_workers_are_refused", no_workers_are_refused),
        case("pool::as_many_workers_as_asked_for", as_many_as_asked_for),
        case("pool::map_keeps_the_order", map_keeps_the_order),
        case("pool::map_of_nothing", map_of_nothing),
        case("pool::map_tells_the_first_error", map_tells_the_first_error),
        case("pool::map_of_large_items", map_of_large_items),
        case("pool::tasks_begin_in_order", tasks_begin_in_order),
        case("pool::outstanding_in_reverse", outstanding_in_reverse),
        case("pool::dropped_results_are_reused", dropped_are_reused),
        case("pool::get_timeout_and_again", get_timeout_and_again),
        case("pool::a_taken_result_stays_ready", taken_stays_ready),
        case("pool::ready_wait_successful", ready_wait_successful),
        case("pool::two_threads_wait_for_one", two_threads_wait),
        case("pool::closed_pool_refuses", closed_pool_refuses),
        case("pool::close_and_join_drain", close_and_join_drain),
        case("pool::two_threads_join", two_threads_join),
        case("pool::terminate_ends_waiters", terminate_ends_waiters),
        case("pool::drop_terminates", drop_terminates),
        case("pool::results_outlive_the_pool", results_outlive_the_pool),
        case("pool::threads_submit", threads_submit),
        case("pool::several_pools", several_pools),
        case("pool::many_pools_leave_nothing", many_pools_leave_nothing),
    ]
}

/// Looks again and again until it is so. For what the interface does not let one wait for.
pub(crate) fn until(is_so: impl Fn() -> bool) {
    while !is_so() {
        std::thread::yield_now();
    }
}

/// Does a process of this number exist, if only as a zombie?
pub(crate) fn exists(pid: u32) -> bool {
    std::path::Path::new(&format!("/proc/{pid}")).exists()
}

pub(crate) fn kind<T>(result: Result<T>) -> ErrorKind {
    match result {
        Ok(_) => panic!("an error was expected"),
        Err(error) => error.kind(),
    }
}

/// A task that says that it runs, and then waits.
pub(crate) fn hold(runs: RemoteGate, go: RemoteGate) -> u32 {
    crate::kit::raise_descriptors();
    runs.open(1);
    go.wait();
    std::process::id()
}

/// A function and not a closure: a closure that only panics has no type to return.
pub(crate) fn panics(text: String) {
    panic!("{text}");
}

pub(crate) fn double(n: u64) -> u64 {
    n * 2
}

fn apply_and_apply_async() {
    let pool = Pool::new(2).unwrap();
    let concat = |a: String, b: u8, c: Option<i64>| format!("{a}/{b}/{c:?}");
    let value = pool.apply(concat, ("x".to_owned(), 7, Some(-1))).unwrap();
    assert_eq!(value, "x/7/Some(-1)");
    let result = pool.apply_async(double, (21,)).unwrap();
    assert_eq!(result.get().unwrap(), 42);
    let there = pool.apply(std::process::id, ()).unwrap();
    assert!(pool.worker_pids().contains(&there));
    assert_ne!(there, std::process::id());
    let eight = |a: u8, b: u8, c: u8, d: u8, e: u8, f: u8, g: u8, h: u8| [a, b, c, d, e, f, g, h];
    let given = (1, 2, 3, 4, 5, 6, 7, 8);
    assert_eq!(pool.apply(eight, given).unwrap(), [1, 2, 3, 4, 5, 6, 7, 8]);
}

fn no_workers_are_refused() {
    assert_eq!(kind(Pool::new(0)), ErrorKind::InvalidInput);
    let none = Pool::builder().workers(0).retries(3).build();
    assert_eq!(kind(none), ErrorKind::InvalidInput);
}

fn as_many_as_asked_for() {
    let workers = 40;
    let pool = Pool::new(workers).unwrap();
    let distinct: BTreeSet<u32> = pool.worker_pids().into_iter().collect();
    assert_eq!(distinct.len(), workers);
    // All run at one time: each task waits until the last has begun.
    let (runs, go) = (Gate::new(), Gate::new());
    let gates = (runs.remote(), go.remote());
    let results: Vec<_> = (0..workers)
        .map(|_| pool.apply_async(hold, gates).unwrap())
        .collect();
    (0..workers).for_each(|_| runs.wait());
    go.open(workers);
    let seen: BTreeSet<u32> = results.into_iter().map(|one| one.get().unwrap()).collect();
    assert_eq!(seen, distinct);
    let default = Pool::builder().build().unwrap();
    assert_eq!(default.worker_pids().len(), multiproc::cpu_count());
}

fn map_keeps_the_order() {
    let pool = Pool::new(3).unwrap();
    for items in [1, 2, 11, 12, 13, 10_000] {
        let expected: Vec<u64> = (0..items).map(double).collect();
        assert_eq!(pool.map(double, 0..items).unwrap(), expected);
    }
}

fn map_of_nothing() {
    let pool = Pool::new(2).unwrap();
    assert_eq!(pool.map(double, []).unwrap(), Vec::<u64>::new());
    pool.close();
    assert_eq!(kind(pool.map(double, [1])), ErrorKind::Closed);
    assert_eq!(pool.map(double, []).unwrap(), Vec::<u64>::new());
}

fn map_tells_the_first_error() {
    let pool = Pool::new(2).unwrap();
    let picky = |n: u64| {
        assert!(n != 300 && n != 700, "not {n}");
        n
    };
    let error = pool.map(picky, 0..1000).expect_err("two items panic");
    assert_eq!(error.kind(), ErrorKind::Panicked);
    assert_eq!(error.remote().unwrap().message(), "not 300");
    assert_eq!(pool.map(picky, 0..10).unwrap(), (0..10).collect::<Vec<_>>());
    assert_eq!(pool.stats().deaths, 0);
}

fn map_of_large_items() {
    let pool = Pool::new(2).unwrap();
    let items: Vec<Vec<u8>> = (0..20).map(|n| vec![n; 300_000]).collect();
    let reversed = |mut item: Vec<u8>| {
        item.push(255);
        item.reverse();
        item
    };
    let there = pool.map(reversed, items.clone()).unwrap();
    let here: Vec<_> = items.into_iter().map(reversed).collect();
    assert!(there == here);
}

fn tasks_begin_in_order() {
    let pool = Pool::new(1).unwrap();
    let log = Queue::new().unwrap();
    let note = |log: Queue<u32>, n: u32| log.put(n).unwrap();
    let (runs, go) = (Gate::new(), Gate::new());
    let first = pool
        .apply_async(hold, (runs.remote(), go.remote()))
        .unwrap();
    // More than the first storage of hints takes: it grows while tasks wait.
    let count = 1000;
    let results: Vec<_> = (0..count)
        .map(|n| pool.apply_async(note, (log.clone(), n)).unwrap())
        .collect();
    go.open(1);
    first.get().unwrap();
    results.into_iter().for_each(|result| result.get().unwrap());
    for n in 0..count {
        assert_eq!(log.try_get().unwrap(), n);
    }
}

fn outstanding_in_reverse() {
    let pool = Pool::new(2).unwrap();
    let count = 100_000;
    let results: Vec<_> = (0..count)
        .map(|n| pool.apply_async(double, (n,)).unwrap())
        .collect();
    for (n, result) in (0..count).rev().zip(results.into_iter().rev()) {
        assert_eq!(result.get().unwrap(), double(n));
    }
}

fn dropped_are_reused() {
    let pool = Pool::new(2).unwrap();
    // Too long to lie in a cell: what is not given back is seen in the arena.
    let echo = |bytes: Vec<u8>| bytes;
    let round = || {
        for n in 0..200 {
            drop(pool.apply_async(echo, (vec![n; 1000],)).unwrap());
        }
        // The pool takes tasks in order; of the two workers, one may still have the last but one.
        pool.map(double, 0..100).unwrap();
    };
    (0..3).for_each(|_| round());
    let before = arena::usage().unwrap();
    for _ in 0..scaled(20) {
        round();
    }
    let after = arena::usage().unwrap();
    // At most what one round abandoned may wait for its collection.
    assert!(
        after.blocks <= before.blocks + 400,
        "{before:?} -> {after:?}"
    );
    assert_eq!(after.objects, before.objects);
}

fn get_timeout_and_again() {
    let pool = Pool::new(1).unwrap();
    let (runs, go) = (Gate::new(), Gate::new());
    let mut result = pool
        .apply_async(hold, (runs.remote(), go.remote()))
        .unwrap();
    runs.wait();
    let moment = Duration::from_millis(5);
    assert_eq!(
        kind(result.get_timeout(Duration::ZERO)),
        ErrorKind::TimedOut
    );
    assert_eq!(kind(result.get_timeout(moment)), ErrorKind::TimedOut);
    assert!(!result.wait_timeout(moment));
    assert!(!result.ready());
    go.open(1);
    let value = result.get_timeout(Duration::MAX).unwrap();
    assert!(pool.worker_pids().contains(&value));
    assert_eq!(kind(result.get_timeout(moment)), ErrorKind::Misuse);
    assert_eq!(kind(result.successful()), ErrorKind::Misuse);
    assert_eq!(kind(result.get()), ErrorKind::Misuse);
}

fn taken_stays_ready() {
    let pool = Pool::new(1).unwrap();
    let mut result = pool.apply_async(double, (4,)).unwrap();
    assert_eq!(result.get_timeout(Duration::MAX).unwrap(), 8);
    assert!(result.ready());
    assert!(result.wait_timeout(Duration::ZERO));
    result.wait();
    // The cell has another user now, who is not done.
    let (runs, go) = (Gate::new(), Gate::new());
    let other = pool
        .apply_async(hold, (runs.remote(), go.remote()))
        .unwrap();
    runs.wait();
    assert!(result.ready());
    result.wait();
    drop(result);
    assert!(!other.ready());
    go.open(1);
    other.get().unwrap();
}

fn ready_wait_successful() {
    let pool = Pool::new(1).unwrap();
    let (runs, go) = (Gate::new(), Gate::new());
    let held = pool
        .apply_async(hold, (runs.remote(), go.remote()))
        .unwrap();
    let fails = pool.apply_async(panics, ("no".to_owned(),)).unwrap();
    runs.wait();
    assert!(!held.ready() && !fails.ready());
    assert_eq!(kind(held.successful()), ErrorKind::Misuse);
    assert!(format!("{held:?}").contains("ready: false"));
    go.open(1);
    held.wait();
    assert!(held.ready());
    assert!(held.successful().unwrap());
    assert!(fails.wait_timeout(Duration::MAX));
    assert!(!fails.successful().unwrap());
    assert_eq!(kind(fails.get()), ErrorKind::Panicked);
    held.get().unwrap();
}

fn two_threads_wait() {
    let pool = Pool::new(1).unwrap();
    let (runs, go) = (Gate::new(), Gate::new());
    for _ in 0..scaled(20) {
        let held = pool
            .apply_async(hold, (runs.remote(), go.remote()))
            .unwrap();
        runs.wait();
        std::thread::scope(|scope| {
            let waits = || assert!(held.wait_timeout(Duration::MAX));
            scope.spawn(waits);
            scope.spawn(|| held.wait());
            scope.spawn(waits);
            go.open(1);
        });
        held.get().unwrap();
    }
}

fn closed_pool_refuses() {
    let pool = Pool::new(2).unwrap();
    assert_eq!(kind(pool.join()), ErrorKind::Misuse);
    pool.close();
    pool.close();
    assert_eq!(kind(pool.apply(double, (1,))), ErrorKind::Closed);
    assert_eq!(kind(pool.apply_async(double, (1,))), ErrorKind::Closed);
    pool.join().unwrap();
    pool.join().unwrap();
    assert!(pool.worker_pids().is_empty());
    pool.terminate();
    assert_eq!(kind(pool.apply(double, (1,))), ErrorKind::Closed);
    assert_eq!(pool.stats().deaths, 0);
}

fn close_and_join_drain() {
    for workers in [1, 2, 5] {
        let pool = Pool::new(workers).unwrap();
        let log = Queue::new().unwrap();
        let note = |log: Queue<u64>, n: u64| log.put(n).unwrap();
        for n in 0..500 {
            drop(pool.apply_async(note, (log.clone(), n)).unwrap());
        }
        let last = pool.apply_async(double, (1,)).unwrap();
        pool.close();
        pool.join().unwrap();
        assert!(last.ready());
        assert_eq!(last.get().unwrap(), 2);
        let seen: BTreeSet<u64> = (0..500).map(|_| log.try_get().unwrap()).collect();
        assert_eq!(seen.len(), 500);
        assert!(log.is_empty());
        assert_eq!(pool.stats().deaths, 0);
    }
}

fn two_threads_join() {
    let pool = Pool::new(2).unwrap();
    let (runs, go) = (Gate::new(), Gate::new());
    let held = pool
        .apply_async(hold, (runs.remote(), go.remote()))
        .unwrap();
    runs.wait();
    pool.close();
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                pool.join().unwrap();
                assert!(held.ready(), "joined before the last task was done");
                assert!(pool.worker_pids().is_empty());
            });
        }
        go.open(1);
    });
    held.get().unwrap();
}

fn terminate_ends_waiters() {
    let pool = Pool::new(2).unwrap();
    let (runs, never) = (Gate::new(), Gate::new());
    let gates = (runs.remote(), never.remote());
    let results: Vec<AsyncResult<u32>> = (0..20)
        .map(|_| pool.apply_async(hold, gates).unwrap())
        .collect();
    runs.wait();
    runs.wait();
    let (here, pids) = (Gate::new(), pool.worker_pids());
    std::thread::scope(|scope| {
        for result in results {
            scope.spawn(|| {
                here.open(1);
                assert_eq!(kind(result.get()), ErrorKind::Terminated);
            });
        }
        (0..20).for_each(|_| here.wait());
        pool.terminate();
        assert!(pool.worker_pids().is_empty());
        assert!(!pids.into_iter().any(exists));
    });
    pool.terminate();
    pool.join().unwrap();
    assert_eq!(kind(pool.apply(double, (1,))), ErrorKind::Closed);
}

fn drop_terminates() {
    let pool = Pool::new(3).unwrap();
    let (runs, never) = (Gate::new(), Gate::new());
    let gates = (runs.remote(), never.remote());
    let result = pool.apply_async(hold, gates).unwrap();
    runs.wait();
    let pids = pool.worker_pids();
    assert!(pids.iter().all(|&pid| exists(pid)));
    drop(pool);
    assert!(!pids.into_iter().any(exists));
    assert_eq!(kind(result.get()), ErrorKind::Terminated);
}

fn results_outlive_the_pool() {
    let before = arena::usage().unwrap();
    let pool = Pool::new(1).unwrap();
    let done = pool.apply_async(double, (5,)).unwrap();
    let large = pool
        .apply_async(|n: usize| vec![7_u8; n], (10_000,))
        .unwrap();
    let failed = pool.apply_async(panics, ("as said".to_owned(),)).unwrap();
    let dropped = pool
        .apply_async(|n: usize| vec![7_u8; n], (10_000,))
        .unwrap();
    dropped.wait();
    pool.close();
    pool.join().unwrap();
    drop(pool);
    assert_eq!(done.get().unwrap(), 10);
    assert_eq!(large.get().unwrap(), vec![7; 10_000]);
    let error = failed.get().expect_err("it panicked");
    assert_eq!(error.remote().unwrap().message(), "as said");
    drop(dropped);
    assert_eq!(arena::usage().unwrap(), before);
}

fn threads_submit() {
    let pool = Pool::new(2).unwrap();
    let rounds = u64::from(scaled(500));
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let pool = &pool;
            scope.spawn(move || {
                let mut pending = Vec::new();
                for n in 0..rounds {
                    let n = thread * rounds + n;
                    pending.push((n, pool.apply_async(double, (n,)).unwrap()));
                    if n % 3 == 0 {
                        assert_eq!(pool.apply(double, (n,)).unwrap(), 2 * n);
                    }
                }
                for (n, result) in pending {
                    assert_eq!(result.get().unwrap(), 2 * n);
                }
            });
        }
    });
}

fn several_pools() {
    let pools: Vec<Pool> = (1..=3).map(|n| Pool::new(n).unwrap()).collect();
    let all: BTreeSet<u32> = pools.iter().flat_map(Pool::worker_pids).collect();
    assert_eq!(all.len(), 6);
    let tasks: Vec<_> = (0..600)
        .map(|n| pools[n % 3].apply_async(double, (n as u64,)).unwrap())
        .collect();
    let there = pools[2].apply(std::process::id, ()).unwrap();
    assert!(pools[2].worker_pids().contains(&there));
    // The end of one is nothing to the others.
    for (n, task) in tasks.into_iter().enumerate() {
        assert_eq!(task.get().unwrap(), 2 * n as u64);
    }
    let mut pools = pools.into_iter();
    drop(pools.next());
    for pool in pools {
        assert_eq!(pool.apply(double, (8,)).unwrap(), 16);
        assert_eq!(pool.stats().deaths, 0);
    }
}

fn many_pools_leave_nothing() {
    let before = arena::usage().unwrap();
    for round in 0..scaled(10) {
        let pool = Pool::new(2).unwrap();
        let queue = Queue::<u32>::new().unwrap();
        let put = |queue: Queue<u32>, n: u32| queue.put(n).unwrap();
        for n in 0..100 {
            drop(pool.apply_async(put, (queue.clone(), n)).unwrap());
        }
        if round % 2 == 0 {
            pool.close();
            pool.join().unwrap();
            assert_eq!(queue.len(), 100);
        }
    }
    assert_eq!(arena::usage().unwrap(), before);
}
