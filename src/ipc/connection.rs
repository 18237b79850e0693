//! `Connection`: messages both ways, values or bytes, between two processes.

use super::connection_error::RecvIntoError;
use super::stream::{Stream, Ways};
use crate::error::{Error, ErrorKind, Result};
use crate::sys::clock::Deadline;
use crate::wire::descriptors::Luggage;
use crate::wire::{self, Bytes, descriptors};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::marker::PhantomData;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

/// One end of a connection between two processes, or two programs: it sends values of `S` and receives values of `R`.
///
/// [`Pipe::new`](crate::Pipe::new) makes both ends at once; [`Listener`](crate::Listener) and [`Client`](crate::Client) connect
/// programs, in Rust or Python. Messages keep their bounds, and their order. A value is a message in this crate's encoding; the verbs with
/// `bytes` send messages as they are, which Python's `send_bytes` and `recv_bytes` understand, and those with `pickle` (feature `python`)
/// what Python's `send` and `recv` do.
///
/// A connection can be an argument of a process, whichever way that is started, and can be sent through another connection (not
/// through a queue: a descriptor needs the kernel to travel). It moves: the process that sent it should use it no more. One thread uses
/// it at a time; [`split`](Self::split) gives two halves for two threads.
///
/// **When the process at the other end dies**, what it had sent wholly is received, and then [`ErrorKind::Disconnected`], at once, also in
/// the middle of a message; sending fails with the same. Dropping or closing an end does this too, even where children that were
/// forked meanwhile have copies of it.
///
/// # Forks
/// A fork copies all connections of a process. Those of a [`Process::fork`](crate::Process::fork) that its closure has not captured are not
/// the child's: it must not close them, or it ends them for its parent too. A child that was forked with an end and is killed: its parent hears of
/// it at once when it waits for the connection, others when the parent notices. After a fork that this crate does not make (and
/// [`os::fork`](crate::os::fork)), both sides only close what was there before, and do not end it: then the other end of a connection waits for the
/// last copy. The same goes for an end that was sent through a connection, or captured by a detached child of a child.
///
/// # Differences from Python
/// `recv` at the end of file answers [`ErrorKind::Disconnected`] where Python raises `EOFError`; offsets and sizes are slices; received
/// messages have a [limit](Self::set_max_message); receiving and sending have deadlines. Sending a connection needs no helper
/// thread, and the sender may end at once.
///
/// # Examples
/// ```
/// use multiproc::{Connection, Pipe, Process};
///
/// fn double(numbers: Connection<u64>) {
///     while let Ok(n) = numbers.recv() {
///         numbers.send(&(n * 2)).expect("the parent listens");
///     }
/// }
///
/// let (ours, theirs) = Pipe::new()?;
/// let mut process = Process::new(double, (theirs,));
/// process.start()?;
/// ours.send(&21)?;
/// assert_eq!(ours.recv()?, 42);
/// drop(ours);
/// assert_eq!(process.join()?, 0);
/// # Ok::<(), multiproc::Error>(())
/// ```
pub struct Connection<S, R = S> {
    /// `None` when it was closed.
    stream: Option<Stream>,
    types: PhantomData<fn(S) -> R>,
}

impl<S, R> Connection<S, R> {
    pub(super) fn of(stream: Stream) -> Self {
        Self {
            stream: Some(stream),
            types: PhantomData,
        }
    }

    /// Wraps a stream socket, as one that was inherited from a Python program: both ways, as it is. Others may have it too, so dropping or
    /// closing the connection only closes it here: the other side sees the end when all have closed it.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] when it is no stream socket.
    pub fn from_fd(fd: OwnedFd) -> Result<Self> {
        let ways = Ways {
            alone: false,
            ..Ways::BOTH
        };
        Ok(Self::of(Stream::new(fd, ways)?))
    }

    /// Takes the socket out, for another program for example. The connection is not ended.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`]; [`ErrorKind::Os`] when there is no room for a descriptor.
    pub fn into_fd(mut self) -> Result<OwnedFd> {
        self.stream()?;
        let stream = self.stream.take().ok_or(ErrorKind::Closed)?;
        stream.into_fd()
    }

    pub(super) fn stream(&self) -> Result<&Stream> {
        let closed = || Error::new(ErrorKind::Closed, "this end of the connection");
        self.stream.as_ref().ok_or_else(closed)
    }

