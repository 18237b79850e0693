//! `Lock`: one owner at a time, and the news when an owner died.

use super::holder::Holder;
use super::home::{Home, Travels, misuse};
use super::news::{AcquireError, OwnerDied, TryAcquireError, sealed};
use crate::error::{ErrorKind, Result};
use crate::shm::{Lease, Taken};
use crate::sys::atomic::{AtomicU32, Relaxed};
use crate::sys::clock::Deadline;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::time::Duration;

/// The words of a lock.
#[repr(C, align(64))]
#[derive(Debug, Default)]
pub struct LockWords {
    lease: Lease,
    /// 1 from the death of an owner until somebody says that the data is repaired. Written by the owner.
    inconsistent: AtomicU32,
}

/// A lock: one owner at a time, a thread of any process (`multiproc::Lock`) or of this one (`multiproc::threading::Lock`).
///
/// It is a handle: clones are the same lock, and the process one can be an argument of a process or a task, a result, or lie in a
/// queue's message. Owning it is a [`LockGuard`]; dropping the guard gives the lock back. A guard that was
/// [given up](LockGuard::forget) leaves the lock to whoever calls [`release`](Self::release), as in Python.
///
/// **When the owner dies**, the next one to acquire gets the lock *and* the news ([`AcquireError::OwnerDied`]), because what the
/// lock protects may be half changed. An owner that is merely stopped, or whose thread ended without letting go, is waited for.
/// A waiter that dies disturbs nobody. A death is noticed at once when the process that started the owner has reaped it, and
/// within 50 ms otherwise.
///
/// Uncontended, acquiring and releasing take two atomic instructions and no system call.
///
/// # Differences from Python
/// The owner is recorded, so a death is noticed, where Python waits for ever. Acquiring it twice in one thread waits for ever in
/// both. Who is not the owner can release it only when the owner has given up its guard.
///
/// # Examples
/// ```
/// use multiproc::{Lock, Process};
///
/// fn child(lock: Lock) {
///     let _guard = lock.acquire().expect("the parent lives");
///     std::process::abort(); // dies holding it
/// }
///
/// let lock = Lock::new()?;
/// let mut process = Process::new(child, (lock.clone(),));
/// process.start()?;
/// process.join()?;
/// match lock.acquire() {
///     Err(multiproc::AcquireError::OwnerDied(news)) => drop(news.repaired()),
///     other => panic!("the owner died: {other:?}"),
/// }
/// assert!(lock.acquire().is_ok());
/// # Ok::<(), multiproc::Error>(())
/// ```
#[derive(Clone, Serialize, Deserialize)]
#[serde(
    transparent,
    bound(serialize = "H: Travels", deserialize = "H: Travels")
)]
pub struct Lock<H: Home> {
    words: H::Of<LockWords>,
}

impl<H: Home> Lock<H> {
    /// Makes a lock that nobody owns.
    ///
    /// # Errors
    /// Between processes: [`ErrorKind::NoSpace`] when the arena is full. Between threads: never.
    pub fn new() -> Result<Self> {
        let words = H::create()?;
        Ok(Self { words })
    }

    /// Acquires the lock, waiting as long as it takes.
    ///
    /// # Errors
    /// [`AcquireError::OwnerDied`] holds the guard and the news that the last owner died.
    #[inline(always)]
    pub fn acquire(&self) -> Result<LockGuard<'_, H>, AcquireError<LockGuard<'_, H>>> {
        self.acquire_again().map_err(TryAcquireError::patient)
    }

    /// Acquires the lock if nobody owns it, or only a dead process.
    ///
    /// # Errors
    /// [`TryAcquireError::Busy`] when somebody alive owns it; otherwise as [`acquire`](Self::acquire).
    #[doc(alias = "acquire_nowait")]
    #[inline]
    pub fn try_acquire(&self) -> Result<LockGuard<'_, H>, TryAcquireError<LockGuard<'_, H>>> {
        self.take(None)
    }

    /// Acquires the lock, waiting for `timeout` at most; a time beyond the clock's range is for ever.
    ///
    /// # Errors
    /// [`TryAcquireError::Busy`] when the time is over; otherwise as [`acquire`](Self::acquire).
    pub fn acquire_timeout(
        &self,
        timeout: Duration,
    ) -> Result<LockGuard<'_, H>, TryAcquireError<LockGuard<'_, H>>> {
        self.take(Some(Deadline::after(timeout)))
    }

    /// Gives back a lock whose guard was [given up](LockGuard::forget), in whatever thread or process that was.
    ///
    /// # Errors
    /// [`ErrorKind::Misuse`] when nobody owns the lock, or its owner has a guard, which will give it back.
    ///
    /// # Examples
    /// ```
    /// let lock = multiproc::Lock::new()?;
    /// lock.acquire()?.forget();
    /// multiproc::spawn(|lock: multiproc::Lock| lock.release().is_ok(), (lock.clone(),))?.join()?;
    /// assert!(!lock.locked());
    /// # Ok::<(), multiproc::Error>(())
    /// ```
    pub fn release(&self) -> Result<()> {
        H::join()?;
        H::check(&self.words)?;
        let lease = &H::words(&self.words).lease;
        match (lease.give_loose::<H>(), lease.is_taken()) {
            (true, _) => Ok(()),
            (false, true) => misuse("the lock's owner has a guard, which gives it back"),
            (false, false) => misuse("nobody owns the lock"),
        }
    }

