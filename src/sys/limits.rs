//! What a process is allowed, and how it is scheduled: resource limits, niceness, CPUs, the file mode mask, rights.
#![expect(
    unsafe_code,
    reason = "limits and priorities by number have no wrappers in nix"
)]
//!
//! # Safety
//! Each call passes numbers, or a structure that is borrowed for the call.

use nix::errno::Errno;
use nix::libc;
use nix::sched::CpuSet;
use nix::sys::stat::Mode;
use nix::unistd::Pid;
use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Read};

/// Kinds of limits that Linux has: 0 to 15.
pub(crate) const KINDS: u32 = 16;

/// The kind that bounds private memory.
pub(crate) const DATA: u32 = libc::RLIMIT_DATA;
/// The kind that bounds time on CPUs.
pub(crate) const CPU: u32 = libc::RLIMIT_CPU;

/// A limit: what holds, and how far it may be raised.
pub(crate) type Limit = (u64, u64);

/// The limit of this process of one kind.
pub(crate) fn limit(kind: u32) -> io::Result<Limit> {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the kernel writes to the borrowed structure.
    Errno::result(unsafe { libc::getrlimit(kind, &raw mut limit) })?;
    Ok((limit.rlim_cur, limit.rlim_max))
}

/// Sets a limit of this process.
pub(crate) fn set_limit(kind: u32, (soft, hard): Limit) -> io::Result<()> {
    let limit = libc::rlimit {
        rlim_cur: soft,
        rlim_max: hard,
    };
    // SAFETY: the kernel reads the borrowed structure.
    Errno::result(unsafe { libc::setrlimit(kind, &raw const limit) })?;
    Ok(())
}

/// The niceness of this thread.
pub(crate) fn niceness() -> i32 {
    // SAFETY: the call takes two numbers; what it answers here is no error, whatever it is.
    unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) }
}

/// Sets the niceness of this thread, and of those that it starts.
pub(crate) fn set_niceness(nice: i32) -> io::Result<()> {
    // SAFETY: the call takes three numbers.
    Errno::result(unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, nice) })?;
    Ok(())
}

/// The CPUs that this thread may run on.
pub(crate) fn cpus() -> io::Result<Vec<u32>> {
    let set = nix::sched::sched_getaffinity(Pid::from_raw(0))?;
    let all = (0..CpuSet::count()).filter(|&cpu| set.is_set(cpu).unwrap_or(false));
    Ok(all.filter_map(|cpu| u32::try_from(cpu).ok()).collect())
}

/// Confines this thread, and those that it starts.
pub(crate) fn set_cpus(cpus: &[u32]) -> io::Result<()> {
    let mut set = CpuSet::new();
    for &cpu in cpus {
        set.set(cpu as usize)?;
    }
    nix::sched::sched_setaffinity(Pid::from_raw(0), &set)?;
    super::thread::forget_cpus();
    Ok(())
}

/// The file mode creation mask; `None` where nobody can tell.
///
/// To ask the kernel for it is to change it, for all threads. So one who is alone changes it and changes it back, and one who is not
/// reads what `/proc` says.
pub(crate) fn umask() -> Option<u32> {
    if super::thread::is_alone() {
        let mask = nix::sys::stat::umask(Mode::from_bits_truncate(0o077));
        nix::sys::stat::umask(mask);
        return Some(mask.bits());
    }
    let mut text = [0; 4096];
    let length = File::open("/proc/self/status").ok()?.read(&mut text).ok()?;
    parse_umask(std::str::from_utf8(&text[..length]).ok()?)
}

fn parse_umask(status: &str) -> Option<u32> {
    let mask = status
        .lines()
        .find_map(|line| line.strip_prefix("Umask:"))?;
    u32::from_str_radix(mask.trim(), 8).ok()
}

/// A number that changes with what this thread may do: user and group ids, capabilities, what seccomp forbids; with its session and
/// its root directory.
pub(crate) fn rights() -> u64 {
    let mut hasher = DefaultHasher::new();
    nix::unistd::getresuid()
        .ok()
        .map(|ids| [ids.real, ids.effective, ids.saved])
        .hash(&mut hasher);
    nix::unistd::getresgid()
        .ok()
        .map(|ids| [ids.real, ids.effective, ids.saved])
        .hash(&mut hasher);
    nix::unistd::getgroups().ok().hash(&mut hasher);
    nix::unistd::getsid(None).ok().hash(&mut hasher);
    super::environment::root().hash(&mut hasher);
    let sets = capabilities();
    sets.hash(&mut hasher);
    if sets != [0; 6] {
        // Only who has some can change it.
        bounding_set().hash(&mut hasher);
    }
    filters().hash(&mut hasher);
    // SAFETY: it takes no arguments but zeros and only answers.
    unsafe { libc::prctl(libc::PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) }.hash(&mut hasher);
    hasher.finish()
}

/// What seccomp forbids: its mode, and the number of filters. Another one on top changes only the latter, which is nowhere else told.
fn filters() -> (i32, Option<String>) {
    // SAFETY: it takes no arguments but zeros and only answers.
    let mode = unsafe { libc::prctl(libc::PR_GET_SECCOMP, 0, 0, 0, 0) };
    if mode == 0 {
        return (mode, None);
    }
    let status = std::fs::read_to_string("/proc/thread-self/status").unwrap_or_default();
    let mut lines = status.lines();
    let count = lines.find(|line| line.starts_with("Seccomp_filters:"));
    (mode, count.map(str::to_owned))
}

/// The capabilities that a program may have at most, a bit each.
fn bounding_set() -> u64 {
    // SAFETY: it takes a number and answers 0, 1, or an error for one that there is not.
    let has = |number: u32| unsafe { libc::prctl(libc::PR_CAPBSET_READ, number, 0, 0, 0) };
    let known = (0..64).map(|number| (number, has(number)));
    let known = known.take_while(|&(_, answer)| answer >= 0);
    known.fold(0, |set, (number, answer)| {
        set | u64::from(answer == 1) << number
    })
}

/// `capget(2)`: effective, permitted, inheritable, twice 32 bits each.
fn capabilities() -> [u32; 6] {
    /// `_LINUX_CAPABILITY_VERSION_3`.
    const VERSION: u32 = 0x2008_0522;
    let header = [VERSION, 0];
    let mut sets = [0; 6];
    // SAFETY: the kernel reads a version and a pid, and writes the six words of that version.
    unsafe { libc::syscall(libc::SYS_capget, header.as_ptr(), sets.as_mut_ptr()) };
    sets
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mask_is_read() {
        assert_eq!(parse_umask("Name:\tx\nUmask:\t0027\nUid:\t0\n"), Some(0o27));
        assert_eq!(parse_umask("Name:\tx\n"), None);
        // Both ways, as far as a test with threads can go.
        assert!(umask().is_some_and(|mask| mask <= 0o777));
    }

    #[test]
    fn rights_stay_the_same() {
        assert_eq!(rights(), rights());
    }
}
