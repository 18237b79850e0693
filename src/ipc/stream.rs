//! One end of a stream: frames out, frames in, descriptors with them, and the end of it.

mod receiving;
mod sending;

use super::frame::{Incoming, Refused};
use crate::error::{Error, ErrorKind, Result};
use crate::sys::clock::Deadline;
use crate::sys::stream::{Came, Moves, Sort};
use crate::sys::{atfork, companions, stream, thread};
use nix::poll::{PollFd, PollFlags};
use std::cell::{Cell, RefCell};
use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

/// The longest message that is received, if nobody says otherwise.
const MOST: u64 = 1 << 30;

/// A sleep of less was hardly worth it.
const SHORT: Duration = Duration::from_micros(100);

/// So many looks take about as long as that.
const MOST_LOOKS: u32 = 512;

/// One end of a stream.
///
/// Whoever drops it ends the stream, also for those who have copies of the socket without knowing: children that were forked meanwhile. Not
/// if the end has moved to another process, which the kernel counts ([`stream::moves`]), or if somebody forked who has its own mind
/// about what a child does with a copy ([`atfork::foreign`]).
#[derive(Debug)]
pub(super) struct Stream {
    fd: OwnedFd,
    readable: Cell<bool>,
    writable: Cell<bool>,
    /// Both sides are on this machine, so that descriptors can be sent.
    local: bool,
    pub(super) max_message: u64,
    incoming: RefCell<Incoming>,
    /// Descriptors that came with the message that is being received.
    came: RefCell<Came>,
    /// The beginning of a long head was sent, and nothing else of its message.
    begun: Cell<bool>,
    alone: bool,
    moves: Moves,
    foreign: u32,
    /// How often it is looked for something to receive, and for room to send, before the thread sleeps.
    looks: [Cell<u32>; 2],
}

/// Which way an end goes, and what else is to be said of it elsewhere.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ways {
    pub(super) readable: bool,
    pub(super) writable: bool,
    pub(super) max_message: u64,
    /// Nobody else has the socket, but copies that a fork has made: whoever drops the end may end it for all of them.
    pub(super) alone: bool,
}

impl Ways {
    pub(super) const BOTH: Self = Self {
        readable: true,
        writable: true,
        max_message: MOST,
        alone: true,
    };
}

fn gone(context: &str) -> Error {
    Error::new(ErrorKind::Disconnected, context)
}

const ENDED: &str = "the other end of the connection is closed";
const CUT: &str = "the other end of the connection was closed in the middle of a message";

fn ended(incoming: &Incoming) -> Error {
    gone(if incoming.is_empty() { ENDED } else { CUT })
}

/// Learns from a sleep: a peer that answers at once is worth being looked for.
fn slept(looks: &Cell<u32>, time: Duration) {
    let before = looks.get();
    let better = if time < SHORT { before * 2 } else { before / 2 };
    looks.set(better.clamp(1, MOST_LOOKS));
}

/// Which way bytes go.
#[derive(Clone, Copy, Debug)]
enum Direction {
    In,
    Out,
}

fn failed(direction: Direction, error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::BrokenPipe
        | io::ErrorKind::ConnectionReset
        | io::ErrorKind::NotConnected => gone(ENDED),
        _ => match direction {
            Direction::In => Error::os("receive", error),
            Direction::Out => Error::os("send", error),
        },
    }
}

fn refused(why: Refused) -> Error {
    match why {
        Refused::TooLong(length) => {
            Error::new(ErrorKind::TooLong, format!("{length} bytes were announced"))
        }
        Refused::NoLength(number) => {
            let text = format!("{number} was announced as the length of a message");
            Error::new(ErrorKind::Decode, text)
        }
    }
}

impl Stream {
    /// An end that is ours alone.
    pub(super) fn new(fd: OwnedFd, ways: Ways) -> Result<Self> {
        let sort = stream::sort(fd.as_fd());
        if sort == Sort::Other {
            let text = "a connection needs a stream socket";
            return Err(Error::new(ErrorKind::InvalidInput, text));
        }
        let moves = stream::moves(fd.as_fd());
        Ok(Self::made(fd, ways, sort == Sort::Local, moves))
    }

    /// One of a pair that was just made.
    pub(super) fn of_pair(fd: OwnedFd, ways: Ways) -> Self {
        Self::made(fd, ways, true, [0; 2])
    }

