//! Waiting for conditions: how many are woken, who they are, and when.

use crate::condition::{kinds, wait_once, when_waiting};
use crate::runner::{Case, both_homes, scaled};
use crate::sleepers::{sleeper, sleepers};
use multiproc::arena;
use multiproc::sync::{self, Home};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

pub(crate) fn tests() -> Vec<Case> {
    both_homes! {
        "condition_waits::exact_counts" => exact_counts,
        "condition_waits::first_come" => first_come,
        "condition_waits::notifications_are_not_stored" => not_stored,
        "condition_waits::who_was_late_is_not_counted" => late,
        "condition_waits::forty_wait" => forty,
        "condition_waits::timeouts" => timeouts,
        "condition_waits::predicates" => predicates,
        "condition_waits::total_time_of_a_predicate" => total_time,
        "condition_waits::notified_or_late_never_both" => never_both,
    }
}

/// So many as were asked for wake up, and not one more.
fn exact_counts<H: Home>() {
    for condition in kinds::<H>() {
        let woken = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            let waiters = sleepers(scope, 7, || {
                let _guard = condition.acquire().unwrap();
                condition.wait().unwrap();
                woken.fetch_add(1, SeqCst);
            });
            drop(when_waiting(&condition, 7));
            for (count, expected, sum) in [(0, 0, 0), (1, 1, 1), (3, 3, 4), (2, 2, 6), (5, 1, 7)] {
                let guard = condition.acquire().unwrap();
                assert_eq!(condition.notify(count).unwrap(), expected);
                drop(guard);
                while woken.load(SeqCst) < sum {
                    std::thread::yield_now();
                }
                drop(when_waiting(&condition, 7 - sum));
                assert_eq!(woken.load(SeqCst), sum);
            }
            waiters.into_iter().for_each(|it| it.join().unwrap());
        });
        let _guard = condition.acquire().unwrap();
        assert_eq!(condition.notify_all().unwrap(), 0);
    }
}

fn first_come<H: Home>() {
    let condition = sync::Condition::<H>::new().unwrap();
    let (arrivals, woken) = (AtomicUsize::new(0), std::sync::Mutex::new(Vec::new()));
    let waits = || {
        let _guard = condition.acquire().unwrap();
        let place = arrivals.fetch_add(1, SeqCst);
        condition.wait().unwrap();
        woken.lock().unwrap().push(place);
    };
    std::thread::scope(|scope| {
        for _ in 0..5 {
            scope.spawn(waits);
        }
        for round in 0..5 {
            let guard = when_waiting(&condition, 5 - round);
            assert_eq!(condition.notify(1).unwrap(), 1);
            if round == 2 {
                // Whoever comes now comes last, though a place before the others is free.
                scope.spawn(waits);
            }
            drop(guard);
            while woken.lock().unwrap().len() <= round {
                std::thread::yield_now();
            }
            if round == 2 {
                drop(when_waiting(&condition, 3));
                let _guard = condition.acquire().unwrap();
                assert_eq!(condition.notify(1).unwrap(), 1);
                break;
            }
        }
        while woken.lock().unwrap().len() < 4 {
            std::thread::yield_now();
        }
        let _guard = condition.acquire().unwrap();
        assert_eq!(condition.notify_all().unwrap(), 2);
    });
    let woken = woken.into_inner().unwrap();
    assert_eq!(woken[..4], [0, 1, 2, 3]);
    assert_eq!(woken.len(), 6);
}

fn not_stored<H: Home>() {
    for condition in kinds::<H>() {
        let _guard = condition.acquire().unwrap();
        for _ in 0..5 {
            assert_eq!(condition.notify(3).unwrap(), 0);
        }
        assert_eq!(condition.notify_all().unwrap(), 0);
        assert!(!condition.wait_timeout(Duration::from_millis(20)).unwrap());
    }
}

/// Python counts a sleeper whose time is over until the next `notify`, which wakes one less for it.
fn late<H: Home>() {
    let condition = sync::Condition::<H>::new().unwrap();
    std::thread::scope(|scope| {
        let waiter = sleeper(scope, || wait_once(&condition));
        for _ in 0..5 {
            let _guard = condition.acquire().unwrap();
            assert!(!condition.wait_timeout(Duration::from_millis(1)).unwrap());
        }
        let guard = when_waiting(&condition, 1);
        assert_eq!(
            condition.notify(1).unwrap(),
            1,
            "it wakes one who still waits"
        );
        assert_eq!(condition.notify_all().unwrap(), 0);
        drop(guard);
        waiter.join().unwrap();
    });
}

