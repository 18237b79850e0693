//! `RwLock`: many readers or one writer.

use super::algorithm::{NoRead, RwLockWords};
use super::holder::Holder;
use super::home::{Home, Travels};
use super::news::{AcquireError, OwnerDied, TryAcquireError, sealed};
use crate::error::{Error, ErrorKind, Result};
use crate::sys::clock::Deadline;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

/// Room for the readers of so many more processes, once there are more than fit into the object.
const MORE: usize = 4096;

/// A lock for many readers or one writer, threads of any process (`multiproc::RwLock`) or of this one (`multiproc::threading::RwLock`).
///
/// Who waits to write goes before those who come to read later. Clones are the same lock, and the process one travels like a
/// [`Lock`](super::Lock). It is not recursive: a thread that reads and acquires again may wait for a writer that waits for it.
///
/// **When a process dies** that wrote or read, the next one to acquire gets the lock and the news ([`AcquireError::OwnerDied`]), until
/// somebody says [`repaired`](OwnerDied::repaired): for whoever waits at once if the dead process was reaped by its parent, within 50
/// ms otherwise. Of a reader's death that nobody has noticed yet, as its parent has not reaped it and nobody wants to write, readers do not
/// hear. Who is only stopped is waited for. A waiter that dies disturbs nobody.
///
/// # Differences from Python
/// Python has none.
///
/// # Examples
/// ```
/// let lock = multiproc::RwLock::new()?;
/// let one = lock.read()?;
/// let two = lock.read()?;
/// assert_eq!(lock.readers(), 2);
/// assert!(lock.try_write().is_err());
/// drop((one, two));
/// let _alone = lock.write()?;
/// # Ok::<(), multiproc::Error>(())
/// ```
#[derive(Clone, Serialize, Deserialize)]
#[serde(
    transparent,
    bound(serialize = "H: Travels", deserialize = "H: Travels")
)]
pub struct RwLock<H: Home> {
    words: H::Of<RwLockWords>,
}

type Read<'a, H> = RwLockReadGuard<'a, H>;
type Write<'a, H> = RwLockWriteGuard<'a, H>;

impl<H: Home> RwLock<H> {
    /// Makes a lock that nobody owns.
    ///
    /// # Errors
    /// Between processes: [`ErrorKind::NoSpace`](crate::ErrorKind::NoSpace) when the arena is full. Between threads: never.
    pub fn new() -> Result<Self> {
        let words = H::create()?;
        Ok(Self { words })
    }

    /// Acquires the lock together with other readers, waiting as long as it takes.
    ///
    /// # Errors
    /// [`AcquireError::OwnerDied`] holds the guard and the news that somebody died who wrote or read.
    #[inline]
    pub fn read(&self) -> Result<Read<'_, H>, AcquireError<Read<'_, H>>> {
        self.take_to_read(Some(Deadline::NEVER))
            .map_err(TryAcquireError::patient)
    }

    /// Acquires the lock together with other readers if nobody writes.
    ///
    /// # Errors
    /// [`TryAcquireError::Busy`] when somebody writes, or waits to; otherwise as [`read`](Self::read).
    #[inline]
    pub fn try_read(&self) -> Result<Read<'_, H>, TryAcquireError<Read<'_, H>>> {
        self.take_to_read(None)
    }

    /// Acquires the lock together with other readers, waiting for `timeout` at most; a time beyond the clock's range is for ever.
    ///
    /// # Errors
    /// [`TryAcquireError::Busy`] when the time is over; otherwise as [`read`](Self::read).
    pub fn read_timeout(
        &self,
        timeout: Duration,
    ) -> Result<Read<'_, H>, TryAcquireError<Read<'_, H>>> {
        self.take_to_read(Some(Deadline::after(timeout)))
    }

    /// Acquires the lock alone, waiting as long as it takes.
    ///
    /// # Errors
    /// [`AcquireError::OwnerDied`] holds the guard and the news that somebody died who wrote or read.
    #[inline]
    pub fn write(&self) -> Result<Write<'_, H>, AcquireError<Write<'_, H>>> {
        self.take_to_write(Some(Deadline::NEVER))
            .map_err(TryAcquireError::patient)
    }

    /// Acquires the lock alone if nobody has it.
    ///
    /// # Errors
    /// [`TryAcquireError::Busy`] when somebody alive has it; otherwise as [`write`](Self::write).
    #[inline]
    pub fn try_write(&self) -> Result<Write<'_, H>, TryAcquireError<Write<'_, H>>> {
        self.take_to_write(None)
    }

    /// Acquires the lock alone, waiting for `timeout` at most; a time beyond the clock's range is for ever.
    ///
    /// # Errors
    /// [`TryAcquireError::Busy`] when the time is over; otherwise as [`write`](Self::write).
    pub fn write_timeout(
        &self,
        timeout: Duration,
    ) -> Result<Write<'_, H>, TryAcquireError<Write<'_, H>>> {
        self.take_to_write(Some(Deadline::after(timeout)))
    }

