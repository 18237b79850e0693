//! `pidfd_open(2)`, `pidfd_send_signal(2)`: a process that cannot be mistaken for a later one.
#![expect(unsafe_code, reason = "pidfds have no wrappers in nix")]
//!
//! # Safety
//! Each call passes numbers and one borrowed descriptor; a new descriptor is owned at once.

use super::clock::Deadline;
use super::spawn::above_streams;
use nix::errno::Errno;
use nix::libc;
use nix::poll::{PollFd, PollFlags};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// A descriptor for a child of this process. Where it has ended already and nobody can be asked about it any more, one that is
/// as readable as that of an ended process.
pub(crate) fn of_child(pid: i32) -> io::Result<OwnedFd> {
    match open(pid) {
        Err(error) if error.raw_os_error() == Some(libc::ESRCH) => {
            let (read_end, _closed) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC)?;
            above_streams(read_end)
        }
        other => other,
    }
}

/// A descriptor for the process `pid`, closed on exec.
pub(crate) fn open(pid: i32) -> io::Result<OwnedFd> {
    // SAFETY: the call takes two numbers.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    let fd = i32::try_from(Errno::result(fd)?).map_err(|_| io::ErrorKind::InvalidData)?;
    // SAFETY: the kernel has just made this descriptor for us, nobody else owns it.
    above_streams(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Sends `signal`; a process that has ended and was reaped answers `ESRCH`.
pub(crate) fn send_signal(pidfd: BorrowedFd<'_>, signal: i32) -> io::Result<()> {
    let fd = pidfd.as_raw_fd();
    // SAFETY: the descriptor is borrowed for the call, the third argument may be null.
    let result = unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            fd,
            signal,
            std::ptr::null::<u8>(),
            0,
        )
    };
    Errno::result(result)?;
    Ok(())
}

/// Waits until the process has ended; `false` when the deadline came first.
pub(crate) fn wait(pidfd: BorrowedFd<'_>, deadline: Deadline) -> io::Result<bool> {
    super::socket::poll_until(&mut [PollFd::new(pidfd, PollFlags::POLLIN)], deadline)
}

/// The wait status of a process that somebody else has reaped, where the kernel still tells (6.15 and newer).
pub(crate) fn exit_status(pidfd: BorrowedFd<'_>) -> Option<i32> {
    const PIDFD_INFO_EXIT: u64 = 1 << 3;
    const PIDFD_GET_INFO: libc::Ioctl = 0xc040_ff0b;
    /// The first 64 bytes of the kernel's `struct pidfd_info`.
    #[repr(C)]
    #[derive(Default)]
    struct PidfdInfo {
        mask: u64,
        cgroup: u64,
        ids: [u32; 11],
        exit_code: i32,
    }
    let mut info = PidfdInfo {
        mask: PIDFD_INFO_EXIT,
        ..PidfdInfo::default()
    };
    // SAFETY: the number encodes a structure of 64 bytes, which is the size of `info`, borrowed mutably for the call.
    let result = unsafe { libc::ioctl(pidfd.as_raw_fd(), PIDFD_GET_INFO, &raw mut info) };
    (result == 0 && info.mask & PIDFD_INFO_EXIT != 0).then_some(info.exit_code)
}
