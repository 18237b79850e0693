//! `Queue`: values of one type, first in, first out, between any processes of the family.

use super::batch::{Batch, Iter};
use super::error::{GetError, PutError, TryGetError, TryPutError};
use super::ring::{Options, Ring};
use super::values;
use crate::error::Result;
use crate::shm::layout::Kind;
use crate::shm::{Handle, handle};
use crate::sys::clock::Deadline;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

/// A queue between processes, and between threads.
///
/// It is a handle: clones are the same queue. Any number of processes and threads may put and get. A value is serialised when it is
/// put and is in the queue when `put` returns: there is no thread behind it, so a process may end at once after a `put` and loses
/// nothing, and joining it before the queue is drained cannot hang.
///
/// **When a process dies** while it puts, the message is in the queue wholly or not at all; while it gets, the message is left to the
/// next or was taken, never both, never half. Nobody else waits for the dead.
///
/// A queue without `maxsize` grows to a quarter of the machine's memory, then `put` waits; when the arena is full before, `put` fails.
/// The memory is given back as the queue is read. A value of more than 4096 bytes, or with handles in it, lies in a block of its own.
/// Handles inside messages keep their objects alive; a queue that is freed frees them. (A handle of a queue inside itself keeps it for
/// ever.)
///
/// A `Queue` cannot tell whether anybody is left at the other end. [`split`](Self::split) gives two ends that can.
///
/// # Differences from Python
/// There is no feeder thread, so no `join_thread` and no `cancel_join_thread`; a value that does not serialise is an error of `put`,
/// which gives it back; [`close`](Self::close) ends the queue for everybody, as [`shutdown`](Self::shutdown) does for `queue.Queue`;
/// [`len`](Self::len) is exact at the instant of the call.
///
/// # Examples
/// ```
/// use multiproc::{Process, Queue};
///
/// fn squares(numbers: Queue<u64>, results: Queue<u64>) {
///     while let Ok(n) = numbers.get() {
///         results.put(n * n).expect("somebody reads");
///     }
/// }
///
/// let (numbers, results) = (Queue::new()?, Queue::new()?);
/// let mut process = Process::new(squares, (numbers.clone(), results.clone()));
/// process.start()?;
/// for n in 1..=3 {
///     numbers.put(n)?;
/// }
/// numbers.close();
/// process.join()?;
/// assert_eq!([results.get()?, results.get()?, results.get()?], [1, 4, 9]);
/// # Ok::<(), multiproc::Error>(())
/// ```
pub struct Queue<T> {
    handle: Handle,
    values: PhantomData<fn(T) -> T>,
}

impl<T> Queue<T> {
    /// A queue that takes as much as memory allows.
    ///
    /// # Errors
    /// [`ErrorKind::NoSpace`](crate::ErrorKind::NoSpace) when the arena is full.
    pub fn new() -> Result<Self> {
        Self::with_maxsize(0)
    }

    /// A queue of at most `items` values; 0 is any number.
    ///
    /// # Errors
    /// [`ErrorKind::NoSpace`](crate::ErrorKind::NoSpace) when the arena is full;
    /// [`ErrorKind::InvalidInput`](crate::ErrorKind::InvalidInput) for more than 268,435,455 items.
    pub fn with_maxsize(items: usize) -> Result<Self> {
        let options = Options {
            maxsize: items as u64,
            lends: None,
        };
        Ok(Self::from_handle(Ring::create(Kind::Queue, options)?))
    }

    fn from_handle(handle: Handle) -> Self {
        Self {
            handle,
            values: PhantomData,
        }
    }

    #[inline]
    pub(super) fn ring(&self) -> Ring {
        Ring::of(&self.handle)
    }

    pub(super) fn handle(&self) -> &Handle {
        &self.handle
    }

    /// The number of values in the queue at this instant.
    #[must_use]
    #[doc(alias = "qsize")]
    pub fn len(&self) -> usize {
        self.ring().len()
    }

