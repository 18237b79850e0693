//! `Pipe`: two ends of a connection, made at once.

use super::connection::Connection;
use super::stream::{Stream, Ways};
use crate::error::{Error, Result};
use crate::sys::stream;
use std::convert::Infallible;
use std::marker::PhantomData;
use std::os::fd::OwnedFd;

/// Makes two connected [`Connection`]s.
///
/// A pipe is what passes between two processes: both ends are made here, and one is given to another process.
/// [`Queue`](crate::Queue) is for more than two.
///
/// # Examples
/// ```
/// use multiproc::Pipe;
///
/// let (one, other) = Pipe::<String>::new()?;
/// one.send(&"there".to_string())?;
/// assert_eq!(other.recv()?, "there");
/// other.send(&"and back".to_string())?;
/// assert_eq!(one.recv()?, "and back");
/// # Ok::<(), multiproc::Error>(())
/// ```
///
/// With questions and answers of two types:
///
/// ```
/// use multiproc::{Connection, Pipe, Process};
///
/// fn measure(words: Connection<usize, String>) {
///     let word = words.recv().expect("a word");
///     words.send(&word.len()).expect("somebody asks");
/// }
///
/// let (ask, answer) = Pipe::<String, usize>::new()?;
/// let mut process = Process::new(measure, (answer,));
/// process.start()?;
/// ask.send(&"four".to_string())?;
/// assert_eq!(ask.recv()?, 4);
/// # process.join()?;
/// # Ok::<(), multiproc::Error>(())
/// ```
#[derive(Debug)]
pub struct Pipe<S, R = S> {
    _never: Infallible,
    types: PhantomData<fn(S) -> R>,
}

fn pair() -> Result<(OwnedFd, OwnedFd)> {
    stream::pair().map_err(|error| Error::os("make a pipe", error))
}

impl<S, R> Pipe<S, R> {
    /// Two ends, each of which sends and receives: what one sends the other receives.
    ///
    /// # Errors
    /// [`ErrorKind::Os`](crate::ErrorKind::Os) when there is no room for two descriptors.
    #[expect(clippy::new_ret_no_self, reason = "a pipe is its two ends")]
    pub fn new() -> Result<(Connection<S, R>, Connection<R, S>)> {
        let (one, other) = pair()?;
        let end = |fd| Stream::of_pair(fd, Ways::BOTH);
        Ok((Connection::of(end(one)), Connection::of(end(other))))
    }
}

impl<T> Pipe<T> {
    /// An end that receives and one that sends, in this order. Python's `Pipe(duplex=False)`.
    ///
    /// # Errors
    /// [`ErrorKind::Os`](crate::ErrorKind::Os) when there is no room for two descriptors.
    ///
    /// # Examples
    /// ```
    /// use multiproc::{ErrorKind, Pipe};
    ///
    /// let (receiver, sender) = Pipe::one_way()?;
    /// sender.send(&7)?;
    /// assert_eq!(receiver.recv()?, 7);
    /// assert_eq!(receiver.send(&7).unwrap_err().kind(), ErrorKind::Misuse);
    /// # Ok::<(), multiproc::Error>(())
    /// ```
    pub fn one_way() -> Result<(Connection<T>, Connection<T>)> {
        let (one, other) = pair()?;
        let receives = Ways {
            writable: false,
            ..Ways::BOTH
        };
        let sends = Ways {
            readable: false,
            ..Ways::BOTH
        };
        let receiver = Connection::of(Stream::of_pair(one, receives));
        Ok((receiver, Connection::of(Stream::of_pair(other, sends))))
    }
}
