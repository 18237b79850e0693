//! The way from a member to a fork server.

use super::exec::{self, Newborn, PATIENCE};
use super::hook::Errand;
use super::server::{Answer, Request};
use super::surroundings::Known;
use crate::error::{Error, ErrorKind, Result};
use crate::sys::atomic::{AtomicBool, AtomicU64, Relaxed, SeqCst};
use crate::sys::clock::Deadline;
use crate::sys::{atfork, descriptor, pidfd, process, socket};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

/// The way to a fork server.
#[derive(Debug)]
pub(super) struct Connection {
    socket: descriptor::Shared,
    /// The server knows our lifeline.
    introduced: AtomicBool,
    /// The server, where it is our own child and must be reaped by us.
    server: Option<i32>,
    /// The fork that this process came from.
    forked: u32,
    /// Where the server is.
    pub(super) known: Known,
    /// What the server may do.
    rights: u64,
}

impl Connection {
    /// Starts a fork server.
    pub(super) fn to_new_server(rights: u64) -> Result<Self> {
        let newborn = exec::start_anew(|hello, preload| Errand::Server { hello, preload })?;
        let Newborn { pid, socket, known } = newborn;
        Ok(Self::new(socket, Some(pid), known, rights))
    }

    pub(super) fn new(socket: OwnedFd, server: Option<i32>, known: Known, rights: u64) -> Self {
        Self {
            socket: descriptor::Shared::new(socket),
            introduced: AtomicBool::new(false),
            server,
            forked: atfork::generation(),
            known,
            rights,
        }
    }

    /// Has the server gone? For a forked child, its parent's has.
    pub(super) fn is_gone(&self) -> bool {
        self.socket.as_fd().is_none_or(socket::hung_up)
    }

    /// May the server do what a process may that has these rights?
    pub(super) fn fits(&self, rights: u64) -> bool {
        self.rights == rights
    }

    /// In a forked child, before anything else runs: the server must not take it for its parent.
    pub(super) fn close(&self) {
        self.socket.close();
    }

    fn socket(&self) -> io::Result<BorrowedFd<'_>> {
        let closed = io::ErrorKind::BrokenPipe;
        self.socket.as_fd().ok_or_else(|| closed.into())
    }

    /// Sends a request, the first time with our lifeline, and with a parcel for the child; `false` when the server has gone.
    pub(super) fn ask(
        &self,
        request: Request,
        lifeline: &OwnedFd,
        parcel: Option<BorrowedFd<'_>>,
    ) -> Result<bool> {
        let introduced = self.introduced.swap(true, Relaxed);
        let lifeline = (!introduced).then(|| lifeline.as_fd());
        let fds = Vec::from_iter(lifeline.into_iter().chain(parcel));
        let sent = self.socket().and_then(|socket| {
            if !introduced {
                // Most children never ask for anything: not before.
                socket::give_up_after(socket, PATIENCE)?;
            }
            socket::send(socket, &request.to_bytes(), &fds)
        });
        if sent.is_err() {
            self.introduced.store(introduced, Relaxed);
        }
        match sent {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(false),
            Err(error) => Err(Error::os("ask the fork server for a process", error)),
        }
    }

    /// The answer to the oldest request. An error says that there will be none, nor any other.
    pub(super) fn answer(&self) -> Result<Answered> {
        let failed = |error| {
            let error = Error::os("answer of the fork server", error);
            error.with_kind(ErrorKind::StartMethodUnavailable)
        };
        let mut answer = [0; size_of::<Answer>()];
        let socket = self.socket().map_err(failed)?;
        let mut packet = socket::recv_waiting(socket, &mut answer).map_err(failed)?;
        if packet.length != answer.len() {
            return exec::unavailable("the fork server died while it started a process");
        }
        Ok(
            match (Answer::from_ne_bytes(answer), packet.came.fds.pop()) {
                (pid, Some(pidfd)) if pid > 0 => Answered::Started(pid, pidfd),
                (pid, None) if pid > 0 => Answered::Unheld(pid),
                (errno, _) => {
                    // Perhaps it had no room for our lifeline: that comes again with the next request.
                    self.introduced.store(false, Relaxed);
                    Answered::Failed(io::Error::from_raw_os_error(-errno))
                }
            },
        )
    }

    /// Has an answer come, or the end?
    pub(super) fn has_answer(&self) -> bool {
        self.socket.as_fd().is_none_or(socket::is_readable)
    }
}

/// What became of a request.
#[derive(Debug)]
pub(super) enum Answered {
    Started(i32, OwnedFd),
    /// A child runs, and there was no room for its pidfd: nobody could ever join it.
    Unheld(i32),
    Failed(io::Error),
}

impl Drop for Connection {
    /// Reaps a server of ours that has gone, when the last child that it started is forgotten. Its end of the socket is closed a
    /// little before it can be reaped. One that has only hung up on us lives as long as others need it.
    fn drop(&mut self) {
        let ours = self.server.filter(|_| self.forked == atfork::generation());
        let Some(server) = ours else { return };
        if self.is_gone()
            && let Ok(pidfd) = pidfd::open(server)
        {
            let _ended = pidfd::wait(pidfd.as_fd(), Deadline::after(GRACE));
        }
        if !process::reap(server) {
            retire(server);
        }
    }
}

/// How long a server that has closed its end of the socket may take to be gone.
const GRACE: Duration = Duration::from_secs(1);

/// Servers of ours that were given up and had not ended then, each under the number of its fork; 0 for none.
static RETIRED: [AtomicU64; 16] = [const { AtomicU64::new(0) }; 16];

fn retire(server: i32) {
    let entry = u64::from(atfork::generation()) << 32 | u64::from(server.cast_unsigned());
    for place in &RETIRED {
        if place.compare_exchange(0, entry, SeqCst, Relaxed).is_ok() {
            return;
        }
    }
}

/// Reaps those of them that have ended. The caller keeps other threads out: one of them could reap the same server, and its number
/// be another child's at once.
pub(super) fn reap_retired() {
    for place in &RETIRED {
        let entry = place.load(SeqCst);
        let ours = entry >> 32 == u64::from(atfork::generation());
        let server = ((entry & 0xffff_ffff) as u32).cast_signed();
        if entry != 0 && (!ours || process::reap(server)) {
            place.store(0, SeqCst);
        }
    }
}
