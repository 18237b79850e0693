//! `SimpleQueue`: the queue with the fewest verbs.

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

/// A queue between processes with four verbs.
///
/// It is a handle: clones are the same queue. As a [`Queue`](crate::Queue) without `maxsize` and without timeouts; whoever dies in the
/// middle harms it as little.
///
/// # Differences from Python
/// `put` does not wait for a reader when a pipe is full: there is no pipe. [`close`](Self::close) ends the queue for everybody and not
/// for one process only.
///
/// # Examples
/// ```
/// use multiproc::{Process, SimpleQueue};
///
/// let queue = SimpleQueue::new()?;
/// let child = |queue: SimpleQueue<String>| queue.put("hello".into()).expect("open");
/// let mut process = Process::new(child, (queue.clone(),));
/// process.start()?;
/// assert_eq!(queue.get()?, "hello");
/// assert!(queue.is_empty()?);
/// process.join()?;
/// # Ok::<(), multiproc::Error>(())
/// ```
pub struct SimpleQueue<T> {
    handle: Handle,
    values: PhantomData<fn(T) -> T>,
}

impl<T> SimpleQueue<T> {
    /// A queue that takes as much as memory allows.
    ///
    /// # Errors
    /// [`ErrorKind::NoSpace`](crate::ErrorKind::NoSpace) when the arena is full.
    pub fn new() -> Result<Self> {
        let options = Options {
            maxsize: 0,
            lends: None,
        };
        Ok(Self {
            handle: Ring::create(Kind::SimpleQueue, options)?,
            values: PhantomData,
        })
    }

    /// Is there nothing in the queue at this instant?
    ///
    /// # Errors
    /// [`GetError::Closed`] when the queue is closed.
    #[doc(alias = "empty")]
    pub fn is_empty(&self) -> Result<bool, GetError> {
        let ring = Ring::of(&self.handle);
        self.handle.check().map_err(GetError::Failed)?;
        if ring.is_closed() {
            return Err(GetError::Closed);
        }
        Ok(ring.len() == 0)
    }

    /// Ends the queue for everybody, at once: what is inside is dropped, and every verb says so from now on. May be called again.
    pub fn close(&self) {
        Ring::of(&self.handle).shut(true);
    }
}

impl<T: Serialize + 'static> SimpleQueue<T> {
    /// Puts a value. It waits only when the queue holds a quarter of the machine's memory.
    ///
    /// # Errors
    /// [`PutError`] gives the value back.
    pub fn put(&self, value: T) -> Result<(), PutError<T>> {
        values::put(Ring::of(&self.handle), value, Deadline::NEVER).map_err(TryPutError::patient)
    }
}

impl<T: DeserializeOwned + 'static> SimpleQueue<T> {
    /// Gets the oldest value, waiting for one as long as it takes.
    ///
    /// # Errors
    /// [`GetError::Closed`] when the queue is closed.
    pub fn get(&self) -> Result<T, GetError> {
        values::get(Ring::of(&self.handle), Deadline::NEVER).map_err(TryGetError::patient)
    }
}

impl<T> Clone for SimpleQueue<T> {
    fn clone(&self) -> Self {
        Self {
            handle: self.handle.clone(),
            values: PhantomData,
        }
    }
}

impl<T> fmt::Debug for SimpleQueue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimpleQueue")
            .field("len", &Ring::of(&self.handle).len())
            .finish_non_exhaustive()
    }
}

impl<T> Serialize for SimpleQueue<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.handle.serialize(serializer)
    }
}

impl<'de, T> Deserialize<'de> for SimpleQueue<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self {
            handle: handle::deserialize(deserializer, Kind::SimpleQueue)?,
            values: PhantomData,
        })
    }
}
