//! Values in shared memory, and the lock of each.

use crate::kit::{elsewhere, kind, start};
use crate::runner::{Case, case, scaled};
use crate::sleepers::{Bed, RemoteBed, sleeper};
use crate::ways::{each, fine, run_by};
use multiproc::{Condition, ErrorKind, RLock, TryAcquireError, Value, arena};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

pub(crate) fn tests() -> Vec<Case> {
    vec![
        case("value::verbs", verbs),
        case("value::shown", shown),
        case(
            "value::guard_is_a_copy_until_it_is_dropped",
            guard_is_a_copy,
        ),
        case("value::one_guard_at_a_time", one_guard),
        case("value::under_its_own_lock", under_its_lock),
        case("value::one_lock_for_many", one_lock_for_many),
        case("value::panics", panics),
        case("value::others_wait", others_wait),
        case("value::condition_over_its_lock", condition_over_its_lock),
        case("value::copies_are_independent", copies),
        case("value::given_back", given_back),
        case("value::memory_is_used_again", used_again),
        case("value::updates_of_threads_are_exact", threads),
        case("value::updates_of_processes_are_exact", processes),
        case("value::read_then_written_is_two_steps", two_steps),
        case("value::changed_by_a_child", changed_by_a_child),
        case("value::guard_of_a_child", guard_of_a_child),
        case("value::fork_drops_a_copied_guard", fork_drops),
        case("value::larger_than_a_cell", large),
    ]
}

fn verbs() {
    let value = Value::new(7_u64).unwrap();
    let same = value.clone();
    assert_eq!((value.get().unwrap(), same.get().unwrap()), (7, 7));
    same.set(9).unwrap();
    assert_eq!(value.get().unwrap(), 9);
    let before = value.update(|it| std::mem::replace(it, 10)).unwrap();
    assert_eq!((before, same.get().unwrap()), (9, 10));
    *value.lock().unwrap() += 1;
    *same.try_lock().unwrap() += 1;
    *value.lock_timeout(Duration::ZERO).unwrap() += 1;
    *value.lock_timeout(Duration::MAX).unwrap() += 1;
    assert_eq!(*same.lock().unwrap(), 14);
    assert!(!value.get_lock().locked());
}

fn shown() {
    let value = Value::new(7.5).unwrap();
    assert!(format!("{value:?}").contains("7.5"), "{value:?}");
    let guard = value.lock().unwrap();
    assert!(format!("{guard:?}").contains("7.5"), "{guard:?}");
    // Neither waits for the other.
    assert!(format!("{value:?}").contains("Value"));
    assert!(elsewhere(|| format!("{value:?}")).contains("Value"));
}

/// What is not dropped is not written; what was not changed neither.
fn guard_is_a_copy() {
    let value = Value::new(1).unwrap();
    let mut guard = value.lock().unwrap();
    *guard = 2;
    assert_eq!(*guard, 2);
    drop(guard);
    assert_eq!(value.get().unwrap(), 2);
    let guard = value.lock().unwrap();
    assert_eq!(*guard, 2);
    drop(guard);
    assert_eq!(value.get().unwrap(), 2);
}

fn one_guard() {
    let value = Value::new(1).unwrap();
    let mut guard = value.lock().unwrap();
    let same = value.clone();
    assert_eq!(kind(same.get()), ErrorKind::Misuse);
    assert_eq!(kind(value.set(2)), ErrorKind::Misuse);
    assert_eq!(kind(value.update(|it| *it += 1)), ErrorKind::Misuse);
    assert_eq!(kind(value.copy()), ErrorKind::Misuse);
    assert_eq!(kind(value.repair(3)), ErrorKind::Misuse);
    assert_eq!(kind(value.lock().map_err(Into::into)), ErrorKind::Misuse);
    assert_eq!(kind(same.try_lock().map_err(Into::into)), ErrorKind::Misuse);
    let timed = value.lock_timeout(Duration::MAX).map_err(Into::into);
    assert_eq!(kind(timed), ErrorKind::Misuse);
    // None of these has changed what the guard will write, nor let go of the lock.
    assert_eq!(value.get_lock().level(), 1);
    *guard += 10;
    drop(guard);
    assert_eq!(value.get().unwrap(), 11);
    // The same inside an update.
    let inner = value.update(|it| {
        *it = 5;
        [
            kind(same.get()),
            kind(same.set(6)),
            kind(same.update(|_| ())),
        ]
    });
    assert_eq!(inner.unwrap(), [ErrorKind::Misuse; 3]);
    assert_eq!((value.get().unwrap(), value.get_lock().level()), (5, 0));
}

