//! Processes that are killed with a connection in their hands: whoever has the other end hears of it, and gets whole messages or none.

use crate::connection_ends::is_over;
use crate::kit::{kill_and_join, kind, lives, pid_of};
use crate::pipe::pattern;
use crate::runner::{Case, Gate, RemoteGate, case, program, program_command, scaled};
use crate::sync_storm_verbs::Dice;
use crate::ways::{WAYS, each, fine, start_by};
use multiproc::{Connection, ErrorKind, Pipe, Process, StartMethod, wait};
use nix::unistd::Pid;
use std::io::{BufRead as _, BufReader};
use std::os::fd::AsFd;
use std::process::Stdio;
use std::time::Duration;

pub(crate) fn tests() -> Vec<Case> {
    let long = Duration::from_secs(300);
    vec![
        case("connection_death::while_it_waits", while_it_waits),
        case(
            "connection_death::in_the_middle_of_a_message",
            in_the_middle,
        ),
        case(
            "connection_death::in_the_middle_with_siblings",
            middle_with_siblings,
        ),
        case("connection_death::of_a_reader", of_a_reader),
        case("connection_death::of_all_of_many", of_many),
        case("connection_death::with_an_end_in_flight", in_flight),
        case(
            "connection_death::of_the_sender_of_an_end",
            sender_of_an_end,
        ),
        case("connection_death::of_a_grandchild", grandchild),
        case("connection_death::of_the_parent", parent_killed),
        case("connection_death::storm_of_senders", storm).deadline(long),
        case("connection_death::storm_of_ends", storm_of_ends).deadline(long),
        program("connection_death::has_children_with_ends", has_children),
    ]
}

type Bytes = Connection<()>;

fn pair() -> (Bytes, Bytes) {
    Pipe::new().unwrap()
}

fn says_and_receives(end: Bytes) {
    end.send_bytes(b"here").unwrap();
    end.recv_bytes().unwrap();
}

fn while_it_waits() {
    each(|way| {
        let (left, right) = pair();
        let child = start_by(way, says_and_receives, (left,));
        assert_eq!(right.recv_bytes().unwrap(), b"here");
        assert!(!right.poll().unwrap());
        child.kill().unwrap();
        assert_eq!(kind(right.recv_bytes()), ErrorKind::Disconnected);
        is_over(&right);
        assert_eq!(kind(right.send_bytes(b"x")), ErrorKind::Disconnected);
        assert_eq!(child.join().unwrap(), -9);
    });
}

const LARGE: usize = 1 << 20;

/// Sends one whole message, and one that does not fit between the two ends.
fn sends_large(end: Bytes) {
    end.send_bytes(b"whole").unwrap();
    end.send_bytes(&pattern(LARGE)).unwrap();
    panic!("it has room for that");
}

#[track_caller]
fn whole_and_torn(end: &Bytes) {
    assert_eq!(end.recv_bytes().unwrap(), b"whole");
    for _ in 0..2 {
        let error = end.recv_bytes().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Disconnected);
        let text = error.to_string();
        assert!(text.contains("in the middle of a message"), "{text}");
    }
}

/// Returns when a process that sends sleeps in it: between the two there is no room for more.
fn sleeps_in_send(child: &Process) {
    let pid = pid_of(child);
    let path = format!("/proc/{pid}/task");
    let sleeps = || {
        let tasks = std::fs::read_dir(&path).unwrap();
        let waits = |task: std::fs::DirEntry| {
            let call = std::fs::read_to_string(task.path().join("syscall")).unwrap_or_default();
            let number: i64 = call.split(' ').next().unwrap().parse().unwrap_or(-1);
            use nix::libc::{SYS_poll, SYS_ppoll, SYS_sendmsg, SYS_sendto, SYS_write, SYS_writev};
            [
                SYS_poll,
                SYS_ppoll,
                SYS_sendmsg,
                SYS_sendto,
                SYS_write,
                SYS_writev,
            ]
            .contains(&number)
        };
        tasks.flatten().any(waits)
    };
    // Several times: it may be on its way through.
    let mut looks = 0;
    while looks < 20 {
        looks = if sleeps() { looks + 1 } else { 0 };
        std::thread::yield_now();
    }
}

