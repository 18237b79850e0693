//! `Process` on a thread: what runs a function, with the verbs of processes.

use crate::call::{Arguments, Callable};
use crate::error::{RemoteError, Result};
use crate::sys::atfork::{self, Forkable, Kept};
use crate::sys::atomic::{AtomicBool, SeqCst};
use crate::thread::{self, Run, Thread};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::time::Duration;

/// A thread with the verbs of a [`Process`](crate::Process), to be used in its place.
///
/// Its function and arguments keep the rule of processes, so that the same text runs on both. It can be neither killed nor
/// terminated: those verbs are not there. Its exit code is 0, or 1 when its function panicked; it has no others. As with
/// Python's, its name is a thread's, and a daemon is simply not waited for at the end of the program.
///
/// # Examples
/// ```
/// use multiproc::dummy::{Process, Queue};
///
/// let results = Queue::new()?;
/// let mut process = Process::new(|n: u64, results: Queue<u64>| results.put(n * n).expect("a reader"), (7, results.clone()));
/// process.start()?;
/// assert_eq!(results.get()?, 49);
/// assert_eq!(process.join()?, 0);
/// # Ok::<(), multiproc::Error>(())
/// ```
#[derive(Debug)]
pub struct Process {
    thread: Thread,
}

/// Those that were started and may still run.
static CHILDREN: Kept<Vec<Thread>> = Kept::new(Vec::new());

impl Process {
    /// A thread that will call `function` with `arguments`.
    pub fn new<F: Callable<A>, A: Arguments>(function: F, arguments: A) -> Self {
        let thread = Thread::new(move || {
            let _value = function.call(arguments);
        });
        Self { thread }
    }

    /// A thread that will run `value`.
    pub fn from_run<T: Run + Serialize + DeserializeOwned>(value: T) -> Self {
        let thread = Thread::from_run(value);
        Self { thread }
    }

    /// The thread.
    #[must_use]
    pub fn thread(&self) -> &Thread {
        &self.thread
    }

    /// Its name, `"Thread-1"` for example.
    #[must_use]
    pub fn name(&self) -> String {
        self.thread.name()
    }

    /// Gives it another name.
    ///
    /// # Errors
    /// None: a [`Process`](crate::Process) that was started keeps its name.
    pub fn set_name(&mut self, name: impl Into<String>) -> Result<()> {
        self.thread.set_name(name);
        Ok(())
    }

    /// Does the end of the program not wait for it?
    #[must_use]
    pub fn daemon(&self) -> bool {
        self.thread.daemon()
    }

    /// Says whether the end of the program waits for it.
    ///
    /// # Errors
    /// [`ErrorKind::Misuse`](crate::ErrorKind::Misuse) after the start.
    pub fn set_daemon(&mut self, daemon: bool) -> Result<()> {
        self.thread.set_daemon(daemon)
    }

    /// Starts it.
    ///
    /// # Errors
    /// As [`Thread::start`].
    pub fn start(&mut self) -> Result<()> {
        register_tables();
        self.thread.start()?;
        let mut children = CHILDREN.lock();
        children.retain(Thread::is_alive);
        children.push(self.thread.clone());
        Ok(())
    }

    /// Waits until it has ended, and gives its exit code: 0, or 1 when its function panicked.
    ///
    /// # Errors
    /// As [`Thread::join`].
    pub fn join(&self) -> Result<i32> {
        self.thread.join()?;
        Ok(self.code())
    }

    /// Waits until it has ended, for `timeout` at most; `None` when it still runs.
    ///
    /// # Errors
    /// As [`join`](Self::join).
    pub fn join_timeout(&self, timeout: Duration) -> Result<Option<i32>> {
        let ended = self.thread.join_timeout(timeout)?;
        Ok(ended.then(|| self.code()))
    }

    /// How it ended: `None` before the start and while it runs.
    ///
    /// # Errors
    /// [`ErrorKind::Misuse`](crate::ErrorKind::Misuse) when it has called `exit`: that ends the program, and says nothing of this function.
    pub fn exitcode(&self) -> Result<Option<i32>> {
        if self.thread.ident().is_none() || self.thread.is_alive() {
            return Ok(None);
        }
        self.join_timeout(Duration::ZERO)
    }

    fn code(&self) -> i32 {
        i32::from(self.thread.panic().is_some())
    }

    /// Does it run at this moment?
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.thread.is_alive()
    }

    /// The panic that ended it, if one did.
    #[must_use]
    pub fn panic(&self) -> Option<RemoteError> {
        self.thread.panic()
    }
}

/// Calls `function` with `arguments` on a new thread: [`spawn`](crate::spawn) with the same rule.
///
/// # Errors
/// As [`Thread::start`].
pub fn spawn<F, A>(function: F, arguments: A) -> Result<thread::JoinHandle<F::Output>>
where
    F: Callable<A>,
    A: Arguments,
    F::Output: Send + 'static,
{
    thread::spawn(move || function.call(arguments))
}

/// The threads of [`Process`]es that run at this moment.
#[must_use]
pub fn active_children() -> Vec<Thread> {
    let mut children = CHILDREN.lock();
    children.retain(Thread::is_alive);
    children.clone()
}

/// Once a process image. In a forked child none of them is alive.
fn register_tables() {
    static PREPARED: AtomicBool = AtomicBool::new(false);
    static TABLE: &dyn Forkable = &CHILDREN;
    if !PREPARED.swap(true, SeqCst) {
        atfork::register(&[&TABLE]);
    }
}
