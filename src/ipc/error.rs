//! Errors of queues: one small type an operation, and what was not put comes back.

use super::ring::{GetFailure, PutFailure};
use crate::error::{Error, ErrorKind};
use std::fmt;

/// Why [`Queue::put`](crate::Queue::put) put nothing.
pub enum PutError<T> {
    /// The queue is closed.
    Closed(T),
    /// The queue was split, and nobody is left who could get.
    Disconnected(T),
    /// The value does not serialise, the arena is full, or the queue is gone.
    Failed(T, Error),
}

/// Why [`Queue::try_put`](crate::Queue::try_put) or [`Queue::put_timeout`](crate::Queue::put_timeout) put nothing.
pub enum TryPutError<T> {
    /// There is no room, or there was none in time.
    Full(T),
    /// The queue is closed.
    Closed(T),
    /// The queue was split, and nobody is left who could get.
    Disconnected(T),
    /// The value does not serialise, the arena is full, or the queue is gone.
    Failed(T, Error),
}

/// Why [`Queue::get`](crate::Queue::get) got nothing.
#[derive(Debug)]
pub enum GetError {
    /// The queue is closed and empty.
    Closed,
    /// The queue was split and is empty, and nobody is left who could put.
    Disconnected,
    /// The message does not decode (it is gone, the queue goes on), or the queue is gone.
    Failed(Error),
}

/// Why [`Queue::try_get`](crate::Queue::try_get) or [`Queue::get_timeout`](crate::Queue::get_timeout) got nothing.
#[derive(Debug)]
pub enum TryGetError {
    /// There is nothing, or there was nothing in time.
    Empty,
    /// The queue is closed and empty.
    Closed,
    /// The queue was split and is empty, and nobody is left who could put.
    Disconnected,
    /// The message does not decode (it is gone, the queue goes on), or the queue is gone.
    Failed(Error),
}

impl<T> PutError<T> {
    /// The value that was not put.
    pub fn into_inner(self) -> T {
        match self {
            Self::Closed(value) | Self::Disconnected(value) | Self::Failed(value, _) => value,
        }
    }
}

impl<T> TryPutError<T> {
    /// The same failure of a verb that had no deadline.
    pub(super) fn patient(self) -> PutError<T> {
        match self {
            Self::Closed(value) => PutError::Closed(value),
            Self::Disconnected(value) => PutError::Disconnected(value),
            Self::Failed(value, error) => PutError::Failed(value, error),
            Self::Full(value) => PutError::Failed(value, ErrorKind::Busy.into()),
        }
    }

    /// The failure of the ring, with what was not put.
    pub(super) fn of(failure: PutFailure, value: T) -> Self {
        match failure {
            PutFailure::Full => Self::Full(value),
            PutFailure::Closed => Self::Closed(value),
            PutFailure::Disconnected => Self::Disconnected(value),
            PutFailure::Failed(error) => Self::Failed(value, error),
        }
    }

    pub(super) fn map<U>(self, how: impl FnOnce(T) -> U) -> TryPutError<U> {
        match self {
            Self::Full(value) => TryPutError::Full(how(value)),
            Self::Closed(value) => TryPutError::Closed(how(value)),
            Self::Disconnected(value) => TryPutError::Disconnected(how(value)),
            Self::Failed(value, error) => TryPutError::Failed(how(value), error),
        }
    }

    /// The value that was not put.
    pub fn into_inner(self) -> T {
        match self {
            Self::Full(value)
            | Self::Closed(value)
            | Self::Disconnected(value)
            | Self::Failed(value, _) => value,
        }
    }
}

impl TryGetError {
    /// The same failure of a verb that had no deadline.
    pub(super) fn patient(self) -> GetError {
        match self {
            Self::Closed => GetError::Closed,
            Self::Disconnected => GetError::Disconnected,
            Self::Failed(error) => GetError::Failed(error),
            Self::Empty => GetError::Failed(ErrorKind::Busy.into()),
        }
    }
}

impl From<GetFailure> for TryGetError {
    fn from(failure: GetFailure) -> Self {
        match failure {
            GetFailure::Empty => Self::Empty,
            GetFailure::Closed => Self::Closed,
            GetFailure::Disconnected => Self::Disconnected,
            GetFailure::Failed(error) => Self::Failed(error),
        }
    }
}

const NOBODY: &str = "nobody is left at the other end of the queue";

fn closed() -> Error {
    Error::new(ErrorKind::Closed, "the queue")
}

fn disconnected() -> Error {
    Error::new(ErrorKind::Disconnected, "of the queue")
}

impl<T> From<PutError<T>> for Error {
    fn from(error: PutError<T>) -> Self {
        match error {
            PutError::Closed(_) => closed(),
            PutError::Disconnected(_) => disconnected(),
            PutError::Failed(_, error) => error,
        }
    }
}

impl<T> From<TryPutError<T>> for Error {
    fn from(error: TryPutError<T>) -> Self {
        match error {
            TryPutError::Full(_) => Self::new(ErrorKind::Busy, "the queue is full"),
            TryPutError::Closed(_) => closed(),
            TryPutError::Disconnected(_) => disconnected(),
            TryPutError::Failed(_, error) => error,
        }
    }
}

impl From<GetError> for Error {
    fn from(error: GetError) -> Self {
        match error {
            GetError::Closed => closed(),
            GetError::Disconnected => disconnected(),
            GetError::Failed(error) => error,
        }
    }
}

impl From<TryGetError> for Error {
    fn from(error: TryGetError) -> Self {
        match error {
            TryGetError::Empty => Self::new(ErrorKind::Busy, "the queue is empty"),
            TryGetError::Closed => closed(),
            TryGetError::Disconnected => disconnected(),
            TryGetError::Failed(error) => error,
        }
    }
}

impl<T> fmt::Display for PutError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed(_) => f.write_str("the queue is closed"),
            Self::Disconnected(_) => f.write_str(NOBODY),
            Self::Failed(_, error) => error.fmt(f),
        }
    }
}

impl<T> fmt::Display for TryPutError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full(_) => f.write_str("the queue is full"),
            Self::Closed(_) => f.write_str("the queue is closed"),
            Self::Disconnected(_) => f.write_str(NOBODY),
            Self::Failed(_, error) => error.fmt(f),
        }
    }
}

impl fmt::Display for GetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("the queue is closed"),
            Self::Disconnected => f.write_str(NOBODY),
            Self::Failed(error) => error.fmt(f),
        }
    }
}

impl fmt::Display for TryGetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the queue is empty"),
            Self::Closed => f.write_str("the queue is closed"),
            Self::Disconnected => f.write_str(NOBODY),
            Self::Failed(error) => error.fmt(f),
        }
    }
}

impl<T> fmt::Debug for PutError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed(_) => f.write_str("Closed(..)"),
            Self::Disconnected(_) => f.write_str("Disconnected(..)"),
            Self::Failed(_, error) => write!(f, "Failed(.., {error:?})"),
        }
    }
}

impl<T> fmt::Debug for TryPutError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full(_) => f.write_str("Full(..)"),
            Self::Closed(_) => f.write_str("Closed(..)"),
            Self::Disconnected(_) => f.write_str("Disconnected(..)"),
            Self::Failed(_, error) => write!(f, "Failed(.., {error:?})"),
        }
    }
}

impl<T> std::error::Error for PutError<T> {}
impl<T> std::error::Error for TryPutError<T> {}
impl std::error::Error for GetError {}
impl std::error::Error for TryGetError {}