    /// Is there nothing in the queue at this instant?
    #[must_use]
    #[doc(alias = "empty")]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Are there `maxsize` values in the queue at this instant?
    #[must_use]
    #[doc(alias = "full")]
    pub fn is_full(&self) -> bool {
        self.ring().is_full()
    }

    /// The most values that the queue takes; 0 for any number.
    #[must_use]
    pub fn maxsize(&self) -> usize {
        self.ring().maxsize()
    }

    /// Ends the queue for everybody: nothing more is put, what is inside can still be got, and whoever sleeps wakes up.
    ///
    /// ```
    /// # use multiproc::{GetError, PutError, Queue};
    /// let queue = Queue::new()?;
    /// queue.put(1)?;
    /// queue.close();
    /// assert!(matches!(queue.put(2), Err(PutError::Closed(2))));
    /// assert_eq!(queue.get()?, 1);
    /// assert!(matches!(queue.get(), Err(GetError::Closed)));
    /// # Ok::<(), multiproc::Error>(())
    /// ```
    pub fn close(&self) {
        self.shutdown(false);
    }

    /// [Closes](Self::close) the queue; `immediate` drops what is inside too, so that `get` says `Closed` at once. A queue that was
    /// closed can be shut down immediately later.
    pub fn shutdown(&self, immediate: bool) {
        self.ring().shut(immediate);
    }

    /// Will nothing more be put, because the queue was closed, or an end of it is gone?
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.ring().is_closed()
    }
}

impl<T: Serialize + 'static> Queue<T> {
    /// Puts a value, waiting for room as long as it takes.
    ///
    /// # Errors
    /// [`PutError`] gives the value back.
    pub fn put(&self, value: T) -> Result<(), PutError<T>> {
        values::put(self.ring(), value, Deadline::NEVER).map_err(TryPutError::patient)
    }

    /// Puts a value if there is room.
    ///
    /// # Errors
    /// [`TryPutError::Full`] when there is none; also when a stopped process holds the queue's end.
    #[doc(alias = "put_nowait")]
    pub fn try_put(&self, value: T) -> Result<(), TryPutError<T>> {
        values::put(self.ring(), value, Deadline::now())
    }

    /// Puts a value, waiting for room for `timeout` at most.
    ///
    /// # Errors
    /// [`TryPutError::Full`] when there was none in time.
    pub fn put_timeout(&self, value: T, timeout: Duration) -> Result<(), TryPutError<T>> {
        values::put(self.ring(), value, Deadline::after(timeout))
    }

    /// Puts values in their order, waiting for room as long as it takes: as so many [`put`](Self::put)s, but up to 64 at a time.
    ///
    /// Values of others may come in between. If this process is killed, the first of them may be in the queue, each wholly.
    ///
    /// # Errors
    /// [`PutError`] gives back the values that were not put, in order; for that it takes the rest of `values`, which should have an end.
    ///
    /// ```
    /// # use multiproc::Queue;
    /// let queue = Queue::new()?;
    /// queue.put_many(0..1000_u32)?;
    /// let mut sum = 0;
    /// while !queue.is_empty() {
    ///     for value in queue.get_many(100)? {
    ///         sum += value?;
    ///     }
    /// }
    /// assert_eq!(sum, 499_500);
    /// # Ok::<(), multiproc::Error>(())
    /// ```
    pub fn put_many(&self, values: impl IntoIterator<Item = T>) -> Result<(), PutError<Vec<T>>> {
        values::put_many(self.ring(), values, Deadline::NEVER).map_err(TryPutError::patient)
    }

    /// Puts as many of the values as there is room for.
    ///
    /// # Errors
    /// As [`put_many`](Self::put_many); [`TryPutError::Full`] when there was no room for all.
    pub fn try_put_many(
        &self,
        values: impl IntoIterator<Item = T>,
    ) -> Result<(), TryPutError<Vec<T>>> {
        values::put_many(self.ring(), values, Deadline::now())
    }

    /// Puts values, waiting for room for `timeout` at most, all in all.
    ///
    /// # Errors
    /// As [`put_many`](Self::put_many); [`TryPutError::Full`] when there was no room for all in time.
    pub fn put_many_timeout(
        &self,
        values: impl IntoIterator<Item = T>,
        timeout: Duration,
    ) -> Result<(), TryPutError<Vec<T>>> {
        values::put_many(self.ring(), values, Deadline::after(timeout))
    }
}

