//! The end of a connection: whichever way one end goes, the other hears of it, after all that was sent, and at once.

use crate::kit::{fork_behind_our_back, kind, leave};
use crate::runner::{Case, Gate, RemoteGate, case, scaled};
use crate::sleepers::sleeper;
use crate::ways::{WAYS, each, fine, start_by};
use multiproc::{Connection, ErrorKind, Pipe, Process, wait};
use nix::sys::wait::waitpid;
use serde::de::DeserializeOwned;
use std::time::Duration;

pub(crate) fn tests() -> Vec<Case> {
    vec![
        case("connection_ends::dropped", dropped),
        case(
            "connection_ends::what_was_sent_is_received_first",
            sent_before,
        ),
        case("connection_ends::sleepers_are_told", sleepers_are_told),
        case("connection_ends::a_sender_that_waits_is_told", sender_told),
        case("connection_ends::sent_at_an_end_that_is_gone", nobody_reads),
        case("connection_ends::a_child_returns", child_returns),
        case("connection_ends::a_child_leaves", child_leaves),
        case(
            "connection_ends::the_parents_copy_does_not_count",
            parents_copy,
        ),
        case("connection_ends::a_parent_that_closes_at_once", spawn_close),
        case("connection_ends::siblings_have_copies", siblings),
        case(
            "connection_ends::siblings_by_every_way",
            siblings_by_every_way,
        ),
        case(
            "connection_ends::forks_of_others_have_copies",
            foreign_forks,
        ),
        case("connection_ends::captured_and_never_started", never_started),
        case("connection_ends::sent_elsewhere_and_still_open", moved),
    ]
}

/// Every verb says that nobody is there any more, as often as it is asked.
#[track_caller]
pub(crate) fn is_over<S, R: DeserializeOwned + std::fmt::Debug + 'static>(
    connection: &Connection<S, R>,
) {
    let gone = ErrorKind::Disconnected;
    for _ in 0..2 {
        assert!(connection.poll().unwrap());
        assert!(connection.poll_timeout(Duration::MAX).unwrap());
        assert_eq!(kind(connection.recv()), gone);
        assert_eq!(kind(connection.try_recv()), gone);
        assert_eq!(kind(connection.recv_timeout(Duration::MAX)), gone);
        assert_eq!(kind(connection.recv_bytes()), gone);
        assert_eq!(kind(connection.recv_bytes_max(5)), gone);
        assert_eq!(kind(connection.recv_bytes_timeout(Duration::MAX)), gone);
        assert!(connection.recv_bytes_into(&mut [0; 5]).is_err());
        assert_eq!(wait(&[connection], None).unwrap(), [0]);
    }
}

fn pair() -> (Connection<u32>, Connection<u32>) {
    Pipe::new().unwrap()
}

fn dropped() {
    let (left, right) = pair();
    drop(left);
    is_over(&right);
    let (mut left, right) = pair();
    left.close();
    is_over(&right);
    drop(left);
    is_over(&right);
    let (reader, writer) = Pipe::<u32>::one_way().unwrap();
    drop(writer);
    is_over(&reader);
    let (left, right) = pair();
    let panics = std::thread::spawn(move || {
        let _left = left;
        panic!("a panic of this test");
    });
    is_over_soon(&right);
    panics.join().unwrap_err();
}

#[track_caller]
fn is_over_soon(connection: &Connection<u32>) {
    assert_eq!(kind(connection.recv()), ErrorKind::Disconnected);
    is_over(connection);
}

fn sent_before() {
    let (left, right) = pair();
    (0..100).for_each(|number| left.send(&number).unwrap());
    left.send_bytes(&[]).unwrap();
    drop(left);
    for number in 0..100 {
        assert_eq!(right.recv().unwrap(), number);
    }
    assert!(right.recv_bytes().unwrap().is_empty());
    is_over(&right);
    // Also if it has not read what was sent to it.
    let (left, right) = pair();
    right.send(&0).unwrap();
    left.send(&1).unwrap();
    left.send_bytes(&[5; 70_000]).unwrap();
    drop(left);
    assert_eq!(right.recv().unwrap(), 1);
    assert_eq!(right.recv_bytes().unwrap(), [5; 70_000]);
    is_over(&right);
}

