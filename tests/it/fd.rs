//! Files and sockets that travel: as `Fd<T>` in arguments and messages, and by hand with `send_fd` and `recv_fd`.

use crate::kit::{kind, raise_descriptors};
use crate::runner::{Case, case, scaled};
use crate::ways::{each, fine, open_numbers, run_by, start_by};
use multiproc::{Connection, ErrorKind, Fd, Pipe, Queue};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{Read as _, Seek as _, Write as _};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::os::unix::fs::FileExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::Duration;

pub(crate) fn tests() -> Vec<Case> {
    vec![
        case("fd::a_file", a_file),
        case("fd::a_stream", a_stream),
        case("fd::a_connection_by_tcp", by_tcp),
        case("fd::a_listener", a_listener),
        case("fd::of_every_type", every_type),
        case("fd::in_structures", in_structures),
        case("fd::through_a_connection", through_a_connection),
        case("fd::the_sender_keeps_its_own", sender_keeps),
        case("fd::not_through_queues", not_through_queues),
        case("fd::closed_at_exec", closed_at_exec),
        case("fd::sent_by_hand", by_hand),
        case("fd::sent_by_hand_to_a_process", to_a_process),
        case("fd::between_messages", between_messages),
        case("fd::a_byte_instead", a_byte_instead),
        case("fd::several_at_once_by_hand", several_by_hand),
        case("fd::large_numbers", large_numbers),
        case("fd::over_before_it_came", over_before),
        case("fd::by_tcp_no_descriptor_goes", not_by_tcp),
    ]
}

/// A file without a name.
fn file_with(text: &str) -> File {
    let flags = nix::sys::memfd::MFdFlags::MFD_CLOEXEC;
    let mut file = File::from(nix::sys::memfd::memfd_create("text", flags).unwrap());
    file.write_all(text.as_bytes()).unwrap();
    file
}

fn text_of(file: &File) -> String {
    let length = file.metadata().unwrap().len();
    let mut bytes = vec![0; usize::try_from(length).unwrap()];
    file.read_exact_at(&mut bytes, 0).unwrap();
    String::from_utf8(bytes).unwrap()
}

fn a_file() {
    let appends = |mut file: Fd<File>, text: String| {
        assert_eq!(text_of(&file), "from the parent");
        file.write_all(text.as_bytes()).unwrap();
    };
    each(|way| {
        let file = file_with("from the parent");
        let sent = Fd::new(file.try_clone().unwrap());
        run_by(way, appends, (sent, ", from the child".to_owned()));
        assert_eq!(text_of(&file), "from the parent, from the child");
        // It is the same open file, not another one: the place is shared too.
        assert_eq!((&file).stream_position().unwrap(), 31);
    });
}

fn shouts(mut stream: Fd<UnixStream>) {
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    stream.write_all(text.to_uppercase().as_bytes()).unwrap();
}

#[track_caller]
fn is_shouted(mut stream: UnixStream) {
    stream.write_all(b"hello").unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert_eq!(text, "HELLO");
}

fn a_stream() {
    each(|way| {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let child = start_by(way, shouts, (Fd::new(theirs),));
        is_shouted(ours);
        fine(&child);
    });
}

fn by_tcp() {
    let echoes = |mut stream: Fd<TcpStream>| {
        let mut bytes = [0; 100];
        loop {
            match stream.read(&mut bytes).unwrap() {
                0 => break,
                length => stream.write_all(&bytes[..length]).unwrap(),
            }
        }
    };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    each(|way| {
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (served, _) = listener.accept().unwrap();
        let child = start_by(way, echoes, (Fd::new(served),));
        client.write_all(b"echo").unwrap();
        let mut bytes = [0; 4];
        client.read_exact(&mut bytes).unwrap();
        assert_eq!(&bytes, b"echo");
        client.shutdown(std::net::Shutdown::Write).unwrap();
        assert_eq!(client.read(&mut bytes).unwrap(), 0);
        fine(&child);
    });
}

