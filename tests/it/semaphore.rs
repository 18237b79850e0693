//! Semaphores: permits that anybody takes and anybody gives.

use crate::kit::{Numbers, RemoteNumbers, kind, start};
use crate::runner::{Case, Gate, RemoteGate, both_homes, case, scaled};
use crate::sleepers::{Bed, RemoteBed, sleeper, sleepers};
use crate::ways::{each, run_by};
use multiproc::sync::{self, Home};
use multiproc::{ErrorKind, Semaphore, arena};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

pub(crate) fn tests() -> Vec<Case> {
    let mut cases = both_homes! {
        "semaphore::verbs" => verbs,
        "semaphore::up_and_down" => up_and_down,
        "semaphore::limits" => limits,
        "semaphore::dropped_while_held" => dropped,
        "semaphore::unwinding" => unwinding,
        "semaphore::three_phases" => three_phases,
        "semaphore::ten_try_for_three" => ten_try,
        "semaphore::timeouts" => timeouts,
        "semaphore::default_value" => one_permit,
        "semaphore::many_released_at_once" => many_at_once,
        "semaphore::guard_in_another_thread" => moved,
        "semaphore::no_more_than_permits" => never_too_many,
        "semaphore::signals_to_and_fro" => to_and_fro,
    };
    cases.extend([
        case("semaphore::of_another_process", of_another_process),
        case("semaphore::processes_wait", processes_wait),
        case("semaphore::as_a_lock_of_processes", as_a_lock),
        case("semaphore::bounded_buffer", bounded_buffer),
        case("semaphore::fork_drops_a_copied_guard", fork_drops),
    ]);
    cases
}

fn verbs<H: Home>() {
    let semaphore = sync::Semaphore::<H>::new(2).unwrap();
    let other = semaphore.clone();
    assert_eq!((semaphore.value(), semaphore.locked()), (2, false));
    let one = semaphore.acquire().unwrap();
    assert_eq!(other.value(), 1);
    let two = other.try_acquire().unwrap();
    assert_eq!((semaphore.value(), semaphore.locked()), (0, true));
    assert_eq!(kind(semaphore.try_acquire()), ErrorKind::Busy);
    assert_eq!(kind(other.acquire_timeout(Duration::ZERO)), ErrorKind::Busy);
    let text = format!("{semaphore:?} {one:?}");
    assert!(
        text.contains("value: 0") && text.contains("SemaphoreGuard"),
        "{text}"
    );
    drop(one);
    assert_eq!((semaphore.value(), other.locked()), (1, false));
    drop(semaphore.acquire_timeout(Duration::MAX).unwrap());
    drop(two);
    assert_eq!(other.value(), 2);
}

/// Down to nothing, and up beyond what it began with.
fn up_and_down<H: Home>() {
    let semaphore = sync::Semaphore::<H>::new(2).unwrap();
    for left in [1, 0] {
        semaphore.acquire().unwrap().forget();
        assert_eq!(semaphore.value(), left);
    }
    assert_eq!(kind(semaphore.try_acquire()), ErrorKind::Busy);
    for more in 1..=4 {
        semaphore.release().unwrap();
        assert_eq!(semaphore.value(), more);
    }
    semaphore.release_many(3).unwrap();
    assert_eq!(semaphore.value(), 7);
}

fn limits<H: Home>() {
    let most = i32::MAX.cast_unsigned();
    for too_many in [most + 1, u32::MAX] {
        let error = sync::Semaphore::<H>::new(too_many).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    }
    let full = sync::Semaphore::<H>::new(most).unwrap();
    for count in [1, 2, most, u32::MAX] {
        assert_eq!(kind(full.release_many(count)), ErrorKind::Misuse);
        assert_eq!(full.value(), most);
    }
    assert_eq!(kind(full.release()), ErrorKind::Misuse);
    let guard = full.acquire().unwrap();
    assert_eq!(full.value(), most - 1);
    assert_eq!(kind(full.release_many(2)), ErrorKind::Misuse);
    assert_eq!(kind(full.release_many(0)), ErrorKind::InvalidInput);
    assert_eq!(full.value(), most - 1);
    full.release().unwrap();
    // The guard has nothing to give back any more, and that is no panic.
    drop(guard);
    assert_eq!(full.value(), most);

    let empty = sync::Semaphore::<H>::new(0).unwrap();
    assert!(empty.locked());
    assert_eq!(kind(empty.release_many(0)), ErrorKind::InvalidInput);
    empty.release_many(most).unwrap();
    assert_eq!(empty.value(), most);
    for _ in 0..1000 {
        empty.acquire().unwrap().forget();
        empty.release().unwrap();
    }
    assert_eq!(empty.value(), most);
}

fn dropped<H: Home>() {
    let before = arena::usage().unwrap();
    for _ in 0..100 {
        let semaphore = sync::Semaphore::<H>::new(1).unwrap();
        semaphore.acquire().unwrap().forget();
        drop(semaphore);
        let next = sync::Semaphore::<H>::new(1).unwrap();
        assert_eq!(next.value(), 1);
    }
    assert_eq!(arena::usage().unwrap(), before);
}

