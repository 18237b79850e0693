//! Pipes: every verb in both directions, and which end may do what.

use crate::kit::kind;
use crate::runner::{Case, case, scaled};
use multiproc::{Connection, ErrorKind, Lock, Pipe, Queue, RecvIntoError};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

pub(crate) fn tests() -> Vec<Case> {
    vec![
        case("pipe::values_both_ways", values_both_ways),
        case("pipe::two_types", two_types),
        case("pipe::one_way", one_way),
        case("pipe::every_size", every_size),
        case("pipe::ranges_of_bytes", ranges),
        case("pipe::limit_of_one_message", limit),
        case("pipe::limit_of_one_message_one_way", limit_one_way),
        case("pipe::limit_of_all_messages", max_message),
        case("pipe::into_a_buffer", into_a_buffer),
        case("pipe::an_empty_message_can_be_polled", empty_message),
        case("pipe::polling_changes_nothing", polling),
        case("pipe::messages_are_not_merged", not_merged),
        case("pipe::timeouts", timeouts),
        case("pipe::full", full),
        case("pipe::a_value_that_does_not_decode", does_not_decode),
        case("pipe::a_value_that_does_not_encode", does_not_encode),
    ]
}

fn bytes() -> (Connection<()>, Connection<()>) {
    Pipe::new().unwrap()
}

/// Bytes that differ from place to place.
pub(crate) fn pattern(length: usize) -> Vec<u8> {
    (0..length)
        .map(|place| u8::try_from(place % 251).unwrap())
        .collect()
}

#[derive(Debug, PartialEq, Clone, Serialize, Deserialize)]
enum Thing {
    Unit,
    Text(String),
    Many(Vec<Option<i64>>),
    Named {
        map: BTreeMap<String, f64>,
        flag: bool,
    },
}

fn things() -> Vec<Thing> {
    let map = [("a".to_owned(), 1.5), (String::new(), -0.0)];
    vec![
        Thing::Unit,
        Thing::Text(String::new()),
        Thing::Text("wörter".repeat(1000)),
        Thing::Many(vec![None, Some(i64::MIN), Some(0)]),
        Thing::Named {
            map: map.into_iter().collect(),
            flag: true,
        },
    ]
}

fn values_both_ways() {
    let (left, right) = Pipe::<Thing>::new().unwrap();
    for (from, to) in [(&left, &right), (&right, &left)] {
        for thing in things() {
            from.send(&thing).unwrap();
            assert_eq!(to.recv().unwrap(), thing);
            from.send_timeout(&thing, Duration::MAX).unwrap();
            assert_eq!(to.recv_timeout(Duration::MAX).unwrap(), thing);
            assert_eq!(to.try_recv().unwrap(), None);
            from.send(&thing).unwrap();
            assert_eq!(to.try_recv().unwrap(), Some(thing));
        }
        things().iter().for_each(|thing| from.send(thing).unwrap());
        for thing in things() {
            assert_eq!(to.recv().unwrap(), thing);
        }
    }
}

fn two_types() {
    let (asks, answers) = Pipe::<u32, String>::new().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for _ in 0..100 {
                let number = answers.recv().unwrap();
                answers.send(&number.to_string()).unwrap();
            }
        });
        for number in 0..100 {
            asks.send(&number).unwrap();
            assert_eq!(asks.recv().unwrap(), number.to_string());
        }
    });
}

