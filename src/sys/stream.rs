//! Stream sockets: bytes, a part at a time, and the descriptors that go with them.
#![expect(
    unsafe_code,
    reason = "control messages in a buffer on the stack, and descriptors that arrive as numbers"
)]
//!
//! # Safety
//! Every pointer given to the kernel is to a local variable or a borrowed slice, with its length, for the time of one call. Control
//! messages are walked by the macros of the C library over what the kernel says that it wrote.

use super::spawn::above_streams;
use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{
    AddressFamily, Shutdown, SockFlag, SockProtocol, SockType, SockaddrLike, SockaddrStorage,
    getsockname, getsockopt, setsockopt, shutdown, socketpair, sockopt,
};
use nix::sys::time::TimeVal;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// The most descriptors that the kernel takes with one call.
pub(crate) const MOST_DESCRIPTORS: usize = 253;

/// A pair of stream sockets, closed on exec.
pub(crate) fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let no_protocol = None::<SockProtocol>;
    let (kind, flags) = (SockType::Stream, SockFlag::SOCK_CLOEXEC);
    let (one, other) = socketpair(AddressFamily::Unix, kind, no_protocol, flags)?;
    Ok((above_streams(one)?, above_streams(other)?))
}

/// What a descriptor is, for one who wants a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sort {
    /// A stream between processes of this machine: it carries descriptors.
    Local,
    /// Another stream.
    Remote,
    /// No stream.
    Other,
}

pub(crate) fn sort(fd: BorrowedFd<'_>) -> Sort {
    if getsockopt(&fd, sockopt::SockType) != Ok(SockType::Stream) {
        return Sort::Other;
    }
    let name = getsockname::<SockaddrStorage>(fd.as_raw_fd());
    match name.map(|name| name.family()) {
        Ok(Some(AddressFamily::Unix)) => Sort::Local,
        _ => Sort::Remote,
    }
}

/// How often both directions of an end, that in and that out, have moved from one process to another.
///
/// The kernel keeps the counts with the socket, where all copies of the descriptor see them: as the socket's timeouts, of some
/// thirty years and as many seconds. Another number says that somebody has set a timeout himself.
pub(crate) type Moves = [i64; 2];

/// Which of both directions are meant.
pub(crate) type Directions = [bool; 2];

/// Seconds that nobody waits.
const NEVER: i64 = 1_000_000_000;

pub(crate) fn moves(fd: BorrowedFd<'_>) -> Moves {
    let timeouts = [
        getsockopt(&fd, sockopt::ReceiveTimeout),
        getsockopt(&fd, sockopt::SendTimeout),
    ];
    timeouts.map(
        |time| match time.map(|time| (time.tv_sec(), time.tv_usec())) {
            Ok((0, 0)) => 0,
            Ok((seconds, _)) if seconds >= NEVER => seconds - NEVER,
            _ => -1,
        },
    )
}

/// Those directions are about to move (1), or have not moved after all (-1). The answer is the new counts.
pub(crate) fn count_moves(fd: BorrowedFd<'_>, which: Directions, by: i64) -> Moves {
    let mut counts = moves(fd);
    for (index, count) in counts.iter_mut().enumerate() {
        // Timeouts that somebody else has set are his.
        if !which[index] || *count < 0 {
            continue;
        }
        *count = (*count + by).max(0);
        let time = match *count {
            0 => TimeVal::new(0, 0),
            count => TimeVal::new(NEVER + count, 0),
        };
        let _no_socket_no_count = match index {
            0 => setsockopt(&fd, sockopt::ReceiveTimeout, &time),
            _ => setsockopt(&fd, sockopt::SendTimeout, &time),
        };
    }
    counts
}

/// Ends those directions that have not moved on since.
pub(crate) fn end_unmoved(fd: BorrowedFd<'_>, which: Directions, since: Moves) {
    let now = moves(fd);
    let [readable, writable] = [0, 1].map(|index| which[index] && now[index] == since[index]);
    end(fd, readable, writable);
}

