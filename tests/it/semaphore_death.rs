//! Permits of dead processes: a bounded semaphore gets them back, a plain one counts; what is built on either goes on.

use crate::kit::{
    Numbers, RemoteNumbers, asleep, kill_and_join, kill_and_wait, pid_of, say_and_wait, start,
    stop_and_wait,
};
use crate::runner::{Case, Gate, RemoteGate, case, scaled};
use crate::ways::{fine, start_by};
use multiproc::sync::SemaphoreGuard;
use multiproc::{
    AcquireError, Array, BoundedSemaphore, ErrorKind, Lock, Process, Queue, Semaphore, StartMethod,
};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};
use std::time::Duration;

pub(crate) fn tests() -> Vec<Case> {
    vec![
        case("semaphore_death::permits_come_back", permits_come_back),
        case(
            "semaphore_death::permits_wake_waiters",
            permits_wake_waiters,
        ),
        case("semaphore_death::every_end_gives_back", every_end),
        case("semaphore_death::not_reaped", not_reaped),
        case("semaphore_death::stopped", stopped),
        case(
            "semaphore_death::released_for_the_dead",
            released_for_the_dead,
        ),
        case("semaphore_death::plain_counts", plain_counts),
        case("semaphore_death::bounded_buffer", bounded_buffer),
        case(
            "semaphore_death::bounded_buffer_storm",
            bounded_buffer_storm,
        ),
    ]
}

/// Takes so many permits, half of them without guards, says so, and waits.
fn holds(semaphore: BoundedSemaphore, permits: u32, here: RemoteGate, there: RemoteGate) {
    let guards: Vec<_> = (0..permits).map(|_| semaphore.acquire().unwrap()).collect();
    let (mut kept, half) = (Vec::new(), guards.len() / 2);
    for (n, guard) in guards.into_iter().enumerate() {
        if n < half {
            guard.forget();
        } else {
            kept.push(guard);
        }
    }
    say_and_wait(here, there);
    drop(kept);
    (0..half).for_each(|_| semaphore.release().unwrap());
}

fn holder(semaphore: &BoundedSemaphore, permits: u32) -> (Process, Gate) {
    let (here, there) = (Gate::new(), Gate::new());
    let arguments = (semaphore.clone(), permits, here.remote(), there.remote());
    let process = start(holds, arguments);
    here.wait();
    (process, there)
}

/// All permits are there, each once.
#[track_caller]
fn whole(semaphore: &BoundedSemaphore) {
    let bound = semaphore.bound();
    assert_eq!(semaphore.value(), bound);
    let guards: Vec<_> = (0..bound)
        .map(|_| semaphore.try_acquire().unwrap())
        .collect();
    assert!(semaphore.try_acquire().is_err());
    drop(guards);
    let error = semaphore.release().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Misuse);
    assert_eq!(semaphore.value(), bound);
}

fn permits_come_back() {
    let semaphore = BoundedSemaphore::new(100).unwrap();
    for _ in 0..scaled(10) {
        let [(first, _one), (second, _other)] = [40, 50].map(|n| holder(&semaphore, n));
        assert_eq!(semaphore.value(), 10);
        kill_and_join(&first);
        assert_eq!(semaphore.value(), 50);
        kill_and_join(&second);
        whole(&semaphore);
    }
}

/// Who waits for a permit gets those of the dead one, each its own.
fn permits_wake_waiters() {
    let takes = |semaphore: BoundedSemaphore| drop(semaphore.acquire().unwrap());
    let semaphore = BoundedSemaphore::new(3).unwrap();
    for _ in 0..scaled(10) {
        let (process, _there) = holder(&semaphore, 3);
        let waiters = [(); 4].map(|()| start(takes, (semaphore.clone(),)));
        waiters.iter().for_each(|waiter| asleep(pid_of(waiter)));
        process.kill().unwrap();
        waiters.iter().for_each(fine);
        assert_eq!(process.join().unwrap(), -9);
        whole(&semaphore);
    }
}

/// Permits without guards, at every end of a process.
#[expect(clippy::disallowed_methods, reason = "how it ends is the test")]
fn every_end() {
    let semaphore = BoundedSemaphore::new(2).unwrap();
    let ends = |semaphore: BoundedSemaphore, how: i32| {
        semaphore.acquire().unwrap().forget();
        semaphore.acquire().unwrap().forget();
        match how {
            1 => panic!("on purpose"),
            -6 => std::process::abort(),
            3 => std::process::exit(3),
            _ => {}
        }
    };
    for how in [0, 1, 3, -6] {
        assert_eq!(start(ends, (semaphore.clone(), how)).join().unwrap(), how);
        whole(&semaphore);
    }
}

