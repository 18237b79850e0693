//! `Queue`: values of one type, first in, first out, between any processes of the family.

use super::error::{GetError, PutError, TryGetError, TryPutError};
use super::ring::{GetFailure, PutFailure, Ring, Taking};
use crate::error::{Error, ErrorKind, Result};
use crate::shm::layout::Kind;
use crate::shm::{Handle, handle};
use crate::sys::clock::Deadline;
use crate::wire::{self, Bytes};
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
/// A queue without `maxsize` grows to a quarter of the machine's memory, then `put` waits; when the arena is full before, `put` fails. Handles inside messages keep their objects
/// alive; a queue that is freed frees them.
///
/// # Differences from Python
/// There is no feeder thread, so no `join_thread` and no `cancel_join_thread`; a value that does not serialise is an error of `put`,
/// which gives it back; [`close`](Self::close) ends the queue for everybody, as `shutdown` does for `queue.Queue`;
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
    /// [`ErrorKind::NoSpace`] when the arena is full.
    pub fn new() -> Result<Self> {
        Self::with_maxsize(0)
    }

    /// A queue of at most `items` values; 0 is any number.
    ///
    /// # Errors
    /// [`ErrorKind::NoSpace`] when the arena is full; [`ErrorKind::InvalidInput`] for more than 268,435,455 items.
    pub fn with_maxsize(items: usize) -> Result<Self> {
        if items >= 1 << 28 {
            return Err(Error::new(
                ErrorKind::InvalidInput,
                "a queue of 2^28 items or more",
            ));
        }
        let handle = Handle::create(Kind::Queue)?;
        Ring::of(&handle).initialise(items as u64)?;
        Ok(Self {
            handle,
            values: PhantomData,
        })
    }

    /// The number of values in the queue at this instant.
    #[must_use]
    #[doc(alias = "qsize")]
    pub fn len(&self) -> usize {
        usize::try_from(Ring::of(&self.handle).items()).unwrap_or(usize::MAX)
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
        let ring = Ring::of(&self.handle);
        ring.maxsize() != 0 && ring.items() >= ring.maxsize()
    }

    /// Ends the queue for everybody: nothing more is put, what is inside can still be got, and whoever sleeps wakes up.
    #[doc(alias = "shutdown")]
    pub fn close(&self) {
        if self.handle.check().is_ok() {
            Ring::of(&self.handle).close();
        }
    }
}

impl<T: Serialize> Queue<T> {
    /// Puts a value, waiting for room as long as it takes.
    ///
    /// # Errors
    /// [`PutError`] gives the value back.
    pub fn put(&self, value: T) -> Result<(), PutError<T>> {
        match self.put_until(value, Deadline::NEVER) {
            Ok(()) => Ok(()),
            Err(TryPutError::Closed(value)) => Err(PutError::Closed(value)),
            Err(TryPutError::Failed(value, error)) => Err(PutError::Failed(value, error)),
            Err(TryPutError::Full(value)) => Err(PutError::Failed(value, ErrorKind::Busy.into())),
        }
    }

    /// Puts a value if there is room.
    ///
    /// # Errors
    /// [`TryPutError::Full`] when there is none; also when a stopped process holds the queue's end.
    #[doc(alias = "put_nowait")]
    pub fn try_put(&self, value: T) -> Result<(), TryPutError<T>> {
        self.put_until(value, Deadline::now())
    }

    /// Puts a value, waiting for room for `timeout` at most.
    ///
    /// # Errors
    /// [`TryPutError::Full`] when there was none in time.
    pub fn put_timeout(&self, value: T, timeout: Duration) -> Result<(), TryPutError<T>> {
        self.put_until(value, Deadline::after(timeout))
    }

    #[inline]
    fn put_until(&self, value: T, deadline: Deadline) -> Result<(), TryPutError<T>> {
        let mut bytes = Bytes::new();
        let cargo = match wire::encode_to(&value, &mut bytes) {
            Ok(cargo) => cargo,
            Err(error) => return Err(TryPutError::Failed(value, error)),
        };
        match Ring::of(&self.handle).put(bytes.as_slice(), cargo, deadline) {
            Ok(()) => Ok(()),
            Err(PutFailure::Full) => Err(TryPutError::Full(value)),
            Err(PutFailure::Closed) => Err(TryPutError::Closed(value)),
            Err(PutFailure::Failed(error)) => Err(TryPutError::Failed(value, error)),
        }
    }
}

impl<T: DeserializeOwned> Queue<T> {
    /// Gets the oldest value, waiting for one as long as it takes.
    ///
    /// # Errors
    /// [`GetError::Closed`] when the queue is closed and empty.
    pub fn get(&self) -> Result<T, GetError> {
        match self.get_until(Deadline::NEVER) {
            Ok(value) => Ok(value),
            Err(TryGetError::Closed) => Err(GetError::Closed),
            Err(TryGetError::Failed(error)) => Err(GetError::Failed(error)),
            Err(TryGetError::Empty) => Err(GetError::Failed(ErrorKind::Busy.into())),
        }
    }

    /// Gets the oldest value if there is one.
    ///
    /// # Errors
    /// [`TryGetError::Empty`] when there is none; also when a stopped process holds the queue's end.
    #[doc(alias = "get_nowait")]
    pub fn try_get(&self) -> Result<T, TryGetError> {
        self.get_until(Deadline::now())
    }

    /// Gets the oldest value, waiting for one for `timeout` at most.
    ///
    /// # Errors
    /// [`TryGetError::Empty`] when there was none in time.
    pub fn get_timeout(&self, timeout: Duration) -> Result<T, TryGetError> {
        self.get_until(Deadline::after(timeout))
    }

    #[inline]
    fn get_until(&self, deadline: Deadline) -> Result<T, TryGetError> {
        let mut taking = Taking::empty();
        match Ring::of(&self.handle).get(&mut taking, deadline) {
            // The bytes are decoded while `taking` keeps the objects of their handles alive.
            Ok(()) => wire::decode(taking.as_slice()).map_err(TryGetError::Failed),
            Err(GetFailure::Empty) => Err(TryGetError::Empty),
            Err(GetFailure::Closed) => Err(TryGetError::Closed),
            Err(GetFailure::Failed(error)) => Err(TryGetError::Failed(error)),
        }
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
