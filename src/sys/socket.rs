//! Unix sockets that carry packets and descriptors, and `poll(2)` with a deadline.

use super::clock::Deadline;
use super::spawn::above_streams;
use super::stream::{self, Came};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, getsockopt, setsockopt, socketpair, sockopt,
};
use nix::sys::time::TimeVal;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

/// A pair of packet sockets, closed on exec.
pub(crate) fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let family = AddressFamily::Unix;
    let flags = SockFlag::SOCK_CLOEXEC;
    let (one, other) = socketpair(family, SockType::SeqPacket, None, flags)?;
    Ok((above_streams(one)?, above_streams(other)?))
}

/// The pid of the process that made the socket at the other end.
pub(crate) fn peer_pid(socket: BorrowedFd<'_>) -> io::Result<i32> {
    Ok(getsockopt(&socket, sockopt::PeerCredentials)?.pid())
}

/// Sends one packet, with a few descriptors. Never waits: who does not read what he asked for has no claim to it.
pub(crate) fn send(socket: BorrowedFd<'_>, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    stream::send_with(socket, [bytes, &[]], fds, false).map(drop)
}

/// What one `recv` found.
#[derive(Debug)]
pub(crate) struct Packet {
    pub(crate) length: usize,
    pub(crate) came: Came,
}

/// Receives one packet without waiting; a length of zero is the end of the other side.
pub(crate) fn recv(socket: BorrowedFd<'_>, bytes: &mut [u8]) -> io::Result<Packet> {
    receive(socket, bytes, false)
}

fn receive(socket: BorrowedFd<'_>, bytes: &mut [u8], patient: bool) -> io::Result<Packet> {
    let mut came = Came::default();
    let length = stream::recv_with(socket, bytes, &mut came, patient)?;
    Ok(Packet { length, came })
}

/// From here on [`recv_waiting`] gives up after `patience`.
pub(crate) fn give_up_after(socket: BorrowedFd<'_>, patience: Duration) -> io::Result<()> {
    let patience = TimeVal::new(patience.as_secs().try_into().unwrap_or(i64::MAX), 0);
    Ok(setsockopt(&socket, sockopt::ReceiveTimeout, &patience)?)
}

/// Receives one packet, waiting as long as [`give_up_after`] said; `WouldBlock` when none came.
pub(crate) fn recv_waiting(socket: BorrowedFd<'_>, bytes: &mut [u8]) -> io::Result<Packet> {
    receive(socket, bytes, true)
}

/// Waits for a packet until the deadline; `TimedOut` when none came.
pub(crate) fn recv_until(
    socket: BorrowedFd<'_>,
    bytes: &mut [u8],
    deadline: Deadline,
) -> io::Result<Packet> {
    loop {
        match recv(socket, bytes) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            other => return other,
        }
        if !poll_until(&mut [PollFd::new(socket, PollFlags::POLLIN)], deadline)? {
            return Err(io::ErrorKind::TimedOut.into());
        }
    }
}

/// Polls until something is ready (`true`) or the deadline has passed. A signal does not end the wait.
pub(crate) fn poll_until(fds: &mut [PollFd<'_>], deadline: Deadline) -> io::Result<bool> {
    loop {
        // Rounded up to the next millisecond: a wait must not end before its deadline.
        let timeout = deadline.left().map_or(PollTimeout::NONE, |left| {
            let rounded = left.saturating_add(Duration::from_nanos(999_999));
            PollTimeout::try_from(rounded).unwrap_or(PollTimeout::MAX)
        });
        match poll(fds, timeout) {
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
            Ok(0) if deadline.passed() => return Ok(false),
            Ok(0) => {}
            Ok(_) => return Ok(true),
        }
    }
}

/// Is there something to receive, or has the other side gone?
pub(crate) fn is_readable(socket: BorrowedFd<'_>) -> bool {
    let mut fds = [PollFd::new(socket, PollFlags::POLLIN)];
    poll(&mut fds, PollTimeout::ZERO) != Ok(0)
}

/// Has the other side gone?
pub(crate) fn hung_up(socket: BorrowedFd<'_>) -> bool {
    let mut fds = [PollFd::new(socket.as_fd(), PollFlags::empty())];
    match poll(&mut fds, PollTimeout::ZERO) {
        Ok(0) => false,
        Ok(_) => fds[0].any().unwrap_or(true) || fds[0].revents().is_some_and(|r| !r.is_empty()),
        Err(_) => true,
    }
}
