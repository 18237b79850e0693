//! Barriers whose holders die: a round that is filling breaks, one that is complete does not.

use crate::kit::{
    asleep, kill_and_join, kill_and_wait, pid_of, say_and_wait, start, stop_and_wait,
};
use crate::runner::{Case, Gate, RemoteGate, case, scaled};
use crate::ways::{fine, start_by};
use multiproc::{Barrier, ErrorKind, Event, Process, Queue, StartMethod};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::mem::ManuallyDrop;
use std::time::Duration;

pub(crate) fn tests() -> Vec<Case> {
    vec![
        case("barrier_death::waiting_one_killed", waiting_one_killed),
        case("barrier_death::other_holder_killed", other_holder_killed),
        case("barrier_death::ends_that_break", ends_that_break),
        case("barrier_death::exit_0_breaks_nothing", exit_0),
        case(
            "barrier_death::exit_0_while_a_thread_waits",
            exit_0_in_a_wait,
        ),
        case("barrier_death::killed_between_rounds", between_rounds),
        case("barrier_death::killed_after_its_round", after_its_round),
        case("barrier_death::action_dies", action_dies),
        case("barrier_death::not_reaped", not_reaped),
        case("barrier_death::stopped", stopped),
        case("barrier_death::handle_given_back", handle_given_back),
        case("barrier_death::captured_by_a_fork", captured_by_a_fork),
    ]
}

/// In a process: passes, or says by its exit code that the barrier is broken.
#[expect(clippy::disallowed_methods, reason = "the exit code is the answer")]
fn passes(barrier: Barrier) {
    match barrier.wait() {
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::BrokenBarrier => std::process::exit(7),
        Err(error) => panic!("{error}"),
    }
}

/// A process that waits at the barrier, asleep.
fn waiter(barrier: &Barrier) -> Process {
    let others = barrier.n_waiting();
    let process = start(passes, (barrier.clone(),));
    while barrier.n_waiting() == others {
        std::thread::yield_now();
    }
    asleep(pid_of(&process));
    process
}

/// A process that has the barrier and does nothing with it, and the gate that lets it go.
fn bystander(barrier: &Barrier) -> (Process, Gate) {
    let holds = |_barrier: Barrier, here: RemoteGate, there: RemoteGate| say_and_wait(here, there);
    let (here, there) = (Gate::new(), Gate::new());
    let arguments = (barrier.clone(), here.remote(), there.remote());
    let process = start(holds, arguments);
    here.wait();
    (process, there)
}

#[track_caller]
fn is_broken(barrier: &Barrier) {
    let error = barrier.wait().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BrokenBarrier);
    assert!(barrier.broken());
    assert_eq!(barrier.n_waiting(), 0);
}

/// A round of this process and as many others as are missing.
#[track_caller]
fn works(barrier: &Barrier) {
    assert!(!barrier.broken());
    let others: Vec<_> = (1..barrier.parties())
        .map(|_| start(passes, (barrier.clone(),)))
        .collect();
    barrier.wait().unwrap();
    for other in others {
        assert_eq!(other.join().unwrap(), 0);
    }
}

/// The others hear of it; a reset makes the barrier whole.
#[track_caller]
fn breaks_and_is_reset(barrier: &Barrier) {
    is_broken(barrier);
    barrier.reset().unwrap();
    works(barrier);
}

fn waiting_one_killed() {
    let barrier = Barrier::new(3).unwrap();
    for round in 0..scaled(10) as usize {
        let mut waiters = vec![waiter(&barrier), waiter(&barrier)];
        kill_and_join(&waiters.remove(round % 2));
        assert_eq!(waiters[0].join().unwrap(), 7);
        breaks_and_is_reset(&barrier);
    }
}

