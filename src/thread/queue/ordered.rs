//! `OrderedQueue`: Python's `Queue`, `LifoQueue` and `PriorityQueue`, between threads.

use super::error::{ShutDown, TryGetError, TryPutError};
use super::flow::{Flow, after};
use super::order::{Fifo, Lifo, Order, Ordered, Smallest};
use crate::error::Result;
use crate::sys::clock::Deadline;
use std::fmt;
use std::iter::FusedIterator;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::Arc;
use std::time::Duration;

/// A queue between the threads of this process, first in, first out: Python's `queue.Queue`. Its verbs are those of [`OrderedQueue`].
///
/// # Examples
/// Workers, and the end of their work:
/// ```
/// use multiproc::queue::Queue;
/// use std::thread;
///
/// let queue = Queue::with_maxsize(2);
/// let worker = thread::spawn({
///     let queue = queue.clone();
///     move || {
///         let mut sum = 0;
///         for n in &queue {
///             sum += n;
///             queue.task_done().expect("it was put");
///         }
///         sum
///     }
/// });
/// for n in 1..=10 {
///     queue.put(n)?; // waits while two are in the queue
/// }
/// queue.join(); // all ten are done
/// queue.shutdown(false); // the worker's loop ends
/// assert_eq!(worker.join().expect("no panic"), 55);
/// # Ok::<(), multiproc::Error>(())
/// ```
pub type Queue<T> = OrderedQueue<T, Fifo>;

/// A queue between the threads of this process, last in, first out: Python's `queue.LifoQueue`. Its verbs are those of [`OrderedQueue`].
///
/// # Examples
/// ```
/// let queue = multiproc::queue::LifoQueue::new();
/// queue.put("first")?;
/// queue.put("last")?;
/// assert_eq!(queue.get()?, "last");
/// # Ok::<(), multiproc::Error>(())
/// ```
pub type LifoQueue<T> = OrderedQueue<T, Lifo>;

/// A queue between the threads of this process from which the smallest item comes first: Python's `queue.PriorityQueue`. Its verbs are
/// those of [`OrderedQueue`].
///
/// Which of equal items comes first is not said: put a number beside them where it matters. [`std::cmp::Reverse`] makes the greatest
/// come first.
///
/// Comparisons are made under the queue's lock, so an `Ord` must not use the queue that it orders: it would wait for ever. One that
/// panics harms nobody: in `put` the item is dropped and its place is free again, in `get` nothing is taken, and the order and all
/// counts are as before.
///
/// # Examples
/// ```
/// use multiproc::queue::PriorityQueue;
///
/// let queue = PriorityQueue::new();
/// queue.put((3, "tidy up"))?;
/// queue.put((1, "put out the fire"))?;
/// queue.put((2, "call for help"))?;
/// assert_eq!(queue.get()?, (1, "put out the fire"));
/// assert_eq!(queue.get()?, (2, "call for help"));
/// # Ok::<(), multiproc::Error>(())
/// ```
pub type PriorityQueue<T> = OrderedQueue<T, Smallest>;

/// A queue between the threads of this process: [`Queue`], [`LifoQueue`] or [`PriorityQueue`].
///
/// It is a handle: clones are the same queue, for any number of threads. Values that are left are dropped with the last handle. No value is
/// dropped, and nothing of the user's runs, while the queue is in a state that others could not use: destructors may put and get.
///
/// A [`Queue`] has no lock; the other two have one, for the time of a `put` or a `get`.
///
/// In a forked child the queue is a copy, with a copy of what is in it: nothing goes from one process to the other
/// ([`multiproc::Queue`](crate::Queue) is for that). If another thread was in one of its verbs at the moment of the fork, the copy
/// must not be used.
///
/// # Differences from Python
/// A `maxsize` below zero cannot be said, 0 is any number. `put` on a queue that was shut down gives the value back.
/// [`len`](Self::len), [`is_empty`](Self::is_empty) and [`is_full`](Self::is_full) are exact at the instant of the call; a value
/// that is being put at that instant counts. Names in Python: `qsize`, `empty`, `full`, `put_nowait`, `get_nowait`.
pub struct OrderedQueue<T, O: Order<T>> {
    flow: Arc<Flow<O::Store>>,
}