fn in_the_middle() {
    each(|way| {
        let (left, right) = pair();
        let child = start_by(way, sends_large, (left,));
        assert!(right.poll_timeout(Duration::MAX).unwrap());
        sleeps_in_send(&child);
        kill_and_join(&child);
        whole_and_torn(&right);
    });
}

/// They are copies of the parent with all that it has; the first of them is the sender.
fn middle_with_siblings() {
    let gate = Gate::new();
    let mut peers = Vec::new();
    let mut children = Vec::new();
    for number in 0..4 {
        let (left, right) = pair();
        let remote = gate.remote();
        let mut child = Process::fork(move || match number {
            0 | 2 => sends_large(left),
            _ => {
                left.send_bytes(b"whole").unwrap();
                remote.wait();
            }
        });
        child.start().unwrap();
        peers.push(right);
        children.push(child);
    }
    for number in [2, 0] {
        assert!(peers[number].poll_timeout(Duration::MAX).unwrap());
        sleeps_in_send(&children[number]);
        children[number].kill().unwrap();
        whole_and_torn(&peers[number]);
    }
    for number in [1, 3] {
        assert_eq!(peers[number].recv_bytes().unwrap(), b"whole");
        assert!(!peers[number].poll().unwrap());
    }
    gate.open(2);
    for number in [1, 3] {
        assert_eq!(kind(peers[number].recv_bytes()), ErrorKind::Disconnected);
        fine(&children[number]);
    }
}

/// A sender that waits for it hears of it.
fn of_a_reader() {
    each(|way| {
        let (left, right) = pair();
        let child = start_by(way, says_and_receives, (left,));
        assert_eq!(right.recv_bytes().unwrap(), b"here");
        // It is stopped, so that it takes nothing out.
        crate::kit::stop_and_wait(pid_of(&child));
        std::thread::scope(|scope| {
            let sends = crate::sleepers::sleeper(scope, move || {
                while right.send_bytes(&[0; 10_000]).is_ok() {}
                assert_eq!(kind(right.send_bytes(b"")), ErrorKind::Disconnected);
            });
            child.kill().unwrap();
            sends.join().unwrap();
        });
        assert_eq!(child.join().unwrap(), -9);
    });
}

/// Those that were killed are exactly the ones whose ends are over.
fn of_many() {
    let mut children = Vec::new();
    let mut peers = Vec::new();
    for number in 0..12 {
        let (left, right) = pair();
        children.push(start_by(WAYS[number % 3], says_and_receives, (left,)));
        peers.push(right);
    }
    for peer in &peers {
        assert_eq!(peer.recv_bytes().unwrap(), b"here");
    }
    let killed = [1, 4, 6, 11];
    for number in killed {
        children[number].kill().unwrap();
        assert_eq!(kind(peers[number].recv_bytes()), ErrorKind::Disconnected);
    }
    let all: Vec<&dyn AsFd> = peers.iter().map(|peer| peer as &dyn AsFd).collect();
    assert_eq!(wait(&all, None).unwrap(), killed);
    for (number, child) in children.iter().enumerate() {
        if killed.contains(&number) {
            assert_eq!(child.join().unwrap(), -9);
        } else {
            peers[number].send_bytes(b"go").unwrap();
            fine(child);
        }
    }
}