    fn made(fd: OwnedFd, ways: Ways, local: bool, moves: Moves) -> Self {
        Self {
            fd,
            readable: Cell::new(ways.readable),
            writable: Cell::new(ways.writable),
            local,
            max_message: ways.max_message,
            incoming: RefCell::default(),
            came: RefCell::default(),
            begun: Cell::new(false),
            alone: ways.alone,
            moves,
            foreign: atfork::foreign(),
            looks: [const { Cell::new(1) }; 2],
        }
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    pub(super) fn ways(&self) -> Ways {
        Ways {
            readable: self.readable.get(),
            writable: self.writable.get(),
            max_message: self.max_message,
            alone: self.is_alone(),
        }
    }

    /// The socket itself, which goes on.
    pub(super) fn into_fd(mut self) -> Result<OwnedFd> {
        self.must_be_between()?;
        self.alone = false;
        let fd = self.fd.try_clone();
        fd.map_err(|error| Error::os("take the descriptor of a connection", error))
    }

    /// Has a part of a message come?
    pub(super) fn is_in_the_middle(&self) -> bool {
        !self.incoming.borrow().is_empty()
    }

    /// Whoever goes on with the socket begins with whole messages.
    pub(super) fn must_be_between(&self) -> Result<()> {
        if self.is_in_the_middle() || self.begun.get() {
            let text = "a part of a message has come or gone, and not the rest";
            return Err(Error::new(ErrorKind::Misuse, text));
        }
        Ok(())
    }

    /// May who gets the end, and drops it, end it for all who have copies?
    pub(super) fn is_alone(&self) -> bool {
        self.alone && self.foreign == atfork::foreign()
    }

    /// Two halves: one that receives and one that sends.
    pub(super) fn split(&self) -> Result<(Self, Self)> {
        self.may_read()?;
        self.may_write()?;
        self.must_be_between()?;
        let half = |readable| {
            let fd = self.fd.try_clone();
            let fd = fd.map_err(|error| Error::os("split a connection", error))?;
            let ways = Ways {
                readable,
                writable: !readable,
                ..self.ways()
            };
            let mut half = Self::made(fd, ways, self.local, self.moves);
            half.foreign = self.foreign;
            half.alone = self.alone;
            Ok::<_, Error>(half)
        };
        let halves = (half(true)?, half(false)?);
        // They end it now, each its direction.
        self.readable.set(false);
        self.writable.set(false);
        Ok(halves)
    }

    pub(super) fn fmt_as(&self, name: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{name}(fd {}", self.fd.as_raw_fd())?;
        if self.readable.get() {
            f.write_str(", readable")?;
        }
        if self.writable.get() {
            f.write_str(", writable")?;
        }
        f.write_str(")")
    }

    fn wait(&self, events: PollFlags, deadline: Deadline) -> Result<bool> {
        let mut fds = [PollFd::new(self.fd.as_fd(), events)];
        let ready = companions::poll_until(&mut fds, deadline);
        ready.map_err(|error| Error::os("wait for a connection", error))
    }

    /// Is there something to receive, or the end, before the deadline?
    pub(super) fn poll(&self, deadline: Deadline) -> Result<bool> {
        self.may_read()?;
        self.wait(PollFlags::POLLIN, deadline)
    }

    /// Calls until it does not have to wait.
    fn patiently(
        &self,
        direction: Direction,
        deadline: Deadline,
        mut call: impl FnMut(bool) -> io::Result<usize>,
    ) -> Result<usize> {
        let failed = |error| failed(direction, error);
        let looks = &self.looks[direction as usize];
        let may_look = thread::cpus() > 1;
        let times = if may_look { looks.get() } else { 0 };
        for _ in 0..times {
            match call(false) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                other => return other.map_err(failed),
            }
            if deadline.passed() {
                break;
            }
        }
        let _waiting = companions::waiting();
        let asleep = may_look.then(Instant::now);
        loop {
            // Without a deadline the call itself may wait; if it does not, the socket was told so by somebody else.
            let patient = deadline.left().is_none() && !companions::any();
            match call(patient) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                other => {
                    if let Some(asleep) = asleep {
                        slept(looks, asleep.elapsed());
                    }
                    return other.map_err(failed);
                }
            }
            let events = match direction {
                Direction::In => PollFlags::POLLIN,
                Direction::Out => PollFlags::POLLOUT,
            };
            // Who only looks has done so, unless somebody's end would change what is there.
            let no_wait = deadline.passed() && !companions::any();
            if no_wait || !self.wait(events, deadline)? {
                return Err(ErrorKind::TimedOut.into());
            }
        }
    }

    fn may_read(&self) -> Result<()> {
        if self.readable.get() {
            return Ok(());
        }
        let text = "this end of the connection does not receive (any more)";
        Err(Error::new(ErrorKind::Misuse, text))
    }

    fn may_write(&self) -> Result<()> {
        if self.writable.get() {
            return Ok(());
        }
        let text = "this end of the connection does not send (any more)";
        Err(Error::new(ErrorKind::Misuse, text))
    }

    /// Ends a direction that cannot go on, so that the other side does not wait for it.
    fn stop(&self, readable: bool, writable: bool) {
        stream::end(self.fd(), readable, writable);
        self.readable.set(self.readable.get() && !readable);
        self.writable.set(self.writable.get() && !writable);
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if self.is_alone() {
            let which = [self.readable.get(), self.writable.get()];
            stream::end_unmoved(self.fd(), which, self.moves);
        }
    }
}