impl<T, O: Order<T>> OrderedQueue<T, O> {
    /// An empty queue for any number of values.
    #[must_use]
    pub fn new() -> Self {
        Self::with_maxsize(0)
    }

    /// An empty queue for at most `maxsize` values; 0 is any number.
    #[must_use]
    pub fn with_maxsize(maxsize: usize) -> Self {
        let flow = Arc::new(Flow::with_maxsize(maxsize));
        Self { flow }
    }

    /// How many values may be in the queue; 0 is any number.
    #[must_use]
    pub fn maxsize(&self) -> usize {
        self.flow.maxsize()
    }

    /// Changes how many values may be in the queue; 0 is any number. More room lets those go on who wait to put. With less, what is in the
    /// queue stays there, and nothing can be put until there are fewer.
    ///
    /// # Examples
    /// ```
    /// let queue = multiproc::queue::Queue::new();
    /// queue.put(1)?;
    /// queue.put(2)?;
    /// queue.set_maxsize(1);
    /// assert!(queue.try_put(3).is_err());
    /// assert_eq!(queue.len(), 2);
    /// # Ok::<(), multiproc::Error>(())
    /// ```
    pub fn set_maxsize(&self, maxsize: usize) {
        self.flow.set_maxsize(maxsize);
    }

    /// Puts a value, waiting while the queue is full.
    ///
    /// # Errors
    /// [`ShutDown`] with the value when the queue is shut down, also while this waits.
    ///
    /// # Panics
    /// When a comparison of a [`PriorityQueue`] does. Then nothing was put.
    #[inline]
    pub fn put(&self, value: T) -> Result<(), ShutDown<T>> {
        let put = self.flow.put(value, || Deadline::NEVER);
        put.map_err(TryPutError::patient)
    }

    /// Puts a value if there is room.
    ///
    /// # Errors
    /// [`TryPutError`] with the value: `Full`, or `ShutDown`.
    ///
    /// # Panics
    /// As [`put`](Self::put).
    #[doc(alias = "put_nowait")]
    #[inline]
    pub fn try_put(&self, value: T) -> Result<(), TryPutError<T>> {
        self.flow.try_put(value)
    }

    /// Puts a value, waiting for `timeout` at most while the queue is full; a time beyond the clock's range is for ever.
    ///
    /// # Errors
    /// [`TryPutError`] with the value: `Full` when the time is over, or `ShutDown`.
    ///
    /// # Panics
    /// As [`put`](Self::put).
    pub fn put_timeout(&self, value: T, timeout: Duration) -> Result<(), TryPutError<T>> {
        self.flow.put(value, after(timeout))
    }

    /// Gets the next value, waiting until there is one.
    ///
    /// # Errors
    /// [`ShutDown`] when the queue is shut down and empty, also while this waits.
    ///
    /// # Panics
    /// When a comparison of a [`PriorityQueue`] does. Then nothing was taken.
    #[inline]
    pub fn get(&self) -> Result<T, ShutDown> {
        let got = self.flow.get(|| Deadline::NEVER);
        got.map_err(TryGetError::patient)
    }

    /// Gets the next value if there is one.
    ///
    /// # Errors
    /// [`TryGetError`]: `Empty`, or `ShutDown`.
    ///
    /// # Panics
    /// As [`get`](Self::get).
    #[doc(alias = "get_nowait")]
    #[inline]
    pub fn try_get(&self) -> Result<T, TryGetError> {
        self.flow.try_get()
    }

    /// Gets the next value, waiting for `timeout` at most; a time beyond the clock's range is for ever.
    ///
    /// # Errors
    /// [`TryGetError`]: `Empty` when the time is over, or `ShutDown`.
    ///
    /// # Panics
    /// As [`get`](Self::get).
    pub fn get_timeout(&self, timeout: Duration) -> Result<T, TryGetError> {
        self.flow.get(after(timeout))
    }