/// Ends one direction or both, for all who have the socket.
pub(crate) fn end(fd: BorrowedFd<'_>, readable: bool, writable: bool) {
    let how = match (readable, writable) {
        (true, true) => Shutdown::Both,
        (true, false) => Shutdown::Read,
        (false, true) => Shutdown::Write,
        (false, false) => return,
    };
    let _ended_before = shutdown(fd.as_raw_fd(), how);
}

fn flags(patient: bool) -> libc::c_int {
    if patient {
        libc::MSG_NOSIGNAL
    } else {
        libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT
    }
}

fn retry(mut call: impl FnMut() -> isize) -> io::Result<usize> {
    loop {
        match Errno::result(call()) {
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
            Ok(done) => return Ok(done.unsigned_abs()),
        }
    }
}

/// Receives what there is, at most as much as fits; 0 is the end. Descriptors that come along are lost. Who is not patient gets
/// `WouldBlock` where there is nothing.
pub(crate) fn recv(fd: BorrowedFd<'_>, bytes: &mut [u8], patient: bool) -> io::Result<usize> {
    let (pointer, length) = (bytes.as_mut_ptr().cast(), bytes.len());
    // SAFETY: the kernel writes at most `length` bytes to the borrowed slice.
    retry(|| unsafe { libc::recv(fd.as_raw_fd(), pointer, length, flags(patient)) })
}

/// Room for the control message of [`MOST_DESCRIPTORS`], aligned as its head.
const CONTROL: usize = (16 + MOST_DESCRIPTORS * 4).div_ceil(8);

/// Descriptors that have come.
#[derive(Debug, Default)]
pub(crate) struct Came {
    pub(crate) fds: Vec<OwnedFd>,
    /// Others came too, and found no room in this process.
    pub(crate) lost: bool,
}

/// The same, with the descriptors that come along.
pub(crate) fn recv_with(
    fd: BorrowedFd<'_>,
    bytes: &mut [u8],
    came: &mut Came,
    patient: bool,
) -> io::Result<usize> {
    let mut control = [0_u64; CONTROL];
    let mut part = libc::iovec {
        iov_base: bytes.as_mut_ptr().cast(),
        iov_len: bytes.len(),
    };
    // SAFETY: a structure of pointers and numbers, for which zeros are a value.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    message.msg_control = control.as_mut_ptr().cast();
    message.msg_controllen = size_of_val(&control);
    let flags = flags(patient) | libc::MSG_CMSG_CLOEXEC;
    // SAFETY: `message` points to local variables and the borrowed slice, with their lengths.
    let length = retry(|| unsafe { libc::recvmsg(fd.as_raw_fd(), &raw mut message, flags) })?;
    came.lost |= message.msg_flags & libc::MSG_CTRUNC != 0;
    if message.msg_controllen > 0 {
        for fd in own_all(&message) {
            match above_streams(fd) {
                Ok(fd) => came.fds.push(fd),
                Err(_) => came.lost = true,
            }
        }
    }
    Ok(length)
}

/// Owns the descriptors that the kernel has put to a control buffer.
fn own_all(message: &libc::msghdr) -> Vec<OwnedFd> {
    let mut fds = Vec::new();
    // SAFETY: the kernel has filled the buffer, and `msg_controllen` says how far.
    let mut head = unsafe { libc::CMSG_FIRSTHDR(message) };
    // SAFETY: a head that the macros answer lies within the buffer, aligned, or is null.
    while let Some(control) = unsafe { head.as_ref() } {
        if control.cmsg_level == libc::SOL_SOCKET && control.cmsg_type == libc::SCM_RIGHTS {
            // SAFETY: the data follow the head.
            let data = unsafe { libc::CMSG_DATA(head) };
            // SAFETY: computes a length from a number.
            let length = control.cmsg_len - unsafe { libc::CMSG_LEN(0) } as usize;
            // SAFETY: the head announces so many bytes behind it, which lie within the buffer because the kernel has put them there.
            let numbers = unsafe { std::slice::from_raw_parts(data, length) };
            for number in numbers.chunks_exact(4) {
                let number = [number[0], number[1], number[2], number[3]];
                // SAFETY: the kernel has just installed this descriptor for us, nobody else knows its number.
                fds.push(unsafe { OwnedFd::from_raw_fd(i32::from_ne_bytes(number)) });
            }
        }
        // SAFETY: as for the first.
        head = unsafe { libc::CMSG_NXTHDR(message, head) };
    }
    fds
}

