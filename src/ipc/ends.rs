//! The two ends of a queue that was split: each knows when nobody is left at the other.
//!
//! An end is an object of its own, held by all who have a handle of it. When it ends, its [epitaph](crate::shm::epitaph) closes the
//! queue. A block of its carries a handle of the queue, which therefore lives as long as either end.

use super::batch::{Batch, Iter};
use super::error::{GetError, PutError, TryGetError, TryPutError};
use super::queue::Queue;
use super::ring::Ring;
use super::values;
use crate::error::Result;
use crate::shm::blocks::Owner;
use crate::shm::epitaph::Epitaph;
use crate::shm::layout::Kind;
use crate::shm::{Handle, handle, member, message};
use crate::sys::atomic::Acquire;
use crate::sys::clock::Deadline;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

impl<T> Queue<T> {
    /// Splits the queue into two ends, each of which knows when nobody is left at the other.
    ///
    /// An end is a handle: it can be cloned, be an argument, lie in a queue. When the last [`Sender`] is dropped, or the last process
    /// that has one dies, [`recv`](Receiver::recv) gives what is left and then says [`Disconnected`](GetError::Disconnected); when the
    /// last [`Receiver`] is gone, [`send`](Sender::send) says so. An end under way in a message counts. Clones of the `Queue` itself do
    /// not: they are told the same as the ends.
    ///
    /// A child started by `fork` has copies of all handles of its parent, as with pipes: they count until it ends. The arguments of a
    /// pool's task count until its result is asked for or dropped. An end that a process was about to put into a message, or to take out
    /// of one, when it was killed, within some ten instructions, counts for ever: who must not wait for ever for that sets a timeout.
    ///
    /// # Errors
    /// [`ErrorKind::Misuse`](crate::ErrorKind::Misuse) when the queue was split before; [`ErrorKind::NoSpace`](crate::ErrorKind::NoSpace)
    /// when the arena is full.
    ///
    /// # Examples
    /// ```
    /// use multiproc::{GetError, Process, Queue, Sender};
    ///
    /// let (sender, receiver) = Queue::new()?.split()?;
    /// let child = |sender: Sender<u32>| sender.send(7).expect("somebody reads");
    /// let mut process = Process::new(child, (sender,));
    /// process.start()?; // The sender goes with its arguments.
    /// assert_eq!(receiver.recv()?, 7);
    /// assert!(matches!(receiver.recv(), Err(GetError::Disconnected)));
    /// # Ok::<(), multiproc::Error>(())
    /// ```
    pub fn split(self) -> Result<(Sender<T>, Receiver<T>)> {
        let (senders, receivers) = (self.end(Kind::Senders)?, self.end(Kind::Receivers)?);
        self.ring().claim_ends(&senders, &receivers)?;
        Ok((
            Sender::from_handle(senders)?,
            Receiver::from_handle(receivers)?,
        ))
    }

    /// An object that is an end of this queue, and does not tell of its end yet.
    fn end(&self, kind: Kind) -> Result<Handle> {
        let end = Handle::create(kind)?;
        let own = Owner::member(member::own()?.slot);
        let carrier = message::store_for(1, &[], own)?;
        end.keep(carrier)?;
        // As late as can be: killed right after it, we would have taken the queue with us for ever.
        message::put_aboard(carrier, 0, self.handle())?;
        self.ring().note_end(end.cell().body());
        Ok(end)
    }
}

/// The ring that an end belongs to.
fn ring_of(end: &Handle) -> Result<Ring> {
    let epitaph: &Epitaph = end.cell().body();
    Ring::named(epitaph.object.load(Acquire))
}

/// The end of a [split](Queue::split) queue where values are put.
///
/// It is a handle: clones are the same end.
pub struct Sender<T> {
    handle: Handle,
    ring: Ring,
    values: PhantomData<fn(T)>,
}

/// The end of a [split](Queue::split) queue where values are got.
///
/// It is a handle: clones are the same end, and each value is got by one of them.
pub struct Receiver<T> {
    handle: Handle,
    ring: Ring,
    values: PhantomData<fn() -> T>,
}

/// What both ends have.
macro_rules! end {
    ($name:ident, $kind:expr) => {
        impl<T> $name<T> {
            fn from_handle(handle: Handle) -> Result<Self> {
                Ok(Self {
                    ring: ring_of(&handle)?,
                    handle,
                    values: PhantomData,
                })
            }

            /// The number of values in the queue at this instant.
            #[must_use]
            pub fn len(&self) -> usize {
                self.ring.len()
            }

            /// Is there nothing in the queue at this instant?
            #[must_use]
            pub fn is_empty(&self) -> bool {
                self.len() == 0
            }

            /// Are there as many values in the queue as it takes?
            #[must_use]
            pub fn is_full(&self) -> bool {
                self.ring.is_full()
            }

            /// Ends the queue for everybody, as [`Queue::close`] does.
            pub fn close(&self) {
                self.ring.shut(false);
            }

            /// Will nothing more be put, because the queue was closed, or an end of it is gone?
            #[must_use]
            pub fn is_closed(&self) -> bool {
                self.ring.is_closed()
            }
        }

        impl<T> Clone for $name<T> {
            fn clone(&self) -> Self {
                Self {
                    handle: self.handle.clone(),
                    ..*self
                }
            }
        }

        impl<T> fmt::Debug for $name<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name))
                    .field("len", &self.len())
                    .finish_non_exhaustive()
            }
        }

        impl<T> Serialize for $name<T> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                self.handle.serialize(serializer)
            }
        }

        impl<'de, T> Deserialize<'de> for $name<T> {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let handle = handle::deserialize(deserializer, $kind)?;
                Self::from_handle(handle).map_err(serde::de::Error::custom)
            }
        }
    };
}

