//! Pools of threads: terminate, drops, forks, the end of the program.

use crate::hostile::become_nobody;
use crate::kit::{fork_behind_our_back, kind};
use crate::runner::{Case, case, program, program_command, scaled};
use crate::thread_pool::pool;
use multiproc::{ErrorKind, Process, ThreadPool};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::wait::{WaitStatus, waitpid};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

pub(crate) fn tests() -> Vec<Case> {
    vec![
        case("thread_pool_ends::terminate", terminate),
        case("thread_pool_ends::terminate_a_map", terminate_a_map),
        case("thread_pool_ends::terminate_an_imap", terminate_an_imap),
        case("thread_pool_ends::terminated_by_many", by_many),
        case("thread_pool_ends::dropped", dropped),
        case("thread_pool_ends::in_its_own_task", in_its_own_task),
        case("thread_pool_ends::dropped_in_its_own_task", dropped_in_task),
        case("thread_pool_ends::values_are_dropped_once", dropped_once),
        case("thread_pool_ends::nothing_is_kept", nothing_is_kept),
        case("thread_pool_ends::forked_child", forked_child),
        case("thread_pool_ends::forked_by_a_task", forked_by_a_task),
        case("thread_pool_ends::forked_in_storm", forked_in_storm),
        case("thread_pool_ends::end_of_the_program", end_of_program),
        case("thread_pool_ends::closed_while_tasks_come", closed_in_storm),
        case("thread_pool_ends::storm", storm),
        case("thread_pool_ends::too_many_workers", too_many_workers),
        program("thread_pool_ends::leaves_tasks", leaves_tasks),
        program("thread_pool_ends::limited", limited),
    ]
}

/// A task that runs until it is told to end, and one who tells it; returns when it runs.
pub(crate) fn busy(pool: &ThreadPool) -> (Sender<()>, multiproc::ThreadResult<bool>) {
    let (go, wait) = channel::<()>();
    let (here, running) = channel::<()>();
    let task = move || {
        here.send(()).unwrap();
        wait.recv().is_ok()
    };
    let result = pool.apply_async(task, ()).unwrap();
    running.recv().unwrap();
    (go, result)
}

pub(crate) fn fails(n: u32) -> u32 {
    assert!(n % 10 != 7, "not {n}");
    n
}

/// Waits for what runs; what has not begun never does.
fn terminate() {
    let pool = pool(2);
    let (first, second) = (busy(&pool), busy(&pool));
    let begun = Arc::new(AtomicUsize::new(0));
    let waiting: Vec<_> = (0..100)
        .map(|_| {
            let begun = Arc::clone(&begun);
            pool.apply_async(move || begun.fetch_add(1, SeqCst), ())
        })
        .map(Result::unwrap)
        .collect();
    std::thread::scope(|scope| {
        let ender = scope.spawn(|| pool.terminate());
        for result in waiting {
            assert_eq!(kind(result.get()), ErrorKind::Terminated);
        }
        assert!(!ender.is_finished());
        assert_eq!(kind(pool.apply(|| 1, ())), ErrorKind::Closed);
        first.0.send(()).unwrap();
        second.0.send(()).unwrap();
        ender.join().unwrap().unwrap();
    });
    assert!(first.1.get().unwrap() && second.1.get().unwrap());
    assert_eq!(begun.load(SeqCst), 0);
}

fn terminate_a_map() {
    let pool = pool(1);
    let (here, running) = channel::<()>();
    let (go, wait) = channel::<()>();
    let both = Mutex::new((here, wait));
    let calls = Arc::new(AtomicUsize::new(0));
    let theirs = Arc::clone(&calls);
    let task = move |_: u32| {
        theirs.fetch_add(1, SeqCst);
        let both = both.lock().unwrap();
        both.0.send(()).unwrap();
        both.1.recv().unwrap();
    };
    let result = pool.map_async(task, 0..100).unwrap();
    running.recv().unwrap();
    std::thread::scope(|scope| {
        let later = pool.apply_async(|| (), ()).unwrap();
        let ender = scope.spawn(|| pool.terminate().unwrap());
        assert_eq!(kind(later.get()), ErrorKind::Terminated);
        // A chunk is done to its end.
        while calls.load(SeqCst) < 25 {
            go.send(()).unwrap();
            running.recv().unwrap();
        }
        go.send(()).unwrap();
        ender.join().unwrap();
    });
    assert_eq!(kind(result.get()), ErrorKind::Terminated);
    assert_eq!(calls.load(SeqCst), 25);
}

