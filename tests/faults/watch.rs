//! The watchdog: a survivor that hangs has failed.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Nothing that a survivor does takes so long.
const PATIENCE: Duration = Duration::from_secs(60);

static BEATS: AtomicU64 = AtomicU64::new(0);
static DOING: Mutex<String> = Mutex::new(String::new());

/// Notes what is being done now, and that something was.
pub(crate) fn now(what: impl Into<String>) {
    *DOING.lock().unwrap_or_else(PoisonError::into_inner) = what.into();
    let _before = BEATS.fetch_add(1, Ordering::Relaxed);
}

/// What was noted last.
pub(crate) fn doing() -> String {
    DOING.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// Starts the watchdog of this program, which kills it. What it started dies with it.
pub(crate) fn start() {
    std::thread::spawn(|| {
        let mut beats = 0;
        let mut since = Instant::now();
        loop {
            std::thread::sleep(Duration::from_millis(100));
            let now = BEATS.load(Ordering::Relaxed);
            if now != beats {
                (beats, since) = (now, Instant::now());
            } else if since.elapsed() > PATIENCE {
                println!("FAILED: hangs for {PATIENCE:?}: {}", doing());
                std::process::abort();
            }
        }
    });
}
