//! A fork of this very process: the start method `Fork`, closures with captures, and `os::fork`.
#![expect(unsafe_code, reason = "a process that may have many threads forks")]
//!
//! What makes it bearable in a program with threads:
//!
//! - standard output is flushed and its lock held across the fork, so that the child's first `println!` finds it free. Not standard
//!   error's too: a thread that prints to one while it holds the other would wait for us, and we for it;
//! - tables that the child may touch are behind locks that are taken before the fork ([`crate::sys::atfork`]);
//! - all signals are blocked until the child has put away its parent's handlers;
//! - the function runs on a fresh thread, with thread-locals of its own ([`super::child`]).
//!
//! # Safety
//! The child calls what the C library allows after a fork of many threads, memory allocation included, and this crate's code,
//! whose locks it finds free. What the user's closure calls is his risk, which [`Process::fork`](crate::Process::fork) explains.

use super::child::{self, Order};
use super::hooks;
use super::panics;
use super::running::Reaper;
use super::start::{Closure, Parcel, Started};
use super::{client, exec, exit};
use crate::error::{Error, Result};
use crate::shm::blocks::Block;
use crate::shm::{Member, handle};
use crate::sys::process::{self, Fork};
use crate::sys::signal::AllBlocked;
use crate::sys::{atfork, image, pidfd};
use std::io::{self, Write};
use std::mem::ManuallyDrop;
use std::os::fd::OwnedFd;

/// What a forked child runs.
pub(super) enum Body<'a> {
    /// An order and arguments in a block, as for every other start method.
    Message(Block, Option<&'a Parcel>),
    Copied(&'a Order, Closure),
}

/// Forks a child that takes the place of `member` and runs `body`. The parent gets its closure back, to keep it.
pub(super) fn start(
    member: Member,
    detached: bool,
    body: Body<'_>,
) -> Result<(Started, Option<Closure>)> {
    let lifeline = client::lifeline()?;
    let tie = (!detached).then_some(&*lifeline);
    panics::install();
    // The child will need it, and could wait for ever for another thread that is about to look.
    let _known_now = image::fingerprint();
    let around = hooks::before_fork();
    let side = guarded_fork(Some(member));
    let pid = match side {
        Err(error) => {
            around.in_parent();
            return Err(Error::os("fork", error));
        }
        Ok(Side::Child(signals)) => live(tie, member, body, signals, &around),
        Ok(Side::Parent(pid)) => pid,
    };
    member.note_child(pid);
    let held = hold(pid);
    // Hooks may panic, and nobody would have the child then.
    let unheld = Unheld(held.is_ok().then_some(pid));
    around.in_parent();
    let _held = ManuallyDrop::new(unheld);
    let pidfd = held.map_err(|error| Error::os("take the descriptor of a process", error))?;
    let started = Started {
        pid,
        pidfd,
        reaper: Reaper::Us,
    };
    let kept = match body {
        Body::Copied(_, closure) => Some(closure),
        Body::Message(..) => None,
    };
    Ok((started, kept))
}

/// A child that nobody could hold is none.
fn hold(pid: i32) -> io::Result<OwnedFd> {
    pidfd::of_child(pid).inspect_err(|_| exec::discard(pid))
}

/// A child that is ended and reaped when this is dropped.
struct Unheld(Option<i32>);

impl Drop for Unheld {
    fn drop(&mut self) {
        if let Some(pid) = self.0 {
            exec::discard(pid);
        }
    }
}

enum Side {
    Parent(i32),
    /// All signals are blocked yet.
    Child(AllBlocked),
}

/// Forks with standard output flushed and its lock held, and with all signals blocked. What this process holds in the arena, the
/// heir holds too.
fn guarded_fork(heir: Option<Member>) -> io::Result<Side> {
    let mut stdout = io::stdout().lock();
    // Broken output is no reason not to fork.
    let _flushed = stdout.flush();
    crate::sys::exit::flush_output_of_c();
    let signals = AllBlocked::now()?;
    let _heir = handle::bequeath(heir);
    // SAFETY: see the head of this file.
    let fork = || unsafe { process::fork() };
    // The child of `os::fork` returns where its parent does.
    let side = if heir.is_some() {
        atfork::ours(fork)
    } else {
        fork()
    };
    match side? {
        Fork::Child => Ok(Side::Child(signals)),
        Fork::Parent { child } => Ok(Side::Parent(child)),
    }
}

fn live(
    lifeline: Option<&OwnedFd>,
    member: Member,
    body: Body<'_>,
    signals: AllBlocked,
    around: &hooks::Around,
) -> ! {
    exit::begin_anew();
    super::surroundings::forget_baseline();
    panics::distrust_inherited_hook();
    child::live_forked(lifeline, member, body, signals, around)
}

/// The two returns of [`fork`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForkResult {
    /// This is the new process.
    Child,
    /// This is the process that called `fork`.
    Parent {
        /// The process id of the child.
        child: u32,
    },
}

/// `fork(2)`: from here on there are two processes, and both return. Python's `os.fork`.
///
/// The child is not a child in the sense of [`Process`](crate::Process): it has no name that a parent gave it, nobody joins it but
/// [`waitpid`](crate::os::waitpid), and it does not die with its parent. It is a member of the family of its own: handles of queues
/// and locks that it has copied work. Standard output is flushed before; [`at_fork`](crate::at_fork) hooks are called.
///
/// Functions of exit handlers are inherited, but for those of [`at_exit`](crate::at_exit).
///
/// # Safety
/// The calling process has one thread, or the child calls only what is safe after a fork of many: no lock that another thread may
/// have held.
///
/// # Errors
/// [`ErrorKind::Os`](crate::ErrorKind::Os) when the system has no room for a process.
///
/// # Examples
/// ```
/// use multiproc::os;
///
/// // SAFETY: the child does nothing but end.
/// match unsafe { os::fork() }? {
///     os::Fork::Child => std::process::exit(7),
///     os::Fork::Parent { child } => assert_eq!(os::waitpid(child)?, 7),
/// }
/// # Ok::<(), multiproc::Error>(())
/// ```
pub unsafe fn fork() -> Result<ForkResult> {
    // Or the child would take itself for its parent, where nothing was started yet.
    super::start::register_tables();
    let around = hooks::before_fork();
    match guarded_fork(None) {
        Err(error) => {
            around.in_parent();
            Err(Error::os("fork", error))
        }
        Ok(Side::Parent(pid)) => {
            around.in_parent();
            Ok(ForkResult::Parent {
                child: pid.cast_unsigned(),
            })
        }
        Ok(Side::Child(_unblocked_at_the_end)) => {
            around.in_child();
            Ok(ForkResult::Child)
        }
    }
}
