//! An item that its queue still counts as its own.

use super::ring::Taking;
use crate::shm::Handle;
use std::fmt;
use std::ops::Deref;

/// An item of a [`JoinableQueue`](crate::JoinableQueue), on lease until its taker says [`task_done`](Self::task_done).
///
/// **When it is dropped without that, or its process dies**, by a signal, an exit or a panic, the item is put back and somebody else
/// gets it, as often as the queue [allows](crate::JoinableQueueBuilder::retries).
///
/// A copy that a forked child inherits is not the taker: there `task_done` gives the value and counts nothing.
pub struct Leased<T> {
    value: T,
    taking: Taking,
    /// Keeps the queue, until the item is done or was put back: dropped after it.
    queue: Handle,
}

impl<T> Leased<T> {
    pub(super) fn new(value: T, taking: Taking, queue: Handle) -> Self {
        Self {
            value,
            taking,
            queue,
        }
    }

    /// Says that the item is done, and gives its value. When all are, [`join`](crate::JoinableQueue::join) returns.
    ///
    /// If this process is killed in here, the item is done or it is put back, never both.
    pub fn task_done(self) -> T {
        let Self {
            value,
            mut taking,
            queue,
        } = self;
        // It fails only if the queue is gone, and with it those who wait.
        if let Err(error) = taking.finish(false) {
            log::error!("an item was not counted as done: {error}");
        }
        drop(taking);
        drop(queue);
        value
    }

    /// How often the item had been taken before, by others who did not finish it.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        self.taking.attempts()
    }
}

impl<T> Deref for Leased<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: fmt::Debug> fmt::Debug for Leased<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Leased").field(&self.value).finish()
    }
}
