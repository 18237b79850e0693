//! Locks: one owner at a time, and the news of a death. Bodies that need no second process run for both homes.

use crate::kit::{
    Numbers, RemoteNumbers, children, close_everything, fork_behind_our_back, kill_and_wait, leave,
    lives, pid_of, start, stop_and_wait,
};
use crate::runner::{Case, Gate, RemoteGate, case, scaled, wait_for_exit};
use multiproc::sync::{self, AcrossProcesses, Home, WithinProcess};
use multiproc::{AcquireError, Error, ErrorKind, Lock, Process, Queue, TryAcquireError};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::time::{Duration, Instant};

pub(crate) fn tests() -> Vec<Case> {
    vec![
        case("lock::verbs_across", verbs::<AcrossProcesses>),
        case("lock::verbs_within", verbs::<WithinProcess>),
        case("lock::threads_exclude_across", threads::<AcrossProcesses>),
        case("lock::threads_exclude_within", threads::<WithinProcess>),
        case("lock::timeouts_across", timeouts::<AcrossProcesses>),
        case("lock::timeouts_within", timeouts::<WithinProcess>),
        case(
            "lock::thread_ends_with_guard_across",
            forgets::<AcrossProcesses>,
        ),
        case(
            "lock::thread_ends_with_guard_within",
            forgets::<WithinProcess>,
        ),
        case("lock::processes_exclude", processes),
        case("lock::owner_dies_and_it_is_repaired", repaired),
        case("lock::owner_dies_and_nobody_repairs", not_repaired),
        case("lock::owner_dies_under_waiters", dies_under_waiters),
        case("lock::repairer_dies_too", repairer_dies),
        case("lock::every_way_to_die", every_way_to_die),
        case("lock::killed_waiters", killed_waiters),
        case("lock::stopped_owner_is_not_dead", stopped_owner),
        case(
            "lock::owner_without_descriptors_is_not_dead",
            without_descriptors,
        ),
        case(
            "lock::owner_dies_but_not_its_fork",
            owner_dies_but_not_its_fork,
        ),
        case("lock::fork_drops_a_copied_guard", fork_drops_a_copied_guard),
        case("lock::fork_acquires_for_itself", fork_acquires),
        case("lock::handles_travel_only_in_messages", only_in_messages),
        case("lock::storm_of_kills", storm),
    ]
}

fn verbs<H: Home>() {
    let lock = sync::Lock::<H>::new().unwrap();
    let other = lock.clone();
    assert!(!lock.locked());
    let guard = lock.acquire().unwrap();
    assert!(lock.locked() && other.locked());
    assert!(matches!(other.try_acquire(), Err(TryAcquireError::Busy)));
    drop(guard);
    assert!(!other.locked());
    let guard = other.try_acquire().unwrap();
    let error: Error = lock.try_acquire().unwrap_err().into();
    assert_eq!(error.kind(), ErrorKind::Busy);
    drop(guard);
    drop(lock);
    let guard = other.acquire_timeout(Duration::MAX).unwrap();
    assert!(format!("{other:?} {guard:?}").contains("Lock"));
}

/// A counter that needs a lock: to add is to read and then to write.
fn threads<H: Home>() {
    let lock = sync::Lock::<H>::new().unwrap();
    let (numbers, rounds) = (Numbers::new(), u64::from(scaled(100_000)));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                for _ in 0..rounds {
                    let _guard = lock.acquire().unwrap();
                    numbers.add(0, 1);
                }
            });
        }
    });
    assert_eq!(numbers.get(0), 2 * rounds);
    assert!(!lock.locked());
}

fn timeouts<H: Home>() {
    let lock = sync::Lock::<H>::new().unwrap();
    let guard = lock.acquire().unwrap();
    let other = &lock;
    std::thread::scope(|scope| {
        let late = scope.spawn(move || {
            for time in [0, 1, 70] {
                let (time, before) = (Duration::from_millis(time), Instant::now());
                let busy = other.acquire_timeout(time);
                assert!(matches!(busy, Err(TryAcquireError::Busy)));
                assert!(before.elapsed() >= time, "too early");
            }
        });
        late.join().unwrap();
        let waiter = scope.spawn(move || other.acquire_timeout(Duration::MAX).is_ok());
        drop(guard);
        assert!(waiter.join().unwrap());
    });
    assert!(!lock.locked());
}

