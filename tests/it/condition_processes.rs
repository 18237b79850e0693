//! Conditions whose waiters are processes.

use crate::condition::{kinds, when_waiting};
use crate::kit::{Numbers, RemoteNumbers, kind, pid_of, start};
use crate::runner::{Case, Gate, RemoteGate, case, scaled};
use crate::sleepers::{Bed, RemoteBed};
use crate::ways::{each, fine, start_by};
use multiproc::{Condition, ErrorKind, Event};
use nix::sys::signal::{SigHandler, Signal, kill, signal};
use std::time::{Duration, Instant};

pub(crate) fn tests() -> Vec<Case> {
    vec![
        case("condition_processes::exact_counts", exact_counts),
        case("condition_processes::notified_by_a_child", by_a_child),
        case("condition_processes::predicates", predicates),
        case("condition_processes::total_time", total_time),
        case("condition_processes::without_the_lock", without),
        case("condition_processes::counts_and_answers_agree", agree),
        case("condition_processes::more_than_there_are_places", many),
        case("condition_processes::signals_in_a_wait", signals),
        case("condition_processes::hand_over", hand_over),
    ]
}

fn waits(condition: Condition, numbers: RemoteNumbers) {
    let _guard = condition.acquire().unwrap();
    condition.wait().unwrap();
    numbers.open().add(0, 1);
}

/// Python's `test_notify` and `test_notify_n`.
fn exact_counts() {
    for condition in kinds() {
        let numbers = Numbers::new();
        let arguments = || (condition.clone(), numbers.remote());
        let waiters = [(); 6].map(|()| start(waits, arguments()));
        drop(when_waiting(&condition, 6));
        for (count, expected, sum) in [(1, 1, 1), (2, 2, 3), (0, 0, 3), (9, 3, 6)] {
            let guard = condition.acquire().unwrap();
            assert_eq!(condition.notify(count).unwrap(), expected);
            drop(guard);
            while numbers.get(0) < sum {
                std::thread::yield_now();
            }
            drop(when_waiting(&condition, usize::try_from(6 - sum).unwrap()));
            assert_eq!(numbers.get(0), sum);
        }
        waiters.iter().for_each(fine);
    }
}

fn by_a_child() {
    each(|way| {
        let condition = Condition::new().unwrap();
        let notifies = |condition: Condition| {
            let _guard = condition.acquire().unwrap();
            assert_eq!(condition.notify_all().unwrap(), 1);
            assert_eq!(condition.notify_all().unwrap(), 0);
        };
        let guard = condition.acquire().unwrap();
        let child = start_by(way, notifies, (condition.clone(),));
        // The child cannot come before this process waits.
        condition.wait().unwrap();
        assert!(condition.locked());
        drop(guard);
        fine(&child);
    });
}

/// Python's `test_waitfor`, both ways.
fn predicates() {
    let (condition, numbers) = (Condition::new().unwrap(), Numbers::new());
    let body = |condition: Condition, numbers: RemoteNumbers| {
        let numbers = numbers.open();
        let _guard = condition.acquire().unwrap();
        numbers.set(0, 1);
        condition.notify(1).unwrap();
        condition.wait_for(|| numbers.get(0) == 4).unwrap();
        numbers.set(1, 1);
    };
    let guard = condition.acquire().unwrap();
    let child = start(body, (condition.clone(), numbers.remote()));
    let time = Duration::from_secs(3600);
    let came = condition.wait_for_timeout(time, || numbers.get(0) == 1);
    assert!(came.unwrap());
    drop(guard);
    for step in 2..=4 {
        let _guard = when_waiting(&condition, 1);
        assert_eq!(numbers.get(1), 0);
        numbers.set(0, step);
        assert_eq!(condition.notify(1).unwrap(), 1);
    }
    fine(&child);
    assert_eq!(numbers.get(1), 1);
}

/// Python's `test_waitfor_timeout`: notified all the time, it ends when its time is over.
fn total_time() {
    let (condition, done) = (Condition::new().unwrap(), Event::new().unwrap());
    let body = |condition: Condition, done: Event| {
        let (time, before) = (Duration::from_millis(150), Instant::now());
        let guard = condition.acquire().unwrap();
        assert!(!condition.wait_for_timeout(time, || false).unwrap());
        drop(guard);
        assert!(before.elapsed() >= time, "too early");
        done.set().unwrap();
    };
    let child = start(body, (condition.clone(), done.clone()));
    while !done.is_set() {
        let _guard = condition.acquire().unwrap();
        condition.notify_all().unwrap();
    }
    fine(&child);
}

fn without() {
    for condition in kinds() {
        let refuses = |condition: Condition| {
            assert!(condition.locked());
            assert_eq!(kind(condition.wait()), ErrorKind::Misuse);
            assert_eq!(kind(condition.notify(1)), ErrorKind::Misuse);
            assert_eq!(kind(condition.notify_all()), ErrorKind::Misuse);
            assert_eq!(kind(condition.wait_for(|| true)), ErrorKind::Misuse);
        };
        let _guard = condition.acquire().unwrap();
        fine(&start(refuses, (condition.clone(),)));
        assert!(condition.locked());
    }
}

