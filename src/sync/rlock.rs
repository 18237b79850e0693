//! `RLock`: a lock that its owner may acquire again.

use super::holder::Holder;
use super::home::{Home, Travels, misuse};
use super::news::{AcquireError, OwnerDied, TryAcquireError, sealed};
use crate::error::{Error, ErrorKind, Result};
use crate::shm::{AcrossProcesses, Lease, Taken};
use crate::sys::atomic::{AtomicU32, Relaxed};
use crate::sys::clock::Deadline;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::time::Duration;

/// The words of a recursive lock. All but the lease are written by its owner.
#[repr(C, align(64))]
#[derive(Debug, Default)]
pub struct RLockWords {
    lease: Lease,
    /// 1 from the death of an owner until somebody says that the data is repaired.
    inconsistent: AtomicU32,
    /// How often the owner has it.
    level: AtomicU32,
    /// How many of these levels have no guard any more.
    loose: AtomicU32,
    /// How many of them protect a reference to what lies in shared memory: the lock must not be given up meanwhile.
    pinned: AtomicU32,
}

/// What [`RLock::give_up`] had.
#[derive(Clone, Copy, Debug)]
pub(super) struct Levels {
    level: u32,
    loose: u32,
}

/// A recursive lock: its owner, a thread of one process, may acquire it again, and owns it until it has let go as often.
///
/// Handles, guards, deaths and waiting are those of [`Lock`](super::Lock). Each guard is one level; a level whose guard was
/// [given up](RLockGuard::forget) is let go by [`release`](Self::release), by the owner only.
///
/// A thread that ends with a level in its hands leaves it to its number: a later thread of the process that gets the number again owns it.
///
/// # Differences from Python
/// A death is noticed. Releasing what another thread owns is an error ([`ErrorKind::Misuse`]), where Python asserts.
///
/// # Examples
/// ```
/// let lock = multiproc::RLock::new()?;
/// let outer = lock.acquire()?;
/// let inner = lock.acquire()?;
/// assert_eq!(lock.level(), 2);
/// drop(outer);
/// assert!(lock.locked());
/// drop(inner);
/// assert!(!lock.locked());
/// # Ok::<(), multiproc::Error>(())
/// ```
#[derive(Clone, Serialize, Deserialize)]
#[serde(
    transparent,
    bound(serialize = "H: Travels", deserialize = "H: Travels")
)]
pub struct RLock<H: Home> {
    words: H::Of<RLockWords>,
}

impl<H: Home> RLock<H> {
    /// Makes a lock that nobody owns.
    ///
    /// # Errors
    /// Between processes: [`ErrorKind::NoSpace`] when the arena is full. Between threads: never.
    pub fn new() -> Result<Self> {
        let words = H::create()?;
        Ok(Self { words })
    }

    /// Acquires the lock, at once if this thread owns it already; else waits as long as it takes.
    ///
    /// # Errors
    /// [`AcquireError::OwnerDied`] holds the guard and the news that the last owner died.
    #[inline]
    pub fn acquire(&self) -> Result<RLockGuard<'_, H>, AcquireError<RLockGuard<'_, H>>> {
        self.acquire_again().map_err(TryAcquireError::patient)
    }

    /// Acquires the lock if nobody owns it but this thread, or a dead process.
    ///
    /// # Errors
    /// [`TryAcquireError::Busy`] when somebody else who is alive owns it; otherwise as [`acquire`](Self::acquire).
    #[inline]
    pub fn try_acquire(&self) -> Result<RLockGuard<'_, H>, TryAcquireError<RLockGuard<'_, H>>> {
        self.take(None)
    }

    /// Acquires the lock, waiting for `timeout` at most; a time beyond the clock's range is for ever.
    ///
    /// # Errors
    /// [`TryAcquireError::Busy`] when the time is over; otherwise as [`acquire`](Self::acquire).
    pub fn acquire_timeout(
        &self,
        timeout: Duration,
    ) -> Result<RLockGuard<'_, H>, TryAcquireError<RLockGuard<'_, H>>> {
        self.take(Some(Deadline::after(timeout)))
    }

