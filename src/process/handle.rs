//! `Process`: something that runs in a process of its own.

use super::builder::ProcessBuilder;
use super::current::Identity;
use super::method::StartMethod;
use super::running::Running;
use super::start::{self, Plan};
use super::state::{ProcessState, code_name};
use crate::call::{Arguments, Callable};
use crate::error::{Error, ErrorKind, RemoteError, Result};
use crate::ipc::AuthKey;
use crate::sys::clock::Deadline;
use crate::sys::private::Private;
use crate::sys::{atfork, process};
use crate::thread::Run;
use nix::libc;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::Duration;

/// A process that runs one function.
///
/// Two constructors, and the difference is the rule to know:
///
/// - [`Process::new`]`(f, (a, b))`: `f` is *sent*. It is a function item or a closure without captures, and its arguments are serialised.
///   It runs under every [`StartMethod`]; by default in a child of the family's fork server, which has one thread and none of this
///   process's state, so the start is safe whatever this program does with threads and costs the same however large it is.
/// - [`Process::fork`]`(move || ...)`: the closure is *copied*, captures and all memory of this process included.
///
/// **If this process dies**, however, all processes that it started are killed by the kernel, unless they are
/// [detached](ProcessBuilder::detach). **If the process dies**, its locks, its handles and its tasks are settled;
/// [`exitcode`](Self::exitcode) says how it ended. Dropping a `Process` neither kills nor waits: it is reaped later, and at the program's
/// normal end non-daemon processes are joined and daemons are terminated.
///
/// # Differences from Python
/// Options are set by [`builder`](Self::builder) or before the start; `join` answers with the exit code; broken rules are errors of kind
/// [`ErrorKind::Misuse`] (and [`ErrorKind::Closed`] after [`close`](Self::close)), where Python has assertions. A capture of a sent
/// function is refused at compile time, where Python fails at the start with a pickling error:
///
/// ```compile_fail,E0080
/// let captured = 5;
/// let mut process = multiproc::Process::new(move || assert_eq!(captured, 5), ());
/// process.start().unwrap();
/// ```
///
/// # Examples
/// ```
/// use multiproc::Process;
///
/// fn greet(name: String, times: u32) {
///     assert_eq!((name.as_str(), times), ("bob", 3));
/// }
///
/// let mut process = Process::new(greet, ("bob".to_string(), 3));
/// process.start()?;
/// assert_eq!(process.join()?, 0);
/// # Ok::<(), multiproc::Error>(())
/// ```
pub struct Process {
    identity: Identity,
    stage: Stage,
    method: StartMethod,
    /// The fork that the process which made this object came from.
    made_in: u32,
}

enum Stage {
    /// Behind a lock only so that a `Process` may be shared between threads.
    Ready(Box<Private<Plan>>),
    Started(Arc<Running>),
    /// The start failed, and cannot be tried again.
    Failed,
    Closed,
}

fn misuse(rule: &str) -> Error {
    Error::new(ErrorKind::Misuse, rule)
}

fn closed() -> Error {
    Error::new(ErrorKind::Closed, "this process object was closed")
}

impl Process {
    /// A process that will call `function` with `arguments`, a tuple. Nothing happens before [`start`](Self::start).
    pub fn new<F: Callable<A>, A: Arguments>(function: F, arguments: A) -> Self {
        Self::builder(function, arguments).build()
    }

    /// A process that will run `closure` in a forked copy of this process: captures, and all that its memory holds at the start.
    ///
    /// This is for captures that do not serialise and for big read-only data, which parent and child then share page by page until
    /// one of them writes. The closure runs on a fresh thread of the child; standard output is flushed before the fork.
    ///
    /// # What may hang
    /// A fork copies one thread and all locks. A lock that *another* thread of this process holds in the moment of the fork stays
    /// locked in the child for ever: that of standard error (`eprintln!`), of a logger, of a library. Memory allocation, standard
    /// output and this crate are safe. The start itself waits for the lock of standard output. Prefer
    /// [`new`](Self::new) in a program with threads.
    ///
    /// # What happens to the captures
    /// There are two of each: the child's, and this process's, which are dropped when the child's end is noticed here. So destructors run
    /// in both processes. Handles of queues and locks are made for this. A captured socket or file stays open here until then: whoever is at its
    /// other end waits for that. [`Fd`](crate::Fd) as an argument of [`new`](Self::new) has no such copy.
    ///
    /// A held guard cannot be captured:
    ///
    /// ```compile_fail,E0597
    /// let lock = multiproc::Lock::new().unwrap();
    /// let guard = lock.acquire().unwrap();
    /// let process = multiproc::Process::fork(move || drop(guard));
    /// ```
    ///
    /// # Examples
    /// ```
    /// use multiproc::{Process, Queue};
    ///
    /// let words = vec!["copied", "not", "sent"];
    /// let lengths = Queue::new()?;
    /// let out = lengths.clone();
    /// let mut process = Process::fork(move || out.put(words.concat().len()).expect("the parent reads"));
    /// process.start()?;
    /// assert_eq!(lengths.get()?, 13);
    /// assert_eq!(process.join()?, 0);
    /// # Ok::<(), multiproc::Error>(())
    /// ```
    pub fn fork(closure: impl FnOnce() + Send + 'static) -> Self {
        ProcessBuilder::fork(closure).build()
    }

