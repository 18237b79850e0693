//! The queues of `multiprocessing` between threads.

use crate::error::Result;
use crate::ipc::{GetError, PutError, TryGetError, TryPutError};
use crate::thread::queue::{self, ShutDown};
use std::fmt;
use std::time::Duration;

/// A [`queue::Queue`](crate::queue::Queue) with the verbs of a [`Queue`](crate::Queue) between processes. Values are moved, never
/// serialised.
///
/// # Examples
/// ```
/// use multiproc::dummy::Queue;
///
/// let queue = Queue::with_maxsize(1)?;
/// queue.put(1)?;
/// assert!(queue.try_put(2).is_err());
/// queue.close();
/// assert_eq!(queue.get()?, 1);
/// assert!(queue.get().is_err());
/// # Ok::<(), multiproc::Error>(())
/// ```
pub struct Queue<T> {
    queue: queue::Queue<T>,
}

fn closed<T>(ShutDown(value): ShutDown<T>) -> PutError<T> {
    PutError::Closed(value)
}

fn not_put<T>(error: queue::TryPutError<T>) -> TryPutError<T> {
    match error {
        queue::TryPutError::Full(value) => TryPutError::Full(value),
        queue::TryPutError::ShutDown(value) => TryPutError::Closed(value),
    }
}

fn not_got(error: queue::TryGetError) -> TryGetError {
    match error {
        queue::TryGetError::Empty => TryGetError::Empty,
        queue::TryGetError::ShutDown => TryGetError::Closed,
    }
}

impl<T> Queue<T> {
    /// A queue that takes as much as memory allows.
    ///
    /// # Errors
    /// None: a queue between processes has some.
    pub fn new() -> Result<Self> {
        Self::with_maxsize(0)
    }

    /// A queue of at most `items`; 0 is any number.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn with_maxsize(items: usize) -> Result<Self> {
        let queue = queue::Queue::with_maxsize(items);
        Ok(Self { queue })
    }

    /// Puts a value, waiting for room.
    ///
    /// # Errors
    /// [`PutError::Closed`].
    pub fn put(&self, value: T) -> Result<(), PutError<T>> {
        self.queue.put(value).map_err(closed)
    }

    /// Puts a value if there is room.
    ///
    /// # Errors
    /// [`TryPutError::Full`], [`TryPutError::Closed`].
    #[doc(alias = "put_nowait")]
    pub fn try_put(&self, value: T) -> Result<(), TryPutError<T>> {
        self.queue.try_put(value).map_err(not_put)
    }

    /// Puts a value if there is room in time.
    ///
    /// # Errors
    /// As [`try_put`](Self::try_put).
    pub fn put_timeout(&self, value: T, timeout: Duration) -> Result<(), TryPutError<T>> {
        self.queue.put_timeout(value, timeout).map_err(not_put)
    }

    /// Waits for the next one.
    ///
    /// # Errors
    /// [`GetError::Closed`] when the queue is closed and empty.
    pub fn get(&self) -> Result<T, GetError> {
        self.queue.get().map_err(|_| GetError::Closed)
    }

    /// The next one, if there is one.
    ///
    /// # Errors
    /// [`TryGetError::Empty`], [`TryGetError::Closed`].
    #[doc(alias = "get_nowait")]
    pub fn try_get(&self) -> Result<T, TryGetError> {
        self.queue.try_get().map_err(not_got)
    }

    /// The next one, if it comes in time.
    ///
    /// # Errors
    /// As [`try_get`](Self::try_get).
    pub fn get_timeout(&self, timeout: Duration) -> Result<T, TryGetError> {
        self.queue.get_timeout(timeout).map_err(not_got)
    }

    /// What comes, until the queue is closed and empty.
    pub fn iter(&self) -> impl Iterator<Item = Result<T>> {
        std::iter::from_fn(|| self.get().ok().map(Ok))
    }

    /// How many there are, at this moment.
    #[must_use]
    #[doc(alias = "qsize")]
    pub fn len(&self) -> usize {
        self.queue.len()
    }

    /// Is there none, at this moment?
    #[must_use]
    #[doc(alias = "empty")]
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Is there no room, at this moment?
    #[must_use]
    #[doc(alias = "full")]
    pub fn is_full(&self) -> bool {
        self.queue.is_full()
    }

    /// How many it takes; 0 is any number.
    #[must_use]
    pub fn maxsize(&self) -> usize {
        self.queue.maxsize()
    }

    /// Lets nobody put any more. What is there can still be got.
    pub fn close(&self) {
        self.queue.shutdown(false);
    }

    /// The same; `immediate` drops what is there.
    pub fn shutdown(&self, immediate: bool) {
        self.queue.shutdown(immediate);
    }

    /// Was it closed?
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.queue.is_shutdown()
    }
}

impl<T> Clone for Queue<T> {
    fn clone(&self) -> Self {
        let queue = self.queue.clone();
        Self { queue }
    }
}

impl<T> fmt::Debug for Queue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Queue").field(&self.queue).finish()
    }
}

stays!(Queue<T>);

/// A [`queue::Queue`](crate::queue::Queue) with the verbs of a [`SimpleQueue`](crate::SimpleQueue) between processes, of which there are
/// few.
///
/// # Examples
/// ```
/// let queue = multiproc::dummy::SimpleQueue::new()?;
/// queue.put(1)?;
/// assert_eq!(queue.get()?, 1);
/// # Ok::<(), multiproc::Error>(())
/// ```
pub struct SimpleQueue<T> {
    queue: Queue<T>,
}

impl<T> SimpleQueue<T> {
    /// A queue without bound.
    ///
    /// # Errors
    /// None: a queue between processes has some.
    pub fn new() -> Result<Self> {
        let queue = Queue::new()?;
        Ok(Self { queue })
    }

    /// Puts a value. It never waits.
    ///
    /// # Errors
    /// [`PutError::Closed`].
    pub fn put(&self, value: T) -> Result<(), PutError<T>> {
        self.queue.put(value)
    }

    /// Waits for the next value.
    ///
    /// # Errors
    /// [`GetError::Closed`] when the queue is closed and empty.
    pub fn get(&self) -> Result<T, GetError> {
        self.queue.get()
    }

    /// Is there none, at this moment?
    ///
    /// # Errors
    /// None: a queue between processes has some.
    #[doc(alias = "empty")]
    pub fn is_empty(&self) -> Result<bool, GetError> {
        Ok(self.queue.is_empty())
    }

    /// Lets nobody put any more. What is there can still be got.
    pub fn close(&self) {
        self.queue.close();
    }
}

impl<T> Clone for SimpleQueue<T> {
    fn clone(&self) -> Self {
        let queue = self.queue.clone();
        Self { queue }
    }
}

impl<T> fmt::Debug for SimpleQueue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SimpleQueue").field(&self.queue).finish()
    }
}

stays!(SimpleQueue<T>);
