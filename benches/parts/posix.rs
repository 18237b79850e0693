//! What the C library has for processes: a robust mutex and a semaphore, in memory that forked children share.
#![expect(unsafe_code, reason = "mmap, and the C library's own objects in it")]

use nix::libc;
use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous};
use std::cell::UnsafeCell;
use std::mem::MaybeUninit;
use std::num::NonZeroUsize;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const PAGE: usize = 4096;

/// `value` in a page of its own, which children forked later share. It is never given back.
pub(crate) fn shared<T: Sync>(value: T) -> &'static T {
    assert!(size_of::<T>() <= PAGE && align_of::<T>() <= PAGE);
    let bytes = NonZeroUsize::new(PAGE).expect("not zero");
    let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
    // SAFETY: because the kernel chooses the address, an anonymous mapping touches nothing that exists.
    let page = unsafe { mmap_anonymous(None, bytes, access, MapFlags::MAP_SHARED) };
    let place = page.expect("mmap").cast::<T>();
    // SAFETY: the page is writable, because it was mapped so, and `T` fits into it.
    unsafe { place.write(value) };
    // SAFETY: it stays valid for ever, because nobody unmaps it.
    unsafe { place.as_ref() }
}

#[track_caller]
fn checked(error: libc::c_int) {
    assert_eq!(error, 0, "the C library refused");
}

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
