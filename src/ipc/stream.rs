//! One end of a stream: frames out, frames in, descriptors with them, and the end of it.

use super::frame::{Header, Incoming, Refused};
use crate::error::{Error, ErrorKind, Result};
use crate::sys::clock::Deadline;
use crate::sys::stream::Sort;
use crate::sys::{atfork, companions, stream};
use crate::wire::descriptors::Luggage;
use nix::poll::{PollFd, PollFlags};
use std::cell::{Cell, RefCell};
use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// The longest message that is received, if nobody says otherwise.
const MOST: u64 = 1 << 30;

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
    came: RefCell<Vec<OwnedFd>>,
    moves: i32,
    foreign: u32,
}

/// Which way an end goes, and what else is to be said of it elsewhere.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ways {
    pub(super) readable: bool,
    pub(super) writable: bool,
    pub(super) max_message: u64,
}

impl Ways {
    pub(super) const BOTH: Self = Self {
        readable: true,
        writable: true,
        max_message: MOST,
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

fn failed(context: &str, error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::BrokenPipe
        | io::ErrorKind::ConnectionReset
        | io::ErrorKind::NotConnected => gone(ENDED),
        _ => Error::os(context, error),
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
        Self::made(fd, ways, true, 0)
    }

    fn made(fd: OwnedFd, ways: Ways, local: bool, moves: i32) -> Self {
        Self {
            fd,
            readable: Cell::new(ways.readable),
            writable: Cell::new(ways.writable),
            local,
            max_message: ways.max_message,
            incoming: RefCell::default(),
            came: RefCell::default(),
            moves,
            foreign: atfork::foreign(),
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
        }
    }

    /// Has a part of a message come?
    pub(super) fn is_in_the_middle(&self) -> bool {
        !self.incoming.borrow().is_empty()
    }

    /// Two halves: one that receives and one that sends.
    pub(super) fn split(&self) -> Result<(Self, Self)> {
        self.may_read()?;
        self.may_write()?;
        if self.is_in_the_middle() {
            let text = "a part of a message has been received, and not the rest";
            return Err(Error::new(ErrorKind::Misuse, text));
        }
        let half = |readable| {
            let fd = self.fd.try_clone();
            let fd = fd.map_err(|error| Error::os("split a connection", error))?;
            let ways = Ways {
                readable,
                writable: !readable,
                max_message: self.max_message,
            };
            Ok::<_, Error>(Self::made(fd, ways, self.local, self.moves))
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
        events: PollFlags,
        deadline: Deadline,
        mut call: impl FnMut(bool) -> io::Result<usize>,
    ) -> Result<usize> {
        let context = if events == PollFlags::POLLIN {
            "receive"
        } else {
            "send"
        };
        // Without a deadline, the call itself waits; if not, the socket was told so by somebody else.
        let patient = deadline.left().is_none() && !companions::any();
        loop {
            match call(patient) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                other => return other.map_err(|error| failed(context, error)),
            }
            if !self.wait(events, deadline)? {
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

/// Sending.
impl Stream {
    /// Sends a frame.
    pub(super) fn send(&self, body: &[u8], luggage: Luggage, deadline: Deadline) -> Result<()> {
        self.may_write()?;
        if !luggage.is_empty() && !self.local {
            let text = "descriptors travel only between processes of one machine";
            return Err(Error::new(ErrorKind::Encode, text));
        }
        let header = Header::of(body.len() as u64);
        let (header, all) = (header.as_bytes(), header.as_bytes().len() + body.len());
        let mut sent = 0;
        let result = self
            .send_luggage(header, &luggage, &mut sent, deadline)
            .and_then(|()| self.send_rest(header, body, &mut sent, deadline));
        match &result {
            Ok(()) => drop(luggage.depart()),
            Err(_) if sent > 0 && sent < all => self.stop(false, true),
            Err(_) => {}
        }
        result
    }

    /// Sends the descriptors, but for the last ones each group with a byte of the head.
    fn send_luggage(
        &self,
        header: &[u8],
        luggage: &Luggage,
        sent: &mut usize,
        deadline: Deadline,
    ) -> Result<()> {
        if luggage.is_empty() {
            return Ok(());
        }
        for fds in luggage.fds().chunks(stream::MOST_DESCRIPTORS) {
            let byte = &header[*sent..=*sent];
            *sent += self.patiently(PollFlags::POLLOUT, deadline, |patient| {
                stream::send_with(self.fd(), [byte, &[]], fds, patient)
            })?;
        }
        Ok(())
    }

    fn send_rest(
        &self,
        header: &[u8],
        body: &[u8],
        sent: &mut usize,
        deadline: Deadline,
    ) -> Result<()> {
        while *sent < header.len() + body.len() {
            let parts = [
                &header[(*sent).min(header.len())..],
                &body[sent.saturating_sub(header.len())..],
            ];
            *sent += self.patiently(PollFlags::POLLOUT, deadline, |patient| {
                stream::send(self.fd(), parts, patient)
            })?;
        }
        Ok(())
    }

    /// Sends a descriptor outside of any frame.
    pub(super) fn send_fd(&self, fd: BorrowedFd<'_>) -> Result<()> {
        self.may_write()?;
        self.patiently(PollFlags::POLLOUT, Deadline::NEVER, |patient| {
            stream::send_with(self.fd(), [&[1], &[]], &[fd], patient)
        })?;
        Ok(())
    }
}

/// Receiving.
impl Stream {
    /// Receives up to the end of a frame, whose body stays in the buffer.
    fn receive(&self, limit: u64, deadline: Deadline) -> Result<()> {
        self.may_read()?;
        let limit = limit.min(self.max_message);
        let mut incoming = self.incoming.borrow_mut();
        loop {
            let place = incoming.wants(limit).map_err(|why| {
                self.stop(true, false);
                refused(why)
            })?;
            if place.is_empty() {
                return Ok(());
            }
            match self.receive_some(place, deadline)? {
                0 => return Err(ended(&incoming)),
                came => incoming.came(came),
            }
        }
    }

    /// 0 is the end.
    fn receive_some(&self, place: &mut [u8], deadline: Deadline) -> Result<usize> {
        // Descriptors come with the head, which has no more bytes than this; the rest needs no room for them.
        let laden = self.local && place.len() <= 12;
        let came = self.patiently(PollFlags::POLLIN, deadline, |patient| {
            if laden {
                stream::recv_with(self.fd(), place, &mut self.came.borrow_mut(), patient)
            } else {
                stream::recv(self.fd(), place, patient)
            }
        });
        match came {
            // It was closed before it had received all that we had sent: what we wanted to know is that it is closed.
            Err(error) if error.kind() == ErrorKind::Disconnected => Ok(0),
            other => other,
        }
    }

    /// Receives a frame and has it read; its buffer is used again.
    pub(super) fn receive_and<T>(
        &self,
        deadline: Deadline,
        read: impl FnOnce(&[u8], Vec<OwnedFd>) -> T,
    ) -> Result<T> {
        self.receive(u64::MAX, deadline)?;
        // Taken away meanwhile: what reads may receive from us itself.
        let mut incoming = self.incoming.take();
        let value = read(incoming.body(), self.came.take());
        incoming.next();
        self.incoming.replace(incoming);
        Ok(value)
    }

    /// Receives the bytes of a frame of at most `limit` bytes. Descriptors that came with it are closed.
    pub(super) fn receive_bytes(&self, limit: u64, deadline: Deadline) -> Result<Vec<u8>> {
        self.receive(limit, deadline)?;
        drop(self.came.take());
        Ok(self.incoming.borrow_mut().take())
    }

    /// Receives the bytes of a frame where they shall be; the whole message, where they have no room.
    pub(super) fn receive_into(&self, buffer: &mut [u8]) -> Result<Result<usize, Vec<u8>>> {
        self.receive_head()?;
        let announced = self.incoming.borrow_mut().announced(self.max_message);
        let length = announced.ok().flatten().unwrap_or(0);
        let place = usize::try_from(length)
            .ok()
            .and_then(|length| buffer.get_mut(..length));
        let Some(place) = place.filter(|_| self.incoming.borrow().body().is_empty()) else {
            let bytes = self.receive_bytes(u64::MAX, Deadline::NEVER)?;
            return Ok(match buffer.get_mut(..bytes.len()) {
                Some(place) => {
                    place.copy_from_slice(&bytes);
                    Ok(bytes.len())
                }
                None => Err(bytes),
            });
        };
        let mut filled = 0;
        while filled < place.len() {
            let came = self.receive_some(&mut place[filled..], Deadline::NEVER);
            match came {
                Ok(came) if came > 0 => filled += came,
                other => {
                    // What has come is in the caller's buffer: nobody can go on from here.
                    self.stop(true, false);
                    return Err(other.err().unwrap_or_else(|| gone(CUT)));
                }
            }
        }
        drop(self.came.take());
        self.incoming.borrow_mut().next();
        Ok(Ok(filled))
    }

    /// Receives up to the end of the head of a frame.
    fn receive_head(&self) -> Result<()> {
        self.may_read()?;
        let mut incoming = self.incoming.borrow_mut();
        loop {
            let announced = incoming.announced(self.max_message).map_err(|why| {
                self.stop(true, false);
                refused(why)
            })?;
            if announced.is_some() {
                return Ok(());
            }
            let place = incoming.wants(self.max_message).map_err(refused)?;
            match self.receive_some(place, Deadline::NEVER)? {
                0 => return Err(ended(&incoming)),
                came => incoming.came(came),
            }
        }
    }

    /// Receives a descriptor that was sent outside of any frame.
    pub(super) fn receive_fd(&self) -> Result<OwnedFd> {
        self.may_read()?;
        if self.is_in_the_middle() {
            let text = "a part of a message has been received, and not the rest";
            return Err(Error::new(ErrorKind::Misuse, text));
        }
        let mut fds = Vec::new();
        let mut byte = [0];
        let came = self.patiently(PollFlags::POLLIN, Deadline::NEVER, |patient| {
            stream::recv_with(self.fd(), &mut byte, &mut fds, patient)
        })?;
        match (came, fds.pop()) {
            (_, Some(fd)) if fds.is_empty() && byte == [1] => Ok(fd),
            (0, _) => Err(gone(ENDED)),
            _ => {
                let text = "there is no descriptor where one should be";
                Err(Error::new(ErrorKind::Decode, text))
            }
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let copied_by_others = self.foreign != atfork::foreign();
        if !copied_by_others && stream::moves(self.fd()) == self.moves {
            stream::end(self.fd(), self.readable.get(), self.writable.get());
        }
    }
}