fn one_way() {
    let (reader, writer) = Pipe::<u32>::one_way().unwrap();
    assert_eq!((reader.is_readable(), reader.is_writable()), (true, false));
    assert_eq!((writer.is_readable(), writer.is_writable()), (false, true));
    let misuse = ErrorKind::Misuse;
    let short = Duration::from_millis(1);
    for _ in 0..2 {
        writer.send(&7).unwrap();
        assert_eq!(kind(reader.send(&1)), misuse);
        assert_eq!(kind(reader.send_timeout(&1, short)), misuse);
        assert_eq!(kind(reader.send_bytes(b"x")), misuse);
        assert_eq!(kind(reader.send_fd(reader.as_fd())), misuse);
        assert_eq!(kind(writer.recv()), misuse);
        assert_eq!(kind(writer.try_recv()), misuse);
        assert_eq!(kind(writer.recv_timeout(short)), misuse);
        assert_eq!(kind(writer.recv_bytes()), misuse);
        assert_eq!(kind(writer.recv_bytes_max(9)), misuse);
        assert_eq!(kind(writer.recv_bytes_timeout(short)), misuse);
        match writer.recv_bytes_into(&mut [0; 9]) {
            Err(RecvIntoError::Failed(error)) => assert_eq!(error.kind(), misuse),
            other => panic!("{other:?}"),
        }
        assert_eq!(kind(writer.poll()), misuse);
        assert_eq!(kind(writer.poll_timeout(short)), misuse);
        assert_eq!(kind(writer.recv_fd()), misuse);
        assert_eq!(reader.recv().unwrap(), 7);
    }
    drop(writer);
    assert_eq!(kind(reader.recv()), ErrorKind::Disconnected);
    let (reader, writer) = Pipe::<u32>::one_way().unwrap();
    drop(reader);
    assert_eq!(kind(writer.send(&1)), ErrorKind::Disconnected);
}

/// Around the sizes at which something changes.
fn every_size() {
    let (left, right) = bytes();
    let edges = [
        0,
        1,
        4,
        12,
        100,
        4096,
        16_384,
        65_536,
        212_992,
        1 << 20,
        16 << 20,
    ];
    let sizes = edges
        .into_iter()
        .flat_map(|edge: usize| [edge.saturating_sub(1), edge, edge + 1]);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            while let Ok(message) = right.recv_bytes() {
                right.send_bytes(&message).unwrap();
            }
        });
        for size in sizes {
            let message = pattern(size);
            left.send_bytes(&message).unwrap();
            assert!(left.recv_bytes().unwrap() == message, "{size} bytes differ");
        }
        drop(left);
    });
}

/// Python's offsets and sizes are slices; what is beyond the end cannot be written.
fn ranges() {
    let (left, right) = bytes();
    let all = pattern(26);
    for start in 0..=all.len() {
        for end in start..=all.len() {
            left.send_bytes(&all[start..end]).unwrap();
            assert_eq!(right.recv_bytes().unwrap(), all[start..end]);
        }
    }
}

fn limit() {
    let (left, right) = bytes();
    left.send_bytes(&[1; 100]).unwrap();
    assert_eq!(right.recv_bytes_max(100).unwrap(), [1; 100]);
    left.send_bytes(&[]).unwrap();
    assert!(right.recv_bytes_max(0).unwrap().is_empty());
    left.send_bytes(&[2; 101]).unwrap();
    left.send_bytes(b"next").unwrap();
    assert_eq!(kind(right.recv_bytes_max(100)), ErrorKind::TooLong);
    // Nobody knows any more where the next message begins.
    right.recv_bytes().unwrap_err();
    right.recv_bytes_max(1000).unwrap_err();
    right.try_recv().unwrap_err();
    assert!(!right.is_readable());
    // The other direction is as it was.
    assert!(right.is_writable());
    right.send_bytes(b"sorry").unwrap();
    assert_eq!(left.recv_bytes().unwrap(), b"sorry");
}

fn limit_one_way() {
    let (reader, writer) = Pipe::<()>::one_way().unwrap();
    writer.send_bytes(&[2; 101]).unwrap();
    assert_eq!(kind(reader.recv_bytes_max(100)), ErrorKind::TooLong);
    reader.recv_bytes().unwrap_err();
    assert!(!reader.is_readable());
}

fn max_message() {
    let (left, mut right) = Pipe::<Vec<u8>>::new().unwrap();
    assert_eq!(right.max_message(), 1 << 30);
    right.set_max_message(100);
    assert_eq!(right.max_message(), 100);
    left.send_bytes(&[1; 100]).unwrap();
    assert_eq!(right.recv_bytes().unwrap(), [1; 100]);
    // The limit of a call does not lift that of the connection.
    left.send(&vec![0; 101]).unwrap();
    assert_eq!(kind(right.recv_bytes_max(1000)), ErrorKind::TooLong);
    right.recv().unwrap_err();
    let (left, mut right) = Pipe::<Vec<u8>>::new().unwrap();
    right.set_max_message(10);
    left.send(&vec![0; 100]).unwrap();
    assert_eq!(kind(right.recv()), ErrorKind::TooLong);
}

