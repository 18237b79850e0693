//! Workers that are stopped, that cannot be started, whose server is gone, or that have no room: the pool goes on, or says why not.

use crate::pool::{double, exists, hold, kind, until};
use crate::pool_death::{dies_first, pid_of, sigkill};
use crate::runner::{Case, Gate, RemoteGate, case, scaled};
use multiproc::{AsyncResult, ErrorKind, Pool, Queue, arena};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{Signal, kill};
use nix::unistd::getppid;
use std::fs::File;
use std::os::fd::AsRawFd as _;

/// Why an arena may not be as it was.
const LEAKS: &str = "a worker killed while a handle lands leaves its object in flight for ever";

pub(crate) fn tests() -> Vec<Case> {
    vec![
        case(
            "pool_trouble::idle_deaths_beside_work",
            idle_deaths_beside_work,
        )
        .keeps_arena(LEAKS),
        case("pool_trouble::stopped_while_it_works", stopped_working),
        case("pool_trouble::stopped_while_idle", stopped_idle),
        case("pool_trouble::terminate_the_stopped", terminate_the_stopped),
        case("pool_trouble::always_at_once", always_at_once).keeps_arena(LEAKS),
        case("pool_trouble::none_can_be_started", none_can_be_started).keeps_arena(LEAKS),
        case(
            "pool_trouble::taken_by_one_that_cannot_be_held",
            taken_by_one_that_cannot_be_held,
        )
        .keeps_arena(LEAKS),
        case("pool_trouble::not_all_can_be_started", not_all_started).keeps_arena(LEAKS),
        case("pool_trouble::fork_server_killed", fork_server_killed),
        case("pool_trouble::retry_in_a_full_arena", retry_in_full_arena).cold(),
    ]
}

/// More workers die before their first task than break a pool that does nothing; but this one works.
fn idle_deaths_beside_work() {
    let pool = Pool::new(2).unwrap();
    let works = pool.apply(std::process::id, ()).unwrap();
    for round in 1..=110 {
        until(|| pool.worker_pids().len() == 2);
        let pids = pool.worker_pids();
        let other = *pids.iter().find(|&&pid| pid != works).unwrap();
        // So that the one task is not its.
        stop(other);
        assert_eq!(pool.apply(std::process::id, ()).unwrap(), works);
        sigkill(other);
        until(|| pool.stats().deaths == round);
    }
    assert_eq!(pool.stats().deaths_in_task, 0);
}

/// Stops a process, and waits until it has stopped.
fn stop(pid: u32) {
    kill(pid_of(pid), Signal::SIGSTOP).unwrap();
    until(|| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        stat.rsplit_once(')')
            .unwrap()
            .1
            .trim_start()
            .starts_with('T')
    });
}

fn stopped_working() {
    let pool = Pool::new(2).unwrap();
    let (runs, go) = (Gate::new(), Gate::new());
    let tell = |pids: Queue<u32>, runs, go| {
        pids.put(std::process::id()).unwrap();
        hold(runs, go)
    };
    let pids = Queue::new().unwrap();
    let held = pool
        .apply_async(tell, (pids.clone(), runs.remote(), go.remote()))
        .unwrap();
    runs.wait();
    let pid = pids.get().unwrap();
    stop(pid);
    go.open(1);
    assert_eq!(pool.map(double, 0..1000).unwrap()[999], 1998);
    assert!(!held.ready());
    assert_eq!(pool.stats().deaths, 0);
    assert!(pool.worker_pids().contains(&pid));
    kill(pid_of(pid), Signal::SIGCONT).unwrap();
    assert_eq!(held.get().unwrap(), pid);
    assert_eq!(pool.stats().deaths, 0);
}

