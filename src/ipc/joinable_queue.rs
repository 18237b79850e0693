//! `JoinableQueue`: a queue that knows which of its items are done.

use super::batch::item;
use super::error::{GetError, PutError, TryGetError, TryPutError};
use super::leased::Leased;
use super::ring::{Options, Ring, Taking};
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

/// A queue whose items are done only when their takers say so.
///
/// It is a handle: clones are the same queue. [`get`](Self::get) gives an item on lease; [`Leased::task_done`] ends the lease, and
/// [`join`](Self::join) waits until every item that was put is done.
///
/// **When a process dies** that has items on lease, they are put back and others get them, before what lies in the queue. So nothing is
/// lost, and `join` does not wait for the dead. An item may be worked at twice, if its taker died between its work and `task_done`. An
/// item that kills all who take it would go round for ever: [`retries`](JoinableQueueBuilder::retries) sets an end.
///
/// When the queue is [closed](Self::close) and empty, `get` waits until what others have on lease is done, because it may be put back;
/// a process that has items on lease itself is not kept waiting.
///
/// # Differences from Python
/// `task_done` is a verb of the item, not of the queue, so it cannot be called too often, nor for an item of somebody else.
///
/// # Examples
/// ```
/// use multiproc::{JoinableQueue, Process};
///
/// fn worker(queue: JoinableQueue<u32>) {
///     for item in &queue {
///         let item = item.expect("numbers decode");
///         println!("at work on {}", *item);
///         item.task_done();
///     }
/// }
///
/// let queue = JoinableQueue::new()?;
/// let mut process = Process::new(worker, (queue.clone(),));
/// process.start()?;
/// queue.put_many(0..5)?;
/// queue.join()?;
/// queue.close();
/// process.join()?;
/// # Ok::<(), multiproc::Error>(())
/// ```
pub struct JoinableQueue<T> {
    handle: Handle,
    values: PhantomData<fn(T) -> T>,
}

/// Makes a [`JoinableQueue`].
#[must_use = "a builder does nothing until `build`"]
pub struct JoinableQueueBuilder<T> {
    maxsize: usize,
    retries: u32,
    values: PhantomData<fn(T) -> T>,
}

impl<T> Clone for JoinableQueueBuilder<T> {
    fn clone(&self) -> Self {
        Self { ..*self }
    }
}

impl<T> fmt::Debug for JoinableQueueBuilder<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinableQueueBuilder")
            .field("maxsize", &self.maxsize)
            .field("retries", &self.retries)
            .finish()
    }
}

impl<T> JoinableQueueBuilder<T> {
    /// The most items in the queue; 0, the default, is any number. Items on lease do not count.
    pub fn maxsize(mut self, items: usize) -> Self {
        self.maxsize = items;
        self
    }

    /// How often an item is put back because its taker died or dropped it; after that it counts as failed, and is gone. By default for
    /// ever; 0: an item whose taker dies has failed.
    pub fn retries(mut self, retries: u32) -> Self {
        self.retries = retries;
        self
    }

    /// The queue.
    ///
    /// # Errors
    /// [`ErrorKind::NoSpace`](crate::ErrorKind::NoSpace) when the arena is full;
    /// [`ErrorKind::InvalidInput`](crate::ErrorKind::InvalidInput) for more than 268,435,455 items.
    pub fn build(self) -> Result<JoinableQueue<T>> {
        let options = Options {
            maxsize: self.maxsize as u64,
            lends: Some(self.retries),
        };
        Ok(JoinableQueue {
            handle: Ring::create(Kind::JoinableQueue, options)?,
            values: PhantomData,
        })
    }
}

impl<T> JoinableQueue<T> {
    /// A queue that takes as much as memory allows, and puts items back as often as it must.
    ///
    /// # Errors
    /// As [`build`](JoinableQueueBuilder::build).
    pub fn new() -> Result<Self> {
        Self::builder().build()
    }

    /// A queue of at most `items` items; 0 is any number.
    ///
    /// # Errors
    /// As [`build`](JoinableQueueBuilder::build).
    pub fn with_maxsize(items: usize) -> Result<Self> {
        Self::builder().maxsize(items).build()
    }

