//! Connections by odd ways: forks by hand, values without bytes, halves of messages, descriptors that nobody asked for.

use crate::connection_ends::is_over;
use crate::kit::{kind, leave, stop_and_wait};
use crate::runner::{Case, Gate, RemoteGate, case};
use crate::ways::{WAYS, each, fine, open_numbers, start_by};
use multiproc::{Connection, ErrorKind, Pipe, Process, active_children, os};
use std::io::Write as _;
use std::os::unix::net::UnixStream;
use std::time::Duration;

pub(crate) fn tests() -> Vec<Case> {
    vec![
        case("connection_odd::forked_by_hand", forked_by_hand),
        case("connection_odd::a_child_panics", child_panics),
        case(
            "connection_odd::its_handle_is_dropped_first",
            handle_dropped,
        ),
        case("connection_odd::values_without_bytes", no_bytes),
        case("connection_odd::half_a_message_stays_here", half_stays),
        case("connection_odd::the_limit_travels", limit_travels),
        case("connection_odd::not_by_another_codec", another_codec),
        case(
            "connection_odd::descriptors_that_nobody_takes",
            nobody_takes,
        ),
        case("connection_odd::a_stopped_peer_is_not_dead", stopped_peer),
        case("connection_odd::a_value_of_another_type", another_type),
        case("connection_odd::an_end_of_its_own_pair", own_pair),
        case("connection_odd::asked_and_answered_by_many", many_ask),
    ]
}

type End = Connection<u32>;

fn pair() -> (End, End) {
    Pipe::new().unwrap()
}

#[track_caller]
fn is_over_soon(end: &End) {
    assert_eq!(kind(end.recv()), ErrorKind::Disconnected);
    is_over(end);
}

/// As in C: both sides have both ends, and each closes the one that is not its own.
fn forked_by_hand() {
    for child_writes in [true, false] {
        let (reader, writer) = Pipe::<u32>::one_way().unwrap();
        #[expect(unsafe_code, reason = "os::fork is the subject")]
        // SAFETY: this process has one thread.
        let side = unsafe { os::fork() }.unwrap();
        let is_child = matches!(side, os::Fork::Child);
        if is_child == child_writes {
            drop(reader);
            writer.send(&1).unwrap();
            writer.send(&2).unwrap();
            drop(writer);
        } else {
            drop(writer);
            assert_eq!(reader.recv().unwrap(), 1);
            assert_eq!(reader.recv().unwrap(), 2);
            is_over_soon(&reader);
        }
        match side {
            os::Fork::Child => leave(0),
            os::Fork::Parent { child } => assert_eq!(os::waitpid(child).unwrap(), 0),
        }
    }
}

fn child_panics() {
    let panics = |end: End| {
        end.send(&1).unwrap();
        panic!("a panic of this test");
    };
    each(|way| {
        let (left, right) = pair();
        let child = start_by(way, panics, (left,));
        assert_eq!(right.recv().unwrap(), 1);
        is_over_soon(&right);
        assert_eq!(child.join().unwrap(), 1);
    });
}

/// The parent's part of it may go at any time.
fn handle_dropped() {
    let waits = |end: End, gate: RemoteGate| {
        gate.wait();
        end.send(&1).unwrap();
    };
    let gate = Gate::new();
    for way in WAYS {
        let (left, right) = pair();
        drop(start_by(way, waits, (left, gate.remote())));
        gate.open(1);
        assert_eq!(right.recv().unwrap(), 1);
        is_over_soon(&right);
    }
    let (left, right) = pair();
    let remote = gate.remote();
    let mut child = Process::fork(move || waits(left, remote));
    child.start().unwrap();
    drop(child);
    assert!(!right.poll().unwrap());
    gate.open(1);
    assert_eq!(right.recv().unwrap(), 1);
    is_over_soon(&right);
    // Whoever looks for children finds that it has ended; then the closure goes that was kept for it.
    while !active_children().is_empty() {
        std::thread::yield_now();
    }
}

fn no_bytes() {
    let (left, right) = Pipe::<()>::new().unwrap();
    assert_eq!(right.try_recv().unwrap(), None);
    for _ in 0..3 {
        left.send(&()).unwrap();
    }
    for _ in 0..3 {
        assert!(right.poll().unwrap());
        right.recv().unwrap();
    }
    assert!(!right.poll().unwrap());
    drop(left);
    assert_eq!(right.iter().count(), 0);
}

/// What has come of it would be lost elsewhere.
fn half_stays() {
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    let end = Connection::<String>::from_fd(ours.into()).unwrap();
    let (carrier, other) = Pipe::<Connection<String>>::new().unwrap();
    theirs.write_all(&[0, 0, 0, 6, 5, b'h']).unwrap();
    assert_eq!(end.try_recv().unwrap(), None);
    assert_eq!(kind(carrier.send(&end)), ErrorKind::Encode);
    theirs.write_all(b"ello").unwrap();
    assert_eq!(end.recv().unwrap(), "hello");
    carrier.send(&end).unwrap();
    drop(end);
    let end = other.recv().unwrap();
    theirs.write_all(&[0, 0, 0, 3, 2, b'o', b'k']).unwrap();
    assert_eq!(end.recv().unwrap(), "ok");
}

fn limit_travels() {
    let receives = |end: Connection<Vec<u8>>, gate: RemoteGate| {
        assert_eq!(end.max_message(), 100);
        assert_eq!(kind(end.recv()), ErrorKind::TooLong);
        gate.open(1);
    };
    each(|way| {
        let gate = Gate::new();
        let (left, mut right) = Pipe::<Vec<u8>>::new().unwrap();
        right.set_max_message(100);
        let child = start_by(way, receives, (right, gate.remote()));
        left.send(&vec![1; 1000]).unwrap();
        gate.wait();
        fine(&child);
    });
}

