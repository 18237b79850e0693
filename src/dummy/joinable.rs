//! `JoinableQueue` between threads: what is got is on lease until its taker says that it is done.

use crate::error::Result;
use crate::ipc::{GetError, PutError, TryGetError, TryPutError};
use crate::sync::{Gate, WithinProcess};
use crate::sys::clock::Deadline;
use crate::sys::private::Private;
use crate::sys::thread::gettid;
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

/// What a [`JoinableQueue`](crate::JoinableQueue) does between processes, between threads: an item that was got is on lease until its taker
/// says that it is done; dropped without that, as by a panic, it is put back.
///
/// After [`close`](Self::close) a `get` waits until what other threads have on lease is done, because it may be put back. Items that are put
/// back come last.
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
    shared: Arc<Shared<T>>,
}

struct Shared<T> {
    state: Private<State<T>>,
    /// For whoever waits for a change, of whatever kind.
    gate: Gate,
}

struct State<T> {
    items: VecDeque<T>,
    maxsize: usize,
    /// How many items each thread has on lease.
    holders: BTreeMap<u32, usize>,
    end: End,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Open,
    Closed,
    /// What comes back is dropped.
    Emptied,
}

impl<T> State<T> {
    fn unfinished(&self) -> usize {
        self.items.len() + self.holders.values().sum::<usize>()
    }

    fn is_full(&self) -> bool {
        self.maxsize != 0 && self.items.len() >= self.maxsize
    }

    fn get(&mut self, me: u32) -> Option<Result<T, TryGetError>> {
        if let Some(item) = self.items.pop_front() {
            *self.holders.entry(me).or_default() += 1;
            return Some(Ok(item));
        }
        let waits = self.end == End::Closed && !self.holders.is_empty();
        let waits = waits && !self.holders.contains_key(&me);
        (self.end != End::Open && !waits).then_some(Err(TryGetError::Closed))
    }

    /// The taker has it no more.
    fn give(&mut self, taker: u32) {
        if let Some(count) = self.holders.get_mut(&taker) {
            *count -= 1;
            if *count == 0 {
                self.holders.remove(&taker);
            }
        }
    }
}

impl<T> Shared<T> {
    /// Changes the state, and wakes whoever waits for a change.
    fn change<R>(&self, change: impl FnOnce(&mut State<T>) -> R) -> R {
        let result = change(&mut self.state.lock());
        self.gate.notify::<WithinProcess>(u32::MAX);
        result
    }

    /// Looks until there is an answer, or the time is up.
    fn wait<R>(&self, deadline: Deadline, mut look: impl FnMut() -> Option<R>) -> Option<R> {
        loop {
            let ticket = self.gate.arrive();
            let found = look();
            let slice = deadline.slice(Duration::from_secs(3600));
            if found.is_some() || slice.is_zero() {
                return found;
            }
            self.gate.sleep::<WithinProcess>(ticket, slice);
        }
    }
}

impl<T> JoinableQueue<T> {
    /// A queue that takes as much as memory allows.
    ///
    /// # Errors
    /// None: a queue between processes has some.
    pub fn new() -> Result<Self> {
        Self::with_maxsize(0)
    }

    /// A queue of at most `items`, those on lease not counted; 0 is any number.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn with_maxsize(items: usize) -> Result<Self> {
        let state = State {
            items: VecDeque::new(),
            maxsize: items,
            holders: BTreeMap::new(),
            end: End::Open,
        };
        let shared = Shared {
            state: Private::new(state),
            gate: Gate::default(),
        };
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    fn put_until(&self, item: T, deadline: Deadline) -> Result<(), TryPutError<T>> {
        let mut item = Some(item);
        let look = || {
            let mut state = self.shared.state.lock();
            if state.end != End::Open {
                return item.take().map(|item| Err(TryPutError::Closed(item)));
            }
            (!state.is_full()).then(|| {
                state.items.extend(item.take());
                Ok(())
            })
        };
        let put = self.shared.wait(deadline, look);
        self.shared.gate.notify::<WithinProcess>(u32::MAX);
        match (put, item) {
            (Some(put), _) => put,
            (None, Some(item)) => Err(TryPutError::Full(item)),
            (None, None) => Ok(()),
        }
    }

    /// Puts an item, waiting for room.
    ///
    /// # Errors
    /// [`PutError::Closed`].
    pub fn put(&self, item: T) -> Result<(), PutError<T>> {
        let put = self.put_until(item, Deadline::NEVER);
        put.map_err(|error| PutError::Closed(error.into_inner()))
    }

    /// Puts an item if there is room.
    ///
    /// # Errors
    /// [`TryPutError::Full`], [`TryPutError::Closed`].
    #[doc(alias = "put_nowait")]
    pub fn try_put(&self, item: T) -> Result<(), TryPutError<T>> {
        self.put_until(item, Deadline::now())
    }

    /// Puts an item if there is room in time.
    ///
    /// # Errors
    /// As [`try_put`](Self::try_put).
    pub fn put_timeout(&self, item: T, timeout: Duration) -> Result<(), TryPutError<T>> {
        self.put_until(item, Deadline::after(timeout))
    }

