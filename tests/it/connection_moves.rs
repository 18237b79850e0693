//! Whose end of a connection is it? Ends that move, in halves and often, and ends of children that were forked.

use crate::kit::{fork_behind_our_back, kill_and_join, kind, start};
use crate::runner::{Case, case};
use crate::ways::{each, start_by};
use multiproc::{Connection, ErrorKind, Fd, Pipe, Process};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::fs::File;
use std::io::Read as _;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

pub(crate) fn tests() -> Vec<Case> {
    vec![
        case("connection_moves::one_half_stays", one_half_stays),
        case("connection_moves::both_halves", both_halves),
        case("connection_moves::often", often),
        case("connection_moves::forked_later", forked_later),
        case("connection_moves::looks_only", looks_only),
        case("connection_moves::no_room", no_room),
        case("connection_moves::not_sent_after_all", not_sent),
        case("connection_moves::too_many_in_flight", too_many_in_flight),
        case(
            "connection_moves::refused_with_descriptors",
            refused_with_descriptors,
        ),
        case("connection_moves::as_a_descriptor", as_a_descriptor),
        case("connection_moves::shared_with_others", shared_with_others),
        case("connection_moves::one_watcher", one_watcher),
        case("connection_moves::half_given", half_given),
        case("connection_moves::start_fails", start_fails),
        case(
            "connection_moves::dropped_in_the_child",
            dropped_in_the_child,
        ),
        case(
            "connection_moves::halves_after_a_foreign_fork",
            halves_after_a_foreign_fork,
        ),
    ]
}

fn receives_all(end: Connection<u32>) {
    while end.recv().is_ok() {}
}

/// The half that was sent away is another direction's: the other one still ends its own.
fn one_half_stays() {
    let (ours, theirs) = Pipe::<u32>::new().unwrap();
    let (receiver, sender) = theirs.split().unwrap();
    let mut child = start(receives_all, (receiver,));
    sender.send(&1).unwrap();
    drop(sender);
    assert_eq!(ours.recv().unwrap(), 1);
    assert_eq!(kind(ours.recv()), ErrorKind::Disconnected);
    drop(ours);
    assert_eq!(child.join().unwrap(), 0);
    child.close().unwrap();
}

/// Each process ends the direction that it has, whatever the other one does.
fn both_halves() {
    fn sends(end: Connection<u32>) {
        end.send(&7).unwrap();
    }
    let (ours, theirs) = Pipe::<u32>::new().unwrap();
    let (receiver, sender) = theirs.split().unwrap();
    let reader = start(receives_all, (receiver,));
    let writer = start(sends, (sender,));
    assert_eq!(ours.recv().unwrap(), 7);
    assert_eq!(kind(ours.recv()), ErrorKind::Disconnected);
    assert_eq!(writer.join().unwrap(), 0);
    ours.send(&8).unwrap();
    drop(ours);
    assert_eq!(reader.join().unwrap(), 0);
}

/// However often an end has moved: a copy that was left behind does not end it.
fn often() {
    let (ours, theirs) = Pipe::<u32>::new().unwrap();
    let (carry, carried) = Pipe::<Connection<u32>>::new().unwrap();
    let mut ends = vec![theirs];
    for hop in 1..30 {
        carry.send(ends.last().unwrap()).unwrap();
        ends.push(carried.recv().unwrap());
        if hop % 3 == 0 {
            drop(ends.remove(0));
        }
        ends.last().unwrap().send(&hop).unwrap();
        assert_eq!(ours.recv().unwrap(), hop);
    }
    let last = ends.pop().unwrap();
    drop(ends);
    last.send(&99).unwrap();
    assert_eq!(ours.recv().unwrap(), 99);
    drop(last);
    assert_eq!(kind(ours.recv()), ErrorKind::Disconnected);
}

/// A thread waits already when the child is forked that will have the other end, and nobody joins that child.
fn forked_later() {
    let (ours, theirs) = Pipe::<u32>::new().unwrap();
    let (tell, told) = channel();
    let waiter = thread::spawn(move || {
        tell.send(nix::unistd::gettid()).unwrap();
        ours.recv()
    });
    let state = format!("/proc/self/task/{}/stat", told.recv().unwrap());
    while !std::fs::read_to_string(&state).unwrap().contains(") S ") {
        thread::yield_now();
    }
    let (ready, gate) = Pipe::<u32>::new().unwrap();
    let mut child = Process::fork(move || {
        gate.send(&1).unwrap();
        let _never = theirs.recv();
    });
    child.start().unwrap();
    assert_eq!(ready.recv().unwrap(), 1);
    child.kill().unwrap();
    assert_eq!(kind(waiter.join().unwrap()), ErrorKind::Disconnected);
    assert_eq!(child.join().unwrap(), -9);
}