/// Wherever between two tasks it is stopped: the other one does the work.
fn stopped_idle() {
    let pool = Pool::new(2).unwrap();
    for _ in 0..scaled(5) {
        for pid in pool.worker_pids() {
            // Stopped on its way to sleep, or asleep.
            pool.map(double, 0..4).unwrap();
            stop(pid);
            let results: Vec<_> = (0..20)
                .map(|n| pool.apply_async(double, (n,)).unwrap())
                .collect();
            // One may be with the stopped worker, if that had it in its hands.
            until(|| results.iter().filter(|one| one.ready()).count() >= 19);
            kill(pid_of(pid), Signal::SIGCONT).unwrap();
            for (n, result) in (0..).zip(results) {
                assert_eq!(result.get().unwrap(), double(n));
            }
        }
    }
    assert_eq!(pool.stats().deaths, 0);
}

fn terminate_the_stopped() {
    let pool = Pool::new(2).unwrap();
    let pids = pool.worker_pids();
    pids.iter().copied().for_each(stop);
    let result = pool.apply_async(double, (1,)).unwrap();
    pool.terminate();
    assert_eq!(kind(result.get()), ErrorKind::Terminated);
    assert!(!pids.into_iter().any(exists));
}

/// Workers that die before they take a task end the pool, instead of being replaced for ever.
fn always_at_once() {
    let pool = Pool::new(2).unwrap();
    while pool.join().is_err() {
        for pid in pool.worker_pids() {
            // It may have gone since.
            _ = kill(pid_of(pid), Signal::SIGKILL);
        }
        std::thread::yield_now();
    }
    let stats = pool.stats();
    assert!(stats.deaths >= 100, "{stats:?}");
    assert_eq!(stats.deaths_in_task, 0);
    assert!(pool.worker_pids().is_empty());
    assert_eq!(kind(pool.apply(double, (1,))), ErrorKind::Closed);
}

/// Lets this process have descriptors below `limit` only, for the time of `body`.
fn with_descriptors<R>(limit: u64, body: impl FnOnce() -> R) -> R {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, limit, hard).unwrap();
    let result = body();
    setrlimit(Resource::RLIMIT_NOFILE, soft, hard).unwrap();
    result
}

/// The lowest number that a new descriptor could get, when all below are open.
fn free_descriptor() -> u64 {
    let files: Vec<File> = (0..20).map(|_| File::open("/dev/null").unwrap()).collect();
    u64::try_from(files[19].as_raw_fd()).unwrap() - 19
}

/// The pool ends with the reason, and so does every task.
fn none_can_be_started() {
    let pool = Pool::builder().workers(1).retries(1000).build().unwrap();
    let (runs, never) = (Gate::new(), Gate::new());
    let held = pool
        .apply_async(hold, (runs.remote(), never.remote()))
        .unwrap();
    runs.wait();
    let pid = pool.worker_pids()[0];
    // The descriptor of the dead worker becomes free, but has a number that is too high.
    let error = with_descriptors(3, || {
        sigkill(pid);
        held.get().unwrap_err()
    });
    assert_eq!(error.kind(), ErrorKind::WorkerDied, "{error}");
    assert!(
        error.to_string().contains("no worker can be started"),
        "{error}"
    );
    assert_eq!(kind(pool.apply(double, (1,))), ErrorKind::Closed);
    pool.join().unwrap();
}

/// A worker runs for a moment although there is no descriptor for it: what it took in that moment is not lost.
fn taken_by_one_that_cannot_be_held() {
    let pool = Pool::builder().workers(1).retries(1000).build().unwrap();
    let log = Queue::new().unwrap();
    let go = Gate::new();
    let work = |log: Queue<u32>, go: RemoteGate| {
        crate::kit::raise_descriptors();
        log.put(std::process::id()).unwrap();
        go.wait();
        log.len()
    };
    let held = pool.apply_async(work, (log.clone(), go.remote())).unwrap();
    until(|| log.len() == 1);
    let pid = pool.worker_pids()[0];
    with_descriptors(3, || {
        sigkill(pid);
        // Or the pool gives up first, and the task with it.
        until(|| pool.stats().deaths_in_task >= 2 || held.ready());
    });
    go.open(1000);
    let succeeded = match held.get() {
        Ok(_) => 1,
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::WorkerDied, "{error}");
            0
        }
    };
    let deaths = usize::try_from(pool.stats().deaths_in_task).unwrap();
    assert!(log.len() <= deaths + succeeded, "a worker was forgotten");
}

