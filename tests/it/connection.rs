//! Connections over a socket of which the other end is written by hand: the frames as Python has them, and everything that is none.

use crate::kit::kind;
use crate::runner::{Case, case, scaled};
use crate::sleepers::sleeper;
use multiproc::{Connection, ErrorKind, Pipe};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket, socketpair};
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

pub(crate) fn tests() -> Vec<Case> {
    vec![
        case("connection::frames", frames),
        case("connection::in_pieces", in_pieces),
        case("connection::late_in_the_middle", late_in_the_middle),
        case("connection::over_in_the_middle", over_in_the_middle),
        case("connection::negative_lengths", negative_lengths),
        case("connection::absurd_lengths", absurd_lengths),
        case("connection::no_room_ahead_of_the_data", no_room_ahead),
        case("connection::long_form_of_a_short_length", long_form),
        case("connection::what_is_no_socket", no_socket),
        case("connection::a_signal_ends_no_wait", signals),
        case("connection::signals_tear_no_message", signals_tear_nothing),
        case("connection::made_many_times", many_times),
    ]
}

/// A connection, and the bare socket at its other end.
fn bare() -> (Connection<String>, UnixStream) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    (Connection::from_fd(OwnedFd::from(ours)).unwrap(), theirs)
}

/// A message with its head.
fn framed(message: &[u8]) -> Vec<u8> {
    let length = i32::try_from(message.len()).unwrap();
    [&length.to_be_bytes(), message].concat()
}

/// What another end reads when that was sent, and what is received when another end writes the same.
fn frames() {
    for length in [0, 1, 5, 255, 256, 16_383, 16_384, 16_385, 70_000] {
        let (connection, mut socket) = bare();
        let message = vec![b'm'; length];
        let mut bytes = vec![0; 4 + length];
        std::thread::scope(|scope| {
            let sent = message.clone();
            let sends = scope.spawn(move || {
                connection.send_bytes(&sent).unwrap();
                connection
            });
            socket.read_exact(&mut bytes).unwrap();
            assert!(bytes == framed(&message));
            let connection = sends.join().unwrap();
            scope.spawn(move || {
                socket.write_all(&bytes).unwrap();
                socket
            });
            assert!(connection.recv_bytes().unwrap() == message);
        });
    }
    let (connection, mut socket) = bare();
    drop(connection);
    // Nothing but messages is sent.
    assert_eq!(socket.read(&mut [0; 10]).unwrap(), 0);
}

/// However the bytes come, nothing is received before all of a message has come.
fn in_pieces() {
    let messages = [&b"hello"[..], b"", b"x", &[7; 300]];
    let stream: Vec<u8> = messages
        .iter()
        .flat_map(|message| framed(message))
        .collect();
    for piece in [1, 2, 3, 5, 7, 100] {
        let (connection, mut socket) = bare();
        let mut got = Vec::new();
        for bytes in stream.chunks(piece) {
            socket.write_all(bytes).unwrap();
            loop {
                match connection.recv_bytes_timeout(Duration::ZERO) {
                    Ok(message) => got.push(message),
                    Err(error) => break assert_eq!(error.kind(), ErrorKind::TimedOut),
                }
            }
        }
        assert_eq!(got, messages);
    }
    let (connection, mut socket) = bare();
    for byte in framed(b"\x05hello") {
        assert_eq!(connection.try_recv().unwrap(), None);
        socket.write_all(&[byte]).unwrap();
    }
    assert_eq!(connection.try_recv().unwrap().unwrap(), "hello");
}

/// What has come of a message is kept, by whichever verb the rest is received.
fn late_in_the_middle() {
    let short = Duration::from_millis(5);
    let late = |connection: &Connection<String>| {
        assert_eq!(kind(connection.recv_timeout(short)), ErrorKind::TimedOut);
        let bytes = connection.recv_bytes_timeout(short);
        assert_eq!(kind(bytes), ErrorKind::TimedOut);
        assert_eq!(connection.try_recv().unwrap(), None);
    };
    let (connection, mut socket) = bare();
    let frame = framed(b"\x0bhello world");
    for place in 1..frame.len() {
        socket.write_all(&frame[..place]).unwrap();
        late(&connection);
        socket.write_all(&frame[place..]).unwrap();
        assert!(connection.poll().unwrap());
        match place % 4 {
            0 => assert_eq!(connection.recv().unwrap(), "hello world"),
            1 => assert_eq!(connection.recv_bytes().unwrap(), frame[4..]),
            2 => assert_eq!(connection.recv_bytes_into(&mut [0; 12]).unwrap(), 12),
            _ => assert_eq!(connection.recv_bytes_max(12).unwrap(), frame[4..]),
        }
        assert!(!connection.poll().unwrap());
    }
}

