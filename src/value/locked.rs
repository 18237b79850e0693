//! `Value`: one value in shared memory, and its lock.

use super::bytes::{Borrowed, Data, Lock};
use super::plain::Plain;
use crate::error::Result;
use crate::sync::{
    AcquireError, AcrossProcesses, RLock, RLockGuard, Repair, TryAcquireError, with_guard,
};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::time::Duration;

type LockGuard<'a> = RLockGuard<'a, AcrossProcesses>;

/// A value in shared memory, with a lock: plain data that all processes with a handle see and change.
///
/// Clones are the same value; it travels like a [`Lock`](crate::Lock). Reading and writing take the lock; what belongs together is one
/// [`update`](Self::update), or done with the guard of [`lock`](Self::lock), or while holding [`get_lock`](Self::get_lock).
///
/// **When a process dies** in one of these verbs, or with the guard, the value is the old one or the new one, or a mixture if it died in
/// the instant of writing; the next verb answers [`ErrorKind::OwnerDied`](crate::ErrorKind::OwnerDied), [`lock`](Self::lock) with the
/// guard, until somebody says [`repaired`](crate::OwnerDied::repaired) or [`repair`](Self::repair)s it.
///
/// # Differences from Python
/// `value.value += 1` loses updates there; [`update`](Self::update) does not. Types are Rust's, not codes of letters.
///
/// # Examples
/// ```
/// use multiproc::{Process, Value};
///
/// let counter = Value::new(0_u64)?;
/// let adds = |counter: Value<u64>| (0..1000).for_each(|_| counter.update(|n| *n += 1).expect("nobody dies"));
/// let mut processes: Vec<_> = (0..4).map(|_| Process::new(adds, (counter.clone(),))).collect();
/// for process in &mut processes {
///     process.start()?;
/// }
/// for process in &processes {
///     process.join()?;
/// }
/// assert_eq!(counter.get()?, 4000);
/// # Ok::<(), multiproc::Error>(())
/// ```
#[derive(Clone)]
pub struct Value<T: Plain> {
    lock: Lock,
    data: Data<T>,
}

impl<T: Plain> Value<T> {
    /// Puts a value into shared memory, with a lock of its own.
    ///
    /// # Errors
    /// [`ErrorKind::NoSpace`](crate::ErrorKind::NoSpace) when the arena is full.
    pub fn new(value: T) -> Result<Self> {
        Self::with_lock(value, &RLock::new()?)
    }