/// The only one who could have taken it out is dead.
fn in_flight() {
    let takes_nothing = |carrier: Connection<Bytes>, gate: RemoteGate| {
        carrier.send_bytes(b"here").unwrap();
        gate.wait();
    };
    each(|way| {
        let gate = Gate::new();
        let (carrier, theirs) = Pipe::<Bytes>::new().unwrap();
        let child = start_by(way, takes_nothing, (theirs, gate.remote()));
        assert_eq!(carrier.recv_bytes().unwrap(), b"here");
        let (left, right) = pair();
        carrier.send(&left).unwrap();
        drop(left);
        assert!(!right.poll().unwrap());
        child.kill().unwrap();
        assert_eq!(kind(right.recv_bytes()), ErrorKind::Disconnected);
        assert_eq!(child.join().unwrap(), -9);
    });
}

/// In Python it had to live until the receiver had asked it.
fn sender_of_an_end() {
    let gives = |carrier: Connection<Bytes>, end: Bytes, gate: RemoteGate| {
        carrier.send(&end).unwrap();
        carrier.send_bytes(b"sent").unwrap();
        gate.wait();
    };
    each(|way| {
        let gate = Gate::new();
        let (carrier, theirs) = Pipe::<Bytes>::new().unwrap();
        let (left, right) = pair();
        let child = start_by(way, gives, (theirs, left, gate.remote()));
        assert!(carrier.poll_timeout(Duration::MAX).unwrap());
        // Both are there when the second is.
        sleeps_at_a_gate(&child);
        kill_and_join(&child);
        let left = carrier.recv().unwrap();
        assert_eq!(carrier.recv_bytes().unwrap(), b"sent");
        is_over(&carrier);
        assert!(!right.poll().unwrap());
        left.send_bytes(b"alive").unwrap();
        assert_eq!(right.recv_bytes().unwrap(), b"alive");
    });
}

fn sleeps_at_a_gate(child: &Process) {
    let path = format!("/proc/{}/task", pid_of(child));
    let read = format!("{} ", nix::libc::SYS_read);
    let reads = || {
        let tasks = std::fs::read_dir(&path).unwrap().flatten();
        let mut calls = tasks.map(|task| std::fs::read_to_string(task.path().join("syscall")));
        calls.any(|call| call.is_ok_and(|call| call.starts_with(&read)))
    };
    while !reads() {
        std::thread::yield_now();
    }
}

/// A child that is killed takes its own children with it.
fn grandchild() {
    let has_one = |way: String, end: Bytes| {
        let child = start_by(crate::ways::named(&way), says_and_receives, (end,));
        fine(&child);
    };
    each(|way| {
        for inner in WAYS {
            let (left, right) = pair();
            let child = start_by(way, has_one, (inner.to_string(), left));
            assert_eq!(right.recv_bytes().unwrap(), b"here");
            child.kill().unwrap();
            assert_eq!(kind(right.recv_bytes()), ErrorKind::Disconnected);
            assert_eq!(child.join().unwrap(), -9);
        }
    });
}

/// Detached ones outlive it: the ends of what it had are over, and that is how they know.
fn parent_killed() {
    let mut command = program_command("connection_death::has_children_with_ends");
    let mut program = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(program.stdout.take().unwrap()).lines();
    let line = lines.by_ref().map(Result::unwrap);
    let numbers = line.take_while(|line| line != "all are there");
    let detached: Vec<Pid> = numbers
        .map(|line| Pid::from_raw(line.parse().unwrap()))
        .collect();
    assert_eq!(detached.len(), 4);
    assert!(detached.iter().all(|pid| lives(*pid)));
    program.kill().unwrap();
    program.wait().unwrap();
    let said: Vec<String> = lines.map(Result::unwrap).collect();
    assert_eq!(said, ["over"; 4]);
}

fn hears_of_the_end(end: Bytes) {
    println!("{}", std::process::id());
    end.send_bytes(b"here").unwrap();
    assert_eq!(kind(end.recv_bytes()), ErrorKind::Disconnected);
    println!("over");
}

fn has_children() {
    let mut peers = Vec::new();
    // A forked one would have a copy of its own other end.
    let (server, spawn) = (StartMethod::ForkServer, StartMethod::Spawn);
    for way in [server, spawn, spawn, server] {
        let (left, right) = pair();
        let builder = Process::builder(hears_of_the_end, (left,)).start_method(way);
        builder.detach().start().unwrap();
        assert_eq!(right.recv_bytes().unwrap(), b"here");
        peers.push(right);
    }
    println!("all are there");
    loop {
        std::thread::park();
    }
}