    /// Gets values, waiting for each, until the queue is shut down and empty.
    pub fn iter(&self) -> Iter<'_, T, O> {
        Iter { queue: self }
    }

    /// The number of values in the queue at this instant.
    #[must_use]
    #[doc(alias = "qsize")]
    pub fn len(&self) -> usize {
        self.flow.len()
    }

    /// Is there nothing in the queue at this instant?
    #[must_use]
    #[doc(alias = "empty")]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Are there `maxsize` values in the queue at this instant, or more? Never without a `maxsize`.
    #[must_use]
    #[doc(alias = "full")]
    pub fn is_full(&self) -> bool {
        let maxsize = self.maxsize();
        maxsize > 0 && self.len() >= maxsize
    }

    /// Says that a value that was got is done with. When as many are done as were put, those who [`join`](Self::join) go on.
    ///
    /// # Errors
    /// [`ErrorKind::Misuse`](crate::ErrorKind::Misuse) when everything that was put is done already.
    pub fn task_done(&self) -> Result<()> {
        self.flow.task_done()
    }

    /// Waits until everything that was put is [done](Self::task_done).
    pub fn join(&self) {
        let _always = self.flow.join(|| Deadline::NEVER);
    }

    /// The same for `timeout` at most; a time beyond the clock's range is for ever. The answer is whether everything is done.
    pub fn join_timeout(&self, timeout: Duration) -> bool {
        self.flow.join(after(timeout))
    }

    /// How many values were put and are not [done](Self::task_done).
    #[must_use]
    pub fn unfinished_tasks(&self) -> usize {
        self.flow.unfinished()
    }

    /// Shuts the queue down: nothing can be put any more, and whoever waits to put is told so. What is in the queue can still be got, then
    /// `get` says [`ShutDown`], also to those who wait.
    ///
    /// If `immediate`, what is in the queue is dropped at once, and counts as done; nobody gets any of it. A value that another thread is
    /// about to get at this moment is dropped with the rest, or got. What was got must still be [done](Self::task_done) before
    /// [`join`](Self::join) returns.
    ///
    /// It may be called again: a second call can make it immediate, nothing undoes it.
    ///
    /// # Panics
    /// When the destructor of a value that it drops does; all others are dropped all the same.
    pub fn shutdown(&self, immediate: bool) {
        self.flow.shutdown(immediate);
    }

    /// Was [`shutdown`](Self::shutdown) called?
    #[must_use]
    pub fn is_shutdown(&self) -> bool {
        self.flow.is_shut()
    }
}

impl<T, O: Order<T>> Clone for OrderedQueue<T, O> {
    fn clone(&self) -> Self {
        let flow = Arc::clone(&self.flow);
        Self { flow }
    }
}

impl<T, O: Order<T>> Default for OrderedQueue<T, O> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T, O: Order<T>> fmt::Debug for OrderedQueue<T, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct(<O as Ordered<T>>::NAME)
            .field("len", &self.len())
            .field("maxsize", &self.maxsize())
            .field("unfinished_tasks", &self.unfinished_tasks())
            .field("is_shutdown", &self.is_shutdown())
            .finish_non_exhaustive()
    }
}

/// A panic leaves nothing half done in a queue.
impl<T, O: Order<T>> UnwindSafe for OrderedQueue<T, O> {}
impl<T, O: Order<T>> RefUnwindSafe for OrderedQueue<T, O> {}

impl<'a, T, O: Order<T>> IntoIterator for &'a OrderedQueue<T, O> {
    type Item = T;
    type IntoIter = Iter<'a, T, O>;

    fn into_iter(self) -> Iter<'a, T, O> {
        self.iter()
    }
}

/// The values of a queue until it is shut down and empty: [`OrderedQueue::iter`].
pub struct Iter<'a, T, O: Order<T>> {
    queue: &'a OrderedQueue<T, O>,
}

impl<T, O: Order<T>> Iterator for Iter<'_, T, O> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        self.queue.get().ok()
    }
}

impl<T, O: Order<T>> FusedIterator for Iter<'_, T, O> {}

impl<T, O: Order<T>> fmt::Debug for Iter<'_, T, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Iter").field(self.queue).finish()
    }
}
