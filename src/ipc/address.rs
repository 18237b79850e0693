//! `Address`: where a listener is.

use crate::error::{Error, ErrorKind, Result};
use crate::sys::listening::Name;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};

/// Where a [`Listener`](crate::Listener) is, for a [`Client`](crate::Client).
///
/// An address is its family: nothing is guessed from its shape. It serialises, so it can be an argument of a process.
///
/// # Differences from Python
/// IPv6 works. There are no pipes of Windows.
///
/// # Examples
/// ```
/// use multiproc::Address;
///
/// assert_eq!(Address::tcp("127.0.0.1:80")?.to_string(), "127.0.0.1:80");
/// assert_eq!(Address::from("/run/here"), Address::Unix("/run/here".into()));
/// assert_eq!(Address::from("\0here"), Address::abstract_name("here"));
/// assert_eq!(Address::abstract_name("here").to_string(), "@here");
/// # Ok::<(), multiproc::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Address {
    /// TCP, IPv4 or IPv6. Port 0 is any free one, when a listener is bound to it.
    Tcp(SocketAddr),
    /// A Unix socket in the file system. Of somebody who connected, it is mostly empty: who connects has no path.
    Unix(PathBuf),
    /// A Unix socket with a name that is in no file system, but that of the network namespace; anybody in it may connect. Python writes a
    /// NUL before the name.
    Abstract(Vec<u8>),
}

impl Address {
    /// Looks a host up: `"localhost:0"`, `("::1", 80)`. If it has several addresses, the first of IPv4 is taken, which is what
    /// Python listens at and connects to; if it has none of IPv4, the first.
    ///
    /// The look-up is that of the system, which has its own time limits.
    ///
    /// # Errors
    /// [`ErrorKind::Os`] when the look-up fails; [`ErrorKind::InvalidInput`] when the host has no address.
    pub fn tcp(host_and_port: impl ToSocketAddrs) -> Result<Self> {
        let found = host_and_port.to_socket_addrs();
        let found = found.map_err(|error| Error::os("look up a host", error))?;
        let found: Vec<SocketAddr> = found.collect();
        let first = found.iter().find(|address| address.is_ipv4());
        let first = first.or(found.first()).copied();
        let nobody = || Error::new(ErrorKind::InvalidInput, "the host has no address");
        first.map(Self::Tcp).ok_or_else(nobody)
    }

    /// A name that is in no file system.
    #[must_use]
    pub fn abstract_name(name: impl Into<Vec<u8>>) -> Self {
        Self::Abstract(name.into())
    }

    pub(super) fn name(&self) -> Name {
        match self.clone() {
            Self::Tcp(address) => Name::Tcp(address),
            Self::Unix(path) => Name::Path(path),
            Self::Abstract(name) => Name::Abstract(name),
        }
    }

    pub(super) fn named(name: Name) -> Self {
        match name {
            Name::Tcp(address) => Self::Tcp(address),
            Name::Path(path) => Self::Unix(path),
            Name::Abstract(name) => Self::Abstract(name),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => path.display().fmt(f),
            Self::Abstract(name) => write!(f, "@{}", name.escape_ascii()),
        }
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        Self::Tcp(address)
    }
}

/// An address of IPv4 or IPv6, and a port.
impl<I: Into<IpAddr>> From<(I, u16)> for Address {
    fn from(address: (I, u16)) -> Self {
        Self::Tcp(address.into())
    }
}

impl From<PathBuf> for Address {
    fn from(path: PathBuf) -> Self {
        Self::Unix(path)
    }
}

impl From<&Path> for Address {
    fn from(path: &Path) -> Self {
        Self::Unix(path.into())
    }
}

/// A path, or an abstract name if it begins with NUL.
impl From<&str> for Address {
    fn from(text: &str) -> Self {
        match text.strip_prefix('\0') {
            Some(name) => Self::abstract_name(name),
            None => Self::Unix(text.into()),
        }
    }
}

impl From<&Address> for Address {
    fn from(address: &Address) -> Self {
        address.clone()
    }
}