    /// Sends a message, waiting for as long as there is no room for it.
    ///
    /// # Errors
    /// [`ErrorKind::Disconnected`] when nobody is at the other end any more; [`ErrorKind::Closed`] when this end was closed;
    /// [`ErrorKind::Misuse`] when it only receives.
    pub fn send_bytes(&self, bytes: &[u8]) -> Result<()> {
        let nothing = Luggage::default();
        self.stream()?.send(bytes, nothing, Deadline::NEVER)
    }

    /// Receives a message. If there are descriptors in it, they are closed.
    ///
    /// # Errors
    /// [`ErrorKind::Disconnected`] at the end; [`ErrorKind::TooLong`] beyond [`max_message`](Self::max_message): after that this end receives no
    /// more, because nobody can tell the rest of the message from the next one. [`ErrorKind::Closed`]; [`ErrorKind::Misuse`] when it only sends.
    pub fn recv_bytes(&self) -> Result<Vec<u8>> {
        self.recv_bytes_max(usize::MAX)
    }

    /// Receives a message of at most `limit` bytes.
    ///
    /// # Errors
    /// As [`recv_bytes`](Self::recv_bytes), and [`ErrorKind::TooLong`] beyond `limit`.
    ///
    /// # Examples
    /// ```
    /// use multiproc::{ErrorKind, Pipe};
    ///
    /// let (one, other) = Pipe::<()>::new()?;
    /// one.send_bytes(b"too much")?;
    /// assert_eq!(other.recv_bytes_max(3).unwrap_err().kind(), ErrorKind::TooLong);
    /// assert!(!other.is_readable() && other.is_writable());
    /// # Ok::<(), multiproc::Error>(())
    /// ```
    pub fn recv_bytes_max(&self, limit: usize) -> Result<Vec<u8>> {
        self.stream()?.receive_bytes(limit as u64, Deadline::NEVER)
    }

    /// Receives a message, if one comes in time. What has come of a message when time is up is kept for the next call.
    ///
    /// # Errors
    /// As [`recv_bytes`](Self::recv_bytes), and [`ErrorKind::TimedOut`].
    pub fn recv_bytes_timeout(&self, timeout: Duration) -> Result<Vec<u8>> {
        let deadline = Deadline::after(timeout);
        self.stream()?.receive_bytes(u64::MAX, deadline)
    }

    /// Receives a message into `buffer`; the answer is its length.
    ///
    /// # Errors
    /// [`RecvIntoError::BufferTooShort`] carries the whole message when it has no room; else as [`recv_bytes`](Self::recv_bytes).
    ///
    /// # Examples
    /// ```
    /// use multiproc::{Pipe, RecvIntoError};
    ///
    /// let (one, other) = Pipe::<()>::new()?;
    /// one.send_bytes(b"four")?;
    /// let mut buffer = [0; 3];
    /// match other.recv_bytes_into(&mut buffer) {
    ///     Err(RecvIntoError::BufferTooShort(message)) => assert_eq!(message, b"four"),
    ///     other => panic!("{other:?}"),
    /// }
    /// # Ok::<(), multiproc::Error>(())
    /// ```
    pub fn recv_bytes_into(&self, buffer: &mut [u8]) -> Result<usize, RecvIntoError> {
        let received = self.stream().and_then(|stream| stream.receive_into(buffer));
        match received {
            Ok(Ok(length)) => Ok(length),
            Ok(Err(message)) => Err(RecvIntoError::BufferTooShort(message)),
            Err(error) => Err(RecvIntoError::Failed(error)),
        }
    }

    /// Is there something to receive, or the end, at this instant? An empty message is something.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`]; [`ErrorKind::Misuse`] when this end only sends.
    pub fn poll(&self) -> Result<bool> {
        self.stream()?.poll(Deadline::now())
    }

    /// Waits until there is something to receive, or the end (`true`), or the time is up.
    ///
    /// # Errors
    /// As [`poll`](Self::poll).
    pub fn poll_timeout(&self, timeout: Duration) -> Result<bool> {
        self.stream()?.poll(Deadline::after(timeout))
    }

    /// Closes this end: the other one receives what was sent, and then the end. Closing twice does nothing. A forked child closes only
    /// what it has captured: see [above](Self#forks).
    pub fn close(&mut self) {
        self.stream = None;
    }

    /// Was this end closed, here?
    #[must_use]
    #[doc(alias = "closed")]
    pub fn is_closed(&self) -> bool {
        self.stream.is_none()
    }

    /// Can this end receive? (Whether there is something says [`poll`](Self::poll).)
    #[must_use]
    #[doc(alias = "readable")]
    pub fn is_readable(&self) -> bool {
        let stream = self.stream.as_ref();
        stream.is_some_and(|stream| stream.ways().readable)
    }