fn unwinding<H: Home>() {
    let semaphore = sync::Semaphore::<H>::new(1).unwrap();
    let body = AssertUnwindSafe(|| {
        let _guard = semaphore.acquire().unwrap();
        assert!(semaphore.locked());
        std::panic::resume_unwind(Box::new("on purpose"));
    });
    assert!(catch_unwind(body).is_err());
    assert_eq!(semaphore.value(), 1);
}

/// Ten threads with two turns each: seven pass, then six, then the rest, never another number.
fn three_phases<H: Home>() {
    let semaphore = sync::Semaphore::<H>::new(7).unwrap();
    let (passed, here) = (AtomicUsize::new(0), Gate::new());
    let turn = || {
        semaphore.acquire().unwrap().forget();
        passed.fetch_add(1, SeqCst);
        here.open(1);
    };
    let reached = |count, expected| {
        (0..count).for_each(|_| here.wait());
        assert_eq!(passed.load(SeqCst), expected);
        assert_eq!(semaphore.value(), 0);
        assert_eq!(kind(semaphore.try_acquire()), ErrorKind::Busy);
    };
    std::thread::scope(|scope| {
        for _ in 0..10 {
            scope.spawn(|| (0..2).for_each(|_| turn()));
        }
        reached(7, 7);
        (0..6).for_each(|_| semaphore.release().unwrap());
        reached(6, 13);
        semaphore.release_many(7).unwrap();
        (0..7).for_each(|_| here.wait());
    });
    assert_eq!((passed.load(SeqCst), semaphore.value()), (20, 0));
}

fn ten_try<H: Home>() {
    let semaphore = sync::Semaphore::<H>::new(3).unwrap();
    for round in 0..20 {
        let got = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..10 {
                scope.spawn(|| {
                    if let Ok(guard) = semaphore.try_acquire() {
                        guard.forget();
                        got.fetch_add(1, SeqCst);
                    }
                });
            }
        });
        assert_eq!(got.load(SeqCst), 3, "in round {round}");
        semaphore.release_many(3).unwrap();
    }
}

fn timeouts<H: Home>() {
    let semaphore = sync::Semaphore::<H>::new(1).unwrap();
    drop(semaphore.acquire_timeout(Duration::from_millis(5)).unwrap());
    drop(semaphore.acquire_timeout(Duration::ZERO).unwrap());
    let guard = semaphore.acquire().unwrap();
    for time in [0, 5, 70] {
        let (time, before) = (Duration::from_millis(time), Instant::now());
        assert_eq!(kind(semaphore.acquire_timeout(time)), ErrorKind::Busy);
        assert!(before.elapsed() >= time, "too early");
    }
    std::thread::scope(|scope| {
        let times = [Duration::MAX, Duration::from_secs(u64::MAX)];
        let waiters = times.map(|time| {
            let semaphore = &semaphore;
            sleeper(scope, move || {
                drop(semaphore.acquire_timeout(time).unwrap())
            })
        });
        drop(guard);
        waiters.into_iter().for_each(|it| it.join().unwrap());
    });
    assert_eq!(semaphore.value(), 1, "who was late has left nothing behind");
}

/// Python's default value, which is said here.
fn one_permit<H: Home>() {
    let semaphore = sync::Semaphore::<H>::new(1).unwrap();
    let guard = semaphore.acquire().unwrap();
    std::thread::scope(|scope| {
        let waiter = sleeper(scope, || drop(semaphore.acquire().unwrap()));
        drop(guard);
        waiter.join().unwrap();
    });
    assert_eq!(semaphore.value(), 1);
}

fn many_at_once<H: Home>() {
    let semaphore = sync::Semaphore::<H>::new(0).unwrap();
    std::thread::scope(|scope| {
        let waiters = sleepers(scope, 6, || semaphore.acquire().unwrap().forget());
        semaphore.release_many(4).unwrap();
        // Six and more permits for six who wait: the surplus is left.
        semaphore.release_many(5).unwrap();
        waiters.into_iter().for_each(|it| it.join().unwrap());
    });
    assert_eq!(semaphore.value(), 3);
}

/// A permit has no owner: it is given back wherever its guard is dropped.
fn moved<H: Home>() {
    let semaphore = sync::Semaphore::<H>::new(1).unwrap();
    let guard = semaphore.acquire().unwrap();
    std::thread::scope(|scope| {
        let waiter = sleeper(scope, || drop(semaphore.acquire().unwrap()));
        scope.spawn(move || drop(guard));
        waiter.join().unwrap();
    });
    assert_eq!(semaphore.value(), 1);
}

fn never_too_many<H: Home>() {
    let semaphore = sync::Semaphore::<H>::new(2).unwrap();
    let (inside, most, rounds) = (AtomicUsize::new(0), AtomicUsize::new(0), scaled(20_000));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..rounds {
                    let _guard = semaphore.acquire().unwrap();
                    most.fetch_max(inside.fetch_add(1, SeqCst) + 1, SeqCst);
                    inside.fetch_sub(1, SeqCst);
                }
            });
        }
    });
    assert!(most.load(SeqCst) <= 2);
    assert_eq!(semaphore.value(), 2);
}

