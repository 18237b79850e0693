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
    Ok(nix::sched::sched_setaffinity(Pid::from_raw(0), &set)?)
}

/// What the kernel tells of this thread in text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Status {
    /// The file mode creation mask. To ask for it otherwise is to change it.
    pub(crate) umask: Option<u32>,
    /// A number that changes with user and group ids, capabilities, and what seccomp forbids.
    pub(crate) rights: u64,
}

/// The lines that say what a thread may do.
const RIGHTS: [&str; 10] = [
    "Uid:",
    "Gid:",
    "Groups:",
    "CapInh:",
    "CapPrm:",
    "CapEff:",
    "CapBnd:",
    "CapAmb:",
    "NoNewPrivs:",
    "Seccomp:",
];

/// Reads it from `/proc`; `None` where that is not mounted, or there is no room for a descriptor.
pub(crate) fn status() -> Option<Status> {
    let mut text = String::with_capacity(4096);
    let mut file = File::open("/proc/thread-self/status").ok()?;
    file.read_to_string(&mut text).ok()?;
    Some(parse_status(&text))
}

fn parse_status(text: &str) -> Status {
    let mut umask = None;
    let mut hasher = DefaultHasher::new();
    for line in text.lines() {
        if let Some(mask) = line.strip_prefix("Umask:") {
            umask = u32::from_str_radix(mask.trim(), 8).ok();
        } else if RIGHTS.iter().any(|name| line.starts_with(name)) {
            line.hash(&mut hasher);
        }
    }
    Status {
        umask,
        rights: hasher.finish(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_has_a_mask_and_rights() {
        let one = parse_status("Name:\tx\nUmask:\t0022\nUid:\t0\t0\t0\t0\nSeccomp:\t0\n");
        let other = parse_status("Name:\ty\nUmask:\t0077\nUid:\t0\t0\t0\t0\nSeccomp:\t0\n");
        assert_eq!((one.umask, other.umask), (Some(0o22), Some(0o77)));
        assert_eq!(one.rights, other.rights);
        assert_ne!(
            one.rights,
            parse_status("Uid:\t1\t0\t0\t0\nSeccomp:\t0\n").rights
        );
    }
}
