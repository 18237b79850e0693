//! Recursive locks: levels, and who may let go of them.

use crate::kit::{Numbers, RemoteNumbers, elsewhere, kind, start};
use crate::runner::{Case, Gate, RemoteGate, both_homes, case, scaled};
use crate::sleepers::{sleeper, sleepers};
use crate::ways::{each, fine, run_by, start_by};
use multiproc::sync::{self, Home};
use multiproc::{ErrorKind, RLock, TryAcquireError, arena};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

pub(crate) fn tests() -> Vec<Case> {
    let mut cases = both_homes! {
        "rlock::verbs" => verbs,
        "rlock::three_levels" => three_levels,
        "rlock::guards_in_any_order" => any_order,
        "rlock::again_by_every_verb" => by_every_verb,
        "rlock::released_wrongly" => wrongly,
        "rlock::of_another_thread" => another_thread,
        "rlock::guards_and_given_up_levels" => mixed,
        "rlock::shown" => shown,
        "rlock::unwinding" => unwinding,
        "rlock::dropped_while_held" => dropped,
        "rlock::many_wait" => many_wait,
        "rlock::timeouts" => timeouts,
        "rlock::threads_exclude" => threads,
        "rlock::thousands_of_levels" => thousands,
    };
    cases.extend([
        case("rlock::of_another_process", another_process),
        case("rlock::processes_exclude", processes),
        case(
            "rlock::fork_does_not_own_what_its_parent_owns",
            fork_owns_nothing,
        ),
    ]);
    cases
}

#[track_caller]
fn is_busy<H: Home>(lock: &sync::RLock<H>) {
    let tried = lock.try_acquire();
    assert!(matches!(tried, Err(TryAcquireError::Busy)), "{tried:?}");
    let late = lock.acquire_timeout(Duration::from_millis(5));
    assert!(matches!(late, Err(TryAcquireError::Busy)), "{late:?}");
}

fn verbs<H: Home>() {
    let lock = sync::RLock::<H>::new().unwrap();
    let other = lock.clone();
    assert!(!lock.locked() && lock.holder().is_none());
    assert_eq!(lock.level(), 0);
    let outer = lock.acquire().unwrap();
    let inner = other.acquire().unwrap();
    assert_eq!((lock.level(), other.level()), (2, 2));
    let holder = lock.holder().unwrap();
    assert_eq!(
        (holder.name(), holder.pid()),
        ("MainProcess", std::process::id())
    );
    assert_eq!(holder.tid(), nix::unistd::gettid().as_raw().cast_unsigned());
    drop(inner);
    assert!(lock.locked());
    elsewhere(|| is_busy(&other));
    drop(outer);
    assert!(!other.locked() && lock.level() == 0);
    elsewhere(|| drop(lock.try_acquire().unwrap()));
}

/// Python's form: three times in, three times out, and once too often.
fn three_levels<H: Home>() {
    let lock = sync::RLock::<H>::new().unwrap();
    for level in 1..=3 {
        lock.acquire().unwrap().forget();
        assert_eq!(lock.level(), level);
    }
    for level in [2, 1, 0] {
        assert!(lock.locked());
        lock.release().unwrap();
        assert_eq!(lock.level(), level);
    }
    assert!(!lock.locked());
    assert_eq!(kind(lock.release()), ErrorKind::Misuse);
    assert_eq!(lock.level(), 0);
    drop(lock.acquire().unwrap());
}

fn any_order<H: Home>() {
    let lock = sync::RLock::<H>::new().unwrap();
    let one = lock.acquire().unwrap();
    let two = lock.acquire().unwrap();
    let three = lock.acquire().unwrap();
    for (left, guard) in [(2, one), (1, three), (0, two)] {
        elsewhere(|| is_busy(&lock));
        drop(guard);
        assert_eq!(lock.level(), left);
    }
    elsewhere(|| drop(lock.try_acquire().unwrap()));
}

fn by_every_verb<H: Home>() {
    let lock = sync::RLock::<H>::new().unwrap();
    let guards = [
        lock.acquire().unwrap(),
        lock.try_acquire().unwrap(),
        lock.acquire_timeout(Duration::ZERO).unwrap(),
        lock.acquire_timeout(Duration::MAX).unwrap(),
    ];
    assert_eq!(lock.level(), 4);
    drop(guards);
    assert!(!lock.locked());
}

fn wrongly<H: Home>() {
    let lock = sync::RLock::<H>::new().unwrap();
    assert_eq!(kind(lock.release()), ErrorKind::Misuse, "nobody owns it");
    let guard = lock.acquire().unwrap();
    assert_eq!(
        kind(lock.release()),
        ErrorKind::Misuse,
        "the guard gives it back"
    );
    assert_eq!(lock.level(), 1);
    guard.forget();
    let other = elsewhere(|| kind(lock.release()));
    assert_eq!(other, ErrorKind::Misuse, "not the owner");
    assert_eq!(lock.level(), 1);
    lock.release().unwrap();
    assert_eq!(kind(lock.release()), ErrorKind::Misuse);
    // The levels of one owner are not those of the next.
    elsewhere(|| {
        let _guard = lock.acquire().unwrap();
        assert_eq!((lock.level(), kind(lock.release())), (1, ErrorKind::Misuse));
    });
    assert!(!lock.locked());
}