fn sleepers_are_told() {
    let verbs: [fn(&Connection<u32>); 5] = [
        |end| assert_eq!(kind(end.recv()), ErrorKind::Disconnected),
        |end| {
            assert_eq!(
                kind(end.recv_timeout(Duration::MAX)),
                ErrorKind::Disconnected
            )
        },
        |end| assert_eq!(kind(end.recv_bytes()), ErrorKind::Disconnected),
        |end| assert!(end.poll_timeout(Duration::MAX).unwrap()),
        |end| assert_eq!(wait(&[end], None).unwrap(), [0]),
    ];
    for verb in verbs {
        for _ in 0..scaled(10) {
            let (left, right) = pair();
            std::thread::scope(|scope| {
                let waits = sleeper(scope, move || verb(&right));
                drop(left);
                waits.join().unwrap();
            });
        }
    }
}

/// It fills what is between them, and sleeps.
fn sender_told() {
    let verbs: [fn(&Connection<u32>); 3] = [
        |end| while end.send(&1).is_ok() {},
        |end| while end.send_timeout(&1, Duration::MAX).is_ok() {},
        |end| while end.send_bytes(&[0; 1 << 20]).is_ok() {},
    ];
    for verb in verbs {
        let (left, right) = pair();
        std::thread::scope(|scope| {
            let sends = sleeper(scope, move || {
                verb(&left);
                assert_eq!(kind(left.send(&1)), ErrorKind::Disconnected);
            });
            drop(right);
            sends.join().unwrap();
        });
    }
}

/// An error and no signal, for bytes and values, small and large.
fn nobody_reads() {
    let (left, right) = pair();
    drop(right);
    for _ in 0..3 {
        let gone = ErrorKind::Disconnected;
        assert_eq!(kind(left.send(&1)), gone);
        assert_eq!(kind(left.send_timeout(&1, Duration::ZERO)), gone);
        assert_eq!(kind(left.send_bytes(b"")), gone);
        assert_eq!(kind(left.send_bytes(&[0; 1 << 20])), gone);
        assert_eq!(kind(left.send_fd(std::io::stdin())), gone);
    }
    // There is something that the other end has not read.
    let (left, right) = pair();
    left.send(&1).unwrap();
    drop(right);
    assert_eq!(kind(left.send(&1)), ErrorKind::Disconnected);
    assert!(left.poll().unwrap());
}

fn sends_three(end: Connection<u32>) {
    (0..3).for_each(|number| end.send(&number).unwrap());
}

#[track_caller]
fn three_and_the_end(end: &Connection<u32>) {
    for number in 0..3 {
        assert_eq!(end.recv().unwrap(), number);
    }
    is_over_soon(end);
}

fn child_returns() {
    each(|way| {
        let (left, right) = pair();
        let child = start_by(way, sends_three, (left,));
        three_and_the_end(&right);
        fine(&child);
    });
    let (left, right) = pair();
    let mut child = Process::fork(move || sends_three(left));
    child.start().unwrap();
    three_and_the_end(&right);
    fine(&child);
}

/// Without destructors.
fn child_leaves() {
    let leaves = |end: Connection<u32>| {
        sends_three_by(&end);
        leave(7);
    };
    each(|way| {
        let (left, right) = pair();
        let child = start_by(way, leaves, (left,));
        three_and_the_end(&right);
        assert_eq!(child.join().unwrap(), 7);
    });
}

fn sends_three_by(end: &Connection<u32>) {
    (0..3).for_each(|number| end.send(&number).unwrap());
}

/// The parent's handle of the process lives, and with it whatever it keeps of the arguments or the closure.
fn parents_copy() {
    let gate = Gate::new();
    let waits = |end: Connection<u32>, gate: RemoteGate| {
        gate.wait();
        drop(end);
    };
    for way in WAYS {
        let (left, right) = pair();
        let child = start_by(way, waits, (left, gate.remote()));
        assert_eq!(
            kind(right.recv_timeout(Duration::from_millis(5))),
            ErrorKind::TimedOut
        );
        gate.open(1);
        is_over_soon(&right);
        fine(&child);
    }
    let (left, right) = pair();
    let remote = gate.remote();
    let mut child = Process::fork(move || waits(left, remote));
    child.start().unwrap();
    assert_eq!(
        kind(right.recv_timeout(Duration::from_millis(5))),
        ErrorKind::TimedOut
    );
    gate.open(1);
    // Nobody has joined it: the parent still has the closure.
    is_over_soon(&right);
    fine(&child);
}

