//! A child that was started, seen from the process that started it: waiting for its end, and learning how it ended.

use super::connection::Connection;
use super::current::Identity;
use super::method::StartMethod;
use super::report::{self, Report, Value};
use super::{spares, watcher};
use crate::error::{Error, ErrorKind, RemoteError, Result};
use crate::shm::member::Status;
use crate::shm::{Member, settle};
use crate::sys::atfork::Forkable;
use crate::sys::atomic::{AtomicU32, SeqCst};
use crate::sys::clock::Deadline;
use crate::sys::companions::{self, Companions};
use crate::sys::private::Private;
use crate::sys::{atfork, descriptor, pidfd, process, socket};
use nix::poll::{PollFd, PollFlags};
use std::any::Any;
use std::fmt;
use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::Duration;

/// How a child ended.
#[derive(Clone, Debug)]
pub(crate) struct Ended {
    /// `None`: nobody can tell.
    pub(crate) code: Option<i32>,
    pub(crate) panic: Option<RemoteError>,
    /// What sort of failure `panic` tells of.
    pub(super) kind: ErrorKind,
}

/// Who hears from the kernel how a child ended.
#[derive(Debug)]
pub(super) enum Reaper {
    /// The fork server, its real parent, which writes it into the child's slot.
    Server(Arc<Connection>),
    /// This process.
    Us,
}

/// A child.
pub(crate) struct Running {
    pub(super) identity: Identity,
    pub(super) method: StartMethod,
    /// Nobody of this program waits for it.
    pub(super) detached: bool,
    pub(crate) pid: i32,
    pub(crate) member: Member,
    pub(super) pidfd: descriptor::Shared,
    pub(super) reaper: Reaper,
    /// The fork that this process came from: a child of ours copies handles that are not its own.
    pub(super) forked: u32,
    pub(super) ended: Private<Option<Ended>>,
    /// What its function gave, for whoever joins it.
    pub(super) value: Private<Option<Value>>,
    /// What a fork copied: it is kept until the child has ended, so that what the child uses by its means stays.
    pub(super) kept: Private<Option<Box<dyn Any + Send>>>,
}

impl Drop for Running {
    /// The handles in a value are in flight once, however often a fork copies it: they land in the process that started the child.
    fn drop(&mut self) {
        if self.forked != atfork::generation() {
            let _theirs = ManuallyDrop::new(self.value.get_mut().take());
        }
    }
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut all = f.debug_struct("Running");
        all.field("name", &self.name()).field("pid", &self.pid);
        all.field("member", &self.member).finish_non_exhaustive()
    }
}

/// Children of this process whose end nobody has seen.
pub(super) static CHILDREN: Private<Vec<Arc<Running>>> = Private::new(Vec::new());

/// What a fork does to the table: the child has other children, and closes what it has copied of these.
#[derive(Debug)]
pub(super) struct Siblings;

impl Forkable for Siblings {
    fn before(&self) {
        CHILDREN.before();
    }

    fn after(&self) {
        CHILDREN.after();
    }

    fn child(&self) {
        CHILDREN.release();
        for sibling in CHILDREN.lock().iter() {
            sibling.pidfd.close();
            // That to a former server too: it serves as long as anybody has one.
            if let Reaper::Server(server) = &sibling.reaper {
                server.close();
            }
        }
        KEPT.0.store(0, SeqCst);
        companions::forget_waiting();

        CHILDREN.acquire();
        CHILDREN.child();
    }
}

/// Children for which something is [kept](Running::kept). Whoever waits for a connection hears of their ends: what was kept may hold a copy
/// of the other end of it.
pub(super) static KEPT: Keepsakes = Keepsakes(AtomicU32::new(0));

/// See [`KEPT`].
#[derive(Debug)]
pub(super) struct Keepsakes(AtomicU32);

impl Companions for Keepsakes {
    fn any(&self) -> bool {
        self.0.load(SeqCst) > 0
    }

    fn poll_until(&self, fds: &mut [PollFd<'_>], deadline: Deadline) -> io::Result<bool> {
        loop {
            let watched = with_something_kept();
            let sentinels = watched.iter().filter_map(|child| child.pidfd());
            let sentinels = sentinels.map(|pidfd| PollFd::new(pidfd, PollFlags::POLLIN));
            let mut all: Vec<PollFd<'_>> = fds.iter().cloned().chain(sentinels).collect();
            let ended = socket::poll_until(&mut all, deadline)?;
            // What was polled together has told nobody whose it was.
            let ready = socket::poll_until(fds, Deadline::now())?;
            if ready || !ended {
                return Ok(ready);
            }
            for child in &watched {
                let _ended = child.try_wait();
            }
        }
    }
}

/// The children that KEPT counts.
pub(super) fn with_something_kept() -> Vec<Arc<Running>> {
    let mut children = children();
    children.retain(|child| child.kept.lock().is_some());
    children
}

/// Does something while this process does not fork.
pub(super) fn unforked<R>(work: impl FnOnce() -> R) -> R {
    let _table = CHILDREN.lock();
    work()
}

/// Children of this process whose end nobody has seen.
pub(super) fn children() -> Vec<Arc<Running>> {
    CHILDREN.lock().clone()
}

/// Notes a child, and reaps those that ended and that nobody has a handle of.
pub(super) fn add(child: &Arc<Running>) {
    CHILDREN.lock().push(Arc::clone(child));
    if child.kept.lock().is_some() {
        // In this order: who begins to wait now finds it, and who waits already is found.
        KEPT.0.fetch_add(1, SeqCst);
        if companions::somebody_waits() {
            watcher::look_again();
        }
    }
    for other in children() {
        // Two: the table's and ours here.
        if Arc::strong_count(&other) == 2 {
            let _ended = other.try_wait();
        }
    }
}

impl Running {
    pub(crate) fn name(&self) -> &str {
        &self.identity.name
    }

