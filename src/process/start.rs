//! `Process`: a function that runs in a process of its own.

use super::call::{self, Arguments, Call, Callable};
use super::child::Order;
use super::client;
use super::current::{self, Identity};
use super::running::{self, Running};
use super::server::Request;
use super::{exit, hook};
use crate::error::{Error, ErrorKind, RemoteError, Result};
use crate::shm::arena::Arena;
use crate::shm::blocks::Owner;
use crate::shm::{Member, member, message, settle};
use crate::sys::atfork::{self, Forkable};
use crate::sys::atomic::{AtomicBool, Release, SeqCst};
use crate::sys::clock::Deadline;
use crate::sys::private::Private;
use crate::wire::{self, Bytes};
use std::fmt;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::Duration;

/// A process that runs one function.
///
/// The function is *sent*: it is a function item or a closure without captures, and its arguments are serialised. It runs in a
/// child of the family's fork server, which has one thread and none of this process's state, so the start is safe whatever this
/// program does with threads and costs the same however large it is.
///
/// **If this process dies**, however, all processes that it started are killed by the kernel. **If the process dies**, its locks, its
/// handles and its tasks are settled; [`exitcode`](Self::exitcode) says how it ended. Dropping a `Process` neither kills nor waits:
/// it is reaped later, and at the program's normal end non-daemon processes are joined and daemons are terminated.
///
/// # Differences from Python
/// Options are set by [`builder`](Self::builder) or before the start; `join` answers with the exit code. A capture is refused at compile
/// time, where Python fails at the start with a pickling error:
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
    target: Option<Target>,
    running: Option<Arc<Running>>,
}

type Encode = Box<dyn FnOnce() -> Result<(Bytes, message::Cargo)> + Send>;

struct Target {
    call: Call,
    /// Behind a lock only so that a `Process` may be shared between threads.
    arguments: Private<Option<Encode>>,
}

impl Process {
    /// A process that will call `function` with `arguments`, a tuple. Nothing happens before [`start`](Self::start).
    pub fn new<F: Callable<A>, A: Arguments>(function: F, arguments: A) -> Self {
        Self::builder(function, arguments).build()
    }

    /// The same, with options.
    ///
    /// # Examples
    /// ```
    /// let process = multiproc::Process::builder(|| (), ()).name("worker").daemon(true).start()?;
    /// assert_eq!(process.name(), "worker");
    /// process.join()?;
    /// # Ok::<(), multiproc::Error>(())
    /// ```
    pub fn builder<F: Callable<A>, A: Arguments>(function: F, arguments: A) -> ProcessBuilder {
        let target = Target {
            call: call::target::<F, A>(function),
            arguments: Private::new(Some(Box::new(move || wire::encode(&arguments)))),
        };
        ProcessBuilder {
            target,
            name: None,
            daemon: None,
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
    /// [`ErrorKind::Misuse`] when it was started.
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
    /// [`ErrorKind::Misuse`] when it was started.
    pub fn set_daemon(&mut self, daemon: bool) -> Result<()> {
        self.before_start("daemon is set before the start")?;
        self.identity.daemon = daemon;
        Ok(())
    }

    fn before_start(&self, rule: &str) -> Result<()> {
        match self.target {
            Some(_) => Ok(()),
            None => Err(Error::new(ErrorKind::Misuse, rule)),
        }
    }

    /// Starts it. It runs when this returns, or will at once.
    ///
    /// # Errors
    /// [`ErrorKind::Misuse`] when it was started before, or by a daemon; [`ErrorKind::Encode`] when the arguments do not serialise;
    /// [`ErrorKind::StartMethodUnavailable`] where no fork server can run; [`ErrorKind::NoSpace`]; [`ErrorKind::Os`] when the system
    /// has no room for a process. Nothing was started then, and it cannot be started again.
    pub fn start(&mut self) -> Result<()> {
        let once = || Error::new(ErrorKind::Misuse, "a process can be started once");
        let target = self.target.take().ok_or_else(once)?;
        let encode = target.arguments.lock().take().ok_or_else(once)?;
        let (arguments, cargo) = encode()?;
        let order = Order {
            identity: self.identity.clone(),
            call: target.call,
        };
        self.running = Some(launch_order(&order, arguments.as_slice(), cargo, |_| ())?);
        Ok(())
    }

    fn started(&self) -> Result<&Arc<Running>> {
        self.running
            .as_ref()
            .ok_or_else(|| Error::new(ErrorKind::Misuse, "the process was not started"))
    }

    /// Waits until it has ended; the answer is its exit code as [`exitcode`](Self::exitcode) gives it.
    ///
    /// # Errors
    /// [`ErrorKind::Misuse`] before the start, or in a process that did not start it; [`ErrorKind::UnknownStatus`] when it has ended and
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
        match &self.running {
            None => Ok(None),
            Some(_) => self.join_timeout(Duration::ZERO),
        }
    }

    /// Does it run at this moment?
    #[must_use]
    pub fn is_alive(&self) -> bool {
        let ended = self.running.as_ref().map(|running| running.try_wait());
        matches!(ended, Some(Ok(None)))
    }

    /// Its process id; `None` before the start.
    #[must_use]
    #[doc(alias = "ident")]
    pub fn pid(&self) -> Option<u32> {
        self.running
            .as_ref()
            .map(|running| running.pid.cast_unsigned())
    }

    /// Sends SIGTERM, which ends it without unwinding unless it handles the signal. No-op when it has ended.
    ///
    /// # Errors
    /// [`ErrorKind::Misuse`] before the start; [`ErrorKind::Os`] when the system refuses.
    pub fn terminate(&self) -> Result<()> {
        self.started()?.signal(nix::libc::SIGTERM)
    }

    /// Sends SIGKILL, which ends it at once. No-op when it has ended.
    ///
    /// # Errors
    /// As [`terminate`](Self::terminate).
    pub fn kill(&self) -> Result<()> {
        self.started()?.signal(nix::libc::SIGKILL)
    }

    /// A descriptor that is readable once it has ended (a pidfd), to poll together with others.
    ///
    /// # Errors
    /// [`ErrorKind::Misuse`] before the start.
    pub fn sentinel(&self) -> Result<BorrowedFd<'_>> {
        Ok(self.started()?.pidfd())
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
        self.running.as_ref()?.try_wait().ok()??.panic
    }
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut all = f.debug_struct("Process");
        all.field("name", &self.name())
            .field("daemon", &self.daemon())
            .field("pid", &self.pid());
        match self.running.as_ref().map(|running| running.try_wait()) {
            None => all.field("state", &"initial"),
            Some(Ok(None)) => all.field("state", &"started"),
            Some(Ok(Some(ended))) => all
                .field("state", &"stopped")
                .field("exitcode", &ended.code),
            Some(Err(_)) => all.field("state", &"unknown"),
        };
        all.finish()
    }
}

