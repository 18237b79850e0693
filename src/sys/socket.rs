//! Unix sockets that carry packets and descriptors, and `poll(2)` with a deadline.

use super::clock::Deadline;
use super::spawn::above_streams;
use nix::cmsg_space;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType, getsockopt,
    recvmsg, sendmsg, setsockopt, socketpair, sockopt,
};
use nix::sys::time::TimeVal;
use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
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

/// Sends one packet, with at most two descriptors. Never waits: who does not read what he asked for has no claim to it.
pub(crate) fn send(socket: BorrowedFd<'_>, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    let raw: Vec<RawFd> = fds.iter().map(AsRawFd::as_raw_fd).collect();
    let rights = [ControlMessage::ScmRights(&raw)];
    let control: &[ControlMessage<'_>] = if raw.is_empty() { &[] } else { &rights };
    loop {
        let iov = [IoSlice::new(bytes)];
        let flags = MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT;
        match sendmsg::<()>(socket.as_raw_fd(), &iov, control, flags, None) {
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
            Ok(_) => return Ok(()),
        }
    }
}

/// What one `recv` found.
#[derive(Debug)]
pub(crate) struct Packet {
    pub(crate) length: usize,
    pub(crate) fds: Vec<OwnedFd>,
}

/// Receives one packet without waiting; a length of zero is the end of the other side.
pub(crate) fn recv(socket: BorrowedFd<'_>, bytes: &mut [u8]) -> io::Result<Packet> {
    receive(socket, bytes, MsgFlags::MSG_DONTWAIT)
}

fn receive(socket: BorrowedFd<'_>, bytes: &mut [u8], flags: MsgFlags) -> io::Result<Packet> {
    let mut space = cmsg_space!([RawFd; 2]);
    let mut iov = [IoSliceMut::new(bytes)];
    let flags = flags | MsgFlags::MSG_CMSG_CLOEXEC;
    let message = loop {
        match recvmsg::<()>(socket.as_raw_fd(), &mut iov, Some(&mut space), flags) {
            Err(Errno::EINTR) => {}
            other => break other?,
        }
    };
    let mut fds = Vec::new();
    // An error here says that there was no room for a descriptor; the bytes have arrived all the same.
    for control in message.cmsgs().into_iter().flatten() {
        if let ControlMessageOwned::ScmRights(raw) = control {
            fds.extend(
                raw.into_iter()
                    .filter_map(|raw| above_streams(own(raw)).ok()),
            );
        }
    }
    Ok(Packet {
        length: message.bytes,
        fds,
    })
}

#[expect(unsafe_code, reason = "descriptors arrive as numbers")]
fn own(raw: RawFd) -> OwnedFd {
    // SAFETY: the kernel has just installed this descriptor for us, nobody else knows its number.
    unsafe { OwnedFd::from_raw_fd(raw) }
}

/// From here on [`recv_waiting`] gives up after `patience`.
pub(crate) fn give_up_after(socket: BorrowedFd<'_>, patience: Duration) -> io::Result<()> {
    let patience = TimeVal::new(patience.as_secs().try_into().unwrap_or(i64::MAX), 0);
    Ok(setsockopt(&socket, sockopt::ReceiveTimeout, &patience)?)
}

/// Receives one packet, waiting as long as [`give_up_after`] said; `WouldBlock` when none came.
pub(crate) fn recv_waiting(socket: BorrowedFd<'_>, bytes: &mut [u8]) -> io::Result<Packet> {
    receive(socket, bytes, MsgFlags::empty())
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
