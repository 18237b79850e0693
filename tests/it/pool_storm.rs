//! Workers are killed at random places while numbered tasks run: every result is exact, and nothing is left.

#![expect(clippy::print_stdout, reason = "how hard a storm was is told")]

use crate::pool::{double, until};
use crate::pool_death::pid_of;
use crate::runner::{Case, Gate, RemoteGate, case, scaled};
use multiproc::arena::{self, Usage};
use multiproc::{AsyncResult, ErrorKind, Lock, Pool, PoolStats, Process, Queue};
use nix::sys::signal::{Signal, kill};
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

pub(crate) fn tests() -> Vec<Case> {
    let long = Duration::from_secs(180);
    vec![
        case("pool_storm::long_tasks", long_tasks)
            .deadline(long)
            .keeps_arena(LEAKS),
        case("pool_storm::short_tasks", short_tasks)
            .deadline(long)
            .keeps_arena(LEAKS),
        case("pool_storm::large_results", large_results)
            .deadline(long)
            .keeps_arena(LEAKS),
        case("pool_storm::without_retries", without_retries)
            .deadline(long)
            .keeps_arena(LEAKS),
        case("pool_storm::handles", handles)
            .deadline(long)
            .keeps_arena(LEAKS),
        case("pool_storm::fork_servers", fork_servers)
            .deadline(long)
            .keeps_arena(LEAKS),
        case("pool_storm::groups", groups)
            .deadline(long)
            .keeps_arena(LEAKS),
    ]
}

/// Random enough to hit every place, and the same in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % limit
    }
}

/// Kills a random worker of `pool` every `pace` microseconds or so, while `work` goes on.
fn storm<R>(pool: &Pool, pace: usize, work: impl FnOnce() -> R) -> R {
    struct Over<'a>(&'a AtomicBool);
    impl Drop for Over<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut dice = Dice(0x9e37_79b9_7f4a_7c15 ^ u64::from(std::process::id()));
            while !over.load(Ordering::Relaxed) {
                let pids = pool.worker_pids();
                if !pids.is_empty() {
                    // It may have gone since.
                    _ = kill(pid_of(pids[dice.below(pids.len())]), Signal::SIGKILL);
                }
                let pause = Duration::from_micros(dice.below(2 * pace) as u64);
                std::thread::park_timeout(pause);
            }
        });
        let _over = Over(&over);
        work()
    })
}

/// Says how hard it was, and that it was hard enough.
fn hard_enough(name: &str, stats: PoolStats, tasks: u64, in_task: u64, deaths: u64) {
    println!("{name}: {tasks} tasks, {stats:?}");
    assert!(stats.deaths_in_task >= in_task, "{stats:?}");
    assert!(stats.deaths >= deaths, "{stats:?}");
}

/// Why an arena may not be as it was.
const LEAKS: &str = "a worker killed while a handle lands leaves its object in flight for ever";

/// Everything is given back, but for the pool itself with what it owns: all its workers have a handle of it, and a kill in
/// the moment when that lands (1 in 20,000 or so) leaves the pool in the arena.
fn only_the_pool_leaks(before: Usage) {
    let after = arena::usage().unwrap();
    assert_eq!(after.members, before.members);
    if after.objects == before.objects {
        assert_eq!(after, before);
    } else {
        println!("the pool was leaked: {before:?} -> {after:?}");
        assert_eq!(after.objects, before.objects + 1);
    }
}

fn work_for(micros: u64) {
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_micros(micros) {
        std::hint::spin_loop();
    }
}

fn square_slowly(n: u64) -> u64 {
    work_for(1000);
    n * n
}

fn long_tasks() {
    let before = arena::usage().unwrap();
    let wanted = u64::from(scaled(60));
    let pool = Pool::builder()
        .workers(4)
        .retries(u64::MAX)
        .build()
        .unwrap();
    let mut tasks = 0;
    storm(&pool, 2000, || {
        while pool.stats().deaths_in_task < wanted {
            let results: Vec<_> = (tasks..tasks + 100)
                .map(|n| (n, pool.apply_async(square_slowly, (n,)).unwrap()))
                .collect();
            for (n, result) in results {
                assert_eq!(result.get().unwrap(), n * n);
            }
            tasks += 100;
        }
    });
    let stats = pool.stats();
    hard_enough("long", stats, tasks, wanted, wanted);
    assert_eq!(stats.retried, stats.deaths_in_task);
    drop(pool);
    only_the_pool_leaks(before);
}