/// Several processes accept from one, as servers do.
fn a_listener() {
    let serves = |listener: Fd<TcpListener>| {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(b"served").unwrap();
    };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let child = |way| start_by(way, serves, (Fd::new(listener.try_clone().unwrap()),));
    let children = crate::ways::WAYS.map(child);
    drop(listener);
    for _ in 0..3 {
        let mut text = String::new();
        let mut client = TcpStream::connect(address).unwrap();
        client.read_to_string(&mut text).unwrap();
        assert_eq!(text, "served");
    }
    children.iter().for_each(fine);
    TcpStream::connect(address).unwrap_err();
}

fn every_type() {
    type All = (
        Fd<OwnedFd>,
        Fd<File>,
        Fd<UdpSocket>,
        Fd<UnixListener>,
        Fd<std::io::PipeReader>,
        Fd<std::net::TcpListener>,
    );
    let uses = |(owned, file, udp, unix, mut reader, tcp): All, port: u16| {
        assert_eq!(text_of(&File::from(owned.into_inner())), "owned");
        assert_eq!(text_of(&file), "file");
        assert_eq!(udp.local_addr().unwrap().port(), port);
        assert!(unix.local_addr().unwrap().is_unnamed());
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "piped");
        assert_ne!(tcp.local_addr().unwrap().port(), 0);
    };
    each(|way| {
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = udp.local_addr().unwrap().port();
        let (unix, kind, flags) = (
            AddressFamily::Unix,
            SockType::Stream,
            SockFlag::SOCK_CLOEXEC,
        );
        let (unix, _peer) = socketpair(unix, kind, None, flags).unwrap();
        let (reader, mut writer) = std::io::pipe().unwrap();
        writer.write_all(b"piped").unwrap();
        drop(writer);
        let all = (
            Fd::new(OwnedFd::from(file_with("owned"))),
            Fd::new(file_with("file")),
            Fd::new(udp),
            Fd::new(UnixListener::from(unix)),
            Fd::new(reader),
            Fd::new(TcpListener::bind("127.0.0.1:0").unwrap()),
        );
        run_by(way, uses, (all, port));
    });
}

#[derive(Debug, Serialize, Deserialize)]
struct Job {
    name: String,
    files: Vec<Fd<File>>,
    log: Option<Fd<File>>,
    answers: Connection<String>,
}

fn in_structures() {
    let works = |job: Job| {
        let texts: Vec<String> = job.files.iter().map(|file| text_of(file)).collect();
        let mut log = job.log.unwrap();
        write!(log, "{}: {}", job.name, texts.len()).unwrap();
        job.answers.send(&texts.concat()).unwrap();
    };
    let job = |log: &File| {
        let (answers, ours) = Pipe::new().unwrap();
        let files = ["a", "b", "c"].map(|text| Fd::new(file_with(text)));
        let log = Some(Fd::new(log.try_clone().unwrap()));
        let (name, files) = ("job".to_owned(), Vec::from(files));
        (
            Job {
                name,
                files,
                log,
                answers,
            },
            ours,
        )
    };
    each(|way| {
        let log = file_with("");
        let (job, ours) = job(&log);
        run_by(way, works, (job,));
        assert_eq!(ours.recv().unwrap(), "abc");
        assert_eq!(text_of(&log), "job: 3");
    });
    let log = file_with("");
    let (job, ours) = job(&log);
    let (left, right) = Pipe::<Job>::new().unwrap();
    left.send(&job).unwrap();
    drop(job);
    works(right.recv().unwrap());
    assert_eq!(
        (ours.recv().unwrap(), text_of(&log)),
        ("abc".to_owned(), "job: 3".to_owned())
    );
}

fn through_a_connection() {
    let serves = |streams: Connection<Fd<UnixStream>>| {
        for stream in streams.iter() {
            shouts(stream.unwrap());
        }
    };
    each(|way| {
        let (ours, theirs) = Pipe::<Fd<UnixStream>>::new().unwrap();
        let child = start_by(way, serves, (theirs,));
        for _ in 0..scaled(10) {
            let (left, right) = UnixStream::pair().unwrap();
            ours.send(&Fd::new(right)).unwrap();
            is_shouted(left);
        }
        drop(ours);
        fine(&child);
    });
}