/// A thread that ends without letting go is no dead process: whoever comes waits.
fn forgets<H: Home>() {
    let lock = sync::Lock::<H>::new().unwrap();
    std::thread::scope(|scope| {
        let forgetful = || {
            let _kept = std::mem::ManuallyDrop::new(lock.acquire().unwrap());
        };
        scope.spawn(forgetful).join().unwrap();
    });
    for _ in 0..3 {
        let busy = lock.acquire_timeout(Duration::from_millis(60));
        assert!(matches!(busy, Err(TryAcquireError::Busy)), "{busy:?}");
    }
}

fn counts(lock: Lock, numbers: RemoteNumbers, rounds: u64) {
    let numbers = numbers.open();
    for _ in 0..rounds {
        let _guard = lock.acquire().unwrap();
        numbers.add(0, 1);
    }
}

fn processes() {
    let (lock, numbers) = (Lock::new().unwrap(), Numbers::new());
    let rounds = u64::from(scaled(100_000));
    let body = (lock.clone(), numbers.remote(), rounds);
    let workers = [start(counts, body.clone()), start(counts, body)];
    for worker in workers {
        assert_eq!(worker.join().unwrap(), 0);
    }
    assert_eq!(numbers.get(0), 2 * rounds);
    assert!(!lock.locked());
}

/// Takes the lock, says so, and waits for ever.
fn holds(lock: Lock, here: RemoteGate) {
    let guard = lock.acquire();
    here.open(1);
    Gate::new().wait();
    drop(guard);
}

fn holder(lock: &Lock) -> Process {
    let here = Gate::new();
    let process = start(holds, (lock.clone(), here.remote()));
    here.wait();
    process
}

fn kill_and_join(process: &Process) {
    process.kill().unwrap();
    assert_eq!(process.join().unwrap(), -9);
}

/// The lock must bring the news of a death.
#[track_caller]
fn news(lock: &Lock) -> multiproc::OwnerDied<sync::LockGuard<'_, AcrossProcesses>> {
    match lock.acquire() {
        Err(AcquireError::OwnerDied(news)) => news,
        other => panic!("the owner died: {other:?}"),
    }
}

fn repaired() {
    let lock = Lock::new().unwrap();
    kill_and_join(&holder(&lock));
    let guard = news(&lock).repaired();
    assert!(lock.locked());
    drop(guard);
    drop(lock.acquire().unwrap());

    kill_and_join(&holder(&lock));
    let tried = lock.try_acquire();
    assert!(
        matches!(tried, Err(TryAcquireError::OwnerDied(_))),
        "{tried:?}"
    );
    drop(tried);
    let error: Error = lock.acquire_timeout(Duration::ZERO).unwrap_err().into();
    assert_eq!(error.kind(), ErrorKind::OwnerDied);
    assert_eq!(
        Error::from(lock.acquire().unwrap_err()).kind(),
        ErrorKind::OwnerDied
    );
    drop(news(&lock).repaired());
    drop(lock.try_acquire().unwrap());
}

fn not_repaired() {
    let lock = Lock::new().unwrap();
    kill_and_join(&holder(&lock));
    for _ in 0..3 {
        drop(news(&lock));
        assert!(!lock.locked());
    }
    let hears = |lock: Lock| drop(news(&lock));
    assert_eq!(start(hears, (lock.clone(),)).join().unwrap(), 0);
    drop(news(&lock).repaired());
    let clean = |lock: Lock| drop(lock.acquire().unwrap());
    assert_eq!(start(clean, (lock.clone(),)).join().unwrap(), 0);
    drop(lock.acquire().unwrap());
}

/// Of many who wait, one hears the news and repairs; then all get it.
fn dies_under_waiters() {
    for _ in 0..scaled(10) {
        let (lock, numbers, here) = (Lock::new().unwrap(), Numbers::new(), Gate::new());
        let owner = holder(&lock);
        let body = |lock: Lock, numbers: RemoteNumbers, here: RemoteGate| {
            here.open(1);
            let numbers = numbers.open();
            let _guard = match lock.acquire() {
                Ok(guard) => guard,
                Err(AcquireError::OwnerDied(news)) => {
                    numbers.add(1, 1);
                    news.repaired()
                }
                Err(AcquireError::Failed(error)) => panic!("{error}"),
            };
            numbers.add(0, 1);
        };
        let gates = || (lock.clone(), numbers.remote(), here.remote());
        let waiters = [(); 4].map(|()| start(body, gates()));
        waiters.iter().for_each(|_| here.wait());
        owner.kill().unwrap();
        for waiter in waiters {
            assert_eq!(waiter.join().unwrap(), 0);
        }
        assert_eq!((numbers.get(0), numbers.get(1)), (4, 1));
        assert_eq!(owner.join().unwrap(), -9);
    }
}

