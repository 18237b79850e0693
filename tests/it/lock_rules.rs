//! Locks as Python's users know them: who waits, who may release, what is shown.

use crate::kit::{kind, start};
use crate::runner::{Case, Gate, RemoteGate, both_homes, case};
use crate::sleepers::{Bed, RemoteBed, sleeper, sleepers};
use crate::ways::{each, run_by};
use multiproc::sync::{self, Home};
use multiproc::{ErrorKind, Lock, RLock, TryAcquireError, arena};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

pub(crate) fn tests() -> Vec<Case> {
    let mut cases = both_homes! {
        "lock_rules::shown" => shown,
        "lock_rules::holder" => holder,
        "lock_rules::dropped_while_held" => dropped,
        "lock_rules::many_wait" => many_wait,
        "lock_rules::tried_by_another" => tried,
        "lock_rules::unwinding" => unwinding,
        "lock_rules::threads_come_and_go" => come_and_go,
        "lock_rules::not_twice" => not_twice,
        "lock_rules::second_waits" => second_waits,
        "lock_rules::usable_after_a_timeout" => after_timeout,
        "lock_rules::released_by_another" => by_another,
        "lock_rules::released_wrongly" => wrongly,
        "lock_rules::absurd_times" => absurd_times,
    };
    cases.extend([
        case(
            "lock_rules::released_by_another_process",
            by_another_process,
        ),
        case("lock_rules::guard_of_another_process", guard_of_another),
        case("lock_rules::held_by_another_process", held_by_another),
        case("lock_rules::fork_gives_up_copied_guards", fork_gives_up),
    ]);
    cases
}

#[track_caller]
fn is_busy<H: Home>(lock: &sync::Lock<H>) {
    let tried = lock.try_acquire();
    assert!(matches!(tried, Err(TryAcquireError::Busy)), "{tried:?}");
}

fn shown<H: Home>() {
    let lock = sync::Lock::<H>::new().unwrap();
    assert!(format!("{lock:?}").contains("locked: false"), "{lock:?}");
    assert!(!format!("{lock:?}").contains("MainProcess"), "{lock:?}");
    let guard = lock.acquire().unwrap();
    let text = format!("{lock:?}");
    assert!(text.contains("locked: true"), "{text}");
    assert!(text.contains("MainProcess"), "{text}");
    assert!(text.contains(&std::process::id().to_string()), "{text}");
    drop(guard);
    assert!(format!("{lock:?}").contains("locked: false"), "{lock:?}");
}

fn holder<H: Home>() {
    let lock = sync::Lock::<H>::new().unwrap();
    assert!(lock.holder().is_none());
    let own = || nix::unistd::gettid().as_raw().cast_unsigned();
    let guard = lock.acquire().unwrap();
    let me = lock.holder().unwrap();
    assert_eq!((me.name(), me.pid()), ("MainProcess", std::process::id()));
    assert_eq!(me.tid(), own());
    // Whoever looks, it is the same one.
    std::thread::scope(|scope| {
        let seen = scope.spawn(|| lock.holder().unwrap()).join().unwrap();
        assert_eq!(seen, me);
    });
    drop(guard);
    assert!(lock.holder().is_none());
    std::thread::scope(|scope| {
        let other = scope.spawn(|| {
            lock.acquire().unwrap().forget();
            own()
        });
        let other = other.join().unwrap();
        let holder = lock.holder().unwrap();
        assert_eq!((holder.tid(), holder.pid()), (other, std::process::id()));
    });
    lock.release().unwrap();
    assert!(lock.holder().is_none());
}

/// What is held and has no handle any more is gone, and nobody minds.
fn dropped<H: Home>() {
    let before = arena::usage().unwrap();
    for _ in 0..100 {
        let lock = sync::Lock::<H>::new().unwrap();
        lock.acquire().unwrap().forget();
        drop(lock);
        // What comes in its place is a new one.
        let next = sync::Lock::<H>::new().unwrap();
        assert!(!next.locked());
        drop(next.try_acquire().unwrap());
    }
    assert_eq!(arena::usage().unwrap(), before);
}

fn many_wait<H: Home>() {
    let (lock, passed) = (sync::Lock::<H>::new().unwrap(), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        let guard = lock.acquire().unwrap();
        let waiters = sleepers(scope, 5, || {
            let _guard = lock.acquire().unwrap();
            passed.fetch_add(1, SeqCst)
        });
        assert_eq!(passed.load(SeqCst), 0);
        drop(guard);
        let mut places: Vec<_> = waiters.into_iter().map(|it| it.join().unwrap()).collect();
        places.sort_unstable();
        assert_eq!(places, [0, 1, 2, 3, 4]);
    });
    assert!(!lock.locked());
}

