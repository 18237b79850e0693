//! Named pipes: `open(2)` without waiting, `inotify(7)` to wait for the other end, reading and writing without SIGPIPE.
#![expect(unsafe_code, reason = "pending signals have no wrappers in nix")]
//!
//! # Safety
//! Questions about signals: the kernel reads and writes structures that are borrowed for the call.

use super::spawn::above_streams;
use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use nix::sys::stat::Mode;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// So many bytes are written in one piece, whoever else writes.
pub(crate) const ATOMIC: usize = libc::PIPE_BUF;

/// Opens a pipe for reading, whether anybody writes or not.
pub(crate) fn open_for_reading(path: &Path) -> io::Result<OwnedFd> {
    open_end(path, OFlag::O_RDONLY)
}

/// Opens a pipe for writing; `None` when nobody reads.
pub(crate) fn open_for_writing(path: &Path) -> io::Result<Option<OwnedFd>> {
    match open_end(path, OFlag::O_WRONLY) {
        Err(error) if error.raw_os_error() == Some(libc::ENXIO) => Ok(None),
        opened => opened.map(Some),
    }
}

fn open_end(path: &Path, access: OFlag) -> io::Result<OwnedFd> {
    let flags = access | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    loop {
        match open(path, flags, Mode::empty()) {
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
            Ok(end) => return above_streams(end),
        }
    }
}

/// Becomes readable when somebody opens the pipe, or removes it.
#[derive(Debug)]
pub(crate) struct Opens(Inotify);

impl Opens {
    /// `None` when this user watches too many files already.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        let watch = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC).ok()?;
        // A file that is still open somewhere is not deleted, but has a link less.
        let what = AddWatchFlags::IN_OPEN
            | AddWatchFlags::IN_ATTRIB
            | AddWatchFlags::IN_DELETE_SELF
            | AddWatchFlags::IN_MOVE_SELF;
        watch.add_watch(path, what).ok()?;
        Some(Self(watch))
    }

    /// What has happened so far will not be told again.
    pub(crate) fn forget(&self) {
        while self.0.read_events().is_ok() {}
    }
}

impl AsFd for Opens {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Has there been a writer since this end was opened, of whom nothing is left to be read?
pub(crate) fn writer_has_left(reader: BorrowedFd<'_>) -> bool {
    let mut fds = [PollFd::new(reader, PollFlags::POLLIN)];
    let polled = poll(&mut fds, PollTimeout::ZERO);
    let events = fds[0].revents().unwrap_or(PollFlags::empty());
    polled.is_ok() && events.contains(PollFlags::POLLHUP)
}

/// Reads what there is; 0 when there is no writer, `WouldBlock` when there is one that has written nothing.
pub(crate) fn read(reader: BorrowedFd<'_>, to: &mut [u8]) -> io::Result<usize> {
    loop {
        match nix::unistd::read(reader, to) {
            Err(Errno::EINTR) => {}
            other => return Ok(other?),
        }
    }
}

/// Writes what there is room for. When nobody reads any more that is `BrokenPipe`, and no signal, whatever this process does with SIGPIPE.
pub(crate) fn write(writer: BorrowedFd<'_>, from: &[u8]) -> io::Result<usize> {
    let write = || loop {
        match nix::unistd::write(writer, from) {
            Err(Errno::EINTR) => {}
            other => return other,
        }
    };
    if sigpipe_is_ignored() {
        return Ok(write()?);
    }
    let sigpipe: SigSet = std::iter::once(Signal::SIGPIPE).collect();
    let before = sigpipe.thread_swap_mask(SigmaskHow::SIG_BLOCK)?;
    let was_pending = sigpipe_is_pending();
    let written = write();
    if written == Err(Errno::EPIPE) && !was_pending {
        // Ours, and it is there already: it is sent to the thread that writes.
        take_pending(&sigpipe);
    }
    before.thread_set_mask()?;
    Ok(written?)
}

/// As in every Rust program that has not changed it.
fn sigpipe_is_ignored() -> bool {
    // SAFETY: a structure of numbers, for which zeros are a value.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: asks only, and writes to the borrowed structure.
    let asked = unsafe { libc::sigaction(libc::SIGPIPE, std::ptr::null(), &raw mut action) };
    asked == 0 && action.sa_sigaction == libc::SIG_IGN
}

fn sigpipe_is_pending() -> bool {
    // SAFETY: a structure of numbers, for which zeros are a value.
    let mut pending: libc::sigset_t = unsafe { std::mem::zeroed() };
    // SAFETY: writes to the borrowed structure.
    let asked = unsafe { libc::sigpending(&raw mut pending) };
    // SAFETY: a set that the kernel has written, or an empty one.
    asked == 0 && unsafe { libc::sigismember(&raw const pending, libc::SIGPIPE) } == 1
}

/// Takes a signal of this set that is pending, if there is one.
fn take_pending(set: &SigSet) {
    let at_once = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: reads two borrowed structures, and nobody wants to know more of the signal.
    unsafe { libc::sigtimedwait(set.as_ref(), std::ptr::null_mut(), &raw const at_once) };
}