/// A process starts another one, and does not ask for its end before it is told.
fn negligent(semaphore: BoundedSemaphore, pids: Queue<i32>, here: RemoteGate, there: RemoteGate) {
    let arguments = (semaphore, 2_u32, here, there);
    let child = start_by(StartMethod::Fork, holds, arguments);
    pids.put(pid_of(&child).as_raw()).unwrap();
    there.wait();
    assert_eq!(child.join().unwrap(), -9);
}

/// Nobody reaps the dead one: who waits for a permit finds out, one that slept before and one that comes later.
fn not_reaped() {
    let (semaphore, pids) = (BoundedSemaphore::new(2).unwrap(), Queue::new().unwrap());
    let (here, there) = (Gate::new(), Gate::new());
    let arguments = (
        semaphore.clone(),
        pids.clone(),
        here.remote(),
        there.remote(),
    );
    let parent = start(negligent, arguments);
    here.wait();
    let takes = |semaphore: BoundedSemaphore| drop(semaphore.acquire().unwrap());
    let waiter = start(takes, (semaphore.clone(),));
    asleep(pid_of(&waiter));
    kill_and_wait(Pid::from_raw(pids.get().unwrap()));
    fine(&waiter);
    let both = [(); 2].map(|()| semaphore.acquire().unwrap());
    drop(both);
    there.open(1);
    fine(&parent);
    whole(&semaphore);
}

fn stopped() {
    let semaphore = BoundedSemaphore::new(1).unwrap();
    let (process, there) = holder(&semaphore, 1);
    stop_and_wait(pid_of(&process));
    for _ in 0..4 {
        let busy = semaphore.acquire_timeout(Duration::from_millis(60));
        assert_eq!(busy.unwrap_err().kind(), ErrorKind::Busy);
    }
    kill(pid_of(&process), Signal::SIGCONT).unwrap();
    there.open(1);
    drop(semaphore.acquire().unwrap());
    fine(&process);
    whole(&semaphore);
}

/// A permit that somebody else has released is not given back once more when its taker dies.
fn released_for_the_dead() {
    let semaphore = BoundedSemaphore::new(2).unwrap();
    let (process, _there) = holder(&semaphore, 2);
    semaphore.release().unwrap();
    let error = semaphore.release().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Misuse, "the other one has a guard");
    assert_eq!(semaphore.value(), 1);
    kill_and_join(&process);
    whole(&semaphore);
}

/// Nothing comes back, nothing is lost, and others can give what the dead one has taken.
fn plain_counts() {
    let semaphore = Semaphore::new(3).unwrap();
    let takes = |semaphore: Semaphore, here: RemoteGate| {
        let _guard = semaphore.acquire().unwrap();
        semaphore.acquire().unwrap().forget();
        here.open(1);
        Gate::new().wait();
    };
    let here = Gate::new();
    let process = start(takes, (semaphore.clone(), here.remote()));
    here.wait();
    assert_eq!(semaphore.value(), 1);
    kill_and_join(&process);
    assert_eq!(semaphore.value(), 1);
    let waits = |semaphore: Semaphore| {
        let guards = [(); 3].map(|()| semaphore.acquire().unwrap());
        guards.into_iter().for_each(SemaphoreGuard::forget);
    };
    let waiter = start(waits, (semaphore.clone(),));
    asleep(pid_of(&waiter));
    semaphore.release_many(2).unwrap();
    fine(&waiter);
    assert_eq!(semaphore.value(), 0);
}

/// How many items the buffer holds.
const ROOM: u32 = 4;

/// The classic: two semaphores that signal, a ring, and a lock around it.
#[derive(Clone, Serialize, Deserialize)]
struct Buffer {
    free: Semaphore,
    filled: Semaphore,
    lock: Lock,
    /// The items, then how many were taken and put.
    ring: Array<u32>,
}

const TAKEN: usize = ROOM as usize;
const PUT: usize = TAKEN + 1;

impl Buffer {
    fn new() -> Self {
        Self {
            free: Semaphore::new(ROOM).unwrap(),
            filled: Semaphore::new(0).unwrap(),
            lock: Lock::new().unwrap(),
            ring: Array::zeroed(PUT + 1).unwrap(),
        }
    }

