//! The C library's semaphore for processes.
#![expect(unsafe_code, reason = "the C library's own object")]

use super::memory::shared;
use nix::libc;
use std::cell::UnsafeCell;
use std::mem::MaybeUninit;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

#[track_caller]
pub(super) fn checked(error: libc::c_int) {
    assert_eq!(error, 0, "the C library refused");
}

/// A process-shared `sem_t`.
pub(crate) struct PosixSemaphore(UnsafeCell<MaybeUninit<libc::sem_t>>);

// SAFETY: because the C library's object is made for many threads, only its functions touch it.
unsafe impl Sync for PosixSemaphore {}

impl PosixSemaphore {
    pub(crate) fn new(value: u32) -> &'static PosixSemaphore {
        let semaphore = shared(PosixSemaphore(UnsafeCell::new(MaybeUninit::uninit())));
        // SAFETY: nobody uses the semaphore yet, because it was mapped just now.
        checked(unsafe { libc::sem_init(semaphore.pointer(), 1, value) });
        semaphore
    }

    fn pointer(&self) -> *mut libc::sem_t {
        self.0.get().cast()
    }

    #[inline]
    pub(crate) fn post(&self) {
        // SAFETY: the semaphore is valid, because every one that is handed out was made.
        checked(unsafe { libc::sem_post(self.pointer()) });
    }

    #[inline]
    pub(crate) fn wait(&self) {
        // SAFETY: the semaphore is valid, because every one that is handed out was made.
        while unsafe { libc::sem_wait(self.pointer()) } != 0 {
            // A signal came.
        }
    }

    /// Waits for so long at most. Did it come?
    pub(crate) fn wait_for(&self, time: Duration) -> bool {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let until = now.expect("after 1970") + time;
        let until = libc::timespec {
            tv_sec: until.as_secs().try_into().expect("a time of this age"),
            tv_nsec: until.subsec_nanos().into(),
        };
        // SAFETY: the semaphore is valid, because every one that is handed out was made, and the time lives long enough.
        unsafe { libc::sem_timedwait(self.pointer(), &raw const until) == 0 }
    }
}
