//! The fork server as keeper: it survives those who own named things, and removes what they leave.
//!
//! Of the children that it forks it learns by reaping them. The program that started it is not its child: its socket is closed when it ends, or
//! when it closes all its descriptors and lives on, so that only its pidfd says that it is dead. As long as that program or a child
//! of the server owns something, the server stays.

use crate::shm::Member;
use crate::shm::label::{self, Sweeper};
use crate::sys::pidfd;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// What is to be done for the dead.
#[derive(Debug)]
pub(super) struct Keeping {
    /// The program that started this server, until it has ended.
    first: Option<(i32, OwnedFd)>,
    /// Peers that came before it have gone, as it has itself.
    first_has_hung_up: bool,
    /// What earlier families have left was looked for.
    pub(super) has_looked: bool,
}

impl Keeping {
    pub(super) fn new() -> Self {
        let parent = nix::unistd::getppid().as_raw();
        Self {
            first: pidfd::open(parent).ok().map(|pidfd| (parent, pidfd)),
            first_has_hung_up: false,
            has_looked: false,
        }
    }

    /// Somebody lives whose names must go when he ends.
    pub(super) fn waits(&self, children: &[(i32, Member)]) -> bool {
        self.awaited().is_some() || children.iter().any(|&(_, child)| label::is_named(child))
    }

    /// The program that started the server, if it can only be heard of in this way.
    pub(super) fn awaited(&self) -> Option<BorrowedFd<'_>> {
        let (_, pidfd) = self.first.as_ref().filter(|_| self.first_has_hung_up)?;
        Some(pidfd.as_fd())
    }

    /// The first peer is the program that started the server, as long as it is there.
    pub(super) fn peer_has_gone(&mut self, index: usize) {
        if index == 0 && !self.first_has_hung_up {
            self.first_has_hung_up = true;
            self.first.take_if(|(pid, _)| !label::has_labels(*pid));
        }
    }

    pub(super) fn first_has_ended(&mut self) {
        self.first = None;
        label::sweep_or_say(Sweeper::Other);
    }

    /// Removes what families have left that were wholly killed.
    pub(super) fn look(&mut self) {
        if !self.has_looked {
            self.has_looked = true;
            label::sweep_or_say(Sweeper::Other);
        }
    }
}
