//! Conditions and events whose waiters or wakers die: a notify reaches exactly who waits and lives.

use crate::kit::{
    Numbers, RemoteNumbers, asleep, kill_and_join, kill_and_wait, pid_of, start, stop_and_wait,
    waiting,
};
use crate::runner::{Case, Gate, RemoteGate, case, scaled};
use crate::ways::{fine, start_by};
use multiproc::{
    AcquireError, Condition, ErrorKind, Event, Lock, Process, Queue, RLock, StartMethod,
};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

pub(crate) fn tests() -> Vec<Case> {
    vec![
        case(
            "condition_death::dead_waiters_do_not_count",
            dead_do_not_count,
        ),
        case("condition_death::not_even_unreaped", unreaped_do_not_count),
        case("condition_death::in_order_past_the_dead", in_order),
        case("condition_death::marks_are_passed_on", marks_are_passed_on),
        case("condition_death::mark_of_an_unreaped", mark_of_an_unreaped),
        case("condition_death::owner_dies_while_others_wait", owner_dies),
        case("condition_death::notifier_dies_at_once", notifier_dies),
        case("condition_death::levels_die_with_the_waiter", levels),
        case("condition_death::more_than_there_are_places", many),
        case(
            "condition_death::event_set_and_killed",
            event_set_and_killed,
        ),
        case("condition_death::event_cleared_and_killed", event_cleared),
        case(
            "condition_death::event_waiters_not_reaped",
            event_not_reaped,
        ),
    ]
}

/// Waits once; what it hears of a death it repairs. Notes when it came back.
fn waits(condition: Condition, numbers: RemoteNumbers) {
    let numbers = numbers.open();
    let _guard = match condition.acquire() {
        Ok(guard) => guard,
        Err(AcquireError::OwnerDied(news)) => news.repaired(),
        Err(AcquireError::Failed(error)) => panic!("{error}"),
    };
    match condition.wait() {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::OwnerDied => {
            numbers.add(1, 1);
            condition.repaired().unwrap();
        }
        Err(error) => panic!("{error}"),
    }
    numbers.add(0, 1);
}

/// A process that waits, and sleeps.
fn waiter(condition: &Condition, numbers: &Numbers) -> Process {
    let others = waiting(condition);
    let process = start(waits, (condition.clone(), numbers.remote()));
    while waiting(condition) == others {
        std::thread::yield_now();
    }
    asleep(pid_of(&process));
    process
}

/// Notifies under the lock.
#[track_caller]
fn notify(condition: &Condition, n: usize) -> usize {
    let _guard = match condition.acquire() {
        Ok(guard) => guard,
        Err(AcquireError::OwnerDied(news)) => news.repaired(),
        Err(AcquireError::Failed(error)) => panic!("{error}"),
    };
    condition.notify(n).unwrap()
}

fn dead_do_not_count() {
    let (condition, numbers) = (Condition::new().unwrap(), Numbers::new());
    for round in 0..scaled(10) as usize {
        let mut waiters = [(); 6]
            .map(|()| waiter(&condition, &numbers))
            .into_iter()
            .collect::<Vec<_>>();
        for _ in 0..3 {
            kill_and_join(&waiters.remove(round % waiters.len()));
        }
        assert_eq!(notify(&condition, 2), 2);
        assert_eq!(notify(&condition, usize::MAX), 1);
        assert_eq!(notify(&condition, 1), 0);
        waiters.iter().for_each(fine);
    }
}

/// A death that nobody has asked for yet counts as one.
fn unreaped_do_not_count() {
    let (condition, numbers, pids) = (
        Condition::new().unwrap(),
        Numbers::new(),
        Queue::new().unwrap(),
    );
    let negligent =
        |condition: Condition, numbers: RemoteNumbers, pids: Queue<i32>, there: RemoteGate| {
            let child = start_by(StartMethod::Fork, waits, (condition, numbers));
            pids.put(pid_of(&child).as_raw()).unwrap();
            there.wait();
            assert_eq!(child.join().unwrap(), -9);
        };
    let there = Gate::new();
    let arguments = (
        condition.clone(),
        numbers.remote(),
        pids.clone(),
        there.remote(),
    );
    let parent = start(negligent, arguments);
    let child = Pid::from_raw(pids.get().unwrap());
    while !format!("{condition:?}").contains("waiting: 1") {
        std::thread::yield_now();
    }
    let second = waiter(&condition, &numbers);
    kill_and_wait(child);
    assert_eq!(notify(&condition, 1), 1);
    fine(&second);
    assert_eq!(notify(&condition, 1), 0);
    there.open(1);
    fine(&parent);
}

