//! `wait`: exactly those that are ready, of anything that has a descriptor.

use crate::kit::{kind, raise_descriptors};
use crate::runner::{Case, Gate, RemoteGate, case, scaled};
use crate::sleepers::sleeper;
use crate::ways::{WAYS, fine, start_by};
use multiproc::{Connection, ErrorKind, Pipe, wait};
use std::io::Write as _;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

pub(crate) fn tests() -> Vec<Case> {
    vec![
        case("wait::connections", connections),
        case("wait::of_processes", of_processes),
        case("wait::sockets", sockets),
        case("wait::sockets_that_are_slow", slow_sockets),
        case("wait::pipes_and_listeners", pipes_and_listeners),
        case("wait::sentinels", sentinels),
        case("wait::timeouts", timeouts),
        case("wait::the_same_twice", duplicates),
        case("wait::nothing", nothing),
        case("wait::ready_until_it_is_read", level),
        case("wait::what_is_only_writable_is_not_ready", writable),
        case("wait::a_halted_connection", halted),
        case("wait::two_thousand", two_thousand).deadline(Duration::from_secs(120)),
    ]
}

type End = Connection<u32>;

fn pair() -> (End, End) {
    Pipe::new().unwrap()
}

fn refs<T: AsFd>(all: &[T]) -> Vec<&dyn AsFd> {
    all.iter().map(|one| one as &dyn AsFd).collect()
}

fn now(objects: &[&dyn AsFd]) -> Vec<usize> {
    wait(objects, Some(Duration::ZERO)).unwrap()
}

fn connections() {
    let (lefts, rights): (Vec<End>, Vec<End>) = (0..5).map(|_| pair()).unzip();
    let all = refs(&rights);
    assert!(now(&all).is_empty());
    lefts[3].send(&3).unwrap();
    assert_eq!(wait(&all, None).unwrap(), [3]);
    lefts[0].send(&0).unwrap();
    assert_eq!(wait(&all, None).unwrap(), [0, 3]);
    assert_eq!(rights[3].recv().unwrap(), 3);
    assert_eq!(wait(&all, None).unwrap(), [0]);
    drop(lefts);
    assert_eq!(wait(&all, None).unwrap(), [0, 1, 2, 3, 4]);
}

fn ten(end: End, name: u32) {
    for number in 0..10 {
        end.send(&(name * 10 + number)).unwrap();
        std::thread::yield_now();
    }
}

/// As Python's: whoever is ready is read, until all are over.
fn of_processes() {
    let mut children = Vec::new();
    let mut ends = Vec::new();
    for name in 0..6 {
        let (left, right) = pair();
        children.push(start_by(WAYS[name as usize % 3], ten, (left, name)));
        ends.push(right);
    }
    let mut got = Vec::new();
    while !ends.is_empty() {
        let ready = wait(&refs(&ends), None).unwrap();
        assert!(!ready.is_empty());
        for index in ready.into_iter().rev() {
            match ends[index].recv() {
                Ok(number) => got.push(number),
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Disconnected);
                    drop(ends.remove(index));
                }
            }
        }
    }
    got.sort_unstable();
    assert_eq!(got, Vec::from_iter(0..60));
    children.iter().for_each(fine);
}

