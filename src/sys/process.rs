//! Processes: `fork(2)`, `kill(2)`, `waitpid(2)`, `/proc/PID/stat`.
#![expect(unsafe_code, reason = "fork and _exit")]
//!
//! # Safety
//! [`fork`] is the one call here with a condition, and it says so.

use nix::errno::Errno;
use nix::libc;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use std::fs;
use std::io::{self, Read};
use std::os::fd::{AsRawFd, BorrowedFd};

/// Which side of a fork this is.
#[derive(Debug)]
pub(crate) enum Fork {
    Parent { child: i32 },
    Child,
}

/// Forks this process by the C library, so that its handlers run.
///
/// # Safety
/// The calling process has one thread, or the child calls only what is safe after a fork of many.
pub(crate) unsafe fn fork() -> io::Result<Fork> {
    #[expect(clippy::disallowed_methods, reason = "this is the place that forks")]
    // SAFETY: the caller promises what this call asks.
    let pid = Errno::result(unsafe { libc::fork() })?;
    Ok(if pid == 0 {
        Fork::Child
    } else {
        Fork::Parent { child: pid }
    })
}

/// Ends this process at once, without exit handlers or destructors.
pub(crate) fn exit_now(code: i32) -> ! {
    #[expect(clippy::disallowed_methods, reason = "this is the place that leaves")]
    // SAFETY: `_exit` has no preconditions and does not return.
    unsafe {
        libc::_exit(code)
    }
}

/// The number of this process, asked anew each time: a cached one is wrong after a fork.
pub(crate) fn getpid() -> i32 {
    nix::unistd::getpid().as_raw()
}

/// What `/proc/PID/stat` says of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stat {
    pub(crate) state: u8,
    pub(crate) threads: u64,
    /// Clock ticks between the machine's start and the process's.
    pub(crate) start_time: u64,
}