/// Waiters whose time is over just then are notified or late, never both and never neither.
fn agree() {
    let (condition, numbers) = (Condition::new().unwrap(), Numbers::new());
    let body = |condition: Condition, numbers: RemoteNumbers, who: u64, rounds: u64| {
        let numbers = numbers.open();
        for round in 0..rounds {
            let _guard = condition.acquire().unwrap();
            let time = Duration::from_micros(round * (who + 3) % 150);
            if condition.wait_timeout(time).unwrap() {
                numbers.add(0, 1);
            }
        }
        let _guard = condition.acquire().unwrap();
        numbers.add(1, 1);
    };
    let rounds = u64::from(scaled(2000));
    let waiters =
        [0, 1, 2].map(|who| start(body, (condition.clone(), numbers.remote(), who, rounds)));
    let mut counted = 0;
    while numbers.get(1) < 3 {
        let _guard = condition.acquire().unwrap();
        counted += condition.notify(2).unwrap() as u64;
    }
    waiters.iter().for_each(fine);
    println!("{counted} were notified in time");
    assert_eq!(numbers.get(0), counted);
}

fn many() {
    let (condition, numbers) = (Condition::new().unwrap(), Numbers::new());
    let body = |condition: Condition, numbers: RemoteNumbers| {
        std::thread::scope(|scope| {
            for _ in 0..10 {
                scope.spawn(|| waits(condition.clone(), numbers));
            }
        });
    };
    let waiters = [(); 3].map(|()| start(body, (condition.clone(), numbers.remote())));
    let guard = when_waiting(&condition, 30);
    assert_eq!(condition.notify(12).unwrap(), 12);
    drop(guard);
    while numbers.get(0) < 12 {
        std::thread::yield_now();
    }
    let guard = condition.acquire().unwrap();
    assert_eq!(condition.notify_all().unwrap(), 18);
    drop(guard);
    waiters.iter().for_each(fine);
    assert_eq!(numbers.get(0), 30);
}

extern "C" fn nothing(_signal: i32) {}

/// A wait that is interrupted again and again: by a handler nothing is lost, and nothing comes too early.
fn signals() {
    let (condition, numbers, bed) = (Condition::new().unwrap(), Numbers::new(), Bed::new());
    let end = Gate::new();
    let body = |condition: Condition, numbers: RemoteNumbers, bed: RemoteBed, end: RemoteGate| {
        #[expect(unsafe_code, reason = "a handler is the test")]
        // SAFETY: the handler does nothing, because to interrupt is all that it is for.
        unsafe { signal(Signal::SIGUSR1, SigHandler::Handler(nothing)) }.unwrap();
        let guards = [(); 3].map(|()| condition.acquire().unwrap());
        bed.lie_down();
        condition.wait().unwrap();
        numbers.open().add(0, 1);
        let (time, before) = (Duration::from_millis(120), Instant::now());
        assert!(!condition.wait_timeout(time).unwrap());
        assert!(before.elapsed() >= time, "too early");
        drop(guards);
        assert_eq!(kind(condition.notify(1)), ErrorKind::Misuse);
        numbers.open().add(0, 1);
        end.wait();
    };
    let child = start(
        body,
        (
            condition.clone(),
            numbers.remote(),
            bed.remote(),
            end.remote(),
        ),
    );
    bed.is_slept_in();
    let strike = || kill(pid_of(&child), Signal::SIGUSR1).unwrap();
    (0..scaled(300)).for_each(|_| strike());
    let guard = when_waiting(&condition, 1);
    assert_eq!(numbers.get(0), 0, "nobody has notified");
    assert_eq!(condition.notify(1).unwrap(), 1);
    strike();
    drop(guard);
    while numbers.get(0) < 2 {
        strike();
    }
    end.open(1);
    fine(&child);
    drop(condition.try_acquire().unwrap());
}

/// Producer and consumer hand over one number at a time; a wake-up that is lost ends the test by its deadline.
fn hand_over() {
    let consumes = |condition: Condition, numbers: RemoteNumbers, rounds: u64| {
        let numbers = numbers.open();
        for _ in 0..rounds {
            let _guard = condition.acquire().unwrap();
            condition.wait_for(|| numbers.get(0) > 0).unwrap();
            numbers.set(0, numbers.get(0) - 1);
            numbers.add(1, 1);
            condition.notify_all().unwrap();
        }
    };
    for condition in kinds() {
        let numbers = Numbers::new();
        let half = u64::from(scaled(3000));
        let arguments = || (condition.clone(), numbers.remote(), half);
        let consumers = [(); 2].map(|()| start(consumes, arguments()));
        let rounds = 2 * half;
        for _ in 0..rounds {
            let _guard = condition.acquire().unwrap();
            condition.wait_for(|| numbers.get(0) == 0).unwrap();
            numbers.add(0, 1);
            condition.notify_all().unwrap();
        }
        consumers.iter().for_each(fine);
        assert_eq!((numbers.get(0), numbers.get(1)), (0, rounds));
    }
}