fn over_in_the_middle() {
    let frame = framed(&[1; 100]);
    for place in 1..frame.len() {
        let (connection, mut socket) = bare();
        socket.write_all(&framed(b"\x05whole")).unwrap();
        socket.write_all(&frame[..place]).unwrap();
        drop(socket);
        assert_eq!(connection.recv().unwrap(), "whole");
        assert!(connection.poll().unwrap());
        for _ in 0..3 {
            let error = match place % 3 {
                0 => connection.recv_bytes().unwrap_err(),
                1 => connection.try_recv().unwrap_err(),
                _ => connection.recv_timeout(Duration::MAX).unwrap_err(),
            };
            assert_eq!(error.kind(), ErrorKind::Disconnected);
            let text = error.to_string();
            assert!(text.contains("in the middle of a message"), "{text}");
        }
    }
    // Not a word about a middle where there was none.
    let (connection, socket) = bare();
    drop(socket);
    let text = connection.recv().unwrap_err().to_string();
    assert!(!text.contains("middle"), "{text}");
}

/// Refused, and for good: where the next message begins nobody knows.
#[track_caller]
fn refused(head: &[u8]) {
    let (connection, mut socket) = bare();
    socket.write_all(head).unwrap();
    socket.write_all(&framed(b"\x04good")).unwrap();
    for _ in 0..2 {
        let error = connection.recv().unwrap_err();
        let kinds = [ErrorKind::TooLong, ErrorKind::Decode, ErrorKind::Misuse];
        assert!(kinds.contains(&error.kind()), "{error}");
        connection.recv_bytes().unwrap_err();
    }
    // The other direction still works.
    connection.send_bytes(b"bye").unwrap();
    let mut bytes = [0; 7];
    socket.read_exact(&mut bytes).unwrap();
    assert_eq!(bytes[..], framed(b"bye"));
}

fn negative_lengths() {
    for length in [-2, -3, -100, -0x7fff_ffff, i32::MIN] {
        refused(&length.to_be_bytes());
    }
}

fn long(length: u64) -> Vec<u8> {
    [&(-1_i32).to_be_bytes()[..], &length.to_be_bytes()].concat()
}

fn absurd_lengths() {
    refused(&i32::MAX.to_be_bytes());
    refused(&((1 << 30) + 1_i32).to_be_bytes());
    for length in [1 << 31, 1 << 32, 1 << 62, 1 << 63, u64::MAX - 1, u64::MAX] {
        refused(&long(length));
    }
}

/// The size of this process, in pages.
fn pages() -> usize {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    text.split(' ').next().unwrap().parse().unwrap()
}

/// Whatever was announced, and whatever limit was set: room is made for what comes.
fn no_room_ahead() {
    let most = 64 << 20;
    for length in [
        i32::MAX.cast_unsigned().into(),
        1 << 34,
        1 << 40,
        u64::MAX >> 1,
    ] {
        let (mut connection, mut socket) = bare();
        connection.set_max_message(u64::MAX);
        let before = pages();
        let head =
            i32::try_from(length).map_or_else(|_| long(length), |it| it.to_be_bytes().into());
        socket.write_all(&head).unwrap();
        socket.write_all(&[1; 1000]).unwrap();
        let late = connection.recv_bytes_timeout(Duration::from_millis(5));
        assert_eq!(kind(late), ErrorKind::TimedOut);
        let more = (pages() - before) * 4096;
        assert!(more < most, "{more} bytes for 1000 of {length}");
        drop(socket);
        let error = connection.recv_bytes().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Disconnected);
    }
}

/// Python never writes it, but it means what it says.
fn long_form() {
    let (connection, mut socket) = bare();
    for message in [&b""[..], b"short", &[3; 1000]] {
        socket.write_all(&long(message.len() as u64)).unwrap();
        socket.write_all(message).unwrap();
        assert_eq!(connection.recv_bytes().unwrap(), message);
    }
}

fn no_socket() {
    let file = std::fs::File::open("/proc/self/status").unwrap();
    let (reader, writer) = std::io::pipe().unwrap();
    let udp = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let (unix, flags) = (AddressFamily::Unix, SockFlag::SOCK_CLOEXEC);
    let (datagram, packets) = socketpair(unix, SockType::Datagram, None, flags).unwrap();
    let sequenced = socket(unix, SockType::SeqPacket, flags, None).unwrap();
    let fds: [OwnedFd; 7] = [
        file.into(),
        reader.into(),
        writer.into(),
        udp.into(),
        datagram,
        packets,
        sequenced,
    ];
    for fd in fds {
        let refused = Connection::<u8>::from_fd(fd);
        assert_eq!(kind(refused), ErrorKind::InvalidInput);
    }
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (served, _) = listener.accept().unwrap();
    let left = Connection::<String>::from_fd(client.into()).unwrap();
    let right = Connection::<String>::from_fd(served.into()).unwrap();
    left.send(&"by TCP".to_owned()).unwrap();
    assert_eq!(right.recv().unwrap(), "by TCP");
    let long = "x".repeat(1 << 20);
    std::thread::scope(|scope| {
        let receives = scope.spawn(move || left.recv().unwrap());
        right.send(&long).unwrap();
        assert!(receives.join().unwrap() == long);
    });
    assert_eq!(kind(right.recv()), ErrorKind::Disconnected);
}

