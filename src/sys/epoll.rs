//! `epoll(7)`: which of many descriptors can be read from, one at a time, each in its turn.
#![expect(unsafe_code, reason = "dup3 over a number that others have borrowed")]
//!
//! # Safety
//! The number that is overwritten stays open all the time, and stays an epoll.

use super::spawn::above_streams;
use nix::errno::Errno;
use nix::libc;
use nix::sys::epoll::{EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

/// Descriptors, each with a number of the caller's.
#[derive(Debug)]
pub(crate) struct Epoll(nix::sys::epoll::Epoll);

impl Epoll {
    pub(crate) fn new() -> io::Result<Self> {
        let epoll = nix::sys::epoll::Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        Ok(Self(nix::sys::epoll::Epoll(above_streams(epoll.0)?)))
    }

    /// Watches one more.
    pub(crate) fn add(&self, fd: BorrowedFd<'_>, number: u64) -> io::Result<()> {
        Ok(self
            .0
            .add(fd, EpollEvent::new(EpollFlags::EPOLLIN, number))?)
    }

    /// Goes on to watch it, or leaves it alone for a while.
    pub(crate) fn watch(&self, fd: BorrowedFd<'_>, number: u64, watch: bool) -> io::Result<()> {
        let flags = if watch {
            EpollFlags::EPOLLIN
        } else {
            EpollFlags::empty()
        };
        Ok(self.0.modify(fd, &mut EpollEvent::new(flags, number))?)
    }

    /// Forgets it. To close a descriptor is not enough, where a forked child has a copy.
    pub(crate) fn remove(&self, fd: BorrowedFd<'_>) {
        let _forgotten_before = self.0.delete(fd);
    }

    /// The number of one that can be read from at this instant. Those that stay so take turns.
    pub(crate) fn ready(&self) -> io::Result<Option<u64>> {
        let mut events = [EpollEvent::empty()];
        match self.0.wait(&mut events, EpollTimeout::ZERO) {
            Err(Errno::EINTR) | Ok(0) => Ok(None),
            Ok(_) => Ok(Some(events[0].data())),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Puts a new one, which watches nothing, to the place of a copy that a fork has made: the old one is shared with the parent.
    pub(crate) fn renew(&self) -> io::Result<()> {
        let new = Self::new()?;
        let (from, to) = (new.as_fd().as_raw_fd(), self.as_fd().as_raw_fd());
        // SAFETY: `from` is open, and `to` is ours; who has borrowed it finds another epoll there.
        Errno::result(unsafe { libc::dup3(from, to, libc::O_CLOEXEC) })?;
        Ok(())
    }
}

impl AsFd for Epoll {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.0.as_fd()
    }
}