    /// For a queue with other than the default settings.
    ///
    /// ```
    /// # use multiproc::JoinableQueue;
    /// let queue = JoinableQueue::builder().maxsize(100).retries(2).build()?;
    /// queue.put("three times at most".to_string())?;
    /// for attempt in 0..3 {
    ///     assert_eq!(queue.get()?.attempts(), attempt); // And dropped without `task_done`.
    /// }
    /// queue.join()?;
    /// assert_eq!(queue.failed(), 1);
    /// # Ok::<(), multiproc::Error>(())
    /// ```
    pub fn builder() -> JoinableQueueBuilder<T> {
        JoinableQueueBuilder {
            maxsize: 0,
            retries: u32::MAX,
            values: PhantomData,
        }
    }

    #[inline]
    fn ring(&self) -> Ring {
        Ring::of(&self.handle)
    }

    /// The number of items in the queue at this instant, without those on lease and those put back.
    #[must_use]
    #[doc(alias = "qsize")]
    pub fn len(&self) -> usize {
        self.ring().len()
    }

    /// Is there nothing in the queue at this instant? See [`len`](Self::len).
    #[must_use]
    #[doc(alias = "empty")]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Are there `maxsize` items in the queue at this instant?
    #[must_use]
    #[doc(alias = "full")]
    pub fn is_full(&self) -> bool {
        self.ring().is_full()
    }

    /// The most items that the queue takes; 0 for any number.
    #[must_use]
    pub fn maxsize(&self) -> usize {
        self.ring().maxsize()
    }

    /// How many items were put and are neither done nor failed.
    #[must_use]
    pub fn unfinished(&self) -> usize {
        usize::try_from(self.ring().unfinished()).unwrap_or(usize::MAX)
    }

    /// How many items have failed: they were put back too often, or did not decode.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.ring().failed()
    }

    /// Waits until every item that was put is done or has failed. Dead takers are not waited for, whether their parents ask for them or
    /// not; for an item that was put back somebody must come who gets it.
    ///
    /// # Errors
    /// [`ErrorKind::StaleHandle`](crate::ErrorKind::StaleHandle) when the queue is gone.
    pub fn join(&self) -> Result<()> {
        self.ring().join(Deadline::NEVER).map(|_| ())
    }

    /// Waits for `timeout` at most; says whether every item is done.
    ///
    /// # Errors
    /// As [`join`](Self::join).
    pub fn join_timeout(&self, timeout: Duration) -> Result<bool> {
        self.ring().join(Deadline::after(timeout))
    }

    /// Ends the queue for everybody: nothing more is put, what is inside can still be got, and whoever sleeps wakes up.
    pub fn close(&self) {
        self.shutdown(false);
    }

    /// [Closes](Self::close) the queue; `immediate` drops what is inside too: it counts as done, `get` says `Closed` at once, and
    /// [`join`](Self::join) returns even if there are items on lease.
    pub fn shutdown(&self, immediate: bool) {
        self.ring().shut(immediate);
    }

    /// Will nothing more be put?
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.ring().is_closed()
    }
}

impl<T: Serialize + 'static> JoinableQueue<T> {
    /// Puts an item, waiting for room as long as it takes.
    ///
    /// # Errors
    /// [`PutError`] gives the item back.
    pub fn put(&self, item: T) -> Result<(), PutError<T>> {
        values::put(self.ring(), item, Deadline::NEVER).map_err(TryPutError::patient)
    }

    /// Puts an item if there is room.
    ///
    /// # Errors
    /// As [`put`](Self::put); [`TryPutError::Full`] when there is none.
    #[doc(alias = "put_nowait")]
    pub fn try_put(&self, item: T) -> Result<(), TryPutError<T>> {
        values::put(self.ring(), item, Deadline::now())
    }

    /// Puts an item, waiting for room for `timeout` at most.
    ///
    /// # Errors
    /// As [`put`](Self::put); [`TryPutError::Full`] when there was none in time.
    pub fn put_timeout(&self, item: T, timeout: Duration) -> Result<(), TryPutError<T>> {
        values::put(self.ring(), item, Deadline::after(timeout))
    }

    /// Puts items in their order, waiting for room as long as it takes.
    ///
    /// # Errors
    /// [`PutError`] gives back the items that were not put, in order.
    pub fn put_many(&self, items: impl IntoIterator<Item = T>) -> Result<(), PutError<Vec<T>>> {
        values::put_many(self.ring(), items, Deadline::NEVER).map_err(TryPutError::patient)
    }

    /// Puts as many of the items as there is room for.
    ///
    /// # Errors
    /// As [`put_many`](Self::put_many); [`TryPutError::Full`] when there was no room for all.
    pub fn try_put_many(
        &self,
        items: impl IntoIterator<Item = T>,
    ) -> Result<(), TryPutError<Vec<T>>> {
        values::put_many(self.ring(), items, Deadline::now())
    }

    /// Puts items, waiting for room for `timeout` at most, all in all.
    ///
    /// # Errors
    /// As [`put_many`](Self::put_many); [`TryPutError::Full`] when there was no room for all in time.
    pub fn put_many_timeout(
        &self,
        items: impl IntoIterator<Item = T>,
        timeout: Duration,
    ) -> Result<(), TryPutError<Vec<T>>> {
        values::put_many(self.ring(), items, Deadline::after(timeout))
    }
}

