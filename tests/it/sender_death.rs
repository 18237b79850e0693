//! Ends of a queue whose processes are killed where it matters: asleep in the verb, together, stopped, with their parents.

use crate::kit::{asleep, kill_and_join, kill_and_wait, lives, pid_of, start, stop_and_wait};
use crate::runner::{Case, Gate, RemoteGate, case, scaled};
use crate::ways::{each, fine, named, start_by};
use multiproc::{
    GetError, Process, PutError, Queue, Receiver, Sender, TryGetError, TryPutError, arena,
};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::time::Duration;

pub(crate) fn tests() -> Vec<Case> {
    vec![
        case("sender_death::asleep_in_send", asleep_in_send),
        case("sender_death::asleep_in_recv", asleep_in_recv),
        case("sender_death::all_at_once", all_at_once),
        case("sender_death::parent_dead_too", parent_dead_too),
        case("sender_death::detached", detached),
        case("sender_death::stopped", stopped),
        case("sender_death::receiver_stopped", receiver_stopped),
        case("sender_death::in_the_middle_of_a_batch", middle_of_a_batch),
        case("sender_death::one_after_the_other", one_after_the_other),
    ]
}

type Ends = (Sender<u64>, Receiver<u64>);

fn pair(maxsize: usize) -> Ends {
    Queue::with_maxsize(maxsize).unwrap().split().unwrap()
}

/// Sends until nobody is left who would receive.
fn sends(sender: Sender<u64>) {
    for number in 0.. {
        if let Err(PutError::Disconnected(_)) = sender.send(number) {
            return;
        }
    }
}

/// Receives until nobody is left who would send; says how many.
fn receives(receiver: Receiver<u64>, counts: Queue<usize>) {
    let count = receiver.iter().map(Result::unwrap).count();
    counts.put(count).unwrap();
}

/// Says that it has it, and keeps it for ever.
fn keeps<T>(_kept: T, here: RemoteGate) {
    here.open(1);
    Gate::new().wait();
}

#[track_caller]
fn senders_are_gone(receiver: &Receiver<u64>) {
    assert!(matches!(receiver.recv(), Err(GetError::Disconnected)));
    let now = receiver.try_recv();
    assert!(matches!(now, Err(TryGetError::Disconnected)));
}

/// The only sender is killed while the queue is full: what it had sent comes, then the end.
fn asleep_in_send() {
    let before = arena::usage().unwrap();
    each(|way| {
        for _ in 0..scaled(5) {
            let (sender, receiver) = pair(2);
            let process = start_by(way, sends, (sender,));
            while !receiver.is_full() {
                std::thread::yield_now();
            }
            asleep(pid_of(&process));
            kill_and_join(&process);
            let got: Vec<_> = receiver.iter().map(Result::unwrap).collect();
            assert_eq!(got, [0, 1]);
            senders_are_gone(&receiver);
        }
    });
    assert_eq!(arena::usage().unwrap(), before);
}

/// The only receiver is killed in its sleep: a queue that has room is no good any more.
fn asleep_in_recv() {
    each(|way| {
        for _ in 0..scaled(5) {
            let (sender, receiver) = pair(0);
            let process = start_by(way, receives, (receiver, Queue::new().unwrap()));
            asleep(pid_of(&process));
            kill_and_join(&process);
            let sent = sender.send(1);
            assert!(matches!(sent, Err(PutError::Disconnected(1))), "{sent:?}");
        }
    });
}

/// Three senders die in one instant, and three receivers sleep: each is told once, and ends.
fn all_at_once() {
    for _ in 0..scaled(10) {
        let (sender, receiver) = pair(0);
        let (counts, here) = (Queue::new().unwrap(), Gate::new());
        let keepers = [(); 3].map(|()| start(keeps, (sender.clone(), here.remote())));
        let receivers = [(); 3].map(|()| start(receives, (receiver.clone(), counts.clone())));
        (0..3).for_each(|_| here.wait());
        sender.send(1).unwrap();
        drop(sender);
        receivers.iter().for_each(|process| asleep(pid_of(process)));
        keepers.iter().for_each(|process| process.kill().unwrap());
        receivers.iter().for_each(fine);
        let counts: usize = (0..3).map(|_| counts.get().unwrap()).sum();
        assert_eq!(counts, 1);
        for process in keepers {
            assert_eq!(process.join().unwrap(), -9);
        }
    }
}

/// A process whose child has the sender.
fn parent(sender: Sender<u64>, way: String, here: RemoteGate) {
    let _child = start_by(named(&way), keeps, (sender, here));
    Gate::new().wait();
}

