//! `Barrier`: so many parties wait for each other, round after round.

use super::algorithm::{Arrival, BarrierWords, MOST_PARTIES};
use super::home::{Home, Travels, invalid};
use crate::call::{self, Call, Callable};
use crate::error::{ErrorKind, Result};
use crate::shm::WithinProcess;
use crate::sys::clock::Deadline;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::sync::Arc;
use std::time::Duration;

/// A barrier between processes (`multiproc::Barrier`) or threads (`multiproc::threading::Barrier`): whoever comes waits until all
/// parties have come, then all go on, and the next round begins.
///
/// A barrier can be *broken*: then who waits and who comes gets [`ErrorKind::BrokenBarrier`], until a [`reset`](Self::reset). It breaks
/// when a wait times out, by [`abort`](Self::abort), and when its action panics. Clones are the same barrier, and the process one
/// travels like a [`Lock`](super::Lock).
///
/// **When a process dies** that holds a handle of the barrier, by a signal or with an exit code that is not 0, while a round is filling, the
/// barrier breaks, whether the dead one had come or not: nobody waits for it for ever. So does the exit of a process one of whose threads
/// waits there, and a panic that drops a handle. Who waits is told at once when the dead process was reaped by its parent. A death before the first one of a round
/// has come breaks nothing: another process may take its part.
///
/// # Differences from Python
/// Deaths break it. No party and too many (1,048,576 and more) are errors between processes too.
///
/// # Examples
/// ```
/// use multiproc::{Barrier, Process};
///
/// let barrier = Barrier::builder(2).action(|| println!("both are there")).build()?;
/// let mut process = Process::new(|barrier: Barrier| _ = barrier.wait().expect("the parent comes"), (barrier.clone(),));
/// process.start()?;
/// assert!(barrier.wait()? < 2);
/// assert_eq!(process.join()?, 0);
/// # Ok::<(), multiproc::Error>(())
/// ```
#[derive(Clone, Serialize, Deserialize)]
#[serde(bound(serialize = "H: Travels", deserialize = "H: Travels"))]
pub struct Barrier<H: Home> {
    words: H::Of<BarrierWords>,
    action: H::Action,
    timeout: Option<Duration>,
}

impl<H: Home> Barrier<H> {
    /// Makes a barrier for so many parties.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for none, and for more than 1,048,575; between processes [`ErrorKind::NoSpace`] when the arena is
    /// full.
    pub fn new(parties: u32) -> Result<Self> {
        Self::builder(parties).build()
    }

    /// Makes a barrier with an action or a timeout.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    ///
    /// let barrier = multiproc::Barrier::builder(2).timeout(Duration::from_millis(20)).build()?;
    /// assert!(barrier.wait().is_err(), "nobody else comes");
    /// assert!(barrier.broken());
    /// # Ok::<(), multiproc::Error>(())
    /// ```
    pub fn builder(parties: u32) -> BarrierBuilder<H> {
        BarrierBuilder {
            parties,
            action: H::Action::default(),
            timeout: None,
        }
    }

    /// Waits until all have come; for the time of the [builder](BarrierBuilder::timeout) at most, if it has one. The answer is how many
    /// came before: all different, from 0.
    ///
    /// # Errors
    /// [`ErrorKind::BrokenBarrier`] when the barrier is broken, is broken or reset meanwhile, or the time is over, which breaks it.
    ///
    /// # Panics
    /// When the action does, in the party that came last.
    pub fn wait(&self) -> Result<usize> {
        self.wait_until(self.timeout.map_or(Deadline::NEVER, Deadline::after))
    }

    /// Waits until all have come, for `timeout` at most; a time beyond the clock's range is for ever.
    ///
    /// # Errors
    /// As [`wait`](Self::wait).
    ///
    /// # Panics
    /// As [`wait`](Self::wait).
    pub fn wait_timeout(&self, timeout: Duration) -> Result<usize> {
        self.wait_until(Deadline::after(timeout))
    }

    fn wait_until(&self, deadline: Deadline) -> Result<usize> {
        let me = H::me()?;
        H::check(&self.words)?;
        let words = H::words(&self.words);
        let deaths = H::deaths(&self.words);
        let broken = || ErrorKind::BrokenBarrier.into();
        let _presence = Presence::<H>::new(me);
        let arrival = words.arrive::<H>(deaths, deadline).ok_or_else(broken)?;
        let done = if arrival.is_last {
            let breaks = BreaksWhenDropped(self, arrival);
            H::act(&self.action)?;
            let _not_dropped = ManuallyDrop::new(breaks);
            words.complete::<H>(arrival)
        } else {
            words.wait::<H>(arrival, deaths, deadline)
        };
        if done {
            Ok(arrival.index as usize)
        } else {
            Err(broken())
        }
    }

