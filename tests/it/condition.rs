//! Conditions: who waits, who is woken, and who owns the lock meanwhile.

use crate::kit::{elsewhere, kind};
use crate::runner::{Case, both_homes};
use crate::sleepers::{sleeper, sleepers};
use multiproc::sync::{self, Home};
use multiproc::{ErrorKind, TryAcquireError, arena};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

pub(crate) fn tests() -> Vec<Case> {
    both_homes! {
        "condition::verbs" => verbs,
        "condition::without_the_lock" => without,
        "condition::shown" => shown,
        "condition::over_a_lock" => over_a_lock,
        "condition::over_a_recursive_lock" => over_an_rlock,
        "condition::all_levels_come_back" => all_levels,
        "condition::lock_that_was_given_up" => given_up,
        "condition::predicate_that_panics" => panics,
        "condition::notified_keeps_out_until_released" => keeps_out,
        "condition::dropped_while_held" => dropped,
    }
}

/// The conditions of each kind of lock.
pub(crate) fn kinds<H: Home>() -> [sync::Condition<H>; 3] {
    [
        sync::Condition::new().unwrap(),
        sync::Condition::with_lock(&sync::Lock::new().unwrap()).unwrap(),
        sync::Condition::with_rlock(&sync::RLock::new().unwrap()).unwrap(),
    ]
}

#[track_caller]
fn is_busy<H: Home>(condition: &sync::Condition<H>) {
    let tried = condition.try_acquire();
    assert!(matches!(tried, Err(TryAcquireError::Busy)), "{tried:?}");
    let late = condition.acquire_timeout(Duration::from_millis(5));
    assert!(matches!(late, Err(TryAcquireError::Busy)), "{late:?}");
}

fn verbs<H: Home>() {
    for condition in kinds::<H>() {
        let other = condition.clone();
        assert!(!condition.locked() && condition.holder().is_none());
        let guard = condition.acquire().unwrap();
        assert!(other.locked());
        let holder = other.holder().unwrap();
        assert_eq!(
            (holder.name(), holder.pid()),
            ("MainProcess", std::process::id())
        );
        elsewhere(|| is_busy(&other));
        assert_eq!(condition.notify(1).unwrap(), 0);
        assert_eq!(other.notify_all().unwrap(), 0);
        assert!(!condition.wait_timeout(Duration::ZERO).unwrap());
        assert!(condition.locked());
        drop(guard);
        assert!(!condition.locked());
        drop(condition.try_acquire().unwrap());
        other.acquire_timeout(Duration::MAX).unwrap().forget();
        assert!(condition.locked());
        condition.release().unwrap();
        assert_eq!(kind(condition.release()), ErrorKind::Misuse);
        assert!(!condition.locked());
    }
}

fn without<H: Home>() {
    for condition in kinds::<H>() {
        let all_refuse = || {
            let time = Duration::from_secs(3600);
            assert_eq!(kind(condition.wait()), ErrorKind::Misuse);
            assert_eq!(kind(condition.wait_timeout(time)), ErrorKind::Misuse);
            assert_eq!(
                kind(condition.wait_timeout(Duration::ZERO)),
                ErrorKind::Misuse
            );
            assert_eq!(kind(condition.wait_for(|| true)), ErrorKind::Misuse);
            assert_eq!(
                kind(condition.wait_for_timeout(time, || true)),
                ErrorKind::Misuse
            );
            assert_eq!(kind(condition.notify(1)), ErrorKind::Misuse);
            assert_eq!(kind(condition.notify(0)), ErrorKind::Misuse);
            assert_eq!(kind(condition.notify_all()), ErrorKind::Misuse);
            assert_eq!(kind(condition.repaired()), ErrorKind::Misuse);
            assert_eq!(kind(condition.release()), ErrorKind::Misuse);
        };
        all_refuse();
        let guard = condition.acquire().unwrap();
        elsewhere(all_refuse);
        assert!(condition.locked());
        condition.repaired().unwrap();
        drop(guard);
        all_refuse();
    }
}

fn shown<H: Home>() {
    let condition = sync::Condition::<H>::new().unwrap();
    let text = format!("{condition:?}");
    assert!(
        text.contains("locked: false") && text.contains("waiting: 0"),
        "{text}"
    );
    std::thread::scope(|scope| {
        let waiters = sleepers(scope, 2, || wait_once(&condition));
        let guard = condition.acquire().unwrap();
        let text = format!("{condition:?} {guard:?}");
        assert!(
            text.contains("locked: true") && text.contains("waiting: 2"),
            "{text}"
        );
        assert!(text.contains("MainProcess"), "{text}");
        assert_eq!(condition.notify_all().unwrap(), 2);
        assert!(
            format!("{condition:?}").contains("waiting: 0"),
            "{condition:?}"
        );
        drop(guard);
        waiters.into_iter().for_each(|it| it.join().unwrap());
    });
}

pub(crate) fn wait_once<H: Home>(condition: &sync::Condition<H>) {
    let _guard = condition.acquire().unwrap();
    condition.wait().unwrap();
}

/// Returns with the condition's lock when so many wait.
pub(crate) fn when_waiting<H: Home>(
    condition: &sync::Condition<H>,
    count: usize,
) -> sync::ConditionGuard<'_, H> {
    loop {
        let guard = condition.acquire().unwrap();
        if format!("{condition:?}").contains(&format!("waiting: {count},")) {
            return guard;
        }
        drop(guard);
        std::thread::yield_now();
    }
}

