//! Bounded semaphores: permits that have owners, and never one too many.

use crate::kit::{Numbers, RemoteNumbers, elsewhere, kind, start};
use crate::runner::{Case, Gate, RemoteGate, both_homes, case, scaled};
use crate::sleepers::{Bed, RemoteBed, sleeper, sleepers};
use crate::ways::{each, fine, run_by, start_by};
use multiproc::sync::{self, Home};
use multiproc::{BoundedSemaphore, ErrorKind, arena};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

pub(crate) fn tests() -> Vec<Case> {
    let mut cases = both_homes! {
        "bounded::verbs" => verbs,
        "bounded::one_release_too_many" => one_too_many,
        "bounded::limits" => limits,
        "bounded::all_or_nothing" => all_or_nothing,
        "bounded::many_permits" => many_permits,
        "bounded::dropped_while_held" => dropped,
        "bounded::unwinding" => unwinding,
        "bounded::three_phases" => three_phases,
        "bounded::ten_try_for_three" => ten_try,
        "bounded::timeouts" => timeouts,
        "bounded::guard_in_another_thread" => moved,
        "bounded::no_more_than_permits" => never_too_many,
        "bounded::releases_of_many" => releases_of_many,
    };
    cases.extend([
        case("bounded::of_another_process", of_another_process),
        case("bounded::of_a_process_that_has_ended", of_one_that_ended),
        case("bounded::processes_wait", processes_wait),
        case("bounded::processes_exclude", processes_exclude),
        case("bounded::fork_drops_a_copied_guard", fork_drops),
    ]);
    cases
}

fn verbs<H: Home>() {
    let semaphore = sync::BoundedSemaphore::<H>::new(2).unwrap();
    let other = semaphore.clone();
    assert_eq!(
        (semaphore.value(), semaphore.bound(), semaphore.locked()),
        (2, 2, false)
    );
    let one = semaphore.acquire().unwrap();
    assert_eq!((other.value(), other.bound()), (1, 2));
    let two = other.try_acquire().unwrap();
    assert_eq!((semaphore.value(), semaphore.locked()), (0, true));
    assert_eq!(kind(semaphore.try_acquire()), ErrorKind::Busy);
    assert_eq!(kind(other.acquire_timeout(Duration::ZERO)), ErrorKind::Busy);
    let text = format!("{semaphore:?} {one:?}");
    assert!(
        text.contains("value: 0") && text.contains("bound: 2"),
        "{text}"
    );
    drop(one);
    assert_eq!((semaphore.value(), other.locked()), (1, false));
    drop(semaphore.acquire_timeout(Duration::MAX).unwrap());
    drop(two);
    assert_eq!(other.value(), 2);
}

fn one_too_many<H: Home>() {
    let semaphore = sync::BoundedSemaphore::<H>::new(2).unwrap();
    assert_eq!(kind(semaphore.release()), ErrorKind::Misuse);
    assert_eq!(semaphore.value(), 2);
    semaphore.acquire().unwrap().forget();
    semaphore.acquire().unwrap().forget();
    assert_eq!(kind(semaphore.try_acquire()), ErrorKind::Busy);
    for value in [1, 2] {
        semaphore.release().unwrap();
        assert_eq!(semaphore.value(), value);
    }
    for _ in 0..3 {
        assert_eq!(kind(semaphore.release()), ErrorKind::Misuse);
        assert_eq!(semaphore.value(), 2);
    }
    // What a guard will give back nobody else gives.
    let guard = semaphore.acquire().unwrap();
    assert_eq!(kind(semaphore.release()), ErrorKind::Misuse);
    assert_eq!(elsewhere(|| kind(semaphore.release())), ErrorKind::Misuse);
    assert_eq!(semaphore.value(), 1);
    drop(guard);
    assert_eq!(semaphore.value(), 2);
}

fn limits<H: Home>() {
    let most = 1 << 20;
    for too_many in [most + 1, i32::MAX.cast_unsigned(), u32::MAX] {
        let error = sync::BoundedSemaphore::<H>::new(too_many).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    }
    let none = sync::BoundedSemaphore::<H>::new(0).unwrap();
    assert_eq!((none.value(), none.bound(), none.locked()), (0, 0, true));
    assert_eq!(kind(none.try_acquire()), ErrorKind::Busy);
    assert_eq!(
        kind(none.acquire_timeout(Duration::from_millis(5))),
        ErrorKind::Busy
    );
    assert_eq!(kind(none.release()), ErrorKind::Misuse);
    assert_eq!(kind(none.release_many(u32::MAX)), ErrorKind::Misuse);
    assert_eq!(kind(none.release_many(0)), ErrorKind::InvalidInput);
}

