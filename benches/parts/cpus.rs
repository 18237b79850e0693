//! Which CPUs a benchmark runs on: two, and the same two for everybody who is compared.

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

/// Confines this thread, and what it starts, to the first two CPUs that it may use.
pub(crate) fn confine() {
    only(&two());
}

/// The first two CPUs that this thread may use; one twice where there is one only.
pub(super) fn two() -> [usize; 2] {
    let allowed = sched_getaffinity(Pid::from_raw(0)).expect("the kernel tells our CPUs");
    let mut cpus = (0..CpuSet::count()).filter(|cpu| allowed.is_set(*cpu).unwrap_or(false));
    let first = cpus.next().expect("this thread runs on a CPU");
    [first, cpus.next().unwrap_or(first)]
}

pub(super) fn only(cpus: &[usize]) {
    let mut set = CpuSet::new();
    for cpu in cpus {
        set.set(*cpu).expect("a CPU that the kernel named");
    }
    sched_setaffinity(Pid::from_raw(0), &set).expect("a part of what was allowed");
}