fn into_a_buffer() {
    let (left, right) = bytes();
    let mut buffer = [9; 10];
    left.send_bytes(b"hello").unwrap();
    assert_eq!(right.recv_bytes_into(&mut buffer).unwrap(), 5);
    assert_eq!(&buffer, b"hello\x09\x09\x09\x09\x09");
    left.send_bytes(b"").unwrap();
    assert_eq!(right.recv_bytes_into(&mut []).unwrap(), 0);
    left.send_bytes(&[1; 10]).unwrap();
    assert_eq!(right.recv_bytes_into(&mut buffer).unwrap(), 10);
    assert_eq!(buffer, [1; 10]);
    for length in [11, 1000, 100_000] {
        left.send_bytes(&pattern(length)).unwrap();
        left.send_bytes(b"next").unwrap();
        // What did not fit is not lost.
        match right.recv_bytes_into(&mut buffer) {
            Err(RecvIntoError::BufferTooShort(message)) => assert_eq!(message, pattern(length)),
            other => panic!("{other:?}"),
        }
        assert_eq!(right.recv_bytes_into(&mut buffer).unwrap(), 4);
    }
    drop(left);
    match right.recv_bytes_into(&mut buffer) {
        Err(RecvIntoError::Failed(error)) => assert_eq!(error.kind(), ErrorKind::Disconnected),
        other => panic!("{other:?}"),
    }
}

fn empty_message() {
    let (left, right) = bytes();
    assert!(!right.poll().unwrap());
    left.send_bytes(b"").unwrap();
    for _ in 0..3 {
        assert!(right.poll().unwrap());
        assert!(right.poll_timeout(Duration::MAX).unwrap());
    }
    assert_eq!(right.recv_bytes().unwrap(), b"");
    assert!(!right.poll().unwrap());
    let strings = ["hello", "", "a", "b", "", "bye", "", "lop"];
    for text in strings {
        left.send_bytes(text.as_bytes()).unwrap();
    }
    for text in strings {
        assert!(right.poll().unwrap());
        assert_eq!(right.recv_bytes().unwrap(), text.as_bytes());
    }
    assert!(!right.poll().unwrap());
}

fn polling() {
    let (left, right) = Pipe::<u32>::new().unwrap();
    left.send(&1).unwrap();
    left.send(&2).unwrap();
    for expected in [1, 2] {
        for _ in 0..10 {
            assert!(right.poll().unwrap());
            assert!(right.poll_timeout(Duration::ZERO).unwrap());
        }
        assert_eq!(right.recv().unwrap(), expected);
    }
    assert!(!right.poll().unwrap());
    assert!(!left.poll().unwrap());
    drop(left);
    // The end is something too.
    assert!(right.poll().unwrap() && right.poll_timeout(Duration::MAX).unwrap());
}

fn not_merged() {
    let (left, right) = bytes();
    for count in 1..=scaled(20) {
        for number in 0..count {
            left.send_bytes(&[1; 10][..(number % 10) as usize]).unwrap();
        }
        for number in 0..count {
            assert!(right.poll().unwrap());
            let message = right.recv_bytes().unwrap();
            assert_eq!(message.len(), (number % 10) as usize);
        }
        assert!(!right.poll().unwrap());
    }
}