/// More than a socket holds, so that a sender of it waits in the middle.
const LONGEST: usize = 600_008;

fn length(number: u64) -> usize {
    8 + usize::try_from(number).unwrap() * 7919 % (LONGEST - 8)
}

/// Numbered, of all sizes; each is checked by its receiver.
fn sends_numbered(end: Bytes) {
    let all = pattern(LONGEST);
    for number in 0_u64.. {
        let mut message = all[..length(number)].to_vec();
        message[..8].copy_from_slice(&number.to_le_bytes());
        end.send_bytes(&message).unwrap();
    }
}

#[track_caller]
fn is_numbered(message: &[u8], number: u64, all: &[u8]) {
    assert_eq!(message.len(), length(number));
    assert_eq!(message[..8], number.to_le_bytes());
    assert!(message[8..] == all[8..message.len()], "torn");
}

/// Killed after a random number of messages, at any instruction of what follows or in the middle of one that is waited for: what comes
/// is whole and in order, until the end.
fn storm() {
    let mut dice = Dice::new(11);
    let (mut torn, rounds, all) = (0, scaled(60), pattern(LONGEST));
    for round in 0..rounds {
        let (left, right) = pair();
        let way = if round % 10 == 0 {
            WAYS[2]
        } else {
            WAYS[round as usize % 2]
        };
        let child = start_by(way, sends_numbered, (left,));
        let mut number = 0;
        for _ in 0..dice.below(50) {
            is_numbered(&right.recv_bytes().unwrap(), number, &all);
            number += 1;
        }
        if round % 4 < 2 {
            while length(number) < LONGEST * 2 / 3 {
                is_numbered(&right.recv_bytes().unwrap(), number, &all);
                number += 1;
            }
            assert!(right.poll_timeout(Duration::from_secs(60)).unwrap());
        }
        child.kill().unwrap();
        let error = loop {
            match right.recv_bytes() {
                Ok(message) => is_numbered(&message, number, &all),
                Err(error) => break error,
            }
            number += 1;
        };
        assert_eq!(error.kind(), ErrorKind::Disconnected);
        torn += u32::from(error.to_string().contains("in the middle"));
        assert_eq!(child.join().unwrap(), -9);
    }
    println!("{torn} of {rounds} were killed in the middle of a message");
    assert!(
        torn * 5 >= rounds * 2,
        "too few kills landed inside: {torn}"
    );
}

/// Sends ends, and is killed at any time: each arrives whole or is over.
fn storm_of_ends() {
    let gives = |carrier: Connection<Bytes>| loop {
        let (left, right) = pair();
        left.send_bytes(b"inside").unwrap();
        carrier.send(&right).unwrap();
    };
    let mut dice = Dice::new(12);
    for round in 0..scaled(40) {
        let (carrier, theirs) = Pipe::<Bytes>::new().unwrap();
        let way = if round % 10 == 0 {
            WAYS[2]
        } else {
            WAYS[round as usize % 2]
        };
        let child = start_by(way, gives, (theirs,));
        let taken = |end: Bytes| {
            assert_eq!(end.recv_bytes().unwrap(), b"inside");
            assert_eq!(kind(end.recv_bytes()), ErrorKind::Disconnected);
        };
        (0..dice.below(30)).for_each(|_| taken(carrier.recv().unwrap()));
        child.kill().unwrap();
        for end in carrier.iter() {
            match end {
                Ok(end) => taken(end),
                Err(error) => assert_eq!(error.kind(), ErrorKind::Disconnected),
            }
        }
        assert_eq!(kind(carrier.recv_bytes()), ErrorKind::Disconnected);
        assert_eq!(child.join().unwrap(), -9);
    }
}
