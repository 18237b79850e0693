//! The processes around this one: its parent, its children, and the CPUs that they share.

use super::current::{self, Parent};
use super::handle::Process;
use super::running;
use crate::error::{Error, Result};
use crate::shm::member;
use crate::sys::clock::Deadline;
use crate::sys::{pidfd, thread};
use std::os::fd::AsFd;
use std::time::Duration;

/// The process that started this one; from [`parent_process`].
///
/// It is known by its place in the family and not by `getppid`, which names the fork server, or another process once the parent is
/// gone.
#[derive(Clone, Debug)]
pub struct ParentProcess {
    parent: Parent,
}

impl ParentProcess {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.parent.name
    }

    /// Its process id; it may belong to another process once the parent has ended.
    #[must_use]
    #[doc(alias = "ident")]
    pub fn pid(&self) -> u32 {
        self.parent.pid.cast_unsigned()
    }

    /// Does it live? A child that is not [detached](crate::ProcessBuilder::detach) dies with its parent and hardly ever sees `false`.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        let member = self.parent.member;
        !member::proved_dead(member.slot, member.generation)
    }

    /// Waits until it has ended.
    ///
    /// # Errors
    /// [`ErrorKind::Os`](crate::ErrorKind::Os) where the kernel does not let this process watch its parent.
    pub fn join(&self) -> Result<()> {
        self.wait(Deadline::NEVER).map(drop)
    }

    /// Waits until it has ended, for `timeout` at most; `false` when it still lives.
    ///
    /// # Errors
    /// As [`join`](Self::join).
    pub fn join_timeout(&self, timeout: Duration) -> Result<bool> {
        self.wait(Deadline::after(timeout))
    }

    fn wait(&self, deadline: Deadline) -> Result<bool> {
        let failed = |error| Error::os("watch the parent", error);
        let pidfd = match pidfd::open(self.parent.pid) {
            Err(error) if error.raw_os_error() == Some(nix::libc::ESRCH) => return Ok(true),
            other => other.map_err(failed)?,
        };
        // The number may have been given to another process: the descriptor is the parent's only if it lived after the opening.
        if !self.is_alive() {
            return Ok(true);
        }
        pidfd::wait(pidfd.as_fd(), deadline).map_err(failed)
    }
}

/// The process that started this one; `None` in the first process of a family, and in one that something else than this crate has
/// forked.
///
/// # Examples
/// ```
/// use multiproc::{Queue, parent_process};
///
/// assert!(parent_process().is_none());
///
/// fn whose(names: Queue<(String, u32)>) {
///     let parent = parent_process().expect("somebody started this");
///     assert!(parent.is_alive());
///     names.put((parent.name().to_owned(), parent.pid())).expect("the parent reads");
/// }
///
/// let names = Queue::new()?;
/// let mut child = multiproc::Process::new(whose, (names.clone(),));
/// child.start()?;
/// assert_eq!(names.get()?, ("MainProcess".to_owned(), std::process::id()));
/// assert_eq!(child.join()?, 0);
/// # Ok::<(), multiproc::Error>(())
/// ```
#[must_use]
pub fn parent_process() -> Option<ParentProcess> {
    let parent = current::identity().parent.clone()?;
    Some(ParentProcess { parent })
}

/// The children of this process that run, other than detached ones. Children that have ended are reaped by asking.
///
/// # Examples
/// ```
/// let mut child = multiproc::Process::new(|| std::thread::sleep(std::time::Duration::from_secs(60)), ());
/// child.start()?;
/// assert_eq!(multiproc::active_children()[0].pid(), child.pid());
/// child.kill()?;
/// child.join()?;
/// assert!(multiproc::active_children().is_empty());
/// # Ok::<(), multiproc::Error>(())
/// ```
#[must_use]
pub fn active_children() -> Vec<Process> {
    let lives = |child: &std::sync::Arc<running::Running>| matches!(child.try_wait(), Ok(None));
    let children = running::children().into_iter().filter(lives);
    children
        .filter(|child| !child.detached)
        .map(Process::of)
        .collect()
}

/// The number of CPUs of the machine that are on line, whatever this process may use of them; at least 1.
///
/// # Examples
/// ```
/// assert!(multiproc::cpu_count() >= 1);
/// ```
#[must_use]
pub fn cpu_count() -> usize {
    thread::online_cpus()
}

/// The number of CPUs that this process may use: its affinity, and the quota of its control group; at least 1.
///
/// # Examples
/// ```
/// assert!((1..=multiproc::cpu_count()).contains(&multiproc::available_cpus()));
/// ```
#[must_use]
pub fn available_cpus() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