fn terminate_an_imap() {
    for ordered in [true, false] {
        let pool = pool(2);
        let mut results = if ordered {
            pool.imap(|n: u64| n, 0..).unwrap()
        } else {
            pool.imap_unordered(|n: u64| n, 0..).unwrap()
        };
        assert!(results.next().unwrap().is_ok());
        pool.terminate().unwrap();
        let rest: Vec<_> = results.collect();
        let (good, bad): (Vec<_>, Vec<_>) = rest.into_iter().partition(Result::is_ok);
        assert_eq!(bad.len(), 1, "after {} good ones", good.len());
        let last = bad.into_iter().next().unwrap();
        assert_eq!(kind(last), ErrorKind::Terminated);
    }
}

fn by_many() {
    for _ in 0..scaled(50) {
        let pool = pool(2);
        let results: Vec<_> = (0..10)
            .map(|n| pool.apply_async(fails, (n,)).unwrap())
            .collect();
        std::thread::scope(|scope| {
            scope.spawn(|| pool.terminate().unwrap());
            scope.spawn(|| pool.close());
            scope.spawn(|| pool.terminate().and(pool.join()).unwrap());
        });
        for (n, result) in (0..).zip(results) {
            match result.get() {
                Ok(value) => assert_eq!(value, n),
                Err(error) if n == 7 && error.kind() == ErrorKind::Panicked => {}
                Err(error) => assert_eq!(error.kind(), ErrorKind::Terminated),
            }
        }
    }
}

fn dropped() {
    let pool = pool(1);
    let (go, running) = busy(&pool);
    let never = pool.apply_async(|| 1, ()).unwrap();
    std::thread::scope(|scope| {
        let ender = scope.spawn(move || drop(pool));
        assert_eq!(kind(never.get()), ErrorKind::Terminated);
        assert!(!ender.is_finished() && !running.ready());
        go.send(()).unwrap();
        ender.join().unwrap();
    });
    assert!(running.ready());
}

fn in_its_own_task() {
    let pool = Arc::new(pool(2));
    let inner = Arc::clone(&pool);
    let task = move || {
        assert_eq!(kind(inner.join()), ErrorKind::Misuse);
        assert_eq!(kind(inner.terminate()), ErrorKind::Misuse);
        assert_eq!(inner.apply(fails, (1,)).unwrap(), 1);
        inner.close();
        assert_eq!(kind(inner.join()), ErrorKind::Misuse);
        // Another one is somebody else's.
        let other = ThreadPool::new(1).unwrap();
        assert_eq!(other.apply(fails, (2,)).unwrap(), 2);
        other.terminate().unwrap();
    };
    pool.apply(task, ()).unwrap();
    pool.join().unwrap();
}

fn dropped_in_task() {
    let pool = Arc::new(pool(2));
    let (go, wait) = channel::<()>();
    let inner = Arc::clone(&pool);
    let task = move || {
        wait.recv().unwrap();
        drop(Arc::into_inner(inner));
        5
    };
    let result = pool.apply_async(task, ()).unwrap();
    drop(pool);
    go.send(()).unwrap();
    assert_eq!(result.get().unwrap(), 5);
    while multiproc::threading::active_count() > 1 {
        std::thread::yield_now();
    }
}

/// Counts how many of it there are.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, SeqCst);
        Self(Arc::clone(count))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        assert!(self.0.fetch_sub(1, SeqCst) > 0);
    }
}

