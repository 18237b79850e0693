//! `AsyncResult`: the result of a task that may still run.

use super::shared::Shared;
use super::table::{Outcome, Stage, State, TaskRef, WAITER};
use super::worker::{Trouble, What};
use crate::error::{Error, ErrorKind, RemoteError, Result};
use crate::shm::arena::Arena;
use crate::shm::keeper::{SLICE, low_half};
use crate::shm::wait;
use crate::sys::atomic::{AcqRel, Acquire, Relaxed};
use crate::sys::clock::Deadline;
use crate::sys::thread;
use crate::wire;
use serde::de::DeserializeOwned;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

/// Looks before the first sleep.
const SPINS: u32 = 2000;

/// The result of a task that was given to a pool, now or later; from [`Pool::apply_async`](crate::Pool::apply_async).
///
/// Exactly one outcome comes, whatever dies: the value, the panic, the worker's death, or the pool's end. Dropping it does not
/// disturb the task. Results outlive their pool.
///
/// # Differences from Python
/// The value is moved out, so it can be got once.
///
/// # Examples
/// ```
/// let pool = multiproc::Pool::new(1)?;
/// let result = pool.apply_async(|a: u32, b: u32| a + b, (20, 22))?;
/// assert_eq!(result.get()?, 42);
/// # Ok::<(), multiproc::Error>(())
/// ```
#[must_use = "a task runs without being asked for, but its result is lost"]
pub struct AsyncResult<R> {
    shared: Arc<Shared>,
    cell: u32,
    generation: u32,
    taken: bool,
    value: PhantomData<fn() -> R>,
}

impl<R> AsyncResult<R> {
    pub(super) fn new(shared: &Arc<Shared>, (cell, generation): (u32, u32)) -> Self {
        Self {
            shared: Arc::clone(shared),
            cell,
            generation,
            taken: false,
            value: PhantomData,
        }
    }

    fn task(&self) -> Result<TaskRef> {
        self.shared.check_process()?;
        self.shared.task(Arena::get()?, self.cell)
    }

    /// Done, or not ours any more, which only a mad neighbour can have made so.
    fn is_over(&self, stage: Stage) -> bool {
        let ours = stage.generation == self.generation;
        !ours || matches!(stage.state, State::Done | State::Free)
    }

    /// Is the task done?
    #[must_use]
    pub fn ready(&self) -> bool {
        self.taken
            || self
                .task()
                .is_ok_and(|task| task.stage().state == State::Done)
    }

    /// Did the task end with a value?
    ///
    /// # Errors
    /// [`ErrorKind::Misuse`] when it is not done.
    pub fn successful(&self) -> Result<bool> {
        if !self.ready() {
            return Err(Error::new(ErrorKind::Misuse, "the task is not done"));
        }
        if self.taken {
            return Err(Error::new(ErrorKind::Misuse, "the result was taken"));
        }
        Ok(self.task()?.outcome() == Some(Outcome::Value))
    }

    /// Waits until the task is done.
    pub fn wait(&self) {
        let _done = self.wait_until(Deadline::NEVER);
    }

    /// Waits until the task is done, for `timeout` at most; `true` when it is.
    pub fn wait_timeout(&self, timeout: Duration) -> bool {
        self.wait_until(Deadline::after(timeout))
    }

    fn wait_until(&self, deadline: Deadline) -> bool {
        if self.taken {
            return true;
        }
        let Ok(task) = self.task() else { return false };
        let state = &task.task.state;
        let done = || self.is_over(task.stage());
        for _ in 0..if thread::cpus() > 1 { SPINS } else { 1 } {
            if done() {
                return true;
            }
            std::hint::spin_loop();
        }
        while !done() {
            let slice = deadline.slice(SLICE);
            if slice.is_zero() {
                return false;
            }
            let word = state.load(Acquire);
            if self.is_over(Stage::read(word)) {
                return true;
            }
            let said = state.compare_exchange(word, word | WAITER, AcqRel, Relaxed);
            if word & WAITER != 0 || said.is_ok() {
                let expected = ((word | WAITER) & 0xffff_ffff) as u32;
                wait::sleep(low_half(state), expected, slice);
            }
        }
        true
    }
}

impl<R: DeserializeOwned> AsyncResult<R> {
    /// Waits for the task and takes its value.
    ///
    /// # Errors
    /// [`ErrorKind::Panicked`] when the function panicked; [`ErrorKind::WorkerDied`] when its worker died and no retries were left;
    /// [`ErrorKind::Decode`] when the arguments did not decode there or the value does not here, [`ErrorKind::Encode`] when the value did
    /// not encode; [`ErrorKind::NoSpace`] when there was no room for it; [`ErrorKind::Terminated`] when the pool was;
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
        if self.taken {
            return Err(Error::new(ErrorKind::Misuse, "the result was taken"));
        }
        let task = self.task()?;
        if !self.wait_until(deadline) {
            return Err(Error::new(ErrorKind::TimedOut, "the task is not done"));
        }
        let done = Stage {
            state: State::Done,
            ..task.stage()
        };
        if task.stage() != done || done.generation != self.generation {
            self.taken = true;
            return Err(Error::new(ErrorKind::Corrupt, "the state of a task"));
        }
        let taken = task.take_result();
        // Until `taken` is said, dropping `self` releases the cell: also when decoding panics.
        let value = taken.and_then(|(outcome, message)| match outcome {
            Outcome::Value => wire::decode(&message.bytes),
            Outcome::Trouble => Err(trouble(wire::decode(&message.bytes)?)),
            Outcome::Failure => Err(self.shared.take_failure(self.cell)),
        });
        self.taken = true;
        self.shared.release(self.cell, self.generation);
        value
    }
}

fn trouble(trouble: Trouble) -> Error {
    let Trouble { process, pid, what } = trouble;
    let plain = |text| (text, None, None);
    let (kind, (message, place, backtrace)) = match what {
        What::Panicked(panic) => (
            ErrorKind::Panicked,
            (panic.message, panic.place, panic.backtrace),
        ),
        What::Decode(text) => (ErrorKind::Decode, plain(text)),
        What::Encode(text) => (ErrorKind::Encode, plain(text)),
        What::NoSpace(text) => (ErrorKind::NoSpace, plain(text)),
        What::Failed(text) => (ErrorKind::Corrupt, plain(text)),
    };
    let remote = RemoteError {
        process,
        thread: None,
        pid,
        message,
        place,
        backtrace,
        exitcode: None,
    };
    Error::remote_error(kind, remote)
}

impl<R> Drop for AsyncResult<R> {
    fn drop(&mut self) {
        if !self.taken {
            self.shared.release(self.cell, self.generation);
        }
    }
}

impl<R> fmt::Debug for AsyncResult<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncResult")
            .field("ready", &self.ready())
            .finish_non_exhaustive()
    }
}
