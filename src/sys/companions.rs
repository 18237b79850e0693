//! Waiting for descriptors, and meanwhile for the end of processes that have something to do with them.
//!
//! A fork copies sockets that are not meant for the child, and the parent keeps copies of what it was meant for. Such a copy must not
//! keep a peer waiting when the process that the socket was meant for has died; so who waits for a socket watches those processes too,
//! and tends to them when they end. Which they are, is known in a room above: it registers here.

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

/// Is there anybody whose end must be noticed by one who waits?
pub(crate) fn any() -> bool {
    present().is_some()
}

/// Polls until something is ready (`true`) or the deadline has passed. Neither a signal nor the end of a companion ends the wait.
pub(crate) fn poll_until(fds: &mut [PollFd<'_>], deadline: Deadline) -> io::Result<bool> {
    match present() {
        Some(companions) => companions.poll_until(fds, deadline),
        None => socket::poll_until(fds, deadline),
    }
}
