//! `Pipe` between threads: two ends of a connection that carries values as they are.

use crate::error::{Error, ErrorKind, Result};
use crate::sync::{Semaphore, SemaphoreGuard, WithinProcess};
use crate::sys::atomic::{Acquire, AtomicBool, Release};
use crate::sys::private::Private;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

/// Makes two connected [`Connection`]s between threads: [`Pipe`](crate::Pipe) with the same verbs.
///
/// # Examples
/// ```
/// use multiproc::dummy::Pipe;
///
/// let (one, other) = Pipe::<String>::new()?;
/// one.send(&"there".to_string())?;
/// assert_eq!(other.recv()?, "there");
/// drop(one);
/// assert_eq!(other.recv().unwrap_err().kind(), multiproc::ErrorKind::Disconnected);
/// # Ok::<(), multiproc::Error>(())
/// ```
#[derive(Debug)]
pub struct Pipe<S, R = S> {
    _never: Infallible,
    types: PhantomData<fn(S) -> R>,
}

impl<S, R> Pipe<S, R> {
    /// Two ends, each of which sends and receives: what one sends the other receives.
    ///
    /// # Errors
    /// None: a [`Pipe`](crate::Pipe) between processes has some.
    #[expect(clippy::new_ret_no_self, reason = "a pipe is its two ends")]
    pub fn new() -> Result<(Connection<S, R>, Connection<R, S>)> {
        let (there, back) = (Arc::new(Way::new()?), Arc::new(Way::new()?));
        let one = Connection::of(Some(Arc::clone(&there)), Some(Arc::clone(&back)));
        Ok((one, Connection::of(Some(back), Some(there))))
    }
}

impl<T> Pipe<T> {
    /// An end that receives and one that sends, in this order.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn one_way() -> Result<(Connection<T>, Connection<T>)> {
        let way = Arc::new(Way::new()?);
        let receiver = Connection::of(None, Some(Arc::clone(&way)));
        Ok((receiver, Connection::of(Some(way), None)))
    }
}

/// One direction.
struct Way<T> {
    values: Private<VecDeque<T>>,
    /// A permit for each value; when one end is gone, one more, which is always given back.
    there: Semaphore<WithinProcess>,
    over: AtomicBool,
}

impl<T> Way<T> {
    fn new() -> Result<Self> {
        Ok(Self {
            values: Private::new(VecDeque::new()),
            there: Semaphore::new(0)?,
            over: AtomicBool::new(false),
        })
    }

    fn end(&self) {
        self.over.store(true, Release);
        let _more_values_than_permits = self.there.release();
    }

    fn put(&self, value: T) -> Result<()> {
        if self.over.load(Acquire) {
            return Err(Error::new(ErrorKind::Disconnected, "of the pipe"));
        }
        self.values.lock().push_back(value);
        self.there.release()
    }

    /// The value for which `permit` was taken; none at the end.
    fn take(&self, permit: Permit<'_>) -> Result<T> {
        permit.forget();
        let value = self.values.lock().pop_front();
        value.map_or_else(
            || {
                // For whoever asks next.
                self.there.release()?;
                Err(Error::new(ErrorKind::Disconnected, "of the pipe"))
            },
            Ok,
        )
    }
}

type Permit<'a> = SemaphoreGuard<'a, WithinProcess>;

/// One end of a [`Pipe`] between threads: [`Connection`](crate::Connection) with the same verbs.
///
/// Values are cloned into the pipe and never serialised. When one end is dropped or closed, the other one receives what was sent, and
/// then the end; it can send no more. It serialises, as far as its type says, so that programs for processes take it as it is; to send it
/// to another process is an error.
pub struct Connection<S, R = S> {
    out: Option<Arc<Way<S>>>,
    into: Option<Arc<Way<R>>>,
    closed: bool,
}