/// Python's `with value.get_lock():` around several steps.
fn under_its_lock() {
    let value = Value::new(1).unwrap();
    let outer = value.get_lock().acquire().unwrap();
    value.set(value.get().unwrap() + 1).unwrap();
    value.update(|it| *it *= 5).unwrap();
    *value.lock().unwrap() += 1;
    assert_eq!(value.copy().unwrap().get().unwrap(), 11);
    elsewhere(|| {
        let late = value.lock_timeout(Duration::from_millis(5));
        assert!(matches!(late, Err(TryAcquireError::Busy)), "{late:?}");
        let tried = value.try_lock();
        assert!(matches!(tried, Err(TryAcquireError::Busy)), "{tried:?}");
    });
    drop(outer);
    assert_eq!(elsewhere(|| *value.try_lock().unwrap()), 11);
}

fn one_lock_for_many() {
    let lock = RLock::new().unwrap();
    let one = Value::with_lock(1, &lock).unwrap();
    let two = Value::with_lock(2.5, &lock).unwrap();
    let guard = one.lock().unwrap();
    assert!(two.get_lock().locked() && lock.locked());
    assert_eq!(two.get().unwrap(), 2.5, "another value under the same lock");
    let other = two.lock().unwrap();
    assert_eq!(lock.level(), 2);
    elsewhere(|| assert!(two.try_lock().is_err() && lock.try_acquire().is_err()));
    drop(guard);
    assert_eq!(one.get().unwrap(), 1);
    assert_eq!(kind(two.get()), ErrorKind::Misuse);
    drop(other);
    assert!(!lock.locked());
    // It outlives the values, and they the handle that they were made with.
    drop(one);
    let _guard = lock.acquire().unwrap();
    drop(lock.clone());
    assert_eq!(two.get_lock().level(), 1);
}

fn panics() {
    let value = Value::new([1_u64; 40]).unwrap();
    let update = AssertUnwindSafe(|| {
        value.update(|it| {
            it[3] = 9;
            std::panic::resume_unwind(Box::new("on purpose"));
        })
    });
    assert!(catch_unwind(update).is_err());
    assert_eq!(value.get().unwrap(), [1; 40], "nothing is written");
    assert!(!value.get_lock().locked());
    // A guard is written back when it is dropped, whatever the reason.
    let guard = AssertUnwindSafe(|| {
        value.lock().unwrap()[3] = 2;
        let _guard = value.lock().unwrap();
        std::panic::resume_unwind(Box::new("on purpose"));
    });
    assert!(catch_unwind(guard).is_err());
    assert_eq!(value.get().unwrap()[3], 2);
    elsewhere(|| drop(value.try_lock().unwrap()));
}

fn others_wait() {
    let value = Value::new(1).unwrap();
    let mut guard = value.lock().unwrap();
    elsewhere(|| {
        for time in [0, 1, 70] {
            let (time, before) = (Duration::from_millis(time), Instant::now());
            let late = value.lock_timeout(time);
            assert!(matches!(late, Err(TryAcquireError::Busy)), "{late:?}");
            assert!(before.elapsed() >= time, "too early");
        }
    });
    std::thread::scope(|scope| {
        let reader = sleeper(scope, || value.get().unwrap());
        *guard = 2;
        drop(guard);
        assert_eq!(reader.join().unwrap(), 2);
        let outer = value.get_lock().acquire().unwrap();
        let writer = sleeper(scope, || value.update(|it| *it *= 10).unwrap());
        value.set(3).unwrap();
        drop(outer);
        writer.join().unwrap();
    });
    assert_eq!(value.get().unwrap(), 30);
}

