//! Waiting for a process or a thread to end, without asking again and again.
//!
//! # Safety
//!
//! nix has no `pidfd_open`; the bare system call takes two integers and touches no memory of ours.

#![expect(
    unsafe_code,
    reason = "pidfd_open is only reachable through syscall(2)"
)]

use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::Pid;
use std::os::fd::{AsFd as _, FromRawFd as _, OwnedFd, RawFd};
use std::time::{Duration, Instant};

/// `PIDFD_THREAD`: the number is a thread's (Linux 6.9).
const THREAD: libc::c_uint = libc::O_EXCL.cast_unsigned();

/// The longest single sleep: kernels before 6.9 tell neither the end of a thread nor that a zombie was reaped.
const SLICE: Duration = Duration::from_millis(50);

/// What we wait for.
#[derive(Clone, Copy)]
pub(super) enum Event {
    /// That process ends.
    Exit(Pid),
    /// That zombie is reaped by its parent.
    Reaped(Pid),
    /// That thread of ours ends.
    ThreadExit(Pid),
    /// Something that no file descriptor tells.
    Untold,
}

/// Something that should go away by itself.
pub(super) struct Leftover {
    pub(super) what: String,
    pub(super) gone: Event,
}

/// Waits until `look` finds nothing more, or until the time is over; returns what it found last.
pub(super) fn settle(limit: Duration, look: impl Fn() -> Vec<Leftover>) -> Vec<Leftover> {
    let deadline = Instant::now() + limit;
    loop {
        let left = look();
        if left.is_empty() || Instant::now() >= deadline {
            return left;
        }
        wait_for_any(&left);
    }
}

/// Waits until the process has ended, whoever's child it is.
pub(crate) fn wait_for_exit(pid: Pid) {
    let Some(pidfd) = open(pid, 0) else { return };
    let mut fds = [PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)];
    while !matches!(poll(&mut fds, PollTimeout::NONE), Ok(1)) {}
}

fn wait_for_any(left: &[Leftover]) {
    let watched: Vec<(OwnedFd, PollFlags)> =
        left.iter().filter_map(|one| watch(one.gone)).collect();
    let mut fds: Vec<PollFd<'_>> = watched
        .iter()
        .map(|(fd, flags)| PollFd::new(fd.as_fd(), *flags))
        .collect();
    let slice = PollTimeout::try_from(SLICE).expect("50 ms is a short time");
    // Woken, interrupted or timed out: the caller looks again.
    _ = poll(&mut fds, slice);
}

/// The descriptor that tells it. None when it has just happened, or when this kernel cannot tell.
fn watch(event: Event) -> Option<(OwnedFd, PollFlags)> {
    match event {
        Event::Exit(pid) => Some((open(pid, 0)?, PollFlags::POLLIN)),
        // `POLLIN` would be there already; `POLLHUP` is always reported and comes with the reaping.
        Event::Reaped(pid) => Some((open(pid, 0)?, PollFlags::empty())),
        Event::ThreadExit(task) => Some((open(task, THREAD)?, PollFlags::POLLIN)),
        Event::Untold => None,
    }
}

fn open(pid: Pid, flags: libc::c_uint) -> Option<OwnedFd> {
    // SAFETY: sound because pidfd_open takes two integers and neither reads nor writes our memory.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid.as_raw(), flags) };
    let fd = RawFd::try_from(fd).ok().filter(|fd| *fd >= 0)?;
    // SAFETY: sound because the kernel has just made this descriptor for us and nobody else knows it.
    Some(unsafe { OwnedFd::from_raw_fd(fd) })
}