fn all_or_nothing<H: Home>() {
    let semaphore = sync::BoundedSemaphore::<H>::new(4).unwrap();
    let kept = semaphore.acquire().unwrap();
    (0..3).for_each(|_| semaphore.acquire().unwrap().forget());
    for count in [4, 5, u32::MAX] {
        assert_eq!(kind(semaphore.release_many(count)), ErrorKind::Misuse);
        assert_eq!(semaphore.value(), 0, "nothing is given of {count}");
    }
    assert_eq!(kind(semaphore.release_many(0)), ErrorKind::InvalidInput);
    semaphore.release_many(2).unwrap();
    assert_eq!(semaphore.value(), 2);
    assert_eq!(kind(semaphore.release_many(2)), ErrorKind::Misuse);
    assert_eq!(semaphore.value(), 2);
    semaphore.release_many(1).unwrap();
    assert_eq!(kind(semaphore.release()), ErrorKind::Misuse);
    drop(kept);
    assert_eq!(semaphore.value(), 4);
}

/// More permits than fit into the object.
fn many_permits<H: Home>() {
    let before = arena::usage().unwrap();
    for bound in [21, 22, 23, 24, 5000] {
        let semaphore = sync::BoundedSemaphore::<H>::new(bound).unwrap();
        let mut guards: Vec<_> = (0..bound).map(|_| semaphore.acquire().unwrap()).collect();
        assert_eq!((semaphore.value(), semaphore.bound()), (0, bound));
        assert_eq!(kind(semaphore.try_acquire()), ErrorKind::Busy);
        // From the end: the place of the last one lies elsewhere.
        guards.pop().unwrap().forget();
        drop(guards.pop());
        assert_eq!(semaphore.value(), 1);
        drop(guards);
        assert_eq!(semaphore.value(), bound - 1);
        semaphore.release().unwrap();
        assert_eq!(kind(semaphore.release()), ErrorKind::Misuse);
        assert_eq!(semaphore.value(), bound);
    }
    assert_eq!(arena::usage().unwrap(), before);
}

fn dropped<H: Home>() {
    let before = arena::usage().unwrap();
    for bound in [1, 100] {
        for _ in 0..50 {
            let semaphore = sync::BoundedSemaphore::<H>::new(bound).unwrap();
            (0..bound).for_each(|_| semaphore.acquire().unwrap().forget());
            drop(semaphore);
            let next = sync::BoundedSemaphore::<H>::new(bound).unwrap();
            assert_eq!(next.value(), bound, "a new one");
        }
    }
    assert_eq!(arena::usage().unwrap(), before);
}

fn unwinding<H: Home>() {
    let semaphore = sync::BoundedSemaphore::<H>::new(1).unwrap();
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
    let semaphore = sync::BoundedSemaphore::<H>::new(7).unwrap();
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
    semaphore.release_many(7).unwrap();
    assert_eq!(kind(semaphore.release()), ErrorKind::Misuse);
}

fn ten_try<H: Home>() {
    let semaphore = sync::BoundedSemaphore::<H>::new(3).unwrap();
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
    let semaphore = sync::BoundedSemaphore::<H>::new(1).unwrap();
    drop(semaphore.acquire_timeout(Duration::ZERO).unwrap());
    let guard = semaphore.acquire().unwrap();
    for time in [0, 5, 70] {
        let (time, before) = (Duration::from_millis(time), Instant::now());
        assert_eq!(kind(semaphore.acquire_timeout(time)), ErrorKind::Busy);
        assert!(before.elapsed() >= time, "too early");
    }
    std::thread::scope(|scope| {
        let forever = || drop(semaphore.acquire_timeout(Duration::MAX).unwrap());
        let waiters = sleepers(scope, 2, forever);
        drop(guard);
        waiters.into_iter().for_each(|it| it.join().unwrap());
    });
    assert_eq!(semaphore.value(), 1, "who was late has left nothing behind");
}

fn moved<H: Home>() {
    let semaphore = sync::BoundedSemaphore::<H>::new(1).unwrap();
    let guard = semaphore.acquire().unwrap();
    std::thread::scope(|scope| {
        let waiter = sleeper(scope, || semaphore.acquire().unwrap().forget());
        scope.spawn(move || drop(guard));
        waiter.join().unwrap();
    });
    // The thread is gone; its permit is still out.
    assert_eq!(kind(semaphore.try_acquire()), ErrorKind::Busy);
    let guard = elsewhere(|| {
        semaphore.release().unwrap();
        semaphore.acquire().unwrap()
    });
    guard.forget();
    semaphore.release().unwrap();
    assert_eq!(semaphore.value(), 1);
}