/// Each step is a signal that the other side waits for: one that is lost ends the test by its deadline.
fn to_and_fro<H: Home>() {
    let (to, fro) = (
        sync::Semaphore::<H>::new(0).unwrap(),
        sync::Semaphore::<H>::new(0).unwrap(),
    );
    let rounds = scaled(20_000);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..rounds {
                to.acquire().unwrap().forget();
                fro.release().unwrap();
            }
        });
        for _ in 0..rounds {
            to.release().unwrap();
            fro.acquire().unwrap().forget();
        }
    });
    assert_eq!((to.value(), fro.value()), (0, 0));
}

fn of_another_process() {
    each(|way| {
        let semaphore = Semaphore::new(2).unwrap();
        let takes = |semaphore: Semaphore| {
            semaphore.acquire().unwrap().forget();
            drop(semaphore.acquire().unwrap());
        };
        run_by(way, takes, (semaphore.clone(),));
        assert_eq!(semaphore.value(), 1, "a permit that was kept");
        let empty = |semaphore: Semaphore| {
            assert!(!semaphore.locked());
            semaphore.acquire().unwrap().forget();
            assert!(semaphore.locked());
            assert_eq!(kind(semaphore.try_acquire()), ErrorKind::Busy);
        };
        run_by(way, empty, (semaphore.clone(),));
        assert!(semaphore.locked());
        let gives = |semaphore: Semaphore| semaphore.release_many(5).unwrap();
        run_by(way, gives, (semaphore.clone(),));
        assert_eq!(semaphore.value(), 5);
    });
}

fn processes_wait() {
    let (semaphore, bed) = (Semaphore::new(0).unwrap(), Bed::new());
    let body = |semaphore: Semaphore, bed: RemoteBed| {
        bed.lie_down();
        semaphore.acquire().unwrap().forget();
    };
    let waiters = [(); 4].map(|()| {
        let process = start(body, (semaphore.clone(), bed.remote()));
        bed.is_slept_in();
        process
    });
    semaphore.release_many(3).unwrap();
    semaphore.release().unwrap();
    for waiter in waiters {
        assert_eq!(waiter.join().unwrap(), 0);
    }
    assert_eq!(semaphore.value(), 0);
}

fn as_a_lock() {
    let (semaphore, numbers) = (Semaphore::new(1).unwrap(), Numbers::new());
    let body = |semaphore: Semaphore, numbers: RemoteNumbers, rounds: u64| {
        let numbers = numbers.open();
        for _ in 0..rounds {
            let _guard = semaphore.acquire().unwrap();
            numbers.add(0, 1);
        }
    };
    let rounds = u64::from(scaled(20_000));
    let arguments = || (semaphore.clone(), numbers.remote(), rounds);
    let workers = [(); 3].map(|()| start(body, arguments()));
    for worker in workers {
        assert_eq!(worker.join().unwrap(), 0);
    }
    assert_eq!((numbers.get(0), semaphore.value()), (3 * rounds, 1));
}

/// Python's textbook use: one counts the free places, another the full ones.
fn bounded_buffer() {
    let (free, full, numbers) = (
        Semaphore::new(3).unwrap(),
        Semaphore::new(0).unwrap(),
        Numbers::new(),
    );
    let rounds = u64::from(scaled(5000));
    let consumer = |free: Semaphore, full: Semaphore, numbers: RemoteNumbers, rounds: u64| {
        let numbers = numbers.open();
        for number in 0..rounds {
            full.acquire().unwrap().forget();
            assert_eq!(numbers.get(usize::try_from(number % 3).unwrap()), number);
            free.release().unwrap();
        }
    };
    let arguments = (free.clone(), full.clone(), numbers.remote(), rounds);
    let process = start(consumer, arguments);
    for number in 0..rounds {
        free.acquire().unwrap().forget();
        numbers.set(usize::try_from(number % 3).unwrap(), number);
        full.release().unwrap();
    }
    assert_eq!(process.join().unwrap(), 0);
    assert_eq!((free.value(), full.value()), (3, 0));
}

/// The copy of a guard is not a permit: only the process that took it gives it back.
fn fork_drops() {
    let semaphore = Semaphore::new(1).unwrap();
    let mut copy = Some(semaphore.acquire().unwrap());
    let (here, there) = (Gate::new(), Gate::new());
    let (seen, go): (RemoteGate, RemoteGate) = (here.remote(), there.remote());
    let fork = crate::kit::fork_behind_our_back(|| {
        drop(copy.take());
        crate::kit::say_and_wait(seen, go);
    });
    here.wait();
    let value = semaphore.value();
    there.open(1);
    nix::sys::wait::waitpid(fork, None).unwrap();
    assert_eq!(value, 0);
    drop(copy);
    assert_eq!(semaphore.value(), 1);
}
