//! `ThreadResult`: the result of a task that may still run, on a thread of this process.

use crate::error::{Error, ErrorKind, Result};
use crate::sys::atfork;
use crate::sys::atomic::{AcqRel, Acquire, AtomicU32};
use crate::sys::clock::Deadline;
use crate::sys::futex::{self, Scope};
use crate::sys::private::Private;
use crate::sys::thread;
use crate::thread::{Panic, current_thread};
use crossbeam::utils::Backoff;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// The longest sleep, only so that there is one.
pub(super) const LONG: Duration = Duration::from_secs(3600);

const PENDING: u32 = 0;
const AWAITED: u32 = 1;
const DONE: u32 = 2;

/// Looks a few times before a sleep. What another CPU is about to do is seen long before a sleeper is awake; if it needs this one, it gets
/// it. On a single CPU, looking keeps it from being done.
pub(super) fn look_for_a_while<T>(mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let backoff = Backoff::new();
    loop {
        let found = look();
        if found.is_some() || backoff.is_completed() || thread::cpus() == 1 {
            return found;
        }
        backoff.snooze();
    }
}

/// What a panic of a task is to who asks for its result.
pub(super) fn panicked(panic: Panic) -> Error {
    let remote = panic.into_thread_error(current_thread().name());
    Error::remote_error(ErrorKind::Panicked, remote)
}

/// Where an outcome is left.
struct Outcome<R> {
    state: AtomicU32,
    value: Private<Option<Result<R>>>,
    /// Of the process that the task belongs to.
    generation: u32,
}

impl<R> Outcome<R> {
    fn is_done(&self) -> bool {
        self.state.load(Acquire) == DONE
    }

    /// Once.
    fn settle(&self, outcome: Result<R>) {
        *self.value.lock() = Some(outcome);
        if self.state.swap(DONE, AcqRel) == AWAITED {
            futex::wake(&self.state, u32::MAX, Scope::Private);
        }
    }

    fn wait(&self, deadline: Deadline) -> bool {
        if look_for_a_while(|| self.is_done().then_some(())).is_some() {
            return true;
        }
        loop {
            let slice = deadline.slice(LONG);
            let said = self
                .state
                .compare_exchange(PENDING, AWAITED, AcqRel, Acquire);
            if said == Err(DONE) || slice.is_zero() {
                return said == Err(DONE);
            }
            futex::wait(&self.state, AWAITED, slice, Scope::Private);
        }
    }
}

/// The task's end of a result. Dropped, it says that the task will not be done.
pub(super) struct Promise<R>(Option<Arc<Outcome<R>>>);

impl<R> Promise<R> {
    pub(super) fn keep(mut self, outcome: Result<R>) {
        if let Some(place) = self.0.take() {
            place.settle(outcome);
        }
    }
}

impl<R> Drop for Promise<R> {
    fn drop(&mut self) {
        if let Some(place) = self.0.take() {
            place.settle(Err(terminated()));
        }
    }
}

pub(super) fn terminated() -> Error {
    Error::new(
        ErrorKind::Terminated,
        "the pool of threads was terminated before the task had begun",
    )
}

/// The result of a task that was given to a [`ThreadPool`](crate::ThreadPool), now or later: what an
/// [`AsyncResult`](crate::AsyncResult) is for a pool of processes.
///
/// Exactly one outcome comes: the value, the panic, or the pool's end. Dropping it does not disturb the task. Results outlive their pool.
///
/// # Differences from Python
/// The value is moved out, so it can be got once.
///
/// # Examples
/// ```
/// let pool = multiproc::ThreadPool::new(1)?;
/// let offset = 20;
/// let result = pool.apply_async(move |n: u32| n + offset, (22,))?;
/// assert_eq!(result.get()?, 42);
/// # Ok::<(), multiproc::Error>(())
/// ```
#[must_use = "a task runs without being asked for, but its result is lost"]
pub struct ThreadResult<R> {
    outcome: Arc<Outcome<R>>,
    taken: bool,
}

impl<R> ThreadResult<R> {
    /// A result, and who will have it.
    pub(super) fn new() -> (Promise<R>, Self) {
        let outcome = Arc::new(Outcome {
            state: AtomicU32::new(PENDING),
            value: Private::new(None),
            generation: atfork::generation(),
        });
        let result = Self {
            outcome: Arc::clone(&outcome),
            taken: false,
        };
        (Promise(Some(outcome)), result)
    }

    fn check_process(&self) -> Result<()> {
        check_generation(self.outcome.generation)
    }

    /// Is the task done?
    #[must_use]
    pub fn ready(&self) -> bool {
        self.outcome.is_done()
    }

    /// Did the task end with a value?
    ///
    /// # Errors
    /// [`ErrorKind::Misuse`] when it is not done, or the value was taken, or in a forked child.
    pub fn successful(&self) -> Result<bool> {
        self.check_process()?;
        if !self.ready() {
            return Err(Error::new(ErrorKind::Misuse, "the task is not done"));
        }
        match &*self.outcome.value.lock() {
            Some(outcome) => Ok(outcome.is_ok()),
            None => Err(was_taken()),
        }
    }

    /// Waits until the task is done. In a forked child, where it never will be, returns at once.
    pub fn wait(&self) {
        let _done = self.wait_until(Deadline::NEVER);
    }

    /// Waits until the task is done, for `timeout` at most; `true` when it is.
    pub fn wait_timeout(&self, timeout: Duration) -> bool {
        self.wait_until(Deadline::after(timeout))
    }

    fn wait_until(&self, deadline: Deadline) -> bool {
        self.check_process().is_ok() && self.outcome.wait(deadline)
    }

    /// Waits for the task and takes its value.
    ///
    /// A task that waits here for another task of its own pool has its worker wait: when all workers do, they wait for ever, as in Python.
    ///
    /// # Errors
    /// [`ErrorKind::Panicked`] when the function panicked; [`ErrorKind::Terminated`] when the pool was before the task had begun;
    /// [`ErrorKind::Misuse`] in a process that did not make the pool.
    pub fn get(mut self) -> Result<R> {
        self.take(Deadline::NEVER)
    }

    /// The same, for `timeout` at most. The task goes on when that is over, and can be asked again.
    ///
    /// # Errors
    /// [`ErrorKind::TimedOut`]; [`ErrorKind::Misuse`] when the value was taken before; otherwise as [`get`](Self::get).
    pub fn get_timeout(&mut self, timeout: Duration) -> Result<R> {
        self.take(Deadline::after(timeout))
    }

    fn take(&mut self, deadline: Deadline) -> Result<R> {
        self.check_process()?;
        if self.taken {
            return Err(was_taken());
        }
        if !self.outcome.wait(deadline) {
            return Err(Error::new(ErrorKind::TimedOut, "the task is not done"));
        }
        self.taken = true;
        let outcome = self.outcome.value.lock().take();
        outcome.unwrap_or_else(|| Err(was_taken()))
    }
}

fn was_taken() -> Error {
    Error::new(ErrorKind::Misuse, "the result was taken")
}

/// What the threads of a parent do, its children do not see.
pub(super) fn check_generation(generation: u32) -> Result<()> {
    if generation == atfork::generation() {
        return Ok(());
    }
    let text = "a pool of threads belongs to the process that made it";
    Err(Error::new(ErrorKind::Misuse, text))
}

impl<R> fmt::Debug for ThreadResult<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ThreadResult")
            .field("ready", &self.ready())
            .finish_non_exhaustive()
    }
}
