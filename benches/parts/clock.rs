//! The time now. The clock is the same for all processes.

use nix::time::{ClockId, clock_gettime};
use std::time::Duration;

/// Nanoseconds since the machine started.
pub(crate) fn now() -> u64 {
    let time = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("Linux has this clock");
    u64::try_from(Duration::from(time).as_nanos()).expect("a few hundred years")
}