    /// Does anybody own the lock at this moment?
    #[must_use]
    pub fn locked(&self) -> bool {
        H::words(&self.words).lease.is_taken()
    }

    /// Who owns the lock at this moment; `None` for nobody, or somebody who has left the family.
    #[must_use]
    pub fn holder(&self) -> Option<Holder> {
        match H::words(&self.words).lease.owner() {
            0 => None,
            owner => H::holder(owner),
        }
    }

    /// [`acquire`](Self::acquire) with the errors of the others.
    #[inline(always)]
    pub(super) fn acquire_again(
        &self,
    ) -> Result<LockGuard<'_, H>, TryAcquireError<LockGuard<'_, H>>> {
        self.take(Some(Deadline::NEVER))
    }

    /// Without a deadline it does not wait.
    #[inline(always)]
    fn take(
        &self,
        deadline: Option<Deadline>,
    ) -> Result<LockGuard<'_, H>, TryAcquireError<LockGuard<'_, H>>> {
        let me = H::me().map_err(TryAcquireError::Failed)?;
        let words = H::words(&self.words);
        H::check(&self.words).map_err(TryAcquireError::Failed)?;
        let taken = match deadline {
            Some(deadline) => words.lease.take::<H>(me, deadline),
            None => words.lease.take_now::<H>(me),
        };
        let taken = taken.ok_or(TryAcquireError::Busy)?;
        let guard = LockGuard {
            words,
            me,
            home: PhantomData,
        };
        if taken == Taken::OwnerDied {
            words.inconsistent.store(1, Relaxed);
        }
        H::check(&self.words).map_err(TryAcquireError::Failed)?;
        if words.inconsistent.load(Relaxed) == 0 {
            Ok(guard)
        } else {
            Err(TryAcquireError::OwnerDied(OwnerDied::new(guard)))
        }
    }

    /// Lets go for the time of a wait; `Ok(true)` if it was a lock whose guard was given up.
    pub(super) fn give_up(&self, me: u64) -> Result<bool> {
        let lease = &H::words(&self.words).lease;
        H::check(&self.words)?;
        match lease.give_up::<H>(me) {
            Some(loose) => Ok(loose),
            None => misuse("this thread does not own the condition's lock"),
        }
    }

    /// Owns it again after [`give_up`](Self::give_up).
    pub(super) fn regain(&self, loose: bool) -> Result<()> {
        let (guard, news) = match self.acquire() {
            Ok(guard) => (ManuallyDrop::new(guard), Ok(())),
            Err(AcquireError::OwnerDied(news)) => {
                let guard = news.unrepaired();
                (ManuallyDrop::new(guard), Err(ErrorKind::OwnerDied.into()))
            }
            Err(AcquireError::Failed(error)) => return Err(error),
        };
        if loose {
            guard.words.lease.loosen();
        }
        news
    }

    pub(super) fn is_mine(&self, me: u64) -> bool {
        H::words(&self.words).lease.owner() == me
    }

    /// As the owner.
    pub(super) fn say_repaired(&self) {
        H::words(&self.words).inconsistent.store(0, Relaxed);
    }
}

impl<H: Home> fmt::Debug for Lock<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lock")
            .field("locked", &self.locked())
            .field("holder", &self.holder())
            .finish_non_exhaustive()
    }
}

/// The lock is yours until this is dropped. It stays with the thread that acquired it.
#[must_use = "the lock is given back when the guard is dropped"]
pub struct LockGuard<'a, H: Home> {
    words: &'a LockWords,
    me: u64,
    home: PhantomData<*const H>,
}

impl<H: Home> LockGuard<'_, H> {
    /// Leaves the lock taken: from now on any thread of any process may [release](Lock::release) it. Until then it is still this
    /// thread's, and the death of this process is news for the next one to acquire it.
    pub fn forget(self) {
        let kept = ManuallyDrop::new(self);
        // A fork behind our back has a copy of the guard: it is not its to give up.
        if H::may_give(kept.me) {
            kept.words.lease.loosen();
        }
    }
}

impl<H: Home> sealed::Repair for LockGuard<'_, H> {
    fn say_repaired(&self) {
        self.words.inconsistent.store(0, Relaxed);
    }
}

impl<H: Home> Drop for LockGuard<'_, H> {
    #[inline]
    fn drop(&mut self) {
        if H::may_give(self.me) {
            self.words.lease.give_own::<H>(self.me);
        }
    }
}

impl<H: Home> fmt::Debug for LockGuard<'_, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LockGuard").finish_non_exhaustive()
    }
}