/// What is sent is a copy of the descriptor; both are good.
fn sender_keeps() {
    let (left, right) = Pipe::<Fd<File>>::new().unwrap();
    let mut file = Fd::new(file_with("once"));
    for _ in 0..3 {
        left.send(&file).unwrap();
    }
    file.write_all(b" and again").unwrap();
    let numbers = (0..3).map(|_| {
        let copy = right.recv().unwrap();
        assert_eq!(text_of(&copy), "once and again");
        copy
    });
    let copies: Vec<Fd<File>> = numbers.collect();
    let mut numbers: Vec<i32> = copies.iter().map(|copy| copy.as_raw_fd()).collect();
    numbers.push(file.as_raw_fd());
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers.len(), 4);
    assert_eq!(text_of(&file.into_inner()), "once and again");
}

fn not_through_queues() {
    let queue = Queue::new().unwrap();
    let file = Fd::new(file_with("still here"));
    let error = queue.put((1, file)).unwrap_err();
    let (one, file) = error.into_inner();
    assert_eq!((one, text_of(&file)), (1, "still here".to_owned()));
    assert!(queue.is_empty());
    let (sender, receiver) = queue.split().unwrap();
    let (_, file) = sender.send((2, file)).unwrap_err().into_inner();
    assert_eq!(text_of(&file), "still here");
    drop(sender);
    assert!(receiver.recv().is_err());
}

/// What came in a message is not for programs that are started meanwhile.
fn closed_at_exec() {
    let (left, right) = Pipe::<Fd<File>>::new().unwrap();
    left.send(&Fd::new(file_with("x"))).unwrap();
    left.send_fd(file_with("y")).unwrap();
    let (first, second) = (right.recv().unwrap(), right.recv_fd().unwrap());
    for fd in [first.as_fd(), second.as_fd(), left.as_fd(), right.as_fd()] {
        let flags = nix::fcntl::fcntl(fd, nix::fcntl::F_GETFD).unwrap();
        assert_eq!(flags & nix::libc::FD_CLOEXEC, nix::libc::FD_CLOEXEC);
    }
}

fn by_hand() {
    let (left, right) = Pipe::<()>::new().unwrap();
    for (from, to) in [(&left, &right), (&right, &left)] {
        from.send_fd(file_with("by hand")).unwrap();
        assert!(to.poll().unwrap());
        let file = File::from(to.recv_fd().unwrap());
        assert_eq!(text_of(&file), "by hand");
        from.send_fd(&file).unwrap();
        from.send_fd(file.as_fd()).unwrap();
        drop(file);
        for _ in 0..2 {
            assert_eq!(text_of(&File::from(to.recv_fd().unwrap())), "by hand");
        }
        assert!(!to.poll().unwrap());
    }
}

fn to_a_process() {
    let reads = |end: Connection<String>| {
        let file = File::from(end.recv_fd().unwrap());
        end.send(&text_of(&file)).unwrap();
        end.send_fd(file_with("from the child")).unwrap();
    };
    each(|way| {
        let (theirs, ours) = Pipe::<String>::new().unwrap();
        let child = start_by(way, reads, (theirs,));
        ours.send_fd(file_with("from the parent")).unwrap();
        assert_eq!(ours.recv().unwrap(), "from the parent");
        fine(&child);
        let file = File::from(ours.recv_fd().unwrap());
        assert_eq!(text_of(&file), "from the child");
    });
}

/// It is no message, but keeps its place among them.
fn between_messages() {
    let (left, right) = Pipe::<String>::new().unwrap();
    let numbers: Vec<u32> = (0..scaled(50)).collect();
    // As many as the socket surely has room for.
    for some in numbers.chunks(20) {
        for number in some {
            left.send(&format!("before {number}")).unwrap();
            left.send_fd(file_with(&format!("file {number}"))).unwrap();
            left.send(&"x".repeat(*number as usize)).unwrap();
        }
        for number in some {
            assert_eq!(right.recv().unwrap(), format!("before {number}"));
            let file = File::from(right.recv_fd().unwrap());
            assert_eq!(text_of(&file), format!("file {number}"));
            assert_eq!(right.recv().unwrap(), "x".repeat(*number as usize));
        }
    }
}

