//! `Thread`: something that runs beside others in this process.

use super::arguments::CallOnce;
use super::builder::ThreadBuilder;
use super::object::{ENDED, Kind, LEFT, Object, READY, Shared};
use super::run::Run;
use super::{current, end, life, table};
use crate::error::{Error, ErrorKind, RemoteError, Result};
use crate::sys::atomic::{Acquire, Release};
use crate::sys::clock::Deadline;
use crate::sys::os_thread;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// A thread that runs one function, as Python's `threading.Thread`: with a name, listed by [`enumerate`](super::enumerate), and waited for at
/// the end of the program unless it is a daemon.
///
/// This is a handle: clones are the same thread, two are equal when they are, and any of them may start it, join it and ask it. The Rust
/// way, with a value that `join` gives, is [`spawn`](super::spawn).
///
/// **At the normal end of the program**, when `main` returns or somebody calls `exit`, all threads but daemons are joined first, then
/// [`at_exit`](crate::at_exit) functions are called, and then children are ended. Daemons stop wherever they are. From then on only daemons
/// can be started. The thread that calls `exit` is not waited for, and neither is one that waits in std's `exit` (or in `pause(2)`, which
/// is what that does), where `/proc/self/task` tells so: without it, nobody knows a thread that will never end from one that works. A thread
/// that never ends keeps the program, and so is made a daemon. In a child process the end of its function is the normal end.
///
/// **When its function panics** the thread ends, the [hook](super::set_excepthook) is told, [`panic`](Self::panic) says why, and nobody else
/// is disturbed: `join` is fine.
///
/// **Handles keep something.** The system has a thread's stack until somebody has joined it (`join_timeout` need not wait for that), or the
/// last handle is gone: who keeps handles of very many ended threads should join them.
///
/// **In a forked child** only the thread that forked is there, as the main one. Handles of others, and of that thread under its old name, say that
/// they are not alive, and `join` returns at once. A child that was forked while the program was ending, as by a thread that `main` has left
/// behind, ends when its function does: std knows of the end, and waits for ever when `exit` is called there. Should the function of a thread return in a child that was forked in it, that is the
/// end of the child's program.
///
/// # Differences from Python
/// `join` with a timeout says whether it has ended. A thread whose name was not given is called after its function (`"Thread-1 (work)"`) where that
/// has a name. A capture is moved into the closure; two threads cannot add to one variable without a lock or an atomic, because it does not compile:
///
/// ```compile_fail,E0133
/// use multiproc::threading::Thread;
///
/// static mut SUM: u64 = 0;
///
/// for _ in 0..2 {
///     let add = || (0..1_000_000).for_each(|_| SUM += 1);
///     Thread::new(add).start().unwrap();
/// }
/// ```
///
/// ```compile_fail,E0373
/// use multiproc::threading::Thread;
///
/// let mut sum = 0;
/// let thread = Thread::new(|| sum += 1);
/// println!("{sum}");
/// ```
///
/// # Examples
/// ```
/// use multiproc::threading::{Lock, Thread};
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
///
/// let (sum, lock) = (Arc::new(AtomicU64::new(0)), Lock::new()?);
/// let threads = [(); 2].map(|()| {
///     let (sum, lock) = (Arc::clone(&sum), lock.clone());
///     Thread::new(move || {
///         for _ in 0..1000 {
///             let _guard = lock.acquire().expect("threads do not die alone");
///             sum.store(sum.load(Relaxed) + 1, Relaxed);
///         }
///     })
/// });
/// for thread in &threads {
///     thread.start()?;
/// }
/// for thread in &threads {
///     thread.join()?;
/// }
/// assert_eq!(sum.load(Relaxed), 2000);
/// # Ok::<(), multiproc::Error>(())
/// ```
#[derive(Clone)]
pub struct Thread {
    pub(super) object: Shared,
}

pub(super) fn misuse<T>(rule: &str) -> Result<T> {
    Err(Error::new(ErrorKind::Misuse, rule))
}

impl Thread {
    pub(super) fn of(object: Object) -> Self {
        Self {
            object: Arc::new(object),
        }
    }

