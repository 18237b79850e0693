//! `Array`: values in a row in shared memory, and their lock.

use super::bytes::{Borrowed, Data, Fill, Lent, Lock};
use super::plain::Plain;
use crate::error::{Error, ErrorKind, Result};
use crate::sync::{
    AcquireError, AcrossProcesses, RLock, RLockGuard, Repair, TryAcquireError, with_guard,
};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::time::Duration;

type LockGuard<'a> = RLockGuard<'a, AcrossProcesses>;

/// An array in shared memory, with a lock: plain data in a row that all processes with a handle see and change.
///
/// Clones are the same array; it travels like a [`Lock`](crate::Lock). Its length does not change. Single values are reached by index;
/// who needs more of them, or wants them where they lie, [locks](Self::lock) the array.
///
/// **When a process dies** with the guard or in the middle of writing, some values may be changed and others not; the next verb answers
/// [`ErrorKind::OwnerDied`], [`lock`](Self::lock) with the guard, until somebody says
/// [`repaired`](crate::OwnerDied::repaired) or [`repair`](Self::repair)s it.
///
/// # Differences from Python
/// An index is checked by an error, not an exception; there are no slices beside those of the guard.
///
/// # Examples
/// ```
/// use multiproc::{Array, Process};
///
/// let squares = Array::from_slice(&[1, 2, 3])?;
/// let mut process = Process::new(
///     |squares: Array<i32>| squares.lock().expect("nobody died with it").iter_mut().for_each(|n| *n *= *n),
///     (squares.clone(),),
/// );
/// process.start()?;
/// process.join()?;
/// assert_eq!(squares.to_vec()?, [1, 4, 9]);
/// # Ok::<(), multiproc::Error>(())
/// ```
#[derive(Clone)]
pub struct Array<T: Plain> {
    lock: Lock,
    data: Data<T>,
}

impl<T: Plain> Array<T> {
    /// Copies values into shared memory, with a lock of their own.
    ///
    /// # Errors
    /// [`ErrorKind::NoSpace`] when the arena is full, or the machine's memory is.
    pub fn from_slice(values: &[T]) -> Result<Self> {
        Self::with_lock(values, &RLock::new()?)
    }

    /// The same with this lock, which may be that of other values too.
    ///
    /// # Errors
    /// As [`from_slice`](Self::from_slice).
    pub fn with_lock(values: &[T], lock: &Lock) -> Result<Self> {
        let lock = lock.clone();
        let data = Data::of_slice(values, Some(&lock))?;
        Ok(Self { lock, data })
    }

    /// Makes an array of `length` values whose bytes are zero. Its memory is there afterwards.
    ///
    /// # Errors
    /// As [`from_slice`](Self::from_slice).
    pub fn zeroed(length: usize) -> Result<Self> {
        let lock = RLock::new()?;
        let data = Data::new(length, Fill::Zeros, Some(&lock))?;
        Ok(Self { lock, data })
    }

    /// Makes an array of `length` values whose bytes are zero, and which takes memory only where it is touched: for tables that stay mostly
    /// empty.
    ///
    /// When the machine has no memory left for a page that is touched first, nobody can tell: the system kills a process.
    /// [`zeroed`](Self::zeroed) says so in time.
    ///
    /// # Errors
    /// [`ErrorKind::NoSpace`] when the arena has no room for so many.
    ///
    /// # Examples
    /// ```
    /// let table = multiproc::Array::<u64>::sparse(10_000_000)?; // 80 MB, as soon as they are used
    /// table.set(9_999_999, 1)?;
    /// assert_eq!(table.get(5_000_000)?, 0);
    /// # Ok::<(), multiproc::Error>(())
    /// ```
    pub fn sparse(length: usize) -> Result<Self> {
        let lock = RLock::new()?;
        let data = Data::new(length, Fill::Sparse, Some(&lock))?;
        Ok(Self { lock, data })
    }