/// It never came to the barrier, and might have: nobody may wait for it.
fn other_holder_killed() {
    let barrier = Barrier::new(3).unwrap();
    for _ in 0..scaled(10) {
        let (other, _there) = bystander(&barrier);
        let waiters = [waiter(&barrier), waiter(&barrier)];
        assert_eq!(barrier.n_waiting(), 2);
        kill_and_join(&other);
        for waiter in waiters {
            assert_eq!(waiter.join().unwrap(), 7);
        }
        breaks_and_is_reset(&barrier);
    }
}

/// An exit code that is not 0, a panic, an abort.
#[expect(clippy::disallowed_methods, reason = "how it ends is the test")]
fn ends_that_break() {
    let barrier = Barrier::new(2).unwrap();
    let ends = |barrier: Barrier, there: RemoteGate, how: i32| {
        // A panic drops what is on its way out: who has no handle any more does not count.
        let _kept = ManuallyDrop::new(barrier);
        there.wait();
        match how {
            1 => panic!("on purpose"),
            -6 => std::process::abort(),
            code => std::process::exit(code),
        }
    };
    for how in [3, 1, -6] {
        let there = Gate::new();
        let process = start(ends, (barrier.clone(), there.remote(), how));
        let waiter = waiter(&barrier);
        there.open(1);
        assert_eq!(process.join().unwrap(), how);
        assert_eq!(waiter.join().unwrap(), 7);
        breaks_and_is_reset(&barrier);
    }
}

/// Somebody who has done its work and goes: a round that is filling goes on without it.
#[expect(clippy::disallowed_methods, reason = "how it ends is the test")]
fn exit_0() {
    let barrier = Barrier::new(2).unwrap();
    let (returns, there) = bystander(&barrier);
    let waiter = waiter(&barrier);
    there.open(1);
    fine(&returns);
    let exits = |_barrier: Barrier| std::process::exit(0);
    fine(&start(exits, (barrier.clone(),)));
    assert!(!barrier.broken() && waiter.is_alive());
    assert_eq!(barrier.n_waiting(), 1);
    barrier.wait().unwrap();
    fine(&waiter);
    works(&barrier);
}

/// A process with a thread at the barrier leaves with 0: that one does not come any more.
#[expect(clippy::disallowed_methods, reason = "how it ends is the test")]
fn exit_0_in_a_wait() {
    let barrier = Barrier::new(3).unwrap();
    let leaves = |barrier: Barrier, there: RemoteGate| {
        std::thread::spawn(move || barrier.wait());
        there.wait();
        std::process::exit(0);
    };
    let there = Gate::new();
    let process = start(leaves, (barrier.clone(), there.remote()));
    let waiter = waiter(&barrier);
    while barrier.n_waiting() < 2 {
        std::thread::yield_now();
    }
    there.open(1);
    assert_eq!(process.join().unwrap(), 0);
    assert_eq!(waiter.join().unwrap(), 7);
    breaks_and_is_reset(&barrier);
}

/// Nobody waits when it dies, so nobody is told.
fn between_rounds() {
    let barrier = Barrier::new(2).unwrap();
    for _ in 0..scaled(5) {
        let (other, _there) = bystander(&barrier);
        kill_and_join(&other);
        works(&barrier);
        let (other, _there) = bystander(&barrier);
        works(&barrier);
        kill_and_join(&other);
        works(&barrier);
    }
}

/// Who dies right after its round was complete has been there, also for those who have not looked yet.
fn after_its_round() {
    let barrier = Barrier::new(3).unwrap();
    let last = |barrier: Barrier| {
        barrier.wait().unwrap();
        kill(Pid::this(), Signal::SIGKILL).unwrap();
    };
    for _ in 0..scaled(50) {
        let waiters = [waiter(&barrier), waiter(&barrier)];
        // One stands still until the dead one is joined.
        stop_and_wait(pid_of(&waiters[0]));
        let dies = start(last, (barrier.clone(),));
        assert_eq!(dies.join().unwrap(), -9);
        kill(pid_of(&waiters[0]), Signal::SIGCONT).unwrap();
        waiters.iter().for_each(fine);
        assert!(!barrier.broken());
        assert_eq!(barrier.n_waiting(), 0);
    }
}