    /// A process that will run `value`: see [`Run`]. It is named after the value's type, `"Piao-1"`.
    pub fn from_run<T: Run + Serialize + DeserializeOwned>(value: T) -> Self {
        ProcessBuilder::from_run(value).build()
    }

    /// As [`new`](Self::new), with options.
    ///
    /// # Examples
    /// ```
    /// let process = multiproc::Process::builder(|| (), ()).name("worker").daemon(true).start()?;
    /// assert_eq!(process.name(), "worker");
    /// process.join()?;
    /// # Ok::<(), multiproc::Error>(())
    /// ```
    pub fn builder<F: Callable<A>, A: Arguments>(function: F, arguments: A) -> ProcessBuilder {
        ProcessBuilder::new(function, arguments)
    }

    pub(super) fn ready(identity: Identity, plan: Plan) -> Self {
        Self {
            identity,
            method: plan.method(),
            stage: Stage::Ready(Box::new(Private::new(plan))),
            made_in: atfork::generation(),
        }
    }

    /// Another handle of a child.
    pub(super) fn of(child: Arc<Running>) -> Self {
        Self {
            identity: child.identity.clone(),
            method: child.method,
            made_in: child.forked,
            stage: Stage::Started(child),
        }
    }

    /// Its name: `"Process-2"` for the second child of the first process, `"Process-2:1"` for the first child of that one, or what
    /// was given.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.identity.name
    }

    /// Names it.
    ///
    /// # Errors
    /// [`ErrorKind::Misuse`] when it was started; [`ErrorKind::Closed`].
    pub fn set_name(&mut self, name: impl Into<String>) -> Result<()> {
        self.before_start("the name is set before the start")?;
        self.identity.name = name.into();
        Ok(())
    }

    /// Is it terminated at this program's end, instead of joined?
    #[must_use]
    pub fn daemon(&self) -> bool {
        self.identity.daemon
    }

    /// Makes it a daemon, or not. The default is what this process is itself.
    ///
    /// # Errors
    /// [`ErrorKind::Misuse`] when it was started; [`ErrorKind::Closed`].
    pub fn set_daemon(&mut self, daemon: bool) -> Result<()> {
        self.before_start("daemon is set before the start")?;
        self.identity.daemon = daemon;
        Ok(())
    }

    /// Its [key](AuthKey). The default is that of this process when the object was made.
    #[must_use]
    pub fn authkey(&self) -> AuthKey {
        self.identity.authkey.clone()
    }

    /// Gives it another key.
    ///
    /// # Errors
    /// [`ErrorKind::Misuse`] when it was started; [`ErrorKind::Closed`].
    pub fn set_authkey(&mut self, key: impl Into<AuthKey>) -> Result<()> {
        self.before_start("the key is set before the start")?;
        self.identity.authkey = key.into();
        Ok(())
    }

    /// How it comes, or came, to be.
    #[must_use]
    pub fn start_method(&self) -> StartMethod {
        self.method
    }

    fn before_start(&self, rule: &str) -> Result<()> {
        match self.stage {
            Stage::Ready(_) => Ok(()),
            Stage::Closed => Err(closed()),
            _ => Err(misuse(rule)),
        }
    }

    /// Starts it. It runs when this returns, or will at once.
    ///
    /// # Errors
    /// [`ErrorKind::Misuse`] when it was started before, by a daemon, or by a process that is a copy of the one that made this object;
    /// [`ErrorKind::Encode`] when the arguments do not serialise; [`ErrorKind::StartMethodUnavailable`] where no process can be started
    /// this way; [`ErrorKind::NoSpace`]; [`ErrorKind::Os`] when the system has no room for a process. Nothing was started then, and it
    /// cannot be started again.
    pub fn start(&mut self) -> Result<()> {
        self.before_start("a process can be started once")?;
        if self.made_in != atfork::generation() {
            let rule = "a process is started by the process that made the object";
            return Err(misuse(rule));
        }
        let Stage::Ready(plan) = std::mem::replace(&mut self.stage, Stage::Failed) else {
            return Err(misuse("a process can be started once"));
        };
        let running = start::launch_plan(&self.identity, plan.into_inner())?;
        self.stage = Stage::Started(running);
        Ok(())
    }

    pub(super) fn started(&self) -> Result<&Arc<Running>> {
        match &self.stage {
            Stage::Started(running) => Ok(running),
            Stage::Closed => Err(closed()),
            Stage::Ready(_) | Stage::Failed => Err(misuse("the process was not started")),
        }
    }

    fn running(&self) -> Option<&Arc<Running>> {
        self.started().ok()
    }

    /// Waits until it has ended; the answer is its exit code as [`exitcode`](Self::exitcode) gives it.
    ///
    /// # Errors
    /// [`ErrorKind::Misuse`] before the start, or in a process that did not start it; [`ErrorKind::Closed`]; [`ErrorKind::UnknownStatus`] when it has ended and
    /// the fork server that would know how was killed.
    pub fn join(&self) -> Result<i32> {
        let ended = self.started()?.wait(Deadline::NEVER)?;
        ended
            .and_then(|ended| ended.code)
            .ok_or_else(|| ErrorKind::UnknownStatus.into())
    }

    /// Waits until it has ended, for `timeout` at most; `None` when it still runs.
    ///
    /// # Errors
    /// As [`join`](Self::join).
    pub fn join_timeout(&self, timeout: Duration) -> Result<Option<i32>> {
        match self.started()?.wait(Deadline::after(timeout))? {
            None => Ok(None),
            Some(ended) => ended
                .code
                .map(Some)
                .ok_or_else(|| ErrorKind::UnknownStatus.into()),
        }
    }

    /// How it ended: `None` before the start and while it runs, the exit code, or `-N` when signal `N` killed it. A panic is 1.
    ///
    /// # Errors
    /// As [`join`](Self::join), but not before the start.
    pub fn exitcode(&self) -> Result<Option<i32>> {
        match &self.stage {
            Stage::Ready(_) | Stage::Failed => Ok(None),
            Stage::Started(_) | Stage::Closed => self.join_timeout(Duration::ZERO),
        }
    }

    /// Does it run at this moment?
    #[must_use]
    pub fn is_alive(&self) -> bool {
        let ended = self.running().map(|running| running.try_wait());
        matches!(ended, Some(Ok(None)))
    }

    /// What it is doing. A process with several threads is running when one of them is.
    ///
    /// # Errors
    /// [`ErrorKind::Misuse`] in a process that did not start it; [`ErrorKind::Closed`].
    ///
    /// # Examples
    /// ```
    /// use multiproc::{Process, ProcessState};
    ///
    /// let mut process = Process::new(|| std::thread::sleep(std::time::Duration::from_secs(60)), ());
    /// assert_eq!(process.state()?, ProcessState::Ready);
    /// process.start()?;
    /// while process.state()? != ProcessState::Blocked {
    ///     std::thread::yield_now();
    /// }
    /// process.kill()?;
    /// process.join()?;
    /// assert_eq!(process.state()?.to_string(), "ended");
    /// # Ok::<(), multiproc::Error>(())
    /// ```
    pub fn state(&self) -> Result<ProcessState> {
        let running = match &self.stage {
            Stage::Ready(_) => return Ok(ProcessState::Ready),
            Stage::Failed => return Ok(ProcessState::Ended),
            Stage::Closed => return Err(closed()),
            Stage::Started(running) => running,
        };
        if running.try_wait()?.is_some() {
            return Ok(ProcessState::Ended);
        }
        Ok(match process::stat(running.pid).map(|stat| stat.state) {
            Ok(b'R') => ProcessState::Running,
            // The function of a forked process is run by its second thread.
            Ok(b'S' | b'D' | b'I') if process::has_running_thread(running.pid) => {
                ProcessState::Running
            }
            Ok(b'T' | b't') => ProcessState::Stopped,
            Ok(b'Z' | b'X' | b'x') | Err(_) => ProcessState::Ended,
            Ok(_) => ProcessState::Blocked,
        })
    }

    /// Its process id; `None` before the start and after [`close`](Self::close).
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.running().map(|running| running.pid.cast_unsigned())
    }

    /// The same as [`pid`](Self::pid).
    #[must_use]
    pub fn ident(&self) -> Option<u32> {
        self.pid()
    }

    /// Sends SIGTERM, which ends it without unwinding unless it handles the signal. No-op when it has ended.
    ///
    /// Processes that it has started itself die with it.
    ///
    /// # Errors
    /// [`ErrorKind::Misuse`] before the start and in a process that did not start it; [`ErrorKind::Closed`]; [`ErrorKind::Os`] when the
    /// system refuses.
    pub fn terminate(&self) -> Result<()> {
        self.started()?.signal(libc::SIGTERM)
    }

    /// Sends SIGKILL, which ends it at once. No-op when it has ended.
    ///
    /// # Errors
    /// As [`terminate`](Self::terminate).
    pub fn kill(&self) -> Result<()> {
        self.started()?.signal(libc::SIGKILL)
    }

    /// Sends SIGINT, as Ctrl-C does; it ends the process (exit code -2) unless it handles the signal. No-op when it has ended.
    ///
    /// # Errors
    /// As [`terminate`](Self::terminate).
    pub fn interrupt(&self) -> Result<()> {
        self.started()?.signal(libc::SIGINT)
    }

    /// Gives back what this object holds: the descriptor, and what was captured. Afterwards every method that can fail does, with
    /// [`ErrorKind::Closed`]. Closing twice is fine. Dropping the object does the same for a process that has ended.
    ///
    /// # Errors
    /// [`ErrorKind::Misuse`] while it runs, and in a process that did not start it.
    pub fn close(&mut self) -> Result<()> {
        if let Stage::Started(running) = &self.stage
            && running.try_wait()?.is_none()
        {
            let rule = "a process is closed after its end: join or terminate it first";
            return Err(misuse(rule));
        }
        self.stage = Stage::Closed;
        Ok(())
    }

    /// A descriptor that is readable once it has ended (a pidfd), to poll together with others.
    ///
    /// # Errors
    /// [`ErrorKind::Misuse`] before the start and in a process that did not start it; [`ErrorKind::Closed`].
    pub fn sentinel(&self) -> Result<BorrowedFd<'_>> {
        let foreign = || misuse("the descriptor belongs to the process that started it");
        self.started()?.pidfd().ok_or_else(foreign)
    }

    /// The panic that ended it: message, file, line. `None` while it runs and for every other end.
    ///
    /// # Examples
    /// ```
    /// use multiproc::Process;
    ///
    /// let mut process = Process::new(|| panic!("no more bananas"), ());
    /// process.start()?;
    /// assert_eq!(process.join()?, 1);
    /// let panic = process.panic().expect("it panicked");
    /// assert_eq!(panic.message(), "no more bananas");
    /// assert!(panic.file().is_some() && panic.line().is_some());
    /// # Ok::<(), multiproc::Error>(())
    /// ```
    #[must_use]
    pub fn panic(&self) -> Option<RemoteError> {
        self.running()?.try_wait().ok()??.panic
    }
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut all = f.debug_struct("Process");
        all.field("name", &self.name()).field("pid", &self.pid());
        if let Some(parent) = self
            .running()
            .and_then(|running| running.identity.parent.as_ref())
        {
            all.field("parent", &parent.pid);
        }
        let ended = match &self.stage {
            Stage::Ready(_) => Err("initial"),
            Stage::Failed => Err("failed"),
            Stage::Closed => Err("closed"),
            Stage::Started(running) => match running.try_wait() {
                Ok(None) => Err("started"),
                Ok(Some(ended)) => Ok(ended.code),
                Err(_) => Err("unknown"),
            },
        };
        match ended {
            Err(state) => all.field("state", &format_args!("{state}")),
            Ok(code) => {
                let code = code.map_or("unknown".to_owned(), code_name);
                all.field("state", &format_args!("stopped"))
                    .field("exitcode", &format_args!("{code}"))
            }
        };
        all.field("daemon", &self.daemon()).finish()
    }
}