    /// Lets go of one level whose guard was [given up](RLockGuard::forget).
    ///
    /// # Errors
    /// [`ErrorKind::Misuse`] when this thread does not own the lock, or has a guard for each level.
    ///
    /// # Examples
    /// ```
    /// let lock = multiproc::RLock::new()?;
    /// lock.acquire()?.forget();
    /// lock.release()?;
    /// assert!(lock.release().is_err(), "one level, once");
    /// # Ok::<(), multiproc::Error>(())
    /// ```
    pub fn release(&self) -> Result<()> {
        H::check(&self.words)?;
        let (me, words) = (H::me()?, self.words());
        if words.lease.owner() != me {
            return misuse("this thread does not own the lock");
        }
        match words.loose.load(Relaxed).checked_sub(1) {
            None => misuse("each level of the lock has a guard, which gives it back"),
            Some(loose) => {
                words.loose.store(loose, Relaxed);
                words.leave::<H>(me);
                Ok(())
            }
        }
    }

    /// How often the calling thread owns the lock; 0 when it does not.
    #[must_use]
    pub fn level(&self) -> usize {
        let words = self.words();
        let mine = H::me().is_ok_and(|me| words.lease.owner() == me);
        if mine {
            words.level.load(Relaxed) as usize
        } else {
            0
        }
    }

    /// Does anybody own the lock at this moment?
    #[must_use]
    pub fn locked(&self) -> bool {
        self.words().lease.is_taken()
    }

    /// Who owns the lock at this moment; `None` for nobody, or somebody who has left the family.
    #[must_use]
    pub fn holder(&self) -> Option<Holder> {
        match self.words().lease.owner() {
            0 => None,
            owner => H::holder(owner),
        }
    }

    fn words(&self) -> &RLockWords {
        H::words(&self.words)
    }

    /// [`acquire`](Self::acquire) with the errors of the others.
    #[inline]
    pub(crate) fn acquire_again(
        &self,
    ) -> Result<RLockGuard<'_, H>, TryAcquireError<RLockGuard<'_, H>>> {
        self.take(Some(Deadline::NEVER))
    }

    /// Without a deadline it does not wait.
    #[inline]
    fn take(
        &self,
        deadline: Option<Deadline>,
    ) -> Result<RLockGuard<'_, H>, TryAcquireError<RLockGuard<'_, H>>> {
        let me = H::me().map_err(TryAcquireError::Failed)?;
        let words = self.words();
        H::check(&self.words).map_err(TryAcquireError::Failed)?;
        if words.lease.owner() == me {
            words.enter_again().map_err(TryAcquireError::Failed)?;
        } else {
            let taken = match deadline {
                Some(deadline) => words.lease.take::<H>(me, deadline),
                None => words.lease.take_now::<H>(me),
            };
            let died = taken.ok_or(TryAcquireError::Busy)? == Taken::OwnerDied;
            if let Err(error) = H::check(&self.words) {
                words.lease.give_own::<H>(me);
                return Err(TryAcquireError::Failed(error));
            }
            let once = Levels { level: 1, loose: 0 };
            words.begin(once, died);
        }
        let guard = RLockGuard {
            words,
            me,
            home: PhantomData,
        };
        H::check(&self.words).map_err(TryAcquireError::Failed)?;
        if words.inconsistent.load(Relaxed) == 0 {
            Ok(guard)
        } else {
            Err(TryAcquireError::OwnerDied(OwnerDied::new(guard)))
        }
    }

    /// Lets go of all levels for the time of a wait.
    pub(super) fn give_up(&self, me: u64) -> Result<Levels> {
        H::check(&self.words)?;
        let words = self.words();
        if words.lease.owner() != me {
            return misuse("this thread does not own the condition's lock");
        }
        if words.pinned.load(Relaxed) > 0 {
            return misuse("this thread has a guard of a value that the condition's lock protects");
        }
        let levels = Levels {
            level: words.level.load(Relaxed),
            loose: words.loose.load(Relaxed),
        };
        words.level.store(0, Relaxed);
        words.lease.give::<H>();
        Ok(levels)
    }