fn repairer_dies() {
    let lock = Lock::new().unwrap();
    kill_and_join(&holder(&lock));
    // It has the news in its hands, and nothing is repaired.
    kill_and_join(&holder(&lock));
    drop(news(&lock).repaired());
    drop(lock.acquire().unwrap());
}

/// An end by exit or panic gives nothing back either, when the guard is not dropped.
#[expect(clippy::disallowed_methods, reason = "how the owner ends is the test")]
fn every_way_to_die() {
    let exit = |lock: Lock| {
        let _guard = lock.acquire().unwrap();
        std::process::exit(3);
    };
    let abort = |lock: Lock| {
        let _guard = lock.acquire().unwrap();
        std::process::abort();
    };
    let leaves = |lock: Lock| {
        let _guard = lock.acquire().unwrap();
        leave(4);
    };
    let lock = Lock::new().unwrap();
    assert_eq!(start(exit, (lock.clone(),)).join().unwrap(), 3);
    drop(news(&lock).repaired());
    assert_eq!(start(abort, (lock.clone(),)).join().unwrap(), -6);
    drop(news(&lock).repaired());
    assert_eq!(start(leaves, (lock.clone(),)).join().unwrap(), 4);
    drop(news(&lock).repaired());
    // Unwinding drops the guard.
    let panics = |lock: Lock| {
        let _guard = lock.acquire().unwrap();
        panic!("with a guard");
    };
    assert_eq!(start(panics, (lock.clone(),)).join().unwrap(), 1);
    drop(lock.acquire().unwrap());
}

fn killed_waiters() {
    let (lock, here) = (Lock::new().unwrap(), Gate::new());
    let waits = |lock: Lock, here: RemoteGate| {
        here.open(1);
        drop(lock.acquire());
    };
    for _ in 0..scaled(20) {
        let guard = lock.acquire().unwrap();
        let waiters = [(); 3].map(|()| start(waits, (lock.clone(), here.remote())));
        waiters.iter().for_each(|_| here.wait());
        waiters[0].kill().unwrap();
        drop(guard);
        waiters[1].kill().unwrap();
        assert_eq!(waiters[2].join().unwrap(), 0);
        // A waiter that was killed may have had it by then.
        match lock.acquire() {
            Ok(_) => {}
            Err(AcquireError::OwnerDied(news)) => drop(news.repaired()),
            Err(AcquireError::Failed(error)) => panic!("{error}"),
        }
        waiters.iter().for_each(|waiter| _ = waiter.join().unwrap());
    }
}

fn never_declared_dead(lock: &Lock) {
    for _ in 0..4 {
        let busy = lock.acquire_timeout(Duration::from_millis(60));
        assert!(matches!(busy, Err(TryAcquireError::Busy)), "{busy:?}");
        assert!(matches!(lock.try_acquire(), Err(TryAcquireError::Busy)));
        multiproc::arena::usage().unwrap();
    }
}

fn stopped_owner() {
    let (lock, here, there) = (Lock::new().unwrap(), Gate::new(), Gate::new());
    let body = |lock: Lock, here: RemoteGate, there: RemoteGate| {
        let _guard = lock.acquire().unwrap();
        crate::kit::say_and_wait(here, there);
    };
    let owner = start(body, (lock.clone(), here.remote(), there.remote()));
    here.wait();
    stop_and_wait(pid_of(&owner));
    never_declared_dead(&lock);
    there.open(1);
    kill(pid_of(&owner), Signal::SIGCONT).unwrap();
    drop(lock.acquire().unwrap());
    assert_eq!(owner.join().unwrap(), 0);
}

fn without_descriptors() {
    let (lock, numbers, here) = (Lock::new().unwrap(), Numbers::new(), Gate::new());
    let body = |lock: Lock, here: RemoteGate| {
        let _guard = lock.acquire().unwrap();
        close_everything();
        here.open(1);
        nix::unistd::pause();
    };
    let owner = start(body, (lock.clone(), here.remote()));
    here.wait();
    never_declared_dead(&lock);
    // Nor when others come and go.
    let others = (lock.clone(), numbers.remote(), 0);
    assert_eq!(start(counts, others).join().unwrap(), 0);
    never_declared_dead(&lock);
    kill_and_join(&owner);
    drop(news(&lock).repaired());
}