    fn get_until(&self, deadline: Deadline) -> Result<Leased<T>, TryGetError> {
        let taker = gettid();
        let look = || self.shared.state.lock().get(taker);
        let got = self.shared.wait(deadline, look);
        // There is room for one more.
        self.shared.gate.notify::<WithinProcess>(u32::MAX);
        got.unwrap_or(Err(TryGetError::Empty)).map(|item| Leased {
            item: Some(item),
            taker,
            shared: Arc::clone(&self.shared),
        })
    }

    /// Waits for the next item.
    ///
    /// # Errors
    /// [`GetError::Closed`] when the queue is closed and empty, and no other thread has any on lease.
    pub fn get(&self) -> Result<Leased<T>, GetError> {
        let got = self.get_until(Deadline::NEVER);
        got.map_err(|_| GetError::Closed)
    }

    /// The next item, if there is one.
    ///
    /// # Errors
    /// [`TryGetError::Empty`], [`TryGetError::Closed`].
    #[doc(alias = "get_nowait")]
    pub fn try_get(&self) -> Result<Leased<T>, TryGetError> {
        self.get_until(Deadline::now())
    }

    /// The next item, if it comes in time.
    ///
    /// # Errors
    /// As [`try_get`](Self::try_get).
    pub fn get_timeout(&self, timeout: Duration) -> Result<Leased<T>, TryGetError> {
        self.get_until(Deadline::after(timeout))
    }

    /// What comes, until the queue is closed and empty.
    pub fn iter(&self) -> impl Iterator<Item = Result<Leased<T>>> {
        std::iter::from_fn(|| self.get().ok().map(Ok))
    }

    /// How many there are to get, at this moment.
    #[must_use]
    #[doc(alias = "qsize")]
    pub fn len(&self) -> usize {
        self.shared.state.lock().items.len()
    }

    /// Is there none to get, at this moment?
    #[must_use]
    #[doc(alias = "empty")]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Is there no room, at this moment?
    #[must_use]
    #[doc(alias = "full")]
    pub fn is_full(&self) -> bool {
        self.shared.state.lock().is_full()
    }

    /// How many it takes; 0 is any number.
    #[must_use]
    pub fn maxsize(&self) -> usize {
        self.shared.state.lock().maxsize
    }

    /// How many were put and are not done.
    #[must_use]
    #[doc(alias = "unfinished_tasks")]
    pub fn unfinished(&self) -> usize {
        self.shared.state.lock().unfinished()
    }

    fn join_until(&self, deadline: Deadline) -> bool {
        let look = || (self.unfinished() == 0).then_some(());
        self.shared.wait(deadline, look).is_some()
    }

    /// Waits until all that was put is done.
    ///
    /// # Errors
    /// None: a queue between processes has some.
    pub fn join(&self) -> Result<()> {
        self.join_until(Deadline::NEVER);
        Ok(())
    }

    /// Waits until all that was put is done, for `timeout` at most; says whether it is.
    ///
    /// # Errors
    /// As [`join`](Self::join).
    pub fn join_timeout(&self, timeout: Duration) -> Result<bool> {
        Ok(self.join_until(Deadline::after(timeout)))
    }

    /// Lets nobody put any more. What is there can still be got.
    pub fn close(&self) {
        self.shutdown(false);
    }

    /// The same; `immediate` drops what is there, and what would be put back.
    pub fn shutdown(&self, immediate: bool) {
        let dropped = self.shared.change(|state| {
            if immediate {
                state.end = End::Emptied;
                return std::mem::take(&mut state.items);
            }
            if state.end == End::Open {
                state.end = End::Closed;
            }
            VecDeque::new()
        });
        // Not under the lock.
        drop(dropped);
    }

    /// Was it closed?
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.shared.state.lock().end != End::Open
    }
}

impl<T> Clone for JoinableQueue<T> {
    fn clone(&self) -> Self {
        let shared = Arc::clone(&self.shared);
        Self { shared }
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

stays!(JoinableQueue<T>);

/// An item of a [`JoinableQueue`] between threads, on lease until its taker says [`task_done`](Self::task_done). When it is dropped
/// without that, it is put back, behind the others.
pub struct Leased<T> {
    /// There until it is done.
    item: Option<T>,
    /// The thread that got it.
    taker: u32,
    shared: Arc<Shared<T>>,
}

impl<T> Leased<T> {
    /// Says that the item is done, and gives its value. When all are, [`join`](JoinableQueue::join) returns.
    #[expect(clippy::missing_panics_doc, reason = "the item is there until now")]
    pub fn task_done(mut self) -> T {
        let item = self.item.take().expect("it is there until now");
        self.shared.change(|state| state.give(self.taker));
        item
    }
}

impl<T> Deref for Leased<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.item.as_ref().expect("it is there until it is done")
    }
}

impl<T> Drop for Leased<T> {
    fn drop(&mut self) {
        let Some(item) = self.item.take() else { return };
        let dropped = self.shared.change(|state| {
            state.give(self.taker);
            if state.end == End::Emptied {
                return Some(item);
            }
            state.items.push_back(item);
            None
        });
        // Not under the lock.
        drop(dropped);
    }
}

impl<T: fmt::Debug> fmt::Debug for Leased<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Leased").field(&self.item).finish()
    }
}