    /// Owns it again as often as before [`give_up`](Self::give_up).
    pub(super) fn regain(&self, levels: Levels) -> Result<()> {
        let (guard, news) = match self.acquire() {
            Ok(guard) => (ManuallyDrop::new(guard), Ok(())),
            Err(AcquireError::OwnerDied(news)) => {
                let guard = news.unrepaired();
                (ManuallyDrop::new(guard), Err(ErrorKind::OwnerDied.into()))
            }
            Err(AcquireError::Failed(error)) => return Err(error),
        };
        guard.words.begin(levels, false);
        news
    }

    pub(super) fn is_mine(&self, me: u64) -> bool {
        self.words().lease.owner() == me
    }

    /// As the owner.
    pub(super) fn say_repaired(&self) {
        self.words().inconsistent.store(0, Relaxed);
    }
}

impl RLock<AcrossProcesses> {
    /// Which object it is, for values that belong to the lock.
    pub(crate) fn name(&self) -> u64 {
        self.words.name()
    }
}

impl RLockWords {
    /// As the new owner.
    #[inline]
    fn begin(&self, levels: Levels, died: bool) {
        if died {
            self.inconsistent.store(1, Relaxed);
        }
        self.level.store(levels.level, Relaxed);
        self.loose.store(levels.loose, Relaxed);
        self.pinned.store(0, Relaxed);
    }

    #[inline]
    fn enter_again(&self) -> Result<()> {
        let more = self.level.load(Relaxed).checked_add(1);
        let more =
            more.ok_or_else(|| Error::new(ErrorKind::Misuse, "too many levels of a lock"))?;
        self.level.store(more, Relaxed);
        Ok(())
    }

    /// As the owner: one level less.
    #[inline]
    fn leave<H: Home>(&self, me: u64) {
        let less = self.level.load(Relaxed).saturating_sub(1);
        self.level.store(less, Relaxed);
        if less == 0 {
            self.lease.give_own::<H>(me);
        }
    }
}

impl<H: Home> fmt::Debug for RLock<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RLock")
            .field("locked", &self.locked())
            .field("holder", &self.holder())
            .field("level", &self.level())
            .finish_non_exhaustive()
    }
}

/// One level of the lock is yours until this is dropped. It stays with the thread that acquired it.
#[must_use = "the lock is given back when the guard is dropped"]
pub struct RLockGuard<'a, H: Home> {
    words: &'a RLockWords,
    me: u64,
    home: PhantomData<*const H>,
}

impl<H: Home> RLockGuard<'_, H> {
    /// Leaves this level taken: this thread lets go of it by [`RLock::release`].
    pub fn forget(self) {
        let kept = ManuallyDrop::new(self);
        let words = kept.words;
        // A fork behind our back has a copy of the guard: it is not its to give up.
        if H::may_give(kept.me) && words.lease.owner() == kept.me {
            let more = words.loose.load(Relaxed).saturating_add(1);
            words.loose.store(more, Relaxed);
        }
    }

    /// While the level is pinned, no wait for a condition gives the lock up.
    pub(crate) fn pin(&self, pin: bool) {
        let pinned = self.words.pinned.load(Relaxed);
        let pinned = if pin {
            pinned.saturating_add(1)
        } else {
            pinned.saturating_sub(1)
        };
        self.words.pinned.store(pinned, Relaxed);
    }
}

impl<H: Home> sealed::Repair for RLockGuard<'_, H> {
    fn say_repaired(&self) {
        self.words.inconsistent.store(0, Relaxed);
    }
}

impl<H: Home> Drop for RLockGuard<'_, H> {
    #[inline]
    fn drop(&mut self) {
        if H::may_give(self.me) && self.words.lease.owner() == self.me {
            self.words.leave::<H>(self.me);
        }
    }
}

impl<H: Home> fmt::Debug for RLockGuard<'_, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RLockGuard").finish_non_exhaustive()
    }
}
