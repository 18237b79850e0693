//! The queues of `multiprocessing` between threads.

use crate::error::Result;
use crate::ipc::{GetError, PutError, TryGetError, TryPutError};
use crate::thread::queue::{self, ShutDown};
use std::fmt;
use std::ops::Deref;
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

/// What both sorts of queue have.
macro_rules! verbs {
    ($queue:ident, $item:ident, $got:ty, $wrap:expr) => {
        impl<$item> $queue<$item> {
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
            pub fn put(&self, value: $item) -> Result<(), PutError<$item>> {
                self.queue.put(value).map_err(closed)
            }

            /// Puts a value if there is room.
            ///
            /// # Errors
            /// [`TryPutError::Full`], [`TryPutError::Closed`].
            #[doc(alias = "put_nowait")]
            pub fn try_put(&self, value: $item) -> Result<(), TryPutError<$item>> {
                self.queue.try_put(value).map_err(not_put)
            }

            /// Puts a value if there is room in time.
            ///
            /// # Errors
            /// As [`try_put`](Self::try_put).
            pub fn put_timeout(
                &self,
                value: $item,
                timeout: Duration,
            ) -> Result<(), TryPutError<$item>> {
                self.queue.put_timeout(value, timeout).map_err(not_put)
            }

            /// Waits for the next one.
            ///
            /// # Errors
            /// [`GetError::Closed`] when the queue is closed and empty.
            pub fn get(&self) -> Result<$got, GetError> {
                let got = self.queue.get().map_err(|_| GetError::Closed);
                got.map(|value| $wrap(self, value))
            }

            /// The next one, if there is one.
            ///
            /// # Errors
            /// [`TryGetError::Empty`], [`TryGetError::Closed`].
            #[doc(alias = "get_nowait")]
            pub fn try_get(&self) -> Result<$got, TryGetError> {
                let got = self.queue.try_get().map_err(not_got);
                got.map(|value| $wrap(self, value))
            }

            /// The next one, if it comes in time.
            ///
            /// # Errors
            /// As [`try_get`](Self::try_get).
            pub fn get_timeout(&self, timeout: Duration) -> Result<$got, TryGetError> {
                let got = self.queue.get_timeout(timeout).map_err(not_got);
                got.map(|value| $wrap(self, value))
            }

            /// What comes, until the queue is closed and empty.
            pub fn iter(&self) -> impl Iterator<Item = Result<$got>> {
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

        impl<$item> Clone for $queue<$item> {
            fn clone(&self) -> Self {
                let queue = self.queue.clone();
                Self { queue }
            }
        }

        impl<$item> fmt::Debug for $queue<$item> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_tuple(stringify!($queue))
                    .field(&self.queue)
                    .finish()
            }
        }

        stays!($queue<$item>);
    };
}

verbs!(Queue, T, T, |_, value| value);
verbs!(JoinableQueue, T, Leased<T>, Self::lend);

/// A [`queue::Queue`](crate::queue::Queue) with the verbs of a [`JoinableQueue`](crate::JoinableQueue) between processes: what is got is
/// on lease until its taker says that it is done.
///
/// # Examples
/// ```
/// use multiproc::dummy::JoinableQueue;
///
/// let queue = JoinableQueue::new()?;
/// queue.put("a task")?;
/// drop(queue.get()?); // not done, so it is put back
/// assert_eq!(queue.get()?.task_done(), "a task");
/// queue.join()?;
/// # Ok::<(), multiproc::Error>(())
/// ```
pub struct JoinableQueue<T> {
    queue: queue::Queue<T>,
}

impl<T> JoinableQueue<T> {
    fn lend(&self, value: T) -> Leased<T> {
        Leased {
            value: Some(value),
            queue: self.queue.clone(),
        }
    }

    /// How many were put and are not done.
    #[must_use]
    #[doc(alias = "unfinished_tasks")]
    pub fn unfinished(&self) -> usize {
        self.queue.unfinished_tasks()
    }

    /// Waits until all that was put is done.
    ///
    /// # Errors
    /// None: a queue between processes has some.
    pub fn join(&self) -> Result<()> {
        self.queue.join();
        Ok(())
    }

    /// Waits until all that was put is done, for `timeout` at most; says whether it is.
    ///
    /// # Errors
    /// As [`join`](Self::join).
    pub fn join_timeout(&self, timeout: Duration) -> Result<bool> {
        Ok(self.queue.join_timeout(timeout))
    }
}

/// An item of a [`JoinableQueue`] between threads, on lease until its taker says [`task_done`](Self::task_done). When it is dropped
/// without that, it is put back, behind the others.
pub struct Leased<T> {
    /// There until it is done.
    value: Option<T>,
    queue: queue::Queue<T>,
}

impl<T> Leased<T> {
    /// Says that the item is done, and gives its value. When all are, [`join`](JoinableQueue::join) returns.
    #[expect(clippy::missing_panics_doc, reason = "the value is there until now")]
    pub fn task_done(mut self) -> T {
        let value = self.value.take().expect("it is there until now");
        self.count();
        value
    }

    fn count(&self) {
        if let Err(error) = self.queue.task_done() {
            log::error!("an item was not counted as done: {error}");
        }
    }
}

impl<T> Deref for Leased<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.value.as_ref().expect("it is there until it is done")
    }
}

impl<T> Drop for Leased<T> {
    fn drop(&mut self) {
        if let Some(value) = self.value.take() {
            // After the end nobody could get it: it is dropped, and counts as done for those who join.
            let _after_the_end = self.queue.put_back(value);
            self.count();
        }
    }
}

impl<T: fmt::Debug> fmt::Debug for Leased<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Leased").field(&self.value).finish()
    }
}

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