/// So many bytes are faster copied than sent from two places.
const SMALL: usize = 256;

/// Sends as much of the parts as there is room for. Never SIGPIPE.
pub(crate) fn send(fd: BorrowedFd<'_>, parts: [&[u8]; 2], patient: bool) -> io::Result<usize> {
    let [one, other] = parts;
    let length = one.len() + other.len();
    if length > SMALL {
        return send_with(fd, parts, &[], patient);
    }
    let mut bytes = [0_u8; SMALL];
    bytes[..one.len()].copy_from_slice(one);
    bytes[one.len()..length].copy_from_slice(other);
    let pointer = bytes.as_ptr().cast();
    // SAFETY: the kernel reads `length` bytes of a local array that is no shorter.
    retry(|| unsafe { libc::send(fd.as_raw_fd(), pointer, length, flags(patient)) })
}

/// The same, with at most [`MOST_DESCRIPTORS`], which go with the first byte.
pub(crate) fn send_with(
    fd: BorrowedFd<'_>,
    parts: [&[u8]; 2],
    fds: &[BorrowedFd<'_>],
    patient: bool,
) -> io::Result<usize> {
    let mut parts = parts.map(|part| libc::iovec {
        iov_base: part.as_ptr().cast_mut().cast(),
        iov_len: part.len(),
    });
    // SAFETY: a structure of pointers and numbers, for which zeros are a value.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = parts.as_mut_ptr();
    message.msg_iovlen = parts.len();
    let mut control = [0_u64; CONTROL];
    if !fds.is_empty() {
        put_all(&mut message, &mut control, fds);
    }
    // SAFETY: `message` points to local variables and borrowed slices, with their lengths; the kernel only reads the latter.
    retry(|| unsafe { libc::sendmsg(fd.as_raw_fd(), &raw const message, flags(patient)) })
}

fn put_all(message: &mut libc::msghdr, control: &mut [u64; CONTROL], fds: &[BorrowedFd<'_>]) {
    let numbers = fds.iter().take(MOST_DESCRIPTORS);
    let numbers: Vec<u8> = numbers
        .flat_map(|fd| fd.as_raw_fd().to_ne_bytes())
        .collect();
    let length = libc::c_uint::try_from(numbers.len()).unwrap_or(0);
    message.msg_control = control.as_mut_ptr().cast();
    // SAFETY: computes a length from a number.
    message.msg_controllen = unsafe { libc::CMSG_SPACE(length) } as usize;
    // SAFETY: the buffer and its length were just put there.
    let head = unsafe { libc::CMSG_FIRSTHDR(message) };
    // SAFETY: the buffer has room for the head, aligned, because `CONTROL` was computed for the most of them; so this is not null.
    let control = unsafe { &mut *head };
    control.cmsg_level = libc::SOL_SOCKET;
    control.cmsg_type = libc::SCM_RIGHTS;
    // SAFETY: computes a length from a number.
    control.cmsg_len = unsafe { libc::CMSG_LEN(length) } as usize;
    // SAFETY: the data follow the head.
    let data = unsafe { libc::CMSG_DATA(head) };
    // SAFETY: the buffer has room for so many bytes behind the head, as above.
    unsafe { std::ptr::copy_nonoverlapping(numbers.as_ptr(), data, numbers.len()) };
}