    fn put(&self, item: u32) {
        self.free.acquire().unwrap().forget();
        {
            let _guard = self.lock.acquire().unwrap();
            let put = self.ring.get(PUT).unwrap();
            self.ring.set((put % ROOM) as usize, item).unwrap();
            self.ring.set(PUT, put + 1).unwrap();
        }
        self.filled.release().unwrap();
    }

    /// Takes an item; `note` is called while it is taken and still there. The news of a death means nothing here: to take one
    /// is one step.
    fn take(&self, note: impl FnOnce(u32)) {
        self.filled.acquire().unwrap().forget();
        self.take_signalled(note);
    }

    fn take_signalled(&self, note: impl FnOnce(u32)) {
        {
            let _guard = match self.lock.acquire() {
                Ok(guard) => guard,
                Err(AcquireError::OwnerDied(news)) => news.repaired(),
                Err(AcquireError::Failed(error)) => panic!("{error}"),
            };
            let taken = self.ring.get(TAKEN).unwrap();
            note(self.ring.get((taken % ROOM) as usize).unwrap());
            self.ring.set(TAKEN, taken + 1).unwrap();
        }
        self.free.release().unwrap();
    }

    /// After a death: signals are given again that were taken and came to nothing. Nobody else is at work.
    fn repair(&self) {
        if let Err(AcquireError::OwnerDied(news)) = self.lock.acquire() {
            drop(news.repaired());
        }
        // Of the array's own lock.
        if let Err(AcquireError::OwnerDied(news)) = self.ring.lock() {
            drop(news.repaired());
        }
        let (taken, put) = (self.ring.get(TAKEN).unwrap(), self.ring.get(PUT).unwrap());
        let there = put - taken;
        let rest = ROOM - there;
        assert!(self.filled.value() <= there, "a signal for nothing");
        assert!(self.free.value() <= rest, "room that is not there");
        while self.filled.value() < there {
            self.filled.release().unwrap();
        }
        while self.free.value() < rest {
            self.free.release().unwrap();
        }
    }
}

/// Notes in the number of each item that it was taken.
fn consumes(buffer: Buffer, numbers: RemoteNumbers) {
    let numbers = numbers.open();
    loop {
        buffer.take(|item| numbers.set(item as usize, u64::from(item)));
    }
}

/// A consumer is killed while it waits, and one between the signal and the item: a new one goes on.
fn bounded_buffer() {
    let (buffer, numbers, here) = (Buffer::new(), Numbers::new(), Gate::new());
    let consumer = || start(consumes, (buffer.clone(), numbers.remote()));
    let first = consumer();
    (1..=10).for_each(|item| buffer.put(item));
    while buffer.free.value() < ROOM {
        std::thread::yield_now();
    }
    asleep(pid_of(&first));
    kill_and_join(&first);
    assert_eq!((buffer.filled.value(), buffer.free.value()), (0, ROOM));

    let takes_a_signal = |buffer: Buffer, here: RemoteGate| {
        buffer.filled.acquire().unwrap().forget();
        here.open(1);
        Gate::new().wait();
    };
    let second = start(takes_a_signal, (buffer.clone(), here.remote()));
    (11..=14).for_each(|item| buffer.put(item));
    here.wait();
    kill_and_join(&second);
    assert_eq!((buffer.filled.value(), buffer.free.value()), (3, 0));
    buffer.repair();
    assert_eq!((buffer.filled.value(), buffer.free.value()), (4, 0));
    let third = consumer();
    (15..=40).for_each(|item| buffer.put(item));
    while buffer.free.value() < ROOM {
        std::thread::yield_now();
    }
    kill_and_join(&third);
    (1..=40_u32).for_each(|item| assert_eq!(numbers.get(item as usize), u64::from(item)));
    assert_eq!(numbers.get(41), 0);
}

/// Consumers are killed anywhere.
fn bounded_buffer_storm() {
    let (buffer, numbers) = (Buffer::new(), Numbers::new());
    let (mut put, mut signals) = (0, 0);
    for round in 0..scaled(60).min(1000) {
        let consumer = start(consumes, (buffer.clone(), numbers.remote()));
        for _ in 0..round % 7 + 1 {
            put += 1;
            buffer.put(put);
        }
        kill_and_join(&consumer);
        let before = buffer.filled.value();
        buffer.repair();
        signals += buffer.filled.value() - before;
    }
    let last = start(consumes, (buffer.clone(), numbers.remote()));
    while buffer.free.value() < ROOM {
        std::thread::yield_now();
    }
    kill_and_join(&last);
    println!("{put} items; {signals} signals died with their takers");
    (1..=put).for_each(|item| assert_eq!(numbers.get(item as usize), u64::from(item)));
}