fn timeouts() {
    let (left, right) = Pipe::<u32>::new().unwrap();
    for time in [0, 1, 30, 110].map(Duration::from_millis) {
        let late = |verb: &dyn Fn()| {
            let before = Instant::now();
            verb();
            assert!(before.elapsed() >= time, "too early");
        };
        late(&|| assert_eq!(kind(right.recv_timeout(time)), ErrorKind::TimedOut));
        late(&|| assert_eq!(kind(right.recv_bytes_timeout(time)), ErrorKind::TimedOut));
        late(&|| assert!(!right.poll_timeout(time).unwrap()));
        left.send(&5).unwrap();
        assert!(right.poll_timeout(time).unwrap());
        assert_eq!(right.recv_timeout(time).unwrap(), 5);
        left.send_bytes(b"x").unwrap();
        assert_eq!(right.recv_bytes_timeout(time).unwrap(), b"x");
    }
    std::thread::scope(|scope| {
        scope.spawn(move || {
            assert!(right.poll_timeout(Duration::MAX).unwrap());
            assert_eq!(right.recv_timeout(Duration::MAX).unwrap(), 1);
        });
        left.send(&1).unwrap();
    });
}

/// A sender waits for the reader; what is not begun yet can be tried again, what is half sent cannot.
fn full() {
    let (left, right) = bytes();
    let message = pattern(1 << 20);
    let short = Duration::from_millis(20);
    let (large, _end) = Pipe::<Vec<u8>>::new().unwrap();
    let before = Instant::now();
    let late = large.send_timeout(&message, short);
    assert_eq!(kind(late), ErrorKind::TimedOut);
    assert!(before.elapsed() >= short);
    // Half a message is out: another one would be taken for its rest.
    large.send(&vec![1]).unwrap_err();
    large.send_bytes(b"x").unwrap_err();
    std::thread::scope(|scope| {
        let sent = message.clone();
        scope.spawn(move || {
            for _ in 0..5 {
                left.send_bytes(&sent).unwrap();
            }
        });
        for _ in 0..5 {
            assert!(right.recv_bytes().unwrap() == message);
        }
        assert_eq!(kind(right.recv_bytes()), ErrorKind::Disconnected);
    });
    let (left, right) = Pipe::<u32>::new().unwrap();
    let mut count = 0;
    // Small ones are sent whole or not at all.
    while left.send_timeout(&count, short).is_ok() {
        count += 1;
    }
    for number in 0..count {
        assert_eq!(right.recv().unwrap(), number);
    }
    assert!(count > 10);
}

fn does_not_decode() {
    let (left, right) = Pipe::<String, u32>::new().unwrap();
    let too_short = [200, 1, b'x'];
    for bad in [&too_short[..], &[], &[1, 0xff], &[0xff; 20]] {
        left.send_bytes(bad).unwrap();
        left.send(&"good".to_owned()).unwrap();
        let error = right.recv().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Decode, "{bad:?}");
        assert_eq!(right.recv().unwrap(), "good");
        left.send_bytes(bad).unwrap();
        assert_eq!(kind(right.try_recv()), ErrorKind::Decode);
        left.send_bytes(bad).unwrap();
        assert_eq!(kind(right.recv_timeout(Duration::MAX)), ErrorKind::Decode);
        right.send(&1).unwrap();
        assert_eq!(left.recv().unwrap(), 1);
    }
}

/// A value that refuses, or that can be sent by other ways only. Nothing of it goes out.
fn does_not_encode() {
    #[derive(Debug)]
    struct Refuses;
    impl Serialize for Refuses {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("it does not want to"))
        }
    }
    let (left, right) = Pipe::<Refuses, u8>::new().unwrap();
    assert_eq!(kind(left.send(&Refuses)), ErrorKind::Encode);
    let left = left.cast::<Queue<u8>, u8>();
    let queue = Queue::<u8>::new().unwrap();
    assert_eq!(kind(left.send(&queue)), ErrorKind::Encode);
    let left = left.cast::<(Vec<u8>, Lock), u8>();
    let lock = Lock::new().unwrap();
    let big = (vec![0; 1 << 20], lock);
    assert_eq!(kind(left.send(&big)), ErrorKind::Encode);
    let left = left.cast::<u8, u8>();
    let right = right.cast::<u8, u8>();
    assert!(!right.poll().unwrap());
    left.send(&3).unwrap();
    assert_eq!(right.recv().unwrap(), 3);
    // They are what they were.
    queue.put(1).unwrap();
    assert_eq!(queue.get().unwrap(), 1);
    drop(big.1.acquire().unwrap());
}