/// Reads `/proc/PID/stat`; `NotFound` when there is no such process.
pub(crate) fn stat(pid: i32) -> io::Result<Stat> {
    let mut text = [0; 1024];
    let length = fs::File::open(format!("/proc/{pid}/stat"))?.read(&mut text)?;
    parse_stat(&text[..length]).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// Does a thread of the process run, or wait for nothing but a CPU?
pub(crate) fn has_running_thread(pid: i32) -> bool {
    let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else {
        return false;
    };
    let state = |task: io::Result<fs::DirEntry>| {
        let mut text = [0; 1024];
        let mut file = fs::File::open(task?.path().join("stat"))?;
        let length = file.read(&mut text)?;
        Ok::<_, io::Error>(parse_stat(&text[..length]).map(|stat| stat.state))
    };
    tasks
        .map(state)
        .any(|state| matches!(state, Ok(Some(b'R'))))
}

/// The name in parentheses may hold anything, so the fields are counted from the last parenthesis.
fn parse_stat(text: &[u8]) -> Option<Stat> {
    let end = text.iter().rposition(|&byte| byte == b')')?;
    let rest = std::str::from_utf8(text.get(end + 1..)?).ok()?;
    let mut fields = rest.split_ascii_whitespace();
    let state = *fields.next()?.as_bytes().first()?;
    let threads = fields.nth(16)?.parse().ok()?;
    let start_time = fields.nth(1)?.parse().ok()?;
    Some(Stat {
        state,
        threads,
        start_time,
    })
}

/// Is it proved that the process which had `pid` and `start_time` has ended? A start time of zero is unknown.
pub(crate) fn proved_dead(pid: i32, start_time: u64) -> bool {
    if nix::sys::signal::kill(Pid::from_raw(pid), None) == Err(Errno::ESRCH) {
        return true;
    }
    match stat(pid) {
        Ok(stat) => {
            let another = start_time != 0 && stat.start_time != start_time;
            let zombie = matches!(stat.state, b'Z' | b'X' | b'x') && stat.threads <= 1;
            another || zombie
        }
        // Between the two questions it was reaped, or /proc is not there: only the kernel's word counts.
        Err(_) => nix::sys::signal::kill(Pid::from_raw(pid), None) == Err(Errno::ESRCH),
    }
}

/// Has the process `pid` a thread `tid`? Who may not be asked about has one.
pub(crate) fn has_thread(pid: i32, tid: u32) -> bool {
    // SAFETY: signal 0 is sent to nobody.
    let asked = unsafe { libc::syscall(libc::SYS_tgkill, pid, tid, 0) };
    !matches!(Errno::result(asked), Err(Errno::ESRCH | Errno::EINVAL))
}

/// `kill(2)` of one process, with any number for a signal.
pub(crate) fn send_signal(pid: i32, signal: i32) -> io::Result<()> {
    // SAFETY: the call takes two numbers.
    Errno::result(unsafe { libc::kill(pid, signal) })?;
    Ok(())
}

/// Waits for the child `pid` and gives its raw wait status.
pub(crate) fn wait_for(pid: i32) -> io::Result<i32> {
    let mut status = 0;
    loop {
        // SAFETY: the kernel writes one integer to `status`, which is borrowed for the call.
        match Errno::result(unsafe { libc::waitpid(pid, &raw mut status, 0) }) {
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
            Ok(_) => return Ok(status),
        }
    }
}

/// A child that has ended, with its raw wait status; `None` when there is none at the moment.
pub(crate) fn reap_any() -> Option<(i32, i32)> {
    let mut status = 0;
    // SAFETY: the kernel writes one integer to `status`, which is borrowed for the call.
    let pid = unsafe { libc::waitpid(-1, &raw mut status, libc::WNOHANG) };
    (pid > 0).then_some((pid, status))
}

/// Reaps a child that has ended, by its pidfd, and gives its raw wait status; `None` when it is not ours to reap, or was reaped.
pub(crate) fn reap_status(pidfd: BorrowedFd<'_>) -> Option<i32> {
    // SAFETY: a structure of numbers, for which zeros are a value.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    let (which, id) = (libc::P_PIDFD, pidfd.as_raw_fd().cast_unsigned());
    loop {
        // SAFETY: the kernel writes to `info`, which is borrowed for the call.
        let waited = unsafe { libc::waitid(which, id, &raw mut info, libc::WEXITED) };
        match Errno::result(waited) {
            Err(Errno::EINTR) => {}
            Err(_) => return None,
            Ok(_) => break,
        }
    }
    // SAFETY: `waitid` has succeeded, so the structure says how a child ended.
    let status = unsafe { info.si_status() };
    Some(match info.si_code {
        libc::CLD_EXITED => (status & 0xff) << 8,
        libc::CLD_DUMPED => status & 0x7f | 0x80,
        _ => status & 0x7f,
    })
}

/// Reaps the child `pid` if it has ended.
pub(crate) fn reap(pid: i32) -> bool {
    let status = waitpid(Pid::from_raw(pid), Some(WaitPidFlag::WNOHANG));
    !matches!(status, Ok(WaitStatus::StillAlive))
}

/// The code of a raw wait status as Python writes it: the exit status, or minus the signal.
pub(crate) fn exit_code(status: i32) -> i32 {
    if libc::WIFSIGNALED(status) {
        -libc::WTERMSIG(status)
    } else {
        libc::WEXITSTATUS(status)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_of_a_name_with_parentheses() {
        let text = b"7 (a) b (c)) S 1 7 7 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 3 0 12345 1 1";
        let stat = parse_stat(text).expect("well formed");
        assert_eq!(
            stat,
            Stat {
                state: b'S',
                threads: 3,
                start_time: 12345
            }
        );
        assert_eq!(parse_stat(b"7 (a"), None);
        assert_eq!(parse_stat(b"7 (a) S 1"), None);
    }

    #[test]
    fn this_process_is_not_dead() {
        let pid = getpid();
        let own = stat(pid).expect("own stat");
        assert!(!proved_dead(pid, own.start_time));
        assert!(proved_dead(pid, own.start_time + 1));
    }
}
