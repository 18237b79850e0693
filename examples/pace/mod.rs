//! How fast the examples go.

use std::time::Duration;

/// Sleeps so many seconds; a second lasts `MULTIPROC_EXAMPLE_SLEEP_MS` milliseconds where that is set.
pub(crate) fn sleep(seconds: f64) {
    std::thread::sleep(lasting(seconds));
}

/// How long so many seconds are in this run.
pub(crate) fn lasting(seconds: f64) -> Duration {
    let second = std::env::var("MULTIPROC_EXAMPLE_SLEEP_MS").ok();
    let second: u32 = second.and_then(|text| text.parse().ok()).unwrap_or(1000);
    Duration::from_secs_f64(seconds * f64::from(second) / 1000.0)
}
