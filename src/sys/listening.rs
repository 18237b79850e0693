//! Stream sockets that have a name: listening at one, accepting, and connecting to one before a deadline.

use super::clock::Deadline;
use super::companions;
use super::spawn::above_streams;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags};
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockProtocol, SockType, SockaddrIn, SockaddrIn6,
    SockaddrLike, UnixAddr, bind, connect as connect_socket, getsockopt, listen, setsockopt,
    socket, sockopt,
};
use nix::sys::stat::{Mode, fchmod};
use nix::sys::time::{TimeVal, TimeValLike};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::time::Duration;

/// Where a socket is, or who is at the other end of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Name {
    Tcp(SocketAddr),
    Path(PathBuf),
    Abstract(Vec<u8>),
}

impl Name {
    fn family(&self) -> AddressFamily {
        match self {
            Self::Tcp(SocketAddr::V4(_)) => AddressFamily::Inet,
            Self::Tcp(SocketAddr::V6(_)) => AddressFamily::Inet6,
            Self::Path(_) | Self::Abstract(_) => AddressFamily::Unix,
        }
    }

    /// As the kernel takes it; `InvalidInput` when it is too long, or empty where that means something else.
    fn address(&self) -> io::Result<Box<dyn SockaddrLike>> {
        let invalid = |_| io::Error::from(io::ErrorKind::InvalidInput);
        Ok(match self {
            Self::Tcp(SocketAddr::V4(address)) => Box::new(SockaddrIn::from(*address)),
            Self::Tcp(SocketAddr::V6(address)) => Box::new(SockaddrIn6::from(*address)),
            Self::Path(path) if path.as_os_str().is_empty() => {
                return Err(io::ErrorKind::InvalidInput.into());
            }
            Self::Path(path) => Box::new(UnixAddr::new(path).map_err(invalid)?),
            Self::Abstract(name) => Box::new(UnixAddr::new_abstract(name).map_err(invalid)?),
        })
    }

    fn of_unix(address: &std::os::unix::net::SocketAddr) -> Self {
        match (address.as_pathname(), address.as_abstract_name()) {
            (_, Some(name)) => Self::Abstract(name.to_vec()),
            (path, _) => Self::Path(path.map(Into::into).unwrap_or_default()),
        }
    }
}

/// A stream socket of that family. It waits for nothing if `at_once`.
fn stream_socket(family: AddressFamily, at_once: bool) -> io::Result<OwnedFd> {
    let mut flags = SockFlag::SOCK_CLOEXEC;
    flags.set(SockFlag::SOCK_NONBLOCK, at_once);
    let no_protocol = None::<SockProtocol>;
    above_streams(socket(family, SockType::Stream, flags, no_protocol)?)
}

/// A socket that listens. Nothing about it waits.
#[derive(Debug)]
pub(crate) enum Listening {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Listening {
    /// Listens at `name`; a path that comes into being has the rights of `mode`, as far as the process's mask allows.
    pub(crate) fn new(name: &Name, backlog: u32, mode: u32) -> io::Result<Self> {
        let address = name.address()?;
        let fd = stream_socket(name.family(), true)?;
        match name {
            // Python does so, too: who ends and starts again gets the same port.
            Name::Tcp(_) => setsockopt(&fd, sockopt::ReuseAddr, &true)?,
            Name::Path(_) => fchmod(&fd, Mode::from_bits_truncate(mode))?,
            Name::Abstract(_) => {}
        }
        bind(fd.as_raw_fd(), &*address)?;
        let backlog = i32::try_from(backlog).unwrap_or(i32::MAX);
        listen(&fd, Backlog::new(backlog).unwrap_or(Backlog::MAXCONN))?;
        Ok(match name {
            Name::Tcp(_) => Self::Tcp(TcpListener::from(fd)),
            _ => Self::Unix(UnixListener::from(fd)),
        })
    }

    /// Where it listens: with the port, if it was to be any.
    pub(crate) fn name(&self) -> io::Result<Name> {
        match self {
            Self::Tcp(socket) => socket.local_addr().map(Name::Tcp),
            Self::Unix(socket) => socket.local_addr().map(|address| Name::of_unix(&address)),
        }
    }