/// To wait is to let others in, which a guard forbids.
fn condition_over_its_lock() {
    let value = Value::new(0).unwrap();
    let changed = Condition::with_rlock(value.get_lock()).unwrap();
    let guard = value.lock().unwrap();
    assert_eq!(kind(changed.wait()), ErrorKind::Misuse);
    assert_eq!(
        kind(changed.wait_timeout(Duration::ZERO)),
        ErrorKind::Misuse
    );
    assert_eq!(changed.notify_all().unwrap(), 0, "the lock is owned");
    drop(guard);
    assert_eq!(
        kind(changed.wait()),
        ErrorKind::Misuse,
        "not owned any more"
    );
    std::thread::scope(|scope| {
        let waiter = sleeper(scope, || {
            let _guard = changed.acquire().unwrap();
            changed.wait_for(|| value.get().unwrap() == 3).unwrap();
            *value.lock().unwrap() += 1;
        });
        for _ in 0..3 {
            let _guard = changed.acquire().unwrap();
            value.update(|it| *it += 1).unwrap();
            changed.notify_all().unwrap();
        }
        waiter.join().unwrap();
    });
    assert_eq!(value.get().unwrap(), 4);
}

fn copies() {
    let value = Value::new([1_u8; 300]).unwrap();
    let copy = value.copy().unwrap();
    value.set([2; 300]).unwrap();
    assert_eq!(copy.get().unwrap(), [1; 300]);
    let _guard = value.lock().unwrap();
    copy.set([3; 300]).unwrap();
    assert!(!copy.get_lock().locked(), "with a lock of its own");
    drop(_guard);
    assert_eq!(value.get().unwrap(), [2; 300]);
    drop(value);
    assert_eq!(copy.get().unwrap(), [3; 300]);
}

fn given_back() {
    let before = arena::usage().unwrap();
    for _ in 0..100 {
        let small = Value::new(1).unwrap();
        let large = Value::new([1_u64; 100]).unwrap();
        let clones = (small.clone(), large.clone());
        drop((small, large));
        assert_eq!(clones.0.get().unwrap(), 1);
        assert_eq!(clones.1.get().unwrap(), [1; 100]);
        clones.0.get_lock().acquire().unwrap().forget();
    }
    assert_eq!(arena::usage().unwrap(), before);
}

/// Where another value lay a new one is what it was made as, and nobody has it in hand.
fn used_again() {
    for round in 0..200_u64 {
        let value = Value::new([round; 64]).unwrap();
        assert_eq!(value.get().unwrap(), [round; 64]);
        let mut guard = value.lock().unwrap();
        *guard = [u64::MAX; 64];
        drop(guard);
        let small = Value::new(round).unwrap();
        assert_eq!(small.get().unwrap(), round);
        small.set(u64::MAX).unwrap();
    }
}

fn threads() {
    let (value, rounds) = (Value::new(0_u64).unwrap(), u64::from(scaled(10_000)));
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                for _ in 0..rounds {
                    value.update(|it| *it += 1).unwrap();
                    *value.lock().unwrap() += 1;
                }
            });
        }
    });
    assert_eq!(value.get().unwrap(), 6 * rounds);
}

fn processes() {
    let (value, rounds) = (Value::new([0_u64; 20]).unwrap(), u64::from(scaled(5000)));
    let body = |value: Value<[u64; 20]>, rounds: u64| {
        for round in 0..rounds {
            value
                .update(|it| {
                    assert_eq!(*it, [it[0]; 20], "half of another one's change");
                    it.iter_mut().for_each(|it| *it += 1);
                })
                .unwrap();
            let mut guard = value.lock().unwrap();
            guard.iter_mut().for_each(|it| *it += 1);
            drop(guard);
            // Another lock around two steps is as good.
            let _outer = value.get_lock().acquire().unwrap();
            let more = value.get().unwrap().map(|it| it + round % 2);
            value.set(more).unwrap();
        }
    };
    let workers = [(); 4].map(|()| start(body, (value.clone(), rounds)));
    workers.iter().for_each(fine);
    assert_eq!(value.get().unwrap(), [4 * (2 * rounds + rounds / 2); 20]);
}