    /// The same with this lock, which may be that of other values too.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn with_lock(value: T, lock: &Lock) -> Result<Self> {
        let lock = lock.clone();
        let data = Data::of_slice(&[value], Some(&lock))?;
        Ok(Self { lock, data })
    }

    /// A copy of the value.
    ///
    /// # Errors
    /// [`ErrorKind::OwnerDied`](crate::ErrorKind::OwnerDied) when somebody died in the middle of something and nobody has repaired the
    /// value; [`ErrorKind::Misuse`](crate::ErrorKind::Misuse) while this thread has a [`ValueGuard`] of it.
    pub fn get(&self) -> Result<T> {
        let _guard = self.lock.acquire()?;
        self.data.not_borrowed()?;
        self.data.read(0)
    }

    /// Writes the value.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn set(&self, value: T) -> Result<()> {
        let _guard = self.lock.acquire()?;
        self.data.not_borrowed()?;
        self.data.write(0, &[value])
    }

    /// Changes the value while nobody else can see it, and gives what `change` gives. A panic in `change` changes nothing.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn update<R>(&self, change: impl FnOnce(&mut T) -> R) -> Result<R> {
        let _borrowed = Borrowed::new(self.lock.acquire()?, &self.data)?;
        let mut value = self.data.read(0)?;
        let result = change(&mut value);
        self.data.write(0, &[value])?;
        Ok(result)
    }

    /// Locks the value, waiting as long as it takes.
    ///
    /// # Errors
    /// [`AcquireError::OwnerDied`] holds the guard and the news that somebody died in the middle of something.
    pub fn lock(&self) -> Result<ValueGuard<'_, T>, AcquireError<ValueGuard<'_, T>>> {
        let taken = self.lock.acquire_again();
        self.guard(taken).map_err(TryAcquireError::patient)
    }

    /// Locks the value if nobody else has it locked.
    ///
    /// # Errors
    /// [`TryAcquireError::Busy`] when somebody alive has; otherwise as [`lock`](Self::lock).
    pub fn try_lock(&self) -> Result<ValueGuard<'_, T>, TryAcquireError<ValueGuard<'_, T>>> {
        self.guard(self.lock.try_acquire())
    }

    /// Locks the value, waiting for `timeout` at most; a time beyond the clock's range is for ever.
    ///
    /// # Errors
    /// [`TryAcquireError::Busy`] when the time is over; otherwise as [`lock`](Self::lock).
    pub fn lock_timeout(
        &self,
        timeout: Duration,
    ) -> Result<ValueGuard<'_, T>, TryAcquireError<ValueGuard<'_, T>>> {
        self.guard(self.lock.acquire_timeout(timeout))
    }

    fn guard<'a>(
        &'a self,
        taken: Result<LockGuard<'a>, TryAcquireError<LockGuard<'a>>>,
    ) -> Result<ValueGuard<'a, T>, TryAcquireError<ValueGuard<'a, T>>> {
        with_guard(taken, |lock| self.borrow(lock))
    }

    fn borrow<'a>(&'a self, lock: LockGuard<'a>) -> Result<ValueGuard<'a, T>> {
        let borrowed = Borrowed::new(lock, &self.data)?;
        let value = self.data.read(0)?;
        Ok(ValueGuard {
            borrowed,
            value,
            changed: false,
        })
    }

    /// Writes the value, and says that it is in order again after somebody died in the middle of something.
    ///
    /// # Errors
    /// As [`set`](Self::set), but for the news.
    pub fn repair(&self, value: T) -> Result<()> {
        let guard = match self.lock.acquire() {
            Ok(guard) => guard,
            Err(AcquireError::OwnerDied(news)) => news.unrepaired(),
            Err(AcquireError::Failed(error)) => return Err(error),
        };
        self.data.not_borrowed()?;
        self.data.write(0, &[value])?;
        guard.say_repaired();
        Ok(())
    }

    /// The lock: while a thread has it, others wait in all verbs of this value.
    #[must_use]
    pub fn get_lock(&self) -> &Lock {
        &self.lock
    }

    /// A new value like this one, with a lock of its own.
    ///
    /// # Errors
    /// As [`get`](Self::get) and [`new`](Self::new).
    pub fn copy(&self) -> Result<Self> {
        Self::new(self.get()?)
    }
}

impl<T: Plain> Serialize for Value<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (&self.lock, &self.data).serialize(serializer)
    }
}

impl<'de, T: Plain> Deserialize<'de> for Value<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (lock, data): (Lock, Data<T>) = Deserialize::deserialize(deserializer)?;
        let data = data.protected_by(Some(&lock));
        let data = data.map_err(serde::de::Error::custom)?;
        Ok(Self { lock, data })
    }
}

impl<T: Plain + fmt::Debug> fmt::Debug for Value<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = f.debug_struct("Value");
        // Without waiting.
        if let Ok(guard) = self.try_lock() {
            text.field("value", &*guard);
        }
        text.finish_non_exhaustive()
    }
}

/// The value is yours until this is dropped. It stays with the thread that locked it.
///
/// It is a copy, written back when the guard is dropped, if it was changed: a process that is killed meanwhile changes nothing.
#[must_use = "the value is given back when the guard is dropped"]
pub struct ValueGuard<'a, T: Plain> {
    borrowed: Borrowed<'a, T>,
    value: T,
    changed: bool,
}

impl<T: Plain> Deref for ValueGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: Plain> DerefMut for ValueGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.changed = true;
        &mut self.value
    }
}

impl<T: Plain> Repair for ValueGuard<'_, T> {
    fn say_repaired(&self) {
        self.borrowed.say_repaired();
    }
}

impl<T: Plain> Drop for ValueGuard<'_, T> {
    fn drop(&mut self) {
        if self.changed && self.borrowed.write(0, &[self.value]).is_err() {
            log::error!("a value was not written back: it is gone");
        }
    }
}

impl<T: Plain + fmt::Debug> fmt::Debug for ValueGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ValueGuard").field(&self.value).finish()
    }
}
