//! `Event`: a flag that many wait for.

use super::algorithm::EventWords;
use super::home::{Home, Travels};
use crate::error::Result;
use crate::sys::clock::Deadline;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;

/// A flag between processes (`multiproc::Event`) or threads (`multiproc::threading::Event`): some wait until others set it.
///
/// Clones are the same event, and the process one travels like a [`Lock`](super::Lock).
///
/// **When a process dies** that had set the flag, or was about to, the flag is set or it is not, and who waits learns so within 50 ms; at
/// once when the dead one was reaped by its parent. Nobody but that can be the matter: an event has no owner.
///
/// # Differences from Python
/// [`set`](Self::set) followed at once by [`clear`](Self::clear) still releases all who waited. `set` takes no lock, so it is allowed
/// in a signal handler (on an event that this process has used before).
///
/// # Examples
/// ```
/// use multiproc::{Event, Process};
///
/// let go = Event::new()?;
/// let mut process = Process::new(|go: Event| go.wait().expect("the event is there"), (go.clone(),));
/// process.start()?;
/// go.set()?;
/// assert_eq!(process.join()?, 0);
/// # Ok::<(), multiproc::Error>(())
/// ```
#[derive(Clone, Serialize, Deserialize)]
#[serde(
    transparent,
    bound(serialize = "H: Travels", deserialize = "H: Travels")
)]
pub struct Event<H: Home> {
    words: H::Of<EventWords>,
}

impl<H: Home> Event<H> {
    /// Makes an event that is not set.
    ///
    /// # Errors
    /// Between processes: [`ErrorKind::NoSpace`](crate::ErrorKind::NoSpace) when the arena is full. Between threads: never.
    pub fn new() -> Result<Self> {
        let words = H::create()?;
        Ok(Self { words })
    }

    /// Is the flag set?
    #[must_use]
    #[inline]
    pub fn is_set(&self) -> bool {
        H::words(&self.words).is_set()
    }

    /// Sets the flag and releases all who wait.
    ///
    /// # Errors
    /// [`ErrorKind::StaleHandle`](crate::ErrorKind::StaleHandle) when the event is gone.
    #[inline]
    pub fn set(&self) -> Result<()> {
        H::join()?;
        H::check(&self.words)?;
        H::words(&self.words).set::<H>();
        Ok(())
    }

    /// Clears the flag. Who waited when it was set goes on all the same.
    ///
    /// # Errors
    /// [`ErrorKind::StaleHandle`](crate::ErrorKind::StaleHandle) when the event is gone.
    #[inline]
    pub fn clear(&self) -> Result<()> {
        H::join()?;
        H::check(&self.words)?;
        H::words(&self.words).clear();
        Ok(())
    }

    /// Waits until the flag is set, as long as it takes.
    ///
    /// # Errors
    /// [`ErrorKind::StaleHandle`](crate::ErrorKind::StaleHandle) when the event is gone, and where this process cannot join the
    /// family.
    #[inline]
    pub fn wait(&self) -> Result<()> {
        self.wait_until(Deadline::NEVER).map(|_| ())
    }

    /// Waits until the flag is set, for `timeout` at most; a time beyond the clock's range is for ever. The answer is whether it was
    /// set, at this moment or meanwhile.
    ///
    /// # Errors
    /// As [`wait`](Self::wait).
    pub fn wait_timeout(&self, timeout: Duration) -> Result<bool> {
        self.wait_until(Deadline::after(timeout))
    }

    #[inline]
    fn wait_until(&self, deadline: Deadline) -> Result<bool> {
        H::me()?;
        H::check(&self.words)?;
        let was_set = H::words(&self.words).wait::<H>(deadline);
        H::check(&self.words)?;
        Ok(was_set)
    }
}

impl<H: Home> fmt::Debug for Event<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event")
            .field("is_set", &self.is_set())
            .finish_non_exhaustive()
    }
}