fn tried<H: Home>() {
    let lock = sync::Lock::<H>::new().unwrap();
    let guard = lock.acquire().unwrap();
    std::thread::scope(|scope| scope.spawn(|| is_busy(&lock)).join().unwrap());
    drop(guard);
    std::thread::scope(|scope| {
        let free = || drop(lock.try_acquire().unwrap());
        scope.spawn(free).join().unwrap();
    });
}

fn unwinding<H: Home>() {
    let lock = sync::Lock::<H>::new().unwrap();
    let body = AssertUnwindSafe(|| {
        let _guard = lock.acquire().unwrap();
        assert!(lock.locked());
        std::panic::resume_unwind(Box::new("on purpose"));
    });
    assert!(catch_unwind(body).is_err());
    // It is given back, and there is no poison: only a death is news.
    drop(lock.try_acquire().unwrap());
}

fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").unwrap().count()
}

fn come_and_go<H: Home>() {
    let (lock, before) = (sync::Lock::<H>::new().unwrap(), threads());
    let sum = AtomicUsize::new(0);
    for _ in 0..15 {
        std::thread::scope(|scope| {
            for _ in 0..15 {
                scope.spawn(|| {
                    let _guard = lock.acquire().unwrap();
                    sum.fetch_add(1, SeqCst);
                });
            }
        });
    }
    assert_eq!(sum.load(SeqCst), 225);
    assert!(!lock.locked());
    while threads() > before {
        std::thread::yield_now();
    }
}

fn not_twice<H: Home>() {
    let lock = sync::Lock::<H>::new().unwrap();
    let guard = lock.acquire().unwrap();
    is_busy(&lock);
    for time in [Duration::ZERO, Duration::from_millis(60)] {
        let before = Instant::now();
        let late = lock.acquire_timeout(time);
        assert!(matches!(late, Err(TryAcquireError::Busy)), "{late:?}");
        assert!(before.elapsed() >= time);
    }
    drop(guard);
    drop(lock.acquire_timeout(Duration::ZERO).unwrap());
}

/// A thread that acquires twice waits for the release of another.
fn second_waits<H: Home>() {
    let lock = sync::Lock::<H>::new().unwrap();
    std::thread::scope(|scope| {
        let twice = sleeper(scope, || {
            lock.acquire().unwrap().forget();
            lock.acquire().unwrap().forget();
        });
        assert!(!twice.is_finished());
        lock.release().unwrap();
        twice.join().unwrap();
    });
    assert!(lock.locked());
    lock.release().unwrap();
    assert!(!lock.locked());
}

fn after_timeout<H: Home>() {
    let lock = sync::Lock::<H>::new().unwrap();
    lock.acquire().unwrap().forget();
    let late = lock.acquire_timeout(Duration::from_millis(10));
    assert!(matches!(late, Err(TryAcquireError::Busy)), "{late:?}");
    lock.release().unwrap();
    assert!(!lock.locked());
    drop(lock.acquire_timeout(Duration::MAX).unwrap());
    drop(lock.try_acquire().unwrap());
    assert!(!lock.locked());
}

fn by_another<H: Home>() {
    let lock = sync::Lock::<H>::new().unwrap();
    for _ in 0..3 {
        lock.acquire().unwrap().forget();
        std::thread::scope(|scope| {
            let waiter = sleeper(scope, || lock.acquire().unwrap().forget());
            scope.spawn(|| lock.release().unwrap()).join().unwrap();
            waiter.join().unwrap();
        });
        // Now it is that of the waiter, whose thread is gone.
        is_busy(&lock);
        lock.release().unwrap();
    }
    assert!(!lock.locked());
}

fn wrongly<H: Home>() {
    let lock = sync::Lock::<H>::new().unwrap();
    assert_eq!(kind(lock.release()), ErrorKind::Misuse);
    let guard = lock.acquire().unwrap();
    assert_eq!(kind(lock.release()), ErrorKind::Misuse);
    std::thread::scope(|scope| {
        let other = scope.spawn(|| kind(lock.release()));
        assert_eq!(other.join().unwrap(), ErrorKind::Misuse);
    });
    assert!(lock.locked(), "nothing has been given back");
    guard.forget();
    lock.release().unwrap();
    assert_eq!(kind(lock.release()), ErrorKind::Misuse);
    drop(lock.acquire().unwrap());
    assert_eq!(kind(lock.release()), ErrorKind::Misuse);
    assert!(!lock.locked());
    drop(lock.try_acquire().unwrap());
}

