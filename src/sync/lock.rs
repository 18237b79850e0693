//! `Lock`: one owner at a time, and the news when an owner died.

use super::home::{DeadlineOrNow, Home, LockWords};
use crate::error::{Error, ErrorKind, Result};
use crate::shm::AcrossProcesses;
use crate::sys::atomic::Relaxed;
use crate::sys::clock::Deadline;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

/// A lock: one owner at a time, a thread of any process (`multiproc::Lock`) or of this one (`multiproc::threading::Lock`).
///
/// It is a handle: clones are the same lock, and the process one can be an argument of a process or a task, a result, or lie in a
/// queue's message. Owning it is a [`LockGuard`]; dropping the guard gives the lock back.
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
/// both.
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
pub struct Lock<H: Home> {
    words: H::Words,
}

impl<H: Home> Lock<H> {
    /// Makes a lock that nobody owns.
    ///
    /// # Errors
    /// Between processes: [`ErrorKind::NoSpace`] when the arena is full. Between threads: never.
    pub fn new() -> Result<Self> {
        Ok(Self {
            words: H::create()?,
        })
    }

    /// Acquires the lock, waiting as long as it takes.
    ///
    /// # Errors
    /// [`AcquireError::OwnerDied`] holds the guard and the news that the last owner died.
    #[inline]
    pub fn acquire(&self) -> Result<LockGuard<'_, H>, AcquireError<'_, H>> {
        match self.take(DeadlineOrNow(Some(Deadline::NEVER))) {
            Ok(guard) => Ok(guard),
            Err(TryAcquireError::OwnerDied(news)) => Err(AcquireError::OwnerDied(news)),
            Err(TryAcquireError::Failed(error)) => Err(AcquireError::Failed(error)),
            Err(TryAcquireError::Busy) => Err(AcquireError::Failed(ErrorKind::Busy.into())),
        }
    }

    /// Acquires the lock if nobody owns it, or only a dead process.
    ///
    /// # Errors
    /// [`TryAcquireError::Busy`] when somebody alive owns it; otherwise as [`acquire`](Self::acquire).
    #[doc(alias = "acquire_nowait")]
    #[inline]
    pub fn try_acquire(&self) -> Result<LockGuard<'_, H>, TryAcquireError<'_, H>> {
        self.take(DeadlineOrNow(None))
    }

    /// Acquires the lock, waiting for `timeout` at most; a time beyond the clock's range is for ever.
    ///
    /// # Errors
    /// [`TryAcquireError::Busy`] when the time is over; otherwise as [`acquire`](Self::acquire).
    pub fn acquire_timeout(
        &self,
        timeout: Duration,
    ) -> Result<LockGuard<'_, H>, TryAcquireError<'_, H>> {
        self.take(DeadlineOrNow(Some(Deadline::after(timeout))))
    }

    /// Does anybody own the lock at this moment?
    #[must_use]
    pub fn locked(&self) -> bool {
        H::words(&self.words).lease.is_taken()
    }

    #[inline]
    fn take(&self, deadline: DeadlineOrNow) -> Result<LockGuard<'_, H>, TryAcquireError<'_, H>> {
        let me = H::me().map_err(TryAcquireError::Failed)?;
        let words = H::words(&self.words);
        H::check(&self.words).map_err(TryAcquireError::Failed)?;
        let died = H::take(words, me, deadline).ok_or(TryAcquireError::Busy)?;
        let guard = LockGuard {
            words,
            me,
            home: PhantomData,
        };
        H::check(&self.words).map_err(TryAcquireError::Failed)?;
        if died {
            words.inconsistent.store(1, Relaxed);
        }
        if words.inconsistent.load(Relaxed) == 0 {
            Ok(guard)
        } else {
            Err(TryAcquireError::OwnerDied(OwnerDied { guard }))
        }
    }
}

impl<H: Home> Clone for Lock<H> {
    fn clone(&self) -> Self {
        Self {
            words: self.words.clone(),
        }
    }
}

impl<H: Home> fmt::Debug for Lock<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lock")
            .field("locked", &self.locked())
            .finish_non_exhaustive()
    }
}

impl Serialize for Lock<AcrossProcesses> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.words.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Lock<AcrossProcesses> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Deserialize::deserialize(deserializer).map(|words| Self { words })
    }
}

/// The lock is yours until this is dropped. It stays with the thread that acquired it.
#[must_use = "the lock is given back when the guard is dropped"]
pub struct LockGuard<'a, H: Home> {
    words: &'a LockWords,
    me: u64,
    home: PhantomData<*const H>,
}

impl<H: Home> Drop for LockGuard<'_, H> {
    #[inline]
    fn drop(&mut self) {
        if H::may_give(self.me) {
            H::give(self.words);
        }
    }
}

impl<H: Home> fmt::Debug for LockGuard<'_, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LockGuard").finish_non_exhaustive()
    }
}

/// The lock is yours, and its last owner died with it: look at what it protects before you go on.
///
/// Dropped without [`repaired`](Self::repaired), the lock is given back and the next one to acquire it hears the news too.
#[derive(Debug)]
#[must_use = "say `repaired` to go on with the lock"]
pub struct OwnerDied<'a, H: Home> {
    guard: LockGuard<'a, H>,
}

impl<'a, H: Home> OwnerDied<'a, H> {
    /// Says that what the lock protects is in order again, and goes on as its owner.
    pub fn repaired(self) -> LockGuard<'a, H> {
        self.guard.words.inconsistent.store(0, Relaxed);
        self.guard
    }
}

/// Why [`Lock::acquire`] did not simply answer with the guard.
#[derive(Debug)]
pub enum AcquireError<'a, H: Home> {
    /// You have the lock, and its last owner died.
    OwnerDied(OwnerDied<'a, H>),
    /// The lock cannot be had: its object is gone, or this process cannot join the family.
    Failed(Error),
}

/// Why [`Lock::try_acquire`] or [`Lock::acquire_timeout`] did not simply answer with the guard.
#[derive(Debug)]
pub enum TryAcquireError<'a, H: Home> {
    /// Somebody else owns it.
    Busy,
    /// You have the lock, and its last owner died.
    OwnerDied(OwnerDied<'a, H>),
    /// The lock cannot be had.
    Failed(Error),
}

impl<H: Home> From<AcquireError<'_, H>> for Error {
    fn from(error: AcquireError<'_, H>) -> Self {
        match error {
            AcquireError::OwnerDied(_) => ErrorKind::OwnerDied.into(),
            AcquireError::Failed(error) => error,
        }
    }
}

impl<H: Home> From<TryAcquireError<'_, H>> for Error {
    fn from(error: TryAcquireError<'_, H>) -> Self {
        match error {
            TryAcquireError::Busy => ErrorKind::Busy.into(),
            TryAcquireError::OwnerDied(_) => ErrorKind::OwnerDied.into(),
            TryAcquireError::Failed(error) => error,
        }
    }
}

impl<H: Home> fmt::Display for AcquireError<'_, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OwnerDied(_) => f.write_str("the owner of the lock died"),
            Self::Failed(error) => error.fmt(f),
        }
    }
}

impl<H: Home> fmt::Display for TryAcquireError<'_, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Busy => f.write_str("somebody else owns the lock"),
            Self::OwnerDied(_) => f.write_str("the owner of the lock died"),
            Self::Failed(error) => error.fmt(f),
        }
    }
}

impl<H: Home> std::error::Error for AcquireError<'_, H> {}
impl<H: Home> std::error::Error for TryAcquireError<'_, H> {}