    /// Somebody who has connected, and his name; `WouldBlock` when there is nobody.
    pub(crate) fn accept(&self) -> io::Result<(OwnedFd, Name)> {
        match self {
            Self::Tcp(socket) => {
                let (stream, peer) = socket.accept()?;
                let _gone_already = stream.set_nodelay(true);
                Ok((above_streams(stream.into())?, Name::Tcp(peer)))
            }
            Self::Unix(socket) => {
                let (stream, peer) = socket.accept()?;
                Ok((above_streams(stream.into())?, Name::of_unix(&peer)))
            }
        }
    }
}

impl AsFd for Listening {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(socket) => socket.as_fd(),
            Self::Unix(socket) => socket.as_fd(),
        }
    }
}

/// An accept failed because there is no room in this process or system, not because of the one who connected.
pub(crate) fn is_no_room(error: &io::Error) -> bool {
    let errno = Errno::from_raw(error.raw_os_error().unwrap_or(0));
    [Errno::EMFILE, Errno::ENFILE, Errno::ENOBUFS, Errno::ENOMEM].contains(&errno)
}

/// An accept failed because of the one who connected, who has gone again, or of his network: there may be others.
pub(crate) fn is_his_failure(error: &io::Error) -> bool {
    let errno = Errno::from_raw(error.raw_os_error().unwrap_or(0));
    let of_networks = [
        Errno::ECONNABORTED,
        Errno::ECONNRESET,
        Errno::EPROTO,
        Errno::ENETDOWN,
        Errno::ENOPROTOOPT,
        Errno::EHOSTDOWN,
        Errno::EHOSTUNREACH,
        Errno::ENETUNREACH,
        Errno::EOPNOTSUPP,
        Errno::EPERM,
        Errno::ETIMEDOUT,
    ];
    of_networks.contains(&errno)
}

/// An accept failed because nobody listens any more: another process has ended it.
pub(crate) fn is_over(error: &io::Error) -> bool {
    error.raw_os_error() == Some(Errno::EINVAL as i32)
}

/// Connects; `TimedOut` at the deadline.
pub(crate) fn connect(name: &Name, deadline: Deadline) -> io::Result<OwnedFd> {
    match name {
        Name::Tcp(_) => connect_tcp(name, deadline),
        _ => connect_unix(name, deadline),
    }
}

fn connect_tcp(name: &Name, deadline: Deadline) -> io::Result<OwnedFd> {
    let address = name.address()?;
    let fd = stream_socket(name.family(), true)?;
    match connect_socket(fd.as_raw_fd(), &*address) {
        Ok(()) => {}
        // A signal does not end it either: the kernel goes on.
        Err(Errno::EINPROGRESS | Errno::EINTR) => {
            let mut fds = [PollFd::new(fd.as_fd(), PollFlags::POLLOUT)];
            if !companions::poll_until(&mut fds, deadline)? {
                return Err(io::ErrorKind::TimedOut.into());
            }
            let failed = getsockopt(&fd, sockopt::SocketError)?;
            if failed != 0 {
                return Err(io::Error::from_raw_os_error(failed));
            }
        }
        Err(errno) => return Err(errno.into()),
    }
    setsockopt(&fd, sockopt::TcpNoDelay, &true)?;
    fcntl(&fd, FcntlArg::F_SETFL(OFlag::empty()))?;
    Ok(fd)
}

/// Nothing tells when a full backlog has room again, but a call that waits for it.
fn connect_unix(name: &Name, deadline: Deadline) -> io::Result<OwnedFd> {
    let address = name.address()?;
    let fd = stream_socket(name.family(), false)?;
    loop {
        let left = deadline.left();
        setsockopt(&fd, sockopt::SendTimeout, &limit(left))?;
        match connect_socket(fd.as_raw_fd(), &*address) {
            Ok(()) => break,
            Err(Errno::EINTR) => {}
            Err(Errno::EAGAIN) if !deadline.passed() => {}
            Err(Errno::EAGAIN) => return Err(io::ErrorKind::TimedOut.into()),
            Err(errno) => return Err(errno.into()),
        }
    }
    setsockopt(&fd, sockopt::SendTimeout, &limit(None))?;
    Ok(fd)
}

/// How long a call may wait; zero would be for ever.
fn limit(left: Option<Duration>) -> TimeVal {
    let microseconds = left.map_or(0, |left| left.as_micros().clamp(1, 1 << 50));
    TimeVal::microseconds(i64::try_from(microseconds).unwrap_or(i64::MAX))
}
