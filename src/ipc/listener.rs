//! `Listener`: accepts connections of other programs.

use super::address::Address;
use super::authkey::AuthKey;
use super::connection::Connection;
use super::greeting::Terms;
use super::greetings::{Accepted, Greetings, House, earlier};
use super::listener_builder::ListenerBuilder;
use super::stream::{Stream, Ways};
use crate::error::{Error, ErrorKind, Result};
use crate::shm::label::Label;
use crate::sys::clock::Deadline;
use crate::sys::epoll::Epoll;
use crate::sys::listening::{self, Listening};
use crate::sys::{atfork, companions, stream};
use nix::poll::{PollFd, PollFlags};
use std::cell::RefCell;
use std::fmt;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

/// Waits at an [`Address`] for those who connect: [`Client`](crate::Client)s, or Python's.
///
/// With a [key](ListenerBuilder::authkey), both sides prove that they know it before anything else is received, by Python's
/// handshake. The handshakes of all who have connected go on side by side, while a thread is in one of the verbs that accept: whoever is
/// silent, or slow, keeps nobody else waiting, and is dropped [in the end](ListenerBuilder::handshake_timeout). Nothing is encrypted.
///
/// Closing or dropping it ends it, also where forked children have copies, and removes the path of a Unix socket if it is still
/// its own; both only in the process that made it. A child that was forked may accept, too; each one who connects is accepted once.
///
/// **When a process dies** that has connected: in the middle of the handshake it is forgotten, and a record is logged; after it, but
/// before it is accepted, the connection is accepted, gives what was sent, and then the end. When the listener's own process dies, those who
/// wait for it hear of it at once, unless others have copies of the socket: brothers that were forked, or the parent that it was forked from by
/// [`Process::fork`](crate::Process::fork), until that notices.
///
/// # Differences from Python
/// `accept` has deadlines, and a silent peer does not block it. The backlog is 128, not 1. IPv6 works. Digests made with MD5, which is all
/// that Python up to 3.11 can do, are accepted only [on request](ListenerBuilder::legacy).
///
/// # Examples
/// ```
/// use multiproc::{Client, Connection, Listener};
///
/// let listener = Listener::bind(([127, 0, 0, 1], 0))?;
/// let address = listener.address().clone();
/// let client = std::thread::spawn(move || -> multiproc::Result<String> {
///     let connection: Connection<u32, String> = Client::connect(address)?;
///     connection.send(&4)?;
///     connection.recv()
/// });
/// let connection: Connection<String, u32> = listener.accept()?;
/// let times = connection.recv()?;
/// connection.send(&"ho".repeat(times as usize))?;
/// assert_eq!(client.join().expect("no panic")?, "hohohoho");
/// # Ok::<(), multiproc::Error>(())
/// ```
pub struct Listener {
    address: Address,
    /// `None` when it was closed.
    open: Option<Open>,
    last: RefCell<Option<Address>>,
}

struct Open {
    socket: Listening,
    epoll: Epoll,
    greetings: RefCell<Greetings>,
    terms: Option<Terms>,
    patience: Duration,
    max_message: u64,
    /// Removes the path of the socket.
    file: Option<Label>,
    process: u32,
    foreign: u32,
}

impl Listener {
    /// Listens there, without a key.
    ///
    /// # Errors
    /// As [`ListenerBuilder::bind`].
    pub fn bind(address: impl Into<Address>) -> Result<Self> {
        Self::builder().address(address).bind()
    }

    /// Listens at a Unix socket with a random name in the folder for temporary files, without a key. Only programs of this user can connect.
    ///
    /// # Errors
    /// As [`ListenerBuilder::bind`].
    pub fn new() -> Result<Self> {
        Self::builder().bind()
    }

    /// A listener with a key, or other limits.
    pub fn builder() -> ListenerBuilder {
        ListenerBuilder::new()
    }

    pub(super) fn listen(
        socket: Listening,
        file: Option<Label>,
        key: Option<(AuthKey, bool)>,
        (patience, max_message): (Duration, u64),
    ) -> Result<Self> {
        let failed = |error| Error::os("listen", error);
        let epoll = Epoll::new().map_err(failed)?;
        let greetings = Greetings::new(&socket, &epoll).map_err(failed)?;
        let address = Address::named(socket.name().map_err(failed)?);
        let open = Open {
            socket,
            epoll,
            greetings: RefCell::new(greetings),
            terms: key.map(|(key, legacy)| Terms::new(&key, legacy)),
            patience,
            max_message,
            file,
            process: std::process::id(),
            foreign: atfork::foreign(),
        };
        Ok(Self {
            address,
            open: Some(open),
            last: RefCell::default(),
        })
    }