/// First come, first notified, and the dead are passed over.
fn in_order() {
    let (condition, numbers) = (Condition::new().unwrap(), Numbers::new());
    for _ in 0..scaled(5) {
        let mut waiters = [(); 5]
            .map(|()| waiter(&condition, &numbers))
            .into_iter()
            .collect::<Vec<_>>();
        kill_and_join(&waiters.remove(3));
        kill_and_join(&waiters.remove(0));
        for waiter in waiters {
            assert!(waiter.is_alive());
            assert_eq!(notify(&condition, 1), 1);
            fine(&waiter);
        }
    }
}

/// Two of four are notified and stand still; both die: two of the others go on, and nobody else was woken.
fn marks_are_passed_on() {
    let condition = Condition::with_lock(&Lock::new().unwrap()).unwrap();
    for _ in 0..scaled(20) {
        let numbers = Numbers::new();
        let waiters = [(); 5].map(|()| waiter(&condition, &numbers));
        waiters[..2]
            .iter()
            .for_each(|one| stop_and_wait(pid_of(one)));
        assert_eq!(notify(&condition, 2), 2);
        waiters[..2].iter().for_each(kill_and_join);
        while numbers.get(0) < 2 {
            std::thread::yield_now();
        }
        assert_eq!(notify(&condition, usize::MAX), 1, "one still waits");
        waiters[2..].iter().for_each(fine);
    }
}

/// The one that was notified is dead, and its parent does not ask for it: who came next finds out.
fn mark_of_an_unreaped() {
    let (condition, numbers, pids) = (
        Condition::new().unwrap(),
        Numbers::new(),
        Queue::new().unwrap(),
    );
    let negligent =
        |condition: Condition, numbers: RemoteNumbers, pids: Queue<i32>, there: RemoteGate| {
            let child = start_by(StartMethod::Fork, waits, (condition, numbers));
            pids.put(pid_of(&child).as_raw()).unwrap();
            there.wait();
            assert_eq!(child.join().unwrap(), -9);
        };
    let there = Gate::new();
    let arguments = (
        condition.clone(),
        numbers.remote(),
        pids.clone(),
        there.remote(),
    );
    let parent = start(negligent, arguments);
    let child = Pid::from_raw(pids.get().unwrap());
    while !format!("{condition:?}").contains("waiting: 1") {
        std::thread::yield_now();
    }
    let second = waiter(&condition, &numbers);
    stop_and_wait(child);
    assert_eq!(notify(&condition, 1), 1);
    kill_and_wait(child);
    fine(&second);
    assert_eq!(notify(&condition, 1), 0);
    there.open(1);
    fine(&parent);
}

/// The owner dies with the lock and has notified: each comes back once, and the first of them hears of the death.
fn owner_dies() {
    let dies = |condition: Condition| {
        let _guard = condition.acquire().unwrap();
        assert_eq!(condition.notify(2).unwrap(), 2);
        std::process::abort();
    };
    for lock in [true, false] {
        for _ in 0..scaled(5) {
            let condition = if lock {
                Condition::with_lock(&Lock::new().unwrap()).unwrap()
            } else {
                Condition::with_rlock(&RLock::new().unwrap()).unwrap()
            };
            let numbers = Numbers::new();
            let waiters = [(); 3].map(|()| waiter(&condition, &numbers));
            assert_eq!(start(dies, (condition.clone(),)).join().unwrap(), -6);
            waiters[..2].iter().for_each(fine);
            assert_eq!((numbers.get(0), numbers.get(1)), (2, 1));
            assert_eq!(notify(&condition, 5), 1);
            fine(&waiters[2]);
        }
    }
}