/// Who only looks hears of the death of a forked child, too.
fn looks_only() {
    let (ours, theirs) = Pipe::<u32>::new().unwrap();
    let mut child = Process::fork(move || {
        theirs.send(&1).unwrap();
        let _never = theirs.recv();
    });
    child.start().unwrap();
    assert_eq!(ours.recv().unwrap(), 1);
    child.kill().unwrap();
    let end = loop {
        match ours.try_recv() {
            Ok(None) => thread::yield_now(),
            other => break other,
        }
    };
    assert_eq!(kind(end), ErrorKind::Disconnected);
    kill_and_join(&child);
}

/// A message whose descriptors find no room is lost; the next ones are not.
fn no_room() {
    type Files = Vec<Fd<File>>;
    let (ours, theirs) = Pipe::<Files>::new().unwrap();
    let open = || Fd::new(File::open("/dev/null").unwrap());
    for count in 1..=3 {
        ours.send(&(0..count).map(|_| open()).collect()).unwrap();
    }
    let limits = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, 100, limits.1).unwrap();
    let mut files = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        files.push(file);
    }
    assert_eq!(kind(theirs.recv()), ErrorKind::Os);
    drop(files.pop());
    assert_eq!(kind(theirs.recv()), ErrorKind::Os, "there is room for one");
    drop(files);
    assert_eq!(theirs.recv().unwrap().len(), 3);
    assert!(theirs.is_readable());
    setrlimit(Resource::RLIMIT_NOFILE, limits.0, limits.1).unwrap();
}

/// An end that could not be sent is still its owner's.
fn not_sent() {
    let (ours, theirs) = Pipe::<u32>::new().unwrap();
    let sibling_end = theirs.split().unwrap();
    let (carry, carried) = Pipe::<Connection<u32>>::new().unwrap();
    drop(carried);
    assert_eq!(kind(carry.send(&sibling_end.1)), ErrorKind::Disconnected);
    let queue = multiproc::Queue::new().unwrap();
    let back = queue.put(sibling_end.1).unwrap_err().into_inner();
    // A copy in another process keeps nobody waiting.
    let mut brother = Process::fork(|| thread::sleep(Duration::from_secs(100)));
    brother.start().unwrap();
    drop(back);
    assert_eq!(kind(ours.recv()), ErrorKind::Disconnected);
    kill_and_join(&brother);
}

/// Of an end that was given to a child as an argument, only what the child had is ended with it.
fn half_given() {
    let mut brother = Process::fork(|| thread::sleep(Duration::from_secs(100)));
    brother.start().unwrap();
    let (ours, theirs) = Pipe::<u32>::new().unwrap();
    let (receiver, sender) = theirs.split().unwrap();
    let child = start(|end: Connection<u32>| end.send(&1).unwrap(), (sender,));
    assert_eq!(child.join().unwrap(), 0);
    assert_eq!(ours.recv().unwrap(), 1);
    assert_eq!(kind(ours.recv()), ErrorKind::Disconnected);
    ours.send(&2).unwrap();
    assert_eq!(receiver.recv().unwrap(), 2);
    kill_and_join(&brother);
}

/// A start that fails takes its arguments with it.
fn start_fails() {
    let mut brother = None;
    let (ours, theirs) = Pipe::<u32>::new().unwrap();
    brother
        .insert(Process::fork(|| thread::sleep(Duration::from_secs(100))))
        .start()
        .unwrap();
    let limits = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, 100, limits.1).unwrap();
    let mut files = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        files.push(file);
    }
    // Room for the copy of the end, and not for the socket that it would travel in.
    drop(files.pop());
    let mut process = Process::new(receives_all, (theirs,));
    assert!(process.start().is_err());
    drop(files);
    setrlimit(Resource::RLIMIT_NOFILE, limits.0, limits.1).unwrap();
    assert_eq!(kind(ours.recv()), ErrorKind::Disconnected);
    kill_and_join(&brother.unwrap());
}

/// What a child drops is closed, although it lives on: it has no other copy, whichever way it was started.
fn dropped_in_the_child() {
    fn drops(stream: Fd<UnixStream>, end: Connection<u32>, gate: Connection<()>) {
        drop(stream);
        drop(end);
        let _until_told = gate.recv_bytes();
    }
    each(|way| {
        let (mut ours, theirs) = UnixStream::pair().unwrap();
        let (end, other) = Pipe::<u32>::new().unwrap();
        let (tell, gate) = Pipe::<()>::new().unwrap();
        let child = start_by(way, drops, (Fd::new(theirs), other, gate));
        assert_eq!(ours.read(&mut [0]).unwrap(), 0);
        assert_eq!(kind(end.recv()), ErrorKind::Disconnected);
        drop(tell);
        assert_eq!(child.join().unwrap(), 0);
    });
}

