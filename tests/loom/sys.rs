//! What the rules use of the system, in loom's terms.

#[path = "../../src/sys/clock.rs"]
pub(crate) mod clock;

pub(crate) mod atomic {
    pub(crate) use loom::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release, SeqCst};
    pub(crate) use loom::sync::atomic::{AtomicU8, AtomicU32, AtomicU64};

    /// loom takes sequential consistency from fences only.
    pub(crate) fn fence_after_rmw() {
        loom::sync::atomic::fence(SeqCst);
    }
}

pub(crate) mod thread {
    pub(crate) fn cpus() -> u32 {
        1
    }

    /// Somebody else must run before there is a change.
    pub(crate) struct Backoff;

    impl Backoff {
        pub(crate) fn new() -> Self {
            Self
        }

        pub(crate) fn spin(&self) {}

        pub(crate) fn snooze(&self) {
            loom::thread::yield_now();
        }
    }
}
