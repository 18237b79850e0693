//! Signals: sent to a process, and Ctrl-C as three requests that become more urgent.
//!
//! Processes of this crate are process groups of their own: a Ctrl-C at the terminal reaches the program, not its children, and the
//! program decides what becomes of them.

use crate::error::{Error, ErrorKind, Result};
use crate::sys::interrupt::Caught;
use crate::sys::os_thread::{self, OsThread};
use crate::sys::{private::Private, process};
use nix::libc;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// The number of a signal.
///
/// # Examples
/// ```
/// use multiproc::signal::Signal;
///
/// assert_eq!(Signal::INTERRUPT.number(), 2);
/// assert_eq!(Signal::from_number(9)?, Signal::KILL);
/// assert_eq!(Signal::TERMINATE.to_string(), "SIGTERM");
/// # Ok::<(), multiproc::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Signal(i32);

impl Signal {
    /// SIGINT: what Ctrl-C sends.
    pub const INTERRUPT: Self = Self(libc::SIGINT);
    /// SIGTERM: a polite request to end.
    pub const TERMINATE: Self = Self(libc::SIGTERM);
    /// SIGKILL: the end, which no process can refuse.
    pub const KILL: Self = Self(libc::SIGKILL);
    /// SIGHUP: the terminal has gone.
    pub const HANGUP: Self = Self(libc::SIGHUP);
    /// SIGUSR1: what the program likes.
    pub const USER1: Self = Self(libc::SIGUSR1);
    /// SIGUSR2: what the program likes.
    pub const USER2: Self = Self(libc::SIGUSR2);
    /// SIGSTOP: stand still, which no process can refuse.
    pub const STOP: Self = Self(libc::SIGSTOP);
    /// SIGCONT: go on.
    pub const CONTINUE: Self = Self(libc::SIGCONT);

    /// The signal with that number, of the 64 that Linux has.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for a number that is no signal's; 0 is none either, [`os::kill`](crate::os::kill) takes it.
    pub fn from_number(number: i32) -> Result<Self> {
        if (1..=libc::SIGRTMAX()).contains(&number) {
            return Ok(Self(number));
        }
        let text = format!("no signal has the number {number}");
        Err(Error::new(ErrorKind::InvalidInput, text))
    }

    /// Its number.
    #[must_use]
    pub const fn number(self) -> i32 {
        self.0
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match nix::sys::signal::Signal::try_from(self.0) {
            Ok(known) => f.write_str(known.as_str()),
            Err(_) => write!(f, "signal {}", self.0),
        }
    }
}

impl fmt::Debug for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Sends `signal` to the process `pid`, as Python's `os.kill`. A [`Process`](crate::Process) has verbs of its own, which cannot hit another
/// process that has got its number meanwhile.
///
/// A process that has ended and was not waited for yet takes signals as if it lived; nothing happens.
///
/// # Errors
/// [`ErrorKind::InvalidInput`] for a `pid` of 0 or one that is none, which would mean groups of processes; [`ErrorKind::Os`] when there
/// is no such process or the system refuses.
///
/// # Examples
/// ```
/// use multiproc::{Process, signal};
///
/// let mut process = Process::new(std::thread::sleep, (std::time::Duration::from_secs(600),));
/// process.start()?;
/// signal::send(process.pid().expect("it was started"), signal::Signal::TERMINATE)?;
/// assert_eq!(process.join()?, -15);
/// # Ok::<(), multiproc::Error>(())
/// ```
pub fn send(pid: u32, signal: Signal) -> Result<()> {
    let number = i32::try_from(pid).ok().filter(|&pid| pid > 0);
    let number =
        number.ok_or_else(|| Error::new(ErrorKind::InvalidInput, "no process has this number"))?;
    process::send_signal(number, signal.0).map_err(|error| Error::os("kill", error))
}

/// How urgent an interrupt is: which one in a row it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stage {
    /// The first: take no new work, finish what was begun.
    Drain,
    /// The second: give up what was begun.
    Terminate,
    /// The third and all that follow: end, whatever is lost.
    Kill,
}

impl Stage {
    const fn of(interrupt: u32) -> Self {
        match interrupt {
            1 => Self::Drain,
            2 => Self::Terminate,
            _ => Self::Kill,
        }
    }
}

