//! A thread on one of its two CPUs.

use super::cpus::{only, two};

/// Keeps this thread on the first (0) or the second (1) of its two CPUs while `work` runs.
pub(crate) fn on<R>(which: usize, work: impl FnOnce() -> R) -> R {
    let both = two();
    only(&both[which..=which]);
    let done = work();
    only(&both);
    done
}
