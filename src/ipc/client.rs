//! `Client`: connects to a listener.

use super::address::Address;
use super::authkey::AuthKey;
use super::connection::Connection;
use super::greeting::{Greeting, Progress, Terms};
use super::stream::{Stream, Ways};
use crate::error::{Error, ErrorKind, Result};
use crate::sys::clock::Deadline;
use crate::sys::{companions, listening};
use nix::poll::{PollFd, PollFlags};
use std::convert::Infallible;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

/// Connects to a [`Listener`](crate::Listener), or to one of Python's.
///
/// # Differences from Python
/// There is a deadline for the whole of it, connecting and handshake. A listener that has a key while this side has none is not noticed
/// here: its first message is received as if it were a message. (The other way round it is noticed.)
///
/// # Examples
/// ```
/// use multiproc::{Address, Client, Connection, Listener, Process};
///
/// fn greet(address: Address) {
///     let listener: Connection<String> = Client::connect(address).expect("it listens");
///     listener.send(&"hello".to_string()).expect("it receives");
/// }
///
/// let listener = Listener::new()?;
/// let mut process = Process::new(greet, (listener.address().clone(),));
/// process.start()?;
/// let client: Connection<String> = listener.accept()?;
/// assert_eq!(client.recv()?, "hello");
/// # process.join()?;
/// # Ok::<(), multiproc::Error>(())
/// ```
#[derive(Debug)]
pub struct Client {
    _never: Infallible,
}

impl Client {
    /// Connects without a key, within 20 seconds.
    ///
    /// # Errors
    /// As [`ClientBuilder::connect`].
    pub fn connect<S, R>(address: impl Into<Address>) -> Result<Connection<S, R>> {
        Self::builder(address).connect()
    }

    /// A connection with a key, another deadline, or another limit.
    pub fn builder(address: impl Into<Address>) -> ClientBuilder {
        ClientBuilder {
            address: address.into(),
            key: None,
            timeout: Duration::from_secs(20),
            legacy: false,
            max_message: Ways::BOTH.max_message,
        }
    }
}

/// What a [`Client`] connects with.
///
/// ```
/// use multiproc::{Client, Connection, Listener};
/// use std::time::Duration;
///
/// let listener = Listener::builder().authkey(b"secret").bind()?;
/// let address = listener.address().clone();
/// let client = std::thread::spawn(move || {
///     let client = Client::builder(address).authkey(b"secret").timeout(Duration::from_secs(5));
///     client.connect::<u32, u32>()
/// });
/// let accepted: Connection<u32> = listener.accept()?;
/// let connected = client.join().expect("no panic")?;
/// connected.send(&1)?;
/// assert_eq!(accepted.recv()?, 1);
/// # Ok::<(), multiproc::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "nothing is connected before `connect`"]
pub struct ClientBuilder {
    address: Address,
    key: Option<AuthKey>,
    timeout: Duration,
    legacy: bool,
    max_message: u64,
}

impl ClientBuilder {
    /// The key that the listener has too. An empty key is a key.
    pub fn authkey(mut self, key: impl Into<AuthKey>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// How long all of it may take, the handshake too. Default: 20 seconds.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Also believes a listener that proves itself with MD5, as Python up to 3.11 does. Default: no.
    pub fn legacy(mut self, legacy: bool) -> Self {
        self.legacy = legacy;
        self
    }

    /// The [longest message](Connection::set_max_message) that the connection receives.
    pub fn max_message(mut self, bytes: u64) -> Self {
        self.max_message = bytes;
        self
    }

    /// Connects.
    ///
    /// **When the listener's process dies**, also in the middle of the handshake, this fails at once.
    ///
    /// # Errors
    /// [`ErrorKind::Os`] when nobody listens there (`ConnectionRefused`, `NotFound`); [`ErrorKind::TimedOut`] when it took too long, as when the
    /// listener has no key or nobody accepts; [`ErrorKind::AuthenticationFailed`] when one of the two does not know the other's key, or
    /// has none; [`ErrorKind::Disconnected`] when the listener has gone in the middle of the handshake; [`ErrorKind::InvalidInput`]
    /// when the address is too long or empty.
    pub fn connect<S, R>(self) -> Result<Connection<S, R>> {
        let deadline = Deadline::after(self.timeout);
        let socket = listening::connect(&self.address.name(), deadline);
        let socket = socket.map_err(|error| failed(&self.address, error))?;
        let socket = match &self.key {
            Some(key) => greet(socket, &Terms::new(key, self.legacy), deadline)?,
            None => socket,
        };
        let ways = Ways {
            max_message: self.max_message,
            ..Ways::BOTH
        };
        Ok(Connection::of(Stream::new(socket, ways)?))
    }
}

fn failed(address: &Address, error: io::Error) -> Error {
    let text = format!("connect to {address}");
    match error.kind() {
        io::ErrorKind::TimedOut => Error::new(ErrorKind::TimedOut, text),
        io::ErrorKind::InvalidInput => Error::new(ErrorKind::InvalidInput, text),
        _ => Error::os(text, error),
    }
}

/// The handshake, to its end.
fn greet(socket: OwnedFd, terms: &Terms, deadline: Deadline) -> Result<OwnedFd> {
    let mut greeting = Greeting::connecting(socket, terms).map_err(|trouble| trouble.error())?;
    loop {
        match greeting.step(terms) {
            Ok(Progress::Done) => return Ok(greeting.into_socket()),
            Ok(Progress::Message) => continue,
            Ok(Progress::Nothing) => {}
            Err(trouble) => {
                greeting.end();
                return Err(trouble.error());
            }
        }
        let mut fds = [PollFd::new(greeting.as_fd(), PollFlags::POLLIN)];
        let ready = companions::poll_until(&mut fds, deadline);
        if !ready.map_err(|error| Error::os("wait for a handshake", error))? {
            greeting.end();
            let text = "the listener has not ended the handshake: has it a key?";
            return Err(Error::new(ErrorKind::TimedOut, text));
        }
    }
}