/// Most kills land between two tasks: in the ring, in the claim, in the completion.
fn short_tasks() {
    let before = arena::usage().unwrap();
    let wanted = u64::from(scaled(100));
    let pool = Pool::builder()
        .workers(3)
        .retries(u64::MAX)
        .build()
        .unwrap();
    let mut tasks = 0;
    storm(&pool, 700, || {
        let mut window = VecDeque::new();
        while pool.stats().deaths < wanted || pool.stats().deaths_in_task == 0 {
            window.push_back((tasks, pool.apply_async(double, (tasks,)).unwrap()));
            tasks += 1;
            if window.len() == 300 {
                for (n, result) in window.drain(..200) {
                    assert_eq!(result.get().unwrap(), 2 * n);
                }
            }
        }
        for (n, result) in window {
            assert_eq!(result.get().unwrap(), 2 * n);
        }
    });
    hard_enough("short", pool.stats(), tasks, 1, wanted);
    drop(pool);
    only_the_pool_leaks(before);
}

/// Kills land while blocks are allocated, filled and handed over.
fn large_results() {
    let before = arena::usage().unwrap();
    let wanted = u64::from(scaled(50));
    let pool = Pool::builder()
        .workers(3)
        .retries(u64::MAX)
        .build()
        .unwrap();
    let grow = |mut bytes: Vec<u8>, n: u64| {
        bytes.extend(n.to_le_bytes());
        bytes.resize(20_000, 1);
        bytes
    };
    let check = |batch: Vec<(u64, AsyncResult<Vec<u8>>)>| {
        for (n, result) in batch {
            // Every third is dropped, done or not.
            if n % 3 != 0 {
                assert!(result.get().unwrap() == grow(vec![9; 500], n));
            }
        }
    };
    let (mut tasks, mut last) = (0, Vec::new());
    storm(&pool, 1000, || {
        while pool.stats().deaths_in_task < wanted {
            let next = (tasks..tasks + 100)
                .map(|n| (n, pool.apply_async(grow, (vec![9_u8; 500], n)).unwrap()))
                .collect();
            // There is always work: a hundred deaths in a row with nothing to do would break the pool.
            check(std::mem::replace(&mut last, next));
            tasks += 100;
        }
    });
    check(last);
    hard_enough("large", pool.stats(), tasks, wanted, wanted);
    drop(pool);
    only_the_pool_leaks(before);
}

/// One outcome each: the value, once; or the death of a worker that had begun.
fn without_retries() {
    let wanted = u64::from(scaled(40));
    let pool = Pool::new(3).unwrap();
    let (mut tasks, mut died) = (0, 0);
    let slowly = |log: Queue<u64>, n| {
        log.put(n).unwrap();
        work_for(300);
        n
    };
    let log = Queue::new().unwrap();
    storm(&pool, 1500, || {
        while pool.stats().deaths_in_task < wanted {
            let results: Vec<_> = (0..100)
                .map(|n| pool.apply_async(slowly, (log.clone(), n)).unwrap())
                .collect();
            for (n, result) in (0..).zip(results) {
                match result.get() {
                    Ok(value) => assert_eq!(value, n),
                    Err(error) => {
                        assert_eq!(error.kind(), ErrorKind::WorkerDied, "{error}");
                        died += 1;
                    }
                }
            }
            tasks += 100;
            let mut ran = vec![0; 100];
            while let Ok(n) = log.try_get() {
                ran[usize::try_from(n).unwrap()] += 1;
            }
            assert!(ran.iter().all(|&times| times <= 1), "a task ran twice");
        }
    });
    let stats = pool.stats();
    hard_enough("without retries", stats, tasks, wanted, wanted);
    assert_eq!((stats.deaths_in_task, stats.retried), (died, 0));
}

