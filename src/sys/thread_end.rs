//! What runs at the end of a thread, and not at the end of the program: the destructors of `pthread_key_create(3)`.
#![expect(unsafe_code, reason = "keys of threads have no safe wrapper")]
//!
//! Those of `thread_local!` also run in the middle of `exit`, in whatever the thread that calls it is doing; these never do. They run after
//! all of those, when the functions of the thread have returned, and again when something has armed them meanwhile, a few times.
//!
//! # Safety
//! The one value that a key has is the address of a static.

use super::atomic::{AcqRel, Acquire, AtomicU32};
use nix::libc;

/// No key yet. The C library's are small numbers.
const NONE: u32 = u32::MAX;

/// A function for the ends of threads.
#[derive(Debug)]
pub(crate) struct ThreadEnd {
    key: AtomicU32,
    run: fn(),
}

impl ThreadEnd {
    /// `run` must not unwind.
    pub(crate) const fn new(run: fn()) -> Self {
        Self {
            key: AtomicU32::new(NONE),
            run,
        }
    }

    /// This thread will run it at its end; `false` where the C library has no key or no memory left.
    pub(crate) fn arm(&'static self) -> bool {
        let Some(key) = self.key() else { return false };
        let this: *const Self = self;
        // SAFETY: the key was made by `key` and is never deleted.
        unsafe { libc::pthread_setspecific(key, this.cast()) == 0 }
    }

    fn key(&self) -> Option<libc::pthread_key_t> {
        let known = self.key.load(Acquire);
        if known != NONE {
            return Some(known);
        }
        let mut key = 0;
        // SAFETY: `key` is written by the call, and `end` is a function of this image.
        if unsafe { libc::pthread_key_create(&raw mut key, Some(end)) } != 0 {
            return None;
        }
        let stored = self.key.compare_exchange(NONE, key, AcqRel, Acquire);
        stored.map_or_else(
            |others| {
                // SAFETY: it was made here, and no thread has a value for it.
                unsafe { libc::pthread_key_delete(key) };
                Some(others)
            },
            |_| Some(key),
        )
    }
}

/// The C library has emptied the thread's place before.
extern "C" fn end(this: *mut libc::c_void) {
    // SAFETY: `arm` gave the address of a static `ThreadEnd`, and nothing else is ever stored under its key.
    let this = unsafe { &*this.cast::<ThreadEnd>().cast_const() };
    (this.run)();
}