    /// Can this end send?
    #[must_use]
    #[doc(alias = "writable")]
    pub fn is_writable(&self) -> bool {
        let stream = self.stream.as_ref();
        stream.is_some_and(|stream| stream.ways().writable)
    }

    /// The longest message that this end receives, in bytes: a gibibyte, if nobody says otherwise. Memory is taken as bytes arrive, never for
    /// what was only announced.
    #[must_use]
    pub fn max_message(&self) -> u64 {
        let stream = self.stream.as_ref();
        stream.map_or(0, |stream| stream.max_message)
    }

    /// Sets the longest message that this end receives, in bytes.
    pub fn set_max_message(&mut self, bytes: u64) {
        if let Some(stream) = &mut self.stream {
            stream.max_message = bytes;
        }
    }

    /// Two halves, for two threads: one that receives and one that sends. If that fails, the connection is closed.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`]; [`ErrorKind::Misuse`] when it does not go both ways, or when a part of a message has been received;
    /// [`ErrorKind::Os`] when there is no room for a descriptor.
    ///
    /// # Examples
    /// ```
    /// let (ours, theirs) = multiproc::Pipe::<u32>::new()?;
    /// let (receiver, sender) = ours.split()?;
    /// let thread = std::thread::spawn(move || receiver.recv());
    /// sender.send(&1)?;
    /// assert_eq!(theirs.recv()?, 1);
    /// theirs.send(&2)?;
    /// assert_eq!(thread.join().expect("no panic")?, 2);
    /// # Ok::<(), multiproc::Error>(())
    /// ```
    pub fn split(self) -> Result<(Self, Self)> {
        let (receiver, sender) = Stream::split(self.stream()?)?;
        Ok((Self::of(receiver), Self::of(sender)))
    }

    /// Sends a descriptor as Python's `send_handle` does: outside of any message. In a value, a [`Fd`](crate::Fd) goes with it. If it is that of a
    /// connection, that moves: dropped here, it only closes.
    ///
    /// # Errors
    /// As [`send_bytes`](Self::send_bytes); [`ErrorKind::Encode`] when the connection is not one between processes of this machine.
    pub fn send_fd(&self, fd: impl AsFd) -> Result<()> {
        self.stream()?.send_fd(fd.as_fd())
    }

    /// Receives a descriptor that was sent by [`send_fd`](Self::send_fd), or by Python's `send_handle`.
    ///
    /// # Errors
    /// [`ErrorKind::Decode`] when there is something else; [`ErrorKind::Disconnected`]; [`ErrorKind::Closed`]; [`ErrorKind::Misuse`].
    pub fn recv_fd(&self) -> Result<OwnedFd> {
        self.stream()?.receive_fd()
    }

    /// The same connection for values of other types.
    #[must_use]
    pub fn cast<S2, R2>(self) -> Connection<S2, R2> {
        Connection {
            stream: self.stream,
            types: PhantomData,
        }
    }
}

impl<S: Serialize + 'static, R> Connection<S, R> {
    /// Sends a value, waiting for as long as there is no room for it.
    ///
    /// # Errors
    /// As [`send_bytes`](Self::send_bytes), and [`ErrorKind::Encode`] when the value does not serialise: nothing was sent then.
    pub fn send(&self, value: &S) -> Result<()> {
        self.send_until(value, Deadline::NEVER)
    }

    /// Sends a value, if there is room in time.
    ///
    /// # Errors
    /// As [`send`](Self::send), and [`ErrorKind::TimedOut`]. If a part of the message was on its way then, this end sends no more
    /// ([`is_writable`](Self::is_writable)), and the other one sees the end in the middle of a message.
    pub fn send_timeout(&self, value: &S, timeout: Duration) -> Result<()> {
        self.send_until(value, Deadline::after(timeout))
    }

    fn send_until(&self, value: &S, deadline: Deadline) -> Result<()> {
        let stream = self.stream()?;
        if let Some(bytes) = wire::as_plain_bytes(value) {
            return stream.send(bytes, Luggage::default(), deadline);
        }
        let mut bytes = Bytes::new();
        let luggage = wire::encode_abroad(value, &mut bytes)?;
        stream.send(bytes.as_slice(), luggage, deadline)
    }
}