extern "C" fn does_nothing(_signal: nix::libc::c_int) {}

fn handle_signals() {
    let handler = nix::sys::signal::SigHandler::Handler(does_nothing);
    let (flags, mask) = (
        nix::sys::signal::SaFlags::empty(),
        nix::sys::signal::SigSet::empty(),
    );
    // Calls that it interrupts are not begun again by the kernel.
    let action = nix::sys::signal::SigAction::new(handler, flags, mask);
    #[expect(unsafe_code, reason = "interrupted calls are the subject")]
    // SAFETY: the handler does nothing.
    unsafe { nix::sys::signal::sigaction(nix::sys::signal::SIGUSR1, &action) }.unwrap();
}

fn own_thread() -> nix::libc::pid_t {
    nix::unistd::gettid().as_raw()
}

/// One of this process; it may have ended.
fn signal(thread: nix::libc::pid_t) {
    let process = nix::unistd::getpid().as_raw();
    #[expect(unsafe_code, reason = "nix has no tgkill")]
    // SAFETY: the call takes three numbers.
    unsafe {
        nix::libc::syscall(nix::libc::SYS_tgkill, process, thread, nix::libc::SIGUSR1)
    };
}

/// Each of them sleeps while signals come, until what it waits for has come.
fn signals() {
    handle_signals();
    let verbs: [fn(&Connection<String>); 5] = [
        |connection| assert_eq!(connection.recv().unwrap(), "late"),
        |connection| assert_eq!(connection.recv_timeout(Duration::MAX).unwrap(), "late"),
        |connection| assert!(connection.poll_timeout(Duration::MAX).unwrap()),
        |connection| assert_eq!(multiproc::wait(&[connection], None).unwrap(), [0]),
        |connection| {
            // No earlier than it was told to.
            let (time, before) = (Duration::from_millis(100), std::time::Instant::now());
            assert!(!connection.poll_timeout(time).unwrap());
            assert!(before.elapsed() >= time);
        },
    ];
    for (number, verb) in (0..).zip(verbs) {
        let (connection, peer) = Pipe::<String>::new().unwrap();
        std::thread::scope(|scope| {
            let (tells, hears) = std::sync::mpsc::channel();
            let waits = sleeper(scope, move || {
                tells.send(own_thread()).unwrap();
                verb(&connection);
            });
            let thread = hears.recv().unwrap();
            for _ in 0..scaled(200) {
                signal(thread);
                std::thread::yield_now();
            }
            if number < 4 {
                peer.send(&"late".to_owned()).unwrap();
            }
            waits.join().unwrap();
        });
    }
}

/// Sender and receiver are interrupted all the time, in the middle of messages too.
fn signals_tear_nothing() {
    handle_signals();
    let (left, right) = Pipe::<Vec<u32>>::new().unwrap();
    let message: Vec<u32> = (0..200_000).collect();
    let over = std::sync::atomic::AtomicBool::new(false);
    let ordering = std::sync::atomic::Ordering::SeqCst;
    let (tells, hears) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        let (tells_too, message) = (tells.clone(), &message);
        let sends = scope.spawn(move || {
            tells.send(own_thread()).unwrap();
            (0..scaled(10)).for_each(|_| left.send(message).unwrap());
        });
        let receives = scope.spawn(move || {
            tells_too.send(own_thread()).unwrap();
            let mut count = 0;
            for got in right.iter() {
                assert!(got.unwrap() == *message);
                count += 1;
            }
            assert_eq!(count, scaled(10));
        });
        let threads = [(); 2].map(|()| hears.recv().unwrap());
        let over = &over;
        scope.spawn(move || {
            while !over.load(ordering) {
                threads.iter().copied().for_each(signal);
                std::thread::yield_now();
            }
        });
        let ends = [sends.join(), receives.join()];
        over.store(true, ordering);
        ends.into_iter().for_each(Result::unwrap);
    });
}

/// The runner counts descriptors.
fn many_times() {
    for _ in 0..scaled(2000) {
        let (left, right) = Pipe::<u8>::new().unwrap();
        left.send(&1).unwrap();
        let (reader, writer) = right.split().unwrap();
        writer.send(&2).unwrap();
        assert_eq!((left.recv().unwrap(), reader.recv().unwrap()), (2, 1));
        drop(Pipe::<u8>::one_way().unwrap());
    }
}
