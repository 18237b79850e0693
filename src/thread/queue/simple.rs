//! `SimpleQueue`: first in, first out, and nothing else.

use super::error::Empty;
use super::flow::after;
use super::waiting::wait;
use crate::shm::WithinProcess;
use crate::sync::Gate;
use crate::sys::clock::Deadline;
use crossbeam::queue::SegQueue;
use crossbeam::utils::CachePadded;
use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::Arc;
use std::time::Duration;

/// A queue between the threads of this process that is never full and never ends: Python's `queue.SimpleQueue`.
///
/// It is a handle: clones are the same queue. Values that are left are dropped with the last handle.
///
/// There is no lock in it, and `put` never waits, so it may be called where a lock could be held already: in a destructor that runs
/// in the middle of anything, another `put` included. (Not in a signal handler: memory is allocated.)
///
/// A forked child has a copy of the queue and what is in it. If another thread was in `put` or `get` at the moment of the fork, the
/// copy must not be used.
///
/// # Differences from Python
/// It carries values of one type. For values between processes there is [`multiproc::SimpleQueue`](crate::SimpleQueue).
///
/// # Examples
/// ```
/// use multiproc::queue::{Empty, SimpleQueue};
///
/// let queue = SimpleQueue::new();
/// let other = queue.clone();
/// std::thread::spawn(move || other.put("hello"));
/// assert_eq!(queue.get(), "hello");
/// assert_eq!(queue.try_get(), Err(Empty));
/// ```
pub struct SimpleQueue<T> {
    parts: Arc<Parts<T>>,
}

struct Parts<T> {
    items: SegQueue<T>,
    getters: CachePadded<Gate>,
}

impl<T> SimpleQueue<T> {
    /// An empty queue.
    #[must_use]
    pub fn new() -> Self {
        let items = SegQueue::new();
        let getters = CachePadded::default();
        let parts = Arc::new(Parts { items, getters });
        Self { parts }
    }

    /// Puts a value. Never waits.
    #[doc(alias = "put_nowait")]
    #[inline]
    pub fn put(&self, value: T) {
        self.parts.items.push(value);
        self.parts.getters.notify::<WithinProcess>(1);
    }

    /// Gets the oldest value, waiting as long as it takes.
    #[must_use]
    #[inline]
    pub fn get(&self) -> T {
        loop {
            if let Some(value) = self.take(|| Deadline::NEVER) {
                return value;
            }
        }
    }

    /// Gets the oldest value if there is one.
    ///
    /// # Errors
    /// [`Empty`] when there is none.
    #[doc(alias = "get_nowait")]
    #[inline]
    pub fn try_get(&self) -> Result<T, Empty> {
        self.parts.items.pop().ok_or(Empty)
    }

    /// Gets the oldest value, waiting for `timeout` at most; a time beyond the clock's range is for ever.
    ///
    /// # Errors
    /// [`Empty`] when the time is over.
    pub fn get_timeout(&self, timeout: Duration) -> Result<T, Empty> {
        self.take(after(timeout)).ok_or(Empty)
    }

    #[inline]
    fn take(&self, deadline: impl FnOnce() -> Deadline) -> Option<T> {
        let Parts { items, getters } = &*self.parts;
        items
            .pop()
            .or_else(|| wait(getters, deadline(), || items.pop()))
    }

    /// The number of values in the queue at this instant.
    #[must_use]
    #[doc(alias = "qsize")]
    pub fn len(&self) -> usize {
        self.parts.items.len()
    }

    /// Is there nothing in the queue at this instant?
    #[must_use]
    #[doc(alias = "empty")]
    pub fn is_empty(&self) -> bool {
        self.parts.items.is_empty()
    }
}

impl<T> Clone for SimpleQueue<T> {
    fn clone(&self) -> Self {
        let parts = Arc::clone(&self.parts);
        Self { parts }
    }
}

impl<T> Default for SimpleQueue<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> fmt::Debug for SimpleQueue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimpleQueue")
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}

/// A panic leaves nothing half done in a queue.
impl<T> UnwindSafe for SimpleQueue<T> {}
impl<T> RefUnwindSafe for SimpleQueue<T> {}