/// What was started before one could not be is ended: the runner would find it.
fn not_all_started() {
    let before = arena::usage().unwrap();
    let free = free_descriptor();
    // The eventfd of the pool, and a pidfd a worker.
    for left in 0..8 {
        let pool = with_descriptors(free + left, || Pool::new(20));
        assert_eq!(kind(pool), ErrorKind::Os, "{left} descriptors");
        let members = arena::usage().unwrap().members;
        assert_eq!(members, before.members, "{left} descriptors");
    }
    assert_eq!(Pool::new(20).unwrap().apply(double, (1,)).unwrap(), 2);
}

fn fork_server_killed() {
    let pool = Pool::builder().workers(2).retries(1).build().unwrap();
    let parent = || getppid().as_raw().cast_unsigned();
    let server = pool.apply(parent, ()).unwrap();
    assert_ne!(server, std::process::id());
    let pids = pool.worker_pids();
    let (runs, go) = (Gate::new(), Gate::new());
    let held = pool
        .apply_async(hold, (runs.remote(), go.remote()))
        .unwrap();
    runs.wait();
    sigkill(server);
    assert_eq!(pool.map(double, 0..1000).unwrap()[999], 1998);
    assert_eq!(pool.worker_pids(), pids, "workers live on without it");
    go.open(1);
    assert!(pids.contains(&held.get().unwrap()));
    // Deaths from now on are replaced through another server.
    pids.iter().copied().for_each(sigkill);
    until(|| pool.stats().deaths == 2 && pool.worker_pids().len() == 2);
    let log = Queue::new().unwrap();
    assert_eq!(pool.apply(dies_first, (log, 1)).unwrap(), 2);
    let other = pool.apply(parent, ()).unwrap();
    assert_ne!(other, server);
    assert_eq!(pool.map(double, 0..100).unwrap()[99], 198);
}

/// The ring of hints is full to the last place and cannot grow when the task must be hinted again.
fn retry_in_full_arena() {
    arena::set_size(1 << 20).unwrap();
    let other = Pool::new(1).unwrap();
    let pool = Pool::builder().workers(1).retries(1).build().unwrap();
    let (runs, go) = (Gate::new(), Gate::new());
    let held = pool
        .apply_async(hold, (runs.remote(), go.remote()))
        .unwrap();
    runs.wait();
    let ring = 128;
    let queued: Vec<_> = (0..ring)
        .map(|n| pool.apply_async(double, (n,)).unwrap())
        .collect();
    let ballast = fill_with_results(&other);
    sigkill(pool.worker_pids()[0]);
    // The dying worker may take one with it.
    go.open(2);
    // Tried again or failed, but not forgotten.
    match held.get() {
        Ok(pid) => until(|| pool.worker_pids() == [pid]),
        Err(error) => assert_eq!(error.kind(), ErrorKind::NoSpace, "{error}"),
    }
    for (n, result) in (0..).zip(queued) {
        assert_eq!(result.get().unwrap(), 2 * n);
    }
    drop(ballast);
}

/// Leaves no room for two kibibytes in one piece.
fn fill_with_results(pool: &Pool) -> Vec<AsyncResult<Vec<u8>>> {
    let mut results = Vec::new();
    for size in [100_000, 10_000, 1_500] {
        loop {
            let result = pool.apply_async(|size| vec![1; size], (size,)).unwrap();
            result.wait();
            if !result.successful().unwrap() {
                break;
            }
            results.push(result);
        }
    }
    results
}