fn over_a_lock<H: Home>() {
    let lock = sync::Lock::<H>::new().unwrap();
    let conditions = [(); 2].map(|()| sync::Condition::with_lock(&lock).unwrap());
    std::thread::scope(|scope| {
        let waiters = [0, 1].map(|which| {
            let condition = &conditions[which];
            sleeper(scope, move || wait_once(condition))
        });
        // Each has given up the one lock, and is told by its own condition.
        for (condition, waiter) in conditions.iter().zip(waiters) {
            let guard = lock.acquire().unwrap();
            is_busy(condition);
            assert_eq!(
                condition.notify_all().unwrap(),
                1,
                "the lock is owned all the same"
            );
            drop(guard);
            waiter.join().unwrap();
        }
    });
    let _guard = conditions[0].acquire().unwrap();
    assert!(lock.locked() && conditions[1].locked());
    assert!(
        matches!(lock.try_acquire(), Err(TryAcquireError::Busy)),
        "not recursive"
    );
}

fn over_an_rlock<H: Home>() {
    let lock = sync::RLock::<H>::new().unwrap();
    let condition = sync::Condition::with_rlock(&lock).unwrap();
    let one = lock.acquire().unwrap();
    let two = condition.acquire().unwrap();
    assert_eq!(lock.level(), 2);
    std::thread::scope(|scope| {
        let notifier = scope.spawn(|| {
            let _guard = lock.acquire().unwrap();
            condition.notify(1).unwrap()
        });
        condition.wait().unwrap();
        assert_eq!(notifier.join().unwrap(), 1);
    });
    assert_eq!(lock.level(), 2);
    drop((one, two));
    assert!(!lock.locked());
}

/// A wait lets others in, however often the lock was acquired.
fn all_levels<H: Home>() {
    let lock = sync::RLock::<H>::new().unwrap();
    let condition = sync::Condition::with_rlock(&lock).unwrap();
    std::thread::scope(|scope| {
        let waiter = sleeper(scope, || {
            let guards = [(); 2].map(|()| condition.acquire().unwrap());
            lock.acquire().unwrap().forget();
            condition.wait().unwrap();
            assert_eq!(lock.level(), 3);
            assert!(!condition.wait_timeout(Duration::from_millis(1)).unwrap());
            assert_eq!(lock.level(), 3, "also when nobody notified");
            drop(guards);
            assert_eq!(lock.level(), 1);
            lock.release().unwrap();
            assert_eq!((lock.level(), kind(lock.release())), (0, ErrorKind::Misuse));
        });
        let _guard = when_waiting(&condition, 1);
        assert_eq!(lock.level(), 1);
        condition.notify(1).unwrap();
        drop(_guard);
        waiter.join().unwrap();
    });
    assert!(!lock.locked());
}

fn given_up<H: Home>() {
    for condition in kinds::<H>() {
        std::thread::scope(|scope| {
            let waiter = sleeper(scope, || {
                condition.acquire().unwrap().forget();
                condition.wait().unwrap();
                assert!(condition.locked());
                condition.release().unwrap();
                assert_eq!(kind(condition.release()), ErrorKind::Misuse);
            });
            let guard = when_waiting(&condition, 1);
            condition.notify(1).unwrap();
            drop(guard);
            waiter.join().unwrap();
        });
        assert!(!condition.locked());
    }
}

fn panics<H: Home>() {
    for condition in kinds::<H>() {
        let body = AssertUnwindSafe(|| {
            let _guard = condition.acquire().unwrap();
            let mut asked = 0;
            let asks = || {
                asked += 1;
                assert!(condition.locked());
                if asked == 2 {
                    std::panic::resume_unwind(Box::new("on purpose"));
                }
                false
            };
            let _never = condition.wait_for_timeout(Duration::from_millis(1), asks);
        });
        assert!(catch_unwind(body).is_err());
        assert!(!condition.locked(), "its guard has given it back");
        let _guard = condition.acquire().unwrap();
        assert_eq!(condition.notify_all().unwrap(), 0, "nobody waits");
        assert!(!condition.wait_timeout(Duration::from_millis(1)).unwrap());
    }
}

/// Who is notified goes on when the notifier lets go, not before.
fn keeps_out<H: Home>() {
    let (condition, inside) = (sync::Condition::<H>::new().unwrap(), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let waiters = sleepers(scope, 3, || {
            let _guard = condition.acquire().unwrap();
            condition.wait().unwrap();
            assert!(!inside.swap(true, SeqCst), "one at a time");
            inside.store(false, SeqCst);
        });
        let guard = when_waiting(&condition, 3);
        inside.store(true, SeqCst);
        assert_eq!(condition.notify_all().unwrap(), 3);
        elsewhere(|| is_busy(&condition));
        inside.store(false, SeqCst);
        drop(guard);
        waiters.into_iter().for_each(|it| it.join().unwrap());
    });
}

fn dropped<H: Home>() {
    let before = arena::usage().unwrap();
    for _ in 0..50 {
        for condition in kinds::<H>() {
            condition.acquire().unwrap().forget();
            assert_eq!(condition.notify_all().unwrap(), 0);
        }
        assert!(kinds::<H>().iter().all(|next| !next.locked()));
    }
    assert_eq!(arena::usage().unwrap(), before);
}
