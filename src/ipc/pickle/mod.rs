//! Values as Python's pickles: what `send` and `recv` of a program in Python understand.

mod shape;

use super::connection::Connection;
use crate::error::{Error, ErrorKind, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_pickle::{DeOptions, SerOptions};
use std::fmt;
use std::time::Duration;

/// The feature `python`: values as pickles.
///
/// A struct is a dictionary, a tuple a tuple, a `Vec` a list, `None` is `None`, an enum as serde has it: `"Variant"`, or
/// `{"Variant": value}`. Python's `bytes` are no list of numbers: a `Vec<u8>` is sent as a list, and receives only a list; the types of the
/// crate `serde_bytes` (`ByteBuf`, or `#[serde(with = "serde_bytes")]`) are sent as `bytes`, and receive `bytes` and `bytearray`. Sets
/// arrive as sequences. Integers are received up to 64 bits with a sign.
///
/// A pickle can tell Python to call any function. Here it cannot: it is data, and nothing is looked up by name. An instance of a class in Python
/// arrives as the dictionary of its attributes. What refers to itself, has more than 128 levels, or takes more than
/// [`max_message`](Connection::max_message) by what it repeats and by its tuples of more than three values (4 KiB each while they are
/// decoded), is refused before it takes any memory.
impl<S, R> Connection<S, R> {
    /// Sends a value as a pickle, which Python's `recv` understands.
    ///
    /// **When the process at the other end dies**, as [`send`](Self::send).
    ///
    /// # Errors
    /// As [`send_bytes`](Self::send_bytes), and [`ErrorKind::Encode`] when the value does not serialise: nothing was sent then.
    ///
    /// # Examples
    /// ```
    /// let (one, other) = multiproc::Pipe::<()>::new()?;
    /// one.send_pickle(&("a", 1, [2.5]))?;
    /// let received: (String, i64, Vec<f64>) = other.recv_pickle()?;
    /// assert_eq!(received, ("a".to_string(), 1, vec![2.5]));
    /// # Ok::<(), multiproc::Error>(())
    /// ```
    pub fn send_pickle<V: Serialize + ?Sized>(&self, value: &V) -> Result<()> {
        let mut bytes = Vec::new();
        let written = serde_pickle::to_writer(&mut bytes, &value, SerOptions::new());
        written.map_err(|error| failed::<V>(ErrorKind::Encode, &error))?;
        self.send_bytes(&bytes)
    }

    /// Receives a pickle, as Python's `send` sends it.
    ///
    /// **When the process at the other end dies**, as [`recv`](Self::recv).
    ///
    /// # Errors
    /// As [`recv_bytes`](Self::recv_bytes), and [`ErrorKind::Decode`] when what came is no `V`: that message is gone, and the connection goes on.
    pub fn recv_pickle<V: DeserializeOwned>(&self) -> Result<V> {
        self.unpickle(&self.recv_bytes()?)
    }

    /// Receives a pickle, if one comes in time.
    ///
    /// # Errors
    /// As [`recv_pickle`](Self::recv_pickle), and [`ErrorKind::TimedOut`].
    pub fn recv_pickle_timeout<V: DeserializeOwned>(&self, timeout: Duration) -> Result<V> {
        self.unpickle(&self.recv_bytes_timeout(timeout)?)
    }

    fn unpickle<V: DeserializeOwned>(&self, bytes: &[u8]) -> Result<V> {
        let fit = shape::check(bytes, self.max_message());
        fit.map_err(|unfit| failed::<V>(ErrorKind::Decode, &unfit))?;
        let value = serde_pickle::from_slice(bytes, DeOptions::new());
        value.map_err(|error| failed::<V>(ErrorKind::Decode, &error))
    }
}

fn failed<V: ?Sized>(kind: ErrorKind, error: &dyn fmt::Display) -> Error {
    Error::new(kind, format!("{}: {error}", std::any::type_name::<V>()))
}
