//! The C library's robust mutex for processes.
#![expect(unsafe_code, reason = "the C library's own object")]

use super::memory::shared;
use super::sem::checked;
use nix::libc;
use std::cell::UnsafeCell;
use std::mem::MaybeUninit;

/// A process-shared robust mutex.
pub(crate) struct RobustMutex(UnsafeCell<libc::pthread_mutex_t>);

// SAFETY: because the C library's object is made for many threads, only its functions touch it.
unsafe impl Sync for RobustMutex {}

impl RobustMutex {
    pub(crate) fn plain() -> &'static RobustMutex {
        Self::of(libc::PTHREAD_MUTEX_NORMAL)
    }

    pub(crate) fn recursive() -> &'static RobustMutex {
        Self::of(libc::PTHREAD_MUTEX_RECURSIVE)
    }

    fn of(kind: libc::c_int) -> &'static RobustMutex {
        let mutex = shared(RobustMutex(UnsafeCell::new(
            libc::PTHREAD_MUTEX_INITIALIZER,
        )));
        mutex.make(kind);
        mutex
    }

    /// One for nobody, for what that costs.
    pub(crate) fn make_and_destroy() {
        let mutex = RobustMutex(UnsafeCell::new(libc::PTHREAD_MUTEX_INITIALIZER));
        mutex.make(libc::PTHREAD_MUTEX_NORMAL);
        // SAFETY: it is valid, because it was made above, and free, because nobody else knows it.
        checked(unsafe { libc::pthread_mutex_destroy(mutex.0.get()) });
    }

    fn make(&self, kind: libc::c_int) {
        let mut attributes = MaybeUninit::uninit();
        let attributes = attributes.as_mut_ptr();
        // SAFETY: the pointer is good, because it comes from a place of our own; the call fills it.
        checked(unsafe { libc::pthread_mutexattr_init(attributes) });
        let shared = libc::PTHREAD_PROCESS_SHARED;
        // SAFETY: the attributes are valid, because they were made above.
        checked(unsafe { libc::pthread_mutexattr_setpshared(attributes, shared) });
        let robust = libc::PTHREAD_MUTEX_ROBUST;
        // SAFETY: the attributes are valid, because they were made above.
        checked(unsafe { libc::pthread_mutexattr_setrobust(attributes, robust) });
        // SAFETY: the attributes are valid, because they were made above.
        checked(unsafe { libc::pthread_mutexattr_settype(attributes, kind) });
        // SAFETY: nobody uses the mutex yet, because only its maker calls this.
        checked(unsafe { libc::pthread_mutex_init(self.0.get(), attributes) });
        // SAFETY: the attributes are valid, because they were made above, and not used again.
        checked(unsafe { libc::pthread_mutexattr_destroy(attributes) });
    }

    #[inline]
    pub(crate) fn lock(&self) {
        // SAFETY: the mutex is valid, because every one that is handed out was made.
        checked(unsafe { libc::pthread_mutex_lock(self.0.get()) });
    }

    #[inline]
    pub(crate) fn unlock(&self) {
        // SAFETY: the mutex is valid, because every one that is handed out was made.
        checked(unsafe { libc::pthread_mutex_unlock(self.0.get()) });
    }

    /// A critical section.
    #[inline]
    pub(crate) fn with(&self, section: impl FnOnce()) {
        self.lock();
        section();
        self.unlock();
    }
}
