//! Errors of queues: one small type an operation, and what was not put comes back.

use crate::error::{Error, ErrorKind};
use std::fmt;

/// Why [`Queue::put`](crate::Queue::put) put nothing.
pub enum PutError<T> {
    /// The queue is closed.
    Closed(T),
    /// The value does not serialise, the arena is full, or the queue is gone.
    Failed(T, Error),
}

/// Why [`Queue::try_put`](crate::Queue::try_put) or [`Queue::put_timeout`](crate::Queue::put_timeout) put nothing.
pub enum TryPutError<T> {
    /// There is no room, or there was none in time.
    Full(T),
    /// The queue is closed.
    Closed(T),
    /// The value does not serialise, the arena is full, or the queue is gone.
    Failed(T, Error),
}

/// Why [`Queue::get`](crate::Queue::get) got nothing.
#[derive(Debug)]
pub enum GetError {
    /// The queue is closed and empty.
    Closed,
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
    /// The message does not decode (it is gone, the queue goes on), or the queue is gone.
    Failed(Error),
}

impl<T> PutError<T> {
    /// The value that was not put.
    pub fn into_inner(self) -> T {
        match self {
            Self::Closed(value) | Self::Failed(value, _) => value,
        }
    }
}

impl<T> TryPutError<T> {
    /// The value that was not put.
    pub fn into_inner(self) -> T {
        match self {
            Self::Full(value) | Self::Closed(value) | Self::Failed(value, _) => value,
        }
    }
}

fn closed() -> Error {
    Error::new(ErrorKind::Closed, "the queue")
}

impl<T> From<PutError<T>> for Error {
    fn from(error: PutError<T>) -> Self {
        match error {
            PutError::Closed(_) => closed(),
            PutError::Failed(_, error) => error,
        }
    }
}

impl<T> From<TryPutError<T>> for Error {
    fn from(error: TryPutError<T>) -> Self {
        match error {
            TryPutError::Full(_) => Self::new(ErrorKind::Busy, "the queue is full"),
            TryPutError::Closed(_) => closed(),
            TryPutError::Failed(_, error) => error,
        }
    }
}

impl From<GetError> for Error {
    fn from(error: GetError) -> Self {
        match error {
            GetError::Closed => closed(),
            GetError::Failed(error) => error,
        }
    }
}

impl From<TryGetError> for Error {
    fn from(error: TryGetError) -> Self {
        match error {
            TryGetError::Empty => Self::new(ErrorKind::Busy, "the queue is empty"),
            TryGetError::Closed => closed(),
            TryGetError::Failed(error) => error,
        }
    }
}

impl<T> fmt::Display for PutError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed(_) => f.write_str("the queue is closed"),
            Self::Failed(_, error) => error.fmt(f),
        }
    }
}

impl<T> fmt::Display for TryPutError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full(_) => f.write_str("the queue is full"),
            Self::Closed(_) => f.write_str("the queue is closed"),
            Self::Failed(_, error) => error.fmt(f),
        }
    }
}

impl fmt::Display for GetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("the queue is closed"),
            Self::Failed(error) => error.fmt(f),
        }
    }
}

impl fmt::Display for TryGetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the queue is empty"),
            Self::Closed => f.write_str("the queue is closed"),
            Self::Failed(error) => error.fmt(f),
        }
    }
}

impl<T> fmt::Debug for PutError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed(_) => f.write_str("Closed(..)"),
            Self::Failed(_, error) => write!(f, "Failed(.., {error:?})"),
        }
    }
}

impl<T> fmt::Debug for TryPutError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full(_) => f.write_str("Full(..)"),
            Self::Closed(_) => f.write_str("Closed(..)"),
            Self::Failed(_, error) => write!(f, "Failed(.., {error:?})"),
        }
    }
}

impl<T> std::error::Error for PutError<T> {}
impl<T> std::error::Error for TryPutError<T> {}
impl std::error::Error for GetError {}
impl std::error::Error for TryGetError {}
