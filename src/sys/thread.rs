//! Threads as the kernel sees them: their number, and whether two can run at once.
#![expect(unsafe_code, reason = "gettid has no safe wrapper for a cached number")]
//!
//! # Safety
//! `gettid` takes nothing and cannot fail.

use super::atomic::{AtomicU32, Relaxed};
use nix::libc;
use std::cell::Cell;

thread_local! {
    static TID: Cell<u32> = const { Cell::new(0) };
}

/// The kernel's number of this thread, asked once a thread; a forked child asks again ([`forget`]).
pub(crate) fn gettid() -> u32 {
    TID.with(|tid| {
        if tid.get() == 0 {
            // SAFETY: gettid has no arguments and no preconditions.
            let number = unsafe { libc::gettid() };
            tid.set(number.cast_unsigned());
        }
        tid.get()
    })
}

/// In a forked child: the thread that forked has a new number.
pub(crate) fn forget() {
    TID.with(|tid| tid.set(0));
}

/// CPUs that this process may run on, asked once: spinning is useless on one.
pub(crate) fn cpus() -> u32 {
    static CPUS: AtomicU32 = AtomicU32::new(0);
    let known = CPUS.load(Relaxed);
    if known != 0 {
        return known;
    }
    let set = nix::sched::sched_getaffinity(nix::unistd::Pid::from_raw(0));
    let count = set.map_or(1, |set| {
        (0..nix::sched::CpuSet::count())
            .filter(|&cpu| set.is_set(cpu).unwrap_or(false))
            .count()
    });
    let count = u32::try_from(count.max(1)).unwrap_or(1);
    CPUS.store(count, Relaxed);
    count
}

/// CPUs of the machine that are on line.
pub(crate) fn online_cpus() -> usize {
    let online = nix::unistd::sysconf(nix::unistd::SysconfVar::_NPROCESSORS_ONLN);
    online
        .ok()
        .flatten()
        .and_then(|count| usize::try_from(count).ok())
        .unwrap_or(1)
        .max(1)
}