    /// Breaks the barrier: who waits and who comes gets an error, until a [`reset`](Self::reset).
    ///
    /// # Errors
    /// [`ErrorKind::StaleHandle`] when the barrier is gone.
    pub fn abort(&self) -> Result<()> {
        H::join()?;
        H::check(&self.words)?;
        H::words(&self.words).reset::<H>(true);
        Ok(())
    }

    /// Makes the barrier as new. Who waits gets [`ErrorKind::BrokenBarrier`].
    ///
    /// # Errors
    /// [`ErrorKind::StaleHandle`] when the barrier is gone.
    pub fn reset(&self) -> Result<()> {
        H::join()?;
        H::check(&self.words)?;
        H::words(&self.words).reset::<H>(false);
        Ok(())
    }

    /// How many have to come.
    #[must_use]
    pub fn parties(&self) -> u32 {
        H::words(&self.words).parties()
    }

    /// How many have come and wait at this moment.
    #[must_use]
    pub fn n_waiting(&self) -> u32 {
        H::words(&self.words).waiting(H::deaths(&self.words))
    }

    /// Is it broken?
    #[must_use]
    pub fn broken(&self) -> bool {
        H::words(&self.words).broken(H::deaths(&self.words))
    }
}

/// A party that panics will not come: nobody shall wait for it.
impl<H: Home> Drop for Barrier<H> {
    fn drop(&mut self) {
        if std::thread::panicking() && H::check(&self.words).is_ok() {
            H::words(&self.words).abandon::<H>();
        }
    }
}

/// The action has not ended well.
struct BreaksWhenDropped<'a, H: Home>(&'a Barrier<H>, Arrival);

impl<H: Home> Drop for BreaksWhenDropped<'_, H> {
    fn drop(&mut self) {
        H::words(&self.0.words).fail::<H>(self.1);
    }
}

impl<H: Home> fmt::Debug for Barrier<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Barrier")
            .field("n_waiting", &self.n_waiting())
            .field("parties", &self.parties())
            .field("broken", &self.broken())
            .finish_non_exhaustive()
    }
}

/// The time in which this thread may be counted as one who has come: a process that leaves meanwhile leaves the others alone.
struct Presence<H: Home>(u64, PhantomData<H>);

impl<H: Home> Presence<H> {
    fn new(me: u64) -> Self {
        H::come_to_barrier(true);
        Self(me, PhantomData)
    }
}

impl<H: Home> Drop for Presence<H> {
    fn drop(&mut self) {
        // An action may have forked: the child has not come.
        if H::same_process(self.0) {
            H::come_to_barrier(false);
        }
    }
}

/// A barrier to be: from [`Barrier::builder`].
#[derive(Clone, Debug)]
#[must_use = "call `build`"]
pub struct BarrierBuilder<H: Home> {
    parties: u32,
    action: H::Action,
    timeout: Option<Duration>,
}

impl<H: Home> BarrierBuilder<H> {
    /// How long a [`wait`](Barrier::wait) lasts at most; a time beyond the clock's range is for ever.
    pub fn timeout(self, timeout: Duration) -> Self {
        let timeout = Some(timeout);
        Self { timeout, ..self }
    }

    /// Makes the barrier.
    ///
    /// # Errors
    /// As [`Barrier::new`].
    pub fn build(self) -> Result<Barrier<H>> {
        if !(1..=MOST_PARTIES).contains(&self.parties) {
            return invalid(format!("a barrier has 1 to {MOST_PARTIES} parties"));
        }
        let words = H::create()?;
        H::words::<BarrierWords>(&words).set(self.parties);
        Ok(Barrier {
            words,
            action: self.action,
            timeout: self.timeout,
        })
    }
}

impl<H: Travels> BarrierBuilder<H> {
    /// What the last one to come does before anybody goes on, in its process: a function, or a closure without captures.
    pub fn action<F: Callable<()>>(self, function: F) -> Self {
        let action = Sent(Some(call::target::<F, ()>(function)));
        Self { action, ..self }
    }
}

impl BarrierBuilder<WithinProcess> {
    /// What the last one to come does before anybody goes on.
    pub fn action(self, function: impl Fn() + Send + Sync + 'static) -> Self {
        let action = Kept {
            action: Some(Arc::new(function)),
        };
        Self { action, ..self }
    }
}

/// What the parties do together, as it goes to other processes.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Sent(Option<Call>);

impl Sent {
    pub(super) fn act(&self) -> Result<()> {
        let Some(call) = self.0 else { return Ok(()) };
        call.invoke(&[], &mut || ()).map(|_reply| ())
    }
}

/// What the parties do together, as it is called by threads.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct Kept {
    /// A barrier between threads does not travel.
    #[serde(skip)]
    action: Option<Arc<dyn Fn() + Send + Sync>>,
}

impl Kept {
    #[expect(clippy::unnecessary_wraps, reason = "as `Sent` does")]
    pub(super) fn act(&self) -> Result<()> {
        if let Some(action) = &self.action {
            action();
        }
        Ok(())
    }
}

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Kept").field(&self.action.is_some()).finish()
    }
}
