//! What a listener is made with.

use super::address::Address;
use super::authkey::AuthKey;
use super::listener::Listener;
use super::stream::Ways;
use crate::error::{Error, ErrorKind, Result};
use crate::shm::label::{self, Label};
use crate::sys::listening::Listening;
use crate::sys::random;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// Names that are tried until one is free.
const TRIES: u32 = 100;

/// What a [`Listener`] is made with.
///
/// ```
/// use multiproc::Listener;
/// use std::time::Duration;
///
/// let listener = Listener::builder()
///     .address(([127, 0, 0, 1], 0))
///     .authkey(b"secret")
///     .handshake_timeout(Duration::from_secs(3))
///     .bind()?;
/// assert!(listener.try_accept::<(), ()>()?.is_none());
/// # Ok::<(), multiproc::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "nobody listens before `bind`"]
pub struct ListenerBuilder {
    address: Option<Address>,
    backlog: u32,
    key: Option<AuthKey>,
    patience: Duration,
    legacy: bool,
    max_message: u64,
}

impl ListenerBuilder {
    pub(super) fn new() -> Self {
        Self {
            address: None,
            backlog: 128,
            key: None,
            patience: Duration::from_secs(10),
            legacy: false,
            max_message: Ways::BOTH.max_message,
        }
    }

    /// Where to listen. Default: a Unix socket with a random name in the folder for temporary files, for programs of this user only.
    pub fn address(mut self, address: impl Into<Address>) -> Self {
        self.address = Some(address.into());
        self
    }

    /// How many may wait before they are accepted, or greeted if there is a key; the kernel has a limit of its own. Default: 128.
    pub fn backlog(mut self, backlog: u32) -> Self {
        self.backlog = backlog;
        self
    }

    /// The key that everybody must know who connects. An empty key is a key.
    pub fn authkey(mut self, key: impl Into<AuthKey>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// For how long somebody who connects may keep us waiting for each of the three messages of his handshake. Default: 10 seconds.
    pub fn handshake_timeout(mut self, timeout: Duration) -> Self {
        self.patience = timeout;
        self
    }

    /// Also believes those who prove themselves with MD5, as Python up to 3.11 does. Default: no.
    pub fn legacy(mut self, legacy: bool) -> Self {
        self.legacy = legacy;
        self
    }

    /// The [longest message](crate::Connection::set_max_message) that its connections receive.
    pub fn max_message(mut self, bytes: u64) -> Self {
        self.max_message = bytes;
        self
    }

    /// Listens.
    ///
    /// **When this process is killed**, the path of a Unix socket is removed by its fork server, or by whoever of the family
    /// notices; see [`cleanup`](crate::cleanup).
    ///
    /// # Errors
    /// [`ErrorKind::Os`] when somebody else is there (`AddrInUse`), also a path that was left behind; [`ErrorKind::InvalidInput`] when a path
    /// is empty, has a NUL in it, or has more than 107 bytes, which is all that the kernel takes.
    pub fn bind(self) -> Result<Listener> {
        let (socket, file) = match &self.address {
            Some(address) => listen(address, self.backlog, 0o777)?,
            None => listen_anywhere(self.backlog)?,
        };
        let key = self.key.map(|key| (key, self.legacy));
        Listener::listen(socket, file, key, (self.patience, self.max_message))
    }
}

fn listen(address: &Address, backlog: u32, mode: u32) -> Result<(Listening, Option<Label>)> {
    let mut label = match address {
        Address::Unix(path) if !path.as_os_str().is_empty() => Some(label::socket(path)?),
        _ => None,
    };
    let bind = || Listening::new(&address.name(), backlog, mode);
    let socket = match label {
        Some(_) => label::or_after_sweep(bind),
        None => bind(),
    };
    let socket = socket.map_err(|error| failed(address, error))?;
    label.as_mut().map_or(Ok(()), Label::bound)?;
    Ok((socket, label))
}

fn listen_anywhere(backlog: u32) -> Result<(Listening, Option<Label>)> {
    let mut folder = std::env::temp_dir();
    if folder.as_os_str().len() > 60 {
        folder = PathBuf::from("/tmp");
    }
    for _ in 1..TRIES {
        match listen(&anywhere_in(&folder)?, backlog, 0o600) {
            Err(error) if is_taken(&error) => {}
            other => return other,
        }
    }
    listen(&anywhere_in(&folder)?, backlog, 0o600)
}

fn anywhere_in(folder: &std::path::Path) -> Result<Address> {
    let mut bytes = [0; 8];
    let filled = random::fill(&mut bytes);
    filled.map_err(|error| Error::os("get random bytes", error))?;
    let name = format!("multiproc-listener-{:016x}", u64::from_ne_bytes(bytes));
    Ok(Address::Unix(folder.join(name)))
}

fn is_taken(error: &Error) -> bool {
    let source = std::error::Error::source(error).and_then(|source| source.downcast_ref());
    source.is_some_and(|error: &io::Error| error.kind() == io::ErrorKind::AddrInUse)
}

fn failed(address: &Address, error: io::Error) -> Error {
    let text = format!("listen at {address}");
    match error.kind() {
        io::ErrorKind::InvalidInput => Error::new(ErrorKind::InvalidInput, text),
        _ => Error::os(text, error),
    }
}