/// The parent needs its own end no longer than the start.
fn spawn_close() {
    let echoes = |end: Connection<u32>| {
        while let Ok(number) = end.recv() {
            end.send(&(number + 1)).unwrap();
        }
    };
    each(|way| {
        let (left, right) = pair();
        let child = start_by(way, echoes, (left,));
        right.send(&1).unwrap();
        assert_eq!(right.recv().unwrap(), 2);
        drop(right);
        fine(&child);
    });
}

/// Each has its end, and copies of those that were made before; the end of one is heard although all the others live and nobody joins.
fn siblings() {
    let gate = Gate::new();
    let mut peers = Vec::new();
    let mut children = Vec::new();
    for number in 0..4 {
        let (left, right) = pair();
        let remote = gate.remote();
        let mut child = Process::fork(move || {
            left.send(&number).unwrap();
            remote.wait();
            drop(left);
        });
        child.start().unwrap();
        assert_eq!(right.recv().unwrap(), number);
        peers.push(right);
        children.push(child);
    }
    for (number, (peer, child)) in peers.iter().zip(&children).enumerate() {
        assert!(!peer.poll().unwrap(), "{number} has ended");
        child.kill().unwrap();
        is_over_soon(peer);
    }
    for child in children {
        assert_eq!(child.join().unwrap(), -9);
    }
}

fn waits_with(end: Connection<u32>, gate: RemoteGate) {
    end.send(&1).unwrap();
    gate.wait();
}

/// Siblings of every kind are made while the parent has both ends, or the one that stays.
fn siblings_by_every_way() {
    let gate = Gate::new();
    for way in WAYS {
        for brother in WAYS {
            let (left, right) = pair();
            let early = start_by(brother, RemoteGate::wait, (gate.remote(),));
            let child = start_by(way, waits_with, (left, gate.remote()));
            let late = start_by(brother, RemoteGate::wait, (gate.remote(),));
            let mut copy = Process::fork({
                let gate = gate.remote();
                move || gate.wait()
            });
            copy.start().unwrap();
            assert_eq!(right.recv().unwrap(), 1);
            assert!(!right.poll().unwrap());
            child.kill().unwrap();
            is_over_soon(&right);
            gate.open(3);
            assert_eq!(child.join().unwrap(), -9);
            [&early, &late, &copy].into_iter().for_each(fine);
        }
    }
}

/// `fork` without the crate, as C libraries do: what that child does with its copies is its own affair, so an end is over when both
/// are done with it.
fn foreign_forks() {
    let (here, there) = (Gate::new(), Gate::new());
    let (left, right) = pair();
    let child = fork_behind_our_back(|| {
        here.wait();
        left.send(&2).unwrap();
        there.wait();
    });
    left.send(&1).unwrap();
    drop(left);
    assert_eq!(right.recv().unwrap(), 1);
    assert!(!right.poll().unwrap());
    here.open(1);
    assert_eq!(right.recv().unwrap(), 2);
    assert!(!right.poll().unwrap());
    there.open(1);
    is_over_soon(&right);
    waitpid(child, None).unwrap();
    // An end that was made since is nobody else's.
    let (left, right) = pair();
    drop(left);
    is_over(&right);
}

/// Then the closure is the parent's, and goes as all that it owns.
fn never_started() {
    let (left, right) = pair();
    drop(Process::fork(move || drop(left)));
    is_over(&right);
    let (left, right) = pair();
    drop(Process::new(sends_three, (left,)));
    is_over(&right);
}

/// An end that was sent away is not over; that of the sender only closes.
fn moved() {
    let (left, right) = pair();
    let (carrier, other) = Pipe::<Connection<u32>>::new().unwrap();
    carrier.send(&left).unwrap();
    drop(left);
    drop(carrier);
    assert!(!right.poll().unwrap());
    let left = other.recv().unwrap();
    left.send(&5).unwrap();
    assert_eq!(right.recv().unwrap(), 5);
    right.send(&6).unwrap();
    assert_eq!(left.recv().unwrap(), 6);
    drop(left);
    is_over(&right);
    // One that nobody took out is over when the carrier is.
    let (left, right) = pair();
    let (carrier, other) = Pipe::<Connection<u32>>::new().unwrap();
    carrier.send(&left).unwrap();
    drop(left);
    drop((carrier, other));
    is_over_soon(&right);
}