/// Arguments, captures and values, wherever the pool is terminated.
fn dropped_once() {
    let count = Arc::new(AtomicUsize::new(0));
    for round in 0..scaled(100) {
        let pool = pool(2);
        let make = || Counted::new(&count);
        let keep = |item: Counted| item;
        let captured = make();
        let both = move |item: Counted| (item, captured.0.load(SeqCst));
        let map = pool.map_async(both, (0..50).map(|_| make())).unwrap();
        let items: Vec<_> = (0..50).map(|_| make()).collect();
        let imap = pool.imap(keep, items).unwrap();
        let singles: Vec<_> = (0..50)
            .map(|_| pool.apply_async(keep, (make(),)).unwrap())
            .collect();
        if round % 4 == 0 {
            singles[round as usize % 50].wait();
        }
        if round % 4 == 1 {
            pool.close();
            pool.join().unwrap();
        }
        drop(pool);
        if round % 4 != 2 {
            drop(map.get());
            drop(imap);
            singles.into_iter().for_each(|result| drop(result.get()));
        } else {
            drop((map, imap, singles));
        }
        assert_eq!(count.load(SeqCst), 0, "round {round}");
    }
}

/// When a result is there, the task's function and arguments are gone.
fn nothing_is_kept() {
    let (pool, count) = (pool(2), Arc::new(AtomicUsize::new(0)));
    for _ in 0..scaled(1000) {
        let captured = Counted::new(&count);
        let task = move |_: Counted| drop(captured);
        pool.apply(task, (Counted::new(&count),)).unwrap();
        assert_eq!(count.load(SeqCst), 0);
    }
}

#[track_caller]
fn left_well(child: nix::unistd::Pid) {
    let status = waitpid(child, None).unwrap();
    assert!(matches!(status, WaitStatus::Exited(_, 0)), "{status:?}");
}

/// The workers are not there: nothing hangs.
fn check_copy(pool: ThreadPool, mut pending: multiproc::ThreadResult<bool>) {
    assert_eq!(kind(pool.apply(fails, (1,))), ErrorKind::Misuse);
    assert_eq!(kind(pool.map(fails, 0..3)), ErrorKind::Misuse);
    assert_eq!(kind(pool.imap(fails, 0..3)), ErrorKind::Misuse);
    pool.close();
    assert_eq!(kind(pool.join()), ErrorKind::Misuse);
    assert_eq!(kind(pool.terminate()), ErrorKind::Misuse);
    assert!(format!("{pool:?}").contains("ThreadPool"));
    pending.wait();
    assert!(!pending.wait_timeout(Duration::MAX));
    assert_eq!(kind(pending.successful()), ErrorKind::Misuse);
    let got = pending.get_timeout(Duration::MAX);
    assert_eq!(kind(got), ErrorKind::Misuse);
    assert_eq!(kind(pending.get()), ErrorKind::Misuse);
    drop(pool);
    let own = ThreadPool::new(2).unwrap();
    assert_eq!(own.map(fails, 0..3).unwrap(), [0, 1, 2]);
}

fn forked_child() {
    let pool = pool(2);
    let (go, pending) = busy(&pool);
    let results = pool.imap(fails, 0..5).unwrap();
    let both = Mutex::new(Some((pool, pending, results)));
    let child = fork_behind_our_back(|| {
        let (pool, pending, mut results) = both.lock().unwrap().take().unwrap();
        assert_eq!(kind(results.next().unwrap()), ErrorKind::Misuse);
        assert!(results.next().is_none());
        check_copy(pool, pending);
    });
    left_well(child);
    let (pool, pending, results) = both.into_inner().unwrap().unwrap();
    assert_eq!(pool.map(fails, 0..3).unwrap(), [0, 1, 2]);
    go.send(()).unwrap();
    assert!(pending.get().unwrap());
    assert_eq!(results.map(Result::unwrap).sum::<u32>(), 10);
}

fn forked_by_a_task() {
    let pool = Arc::new(pool(2));
    let inner = Arc::clone(&pool);
    let task = move || {
        let mut process = Process::fork(move || {
            assert_eq!(kind(inner.apply(fails, (1,))), ErrorKind::Misuse);
            assert_eq!(kind(inner.terminate()), ErrorKind::Misuse);
            let own = ThreadPool::new(1).unwrap();
            assert_eq!(own.apply(fails, (1,)).unwrap(), 1);
        });
        process.start().unwrap();
        process.join().unwrap()
    };
    assert_eq!(pool.apply(task, ()).unwrap(), 0);
    assert_eq!(pool.apply(fails, (1,)).unwrap(), 1);
}

