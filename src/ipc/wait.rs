//! `wait`: which of many can be received from?

use crate::error::{Error, ErrorKind, Result};
use crate::sys::clock::Deadline;
use crate::sys::companions;
use nix::poll::{PollFd, PollFlags};
use std::os::fd::AsFd;
use std::time::Duration;

/// Waits until something can be received from at least one of `objects`, and answers which: the indices of exactly those that are ready, in order.
/// None are when the time is up; `None` waits for ever.
///
/// An object is a [`Connection`](crate::Connection) (a message, or the end), a [`Listener`](crate::Listener) (somebody to accept), the
/// [sentinel](crate::Process::sentinel) of a process (its end), or anything else with a descriptor. One that is still readable is ready
/// again with the next call. A [half](crate::Connection::split) that sends is ready when its other half could receive; a listener with a key when
/// there may be somebody, so call [`try_accept`](crate::Listener::try_accept) then.
///
/// **When a process dies**, its sentinel and the other ends of its connections become ready.
///
/// # Errors
/// [`ErrorKind::InvalidInput`] when nothing is waited for and there is no timeout; [`ErrorKind::Os`].
///
/// # Panics
/// When a connection or listener was closed here.
///
/// # Differences from Python
/// It answers indices, where Python answers the objects. The same object twice is no error.
///
/// # Examples
/// ```
/// use multiproc::{Pipe, Process, wait};
/// use std::time::Duration;
///
/// let (one, other) = Pipe::<u8>::new()?;
/// let process = Process::builder(|| (), ()).start()?;
/// let sentinel = process.sentinel()?;
/// assert_eq!(wait(&[&one, &sentinel], None)?, [1]);
/// other.send(&1)?;
/// assert_eq!(wait(&[&one, &sentinel], Some(Duration::ZERO))?, [0, 1]);
/// # drop(sentinel);
/// # process.join()?;
/// # Ok::<(), multiproc::Error>(())
/// ```
pub fn wait(objects: &[&dyn AsFd], timeout: Option<Duration>) -> Result<Vec<usize>> {
    if objects.is_empty() && timeout.is_none() {
        let text = "a wait for nothing, for ever";
        return Err(Error::new(ErrorKind::InvalidInput, text));
    }
    let fds = objects.iter().map(|object| object.as_fd());
    let mut fds: Vec<PollFd<'_>> = fds.map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
    let deadline = timeout.map_or(Deadline::NEVER, Deadline::after);
    let ready = companions::poll_until(&mut fds, deadline);
    ready.map_err(|error| Error::os("wait for several", error))?;
    let is_ready = |fd: &PollFd<'_>| fd.revents().is_none_or(|events| !events.is_empty());
    let ready = fds.iter().enumerate().filter(|(_, fd)| is_ready(fd));
    Ok(ready.map(|(index, _)| index).collect())
}