/// The copy of a lock's owner that lives on is not the owner.
fn owner_dies_but_not_its_fork() {
    let (lock, forks) = (Lock::new().unwrap(), Queue::new().unwrap());
    let body = |lock: Lock, forks: Queue<i32>| {
        let _guard = lock.acquire().unwrap();
        let fork = fork_behind_our_back(|| Gate::new().wait());
        forks.put(fork.as_raw()).unwrap();
        Gate::new().wait();
    };
    let owner = start(body, (lock.clone(), forks.clone()));
    let fork = Pid::from_raw(forks.get().unwrap());
    kill_and_join(&owner);
    let recovers = |lock: Lock| drop(news(&lock).repaired());
    assert_eq!(start(recovers, (lock.clone(),)).join().unwrap(), 0);
    drop(lock.acquire().unwrap());
    assert!(lives(fork), "it is the point that it lives");
    kill_and_wait(fork);
}

fn fork_drops_a_copied_guard() {
    let lock = Lock::new().unwrap();
    let guard = lock.acquire().unwrap();
    let mut copy = Some(guard);
    let fork = fork_behind_our_back(|| drop(copy.take()));
    wait_for_exit(fork);
    nix::sys::wait::waitpid(fork, None).unwrap();
    assert!(lock.locked());
    let busy = |lock: Lock| assert!(matches!(lock.try_acquire(), Err(TryAcquireError::Busy)));
    assert_eq!(start(busy, (lock.clone(),)).join().unwrap(), 0);
    drop(copy);
    assert!(!lock.locked());
}

/// A fork behind our back is a member of its own: excluded, and its death is noticed.
fn fork_acquires() {
    let (lock, here) = (Lock::new().unwrap(), Gate::new());
    let guard = lock.acquire().unwrap();
    let before = children().len();
    let fork = fork_behind_our_back(|| {
        assert!(matches!(lock.try_acquire(), Err(TryAcquireError::Busy)));
        here.open(1);
        let _guard = lock.acquire().unwrap();
        here.open(1);
        Gate::new().wait();
    });
    assert_eq!(children().len(), before + 1);
    here.wait();
    drop(guard);
    here.wait();
    never_declared_dead(&lock);
    kill_and_wait(fork);
    drop(news(&lock).repaired());
    nix::sys::wait::waitpid(fork, None).unwrap();
}

fn only_in_messages() {
    let (lock, queue) = (Lock::new().unwrap(), Queue::<Lock>::new().unwrap());
    assert!(postcard::to_allocvec(&lock).is_err());
    assert!(postcard::to_allocvec(&(5, &queue)).is_err());
    for bytes in [[0, 0], [1, 0], [0, 1], [127, 127]] {
        assert!(postcard::from_bytes::<Lock>(&bytes).is_err());
        assert!(postcard::from_bytes::<Queue<u8>>(&bytes).is_err());
    }
    // The rule holds again after a message has been written and read.
    queue.put(lock.clone()).unwrap();
    assert!(postcard::to_allocvec(&lock).is_err());
    drop(queue.get().unwrap());
    assert!(postcard::from_bytes::<Lock>(&[0, 0]).is_err());
}

/// Owners are killed at any place; the counter behind the lock is right all the same, because who dies inside is known.
fn storm() {
    let (lock, numbers) = (Lock::new().unwrap(), Numbers::new());
    let body = |lock: Lock, numbers: RemoteNumbers| {
        let numbers = numbers.open();
        loop {
            let _guard = match lock.acquire() {
                Ok(guard) => guard,
                Err(AcquireError::OwnerDied(news)) => {
                    numbers.add(2, 1);
                    // The second of the two numbers is behind when its writer was killed in between.
                    numbers.set(1, numbers.get(0));
                    news.repaired()
                }
                Err(AcquireError::Failed(error)) => panic!("{error}"),
            };
            assert_eq!(numbers.get(0), numbers.get(1), "two were inside");
            numbers.add(0, 1);
            numbers.set(1, numbers.get(0));
        }
    };
    let workers = || start(body, (lock.clone(), numbers.remote()));
    let mut running = [(); 3].map(|()| workers());
    let mut rounds = 0;
    // As long as it takes until some were killed inside.
    while rounds < scaled(100) || numbers.get(2) < 3 {
        let before = numbers.get(0);
        while numbers.get(0) == before {
            std::thread::yield_now();
        }
        kill_and_join(&running[rounds as usize % 3]);
        running[rounds as usize % 3] = workers();
        rounds += 1;
    }
    running.iter().for_each(kill_and_join);
    println!("{rounds} kills, {} inside", numbers.get(2));
}