/// A byte that comes alone, or a message.
fn a_byte_instead() {
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    let end = Connection::<()>::from_fd(ours.into()).unwrap();
    theirs.write_all(&[1]).unwrap();
    assert_eq!(kind(end.recv_fd()), ErrorKind::Decode);
    theirs.write_all(&[0, 0, 0, 1, b'x']).unwrap();
    assert_eq!(end.recv_bytes().unwrap(), b"x");
    let (left, right) = Pipe::<u32>::new().unwrap();
    left.send(&5).unwrap();
    assert_eq!(kind(right.recv_fd()), ErrorKind::Decode);
}

/// What others put into one message: the first is taken, the others are not left open.
fn several_by_hand() {
    use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
    let (ours, theirs) = UnixStream::pair().unwrap();
    let end = Connection::<()>::from_fd(ours.into()).unwrap();
    let files = ["a", "b", "c"].map(file_with);
    let fds = files.each_ref().map(|file| file.as_raw_fd());
    let (byte, rights) = ([3], [ControlMessage::ScmRights(&fds)]);
    let bytes = [std::io::IoSlice::new(&byte)];
    let sent = sendmsg::<()>(theirs.as_raw_fd(), &bytes, &rights, MsgFlags::empty(), None);
    assert_eq!(sent, Ok(1));
    let before = open_numbers().len();
    let got = end.recv_fd();
    let more = usize::from(got.is_ok());
    assert_eq!(open_numbers().len(), before + more);
    if let Ok(fd) = got {
        assert_eq!(text_of(&File::from(fd)), "a");
    }
}

/// Python's `test_large_fd_transfer`: a number that does not fit into a byte, here and there.
fn large_numbers() {
    let high = |lowest: i32| -> Vec<File> {
        let mut files = vec![file_with("low")];
        while files.last().unwrap().as_raw_fd() < lowest {
            files.push(files[0].try_clone().unwrap());
        }
        files
    };
    let opens_many = move |end: Connection<String, Fd<File>>| {
        raise_descriptors();
        let _many = high(300);
        let file = end.recv().unwrap();
        assert!(file.as_raw_fd() > 256);
        let other = File::from(end.recv_fd().unwrap());
        assert!(other.as_raw_fd() > 256);
        let text = text_of(&file) + &text_of(&other);
        end.send(&text).unwrap();
    };
    raise_descriptors();
    let many = high(600);
    let (sent, by_hand) = (file_with("sent "), file_with("by hand"));
    assert!(sent.as_raw_fd() > 512 && by_hand.as_raw_fd() > 512);
    each(|way| {
        let (ours, theirs) = Pipe::<Fd<File>, String>::new().unwrap();
        assert!(theirs.as_fd().as_raw_fd() > 512);
        let child = start_by(way, opens_many, (theirs,));
        ours.send(&Fd::new(sent.try_clone().unwrap())).unwrap();
        ours.send_fd(&by_hand).unwrap();
        assert_eq!(ours.recv().unwrap(), "sent by hand");
        fine(&child);
    });
    drop(many);
}

fn over_before() {
    let (left, right) = Pipe::<()>::new().unwrap();
    drop(left);
    assert_eq!(kind(right.recv_fd()), ErrorKind::Disconnected);
    let (left, right) = Pipe::<()>::new().unwrap();
    left.send_fd(file_with("late")).unwrap();
    drop(left);
    assert_eq!(text_of(&File::from(right.recv_fd().unwrap())), "late");
    assert_eq!(kind(right.recv_fd()), ErrorKind::Disconnected);
}

/// The network does not carry them: an error, and the connection goes on.
fn not_by_tcp() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (served, _) = listener.accept().unwrap();
    let left = Connection::<Fd<File>>::from_fd(client.into()).unwrap();
    let right = Connection::<Fd<File>>::from_fd(served.into()).unwrap();
    left.send_fd(file_with("x")).unwrap_err();
    left.send(&Fd::new(file_with("x"))).unwrap_err();
    left.send_bytes(b"x").unwrap();
    assert_eq!(right.recv_bytes_timeout(Duration::MAX).unwrap(), b"x");
}
