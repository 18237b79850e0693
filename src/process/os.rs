//! Python's `os`, as far as it is about processes.

use crate::error::{Error, ErrorKind, Result};
use crate::sys::process;

pub use super::direct::{ForkResult as Fork, fork};

/// The process id of this process.
///
/// # Examples
/// ```
/// assert_eq!(multiproc::os::getpid(), std::process::id());
/// ```
#[must_use]
pub fn getpid() -> u32 {
    process::getpid().cast_unsigned()
}

/// The process id of the process that started this one. For the kernel, the parent of most children is the fork server; that is not
/// told here. Once that process has ended, the number is that of whoever the kernel made the parent instead.
///
/// # Examples
/// ```
/// let child = multiproc::spawn(multiproc::os::getppid, ())?;
/// assert_eq!(child.join()?, multiproc::os::getpid());
/// # Ok::<(), multiproc::Error>(())
/// ```
#[must_use]
pub fn getppid() -> u32 {
    let parent = super::relatives::parent_process().filter(super::ParentProcess::is_alive);
    parent.map_or_else(
        || nix::unistd::getppid().as_raw().cast_unsigned(),
        |parent| parent.pid(),
    )
}

/// Sends `signal` to the process `pid`: `kill(2)`. Signal 0 only asks whether it exists.
///
/// # Errors
/// [`ErrorKind::InvalidInput`] for a `pid` of 0 or one that is none, which would mean groups of processes;
/// [`ErrorKind::Os`] when there is no such process or the system refuses.
///
/// # Examples
/// ```
/// multiproc::os::kill(multiproc::os::getpid(), 0)?;
/// # Ok::<(), multiproc::Error>(())
/// ```
pub fn kill(pid: u32, signal: i32) -> Result<()> {
    process::send_signal(own_number(pid)?, signal).map_err(|error| Error::os("kill", error))
}

/// Waits for a child that [`fork`] made, and gives its exit code as Python writes it: minus the signal that killed it.
///
/// # Errors
/// [`ErrorKind::InvalidInput`] as [`kill`]; [`ErrorKind::Os`] when it is no child of this process, or was waited for already.
///
/// # Examples
/// See [`fork`].
pub fn waitpid(pid: u32) -> Result<i32> {
    let waited = process::wait_for(own_number(pid)?);
    let status = waited.map_err(|error| Error::os("waitpid", error))?;
    Ok(process::exit_code(status))
}

fn own_number(pid: u32) -> Result<i32> {
    let number = i32::try_from(pid).ok().filter(|&pid| pid > 0);
    number.ok_or_else(|| Error::new(ErrorKind::InvalidInput, "no process has this number"))
}
