//! A child that was started, seen from the process that started it: waiting for its end, and learning how it ended.

use super::client::Connection;
use super::panics::Panic;
use crate::error::{Error, ErrorKind, RemoteError, Result};
use crate::shm::member::Status;
use crate::shm::{Member, settle};
use crate::sys::clock::Deadline;
use crate::sys::private::Private;
use crate::sys::{atfork, pidfd, process};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

/// How a child ended.
#[derive(Clone, Debug)]
pub(crate) struct Ended {
    /// `None`: nobody can tell.
    pub(crate) code: Option<i32>,
    pub(crate) panic: Option<RemoteError>,
}

/// A child.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) name: String,
    pub(crate) daemon: bool,
    pub(crate) pid: i32,
    pub(crate) member: Member,
    pub(super) pidfd: OwnedFd,
    pub(super) connection: Arc<Connection>,
    /// The fork that this process came from: a child of ours copies handles that are not its own.
    pub(super) forked: u32,
    pub(super) ended: Private<Option<Ended>>,
}

/// Children of this process whose end nobody has seen.
pub(super) static CHILDREN: Private<Vec<Arc<Running>>> = Private::new(Vec::new());

/// Children of this process whose end nobody has seen.
pub(super) fn children() -> Vec<Arc<Running>> {
    CHILDREN.lock().clone()
}

/// Notes a child, and reaps those that ended and that nobody has a handle of.
pub(super) fn add(child: &Arc<Running>) {
    CHILDREN.lock().push(Arc::clone(child));
    for other in children() {
        // Two: the table's and ours here.
        if Arc::strong_count(&other) == 2 {
            let _ended = other.try_wait();
        }
    }
}

impl Running {
    pub(crate) fn pidfd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    /// Waits for the end; `None` when the deadline came first.
    pub(crate) fn wait(&self, deadline: Deadline) -> Result<Option<Ended>> {
        if self.forked != atfork::generation() {
            return Err(Error::new(
                ErrorKind::Misuse,
                "only the process that started it can wait for a process",
            ));
        }
        if let Some(ended) = &*self.ended.lock() {
            return Ok(Some(ended.clone()));
        }
        let over = pidfd::wait(self.pidfd.as_fd(), deadline);
        if !over.map_err(|error| Error::os("wait for a process", error))? {
            return Ok(None);
        }
        let mut ended = self.ended.lock();
        Ok(Some(ended.get_or_insert_with(|| self.settle()).clone()))
    }

    /// Has it ended?
    pub(crate) fn try_wait(&self) -> Result<Option<Ended>> {
        self.wait(Deadline::now())
    }

    /// Learns how it ended, then gives back all that it had.
    fn settle(&self) -> Ended {
        let code = self.final_code();
        let pid = self.pid.cast_unsigned();
        let panic = Panic::recorded_by(self.member)
            .map(|panic| panic.into_remote(self.name.clone(), pid, code));
        if let Err(error) = settle::settle(self.member) {
            log::error!(
                "what process {} held was not given back: {error}",
                self.name
            );
        }
        CHILDREN.lock().retain(|child| child.member != self.member);
        Ended { code, panic }
    }

    /// What it said itself, or the server that reaped it, or the kernel.
    fn final_code(&self) -> Option<i32> {
        loop {
            match self.member.status() {
                Some(Status::Reaped(status)) => return Some(process::exit_code(status)),
                Some(Status::Leaving(code)) => return Some(code),
                None => return None,
                Some(Status::Running) if self.connection.is_gone() => {
                    // The server may have said it just before it went.
                    let Some(Status::Running) = self.member.status() else {
                        continue;
                    };
                    return pidfd::exit_status(self.pidfd.as_fd()).map(process::exit_code);
                }
                // The server reaps it in this moment and wakes us; the slice is for its death.
                Some(Status::Running) => self.member.sleep_on_status(Duration::from_millis(50)),
            }
        }
    }

    /// Sends a signal, unless it has ended.
    pub(crate) fn signal(&self, signal: i32) -> Result<()> {
        match pidfd::send_signal(self.pidfd.as_fd(), signal) {
            Err(error) if error.raw_os_error() == Some(nix::libc::ESRCH) => Ok(()),
            other => other.map_err(|error| Error::os("signal a process", error)),
        }
    }
}