end!(Sender, Kind::Senders);
end!(Receiver, Kind::Receivers);

impl<T: Serialize + 'static> Sender<T> {
    /// Puts a value, waiting for room as long as it takes.
    ///
    /// # Errors
    /// [`PutError`] gives the value back; [`Disconnected`](PutError::Disconnected) when no receiver is left, also if that happens while
    /// this waits.
    pub fn send(&self, value: T) -> Result<(), PutError<T>> {
        values::put(self.ring, value, Deadline::NEVER).map_err(TryPutError::patient)
    }

    /// Puts a value if there is room.
    ///
    /// # Errors
    /// As [`send`](Self::send); [`TryPutError::Full`] when there is none.
    pub fn try_send(&self, value: T) -> Result<(), TryPutError<T>> {
        values::put(self.ring, value, Deadline::now())
    }

    /// Puts a value, waiting for room for `timeout` at most.
    ///
    /// # Errors
    /// As [`send`](Self::send); [`TryPutError::Full`] when there was none in time.
    pub fn send_timeout(&self, value: T, timeout: Duration) -> Result<(), TryPutError<T>> {
        values::put(self.ring, value, Deadline::after(timeout))
    }

    /// Puts values in their order, as [`Queue::put_many`] does.
    ///
    /// # Errors
    /// As [`send`](Self::send), with the values that were not put.
    pub fn send_many(&self, values: impl IntoIterator<Item = T>) -> Result<(), PutError<Vec<T>>> {
        values::put_many(self.ring, values, Deadline::NEVER).map_err(TryPutError::patient)
    }

    /// Puts as many of the values as there is room for.
    ///
    /// # Errors
    /// As [`try_send`](Self::try_send), with the values that were not put.
    pub fn try_send_many(
        &self,
        values: impl IntoIterator<Item = T>,
    ) -> Result<(), TryPutError<Vec<T>>> {
        values::put_many(self.ring, values, Deadline::now())
    }

    /// Puts values, waiting for room for `timeout` at most, all in all.
    ///
    /// # Errors
    /// As [`send_timeout`](Self::send_timeout), with the values that were not put.
    pub fn send_many_timeout(
        &self,
        values: impl IntoIterator<Item = T>,
        timeout: Duration,
    ) -> Result<(), TryPutError<Vec<T>>> {
        values::put_many(self.ring, values, Deadline::after(timeout))
    }
}

impl<T: DeserializeOwned + 'static> Receiver<T> {
    /// Gets the oldest value, waiting for one as long as it takes.
    ///
    /// # Errors
    /// [`GetError::Disconnected`] when there is none and no sender is left, also if that happens while this waits.
    pub fn recv(&self) -> Result<T, GetError> {
        values::get(self.ring, Deadline::NEVER).map_err(TryGetError::patient)
    }

    /// Gets the oldest value if there is one.
    ///
    /// # Errors
    /// As [`recv`](Self::recv); [`TryGetError::Empty`] when there is none.
    pub fn try_recv(&self) -> Result<T, TryGetError> {
        values::get(self.ring, Deadline::now())
    }

    /// Gets the oldest value, waiting for one for `timeout` at most.
    ///
    /// # Errors
    /// As [`recv`](Self::recv); [`TryGetError::Empty`] when there was none in time.
    pub fn recv_timeout(&self, timeout: Duration) -> Result<T, TryGetError> {
        values::get(self.ring, Deadline::after(timeout))
    }

    /// Gets the oldest values, at least one and `max` at most, as [`Queue::get_many`] does.
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    pub fn recv_many(&self, max: usize) -> Result<Batch<T>, GetError> {
        values::get_many(self.ring, max, Deadline::NEVER).map_err(TryGetError::patient)
    }

    /// Gets the oldest values, if there are any.
    ///
    /// # Errors
    /// As [`try_recv`](Self::try_recv).
    pub fn try_recv_many(&self, max: usize) -> Result<Batch<T>, TryGetError> {
        values::get_many(self.ring, max, Deadline::now())
    }

    /// Gets the oldest values, waiting for the first for `timeout` at most.
    ///
    /// # Errors
    /// As [`recv_timeout`](Self::recv_timeout).
    pub fn recv_many_timeout(
        &self,
        max: usize,
        timeout: Duration,
    ) -> Result<Batch<T>, TryGetError> {
        values::get_many(self.ring, max, Deadline::after(timeout))
    }

    /// The values one after the other, until the queue is empty and no sender is left.
    #[must_use]
    pub fn iter(&self) -> Iter<'_, T> {
        Iter::new(self.ring)
    }
}

impl<'a, T: DeserializeOwned + 'static> IntoIterator for &'a Receiver<T> {
    type Item = Result<T>;
    type IntoIter = Iter<'a, T>;

    fn into_iter(self) -> Iter<'a, T> {
        self.iter()
    }
}