/// Only this crate's messages carry descriptors. Nothing has moved, so the end is ours.
fn another_codec() {
    let (left, right) = pair();
    postcard::to_allocvec(&left).unwrap_err();
    postcard::from_bytes::<End>(&[0, 1, 1, 5]).unwrap_err();
    left.send(&1).unwrap();
    assert_eq!(right.recv().unwrap(), 1);
    drop(left);
    is_over(&right);
}

/// They are closed, and the numbers are free again.
fn nobody_takes() {
    let (carrier, other) = Pipe::<Vec<End>>::new().unwrap();
    let before = open_numbers();
    for round in 0..6 {
        let (lefts, rights): (Vec<End>, Vec<End>) = (0..10).map(|_| pair()).unzip();
        carrier.send(&lefts).unwrap();
        drop(lefts);
        match round {
            0 => drop(other.recv_bytes().unwrap()),
            1 => drop(other.recv_bytes_into(&mut [0; 4096]).unwrap()),
            2 => drop(other.recv_bytes_into(&mut []).unwrap_err()),
            3 => drop(other.recv_bytes_timeout(Duration::MAX).unwrap()),
            4 => drop(other.try_recv().unwrap()),
            _ => drop(other.recv_bytes_max(4096).unwrap()),
        }
        rights.iter().for_each(is_over_soon);
    }
    assert_eq!(open_numbers(), before);
    // One that was sent by hand, where a message is wanted.
    let (left, right) = pair();
    let sent = std::io::pipe().unwrap();
    left.send_fd(&sent.0).unwrap();
    drop((left, sent));
    assert_eq!(kind(right.recv()), ErrorKind::Disconnected);
    drop(right);
    assert_eq!(open_numbers(), before);
}

fn stopped_peer() {
    let echoes = |end: End| {
        while let Ok(number) = end.recv() {
            end.send(&number).unwrap();
        }
    };
    let (left, right) = pair();
    let child = start_by(WAYS[0], echoes, (left,));
    right.send(&1).unwrap();
    assert_eq!(right.recv().unwrap(), 1);
    stop_and_wait(crate::kit::pid_of(&child));
    right.send(&2).unwrap();
    let late = right.recv_timeout(Duration::from_millis(20));
    assert_eq!(kind(late), ErrorKind::TimedOut);
    let pid = crate::kit::pid_of(&child);
    nix::sys::signal::kill(pid, nix::sys::signal::SIGCONT).unwrap();
    assert_eq!(right.recv().unwrap(), 2);
    drop(right);
    fine(&child);
}

/// The types are the word of those who made the ends. What does not fit is an error.
fn another_type() {
    let (carrier, other) = Pipe::<Connection<u32>, ()>::new().unwrap();
    let other = other.cast::<(), Connection<String>>();
    let (left, right) = pair();
    carrier.send(&left).unwrap();
    drop(left);
    let strings = other.recv().unwrap();
    right.send(&0x0102_0304).unwrap();
    assert_eq!(kind(strings.recv()), ErrorKind::Decode);
    strings.send_bytes(&[7]).unwrap();
    assert_eq!(right.recv().unwrap(), 7);
    // A message with descriptors, where one without is wanted.
    let other = other.cast::<(), String>();
    let (left, right) = pair();
    carrier.send(&left).unwrap();
    drop(left);
    assert_eq!(kind(other.recv()), ErrorKind::Decode);
    is_over_soon(&right);
}

/// Both ends of a pair through the pair itself leave nobody who could receive: all is over, and nothing hangs.
fn own_pair() {
    #[derive(serde::Serialize, serde::Deserialize)]
    struct Ends(Vec<Connection<Ends>>);
    let before = open_numbers();
    let (left, right) = Pipe::<Ends>::new().unwrap();
    let (other, peer) = pair();
    let both = left.cast::<(Vec<Connection<Ends>>, Option<End>), Ends>();
    both.send(&(vec![right], Some(other))).unwrap();
    drop(both);
    // Which the kernel finds out when it next looks.
    while !peer.poll().unwrap() {
        drop(UnixStream::pair().unwrap());
        std::thread::yield_now();
    }
    is_over_soon(&peer);
    drop(peer);
    assert_eq!(open_numbers(), before);
}

/// Each with a connection of its own to one that waits for all.
fn many_ask() {
    let asks = |end: End, first: u32| {
        for number in first..first + 50 {
            end.send(&number).unwrap();
            assert_eq!(end.recv().unwrap(), number * 2);
        }
    };
    let mut children = Vec::new();
    let mut ends = Vec::new();
    for number in 0..9_u32 {
        let (left, right) = pair();
        let way = WAYS[children.len() % 3];
        children.push(start_by(way, asks, (left, number * 1000)));
        ends.push(right);
    }
    let mut answered = 0;
    while !ends.is_empty() {
        let all: Vec<&dyn std::os::fd::AsFd> = ends.iter().map(|end| end as _).collect();
        let ready = multiproc::wait(&all, None).unwrap();
        for place in ready.into_iter().rev() {
            if let Ok(number) = ends[place].recv() {
                ends[place].send(&(number * 2)).unwrap();
                answered += 1;
            } else {
                drop(ends.remove(place));
            }
        }
    }
    assert_eq!(answered, 9 * 50);
    children.iter().for_each(fine);
}
