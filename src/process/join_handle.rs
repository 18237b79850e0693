//! `spawn` and `fork` with a handle that gives the function's value: the shape of `std::thread`, on processes.

use super::builder::ProcessBuilder;
use super::handle::Process;
use super::running::Ended;
use super::start::{Closure, Target};
use super::state::signal_name;
use crate::call::Reply;
use crate::call::{self, Arguments, Callable};
use crate::error::{Error, ErrorKind, RemoteError, Result};
use crate::wire;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt;
use std::marker::PhantomData;

/// A process that will give a value: the function's, or the news of what happened instead; from [`spawn`] and [`fork`].
///
/// Dropping it neither kills the process nor waits for it.
pub struct JoinHandle<R> {
    process: Process,
    value: PhantomData<fn() -> R>,
}

/// Calls `function` with `arguments` in a new process. The function is sent, as by [`Process::new`].
///
/// # Errors
/// As [`Process::start`].
///
/// # Examples
/// ```
/// let handle = multiproc::spawn(|a: u32, b: u32| a * b, (6, 7))?;
/// assert_eq!(handle.join()?, 42);
///
/// let handle = multiproc::spawn(|| -> u32 { panic!("no value today") }, ())?;
/// let error = handle.join().unwrap_err();
/// assert_eq!(error.kind(), multiproc::ErrorKind::Panicked);
/// assert_eq!(error.remote().unwrap().message(), "no value today");
/// # Ok::<(), multiproc::Error>(())
/// ```
pub fn spawn<F, A>(function: F, arguments: A) -> Result<JoinHandle<F::Output>>
where
    F: Callable<A>,
    A: Arguments,
    F::Output: Serialize + DeserializeOwned,
{
    JoinHandle::start(Target::Sent {
        call: call::task::<F, A>(function),
        answers: true,
        encode: Box::new(move || wire::encode_laden(&arguments)),
    })
}

/// Runs `closure` in a forked copy of this process, captures and all memory included; see [`Process::fork`] for what that means.
///
/// # Errors
/// As [`Process::start`].
///
/// # Examples
/// ```
/// let table: Vec<u64> = (0..1000).collect();
/// let handle = multiproc::fork(move || table.iter().sum::<u64>())?;
/// assert_eq!(handle.join()?, 499_500);
/// # Ok::<(), multiproc::Error>(())
/// ```
pub fn fork<F, R>(closure: F) -> Result<JoinHandle<R>>
where
    F: FnOnce() -> R + Send + 'static,
    R: Serialize + DeserializeOwned,
{
    JoinHandle::start(Target::Copied(Closure::new(move || {
        let encoded = wire::encode(&closure());
        Some(encoded.map(|(bytes, cargo)| Reply { bytes, cargo }))
    })))
}

impl<R> JoinHandle<R> {
    fn start(target: Target) -> Result<Self> {
        Ok(Self {
            process: ProcessBuilder::of(target).start()?,
            value: PhantomData,
        })
    }

    /// The process: its name, its pid, and how to end it.
    #[must_use]
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Has it ended?
    #[must_use]
    pub fn is_finished(&self) -> bool {
        !self.process.is_alive()
    }
}

impl<R: DeserializeOwned> JoinHandle<R> {
    /// Waits for the end of the process and gives the value of its function.
    ///
    /// # Errors
    /// What happened instead: [`ErrorKind::Panicked`] with message, file, line, and a backtrace where the environment asked for one;
    /// [`ErrorKind::Exited`] with the code; [`ErrorKind::Killed`] with minus the signal; [`ErrorKind::Encode`], [`ErrorKind::NoSpace`] or
    /// [`ErrorKind::Decode`] when the value did not survive the journey; [`ErrorKind::UnknownStatus`];
    /// [`ErrorKind::Misuse`] in a process that did not start it. What the child told has a [`RemoteError`].
    pub fn join(self) -> Result<R> {
        let running = self.process.started()?;
        let ended = running.wait(crate::sys::clock::Deadline::NEVER)?;
        if let Some(value) = running.value.lock().take() {
            return wire::decode(value.bytes());
        }
        Err(ended.map_or(ErrorKind::UnknownStatus.into(), |ended| self.why(ended)))
    }

    fn why(&self, ended: Ended) -> Error {
        if let Some(panic) = ended.panic {
            return Error::remote_error(ended.kind, panic);
        }
        let Some(code) = ended.code else {
            return ErrorKind::UnknownStatus.into();
        };
        let (kind, message) = if code < 0 {
            let signal = signal_name(-code);
            (ErrorKind::Killed, format!("killed by {signal}"))
        } else {
            (
                ErrorKind::Exited,
                format!("exited with code {code} and left no value"),
            )
        };
        let remote = RemoteError {
            process: self.process.name().to_owned(),
            thread: None,
            pid: self.process.pid().unwrap_or(0),
            message,
            place: None,
            backtrace: None,
            exitcode: Some(code),
        };
        Error::remote_error(kind, remote)
    }
}

impl<R> fmt::Debug for JoinHandle<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("JoinHandle").field(&self.process).finish()
    }
}