/// More than there are places in the object.
fn forty<H: Home>() {
    let before = arena::usage().unwrap();
    let condition = sync::Condition::<H>::new().unwrap();
    std::thread::scope(|scope| {
        let waiters = sleepers(scope, 40, || wait_once(&condition));
        let guard = when_waiting(&condition, 40);
        assert_eq!(condition.notify(15).unwrap(), 15);
        assert_eq!(condition.notify_all().unwrap(), 25);
        drop(guard);
        waiters.into_iter().for_each(|it| it.join().unwrap());
    });
    drop(condition);
    assert_eq!(arena::usage().unwrap(), before);
}

fn timeouts<H: Home>() {
    for condition in kinds::<H>() {
        std::thread::scope(|scope| {
            for _ in 0..5 {
                scope.spawn(|| {
                    let _guard = condition.acquire().unwrap();
                    for time in [0, 1, 70] {
                        let (time, before) = (Duration::from_millis(time), Instant::now());
                        assert!(!condition.wait_timeout(time).unwrap());
                        assert!(before.elapsed() >= time, "too early");
                    }
                });
            }
        });
        std::thread::scope(|scope| {
            let waiter = sleeper(scope, || {
                let _guard = condition.acquire().unwrap();
                condition.wait_timeout(Duration::MAX).unwrap()
            });
            let guard = when_waiting(&condition, 1);
            assert_eq!(condition.notify(1).unwrap(), 1);
            drop(guard);
            assert!(waiter.join().unwrap());
        });
    }
}

/// A number is told step by step; the waiter goes on at the fourth.
fn predicates<H: Home>() {
    let (condition, state) = (sync::Condition::<H>::new().unwrap(), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        let patient = sleeper(scope, || {
            let _guard = condition.acquire().unwrap();
            condition.wait_for(|| state.load(SeqCst) == 4).unwrap();
            assert_eq!(state.load(SeqCst), 4);
        });
        let timed = sleeper(scope, || {
            let _guard = condition.acquire().unwrap();
            let time = Duration::from_secs(3600);
            let four = condition.wait_for_timeout(time, || state.load(SeqCst) == 4);
            assert!(four.unwrap());
        });
        for step in 1..=4 {
            let _guard = when_waiting(&condition, 2);
            state.store(step, SeqCst);
            assert_eq!(condition.notify_all().unwrap(), 2);
        }
        patient.join().unwrap();
        timed.join().unwrap();
    });
    let _guard = condition.acquire().unwrap();
    condition.wait_for(|| true).unwrap();
    assert!(condition.wait_for_timeout(Duration::ZERO, || true).unwrap());
    let mut asked = 0;
    let last = condition.wait_for_timeout(Duration::ZERO, || {
        asked += 1;
        asked == 2
    });
    assert!(last.unwrap(), "it is asked once more at the end");
}

/// Notifications do not prolong it: it would never end.
fn total_time<H: Home>() {
    let (condition, done) = (sync::Condition::<H>::new().unwrap(), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| {
            let (time, before, mut asked) = (Duration::from_millis(150), Instant::now(), 0);
            let guard = condition.acquire().unwrap();
            let never = condition.wait_for_timeout(time, || {
                asked += 1;
                false
            });
            drop(guard);
            assert!(!never.unwrap());
            assert!(before.elapsed() >= time, "too early");
            done.store(true, SeqCst);
            asked
        });
        while !done.load(SeqCst) {
            let _guard = condition.acquire().unwrap();
            condition.notify_all().unwrap();
        }
        println!("asked {} times", waiter.join().unwrap());
    });
}

/// Every notification that was counted is somebody's answer, also where the time was over in the same moment.
fn never_both<H: Home>() {
    let condition = sync::Condition::<H>::new().unwrap();
    let (notified, running) = (AtomicUsize::new(0), AtomicUsize::new(4));
    let mut counted = 0;
    std::thread::scope(|scope| {
        for who in 0..4 {
            let (condition, notified, running) = (&condition, &notified, &running);
            scope.spawn(move || {
                for round in 0..u64::from(scaled(2000)) {
                    let _guard = condition.acquire().unwrap();
                    let time = Duration::from_micros(round * (who + 3) % 150);
                    if condition.wait_timeout(time).unwrap() {
                        notified.fetch_add(1, SeqCst);
                    }
                }
                running.fetch_sub(1, SeqCst);
            });
        }
        while running.load(SeqCst) > 0 {
            let _guard = condition.acquire().unwrap();
            counted += condition.notify(2).unwrap();
        }
    });
    println!("{counted} were notified in time");
    assert_eq!(notified.load(SeqCst), counted);
    assert!(counted > 0);
}