/// The child dies with its parent, so nobody asks for either.
fn parent_dead_too() {
    each(|way| {
        let ((sender, receiver), here) = (pair(0), Gate::new());
        let process = start(parent, (sender, way.to_string(), here.remote()));
        here.wait();
        kill_and_join(&process);
        senders_are_gone(&receiver);
    });
}

/// A process that leaves a detached child behind, with the sender.
fn leaves_one_behind(sender: Sender<u64>, way: String, here: RemoteGate, pids: Queue<i32>) {
    let builder = Process::builder(keeps, (sender, here)).start_method(named(&way));
    let child = builder.detach().start().unwrap();
    pids.put(pid_of(&child).as_raw()).unwrap();
}

fn detached() {
    each(|way| {
        let ((sender, receiver), here) = (pair(0), Gate::new());
        let pids = Queue::new().unwrap();
        let arguments = (sender, way.to_string(), here.remote(), pids.clone());
        fine(&start(leaves_one_behind, arguments));
        here.wait();
        let pid = Pid::from_raw(pids.get().unwrap());
        assert!(lives(pid));
        assert!(matches!(receiver.try_recv(), Err(TryGetError::Empty)));
        kill_and_wait(pid);
        senders_are_gone(&receiver);
    });
}

/// It may send again one day.
fn stopped() {
    let (sender, receiver) = pair(1);
    let process = start(sends, (sender,));
    asleep(pid_of(&process));
    stop_and_wait(pid_of(&process));
    assert_eq!(receiver.recv().unwrap(), 0);
    let short = Duration::from_millis(60);
    for _ in 0..3 {
        let nothing = receiver.recv_timeout(short);
        assert!(matches!(nothing, Err(TryGetError::Empty)), "{nothing:?}");
    }
    kill(pid_of(&process), Signal::SIGCONT).unwrap();
    assert_eq!(receiver.recv().unwrap(), 1);
    drop(receiver);
    fine(&process);
}

fn receiver_stopped() {
    let ((sender, receiver), counts) = (pair(1), Queue::new().unwrap());
    let process = start(receives, (receiver, counts.clone()));
    asleep(pid_of(&process));
    stop_and_wait(pid_of(&process));
    let short = Duration::from_millis(60);
    sender.send(0).unwrap();
    for _ in 0..3 {
        let full = sender.send_timeout(1, short);
        assert!(matches!(full, Err(TryPutError::Full(1))), "{full:?}");
    }
    kill(pid_of(&process), Signal::SIGCONT).unwrap();
    sender.send(1).unwrap();
    drop(sender);
    fine(&process);
    assert_eq!(counts.get().unwrap(), 2);
}

/// What a batch had brought in comes, and then the end.
fn middle_of_a_batch() {
    let sends = |sender: Sender<u64>| sender.send_many(0..100).unwrap();
    each(|way| {
        let (sender, receiver) = pair(10);
        let process = start_by(way, sends, (sender,));
        let mut got: Vec<_> = (0..25).map(|_| receiver.recv().unwrap()).collect();
        asleep(pid_of(&process));
        kill_and_join(&process);
        got.extend(receiver.iter().map(Result::unwrap));
        assert_eq!(got.len(), 35);
        assert!(got.iter().copied().eq(0..35));
        senders_are_gone(&receiver);
    });
}

/// A sender goes from one process to its child, and that one is killed when it has handed it on: the queue ends with the last.
fn one_after_the_other() {
    let (sender, receiver) = pair(0);
    let (here, mut own) = (Gate::new(), Some(sender));
    let mut last: Option<Process> = None;
    for round in 0..scaled(20) {
        let sender = own.take();
        let carrier = Queue::new().unwrap();
        let passes = |carrier: Queue<Sender<u64>>, number: u64, here: RemoteGate| {
            let sender = carrier.get().unwrap();
            sender.send(number).unwrap();
            carrier.put(sender.clone()).unwrap();
            keeps(sender, here);
        };
        let next = start(passes, (carrier.clone(), u64::from(round), here.remote()));
        carrier.put(sender.unwrap()).unwrap();
        here.wait();
        own = Some(carrier.get().unwrap());
        if let Some(last) = last.replace(next) {
            kill_and_join(&last);
        }
    }
    drop(own);
    let rounds = u64::from(scaled(20));
    (0..rounds).for_each(|number| assert_eq!(receiver.recv().unwrap(), number));
    assert!(matches!(receiver.try_recv(), Err(TryGetError::Empty)));
    kill_and_join(&last.unwrap());
    senders_are_gone(&receiver);
}