    /// Waits for somebody who connects, and knows the key if there is one.
    ///
    /// # Errors
    /// [`ErrorKind::AuthenticationFailed`] when somebody does not know the key, once for each of them: others may, so call it again.
    /// [`ErrorKind::Closed`] after [`close`](Self::close), or, in a forked child, when the process that made it has closed it; [`ErrorKind::Os`] when there is no room for another descriptor.
    pub fn accept<S, R>(&self) -> Result<Connection<S, R>> {
        self.accept_until(Deadline::NEVER)
    }

    /// Waits for somebody for at most so long.
    ///
    /// # Errors
    /// As [`accept`](Self::accept), and [`ErrorKind::TimedOut`]. Handshakes that are not over then go on with the next call.
    pub fn accept_timeout<S, R>(&self, timeout: Duration) -> Result<Connection<S, R>> {
        self.accept_until(Deadline::after(timeout))
    }

    /// Accepts somebody who is there at this instant.
    ///
    /// # Errors
    /// As [`accept`](Self::accept).
    pub fn try_accept<S, R>(&self) -> Result<Option<Connection<S, R>>> {
        match self.accept_until(Deadline::now()) {
            Err(error) if error.kind() == ErrorKind::TimedOut => Ok(None),
            other => other.map(Some),
        }
    }

    fn accept_until<S, R>(&self, deadline: Deadline) -> Result<Connection<S, R>> {
        let closed = || Error::new(ErrorKind::Closed, "the listener");
        let open = self.open.as_ref().ok_or_else(closed)?;
        let (socket, peer) = open.accept(deadline)?;
        self.last.replace(Some(peer));
        let ways = Ways {
            max_message: open.max_message,
            ..Ways::BOTH
        };
        Ok(Connection::of(Stream::new(socket, ways)?))
    }

    /// Where it listens: with the port, if it was to be any free one.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Who was accepted last. Of a Unix socket it is mostly an empty path: who connects has none.
    #[must_use]
    pub fn last_accepted(&self) -> Option<Address> {
        self.last.borrow().clone()
    }

    /// Ends it. Those who have connected and were not accepted hear of it. Closing twice does nothing.
    pub fn close(&mut self) {
        self.open = None;
    }

    /// Was it closed, here?
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.open.is_none()
    }
}

impl Open {
    fn accept(&self, deadline: Deadline) -> Result<Accepted> {
        let house = House {
            socket: &self.socket,
            epoll: &self.epoll,
            terms: self.terms.as_ref(),
            patience: self.patience,
        };
        let mut greetings = self.greetings.borrow_mut();
        greetings.begin(house)?;
        loop {
            if let Some(accepted) = greetings.next(house)? {
                return Ok(accepted);
            }
            let mut fds = [PollFd::new(self.epoll.as_fd(), PollFlags::POLLIN)];
            let until = earlier(deadline, greetings.first_due());
            let ready = companions::poll_until(&mut fds, until);
            let ready = ready.map_err(|error| Error::os("wait for a listener", error))?;
            if !ready && deadline.passed() {
                return Err(Error::new(ErrorKind::TimedOut, "nobody was accepted"));
            }
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        // Nobody shall find a path where nobody listens.
        drop(self.file.take());
        self.greetings.get_mut().end();
        let copied_by_others = self.foreign != atfork::foreign();
        if self.process == std::process::id() && !copied_by_others {
            stream::end(self.socket.as_fd(), true, true);
            // Nobody comes any more, and who is in the backlog would wait for as long as a child has a copy of it.
            loop {
                match self.socket.accept() {
                    Ok((late, _)) => stream::end(late.as_fd(), true, true),
                    Err(error) if listening::is_his_failure(&error) => {}
                    Err(_) => break,
                }
            }
        }
    }
}

impl AsFd for Listener {
    /// Readable when there may be somebody to accept. With a key, it may be only a part of a handshake: to be sure, call
    /// [`try_accept`](Self::try_accept).
    ///
    /// # Panics
    /// When it was closed.
    fn as_fd(&self) -> BorrowedFd<'_> {
        let open = self.open.as_ref().expect("a listener that was not closed");
        open.epoll.as_fd()
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let closed = if self.is_closed() { ", closed" } else { "" };
        write!(f, "Listener({}{closed})", self.address)
    }
}
