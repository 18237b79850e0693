//! `posix_spawn(3)` of this very program, as its own fork server.
#![expect(
    unsafe_code,
    reason = "raw descriptors and environment of a new program"
)]
//!
//! # Safety
//! Descriptors named by number are open for the time of the call because their owners are borrowed.

use nix::errno::Errno;
use nix::libc;
use nix::spawn::{PosixSpawnAttr, PosixSpawnFileActions, PosixSpawnFlags, posix_spawn};
use nix::sys::signal::SigSet;
use nix::unistd::Pid;
use std::ffi::{CString, OsString};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

/// Where the new program finds its descriptors.
pub(crate) const CONTROL_FD: i32 = 3;
/// See [`CONTROL_FD`].
pub(crate) const ARENA_FD: i32 = 4;

/// Starts `executable`, which is this program, with its arguments and environment and one more variable, in a process group of its
/// own, no signal blocked or handled.
pub(crate) fn spawn_self(
    executable: &Path,
    (variable, value): (&str, &str),
    control: BorrowedFd<'_>,
    arena: BorrowedFd<'_>,
) -> io::Result<i32> {
    let mut attributes = PosixSpawnAttr::init()?;
    attributes.set_flags(
        PosixSpawnFlags::POSIX_SPAWN_SETPGROUP
            | PosixSpawnFlags::POSIX_SPAWN_SETSIGDEF
            | PosixSpawnFlags::POSIX_SPAWN_SETSIGMASK,
    )?;
    attributes.set_pgroup(Pid::from_raw(0))?;
    attributes.set_sigdefault(&SigSet::all())?;
    attributes.set_sigmask(&SigSet::empty())?;
    // Copies above all the targets, so that neither is overwritten before it is used.
    let control = duplicate_above(control, 16)?;
    let arena = duplicate_above(arena, 16)?;
    let mut actions = PosixSpawnFileActions::init()?;
    actions.add_dup2(control.as_raw_fd(), CONTROL_FD)?;
    actions.add_dup2(arena.as_raw_fd(), ARENA_FD)?;
    let arguments: Vec<CString> = std::env::args_os().filter_map(c_string).collect();
    let mut environment: Vec<CString> = std::env::vars_os()
        .filter_map(|(mut name, value)| {
            name.push("=");
            name.push(value);
            c_string(name)
        })
        .collect();
    environment.extend(c_string(format!("{variable}={value}").into()));
    let pid = posix_spawn(executable, &actions, &attributes, &arguments, &environment)?;
    Ok(pid.as_raw())
}

fn c_string(text: OsString) -> Option<CString> {
    CString::new(text.into_vec()).ok()
}

fn duplicate_above(fd: BorrowedFd<'_>, lowest: i32) -> io::Result<OwnedFd> {
    // SAFETY: `fd` is open while borrowed.
    let copy =
        Errno::result(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_DUPFD_CLOEXEC, lowest) })?;
    // SAFETY: the kernel has just made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(copy) })
}

/// The same descriptor with a number above those of the standard streams. A program may have closed them: what takes such a number is
/// written into by whoever prints, and the arena would not survive it.
pub(crate) fn above_streams(fd: OwnedFd) -> io::Result<OwnedFd> {
    if fd.as_raw_fd() > libc::STDERR_FILENO {
        return Ok(fd);
    }
    duplicate_above(fd.as_fd(), libc::STDERR_FILENO + 1)
}

/// Does this program run with rights that its caller has not (set-user-id, file capabilities)?
pub(crate) fn is_privileged() -> bool {
    // SAFETY: reads a word that the kernel gave this process at its start.
    unsafe { libc::getauxval(libc::AT_SECURE) != 0 }
}

/// Takes a variable out of the environment.
///
/// # Safety
/// The process has one thread.
pub(crate) unsafe fn take_variable(name: &str) -> Option<String> {
    let value = std::env::var(name).ok()?;
    // SAFETY: the caller promises that nobody else reads the environment meanwhile.
    unsafe { std::env::remove_var(name) };
    Some(value)
}

/// Owns a descriptor that this process was started with.
///
/// # Safety
/// Nothing else in the process owns the number.
pub(crate) unsafe fn inherited(fd: i32) -> io::Result<OwnedFd> {
    // SAFETY: asking for the flags of a number has no effect; a closed one is answered by EBADF.
    Errno::result(unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) })?;
    // SAFETY: the caller promises that it is ours alone.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Descriptors from 3 on that are open.
pub(crate) fn open_descriptors() -> io::Result<Vec<u32>> {
    let mut open = Vec::new();
    for entry in std::fs::read_dir("/proc/self/fd")? {
        let number = entry?
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok());
        open.extend(number.filter(|&fd: &i32| fd > libc::STDERR_FILENO));
    }
    // The one of the list itself is closed by now.
    // SAFETY: asking for the flags of a number has no effect.
    open.retain(|&fd| unsafe { libc::fcntl(fd, libc::F_GETFD) } >= 0);
    Ok(open.into_iter().map(i32::cast_unsigned).collect())
}

/// Closes every descriptor from 3 on but those in `keep`.
///
/// # Safety
/// No owner of any other descriptor is used or dropped afterwards.
pub(crate) unsafe fn close_all_but(keep: &mut [u32]) {
    keep.sort_unstable();
    let mut from = 3;
    let close = |first: u32, last: u32| {
        if first <= last {
            // SAFETY: the caller promises that nobody uses these numbers any more.
            unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
        }
    };
    for &fd in keep.iter() {
        close(from, fd.saturating_sub(1));
        from = from.max(fd + 1);
    }
    close(from, u32::MAX);
}

/// Opens `/dev/null` as standard input, and as output and error where those are closed.
pub(crate) fn standard_streams() -> io::Result<()> {
    use nix::fcntl::{OFlag, open};
    use nix::sys::stat::Mode;
    let null = open("/dev/null", OFlag::O_RDWR | OFlag::O_CLOEXEC, Mode::empty())?;
    for fd in 0..=2 {
        // SAFETY: asking for the flags of a number has no effect.
        let closed = unsafe { libc::fcntl(fd, libc::F_GETFD) } < 0;
        if (fd == 0 || closed) && null.as_raw_fd() != fd {
            // SAFETY: standard input is replaced on purpose; the other two are closed.
            Errno::result(unsafe { libc::dup2(null.as_raw_fd(), fd) })?;
        }
    }
    if null.as_raw_fd() <= 2 {
        // It landed on a standard stream and must stay open there.
        let _stays = std::mem::ManuallyDrop::new(null);
    }
    Ok(())
}
