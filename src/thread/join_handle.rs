//! `spawn` with a handle that gives the function's value: the shape of `std::thread`, on listed threads.

use super::builder::{ThreadBuilder, function_name};
use super::handle::{Thread, misuse};
use super::object::{Panicked, Then};
use super::panics::{self, Panic, Payload};
use crate::error::{Error, ErrorKind, Result};
use crate::sys::private::Private;
use std::fmt;
use std::sync::Arc;

/// What the function gave: its value, or its panic.
type Outcome<R> = Result<R, (Panic, Payload)>;

/// A thread that will give a value: the function's, or the news of its panic; from [`spawn`].
///
/// Dropping it does not end the thread, which is waited for at the end of the program unless it is a daemon.
pub struct JoinHandle<R> {
    thread: Thread,
    /// Filled by the thread before it has ended; nobody else has it then.
    outcome: Arc<Private<Option<Outcome<R>>>>,
}

/// Starts a thread that calls `function`, and gives a handle to wait for its value.
///
/// It is a [`Thread`] like others, listed and waited for. A panic is printed by Rust's hook, as std's `spawn` does, and told to who joins;
/// the [hook](super::set_excepthook) of threads does not hear of it.
///
/// # Errors
/// As [`Thread::start`].
///
/// # Examples
/// ```
/// use multiproc::threading;
///
/// let words = vec!["captured", "not", "copied"];
/// let handle = threading::spawn(move || words.concat().len())?;
/// assert_eq!(handle.join()?, 17);
///
/// let handle = threading::spawn(|| -> u32 { panic!("no value today") })?;
/// let error = handle.join().unwrap_err();
/// assert_eq!(error.kind(), multiproc::ErrorKind::Panicked);
/// assert_eq!(error.remote().unwrap().message(), "no value today");
/// # Ok::<(), multiproc::Error>(())
/// ```
pub fn spawn<F, R>(function: F) -> Result<JoinHandle<R>>
where
    F: FnOnce() -> R + Send + 'static,
    R: Send + 'static,
{
    let outcome = Arc::new(Private::new(None));
    let told = Arc::clone(&outcome);
    let body = move || {
        let result = panics::catch_whole(function);
        let panic = result.as_ref().err().map(|(panic, _)| panic.clone());
        *told.lock() = Some(result);
        // Nobody may want the value: it is dropped here then, and may panic at it.
        let _dropped = panics::catch(false, move || drop(told));
        panic.map(|panic| Panicked {
            panic,
            then: Then::Joiner,
        })
    };
    let thread = ThreadBuilder::of(function_name::<F>(), Box::new(body)).start()?;
    Ok(JoinHandle { thread, outcome })
}

impl<R> JoinHandle<R> {
    /// The thread: its name, its number, and what else it is.
    #[must_use]
    pub fn thread(&self) -> &Thread {
        &self.thread
    }

    /// Has it ended?
    #[must_use]
    pub fn is_finished(&self) -> bool {
        !self.thread.is_alive()
    }

    /// Waits for the end of the thread and gives the value of its function.
    ///
    /// # Errors
    /// [`ErrorKind::Panicked`] with message, file, line, and a backtrace where the environment asked for one;
    /// [`ErrorKind::Misuse`] in the thread itself, when it has called `exit`, and in a forked process, unless the thread had ended before
    /// the fork: then both processes have the value.
    pub fn join(self) -> Result<R> {
        let name = self.thread.name();
        self.outcome()?.map_err(|(panic, payload)| {
            panics::discard(payload);
            Error::remote_error(ErrorKind::Panicked, panic.into_thread_error(name))
        })
    }

    /// The same for one who wants to go on with the panic, as by [`std::panic::resume_unwind`].
    ///
    /// # Errors
    /// What the panic carries; an [`Error`] where [`join`](Self::join) gives one of kind [`ErrorKind::Misuse`].
    pub fn join_unwind(self) -> std::thread::Result<R> {
        match self.outcome() {
            Ok(outcome) => outcome.map_err(|(_, payload)| payload),
            Err(error) => Err(Box::new(error)),
        }
    }

    fn outcome(self) -> Result<Outcome<R>> {
        self.thread.join()?;
        match Arc::into_inner(self.outcome).and_then(Private::into_inner) {
            Some(outcome) => Ok(outcome),
            None => misuse("the thread has left no value in this process"),
        }
    }
}

impl<R> fmt::Debug for JoinHandle<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("JoinHandle").field(&self.thread).finish()
    }
}
