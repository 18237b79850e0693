//! Errors of queues between threads: one small type an operation, and what was not put comes back.

use crate::error::{Error, ErrorKind};
use std::fmt;

/// The queue is shut down: Python's `queue.ShutDown`. It holds what was not put; [`get`](super::OrderedQueue::get) has nothing to give back.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ShutDown<T = ()>(pub T);

/// Why [`try_put`](super::OrderedQueue::try_put) or [`put_timeout`](super::OrderedQueue::put_timeout) put nothing.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum TryPutError<T> {
    /// There is no room, or there was none in time: Python's `queue.Full`.
    Full(T),
    /// The queue is shut down.
    ShutDown(T),
}

/// Why [`try_get`](super::OrderedQueue::try_get) or [`get_timeout`](super::OrderedQueue::get_timeout) got nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TryGetError {
    /// There is nothing, or there was nothing in time: Python's `queue.Empty`.
    Empty,
    /// The queue is shut down, and empty.
    ShutDown,
}

/// There is nothing in a [`SimpleQueue`](super::SimpleQueue), or there was nothing in time: Python's `queue.Empty`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Empty;

impl<T> ShutDown<T> {
    /// The value that was not put.
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T> TryPutError<T> {
    /// The value that was not put.
    pub fn into_inner(self) -> T {
        match self {
            Self::Full(value) | Self::ShutDown(value) => value,
        }
    }

    /// The same failure of a verb that had no deadline, and never finds the queue full.
    pub(super) fn patient(self) -> ShutDown<T> {
        ShutDown(self.into_inner())
    }
}

impl TryGetError {
    /// The same failure of a verb that had no deadline, and never finds the queue just empty.
    pub(super) fn patient(self) -> ShutDown {
        ShutDown(())
    }
}

const SHUT_DOWN: &str = "the queue is shut down";
const FULL: &str = "the queue is full";
const EMPTY: &str = "the queue is empty";

fn shut_down() -> Error {
    Error::new(ErrorKind::Closed, SHUT_DOWN)
}

/// [`ErrorKind::Closed`].
impl<T> From<ShutDown<T>> for Error {
    fn from(_: ShutDown<T>) -> Self {
        shut_down()
    }
}

/// [`ErrorKind::Busy`] or [`ErrorKind::Closed`].
impl<T> From<TryPutError<T>> for Error {
    fn from(error: TryPutError<T>) -> Self {
        match error {
            TryPutError::Full(_) => Self::new(ErrorKind::Busy, FULL),
            TryPutError::ShutDown(_) => shut_down(),
        }
    }
}

/// [`ErrorKind::Busy`] or [`ErrorKind::Closed`].
impl From<TryGetError> for Error {
    fn from(error: TryGetError) -> Self {
        match error {
            TryGetError::Empty => Self::new(ErrorKind::Busy, EMPTY),
            TryGetError::ShutDown => shut_down(),
        }
    }
}

/// [`ErrorKind::Busy`].
impl From<Empty> for Error {
    fn from(Empty: Empty) -> Self {
        Self::new(ErrorKind::Busy, EMPTY)
    }
}

impl<T> fmt::Display for ShutDown<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(SHUT_DOWN)
    }
}

impl<T> fmt::Display for TryPutError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => FULL,
            Self::ShutDown(_) => SHUT_DOWN,
        })
    }
}

impl fmt::Display for TryGetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => EMPTY,
            Self::ShutDown => SHUT_DOWN,
        })
    }
}

impl fmt::Display for Empty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(EMPTY)
    }
}

impl<T> fmt::Debug for ShutDown<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ShutDown(..)")
    }
}

impl<T> fmt::Debug for TryPutError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full(_) => f.write_str("Full(..)"),
            Self::ShutDown(_) => f.write_str("ShutDown(..)"),
        }
    }
}

impl<T> std::error::Error for ShutDown<T> {}
impl<T> std::error::Error for TryPutError<T> {}
impl std::error::Error for TryGetError {}
impl std::error::Error for Empty {}