impl<T: DeserializeOwned + 'static> Queue<T> {
    /// Gets the oldest value, waiting for one as long as it takes.
    ///
    /// # Errors
    /// [`GetError::Closed`] when the queue is closed and empty.
    pub fn get(&self) -> Result<T, GetError> {
        values::get(self.ring(), Deadline::NEVER).map_err(TryGetError::patient)
    }

    /// Gets the oldest value if there is one.
    ///
    /// # Errors
    /// [`TryGetError::Empty`] when there is none; also when a stopped process holds the queue's end.
    #[doc(alias = "get_nowait")]
    pub fn try_get(&self) -> Result<T, TryGetError> {
        values::get(self.ring(), Deadline::now())
    }

    /// Gets the oldest value, waiting for one for `timeout` at most.
    ///
    /// # Errors
    /// [`TryGetError::Empty`] when there was none in time.
    pub fn get_timeout(&self, timeout: Duration) -> Result<T, TryGetError> {
        values::get(self.ring(), Deadline::after(timeout))
    }

    /// Gets the oldest values, at least one and `max` at most: waits for the first as long as it takes, and for no other.
    ///
    /// There may be fewer than the queue holds. With `max` 0 it answers at once.
    ///
    /// # Errors
    /// As [`get`](Self::get); a value that does not decode is an error of the batch's item.
    pub fn get_many(&self, max: usize) -> Result<Batch<T>, GetError> {
        values::get_many(self.ring(), max, Deadline::NEVER).map_err(TryGetError::patient)
    }

    /// Gets the oldest values, if there are any.
    ///
    /// # Errors
    /// As [`try_get`](Self::try_get).
    pub fn try_get_many(&self, max: usize) -> Result<Batch<T>, TryGetError> {
        values::get_many(self.ring(), max, Deadline::now())
    }

    /// Gets the oldest values, waiting for the first for `timeout` at most.
    ///
    /// # Errors
    /// As [`get_timeout`](Self::get_timeout).
    pub fn get_many_timeout(&self, max: usize, timeout: Duration) -> Result<Batch<T>, TryGetError> {
        values::get_many(self.ring(), max, Deadline::after(timeout))
    }

    /// The values one after the other, until the queue is closed and empty.
    ///
    /// ```
    /// # use multiproc::Queue;
    /// let queue = Queue::new()?;
    /// queue.put_many(["a".to_string(), "b".to_string()])?;
    /// queue.close();
    /// let all: Vec<String> = queue.iter().collect::<Result<_, _>>()?;
    /// assert_eq!(all, ["a", "b"]);
    /// # Ok::<(), multiproc::Error>(())
    /// ```
    #[must_use]
    pub fn iter(&self) -> Iter<'_, T> {
        Iter::new(self.ring())
    }
}

impl<'a, T: DeserializeOwned + 'static> IntoIterator for &'a Queue<T> {
    type Item = Result<T>;
    type IntoIter = Iter<'a, T>;

    fn into_iter(self) -> Iter<'a, T> {
        self.iter()
    }
}

impl<T> Clone for Queue<T> {
    fn clone(&self) -> Self {
        Self {
            handle: self.handle.clone(),
            values: PhantomData,
        }
    }
}

impl<T> fmt::Debug for Queue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue")
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}

impl<T> Serialize for Queue<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.handle.serialize(serializer)
    }
}

impl<'de, T> Deserialize<'de> for Queue<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let handle = handle::deserialize(deserializer, Kind::Queue)?;
        Ok(Self {
            handle,
            values: PhantomData,
        })
    }
}