/// The halves of an end that a foreign fork has copied are only closed, as it would be.
fn halves_after_a_foreign_fork() {
    let (ours, theirs) = Pipe::<u32>::new().unwrap();
    let (tell, gate) = Pipe::<()>::new().unwrap();
    let child = fork_behind_our_back(|| {
        let _told = gate.recv_bytes();
        theirs.send(&5).unwrap();
    });
    let (receiver, sender) = theirs.split().unwrap();
    drop((receiver, sender));
    tell.send_bytes(b"now").unwrap();
    assert_eq!(ours.recv().unwrap(), 5);
    nix::sys::wait::waitpid(child, None).unwrap();
    assert_eq!(kind(ours.recv()), ErrorKind::Disconnected);
}

/// The kernel bounds how many descriptors an ordinary user has in flight: what was refused can be sent later, and nothing is torn.
fn too_many_in_flight() {
    type Files = Vec<Fd<File>>;
    if nix::unistd::geteuid().is_root() {
        nix::unistd::setuid(nix::unistd::Uid::from_raw(65534)).unwrap();
    }
    let limits = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, 64, limits.1).unwrap();
    let (ours, theirs) = Pipe::<Files>::new().unwrap();
    let files = || (0..20).map(|_| Fd::new(File::open("/dev/null").unwrap()));
    let mut sent = 0;
    while let Ok(()) = ours.send(&files().collect()) {
        sent += 1;
        assert!(sent < 10, "the kernel has no such bound");
    }
    assert!(ours.is_writable());
    // What goes first afterwards may have no descriptors.
    for _ in 0..sent {
        assert_eq!(theirs.recv().unwrap().len(), 20);
    }
    ours.send(&Vec::new()).unwrap();
    ours.send(&files().collect()).unwrap();
    assert_eq!(theirs.recv().unwrap().len(), 0);
    assert_eq!(theirs.recv().unwrap().len(), 20);
}

/// A message that is refused for its length leaves none of its descriptors behind.
fn refused_with_descriptors() {
    let (ours, theirs) = Pipe::<Vec<Fd<File>>>::new().unwrap();
    let count = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    let files = (0..50).map(|_| Fd::new(File::open("/dev/null").unwrap()));
    ours.send(&files.collect()).unwrap();
    let before = count();
    assert_eq!(kind(theirs.recv_bytes_max(3)), ErrorKind::TooLong);
    assert_eq!(count(), before);
}

/// Sent as a plain descriptor, or taken out: the connection goes on with whoever has that.
fn as_a_descriptor() {
    let (ours, theirs) = Pipe::<u32>::new().unwrap();
    let (carry, carried) = Pipe::<()>::new().unwrap();
    carry.send_fd(&theirs).unwrap();
    drop(theirs);
    let again = Connection::<u32>::from_fd(carried.recv_fd().unwrap()).unwrap();
    again.send(&1).unwrap();
    assert_eq!(ours.recv().unwrap(), 1);
    let fd = again.into_fd().unwrap();
    let again = Connection::<u32>::from_fd(fd).unwrap();
    again.send(&2).unwrap();
    assert_eq!(ours.recv().unwrap(), 2);
    drop(again);
    assert_eq!(kind(ours.recv()), ErrorKind::Disconnected);
}

/// What was brought from elsewhere may be used elsewhere, with its own timeouts.
fn shared_with_others() {
    let (mut stream, peer) = UnixStream::pair().unwrap();
    let long = Some(Duration::from_secs(77));
    stream.set_read_timeout(long).unwrap();
    let theirs = Connection::<u32>::from_fd(stream.try_clone().unwrap().into()).unwrap();
    let peer = Connection::<u32>::from_fd(peer.into()).unwrap();
    let (carry, _carried) = Pipe::<()>::new().unwrap();
    carry.send_fd(&stream).unwrap();
    assert_eq!(stream.read_timeout().unwrap(), long);
    drop(theirs);
    peer.send_bytes(b"x").unwrap();
    let mut frame = [0; 5];
    stream.read_exact(&mut frame).unwrap();
    assert_eq!(&frame, b"\0\0\0\x01x");
}

/// However many children are forked while a thread waits: one thread watches them.
fn one_watcher() {
    let (ours, theirs) = Pipe::<u32>::new().unwrap();
    let waiter = thread::spawn(move || ours.recv());
    let threads = || std::fs::read_dir("/proc/self/task").unwrap().count();
    let before = threads();
    let mut pairs = Vec::new();
    for _ in 0..20 {
        let (left, right) = Pipe::<u32>::new().unwrap();
        let mut child = Process::fork(move || receives_all(right));
        child.start().unwrap();
        pairs.push((left, child));
        assert!(threads() <= before + 1);
    }
    for (left, child) in &pairs {
        child.kill().unwrap();
        assert_eq!(kind(left.recv()), ErrorKind::Disconnected);
        assert_eq!(child.join().unwrap(), -9);
    }
    theirs.send(&1).unwrap();
    assert_eq!(waiter.join().unwrap().unwrap(), 1);
}