/// What the thread is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Waiting,
    Calling,
    Over,
}

#[derive(Debug)]
struct Line {
    caught: Caught,
    state: Private<State>,
}

/// Keeps [`on_interrupt`] in force, until dropped.
///
/// Dropping it gives SIGINT back to what it did before, and ends the thread; a call that is under way is not waited for, and no other
/// begins. In a process that was forked with a copy of it, dropping that copy changes nothing.
#[must_use = "dropped at once, it changes nothing"]
#[derive(Debug)]
pub struct Interrupts {
    line: Arc<Line>,
    thread: Option<OsThread>,
}

/// Calls `f` for each SIGINT of this process, which does not end it any more: with [`Stage::Drain`] for the first, [`Stage::Terminate`]
/// for the second, [`Stage::Kill`] for all others. None is lost that comes during a call.
///
/// `f` runs on a thread of its own (not in the signal handler), one call at a time: let it *tell* others what to do, and let the main
/// thread wait. A call that waits itself, as for `Pool::join`, would keep the next stage waiting too. A panic in it is reported as every
/// panic, and the next stage comes all the same.
///
/// Where nothing is done about SIGINT, it ends this process at once; its children follow, as they do for every death of their parent.
/// Children that this crate makes do not have the thread, and SIGINT ends them. A Ctrl-C at the terminal does not reach them: each is a
/// process group of its own. In Python it does, and everybody prints a traceback.
///
/// Several may be in force; each calls its own. While they are, another handler of SIGINT should neither be set nor removed.
///
/// # Errors
/// [`ErrorKind::Os`] when no handler can be set, or no thread be made.
///
/// # Examples
/// ```
/// use multiproc::signal::{self, Signal, Stage, on_interrupt};
/// use std::sync::mpsc;
///
/// let (tells, hears) = mpsc::channel();
/// let guard = on_interrupt(move |stage| tells.send(stage).expect("main hears"))?;
/// for stage in [Stage::Drain, Stage::Terminate, Stage::Kill] {
///     // As if Ctrl-C were pressed.
///     signal::send(std::process::id(), Signal::INTERRUPT)?;
///     assert_eq!(hears.recv(), Ok(stage));
/// }
/// drop(guard);
/// # Ok::<(), multiproc::Error>(())
/// ```
pub fn on_interrupt(f: impl FnMut(Stage) + Send + 'static) -> Result<Interrupts> {
    let caught = Caught::new().map_err(|error| Error::os("handle SIGINT", error))?;
    let state = Private::new(State::Waiting);
    let line = Arc::new(Line { caught, state });
    let own = Arc::clone(&line);
    let listen = move || own.listen(f);
    let started = os_thread::spawn("multiproc-int", os_thread::STACK, listen);
    let thread = started.map_err(|error| Error::os("start a thread for SIGINT", error))?;
    Ok(Interrupts {
        line,
        thread: Some(thread),
    })
}

impl Line {
    fn listen(&self, mut f: impl FnMut(Stage)) {
        let mut heard = 0;
        while *self.state.lock() != State::Over {
            if let Err(error) = self.caught.wait() {
                log::error!("interrupts are not heard any more: {error}");
                return;
            }
            while heard < self.caught.count() && self.turn(State::Calling) {
                heard = heard.saturating_add(1);
                // The panic hook has told of it, and later stages matter more now.
                let _told = catch_unwind(AssertUnwindSafe(|| f(Stage::of(heard))));
                self.turn(State::Waiting);
            }
        }
    }

    /// Changes the state, unless it is over.
    fn turn(&self, state: State) -> bool {
        let mut now = self.state.lock();
        if *now == State::Over {
            return false;
        }
        *now = state;
        true
    }
}

impl Drop for Interrupts {
    fn drop(&mut self) {
        let thread = self.thread.take();
        if !self.line.caught.is_own() {
            // Here it never ran. Its handle names what is not there.
            let _of_the_parent = std::mem::ManuallyDrop::new(thread);
            return;
        }
        let before = std::mem::replace(&mut *self.line.state.lock(), State::Over);
        self.line.caught.give_back();
        self.line.caught.call();
        if let (State::Waiting, Some(thread)) = (before, thread) {
            let _it_caught_panics = thread.join();
        }
    }
}