    /// Does anybody write at this moment, or wait for the readers to end?
    #[must_use]
    pub fn locked(&self) -> bool {
        self.words().writer() != 0
    }

    /// How many read at this moment.
    #[must_use]
    pub fn readers(&self) -> usize {
        self.words().readers(H::more(&self.words))
    }

    /// Who writes at this moment; `None` for nobody, or somebody who has left the family.
    #[must_use]
    pub fn holder(&self) -> Option<Holder> {
        match self.words().writer() {
            0 => None,
            writer => H::holder(writer),
        }
    }

    #[inline]
    fn words(&self) -> &RwLockWords {
        H::words(&self.words)
    }

    #[inline]
    fn take_to_read(
        &self,
        deadline: Option<Deadline>,
    ) -> Result<Read<'_, H>, TryAcquireError<Read<'_, H>>> {
        let me = H::me().map_err(TryAcquireError::Failed)?;
        H::check(&self.words).map_err(TryAcquireError::Failed)?;
        let deaths = H::deaths(&self.words);
        let cell = loop {
            let more = H::more(&self.words);
            match self.words().read::<H>(more, me, deaths, deadline) {
                Ok(cell) => break cell,
                Err(NoRead::Late) => return Err(TryAcquireError::Busy),
                Err(NoRead::Full) if more.is_empty() => {
                    H::grow(&self.words, MORE).map_err(TryAcquireError::Failed)?;
                    if H::more(&self.words).is_empty() {
                        return Err(TryAcquireError::Failed(ErrorKind::Corrupt.into()));
                    }
                }
                Err(NoRead::Full) => {
                    let text = "too many processes read";
                    let full = Error::new(ErrorKind::NoSpace, text);
                    return Err(TryAcquireError::Failed(full));
                }
            }
        };
        let guard = RwLockReadGuard {
            lock: self,
            cell,
            me,
            thread: PhantomData,
        };
        H::check(&self.words).map_err(TryAcquireError::Failed)?;
        if self.words().is_inconsistent() {
            return Err(TryAcquireError::OwnerDied(OwnerDied::new(guard)));
        }
        Ok(guard)
    }

    #[inline]
    fn take_to_write(
        &self,
        deadline: Option<Deadline>,
    ) -> Result<Write<'_, H>, TryAcquireError<Write<'_, H>>> {
        let me = H::me().map_err(TryAcquireError::Failed)?;
        H::check(&self.words).map_err(TryAcquireError::Failed)?;
        let more = || H::more(&self.words);
        if !self.words().write::<H>(more, me, deadline) {
            return Err(TryAcquireError::Busy);
        }
        let guard = RwLockWriteGuard {
            lock: self,
            me,
            thread: PhantomData,
        };
        H::check(&self.words).map_err(TryAcquireError::Failed)?;
        if self.words().is_inconsistent() {
            return Err(TryAcquireError::OwnerDied(OwnerDied::new(guard)));
        }
        Ok(guard)
    }
}

impl<H: Home> fmt::Debug for RwLock<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RwLock")
            .field("locked", &self.locked())
            .field("holder", &self.holder())
            .field("readers", &self.readers())
            .finish_non_exhaustive()
    }
}

/// The lock is yours and other readers' until this is dropped. It stays with the thread that acquired it.
#[must_use = "the lock is given back when the guard is dropped"]
pub struct RwLockReadGuard<'a, H: Home> {
    lock: &'a RwLock<H>,
    cell: usize,
    me: u64,
    thread: PhantomData<*const ()>,
}

impl<H: Home> sealed::Repair for RwLockReadGuard<'_, H> {
    fn say_repaired(&self) {
        self.lock.words().say_repaired();
    }
}

impl<H: Home> Drop for RwLockReadGuard<'_, H> {
    #[inline]
    fn drop(&mut self) {
        if H::may_give(self.me) {
            let more = H::more(&self.lock.words);
            self.lock.words().end_read::<H>(more, self.cell);
        }
    }
}

impl<H: Home> fmt::Debug for RwLockReadGuard<'_, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RwLockReadGuard").finish_non_exhaustive()
    }
}

/// The lock is yours alone until this is dropped. It stays with the thread that acquired it.
#[must_use = "the lock is given back when the guard is dropped"]
pub struct RwLockWriteGuard<'a, H: Home> {
    lock: &'a RwLock<H>,
    me: u64,
    thread: PhantomData<*const ()>,
}

impl<H: Home> sealed::Repair for RwLockWriteGuard<'_, H> {
    fn say_repaired(&self) {
        self.lock.words().say_repaired();
    }
}

impl<H: Home> Drop for RwLockWriteGuard<'_, H> {
    #[inline]
    fn drop(&mut self) {
        if H::may_give(self.me) && self.lock.words().writer() == self.me {
            self.lock.words().end_write::<H>();
        }
    }
}

impl<H: Home> fmt::Debug for RwLockWriteGuard<'_, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RwLockWriteGuard").finish_non_exhaustive()
    }
}