/// Python's `value.value += 1`: what two did between a reading and a writing is lost, and is the caller's to prevent.
fn two_steps() {
    let value = Value::new(0).unwrap();
    let seen = value.get().unwrap();
    elsewhere(|| value.update(|it| *it += 1).unwrap());
    value.set(seen + 1).unwrap();
    assert_eq!(value.get().unwrap(), 1);
    let outer = value.get_lock().acquire().unwrap();
    let seen = value.get().unwrap();
    std::thread::scope(|scope| {
        let other = sleeper(scope, || value.update(|it| *it += 1).unwrap());
        value.set(seen + 1).unwrap();
        drop(outer);
        other.join().unwrap();
    });
    assert_eq!(value.get().unwrap(), 3);
}

fn changed_by_a_child() {
    each(|way| {
        let value = Value::new(3.5).unwrap();
        let doubles = |value: Value<f64>| value.update(|it| *it *= 2.0).unwrap();
        run_by(way, doubles, (value.clone(),));
        assert_eq!(value.get().unwrap(), 7.0);
        let makes =
            |values: multiproc::Queue<Value<i32>>| values.put(Value::new(-7).unwrap()).unwrap();
        let values = multiproc::Queue::new().unwrap();
        run_by(way, makes, (values.clone(),));
        let made = values.get().unwrap();
        made.update(|it| *it -= 1).unwrap();
        assert_eq!(made.get().unwrap(), -8, "it outlives its maker");
    });
}

/// A guard in another process: this one waits, and sees the value as it was until it is written back.
fn guard_of_a_child() {
    let (value, bed) = (Value::new(1).unwrap(), Bed::new());
    let body = |value: Value<i32>, bed: RemoteBed, go: multiproc::Event| {
        let mut guard = value.lock().unwrap();
        *guard = 2;
        bed.lie_down();
        go.wait().unwrap();
        drop(guard);
    };
    let go = multiproc::Event::new().unwrap();
    let child = start(body, (value.clone(), bed.remote(), go.clone()));
    bed.is_slept_in();
    assert!(matches!(value.try_lock(), Err(TryAcquireError::Busy)));
    assert_eq!(value.get_lock().holder().unwrap().name(), child.name());
    std::thread::scope(|scope| {
        let reader = sleeper(scope, || value.get().unwrap());
        go.set().unwrap();
        assert_eq!(reader.join().unwrap(), 2);
    });
    fine(&child);
}

/// The copy of a guard writes nothing and gives nothing back.
fn fork_drops() {
    let value = Value::new(1).unwrap();
    let mut copy = Some(value.lock().unwrap());
    let fork = crate::kit::fork_behind_our_back(|| {
        let mut guard = copy.take().unwrap();
        *guard = 99;
        drop(guard);
        assert!(matches!(value.try_lock(), Err(TryAcquireError::Busy)));
    });
    let status = nix::sys::wait::waitpid(fork, None).unwrap();
    assert_eq!(status, nix::sys::wait::WaitStatus::Exited(fork, 0));
    assert_eq!(
        kind(value.get()),
        ErrorKind::Misuse,
        "the guard is still here"
    );
    drop(copy);
    assert_eq!(value.get().unwrap(), 1);
}

/// Around the bytes that fit into the object itself, and far beyond.
fn large() {
    fn goes<const N: usize>() {
        let value = Value::new([7_u8; N]).unwrap();
        assert_eq!(value.get().unwrap(), [7; N]);
        value.update(|it| it[N - 1] = 8).unwrap();
        let changes = |value: Value<[u8; N]>| {
            let mut guard = value.lock().unwrap();
            assert_eq!((guard[0], guard[N - 1]), (7, 8));
            guard[0] = 9;
        };
        fine(&start(changes, (value.clone(),)));
        assert_eq!(value.get().unwrap()[0], 9);
        assert_eq!(value.copy().unwrap().get().unwrap()[N - 1], 8);
    }
    goes::<127>();
    goes::<128>();
    goes::<129>();
    goes::<4096>();
    goes::<100_000>();
}