fn another_thread<H: Home>() {
    let lock = sync::RLock::<H>::new().unwrap();
    lock.acquire().unwrap().forget();
    lock.acquire().unwrap().forget();
    elsewhere(|| {
        assert_eq!((lock.level(), lock.locked()), (0, true));
        assert_eq!(kind(lock.release()), ErrorKind::Misuse);
        is_busy(&lock);
    });
    lock.release().unwrap();
    elsewhere(|| is_busy(&lock));
    lock.release().unwrap();
    elsewhere(|| {
        lock.acquire().unwrap().forget();
        assert_eq!(lock.level(), 1);
        lock.release().unwrap();
    });
    // One that ends as the owner is waited for: it lives on in its process.
    elsewhere(|| lock.acquire().unwrap().forget());
    is_busy(&lock);
    assert_eq!((lock.level(), kind(lock.release())), (0, ErrorKind::Misuse));
}

fn mixed<H: Home>() {
    let lock = sync::RLock::<H>::new().unwrap();
    let one = lock.acquire().unwrap();
    lock.acquire().unwrap().forget();
    let three = lock.acquire().unwrap();
    lock.release().unwrap();
    assert_eq!(lock.level(), 2);
    assert_eq!(
        kind(lock.release()),
        ErrorKind::Misuse,
        "two guards for two levels"
    );
    drop(one);
    three.forget();
    assert_eq!(lock.level(), 1);
    lock.release().unwrap();
    assert!(!lock.locked());
}

fn shown<H: Home>() {
    let lock = sync::RLock::<H>::new().unwrap();
    let text = format!("{lock:?}");
    assert!(
        text.contains("RLock") && text.contains("locked: false"),
        "{text}"
    );
    let _one = lock.acquire().unwrap();
    let two = lock.acquire().unwrap();
    let text = format!("{lock:?} {two:?}");
    assert!(
        text.contains("locked: true") && text.contains("level: 2"),
        "{text}"
    );
    assert!(text.contains("MainProcess"), "{text}");
    // Not its own levels.
    let text = elsewhere(|| format!("{lock:?}"));
    assert!(
        text.contains("locked: true") && text.contains("level: 0"),
        "{text}"
    );
}

fn unwinding<H: Home>() {
    let lock = sync::RLock::<H>::new().unwrap();
    let body = AssertUnwindSafe(|| {
        let _outer = lock.acquire().unwrap();
        let inner = AssertUnwindSafe(|| {
            let _inner = lock.acquire().unwrap();
            std::panic::resume_unwind(Box::new("on purpose"));
        });
        assert!(catch_unwind(inner).is_err());
        assert_eq!(lock.level(), 1);
        std::panic::resume_unwind(Box::new("on purpose"));
    });
    assert!(catch_unwind(body).is_err());
    elsewhere(|| drop(lock.try_acquire().unwrap()));
}

fn dropped<H: Home>() {
    let before = arena::usage().unwrap();
    for _ in 0..100 {
        let lock = sync::RLock::<H>::new().unwrap();
        lock.acquire().unwrap().forget();
        lock.acquire().unwrap().forget();
        drop(lock);
        let next = sync::RLock::<H>::new().unwrap();
        assert_eq!((next.level(), next.locked()), (0, false));
        assert_eq!(kind(next.release()), ErrorKind::Misuse);
        lock_once(&next);
    }
    assert_eq!(arena::usage().unwrap(), before);
}

#[track_caller]
fn lock_once<H: Home>(lock: &sync::RLock<H>) {
    let _guard = lock.try_acquire().unwrap();
    assert_eq!(lock.level(), 1);
}

fn many_wait<H: Home>() {
    let (lock, passed) = (sync::RLock::<H>::new().unwrap(), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        let outer = lock.acquire().unwrap();
        let inner = lock.acquire().unwrap();
        let waiters = sleepers(scope, 5, || {
            let _outer = lock.acquire().unwrap();
            let _inner = lock.acquire().unwrap();
            passed.fetch_add(1, SeqCst)
        });
        drop(inner);
        assert_eq!(passed.load(SeqCst), 0, "one level is left");
        drop(outer);
        let mut places: Vec<_> = waiters.into_iter().map(|it| it.join().unwrap()).collect();
        places.sort_unstable();
        assert_eq!(places, [0, 1, 2, 3, 4]);
    });
    assert!(!lock.locked());
}