    /// A thread that will run `closure`. Nothing happens before [`start`](Self::start).
    pub fn new(closure: impl FnOnce() + Send + 'static) -> Self {
        Self::builder(closure).build()
    }

    /// A thread that will call `function` with `arguments`, a tuple. What the function returns is dropped.
    ///
    /// # Examples
    /// ```
    /// use multiproc::threading::Thread;
    ///
    /// fn greet(name: &str, times: u32) {
    ///     assert_eq!((name, times), ("bob", 3));
    /// }
    ///
    /// let thread = Thread::with_args(greet, ("bob", 3));
    /// assert!(thread.name().ends_with(" (greet)"));
    /// thread.start()?;
    /// thread.join()?;
    /// # Ok::<(), multiproc::Error>(())
    /// ```
    pub fn with_args<F, A>(function: F, arguments: A) -> Self
    where
        F: CallOnce<A> + Send + 'static,
        A: Send + 'static,
    {
        ThreadBuilder::with_args(function, arguments).build()
    }

    /// A thread that will run `value`: see [`Run`]. It is named after the value's type, `"Piao-1"`.
    ///
    /// # Examples
    /// ```
    /// use multiproc::Run;
    /// use multiproc::threading::Thread;
    ///
    /// struct Piao(String);
    ///
    /// impl Run for Piao {
    ///     fn run(&mut self) {
    ///         assert_eq!(self.0, "egon");
    ///     }
    /// }
    ///
    /// let thread = Thread::from_run(Piao("egon".to_owned()));
    /// assert!(thread.name().starts_with("Piao-"));
    /// thread.start()?;
    /// thread.join()?;
    /// # Ok::<(), multiproc::Error>(())
    /// ```
    pub fn from_run<T: Run>(value: T) -> Self {
        ThreadBuilder::from_run(value).build()
    }

    /// As [`new`](Self::new), with options.
    ///
    /// # Examples
    /// ```
    /// use multiproc::threading::Thread;
    ///
    /// let thread = Thread::builder(|| ()).name("worker").daemon(true).start()?;
    /// assert_eq!((thread.name().as_str(), thread.daemon()), ("worker", true));
    /// thread.join()?;
    /// # Ok::<(), multiproc::Error>(())
    /// ```
    pub fn builder(closure: impl FnOnce() + Send + 'static) -> ThreadBuilder {
        ThreadBuilder::new(closure)
    }

    /// Its name: `"Thread-1"`, `"Thread-1 (function)"`, or what was given. It is for people; two may have the same.
    #[must_use]
    #[doc(alias = "getName")]
    pub fn name(&self) -> String {
        table::with(|_| self.object.rest.lock().name.clone())
    }

    /// Names it, also while it runs. The system knows the first 15 bytes of it.
    #[doc(alias = "setName")]
    pub fn set_name(&self, name: impl Into<String>) {
        let name = name.into();
        let number = match self.object.kind {
            // The name of the first thread is the process's.
            Kind::Own(_) if self.is_alive() => self.native_id(),
            _ => None,
        };
        if let Some(number) = number {
            os_thread::set_name(number, &name);
        }
        let before = table::with(|_| {
            let mut rest = self.object.rest.lock();
            std::mem::replace(&mut rest.name, name)
        });
        drop(before);
    }

    /// Is it left alone at the end of the program, instead of being waited for?
    #[must_use]
    #[doc(alias = "isDaemon")]
    pub fn daemon(&self) -> bool {
        self.object.daemon.load(Acquire)
    }

    /// Makes it a daemon, or not. The default is what the thread is that has made it; threads made elsewhere are daemons.
    ///
    /// # Errors
    /// [`ErrorKind::Misuse`] when it was started.
    #[doc(alias = "setDaemon")]
    pub fn set_daemon(&self, daemon: bool) -> Result<()> {
        table::with(|_| {
            if self.object.stage() != READY {
                return misuse("daemon is set before the start");
            }
            self.object.daemon.store(daemon, Release);
            Ok(())
        })
    }

    /// Starts it. It runs when this returns.
    ///
    /// # Errors
    /// [`ErrorKind::Misuse`] when it was started before, and when it is no daemon and the program is ending; [`ErrorKind::InvalidInput`] when it
    /// was to have less than 32 KiB of stack; [`ErrorKind::Os`] when the system has no room for a thread: it is not listed then and may be
    /// started again.
    pub fn start(&self) -> Result<()> {
        life::start(self)
    }