    /// How many values there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.data.len()
    }

    /// Are there none?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A copy of the value at `index`, from 0.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for an index outside; [`ErrorKind::OwnerDied`] when somebody died in the middle of something and
    /// nobody has repaired the array; [`ErrorKind::Misuse`] while this thread has an [`ArrayGuard`] of it.
    pub fn get(&self, index: usize) -> Result<T> {
        let _guard = self.lock.acquire()?;
        self.data.not_borrowed()?;
        self.data.read(index)
    }

    /// Writes the value at `index`.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn set(&self, index: usize, value: T) -> Result<()> {
        let _guard = self.lock.acquire()?;
        self.data.not_borrowed()?;
        self.data.write(index, &[value])
    }

    /// Changes the value at `index` while nobody else can see it, and gives what `change` gives. A panic in `change` changes nothing.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn update<R>(&self, index: usize, change: impl FnOnce(&mut T) -> R) -> Result<R> {
        let _borrowed = Borrowed::new(self.lock.acquire()?, &self.data)?;
        let mut value = self.data.read(index)?;
        let result = change(&mut value);
        self.data.write(index, &[value])?;
        Ok(result)
    }

    /// A copy of all values, of one moment.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn to_vec(&self) -> Result<Vec<T>> {
        Ok(self.lock()?.to_vec())
    }

    /// Writes all values.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] when there are more or fewer than the array has; otherwise as [`get`](Self::get).
    pub fn copy_from_slice(&self, values: &[T]) -> Result<()> {
        let _guard = self.lock.acquire()?;
        self.data.not_borrowed()?;
        same_length(values.len(), self.len())?;
        self.data.write(0, values)
    }

    /// Locks the array, waiting as long as it takes.
    ///
    /// # Errors
    /// [`AcquireError::OwnerDied`] holds the guard and the news that somebody died in the middle of something.
    pub fn lock(&self) -> Result<ArrayGuard<'_, T>, AcquireError<ArrayGuard<'_, T>>> {
        self.guard(self.lock.acquire_again())
            .map_err(TryAcquireError::patient)
    }

    /// Locks the array if nobody else has it locked.
    ///
    /// # Errors
    /// [`TryAcquireError::Busy`] when somebody alive has; otherwise as [`lock`](Self::lock).
    pub fn try_lock(&self) -> Result<ArrayGuard<'_, T>, TryAcquireError<ArrayGuard<'_, T>>> {
        self.guard(self.lock.try_acquire())
    }

    /// Locks the array, waiting for `timeout` at most; a time beyond the clock's range is for ever.
    ///
    /// # Errors
    /// [`TryAcquireError::Busy`] when the time is over; otherwise as [`lock`](Self::lock).
    pub fn lock_timeout(
        &self,
        timeout: Duration,
    ) -> Result<ArrayGuard<'_, T>, TryAcquireError<ArrayGuard<'_, T>>> {
        self.guard(self.lock.acquire_timeout(timeout))
    }

    fn guard<'a>(
        &'a self,
        taken: Result<LockGuard<'a>, TryAcquireError<LockGuard<'a>>>,
    ) -> Result<ArrayGuard<'a, T>, TryAcquireError<ArrayGuard<'a, T>>> {
        with_guard(taken, |lock| {
            Lent::new(Borrowed::new(lock, &self.data)?).map(ArrayGuard)
        })
    }

    /// Writes all values, and says that they are in order again after somebody died in the middle of something.
    ///
    /// # Errors
    /// As [`copy_from_slice`](Self::copy_from_slice), but for the news.
    pub fn repair(&self, values: &[T]) -> Result<()> {
        let guard = match self.lock.acquire() {
            Ok(guard) => guard,
            Err(AcquireError::OwnerDied(news)) => news.unrepaired(),
            Err(AcquireError::Failed(error)) => return Err(error),
        };
        self.data.not_borrowed()?;
        same_length(values.len(), self.len())?;
        self.data.write(0, values)?;
        guard.say_repaired();
        Ok(())
    }

    /// The lock: while a thread has it, others wait in all verbs of this array.
    #[must_use]
    pub fn get_lock(&self) -> &Lock {
        &self.lock
    }

    /// A new array like this one, with a lock of its own.
    ///
    /// # Errors
    /// As [`get`](Self::get) and [`from_slice`](Self::from_slice).
    pub fn copy(&self) -> Result<Self> {
        Self::from_slice(&self.lock()?)
    }
}

impl<T: Plain> Serialize for Array<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (&self.lock, &self.data).serialize(serializer)
    }
}

impl<'de, T: Plain> Deserialize<'de> for Array<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (lock, data): (Lock, Data<T>) = Deserialize::deserialize(deserializer)?;
        let data = data.protected_by(Some(&lock));
        let data = data.map_err(serde::de::Error::custom)?;
        Ok(Self { lock, data })
    }
}

pub(super) fn same_length(values: usize, length: usize) -> Result<()> {
    if values == length {
        return Ok(());
    }
    let text = format!("{values} values for an array of {length}");
    Err(Error::new(ErrorKind::InvalidInput, text))
}

impl<T: Plain> fmt::Debug for Array<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Array")
            .field("len", &self.len())
            .field("lock", &self.lock)
            .finish_non_exhaustive()
    }
}

/// The array is yours until this is dropped. It stays with the thread that locked it.
#[must_use = "the array is given back when the guard is dropped"]
pub struct ArrayGuard<'a, T: Plain>(Lent<'a, T>);

impl<T: Plain> Deref for ArrayGuard<'_, T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        self.0.values()
    }
}

impl<T: Plain> DerefMut for ArrayGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut [T] {
        self.0.values_mut()
    }
}

impl<T: Plain> Repair for ArrayGuard<'_, T> {
    fn say_repaired(&self) {
        self.0.say_repaired();
    }
}

impl<T: Plain + fmt::Debug> fmt::Debug for ArrayGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ArrayGuard").field(&self.len()).finish()
    }
}