fn timeouts<H: Home>() {
    let lock = sync::RLock::<H>::new().unwrap();
    let guard = lock.acquire().unwrap();
    elsewhere(|| {
        for time in [0, 1, 70] {
            let (time, before) = (Duration::from_millis(time), Instant::now());
            let busy = lock.acquire_timeout(time);
            assert!(matches!(busy, Err(TryAcquireError::Busy)), "{busy:?}");
            assert!(before.elapsed() >= time, "too early");
        }
    });
    assert_eq!(lock.level(), 1);
    std::thread::scope(|scope| {
        let waiter = sleeper(scope, || drop(lock.acquire_timeout(Duration::MAX).unwrap()));
        drop(guard);
        waiter.join().unwrap();
    });
}

/// A counter that needs a lock: to add is to read and then to write.
fn counts<H: Home>(lock: &sync::RLock<H>, numbers: &Numbers, rounds: u64) {
    for _ in 0..rounds {
        let _outer = lock.acquire().unwrap();
        let old = numbers.get(0);
        let inner = lock.acquire().unwrap();
        numbers.set(0, old + 1);
        drop(inner);
    }
}

fn threads<H: Home>() {
    let (lock, numbers) = (sync::RLock::<H>::new().unwrap(), Numbers::new());
    let rounds = u64::from(scaled(20_000));
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| counts(&lock, &numbers, rounds));
        }
    });
    assert_eq!(numbers.get(0), 3 * rounds);
    assert!(!lock.locked());
}

fn thousands<H: Home>() {
    let lock = sync::RLock::<H>::new().unwrap();
    let guards: Vec<_> = (0..10_000).map(|_| lock.acquire().unwrap()).collect();
    assert_eq!(lock.level(), 10_000);
    let (loose, kept) = guards
        .into_iter()
        .partition::<Vec<_>, _>(|_| lock.level().is_multiple_of(2));
    assert_eq!((loose.len(), kept.len()), (10_000, 0));
    loose.into_iter().for_each(sync::RLockGuard::forget);
    (0..9_999).for_each(|_| lock.release().unwrap());
    elsewhere(|| is_busy(&lock));
    lock.release().unwrap();
    assert!(!lock.locked());
}

fn another_process() {
    each(|way| {
        let (lock, here, there) = (RLock::new().unwrap(), Gate::new(), Gate::new());
        let body = |lock: RLock, here: RemoteGate, there: RemoteGate| {
            is_busy(&lock);
            assert_eq!((lock.level(), lock.locked()), (0, true));
            assert_eq!(kind(lock.release()), ErrorKind::Misuse);
            assert_eq!(lock.holder().unwrap().name(), "MainProcess");
            here.open(1);
            let _outer = lock.acquire().unwrap();
            let _inner = lock.acquire().unwrap();
            crate::kit::say_and_wait(here, there);
        };
        let one = lock.acquire().unwrap();
        lock.acquire().unwrap().forget();
        let arguments = (lock.clone(), here.remote(), there.remote());
        let process = start_by(way, body, arguments);
        here.wait();
        drop(one);
        lock.release().unwrap();
        here.wait();
        is_busy(&lock);
        let holder = lock.holder().unwrap();
        assert_eq!(
            (holder.name(), Some(holder.pid())),
            (process.name(), process.pid())
        );
        assert_eq!((lock.level(), kind(lock.release())), (0, ErrorKind::Misuse));
        there.open(1);
        fine(&process);
        run_by(way, |lock: RLock| lock_once(&lock), (lock.clone(),));
    });
}

fn processes() {
    let (lock, numbers) = (RLock::new().unwrap(), Numbers::new());
    let rounds = u64::from(scaled(20_000));
    let body = |lock: RLock, numbers: RemoteNumbers, rounds: u64| {
        counts(&lock, &numbers.open(), rounds);
    };
    let workers = [(); 3].map(|()| start(body, (lock.clone(), numbers.remote(), rounds)));
    for worker in workers {
        assert_eq!(worker.join().unwrap(), 0);
    }
    assert_eq!(numbers.get(0), 3 * rounds);
}

/// A forked child has its parent's guards in its memory, and its thread looks like the parent's.
fn fork_owns_nothing() {
    let lock = RLock::new().unwrap();
    let mut copy = Some(lock.acquire().unwrap());
    lock.acquire().unwrap().forget();
    let fork = crate::kit::fork_behind_our_back(|| {
        assert_eq!((lock.level(), lock.locked()), (0, true));
        is_busy(&lock);
        assert_eq!(kind(lock.release()), ErrorKind::Misuse);
        drop(copy.take());
        is_busy(&lock);
    });
    let status = nix::sys::wait::waitpid(fork, None).unwrap();
    assert_eq!(status, nix::sys::wait::WaitStatus::Exited(fork, 0));
    assert_eq!(lock.level(), 2);
    lock.release().unwrap();
    drop(copy);
    assert!(!lock.locked());
}
