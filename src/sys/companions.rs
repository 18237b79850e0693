//! Waiting for descriptors, and meanwhile for the end of processes that have something to do with them.
//!
//! A fork copies sockets that are not meant for the child, and the parent keeps copies of what it was meant for. Such a copy must not
//! keep a peer waiting when the process that the socket was meant for has died; so who waits for a socket watches those processes too,
//! and tends to them when they end. Which they are, is known in a room above: it registers here.

use super::atomic::{AtomicU32, SeqCst};
use super::clock::Deadline;
use super::socket;
use nix::poll::PollFd;
use std::fmt::Debug;
use std::io;
use std::sync::OnceLock;

/// Who knows the processes whose end is to be noticed.
pub(crate) trait Companions: Debug + Sync {
    /// Is there any?
    fn any(&self) -> bool;
    /// Polls until one of `fds` is ready (`true`) or the deadline has passed, and tends to those processes that end meanwhile.
    fn poll_until(&self, fds: &mut [PollFd<'_>], deadline: Deadline) -> io::Result<bool>;
}

/// Set before `main`, so that no fork can copy it half set.
static REGISTERED: OnceLock<&'static dyn Companions> = OnceLock::new();

pub(crate) fn register(companions: &'static dyn Companions) {
    let _once = REGISTERED.set(companions);
}

fn present() -> Option<&'static dyn Companions> {
    let companions = *REGISTERED.get()?;
    companions.any().then_some(companions)
}

/// Threads of this process that wait for a socket.
static WAITING: AtomicU32 = AtomicU32::new(0);

/// A thread that waits for a socket, until dropped.
#[derive(Debug)]
pub(crate) struct Waiting(());

/// Said before the wait begins: who comes to watch a process later knows that a thread may sleep already that does not.
pub(crate) fn waiting() -> Waiting {
    WAITING.fetch_add(1, SeqCst);
    Waiting(())
}

impl Drop for Waiting {
    fn drop(&mut self) {
        WAITING.fetch_sub(1, SeqCst);
    }
}

/// May there be a thread that waits for a socket, and does not know of a companion that has just come?
pub(crate) fn somebody_waits() -> bool {
    WAITING.load(SeqCst) > 0
}

/// In a forked child, whose other threads are not there.
pub(crate) fn forget_waiting() {
    WAITING.store(0, SeqCst);
}

/// Is there anybody whose end must be noticed by one who waits?
pub(crate) fn any() -> bool {
    present().is_some()
}

/// Polls until something is ready (`true`) or the deadline has passed. Neither a signal nor the end of a companion ends the wait.
pub(crate) fn poll_until(fds: &mut [PollFd<'_>], deadline: Deadline) -> io::Result<bool> {
    let _waiting = waiting();
    match present() {
        Some(companions) => companions.poll_until(fds, deadline),
        None => socket::poll_until(fds, deadline),
    }
}
