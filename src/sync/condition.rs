//! `Condition`: waiting for a change of what a lock protects.

use super::algorithm::ConditionWords;
use super::holder::Holder;
use super::home::{Home, Travels, misuse};
use super::lock::{Lock, LockGuard};
use super::news::{AcquireError, TryAcquireError, sealed, with_guard};
use super::rlock::{Levels, RLock, RLockGuard};
use crate::error::{Error, ErrorKind, Result};
use crate::sys::clock::Deadline;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;

/// Words for those who wait, once there are more than fit into the object: two for each.
const MORE: usize = 3 * 4096;

/// A condition between processes (`multiproc::Condition`) or threads (`multiproc::threading::Condition`): whoever owns its lock may wait
/// until another owner notifies.
///
/// It comes with a [recursive lock](RLock) of its own, or is made over a [`Lock`] or [`RLock`] that exists. Clones are the same
/// condition, and the process one travels like a lock.
///
/// A wait gives the lock up, with all levels, and has it again when it returns. There are no returns without a notification. Who came first
/// is notified first. Notifications are not stored: without anybody who waits they are nothing.
///
/// **When a process dies** that waits, it does not count; if it was notified already, the notification goes to the next one who waited then,
/// within 50 ms. When the owner of the lock dies, whoever gets it next hears of it: [`acquire`](Self::acquire) as
/// [`AcquireError::OwnerDied`], a wait as [`ErrorKind::OwnerDied`], with the lock owned; see [`repaired`](Self::repaired).
///
/// # Differences from Python
/// `notify` waits for nobody, so a dead or stopped waiter cannot block it; it says how many it has woken.
///
/// # Examples
/// ```
/// use multiproc::{Condition, Process, Value};
///
/// fn produce(filled: Condition, shelf: Value<u32>) {
///     let _guard = filled.acquire().expect("nobody died with it");
///     shelf.set(7).expect("nobody died with it");
///     filled.notify(1).expect("this process owns the lock");
/// }
///
/// let (filled, shelf) = (Condition::new()?, Value::new(0)?);
/// let guard = filled.acquire()?;
/// let mut process = Process::new(produce, (filled.clone(), shelf.clone()));
/// process.start()?;
/// filled.wait_for(|| shelf.get().is_ok_and(|goods| goods > 0))?;
/// assert_eq!(shelf.get()?, 7);
/// drop(guard);
/// # process.join()?;
/// # Ok::<(), multiproc::Error>(())
/// ```
#[derive(Clone, Serialize, Deserialize)]
#[serde(bound(serialize = "H: Travels", deserialize = "H: Travels"))]
pub struct Condition<H: Home> {
    words: H::Of<ConditionWords>,
    lock: Either<Lock<H>, RLock<H>>,
}

/// One of the two kinds of locks, or of what they have.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
enum Either<L, R> {
    Lock(L),
    RLock(R),
}

impl<H: Home> Condition<H> {
    /// Makes a condition with a recursive lock of its own.
    ///
    /// # Errors
    /// Between processes: [`ErrorKind::NoSpace`] when the arena is full. Between threads: never.
    pub fn new() -> Result<Self> {
        Self::over(Either::RLock(RLock::new()?))
    }