/// Objects under way to a worker and back, and one that all share.
fn handles() {
    let before = arena::usage().unwrap();
    let wanted = u64::from(scaled(40));
    let pool = Pool::builder()
        .workers(3)
        .retries(u64::MAX)
        .build()
        .unwrap();
    let lock = Lock::new().unwrap();
    let mut tasks = 0;
    storm(&pool, 1500, || {
        while pool.stats().deaths_in_task < wanted {
            exchange(&pool, &lock, tasks..tasks + 50);
            tasks += 50;
        }
    });
    let stats = pool.stats();
    hard_enough("handles", stats, tasks, wanted, wanted);
    drop(pool);
    drop(lock);
    // A worker that is killed between encoding its result and leaving it takes that result's objects with it: two.
    let after = arena::usage().unwrap();
    println!("handles: {} objects left", after.objects - before.objects);
    let most = usize::try_from(2 * stats.deaths_in_task + 1).unwrap();
    assert!(after.objects <= before.objects + most, "{after:?}");
    assert_eq!(after.members, before.members);
}

/// Each number goes in one queue and comes back in another.
fn exchange(pool: &Pool, lock: &Lock, numbers: Range<u64>) {
    let work = |queue: Queue<u64>, lock: Lock, n: u64| {
        assert!(!lock.locked());
        work_for(200);
        let answer = Queue::new().unwrap();
        answer.put(n).unwrap();
        (queue, answer)
    };
    let results: Vec<_> = numbers
        .map(|n| {
            let queue = Queue::<u64>::new().unwrap();
            queue.put(n).unwrap();
            let result = pool.apply_async(work, (queue, lock.clone(), n));
            (n, result.unwrap())
        })
        .collect();
    for (n, result) in results {
        let (queue, answer) = result.get().unwrap();
        let numbers = (queue.try_get().unwrap(), answer.try_get().unwrap());
        assert_eq!(numbers, (n, n));
    }
}

/// All workers at once, again and again, while each has a task.
fn groups() {
    let pool = Pool::builder().workers(4).retries(1000).build().unwrap();
    let rounds = u64::from(scaled(15));
    let meet = |runs: RemoteGate, n: u64| {
        runs.open(1);
        work_for(500);
        n + 1
    };
    for _ in 0..rounds {
        let runs = Gate::new();
        let results: Vec<_> = (0..40)
            .map(|n| pool.apply_async(meet, (runs.remote(), n)).unwrap())
            .collect();
        (0..4).for_each(|_| runs.wait());
        for pid in pool.worker_pids() {
            _ = kill(pid_of(pid), Signal::SIGKILL);
        }
        for (n, result) in (0..).zip(results) {
            assert_eq!(result.get().unwrap(), n + 1);
        }
        until(|| pool.worker_pids().len() == 4);
    }
    let stats = pool.stats();
    // One that was not replaced yet when its round came, or had no task at the moment, does not count.
    hard_enough("groups", stats, rounds * 40, 1, rounds);
}

/// Fork servers are killed as well, also while they start a worker.
fn fork_servers() {
    let pool = Pool::builder()
        .workers(3)
        .retries(u64::MAX)
        .build()
        .unwrap();
    let rounds = scaled(30);
    storm(&pool, 3000, || {
        let mut tasks = 0;
        for _ in 0..rounds {
            let server = pool.apply(|| nix::unistd::getppid().as_raw(), ()).unwrap();
            // An orphan of an earlier server tells who took it in: not that one.
            if server > 1 && is_fork_server(server) {
                _ = kill(nix::unistd::Pid::from_raw(server), Signal::SIGKILL);
            }
            for _ in 0..20 {
                assert_eq!(pool.apply(square_slowly, (tasks,)).unwrap(), tasks * tasks);
                tasks += 1;
            }
        }
    });
    let stats = pool.stats();
    hard_enough("fork servers", stats, u64::from(rounds) * 20, 1, 10);
    drop(pool);
    // The last server that was killed is reaped when the next one is needed.
    let mut process = Process::new(|| (), ());
    process.start().unwrap();
    assert_eq!(process.join().unwrap(), 0);
}

fn is_fork_server(pid: i32) -> bool {
    let name = std::fs::read_to_string(format!("/proc/{pid}/comm"));
    name.is_ok_and(|name| name.trim() == "multiproc-fs")
}