/// It has let go of the lock, and is gone before anybody has woken up.
fn notifier_dies() {
    let (condition, numbers) = (Condition::new().unwrap(), Numbers::new());
    let dies = |condition: Condition| {
        let guard = condition.acquire().unwrap();
        assert_eq!(condition.notify_all().unwrap(), 3);
        drop(guard);
        kill(Pid::this(), Signal::SIGKILL).unwrap();
    };
    for _ in 0..scaled(20) {
        let waiters = [(); 3].map(|()| waiter(&condition, &numbers));
        assert_eq!(start(dies, (condition.clone(),)).join().unwrap(), -9);
        waiters.iter().for_each(fine);
        assert!(!condition.locked());
    }
    assert_eq!(numbers.get(1), 0, "nobody died with the lock");
}

/// A waiter had the lock three times; it dies waiting: the lock is free, without news.
fn levels() {
    let lock = RLock::new().unwrap();
    let condition = Condition::with_rlock(&lock).unwrap();
    let waits = |condition: Condition, here: RemoteGate| {
        let _three = [(); 3].map(|()| condition.acquire().unwrap());
        here.open(1);
        condition.wait().unwrap();
    };
    let here = Gate::new();
    let process = start(waits, (condition.clone(), here.remote()));
    here.wait();
    drop(lock.acquire().unwrap());
    kill_and_join(&process);
    let guard = lock.acquire().unwrap();
    assert_eq!(lock.level(), 1);
    assert_eq!(condition.notify_all().unwrap(), 0);
    drop(guard);
}

/// So many wait that more places are made; they die there, and the places are used again.
fn many() {
    let (condition, numbers) = (Condition::new().unwrap(), Numbers::new());
    for _ in 0..scaled(3) {
        let mut waiters: Vec<_> = (0..20).map(|_| waiter(&condition, &numbers)).collect();
        let dead = waiters.split_off(5);
        dead[..13].iter().for_each(kill_and_join);
        assert_eq!(notify(&condition, 3), 3);
        waiters[..3].iter().for_each(fine);
        assert_eq!(notify(&condition, usize::MAX), 4);
        waiters[3..].iter().chain(&dead[13..]).for_each(fine);
        assert_eq!(notify(&condition, 1), 0);
    }
}

fn waits_for_event(event: Event) {
    event.wait().unwrap();
}

/// Three that sleep.
fn three(event: &Event) -> [Process; 3] {
    let waiters = [(); 3].map(|()| start(waits_for_event, (event.clone(),)));
    waiters.iter().for_each(|waiter| asleep(pid_of(waiter)));
    waiters
}

fn event_set_and_killed() {
    let sets = |event: Event| {
        event.set().unwrap();
        kill(Pid::this(), Signal::SIGKILL).unwrap();
    };
    for _ in 0..scaled(20) {
        let event = Event::new().unwrap();
        let waiters = three(&event);
        assert_eq!(start(sets, (event.clone(),)).join().unwrap(), -9);
        waiters.iter().for_each(fine);
        assert!(event.is_set());
    }
}

/// Cleared at once: who slept goes on all the same, and one of them that died hinders nobody.
fn event_cleared() {
    let sets = |event: Event| {
        event.set().unwrap();
        event.clear().unwrap();
        kill(Pid::this(), Signal::SIGKILL).unwrap();
    };
    let event = Event::new().unwrap();
    for round in 0..scaled(20) as usize {
        let waiters = three(&event);
        kill_and_join(&waiters[round % 3]);
        assert_eq!(start(sets, (event.clone(),)).join().unwrap(), -9);
        for (n, waiter) in waiters.iter().enumerate() {
            assert_eq!(waiter.join().unwrap(), if n == round % 3 { -9 } else { 0 });
        }
        assert!(!event.is_set());
    }
}

/// A dead waiter that nobody reaps.
fn event_not_reaped() {
    let (event, pids, there) = (Event::new().unwrap(), Queue::new().unwrap(), Gate::new());
    let negligent = |event: Event, pids: Queue<i32>, there: RemoteGate| {
        let child = start_by(StartMethod::Fork, waits_for_event, (event,));
        pids.put(pid_of(&child).as_raw()).unwrap();
        there.wait();
        assert_eq!(child.join().unwrap(), -9);
    };
    let arguments = (event.clone(), pids.clone(), there.remote());
    let parent = start(negligent, arguments);
    kill_and_wait(Pid::from_raw(pids.get().unwrap()));
    let waiters = three(&event);
    event.set().unwrap();
    waiters.iter().for_each(fine);
    there.open(1);
    fine(&parent);
}