fn never_too_many<H: Home>() {
    let semaphore = sync::BoundedSemaphore::<H>::new(2).unwrap();
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

/// Who has given up a permit finds one to release, whatever others release meanwhile.
fn releases_of_many<H: Home>() {
    let semaphore = sync::BoundedSemaphore::<H>::new(3).unwrap();
    let rounds = scaled(20_000);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..rounds {
                    semaphore.acquire().unwrap().forget();
                    semaphore.release().unwrap();
                }
            });
        }
        // Nobody has three to give all the time: what it takes in hand while it counts is missed by nobody.
        scope.spawn(|| {
            for _ in 0..rounds {
                assert_eq!(kind(semaphore.release_many(4)), ErrorKind::Misuse);
            }
        });
    });
    assert_eq!(semaphore.value(), 3);
}

fn of_another_process() {
    each(|way| {
        let (semaphore, here, there) =
            (BoundedSemaphore::new(2).unwrap(), Gate::new(), Gate::new());
        let body = |semaphore: BoundedSemaphore, here: RemoteGate, there: RemoteGate| {
            assert_eq!(kind(semaphore.release()), ErrorKind::Misuse);
            semaphore.acquire().unwrap().forget();
            let kept = semaphore.acquire().unwrap();
            assert!(semaphore.locked());
            crate::kit::say_and_wait(here, there);
            drop(kept);
        };
        let arguments = (semaphore.clone(), here.remote(), there.remote());
        let process = start_by(way, body, arguments);
        here.wait();
        assert_eq!(kind(semaphore.try_acquire()), ErrorKind::Busy);
        // One was given up there, and is released here; the other has its guard.
        semaphore.release().unwrap();
        assert_eq!(kind(semaphore.release()), ErrorKind::Misuse);
        assert_eq!(semaphore.value(), 1);
        there.open(1);
        fine(&process);
        assert_eq!(semaphore.value(), 2);
        semaphore.acquire().unwrap().forget();
        let releases = |semaphore: BoundedSemaphore| {
            semaphore.release().unwrap();
            assert_eq!(kind(semaphore.release()), ErrorKind::Misuse);
        };
        run_by(way, releases, (semaphore.clone(),));
        assert_eq!(semaphore.value(), 2);
    });
}

fn of_one_that_ended() {
    let semaphore = BoundedSemaphore::new(2).unwrap();
    let keeps = |semaphore: BoundedSemaphore| {
        semaphore.acquire().unwrap().forget();
        semaphore.acquire().unwrap().forget();
    };
    each(|way| {
        run_by(way, keeps, (semaphore.clone(),));
        assert_eq!(semaphore.value(), 2);
        assert_eq!(kind(semaphore.release()), ErrorKind::Misuse);
        let guards = [
            semaphore.try_acquire().unwrap(),
            semaphore.try_acquire().unwrap(),
        ];
        assert!(semaphore.locked());
        drop(guards);
    });
}

fn processes_wait() {
    let (semaphore, bed) = (BoundedSemaphore::new(3).unwrap(), Bed::new());
    let guards = [(); 3].map(|()| semaphore.acquire().unwrap());
    let body = |semaphore: BoundedSemaphore, bed: RemoteBed| {
        bed.lie_down();
        let _guard = semaphore.acquire().unwrap();
    };
    let waiters = [(); 5].map(|()| {
        let process = start(body, (semaphore.clone(), bed.remote()));
        bed.is_slept_in();
        process
    });
    guards
        .into_iter()
        .for_each(sync::BoundedSemaphoreGuard::forget);
    semaphore.release_many(2).unwrap();
    semaphore.release().unwrap();
    for waiter in waiters {
        assert_eq!(waiter.join().unwrap(), 0);
    }
    assert_eq!(semaphore.value(), 3);
}

fn processes_exclude() {
    let (semaphore, numbers) = (BoundedSemaphore::new(1).unwrap(), Numbers::new());
    let body = |semaphore: BoundedSemaphore, numbers: RemoteNumbers, rounds: u64| {
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

/// The copy of a guard is not a permit, nor can the fork give up or release what is its parent's guard's.
fn fork_drops() {
    let semaphore = BoundedSemaphore::new(2).unwrap();
    let mut copies = [(); 2].map(|()| Some(semaphore.acquire().unwrap()));
    let fork = crate::kit::fork_behind_our_back(|| {
        drop(copies[0].take());
        assert_eq!(semaphore.value(), 0);
        copies[1].take().unwrap().forget();
        assert_eq!(kind(semaphore.release()), ErrorKind::Misuse);
    });
    let status = nix::sys::wait::waitpid(fork, None).unwrap();
    assert_eq!(status, nix::sys::wait::WaitStatus::Exited(fork, 0));
    assert_eq!(semaphore.value(), 0);
    assert_eq!(kind(semaphore.release()), ErrorKind::Misuse);
    drop(copies);
    assert_eq!(semaphore.value(), 2);
}
