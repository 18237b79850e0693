//! The lifeline: the kernel kills a child when the member that asked for it is gone.
#![expect(unsafe_code, reason = "F_SETSIG has no wrapper in nix")]
//!
//! A pipe whose write end only the asking member holds. The child has an end that was opened anew for it (owner and signal
//! belong to the open file description, which is otherwise shared with its siblings) and asks for SIGKILL when it changes. Nothing is ever
//! written: the one change is that the last write end is closed. No thread and no polling, and unlike `PR_SET_PDEATHSIG`
//! it does not follow the thread that forked.
//!
//! # Safety
//! `fcntl` with numbers on descriptors that are borrowed for the call.

use super::spawn::above_streams;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat::Mode;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// Missing in `libc`; the same number on every architecture of Linux.
const F_SETSIG: libc::c_int = 10;

/// A new lifeline: the read end to give away, the write end to hold.
pub(crate) fn create() -> io::Result<(OwnedFd, OwnedFd)> {
    let (read_end, write_end) = nix::unistd::pipe2(OFlag::O_CLOEXEC)?;
    // A child opens it anew, and may be another user by then: who has the descriptor has the right.
    nix::sys::stat::fchmod(&read_end, Mode::S_IRUSR | Mode::S_IRGRP | Mode::S_IROTH)?;
    Ok((above_streams(read_end)?, above_streams(write_end)?))
}

/// The read end opened anew, as one process's own. Cheaper in a process that does it often than in each of its children, for whom the
/// kernel would have to make up `/proc/self`.
pub(crate) fn reopen(read_end: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let path = format!("/proc/self/fd/{}", read_end.as_raw_fd());
    let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    above_streams(nix::fcntl::open(path.as_str(), flags, Mode::empty())?)
}

/// Ties this process to the holder of the write end, by an end that is its own. That must be kept open.
pub(crate) fn arm(own: &OwnedFd) -> io::Result<()> {
    let set = |command: libc::c_int, value: libc::c_int| {
        // SAFETY: the three commands take a number, and `own` is open for the time of the call.
        Errno::result(unsafe { libc::fcntl(own.as_raw_fd(), command, value) })
    };
    set(libc::F_SETOWN, super::process::getpid())?;
    set(F_SETSIG, libc::SIGKILL)?;
    set(libc::F_SETFL, libc::O_NONBLOCK | libc::O_ASYNC)?;
    if gone(own.as_fd())? {
        super::process::exit_now(1);
    }
    Ok(())
}

/// Was the write end closed before the guard was armed? Then no signal will come any more.
fn gone(read_end: BorrowedFd<'_>) -> io::Result<bool> {
    let mut fds = [PollFd::new(read_end, PollFlags::POLLIN)];
    poll(&mut fds, PollTimeout::ZERO)?;
    Ok(fds[0].any().unwrap_or(false))
}