/// The last to come dies in the action: the round is not complete.
fn action_dies() {
    let suicide = || kill(Pid::this(), Signal::SIGKILL).unwrap();
    let barrier = Barrier::builder(2).action(suicide).build().unwrap();
    let first = waiter(&barrier);
    let last = start(passes, (barrier.clone(),));
    assert_eq!(last.join().unwrap(), -9);
    assert_eq!(first.join().unwrap(), 7);
    is_broken(&barrier);
}

/// A process starts another one that waits at the barrier, and does not ask for its end before it is told.
fn negligent(barrier: Barrier, pids: Queue<i32>, there: RemoteGate) {
    let child = start_by(StartMethod::Fork, passes, (barrier,));
    pids.put(pid_of(&child).as_raw()).unwrap();
    there.wait();
    assert_eq!(child.join().unwrap(), -9);
}

/// Nobody reaps the dead one: those who wait find out by themselves.
fn not_reaped() {
    let (barrier, pids, there) = (Barrier::new(4).unwrap(), Queue::new().unwrap(), Gate::new());
    let parent = start(negligent, (barrier.clone(), pids.clone(), there.remote()));
    let child = Pid::from_raw(pids.get().unwrap());
    let waiter = waiter(&barrier);
    while barrier.n_waiting() < 2 {
        std::thread::yield_now();
    }
    kill_and_wait(child);
    assert_eq!(waiter.join().unwrap(), 7);
    is_broken(&barrier);
    there.open(1);
    fine(&parent);
    barrier.reset().unwrap();
    works(&barrier);
}

/// A stopped one is waited for.
fn stopped() {
    let barrier = Barrier::new(3).unwrap();
    let (other, there) = bystander(&barrier);
    let waiters = [waiter(&barrier), waiter(&barrier)];
    stop_and_wait(pid_of(&waiters[0]));
    stop_and_wait(pid_of(&other));
    // Longer than the slices after which a waiter looks around.
    let never = Event::new().unwrap();
    for _ in 0..4 {
        assert!(!never.wait_timeout(Duration::from_millis(60)).unwrap());
        assert!(!barrier.broken() && waiters[1].is_alive());
        assert_eq!(barrier.n_waiting(), 2);
    }
    barrier.wait().unwrap();
    kill(pid_of(&waiters[0]), Signal::SIGCONT).unwrap();
    waiters.iter().for_each(fine);
    kill(pid_of(&other), Signal::SIGCONT).unwrap();
    there.open(1);
    fine(&other);
    works(&barrier);
}

/// A process that had the barrier once, and has dropped it, is nobody to wait for.
fn handle_given_back() {
    let barrier = Barrier::new(2).unwrap();
    let drops = |barrier: Barrier, here: RemoteGate| {
        drop(barrier);
        here.open(1);
        Gate::new().wait();
    };
    let here = Gate::new();
    let process = start(drops, (barrier.clone(), here.remote()));
    here.wait();
    let waiter = waiter(&barrier);
    kill_and_join(&process);
    assert!(!barrier.broken() && waiter.is_alive());
    barrier.wait().unwrap();
    fine(&waiter);
}

/// A copy in a forked child is a handle like any other.
fn captured_by_a_fork() {
    let barrier = Barrier::new(3).unwrap();
    let (copy, here) = (barrier.clone(), Gate::new());
    let gate = here.remote();
    let mut fork = Process::fork(move || {
        let _copy = copy;
        gate.open(1);
        Gate::new().wait();
    });
    fork.start().unwrap();
    here.wait();
    let waiters = [waiter(&barrier), waiter(&barrier)];
    kill_and_join(&fork);
    for waiter in waiters {
        assert_eq!(waiter.join().unwrap(), 7);
    }
    breaks_and_is_reset(&barrier);
}