    /// Readable once it has ended.
    pub(crate) fn pidfd(&self) -> Option<BorrowedFd<'_>> {
        self.pidfd.as_fd()
    }

    fn own_pidfd(&self) -> Result<BorrowedFd<'_>> {
        let fd = self
            .pidfd
            .as_fd()
            .filter(|_| self.forked == atfork::generation());
        fd.ok_or_else(|| {
            let text = "only the process that started it can wait for a process, or signal it";
            Error::new(ErrorKind::Misuse, text)
        })
    }

    /// Is there nothing left of it but its exit code? Does not learn that.
    pub(crate) fn is_over(&self) -> bool {
        self.pidfd()
            .is_some_and(|pidfd| matches!(pidfd::wait(pidfd, Deadline::now()), Ok(true)))
    }

    /// Waits for the end; `None` when the deadline came first.
    pub(crate) fn wait(&self, deadline: Deadline) -> Result<Option<Ended>> {
        let pidfd = self.own_pidfd()?;
        if let Some(ended) = &*self.ended.lock() {
            return Ok(Some(ended.clone()));
        }
        if !deadline.passed() {
            spares::tend();
        }
        let over = pidfd::wait(pidfd, deadline);
        if !over.map_err(|error| Error::os("wait for a process", error))? {
            return Ok(None);
        }
        let mut ended = self.ended.lock();
        let answer = ended.get_or_insert_with(|| self.settle(pidfd)).clone();
        drop(ended);
        // What was captured may do anything when it goes, ask about this process as well.
        let kept = self.kept.lock().take();
        if kept.is_some() {
            KEPT.0.fetch_sub(1, SeqCst);
        }
        drop(kept);
        Ok(Some(answer))
    }

    /// Has it ended?
    pub(crate) fn try_wait(&self) -> Result<Option<Ended>> {
        self.wait(Deadline::now())
    }

    /// Learns how it ended, then gives back all that it had.
    fn settle(&self, pidfd: BorrowedFd<'_>) -> Ended {
        let code = self.final_code(pidfd);
        let (mut panic, mut kind) = (None, ErrorKind::Panicked);
        match report::left_by(self.member) {
            None => {}
            Some(Report::Value(value)) => *self.value.lock() = Some(value),
            Some(Report::Failed(what, sort)) => {
                kind = sort;
                let pid = self.pid.cast_unsigned();
                panic = Some(what.into_remote(self.name().to_owned(), pid, code));
            }
        }
        if let Err(error) = settle::settle(self.member) {
            log::error!(
                "what process {} held was not given back: {error}",
                self.name()
            );
        }
        CHILDREN.lock().retain(|child| child.member != self.member);
        Ended { code, panic, kind }
    }

    /// What it said itself, or who reaped it, or the kernel.
    fn final_code(&self, pidfd: BorrowedFd<'_>) -> Option<i32> {
        match &self.reaper {
            Reaper::Server(server) => self.code_by_server(server, pidfd),
            Reaper::Us => match process::reap_status(pidfd) {
                Some(status) => Some(process::exit_code(status)),
                // Somebody else in this program has reaped our child.
                None => self.code_by_itself(pidfd),
            },
        }
    }

    fn code_by_itself(&self, pidfd: BorrowedFd<'_>) -> Option<i32> {
        match self.member.status() {
            Some(Status::Reaped(status)) => Some(process::exit_code(status)),
            Some(Status::Leaving(code)) => Some(code),
            None => None,
            Some(Status::Running) => pidfd::exit_status(pidfd).map(process::exit_code),
        }
    }

    fn code_by_server(&self, server: &Connection, pidfd: BorrowedFd<'_>) -> Option<i32> {
        while self.member.status() == Some(Status::Running) && !server.is_gone() {
            // The server reaps it in this moment and wakes us; the slice is for its death.
            self.member.sleep_on_status(Duration::from_millis(50));
        }
        // A server may have said it just before it went.
        self.code_by_itself(pidfd)
    }

    /// Sends a signal, unless it has ended.
    pub(crate) fn signal(&self, signal: i32) -> Result<()> {
        let pidfd = self.own_pidfd()?;
        if self.ended.lock().is_some() {
            return Ok(());
        }
        match pidfd::send_signal(pidfd, signal) {
            Err(error) if error.raw_os_error() == Some(nix::libc::ESRCH) => Ok(()),
            // No pidfd: the child had been reaped before there could be one.
            Err(error) if error.raw_os_error() == Some(nix::libc::EBADF) => Ok(()),
            other => other.map_err(|error| Error::os("signal a process", error)),
        }
    }
}
