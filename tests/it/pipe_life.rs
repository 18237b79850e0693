//! The life of an end of a pipe: closed, cut into halves, given other types, asked until the end.

use crate::kit::kind;
use crate::pipe::pattern;
use crate::runner::{Case, case, scaled};
use multiproc::{Connection, ErrorKind, Pipe, RecvIntoError};
use std::os::fd::AsFd as _;
use std::time::Duration;

pub(crate) fn tests() -> Vec<Case> {
    vec![
        case("pipe_life::closed", closed),
        case("pipe_life::two_halves", halves),
        case("pipe_life::other_types", other_types),
        case("pipe_life::iterator", iterator),
        case("pipe_life::debug", debug),
    ]
}

fn bytes() -> (Connection<()>, Connection<()>) {
    Pipe::new().unwrap()
}

fn closed() {
    let (mut left, right) = Pipe::<u32>::new().unwrap();
    left.send(&1).unwrap();
    assert!(!left.is_closed());
    for _ in 0..3 {
        left.close();
        assert!(left.is_closed());
    }
    let short = Duration::from_millis(1);
    let closed = ErrorKind::Closed;
    assert_eq!(kind(left.send(&1)), closed);
    assert_eq!(kind(left.send_timeout(&1, short)), closed);
    assert_eq!(kind(left.send_bytes(b"")), closed);
    assert_eq!(kind(left.recv()), closed);
    assert_eq!(kind(left.try_recv()), closed);
    assert_eq!(kind(left.recv_timeout(short)), closed);
    assert_eq!(kind(left.recv_bytes()), closed);
    assert_eq!(kind(left.recv_bytes_max(1)), closed);
    assert_eq!(kind(left.recv_bytes_timeout(short)), closed);
    match left.recv_bytes_into(&mut [0; 9]) {
        Err(RecvIntoError::Failed(error)) => assert_eq!(error.kind(), closed),
        other => panic!("{other:?}"),
    }
    assert_eq!(kind(left.poll()), closed);
    assert_eq!(kind(left.poll_timeout(short)), closed);
    assert_eq!(kind(left.send_fd(right.as_fd())), closed);
    assert_eq!(kind(left.recv_fd()), closed);
    let no_fd = || _ = left.as_fd();
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(no_fd)).unwrap_err();
    assert_eq!(kind(left.split()), closed);
    assert_eq!(right.recv().unwrap(), 1);
    assert_eq!(kind(right.recv()), ErrorKind::Disconnected);
}

/// One thread reads, another writes, on both sides: Python needs a connection for each.
fn halves() {
    let (left, right) = bytes();
    let message = pattern(1 << 20);
    let rounds = scaled(10);
    std::thread::scope(|scope| {
        for end in [left, right] {
            let (reader, writer) = end.split().unwrap();
            assert_eq!((reader.is_readable(), reader.is_writable()), (true, false));
            assert_eq!((writer.is_readable(), writer.is_writable()), (false, true));
            assert_eq!(kind(writer.recv_bytes()), ErrorKind::Misuse);
            assert_eq!(kind(reader.send_bytes(b"")), ErrorKind::Misuse);
            let message = &message;
            scope.spawn(move || (0..rounds).for_each(|_| writer.send_bytes(message).unwrap()));
            scope.spawn(move || {
                for _ in 0..rounds {
                    assert!(reader.recv_bytes().unwrap() == *message);
                }
                // The other thread's writer has gone, although its reader is here.
                assert_eq!(kind(reader.recv_bytes()), ErrorKind::Disconnected);
            });
        }
    });
    let (left, right) = bytes();
    let (reader, writer) = left.split().unwrap();
    drop(reader);
    // The reader's end is not the writer's.
    writer.send_bytes(b"still").unwrap();
    assert_eq!(right.recv_bytes().unwrap(), b"still");
    drop(writer);
    assert_eq!(kind(right.recv_bytes()), ErrorKind::Disconnected);
    let (_reader, writer) = Pipe::<u8>::one_way().unwrap();
    assert_eq!(kind(writer.split()), ErrorKind::Misuse);
}

fn other_types() {
    let (left, right) = Pipe::<u8>::new().unwrap();
    left.send(&200).unwrap();
    assert_eq!(right.recv().unwrap(), 200);
    left.send(&7).unwrap();
    let (left, mut right) = (left.cast::<String, ()>(), right.cast::<(), String>());
    // What was sent as something else is still that.
    assert_eq!(right.recv_bytes().unwrap(), [7]);
    left.send(&"text".to_owned()).unwrap();
    assert_eq!(right.recv().unwrap(), "text");
    right.set_max_message(5);
    assert_eq!(right.cast::<u8, u8>().max_message(), 5);
}

fn iterator() {
    let (left, right) = Pipe::<u32>::new().unwrap();
    (0..100).for_each(|number| left.send(&number).unwrap());
    drop(left);
    let all: Result<Vec<u32>, _> = right.iter().collect();
    assert_eq!(all.unwrap(), Vec::from_iter(0..100));
    assert!(right.iter().next().is_none());
    // What does not decode is one of them, and what is too long the last.
    let (left, mut right) = Pipe::<String>::new().unwrap();
    right.set_max_message(10);
    left.send(&"good".to_owned()).unwrap();
    left.send_bytes(&[9]).unwrap();
    left.send(&"good".to_owned()).unwrap();
    left.send(&"too long".repeat(9)).unwrap();
    left.send(&"good".to_owned()).unwrap();
    let kinds: Vec<_> = right.iter().map(|it| it.map_err(|e| e.kind())).collect();
    let good = Ok("good".to_owned());
    let (decode, long) = (Err(ErrorKind::Decode), Err(ErrorKind::TooLong));
    assert_eq!(kinds, [good.clone(), decode, good, long]);
}

fn debug() {
    let (mut left, right) = Pipe::<u32>::new().unwrap();
    let number = std::os::fd::AsRawFd::as_raw_fd(&left.as_fd());
    let text = format!("{left:?}");
    assert_eq!(text, format!("Connection(fd {number}, readable, writable)"));
    left.close();
    assert!(format!("{left:?}").contains("closed"), "{left:?}");
    drop(right);
    let (reader, writer) = Pipe::<u32>::one_way().unwrap();
    assert!(format!("{reader:?}").ends_with(", readable)"), "{reader:?}");
    assert!(format!("{writer:?}").ends_with(", writable)"), "{writer:?}");
}