impl<S, R: DeserializeOwned + 'static> Connection<S, R> {
    /// Receives a value. A message may bring half as many descriptors as this process may have open.
    ///
    /// From a peer that is not trusted, receive no type that contains itself (a message could nest it until the stack is used up), and no
    /// sequence of a type without bytes, as `Vec<()>` (a few bytes could announce one without end).
    ///
    /// # Errors
    /// As [`recv_bytes`](Self::recv_bytes), and [`ErrorKind::Decode`] when what came is no `R`, or [`ErrorKind::Os`] when there is no room for its
    /// descriptors: that message is gone, and the connection goes on.
    pub fn recv(&self) -> Result<R> {
        self.recv_until(Deadline::NEVER)
    }

    /// Receives a value, if one comes in time. What has come of a message when time is up is kept for the next call.
    ///
    /// # Errors
    /// As [`recv`](Self::recv), and [`ErrorKind::TimedOut`].
    pub fn recv_timeout(&self, timeout: Duration) -> Result<R> {
        self.recv_until(Deadline::after(timeout))
    }

    /// Receives a value, if there is one at this instant.
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    pub fn try_recv(&self) -> Result<Option<R>> {
        match self.recv_until(Deadline::now()) {
            Err(error) if error.kind() == ErrorKind::TimedOut => Ok(None),
            other => other.map(Some),
        }
    }

    /// Receives values until the end. What does not decode is an error among them; after any other error nothing more comes.
    ///
    /// # Examples
    /// ```
    /// let (receiver, sender) = multiproc::Pipe::<u8>::one_way()?;
    /// sender.send(&1)?;
    /// sender.send(&2)?;
    /// drop(sender);
    /// assert_eq!(receiver.iter().collect::<Result<Vec<_>, _>>()?, [1, 2]);
    /// # Ok::<(), multiproc::Error>(())
    /// ```
    pub fn iter(&self) -> impl Iterator<Item = Result<R>> {
        let mut goes_on = true;
        std::iter::from_fn(move || {
            if !goes_on {
                return None;
            }
            let received = self.recv();
            let failure = received.as_ref().err().map(Error::kind);
            goes_on = matches!(failure, None | Some(ErrorKind::Decode)) && self.is_readable();
            let torn = self.stream().is_ok_and(Stream::is_in_the_middle);
            let ended = failure == Some(ErrorKind::Disconnected) && !torn;
            (!ended).then_some(received)
        })
    }

    fn recv_until(&self, deadline: Deadline) -> Result<R> {
        self.stream()?.receive_and(deadline, |bytes, fds| {
            let plain = wire::from_plain_bytes(|| Ok::<_, Error>(bytes.to_vec()))?;
            match plain {
                Some(value) => Ok(value),
                None => wire::decode_abroad(bytes, fds),
            }
        })?
    }
}

impl<S, R> AsFd for Connection<S, R> {
    /// Readable where [`poll`](Self::poll) would be true: there is no buffer before it. The socket's timeouts are this crate's: whoever sets
    /// them may end the connection too early or too late when it moves.
    ///
    /// # Panics
    /// When this end was closed.
    fn as_fd(&self) -> BorrowedFd<'_> {
        let stream = self.stream.as_ref();
        stream.expect("a connection that was not closed").fd()
    }
}

impl<S, R> fmt::Debug for Connection<S, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.stream {
            None => f.write_str("Connection(closed)"),
            Some(stream) => stream.fmt_as("Connection", f),
        }
    }
}

impl<S, R> Serialize for Connection<S, R> {
    fn serialize<Z: Serializer>(&self, serializer: Z) -> Result<Z::Ok, Z::Error> {
        use serde::ser::Error as _;
        let stream = self.stream().map_err(Z::Error::custom)?;
        stream.must_be_between().map_err(Z::Error::custom)?;
        let ways = stream.ways();
        let directions = ways.alone.then_some([ways.readable, ways.writable]);
        let number = descriptors::put(stream.fd(), directions).map_err(Z::Error::custom)?;
        let Ways {
            readable,
            writable,
            max_message,
            alone,
        } = ways;
        (number, readable, writable, max_message, alone).serialize(serializer)
    }
}

impl<'de, S, R> Deserialize<'de> for Connection<S, R> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error as _;
        let whole = Deserialize::deserialize(deserializer)?;
        let (number, readable, writable, max_message, alone) = whole;
        let fd = descriptors::take(number).map_err(D::Error::custom)?;
        let ways = Ways {
            readable,
            writable,
            max_message,
            alone,
        };
        Ok(Self::of(Stream::new(fd, ways).map_err(D::Error::custom)?))
    }
}