impl<S, R> Connection<S, R> {
    fn of(out: Option<Arc<Way<S>>>, into: Option<Arc<Way<R>>>) -> Self {
        let closed = false;
        Self { out, into, closed }
    }

    fn way<'a, T>(&self, way: Option<&'a Arc<Way<T>>>, text: &str) -> Result<&'a Way<T>> {
        if self.closed {
            return Err(Error::new(ErrorKind::Closed, "this end of the pipe"));
        }
        let way = way.map(|way| &**way);
        way.ok_or_else(|| Error::new(ErrorKind::Misuse, text))
    }

    fn inwards(&self) -> Result<&Way<R>> {
        self.way(self.into.as_ref(), "this end of the pipe only sends")
    }

    /// Sends a clone of the value. It never waits.
    ///
    /// # Errors
    /// [`ErrorKind::Disconnected`] when the other end is gone; [`ErrorKind::Closed`]; [`ErrorKind::Misuse`] when this end only receives.
    pub fn send(&self, value: &S) -> Result<()>
    where
        S: Clone,
    {
        let out = self.way(self.out.as_ref(), "this end of the pipe only receives")?;
        out.put(value.clone())
    }

    /// Receives a value.
    ///
    /// # Errors
    /// [`ErrorKind::Disconnected`] at the end; [`ErrorKind::Closed`]; [`ErrorKind::Misuse`] when this end only sends.
    pub fn recv(&self) -> Result<R> {
        let way = self.inwards()?;
        way.take(way.there.acquire()?)
    }

    /// Receives a value, if one comes in time.
    ///
    /// # Errors
    /// As [`recv`](Self::recv), and [`ErrorKind::TimedOut`].
    pub fn recv_timeout(&self, timeout: Duration) -> Result<R> {
        let way = self.inwards()?;
        let permit = way.there.acquire_timeout(timeout);
        let late = |_| Error::new(ErrorKind::TimedOut, "nothing came through the pipe");
        way.take(permit.map_err(late)?)
    }

    /// Receives a value if there is one.
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    pub fn try_recv(&self) -> Result<Option<R>> {
        let way = self.inwards()?;
        match way.there.try_acquire() {
            Ok(permit) => way.take(permit).map(Some),
            Err(_) => Ok(None),
        }
    }

    /// Is there something to receive, or the end, at this instant?
    ///
    /// # Errors
    /// As [`recv`](Self::recv), but not at the end.
    pub fn poll(&self) -> Result<bool> {
        Ok(!self.inwards()?.there.locked())
    }

    /// Waits until there is something to receive, or the end (`true`), or the time is up.
    ///
    /// # Errors
    /// As [`poll`](Self::poll).
    pub fn poll_timeout(&self, timeout: Duration) -> Result<bool> {
        // Dropping the permit gives it back.
        Ok(self.inwards()?.there.acquire_timeout(timeout).is_ok())
    }

    /// What comes, until the end.
    pub fn iter(&self) -> impl Iterator<Item = Result<R>> {
        let mut goes_on = true;
        std::iter::from_fn(move || {
            let received = goes_on.then(|| self.recv())?;
            goes_on = received.is_ok();
            let kind = received.as_ref().err().map(Error::kind);
            (kind != Some(ErrorKind::Disconnected)).then_some(received)
        })
    }

    /// Closes this end. Closing twice does nothing.
    pub fn close(&mut self) {
        if !std::mem::replace(&mut self.closed, true) {
            self.out.iter().for_each(|way| way.end());
            self.into.iter().for_each(|way| way.end());
        }
    }

    /// Was this end closed?
    #[must_use]
    #[doc(alias = "closed")]
    pub fn is_closed(&self) -> bool {
        self.closed
    }
}

impl<S, R> Drop for Connection<S, R> {
    fn drop(&mut self) {
        self.close();
    }
}

impl<S, R> fmt::Debug for Connection<S, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("closed", &self.closed)
            .finish_non_exhaustive()
    }
}

stays!(Connection<S, R>);
