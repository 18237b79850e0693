//! `BoundedSemaphore`: permits that have owners, and come back when those die.

use super::algorithm::BoundedWords;
use super::home::{Home, Travels, invalid, misuse};
use crate::error::{ErrorKind, Result};
use crate::sys::clock::Deadline;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::mem::ManuallyDrop;
use std::time::Duration;

/// The most permits: each has a place of its own.
const MOST: u32 = 1 << 20;

/// A semaphore for things of which there is a number: it knows who has a permit, between processes
/// (`multiproc::BoundedSemaphore`) or threads (`multiproc::threading::BoundedSemaphore`).
///
/// Used like a [`Semaphore`](super::Semaphore), but it refuses to have more permits than at first. Clones are the same semaphore, and the
/// process one travels like a [`Lock`](super::Lock).
///
/// **When a process dies** its permits are free again: at once for whoever waits if the dead process was reaped by its parent, within 50
/// ms otherwise. A waiter that dies disturbs nobody.
///
/// # Differences from Python
/// The permits of the dead come back. `release` of a permit that somebody has a guard of is an error
/// ([`ErrorKind::Misuse`]), not only the release of one too many.
///
/// # Examples
/// ```
/// use multiproc::{BoundedSemaphore, Process};
///
/// let licences = BoundedSemaphore::new(2)?;
/// let mut process = Process::new(
///     |licences: BoundedSemaphore| {
///         let _one = licences.acquire().expect("there are two");
///         std::process::abort(); // dies with it
///     },
///     (licences.clone(),),
/// );
/// process.start()?;
/// process.join()?;
/// assert_eq!(licences.value(), 2);
/// assert!(licences.release().is_err(), "one too many");
/// # Ok::<(), multiproc::Error>(())
/// ```
#[derive(Clone, Serialize, Deserialize)]
#[serde(
    transparent,
    bound(serialize = "H: Travels", deserialize = "H: Travels")
)]
pub struct BoundedSemaphore<H: Home> {
    words: H::Of<BoundedWords>,
}

impl<H: Home> BoundedSemaphore<H> {
    /// Makes a semaphore with `value` permits, and never more.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for more than 1,048,576 permits; between processes [`ErrorKind::NoSpace`] when the arena is full.
    pub fn new(value: u32) -> Result<Self> {
        if value > MOST {
            return invalid(format!("a bounded semaphore has at most {MOST} permits"));
        }
        let words = H::create()?;
        let more = H::words::<BoundedWords>(&words).set(value);
        if more > 0 {
            H::grow(&words, more)?;
        }
        Ok(Self { words })
    }

    /// Takes a permit, waiting as long as it takes.
    ///
    /// # Errors
    /// [`ErrorKind::StaleHandle`] when the semaphore is gone, and where this process cannot join the family.
    #[inline]
    pub fn acquire(&self) -> Result<BoundedSemaphoreGuard<'_, H>> {
        self.take(Some(Deadline::NEVER))
    }

    /// Takes a permit if there is one, or only a dead process has it.
    ///
    /// # Errors
    /// [`ErrorKind::Busy`] when there is none; otherwise as [`acquire`](Self::acquire).
    #[inline]
    pub fn try_acquire(&self) -> Result<BoundedSemaphoreGuard<'_, H>> {
        self.take(None)
    }

    /// Takes a permit, waiting for `timeout` at most; a time beyond the clock's range is for ever.
    ///
    /// # Errors
    /// [`ErrorKind::Busy`] when the time is over; otherwise as [`acquire`](Self::acquire).
    pub fn acquire_timeout(&self, timeout: Duration) -> Result<BoundedSemaphoreGuard<'_, H>> {
        self.take(Some(Deadline::after(timeout)))
    }

    #[inline]
    fn take(&self, deadline: Option<Deadline>) -> Result<BoundedSemaphoreGuard<'_, H>> {
        let me = H::me()?;
        let (words, more) = self.words();
        H::check(&self.words)?;
        let taken = match deadline {
            Some(deadline) => words.acquire::<H>(more, me, deadline),
            None => words.try_acquire::<H>(more, me),
        };
        let permit = taken.ok_or(ErrorKind::Busy)?;
        let guard = BoundedSemaphoreGuard {
            semaphore: self,
            permit,
            me,
        };
        H::check(&self.words)?;
        Ok(guard)
    }

    /// Gives back a permit whose guard was [given up](BoundedSemaphoreGuard::forget): one of this process if there is any, else
    /// that of another.
    ///
    /// # Errors
    /// [`ErrorKind::Misuse`] when there is no such permit: this is one release too many.
    #[inline]
    pub fn release(&self) -> Result<()> {
        self.release_many(1)
    }

    /// Gives back `count` such permits.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for none; [`ErrorKind::Misuse`], and nothing is changed, when there are not so many.
    pub fn release_many(&self, count: u32) -> Result<()> {
        H::check(&self.words)?;
        if count == 0 {
            return invalid("a release of no permits");
        }
        let (words, more) = self.words();
        if words.release_loose::<H>(more, H::me()?, count) {
            Ok(())
        } else {
            misuse("released too often: nobody has given up so many permits of the semaphore")
        }
    }

    /// How many permits are free at this moment; those of processes that are known to be dead count.
    #[doc(alias = "get_value")]
    #[must_use]
    pub fn value(&self) -> u32 {
        let (words, more) = self.words();
        words.value::<H>(more)
    }

    /// How many permits there are, free or not.
    #[must_use]
    pub fn bound(&self) -> u32 {
        self.words().0.bound()
    }

    /// Is there no permit at this moment?
    #[must_use]
    pub fn locked(&self) -> bool {
        self.value() == 0
    }

    #[inline]
    fn words(&self) -> (&BoundedWords, &[crate::sys::atomic::AtomicU64]) {
        (H::words(&self.words), H::more(&self.words))
    }
}

impl<H: Home> fmt::Debug for BoundedSemaphore<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BoundedSemaphore")
            .field("value", &self.value())
            .field("bound", &self.bound())
            .finish_non_exhaustive()
    }
}

/// A permit, given back when this is dropped, or when this process dies.
#[must_use = "the permit is given back when the guard is dropped"]
pub struct BoundedSemaphoreGuard<'a, H: Home> {
    semaphore: &'a BoundedSemaphore<H>,
    permit: usize,
    me: u64,
}

impl<H: Home> BoundedSemaphoreGuard<'_, H> {
    /// Keeps the permit until somebody [releases](BoundedSemaphore::release) it, or this process dies.
    pub fn forget(self) {
        let kept = ManuallyDrop::new(self);
        if H::same_process(kept.me) {
            let (words, more) = kept.semaphore.words();
            words.loosen(more, kept.permit, kept.me);
        }
    }
}

impl<H: Home> Drop for BoundedSemaphoreGuard<'_, H> {
    #[inline]
    fn drop(&mut self) {
        // Dropped by another thread it is still the permit of this process.
        if H::same_process(self.me) {
            let (words, more) = self.semaphore.words();
            words.release::<H>(more, self.permit, self.me);
        }
    }
}

impl<H: Home> fmt::Debug for BoundedSemaphoreGuard<'_, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BoundedSemaphoreGuard")
            .finish_non_exhaustive()
    }
}
