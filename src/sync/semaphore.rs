//! `Semaphore`: a number of permits that anybody may take and anybody may give.

use super::algorithm::{MOST_PERMITS, SemaphoreWords};
use super::home::{Home, Travels, invalid, misuse};
use crate::error::{ErrorKind, Result};
use crate::sys::clock::Deadline;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::mem::ManuallyDrop;
use std::time::Duration;

/// A counting semaphore between processes (`multiproc::Semaphore`) or threads (`multiproc::threading::Semaphore`).
///
/// Acquiring takes a permit and waits while there is none. The [`SemaphoreGuard`] gives it back when dropped; used as a signal, the
/// permit is [given up](SemaphoreGuard::forget) by one and [released](Self::release) by another. Clones are the same semaphore, and
/// the process one travels like a [`Lock`](super::Lock).
///
/// **When a process dies** the permits that it had are *not* given back: nobody knows whether they were signals. A
/// [`BoundedSemaphore`](super::BoundedSemaphore) gives them back. A waiter that dies disturbs nobody: a wake-up that it took with it is
/// passed on.
///
/// # Differences from Python
/// `acquire` answers with a guard; `release(n)` is [`release_many`](Self::release_many), between processes too. Timeouts are on the
/// monotonic clock.
///
/// # Examples
/// ```
/// use multiproc::{Process, Semaphore};
///
/// let ready = Semaphore::new(0)?;
/// let mut process = Process::new(|ready: Semaphore| ready.release().expect("room for one"), (ready.clone(),));
/// process.start()?;
/// ready.acquire()?.forget(); // the child's signal
/// assert_eq!(ready.value(), 0);
/// # process.join()?;
/// # Ok::<(), multiproc::Error>(())
/// ```
#[derive(Clone, Serialize, Deserialize)]
#[serde(
    transparent,
    bound(serialize = "H: Travels", deserialize = "H: Travels")
)]
pub struct Semaphore<H: Home> {
    words: H::Of<SemaphoreWords>,
}

impl<H: Home> Semaphore<H> {
    /// Makes a semaphore with `value` permits.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for more than `i32::MAX` permits; between processes [`ErrorKind::NoSpace`] when the arena is full.
    pub fn new(value: u32) -> Result<Self> {
        if value > MOST_PERMITS {
            return invalid(format!("a semaphore has at most {MOST_PERMITS} permits"));
        }
        let words = H::create()?;
        H::words::<SemaphoreWords>(&words).set(value);
        Ok(Self { words })
    }

    /// Takes a permit, waiting as long as it takes.
    ///
    /// # Errors
    /// [`ErrorKind::StaleHandle`] when the semaphore is gone, and where this process cannot join the family.
    #[inline]
    pub fn acquire(&self) -> Result<SemaphoreGuard<'_, H>> {
        self.take(Some(Deadline::NEVER))
    }

    /// Takes a permit if there is one.
    ///
    /// # Errors
    /// [`ErrorKind::Busy`] when there is none; otherwise as [`acquire`](Self::acquire).
    #[inline]
    pub fn try_acquire(&self) -> Result<SemaphoreGuard<'_, H>> {
        self.take(None)
    }

    /// Takes a permit, waiting for `timeout` at most; a time beyond the clock's range is for ever.
    ///
    /// # Errors
    /// [`ErrorKind::Busy`] when the time is over; otherwise as [`acquire`](Self::acquire).
    pub fn acquire_timeout(&self, timeout: Duration) -> Result<SemaphoreGuard<'_, H>> {
        self.take(Some(Deadline::after(timeout)))
    }

    #[inline]
    fn take(&self, deadline: Option<Deadline>) -> Result<SemaphoreGuard<'_, H>> {
        // Also so that a wake-up can be passed on: sleepers note in their process's slot where they sleep.
        let me = H::me()?;
        let words = H::words(&self.words);
        H::check(&self.words)?;
        let taken = match deadline {
            Some(deadline) => words.acquire::<H>(deadline),
            None => words.try_acquire(),
        };
        if let Err(error) = H::check(&self.words) {
            let _given_back = taken && words.release::<H>(1);
            return Err(error);
        }
        if taken {
            Ok(SemaphoreGuard {
                semaphore: self,
                me,
            })
        } else {
            Err(ErrorKind::Busy.into())
        }
    }

    /// Gives a permit, whoever took it or nobody.
    ///
    /// # Errors
    /// [`ErrorKind::Misuse`] when there are `i32::MAX` permits already.
    #[inline]
    pub fn release(&self) -> Result<()> {
        self.release_many(1)
    }

    /// Gives `count` permits at once, and wakes as many who wait.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for none; [`ErrorKind::Misuse`], and nothing is changed, when there would be more than `i32::MAX`.
    #[inline]
    pub fn release_many(&self, count: u32) -> Result<()> {
        H::join()?;
        H::check(&self.words)?;
        if count == 0 {
            return invalid("a release of no permits");
        }
        if H::words(&self.words).release::<H>(count) {
            Ok(())
        } else {
            misuse("a semaphore cannot have so many permits")
        }
    }

    /// How many permits there are at this moment.
    #[doc(alias = "get_value")]
    #[must_use]
    pub fn value(&self) -> u32 {
        H::words(&self.words).value()
    }

    /// Is there no permit at this moment?
    #[must_use]
    pub fn locked(&self) -> bool {
        self.value() == 0
    }
}

impl<H: Home> fmt::Debug for Semaphore<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Semaphore")
            .field("value", &self.value())
            .finish_non_exhaustive()
    }
}

/// A permit, given back when this is dropped.
#[must_use = "the permit is given back when the guard is dropped"]
pub struct SemaphoreGuard<'a, H: Home> {
    semaphore: &'a Semaphore<H>,
    /// Who took it: the copy that a fork behind our back has is not a permit.
    me: u64,
}

impl<H: Home> SemaphoreGuard<'_, H> {
    /// Keeps the permit: somebody will [release](Semaphore::release) it, or nobody.
    pub fn forget(self) {
        let _kept = ManuallyDrop::new(self);
    }
}

impl<H: Home> Drop for SemaphoreGuard<'_, H> {
    #[inline]
    fn drop(&mut self) {
        let words = &self.semaphore.words;
        if H::same_process(self.me) && H::check(words).is_ok() {
            // There may be too many by now: others have released what they never had.
            let _room = H::words(words).release::<H>(1);
        }
    }
}

impl<H: Home> fmt::Debug for SemaphoreGuard<'_, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SemaphoreGuard").finish_non_exhaustive()
    }
}