    /// Makes a condition over this lock.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn with_lock(lock: &Lock<H>) -> Result<Self> {
        Self::over(Either::Lock(lock.clone()))
    }

    /// Makes a condition over this recursive lock.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn with_rlock(lock: &RLock<H>) -> Result<Self> {
        Self::over(Either::RLock(lock.clone()))
    }

    fn over(lock: Either<Lock<H>, RLock<H>>) -> Result<Self> {
        let words = H::create()?;
        Ok(Self { words, lock })
    }

    /// Acquires the condition's lock, waiting as long as it takes.
    ///
    /// # Errors
    /// [`AcquireError::OwnerDied`] holds the guard and the news that the last owner died.
    #[inline]
    pub fn acquire(&self) -> Result<ConditionGuard<'_, H>, AcquireError<ConditionGuard<'_, H>>> {
        self.take(Lock::acquire_again, RLock::acquire_again)
            .map_err(TryAcquireError::patient)
    }

    /// Acquires the condition's lock if nobody owns it, or only a dead process.
    ///
    /// # Errors
    /// [`TryAcquireError::Busy`] when somebody else who is alive owns it; otherwise as [`acquire`](Self::acquire).
    pub fn try_acquire(
        &self,
    ) -> Result<ConditionGuard<'_, H>, TryAcquireError<ConditionGuard<'_, H>>> {
        self.take(Lock::try_acquire, RLock::try_acquire)
    }

    /// Acquires the condition's lock, waiting for `timeout` at most; a time beyond the clock's range is for ever.
    ///
    /// # Errors
    /// [`TryAcquireError::Busy`] when the time is over; otherwise as [`acquire`](Self::acquire).
    pub fn acquire_timeout(
        &self,
        timeout: Duration,
    ) -> Result<ConditionGuard<'_, H>, TryAcquireError<ConditionGuard<'_, H>>> {
        self.take(
            |lock| lock.acquire_timeout(timeout),
            |lock| lock.acquire_timeout(timeout),
        )
    }

    #[inline]
    fn take<'a>(
        &'a self,
        lock: impl FnOnce(&'a Lock<H>) -> Result<LockGuard<'a, H>, TryAcquireError<LockGuard<'a, H>>>,
        rlock: impl FnOnce(
            &'a RLock<H>,
        ) -> Result<RLockGuard<'a, H>, TryAcquireError<RLockGuard<'a, H>>>,
    ) -> Result<ConditionGuard<'a, H>, TryAcquireError<ConditionGuard<'a, H>>> {
        match &self.lock {
            Either::Lock(it) => {
                with_guard(lock(it), |guard| Ok(ConditionGuard(Either::Lock(guard))))
            }
            Either::RLock(it) => {
                with_guard(rlock(it), |guard| Ok(ConditionGuard(Either::RLock(guard))))
            }
        }
    }

    /// Gives back a lock, or a level of it, whose guard was given up.
    ///
    /// # Errors
    /// As [`Lock::release`] and [`RLock::release`].
    pub fn release(&self) -> Result<()> {
        match &self.lock {
            Either::Lock(lock) => lock.release(),
            Either::RLock(lock) => lock.release(),
        }
    }

    /// Does anybody own the condition's lock at this moment?
    #[must_use]
    pub fn locked(&self) -> bool {
        match &self.lock {
            Either::Lock(lock) => lock.locked(),
            Either::RLock(lock) => lock.locked(),
        }
    }

    /// Who owns the condition's lock at this moment; `None` for nobody, or somebody who has left the family.
    #[must_use]
    pub fn holder(&self) -> Option<Holder> {
        match &self.lock {
            Either::Lock(lock) => lock.holder(),
            Either::RLock(lock) => lock.holder(),
        }
    }

    /// Gives the lock up, waits until notified, as long as it takes, and has the lock again.
    ///
    /// # Errors
    /// [`ErrorKind::Misuse`] when this thread does not own the lock, or has a guard of a value that it protects;
    /// [`ErrorKind::OwnerDied`] when the lock came back from a dead owner: it is owned, and what it protects may be half changed;
    /// [`ErrorKind::NoSpace`] when thousands wait already, or more than seven and the arena is full.
    pub fn wait(&self) -> Result<()> {
        self.wait_until(Deadline::NEVER).map(|_| ())
    }

    /// Gives the lock up, waits until notified, for `timeout` at most, and has the lock again, as long as that takes. The answer is
    /// whether it was notified. A time beyond the clock's range is for ever.
    ///
    /// # Errors
    /// As [`wait`](Self::wait).
    pub fn wait_timeout(&self, timeout: Duration) -> Result<bool> {
        self.wait_until(Deadline::after(timeout))
    }

    /// Waits until `predicate` is true, which is called with the lock owned.
    ///
    /// # Errors
    /// As [`wait`](Self::wait).
    pub fn wait_for(&self, predicate: impl FnMut() -> bool) -> Result<()> {
        self.wait_for_until(Deadline::NEVER, predicate).map(|_| ())
    }

    /// Waits until `predicate` is true, which is called with the lock owned, for `timeout` at most in all; the answer is what it said
    /// last.
    ///
    /// # Errors
    /// As [`wait`](Self::wait).
    pub fn wait_for_timeout(
        &self,
        timeout: Duration,
        predicate: impl FnMut() -> bool,
    ) -> Result<bool> {
        self.wait_for_until(Deadline::after(timeout), predicate)
    }

    fn wait_for_until(
        &self,
        deadline: Deadline,
        mut predicate: impl FnMut() -> bool,
    ) -> Result<bool> {
        self.owned()?;
        loop {
            if predicate() {
                return Ok(true);
            }
            if !self.wait_until(deadline)? {
                return Ok(predicate());
            }
        }
    }

    fn wait_until(&self, deadline: Deadline) -> Result<bool> {
        let me = self.owned()?;
        let words = H::words(&self.words);
        let place = self.enter(me)?;
        let levels = match self.give_up(me) {
            Ok(levels) => levels,
            Err(error) => {
                words.free(H::more(&self.words), place);
                return Err(error);
            }
        };
        let notified = words.wait::<H>(|| H::more(&self.words), place, me, deadline);
        let regained = self.regain(levels);
        // Only now: if this process had died on the way to the lock, another one had been notified.
        if let Some(notified) = notified {
            words.leave::<H>(H::more(&self.words), notified);
        }
        regained.map(|()| notified.is_some())
    }

    fn enter(&self, me: u64) -> Result<usize> {
        let words = H::words(&self.words);
        if let Some(place) = words.enter::<H>(H::more(&self.words), me) {
            return Ok(place);
        }
        H::grow(&self.words, MORE)?;
        let place = words.enter::<H>(H::more(&self.words), me);
        place.ok_or_else(|| Error::new(ErrorKind::NoSpace, "too many wait for this condition"))
    }

    /// This thread, if it owns the lock.
    fn owned(&self) -> Result<u64> {
        let me = H::me()?;
        H::check(&self.words)?;
        let mine = match &self.lock {
            Either::Lock(lock) => lock.is_mine(me),
            Either::RLock(lock) => lock.is_mine(me),
        };
        if mine {
            Ok(me)
        } else {
            misuse("this thread does not own the condition's lock")
        }
    }

    fn give_up(&self, me: u64) -> Result<Either<bool, Levels>> {
        match &self.lock {
            Either::Lock(lock) => lock.give_up(me).map(Either::Lock),
            Either::RLock(lock) => lock.give_up(me).map(Either::RLock),
        }
    }

    fn regain(&self, levels: Either<bool, Levels>) -> Result<()> {
        match (&self.lock, levels) {
            (Either::Lock(lock), Either::Lock(loose)) => lock.regain(loose),
            (Either::RLock(lock), Either::RLock(levels)) => lock.regain(levels),
            _ => Err(ErrorKind::Corrupt.into()),
        }
    }

    /// Wakes the first `count` of those who wait, and says how many they were. They go on once they have the lock.
    ///
    /// # Errors
    /// [`ErrorKind::Misuse`] when this thread does not own the lock.
    pub fn notify(&self, count: usize) -> Result<usize> {
        self.owned()?;
        Ok(H::words(&self.words).notify::<H>(H::more(&self.words), count))
    }

    /// Wakes all who wait, and says how many they were.
    ///
    /// # Errors
    /// As [`notify`](Self::notify).
    pub fn notify_all(&self) -> Result<usize> {
        self.notify(usize::MAX)
    }

    /// Says that what the lock protects is in order again, after a wait has answered that an owner died.
    ///
    /// # Errors
    /// [`ErrorKind::Misuse`] when this thread does not own the lock.
    pub fn repaired(&self) -> Result<()> {
        self.owned()?;
        match &self.lock {
            Either::Lock(lock) => lock.say_repaired(),
            Either::RLock(lock) => lock.say_repaired(),
        }
        Ok(())
    }
}

impl<H: Home> fmt::Debug for Condition<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let waiting = H::words(&self.words).waiting::<H>(H::more(&self.words));
        f.debug_struct("Condition")
            .field("locked", &self.locked())
            .field("holder", &self.holder())
            .field("waiting", &waiting)
            .finish_non_exhaustive()
    }
}

/// The condition's lock, or one level of it, is yours until this is dropped. It stays with the thread that acquired it.
#[derive(Debug)]
#[must_use = "the lock is given back when the guard is dropped"]
pub struct ConditionGuard<'a, H: Home>(Either<LockGuard<'a, H>, RLockGuard<'a, H>>);

impl<H: Home> ConditionGuard<'_, H> {
    /// Leaves the lock taken, for [`Condition::release`].
    pub fn forget(self) {
        match self.0 {
            Either::Lock(guard) => guard.forget(),
            Either::RLock(guard) => guard.forget(),
        }
    }
}

impl<H: Home> sealed::Repair for ConditionGuard<'_, H> {
    fn say_repaired(&self) {
        match &self.0 {
            Either::Lock(guard) => guard.say_repaired(),
            Either::RLock(guard) => guard.say_repaired(),
        }
    }
}