    /// Waits until it has ended. Then it is not listed any more, and what it had in thread-local variables is dropped. Any number may join, as
    /// often as they like.
    ///
    /// A thread that calls `exit` never comes to its end. Who joins it waits until the end of the program has begun and is told then, so that no
    /// thread which the program waits for hangs in here. The process ends soon.
    ///
    /// # Errors
    /// [`ErrorKind::Misuse`] before the start, in the thread itself, for a thread that was made elsewhere, and for one that has called `exit`.
    pub fn join(&self) -> Result<()> {
        self.await_end(Deadline::NEVER)?;
        if self.object.is_ours() {
            end::await_over(self);
            self.check_left()?;
            self.object.await_system();
        }
        Ok(())
    }

    /// Waits until it has ended, for `timeout` at most; a time beyond the clock's range is for ever. The answer is whether it has. Its
    /// thread-local variables may yet be dropped afterwards.
    ///
    /// # Errors
    /// As [`join`](Self::join).
    pub fn join_timeout(&self, timeout: Duration) -> Result<bool> {
        let ended = self.await_end(Deadline::after(timeout))?;
        if ended && self.object.is_over() && self.object.is_ours() {
            self.object.await_system();
        }
        Ok(ended)
    }

    fn await_end(&self, deadline: Deadline) -> Result<bool> {
        if self.object.kind == Kind::Foreign {
            return misuse("a thread that was made elsewhere cannot be joined");
        }
        if self.object.stage() == READY {
            return misuse("a thread is joined after its start");
        }
        if !self.object.is_ours() {
            return Ok(true);
        }
        if current::is_here(&self.object) {
            return misuse("a thread cannot join itself");
        }
        let ended = self.object.await_end(deadline);
        if self.object.stage() == READY {
            return misuse("the thread could not be started");
        }
        self.check_left()?;
        Ok(ended)
    }

    fn check_left(&self) -> Result<()> {
        match self.object.stage() {
            LEFT => misuse("the thread has called exit, and the program is ending"),
            _ => Ok(()),
        }
    }

    /// Does it run at this moment?
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.object.is_alive()
    }

    /// A number that no other thread has while it lives, as [`get_ident`](super::get_ident) gives it; `None` before the start.
    #[must_use]
    pub fn ident(&self) -> Option<u64> {
        self.native_id().map(u64::from)
    }

    /// The kernel's number of it; `None` before the start. When the thread has ended another may have it.
    #[must_use]
    pub fn native_id(&self) -> Option<u32> {
        self.object.number()
    }

    /// The panic that ended it: message, file, line. `None` while it runs and for every other end.
    ///
    /// # Examples
    /// ```
    /// use multiproc::threading::Thread;
    ///
    /// let thread = Thread::new(|| panic!("no more bananas"));
    /// thread.start()?;
    /// thread.join()?;
    /// let panic = thread.panic().expect("it panicked");
    /// assert_eq!(panic.message(), "no more bananas");
    /// assert!(panic.file().is_some() && panic.line().is_some());
    /// # Ok::<(), multiproc::Error>(())
    /// ```
    #[must_use]
    pub fn panic(&self) -> Option<RemoteError> {
        table::with(|_| self.object.rest.lock().panic.clone())
    }
}

impl PartialEq for Thread {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.object, &other.object)
    }
}

impl Eq for Thread {}

/// As Python shows it: `<Thread(Thread-1, started daemon 4711)>`.
impl fmt::Debug for Thread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let class = match self.object.kind {
            Kind::Own(class) => class,
            Kind::Main => "_MainThread",
            Kind::Foreign => "_DummyThread",
        };
        let stage = match self.object.stage() {
            READY => "initial",
            _ if !self.object.is_ours() => "stopped",
            ENDED.. => "stopped",
            _ => "started",
        };
        write!(f, "<{class}({}, {stage}", self.name())?;
        if self.daemon() {
            write!(f, " daemon")?;
        }
        if let Some(ident) = self.ident() {
            write!(f, " {ident}")?;
        }
        write!(f, ")>")
    }
}