impl<T: DeserializeOwned + 'static> JoinableQueue<T> {
    /// Takes an item on lease, waiting for one as long as it takes.
    ///
    /// # Errors
    /// [`GetError::Closed`] when the queue is closed and nothing can come any more. An item that does not decode is an error, and has
    /// failed.
    pub fn get(&self) -> Result<Leased<T>, GetError> {
        self.get_until(Deadline::NEVER)
            .map_err(TryGetError::patient)
    }

    /// Takes an item if there is one.
    ///
    /// # Errors
    /// As [`get`](Self::get); [`TryGetError::Empty`] when there is none.
    #[doc(alias = "get_nowait")]
    pub fn try_get(&self) -> Result<Leased<T>, TryGetError> {
        self.get_until(Deadline::now())
    }

    /// Takes an item, waiting for one for `timeout` at most.
    ///
    /// # Errors
    /// As [`get`](Self::get); [`TryGetError::Empty`] when there was none in time.
    pub fn get_timeout(&self, timeout: Duration) -> Result<Leased<T>, TryGetError> {
        self.get_until(Deadline::after(timeout))
    }

    fn get_until(&self, deadline: Deadline) -> Result<Leased<T>, TryGetError> {
        let mut taking = Taking::empty();
        self.ring().get(&mut taking, deadline)?;
        match values::decode(&mut taking) {
            Ok(value) => Ok(Leased::new(value, taking, self.handle.clone())),
            Err(error) => {
                // It would not decode for anybody else either.
                taking.finish(true).map_err(TryGetError::Failed)?;
                Err(TryGetError::Failed(error))
            }
        }
    }

    /// The items one after the other, until the queue is closed and nothing can come any more.
    pub fn iter(&self) -> impl Iterator<Item = Result<Leased<T>>> + '_ {
        JoinableIter {
            queue: self,
            ended: false,
        }
    }
}

/// The items of a [`JoinableQueue`], one after the other, on lease.
#[derive(Debug)]
pub struct JoinableIter<'a, T> {
    queue: &'a JoinableQueue<T>,
    ended: bool,
}

impl<T: DeserializeOwned + 'static> Iterator for JoinableIter<'_, T> {
    type Item = Result<Leased<T>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        item(self.queue.get_until(Deadline::NEVER), &mut self.ended)
    }
}

impl<'a, T: DeserializeOwned + 'static> IntoIterator for &'a JoinableQueue<T> {
    type Item = Result<Leased<T>>;
    type IntoIter = JoinableIter<'a, T>;

    fn into_iter(self) -> JoinableIter<'a, T> {
        JoinableIter {
            queue: self,
            ended: false,
        }
    }
}

impl<T> Clone for JoinableQueue<T> {
    fn clone(&self) -> Self {
        Self {
            handle: self.handle.clone(),
            values: PhantomData,
        }
    }
}

impl<T> fmt::Debug for JoinableQueue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinableQueue")
            .field("len", &self.len())
            .field("unfinished", &self.unfinished())
            .finish_non_exhaustive()
    }
}

impl<T> Serialize for JoinableQueue<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.handle.serialize(serializer)
    }
}

impl<'de, T> Deserialize<'de> for JoinableQueue<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self {
            handle: handle::deserialize(deserializer, Kind::JoinableQueue)?,
            values: PhantomData,
        })
    }
}