/// Children of a process whose pools are busy.
fn forked_in_storm() {
    let pool = pool(2);
    let results = pool.imap_unordered(|n: u64| n, 0..).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..scaled(30) {
                let child = fork_behind_our_back(|| {
                    assert_eq!(kind(pool.apply(fails, (1,))), ErrorKind::Misuse);
                    let own = ThreadPool::new(1).unwrap();
                    assert_eq!(own.apply(fails, (1,)).unwrap(), 1);
                });
                left_well(child);
            }
            pool.terminate().unwrap();
        });
        let end = results.map_while(Result::ok).count();
        println!("{end} results");
    });
}

/// Workers are daemons, and a pool in a static is never dropped.
fn end_of_program() {
    let output = program_command("thread_pool_ends::leaves_tasks")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
}

fn leaves_tasks() {
    static POOL: OnceLock<ThreadPool> = OnceLock::new();
    static WAIT: OnceLock<(Mutex<Receiver<()>>, Sender<()>)> = OnceLock::new();
    let pool = POOL.get_or_init(|| ThreadPool::new(3).unwrap());
    WAIT.get_or_init(|| {
        let (sender, receiver) = channel();
        (Mutex::new(receiver), sender)
    });
    let sleep = || WAIT.get().unwrap().0.lock().unwrap().recv().is_ok();
    drop(pool.apply_async(sleep, ()).unwrap());
    drop(
        pool.apply_async(
            || loop {
                std::hint::spin_loop()
            },
            (),
        )
        .unwrap(),
    );
    drop(pool.imap(|n: u64| n, 0..).unwrap().next());
}

fn too_many_workers() {
    let output = program_command("thread_pool_ends::limited")
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
}

/// Where the system has no more threads there is an error, and none of those that were started is left.
fn limited() {
    become_nobody();
    let (_, hard) = getrlimit(Resource::RLIMIT_NPROC).unwrap();
    setrlimit(Resource::RLIMIT_NPROC, 20.min(hard), hard).unwrap();
    for _ in 0..3 {
        for wanted in [21, 1000, usize::MAX] {
            assert_eq!(kind(ThreadPool::new(wanted)), ErrorKind::Os);
            assert_eq!(multiproc::threading::active_count(), 1);
        }
    }
    assert_eq!(pool(2).map(fails, 0..3).unwrap(), [0, 1, 2]);
}

/// Each task was taken and is done, or was refused: none is forgotten.
fn closed_in_storm() {
    for _ in 0..scaled(100) {
        let (pool, done) = (pool(2), Arc::new(AtomicUsize::new(0)));
        let given = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    loop {
                        let done = Arc::clone(&done);
                        let task = move || done.fetch_add(1, SeqCst);
                        match pool.apply_async(task, ()) {
                            Ok(result) => drop((result, given.fetch_add(1, SeqCst))),
                            Err(error) => break assert_eq!(error.kind(), ErrorKind::Closed),
                        }
                    }
                });
            }
            while given.load(SeqCst) < 20 {
                std::hint::spin_loop();
            }
            pool.close();
            pool.join().unwrap();
        });
        assert_eq!(done.load(SeqCst), given.load(SeqCst));
    }
}

/// Everything at once, terminated anywhere: every result has one outcome.
fn storm() {
    for round in 0..scaled(60) {
        let pool = pool(1 + round as usize % 4);
        let outcomes = AtomicUsize::new(0);
        let fine = |kind| matches!(kind, ErrorKind::Terminated | ErrorKind::Closed);
        std::thread::scope(|scope| {
            for thread in 0..3_u32 {
                let (pool, outcomes) = (&pool, &outcomes);
                scope.spawn(move || {
                    loop {
                        let outcome = match thread {
                            0 => pool.map_chunked(|n: u32| n, 0..20, 1).map(|all| all.len()),
                            1 => pool.apply(|n: u32| n as usize, (20,)),
                            _ => pool
                                .imap(|n: u32| n, 0..20)
                                .and_then(|results| results.collect::<Result<Vec<_>, _>>())
                                .map(|all| all.len()),
                        };
                        outcomes.fetch_add(1, SeqCst);
                        match outcome {
                            Ok(count) => assert_eq!(count, 20),
                            Err(error) => break assert!(fine(error.kind()), "{error}"),
                        }
                    }
                });
            }
            while outcomes.load(SeqCst) < round as usize {
                std::hint::spin_loop();
            }
            pool.terminate().unwrap();
        });
    }
}