fn dials(port: u16, slow: bool) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    for number in 0..10 {
        stream.write_all(format!("{number}\n").as_bytes()).unwrap();
        if slow {
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

fn read_all(slow: bool) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let children: Vec<_> = (0..4)
        .map(|number| start_by(WAYS[number % 3], dials, (port, slow)))
        .collect();
    let mut streams = Vec::new();
    let mut texts = Vec::new();
    while streams.len() < 4 {
        assert_eq!(wait(&[&listener], None).unwrap(), [0]);
        streams.push(listener.accept().unwrap().0);
        texts.push(String::new());
    }
    let mut open: Vec<usize> = (0..4).collect();
    while !open.is_empty() {
        let some: Vec<&dyn AsFd> = open
            .iter()
            .map(|&index| &streams[index] as &dyn AsFd)
            .collect();
        let ready = wait(&some, None).unwrap();
        for place in ready.into_iter().rev() {
            let mut bytes = [0; 7];
            let length = std::io::Read::read(&mut streams[open[place]], &mut bytes).unwrap();
            if length == 0 {
                open.remove(place);
            } else {
                texts[open[place]].push_str(str::from_utf8(&bytes[..length]).unwrap());
            }
        }
    }
    assert_eq!(texts, ["0\n1\n2\n3\n4\n5\n6\n7\n8\n9\n"; 4]);
    children.iter().for_each(fine);
}

fn sockets() {
    read_all(false);
}

fn slow_sockets() {
    read_all(true);
}

fn pipes_and_listeners() {
    let (reader, mut writer) = std::io::pipe().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let (mut unix, peer) = UnixStream::pair().unwrap();
    let (left, right) = pair();
    let all: [&dyn AsFd; 5] = [&reader, &listener, &udp, &peer, &right];
    assert!(now(&all).is_empty());
    let _client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    assert_eq!(wait(&all, None).unwrap(), [1]);
    writer.write_all(b"x").unwrap();
    unix.write_all(b"x").unwrap();
    assert_eq!(now(&all), [0, 1, 3]);
    udp.send_to(b"x", udp.local_addr().unwrap()).unwrap();
    left.send(&1).unwrap();
    assert_eq!(now(&all), [0, 1, 2, 3, 4]);
    drop(writer);
    std::io::Read::read_exact(&mut (&reader), &mut [0]).unwrap();
    // Its end is left.
    assert_eq!(now(&all), [0, 1, 2, 3, 4]);
}

fn sentinels() {
    let gates: Vec<Gate> = (0..6).map(|_| Gate::new()).collect();
    let child = |(number, gate): (usize, &Gate)| {
        start_by(WAYS[number % 3], RemoteGate::wait, (gate.remote(),))
    };
    let children: Vec<_> = gates.iter().enumerate().map(child).collect();
    let (left, right) = pair();
    let mut all: Vec<_> = children
        .iter()
        .map(|child| child.sentinel().unwrap())
        .collect();
    all.push(right.as_fd());
    let all = refs(&all);
    assert!(now(&all).is_empty());
    gates[4].open(1);
    assert_eq!(wait(&all, None).unwrap(), [4]);
    children[1].kill().unwrap();
    while now(&all).len() < 2 {
        std::thread::yield_now();
    }
    left.send(&1).unwrap();
    assert_eq!(wait(&all, None).unwrap(), [1, 4, 6]);
    assert_eq!(children[1].join().unwrap(), -9);
    // They stay ready.
    assert_eq!(now(&all), [1, 4, 6]);
    for (gate, child) in gates.iter().zip(&children) {
        gate.open(1);
        child.join().unwrap();
    }
    assert_eq!(now(&all), [0, 1, 2, 3, 4, 5, 6]);
}

fn timeouts() {
    let (left, right) = pair();
    let (other, _peer) = pair();
    let all: [&dyn AsFd; 2] = [&right, &other];
    for time in [0, 1, 30, 110].map(Duration::from_millis) {
        let before = Instant::now();
        assert!(wait(&all, Some(time)).unwrap().is_empty());
        assert!(before.elapsed() >= time, "too early");
    }
    left.send(&1).unwrap();
    for time in [Some(Duration::ZERO), Some(Duration::MAX), None] {
        assert_eq!(wait(&all, time).unwrap(), [0]);
    }
    for _ in 0..scaled(10) {
        let (left, right) = pair();
        std::thread::scope(|scope| {
            let waits = sleeper(scope, move || wait(&[&right], Some(Duration::MAX)).unwrap());
            left.send(&1).unwrap();
            assert_eq!(waits.join().unwrap(), [0]);
        });
    }
}

/// In Python a KeyError. Here each place is answered for.
fn duplicates() {
    let (left, right) = pair();
    let (other, peer) = pair();
    let all: [&dyn AsFd; 4] = [&right, &other, &right, &right];
    assert!(now(&all).is_empty());
    left.send(&1).unwrap();
    assert_eq!(wait(&all, None).unwrap(), [0, 2, 3]);
    peer.send(&1).unwrap();
    assert_eq!(wait(&all, None).unwrap(), [0, 1, 2, 3]);
}

/// There is nobody who could ever be ready: at once without a timeout, or it would be for ever.
fn nothing() {
    assert!(now(&[]).is_empty());
    let (time, before) = (Duration::from_millis(20), Instant::now());
    assert!(wait(&[], Some(time)).unwrap().is_empty());
    assert!(before.elapsed() >= time);
}

fn level() {
    let (left, right) = pair();
    left.send(&1).unwrap();
    left.send(&2).unwrap();
    for expected in [1, 2] {
        for _ in 0..3 {
            assert_eq!(wait(&[&right], None).unwrap(), [0]);
        }
        assert_eq!(right.recv().unwrap(), expected);
    }
    assert!(now(&[&right]).is_empty());
}

fn writable() {
    let (reader, writer) = Pipe::<u32>::one_way().unwrap();
    let (_left, right) = pair();
    assert!(now(&[&right, &reader]).is_empty());
    // Its only news can be that nobody reads any more.
    assert!(now(&[&writer]).is_empty());
    drop(reader);
    assert_eq!(wait(&[&writer], None).unwrap(), [0]);
}

/// The rest of a message may lie in the connection, and a whole one too: both are seen by `poll`, and by `wait` as far as the socket tells.
fn halted() {
    let (left, right) = pair();
    (0..100).for_each(|number| left.send(&number).unwrap());
    for number in 0..100 {
        assert_eq!(wait(&[&right], None).unwrap(), [0], "{number}");
        assert_eq!(right.recv().unwrap(), number);
    }
    let mut closed = left;
    closed.close();
    assert_eq!(wait(&[&right], None).unwrap(), [0]);
    assert_eq!(kind(right.recv()), ErrorKind::Disconnected);
}

fn two_thousand() {
    raise_descriptors();
    let count = 2000;
    let (lefts, rights): (Vec<End>, Vec<End>) = (0..count).map(|_| pair()).unzip();
    let all = refs(&rights);
    assert!(now(&all).is_empty());
    // Seven hundred of them, all over.
    let some: Vec<usize> = (0..700).map(|number| number * 17 % count).collect();
    for &index in &some {
        let number = u32::try_from(index).unwrap();
        lefts[index].send(&number).unwrap();
    }
    let mut expected = some;
    expected.sort_unstable();
    expected.dedup();
    assert_eq!(wait(&all, None).unwrap(), expected);
    for index in expected {
        let number = rights[index].recv().unwrap();
        assert_eq!(usize::try_from(number).unwrap(), index);
    }
    assert!(now(&all).is_empty());
    drop(lefts);
    assert_eq!(wait(&all, None).unwrap(), Vec::from_iter(0..count));
}