/// Options of a process; from [`Process::builder`].
#[must_use = "call `start` or `build`"]
pub struct ProcessBuilder {
    target: Target,
    name: Option<String>,
    daemon: Option<bool>,
}

impl ProcessBuilder {
    /// Its name.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Terminated at this program's end, instead of joined. A daemon may not have children.
    pub fn daemon(mut self, daemon: bool) -> Self {
        self.daemon = Some(daemon);
        self
    }

    /// The process, not started.
    #[must_use]
    pub fn build(self) -> Process {
        let identity = new_identity("Process", self.name, self.daemon);
        Process {
            identity,
            target: Some(self.target),
            running: None,
        }
    }

    /// The process, started.
    ///
    /// # Errors
    /// As [`Process::start`].
    pub fn start(self) -> Result<Process> {
        let mut process = self.build();
        process.start()?;
        Ok(process)
    }
}

impl fmt::Debug for ProcessBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProcessBuilder")
            .field("name", &self.name)
            .field("daemon", &self.daemon)
            .finish_non_exhaustive()
    }
}

fn new_identity(kind: &str, name: Option<String>, daemon: Option<bool>) -> Identity {
    let path = current::next_path();
    let name = name.unwrap_or_else(|| {
        let numbers: Vec<String> = path.iter().map(ToString::to_string).collect();
        format!("{kind}-{}", numbers.join(":"))
    });
    let daemon = daemon.unwrap_or_else(|| current::identity().daemon);
    Identity { name, daemon, path }
}

/// Starts a daemon that calls `function`, for a service of this crate. `lost` is called when it cannot be held: it may
/// run then, and is not settled yet.
pub(crate) fn launch<F: Callable<A>, A: Arguments>(
    name: String,
    function: F,
    arguments: &A,
    lost: impl FnOnce(Member),
) -> Result<Arc<Running>> {
    let identity = new_identity(&name, Some(name.clone()), Some(true));
    let (bytes, cargo) = wire::encode(arguments)?;
    let order = Order {
        identity,
        call: call::target::<F, A>(function),
    };
    launch_order(&order, bytes.as_slice(), cargo, lost)
}

fn launch_order(
    order: &Order,
    arguments: &[u8],
    cargo: message::Cargo,
    lost: impl FnOnce(Member),
) -> Result<Arc<Running>> {
    if current::identity().daemon {
        return Err(Error::new(
            ErrorKind::Misuse,
            "a daemon may not have children",
        ));
    }
    prepare_once()?;
    let (first, _no_handles) = wire::encode(order)?;
    let bytes = [first.as_slice(), arguments].concat();
    let member = member::reserve()?;
    let started = send(member, &bytes, cargo);
    let started = started.inspect_err(|_| {
        // It never ran, or nobody will ever ask for it.
        lost(member);
        settle::abandon(member);
    })?;
    let running = Arc::new(Running {
        name: order.identity.name.clone(),
        daemon: order.identity.daemon,
        pid: started.pid,
        member,
        pidfd: started.pidfd,
        connection: started.connection,
        forked: atfork::generation(),
        ended: Private::new(None),
    });
    running::add(&running);
    Ok(running)
}

fn send(member: Member, bytes: &[u8], cargo: message::Cargo) -> Result<client::Started> {
    let arena = Arena::get()?;
    let own = member::own()?;
    let slot = member.slot(arena).ok_or(ErrorKind::StaleHandle)?;
    slot.parent.store(
        u64::from(own.generation) << 32 | u64::from(own.slot + 1),
        Release,
    );
    // The block is the child's from the start: whoever of the two dies, settling the child's slot frees it.
    let message = message::store(bytes, cargo, Owner::member(member.slot))?;
    client::start(Request { member, message })
}

/// Once in the life of a process image: what a fork must do to the tables of this room; and the exit handler.
fn prepare_once() -> Result<()> {
    hook::keep();
    let _own = member::own()?;
    register_tables();
    exit::install_for_parent();
    Ok(())
}

/// What a fork must do to the tables of this room. A child does it before anything else: it has a connection from the start.
pub(super) fn register_tables() {
    static PREPARED: AtomicBool = AtomicBool::new(false);
    static LINK: &dyn Forkable = &client::CloseInChild;
    static CHILDREN: &dyn Forkable = &running::CHILDREN;
    static OWN: &dyn Forkable = &current::OWN;
    if !PREPARED.swap(true, SeqCst) {
        atfork::register(&[&LINK, &CHILDREN, &OWN]);
    }
}
