//! Many who wait, some for ever and some for next to no time: nobody is forgotten, nobody is let in twice, and at the end it is free.
//!
//! Who gives up in the instant in which it is woken must not take the wake-up with it. Between threads nothing repairs that: the
//! patient one would wait for ever.

use crate::runner::{Case, both_homes, scaled};
use multiproc::sync::{self, Home};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

pub(crate) fn tests() -> Vec<Case> {
    both_homes! {
        "churn::lock" => lock,
        "churn::rlock" => rlock,
        "churn::semaphore" => semaphore,
        "churn::bounded_semaphore" => bounded,
        "churn::rwlock" => rwlock,
        "churn::condition" => condition,
        "churn::event" => event,
        "churn::barrier" => barrier,
    }
}

/// Calls `patient` in one thread and `hasty` in three, over and over; the latter with a time between nothing and what a hand-over takes.
/// Each adds one under the lock for what it says it has had.
fn churn(patient: impl Fn(&dyn Fn()) + Sync, hasty: impl Fn(Duration, &dyn Fn()) -> bool + Sync) {
    let (rounds, number) = (u64::from(scaled(2000)), AtomicU64::new(0));
    // Two steps, which only a lock makes one, and as much time between them as the hasty ones have.
    let adds = || {
        let before = number.load(Relaxed);
        (0..300).for_each(|_| std::hint::spin_loop());
        std::thread::yield_now();
        number.store(before + 1, Relaxed);
    };
    let had = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for who in 0..3 {
            let (hasty, had) = (&hasty, &had);
            scope.spawn(move || {
                for round in 0..rounds {
                    let time = Duration::from_micros((round * 7 + who * 13) % 90);
                    had.fetch_add(u64::from(hasty(time, &adds)), Relaxed);
                }
            });
        }
        scope.spawn(|| (0..rounds).for_each(|_| patient(&adds)));
    });
    let had = had.into_inner();
    assert_eq!(number.into_inner(), rounds + had);
    println!("{had} of {} were in time", 3 * rounds);
}

fn lock<H: Home>() {
    let lock = sync::Lock::<H>::new().unwrap();
    churn(
        |adds| {
            let _guard = lock.acquire().unwrap();
            adds();
        },
        |time, adds| lock.acquire_timeout(time).map(|_guard| adds()).is_ok(),
    );
    assert!(!lock.locked());
}

fn rlock<H: Home>() {
    let lock = sync::RLock::<H>::new().unwrap();
    churn(
        |adds| {
            let _outer = lock.acquire().unwrap();
            let _inner = lock.acquire().unwrap();
            adds();
        },
        |time, adds| lock.acquire_timeout(time).map(|_guard| adds()).is_ok(),
    );
    assert!(!lock.locked());
}

fn semaphore<H: Home>() {
    let semaphore = sync::Semaphore::<H>::new(1).unwrap();
    churn(
        |adds| {
            semaphore.acquire().unwrap().forget();
            adds();
            semaphore.release().unwrap();
        },
        |time, adds| semaphore.acquire_timeout(time).map(|_guard| adds()).is_ok(),
    );
    assert_eq!(semaphore.value(), 1);
}

fn bounded<H: Home>() {
    let semaphore = sync::BoundedSemaphore::<H>::new(1).unwrap();
    churn(
        |adds| {
            semaphore.acquire().unwrap().forget();
            adds();
            semaphore.release().unwrap();
        },
        |time, adds| semaphore.acquire_timeout(time).map(|_guard| adds()).is_ok(),
    );
    assert_eq!(semaphore.value(), 1);
}

/// Writers for ever and in haste, and readers between them.
fn rwlock<H: Home>() {
    let lock = sync::RwLock::<H>::new().unwrap();
    churn(
        |adds| {
            drop(lock.read().unwrap());
            let _guard = lock.write().unwrap();
            adds();
        },
        |time, adds| {
            drop(lock.read_timeout(time));
            lock.write_timeout(time).map(|_guard| adds()).is_ok()
        },
    );
    assert_eq!((lock.locked(), lock.readers()), (false, 0));
}

/// The lock of a condition, given up and had again by those who wait a little while.
fn condition<H: Home>() {
    let condition = sync::Condition::<H>::new().unwrap();
    churn(
        |adds| {
            let _guard = condition.acquire().unwrap();
            adds();
            condition.notify(1).unwrap();
        },
        |time, adds| {
            let taken = condition.acquire_timeout(time).map(|_guard| {
                condition.wait_timeout(time).unwrap();
                adds();
            });
            taken.is_ok()
        },
    );
    assert!(!condition.locked());
}

/// Each `set` is for all who wait, those in haste and the patient one.
fn event<H: Home>() {
    let (event, rounds) = (sync::Event::<H>::new().unwrap(), scaled(2000));
    let done = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for who in 0..2 {
            let (event, done) = (&event, &done);
            scope.spawn(move || {
                for round in 0..u64::from(rounds) {
                    let time = Duration::from_micros((round * 7 + who * 13) % 90);
                    event.wait_timeout(time).unwrap();
                }
                done.fetch_add(1, Relaxed);
            });
        }
        scope.spawn(|| {
            (0..rounds).for_each(|_| event.wait().unwrap());
            done.fetch_add(1, Relaxed);
        });
        while done.load(Relaxed) < 3 {
            event.set().unwrap();
            event.clear().unwrap();
            std::thread::yield_now();
        }
    });
    assert!(!event.is_set());
}

/// Parties that break it in their haste, or just not: all of a round are told the same.
fn barrier<H: Home>() {
    let barrier = sync::Barrier::<H>::new(3).unwrap();
    let (meeting, rounds) = (sync::Barrier::<H>::new(3).unwrap(), scaled(1000));
    let (went, mut whole) = (AtomicU64::new(0), 0);
    let party = |who: u64, round: u64| {
        let time = Duration::from_micros((round * 7 + who * 13) % 60);
        let hasty = barrier.wait_timeout(time);
        went.fetch_add(u64::from(hasty.is_ok()), Relaxed);
        meeting.wait().unwrap();
    };
    std::thread::scope(|scope| {
        for who in 1..3 {
            let (party, meeting) = (&party, &meeting);
            scope.spawn(move || {
                for round in 0..u64::from(rounds) {
                    party(who, round);
                    meeting.wait().unwrap();
                }
            });
        }
        for round in 0..u64::from(rounds) {
            party(0, round);
            // Nobody is in it now.
            let went = went.swap(0, Relaxed);
            assert!(went == 0 || went == 3, "{went} of 3 in round {round}");
            assert_eq!(went == 0, barrier.broken());
            barrier.reset().unwrap();
            whole += u64::from(went == 3);
            meeting.wait().unwrap();
        }
    });
    println!("{whole} of {rounds} rounds were whole");
}
