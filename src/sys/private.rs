//! A lock for tables of this process that a forked child may touch.
#![expect(unsafe_code, reason = "an UnsafeCell behind a lock of our own")]
//!
//! Not std's and not parking_lot's: both keep state about waiters that a fork copies without the waiters, so that a child
//! can hang on a lock that nobody holds. This one is a single word with no state but itself. [`super::atfork`] takes the
//! registered ones before a fork and gives them back on both sides, so a child never inherits half a change.
//!
//! # Safety
//! The data is reached only between taking the word from [`FREE`] and setting it back.

use super::atomic::{Acquire, AtomicU32, Relaxed, Release};
use super::futex::{self, Scope};
use std::cell::UnsafeCell;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::time::Duration;

const FREE: u32 = 0;
const HELD: u32 = 1;
const HELD_WITH_SLEEPERS: u32 = 2;

/// Private data of this process, one thread at a time.
pub(crate) struct Private<T> {
    word: AtomicU32,
    data: UnsafeCell<T>,
}

// SAFETY: the data moves between threads only by way of the lock, so `T: Send` is enough for both.
unsafe impl<T: Send> Sync for Private<T> {}

impl<T> Private<T> {
    pub(crate) const fn new(data: T) -> Self {
        Self {
            word: AtomicU32::new(FREE),
            data: UnsafeCell::new(data),
        }
    }

    /// The data, when nobody else can reach it any more.
    pub(crate) fn into_inner(self) -> T {
        self.data.into_inner()
    }

    /// The data, where nobody else can reach it. Whether a fork has copied it locked does not matter then.
    pub(crate) fn get_mut(&mut self) -> &mut T {
        self.data.get_mut()
    }

    pub(crate) fn lock(&self) -> PrivateGuard<'_, T> {
        self.acquire();
        PrivateGuard { lock: self }
    }

    /// The data, if nobody is at it.
    pub(crate) fn try_lock(&self) -> Option<PrivateGuard<'_, T>> {
        let taken = self.word.compare_exchange(FREE, HELD, Acquire, Relaxed);
        taken.is_ok().then(|| PrivateGuard { lock: self })
    }

    /// Takes the word without a guard, for the time of a fork.
    pub(crate) fn acquire(&self) {
        if self
            .word
            .compare_exchange(FREE, HELD, Acquire, Relaxed)
            .is_err()
        {
            self.acquire_contended();
        }
    }

    #[cold]
    fn acquire_contended(&self) {
        while self.word.swap(HELD_WITH_SLEEPERS, Acquire) != FREE {
            let hour = Duration::from_secs(3600);
            futex::wait(&self.word, HELD_WITH_SLEEPERS, hour, Scope::Private);
        }
    }

    /// Gives the word back.
    pub(crate) fn release(&self) {
        if self.word.swap(FREE, Release) == HELD_WITH_SLEEPERS {
            futex::wake(&self.word, 1, Scope::Private);
        }
    }
}

impl<T> fmt::Debug for Private<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Private(..)")
    }
}

/// The right to the data, until dropped.
#[derive(Debug)]
pub(crate) struct PrivateGuard<'a, T> {
    lock: &'a Private<T>,
}

impl<T> Deref for PrivateGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the word is held by this guard, so nobody else reaches the data.
        unsafe { &*self.lock.data.get() }
    }
}

impl<T> DerefMut for PrivateGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: the word is held by this guard, which is borrowed mutably, so the reference is the only one.
        unsafe { &mut *self.lock.data.get() }
    }
}

impl<T> Drop for PrivateGuard<'_, T> {
    fn drop(&mut self) {
        self.lock.release();
    }
}
