//! Many values at once, and one after the other until there are no more.

use super::error::{GetError, TryGetError};
use super::ring::{Gotten, Ring, Taking};
use super::values;
use crate::error::{Error, ErrorKind};
use crate::sys::clock::Deadline;
use serde::de::DeserializeOwned;
use std::fmt;
use std::iter::FusedIterator;
use std::marker::PhantomData;

/// Values that were got together, by [`Queue::get_many`](crate::Queue::get_many) or
/// [`Receiver::recv_many`](crate::Receiver::recv_many).
///
/// An iterator; each value is decoded when it is asked for. One that does not decode is an `Err`, and the others come all the same.
/// They are out of the queue: who drops the batch, or dies with it, loses those that it has not looked at.
pub struct Batch<T> {
    payloads: Gotten,
    next: usize,
    /// A single value that came in a block.
    alone: Option<Taking>,
    values: PhantomData<fn() -> T>,
}

impl<T> Batch<T> {
    pub(super) fn new(payloads: Gotten, alone: Option<Taking>) -> Self {
        Self {
            alone: alone.filter(|_| payloads.len() == 0),
            payloads,
            next: 0,
            values: PhantomData,
        }
    }
}

impl<T: DeserializeOwned + 'static> Iterator for Batch<T> {
    type Item = Result<T, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(mut taking) = self.alone.take() {
            return Some(values::decode(&mut taking));
        }
        let (bytes, by) = self.payloads.get(self.next)?;
        self.next += 1;
        Some(values::decode_bytes(bytes, by))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.payloads.len() - self.next + usize::from(self.alone.is_some());
        (left, Some(left))
    }
}

impl<T: DeserializeOwned + 'static> ExactSizeIterator for Batch<T> {}
impl<T: DeserializeOwned + 'static> FusedIterator for Batch<T> {}

impl<T> fmt::Debug for Batch<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch")
            .field("got", &self.payloads.len().max(self.next))
            .finish_non_exhaustive()
    }
}

/// The values of a queue, one after the other, until it is closed and empty.
///
/// A value that does not decode is an `Err`, and the next one may be had; after any other error there is nothing more.
pub struct Iter<'a, T> {
    ring: Ring,
    ended: bool,
    handle: PhantomData<&'a ()>,
    values: PhantomData<fn() -> T>,
}

impl<T> Iter<'_, T> {
    /// The handle that the ring belongs to is borrowed as long as the iterator.
    pub(super) fn new(ring: Ring) -> Self {
        Self {
            ring,
            ended: false,
            handle: PhantomData,
            values: PhantomData,
        }
    }
}

/// What an iterator makes of one attempt to get.
pub(super) fn item<T>(got: Result<T, TryGetError>, ended: &mut bool) -> Option<Result<T, Error>> {
    let error = match got.map_err(TryGetError::patient) {
        Ok(value) => return Some(Ok(value)),
        Err(GetError::Closed | GetError::Disconnected) => None,
        Err(GetError::Failed(error)) => Some(Err(error)),
    };
    *ended = !matches!(&error, Some(Err(error)) if error.kind() == ErrorKind::Decode);
    error
}

impl<T: DeserializeOwned + 'static> Iterator for Iter<'_, T> {
    type Item = Result<T, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        item(values::get(self.ring, Deadline::NEVER), &mut self.ended)
    }
}

impl<T: DeserializeOwned + 'static> FusedIterator for Iter<'_, T> {}

impl<T> fmt::Debug for Iter<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Iter").finish_non_exhaustive()
    }
}