/// Beyond the range of every clock, and around it, is for ever; nothing is at once.
fn absurd_times<H: Home>() {
    let beyond = [
        u64::MAX,
        u64::MAX / 2,
        i64::MAX.cast_unsigned(),
        1 << 62,
        1 << 40,
    ];
    let times = beyond.map(|seconds| Duration::new(seconds, 999_999_999));
    let (lock, semaphore) = (
        sync::Lock::<H>::new().unwrap(),
        sync::Semaphore::<H>::new(0).unwrap(),
    );
    let (event, shared) = (
        sync::Event::<H>::new().unwrap(),
        sync::RwLock::<H>::new().unwrap(),
    );
    std::thread::scope(|scope| {
        let (held, writes) = (lock.acquire().unwrap(), shared.write().unwrap());
        let waiters = times.map(|time| {
            let (lock, semaphore, event, shared) = (&lock, &semaphore, &event, &shared);
            sleeper(scope, move || {
                assert!(event.wait_timeout(time).unwrap());
                drop(lock.acquire_timeout(time).unwrap());
                semaphore.acquire_timeout(time).unwrap().forget();
                drop(shared.read_timeout(time).unwrap());
                drop(shared.write_timeout(time).unwrap());
            })
        });
        event.set().unwrap();
        drop(held);
        semaphore.release_many(5).unwrap();
        drop(writes);
        waiters.into_iter().for_each(|it| it.join().unwrap());
    });
    assert_eq!(semaphore.value(), 0);
}

fn by_another_process() {
    each(|way| {
        let lock = Lock::new().unwrap();
        lock.acquire().unwrap().forget();
        run_by(way, |lock: Lock| lock.release().unwrap(), (lock.clone(),));
        assert!(!lock.locked());
        // The other way round: it holds, and this process releases while it lives.
        let (here, there) = (Gate::new(), Gate::new());
        let body = |lock: Lock, here: RemoteGate, there: RemoteGate| {
            lock.acquire().unwrap().forget();
            crate::kit::say_and_wait(here, there);
            assert_eq!(kind(lock.release()), ErrorKind::Misuse);
        };
        let arguments = (lock.clone(), here.remote(), there.remote());
        let process = crate::ways::start_by(way, body, arguments);
        here.wait();
        is_busy(&lock);
        lock.release().unwrap();
        there.open(1);
        crate::ways::fine(&process);
        drop(lock.try_acquire().unwrap());
    });
}

fn guard_of_another() {
    let lock = Lock::new().unwrap();
    let guard = lock.acquire().unwrap();
    let body = |lock: Lock| {
        assert_eq!(kind(lock.release()), ErrorKind::Misuse);
        assert!(lock.locked());
        assert_eq!(lock.holder().unwrap().name(), "MainProcess");
        is_busy(&lock);
    };
    each(|way| run_by(way, body, (lock.clone(),)));
    assert!(lock.locked());
    drop(guard);
    assert_eq!(kind(lock.release()), ErrorKind::Misuse);
}

fn held_by_another() {
    let (lock, bed, there) = (Lock::new().unwrap(), Bed::new(), Gate::new());
    let body = |lock: Lock, bed: RemoteBed, there: RemoteGate| {
        let _guard = lock.acquire().unwrap();
        bed.lie_down();
        there.wait();
    };
    let process = start(body, (lock.clone(), bed.remote(), there.remote()));
    bed.is_slept_in();
    assert!(lock.locked());
    let holder = lock.holder().unwrap();
    assert_eq!(
        (holder.name(), Some(holder.pid())),
        (process.name(), process.pid())
    );
    assert!(format!("{lock:?}").contains(process.name()), "{lock:?}");
    std::thread::scope(|scope| {
        let waiter = sleeper(scope, || drop(lock.acquire().unwrap()));
        there.open(1);
        waiter.join().unwrap();
    });
    assert_eq!(process.join().unwrap(), 0);
    assert!(!lock.locked() && lock.holder().is_none());
}

/// A fork behind our back has copies of the guards, and nothing that it does with them is done to the locks.
fn fork_gives_up() {
    let (lock, recursive) = (Lock::new().unwrap(), RLock::new().unwrap());
    let mut guards = Some((lock.acquire().unwrap(), recursive.acquire().unwrap()));
    let (here, there) = (Gate::new(), Gate::new());
    let gates = (here.remote(), there.remote());
    let fork = crate::kit::fork_behind_our_back(|| {
        let copies = guards.take().unwrap();
        crate::kit::say_and_wait(gates.0, gates.1);
        copies.0.forget();
        copies.1.forget();
    });
    here.wait();
    drop(guards);
    there.open(1);
    let status = nix::sys::wait::waitpid(fork, None).unwrap();
    assert_eq!(status, nix::sys::wait::WaitStatus::Exited(fork, 0));
    assert!(!lock.locked() && !recursive.locked());
    assert_eq!(kind(lock.release()), ErrorKind::Misuse);
    drop(lock.try_acquire().unwrap());
    let _guard = recursive.try_acquire().unwrap();
    assert_eq!(kind(recursive.release()), ErrorKind::Misuse);
}
