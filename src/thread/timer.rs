//! `Timer`: a function that is called later, unless somebody thinks better of it.

use super::builder::ThreadBuilder;
use super::handle::Thread;
use super::object::{wait_while, wake};
use crate::sys::atomic::{AcqRel, Acquire, AtomicU32, Release};
use crate::sys::clock::Deadline;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

const WAITING: u32 = 0;
const CANCELLED: u32 = 1;
const CALLED: u32 = 2;
const DONE: u32 = 3;

/// A [`Thread`] that waits for a while and then calls a function, if it was not [cancelled](Self::cancel): Python's `threading.Timer`.
///
/// The time begins when it is [started](Thread::start). Until then, and while it waits, it is a thread like others: at the end of the program
/// it is waited for, unless it is a daemon.
///
/// # Differences from Python
/// [`cancel`](Self::cancel) says whether it was in time.
///
/// # Examples
/// ```
/// use multiproc::threading::Timer;
/// use std::sync::mpsc;
/// use std::time::Duration;
///
/// let (rings, alarm) = mpsc::channel();
/// let timer = Timer::new(Duration::from_millis(10), move || rings.send("get up").unwrap());
/// timer.start()?;
/// assert_eq!(alarm.recv().unwrap(), "get up");
///
/// let timer = Timer::new(Duration::from_secs(3600), || unreachable!());
/// timer.start()?;
/// assert!(timer.cancel());
/// timer.join()?;
/// assert!(timer.panic().is_none());
/// # Ok::<(), multiproc::Error>(())
/// ```
#[derive(Clone)]
pub struct Timer {
    thread: Thread,
    interval: Duration,
    stage: Arc<AtomicU32>,
}

impl Timer {
    /// A timer that will call `function` when it was started `interval` ago; a time beyond the clock's range is never.
    pub fn new<F: FnOnce() + Send + 'static>(interval: Duration, function: F) -> Self {
        let stage = Arc::new(AtomicU32::new(WAITING));
        let own = Arc::clone(&stage);
        let body = move || {
            wait_while(&own, Deadline::after(interval), |stage| stage == WAITING);
            if own
                .compare_exchange(WAITING, CALLED, AcqRel, Acquire)
                .is_ok()
            {
                function();
                own.store(DONE, Release);
            }
        };
        Self {
            thread: ThreadBuilder::new(body).class("Timer").build(),
            interval,
            stage,
        }
    }

    /// Says that the function shall not be called. The answer is whether it is not: `false` when it was called already, or is at this moment.
    pub fn cancel(&self) -> bool {
        let cancelled = self
            .stage
            .compare_exchange(WAITING, CANCELLED, AcqRel, Acquire);
        wake(&self.stage);
        !matches!(cancelled, Err(CALLED | DONE))
    }

    /// How long it waits.
    #[must_use]
    pub fn interval(&self) -> Duration {
        self.interval
    }

    /// Was it cancelled, or has the function returned?
    #[must_use]
    #[doc(alias = "finished")]
    pub fn is_finished(&self) -> bool {
        matches!(self.stage.load(Acquire), CANCELLED | DONE)
    }
}

impl Deref for Timer {
    type Target = Thread;

    fn deref(&self) -> &Thread {
        &self.thread
    }
}

impl fmt::Debug for Timer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.thread.fmt(f)
    }
}
