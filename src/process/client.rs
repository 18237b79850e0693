//! A member's side of the fork server: the connection, and the request for a child.

use super::exec::{self, PATIENCE, unavailable};
use super::hook::Errand;
use super::running::Reaper;
use super::server::{Answer, Request};
use super::start::Started;
use super::surroundings::{self, Known};
use crate::error::{Error, ErrorKind, Result};
use crate::shm::member::Status;
use crate::sys::atfork::Forkable;
use crate::sys::atomic::{AtomicBool, Relaxed};
use crate::sys::private::Private;
use crate::sys::{lifeline, process, socket};
use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

/// The way to a fork server.
#[derive(Debug)]
pub(super) struct Connection {
    socket: OwnedFd,
    /// The server knows our lifeline.
    introduced: AtomicBool,
    /// The server, where it is our own child and must be reaped by us.
    server: Option<i32>,
    /// Where the server is.
    known: Known,
    /// What the server may do, as far as is known.
    rights: Option<u64>,
}

impl Connection {
    fn new(
        socket: OwnedFd,
        server: Option<i32>,
        known: Known,
        rights: Option<u64>,
    ) -> io::Result<Self> {
        socket::give_up_after(socket.as_fd(), PATIENCE)?;
        Ok(Self {
            socket,
            introduced: AtomicBool::new(false),
            server,
            known,
            rights,
        })
    }

    /// Has the server gone?
    pub(super) fn is_gone(&self) -> bool {
        socket::hung_up(self.socket.as_fd())
    }
}

impl Drop for Connection {
    /// Reaps a server of ours that has gone, when the last child that it started is forgotten. Its end of the socket is closed a
    /// little before it can be reaped.
    fn drop(&mut self) {
        match self.server {
            Some(server) if self.is_gone() => {
                let _reaped = nix::sys::wait::waitpid(nix::unistd::Pid::from_raw(server), None);
            }
            Some(server) => _ = process::reap(server),
            None => {}
        }
    }
}

/// What ties this process to its server and its children.
#[derive(Debug, Default)]
pub(super) struct Link {
    connection: Option<Arc<Connection>>,
    lifeline: Option<Lifeline>,
    /// As a child: the guard that ties this process to its parent.
    guard: Option<OwnedFd>,
}

#[derive(Debug)]
struct Lifeline {
    /// The end that children watch.
    watched: Arc<OwnedFd>,
    /// The end that is held open for as long as this process lives.
    _held: OwnedFd,
}

impl Link {
    fn watched(&mut self) -> Result<Arc<OwnedFd>> {
        if let Some(lifeline) = &self.lifeline {
            return Ok(Arc::clone(&lifeline.watched));
        }
        let (watched, held) = lifeline::create().map_err(|error| Error::os("a pipe", error))?;
        let watched = Arc::new(watched);
        self.lifeline = Some(Lifeline {
            watched: Arc::clone(&watched),
            _held: held,
        });
        Ok(watched)
    }
}

/// The end that a child of this process watches.
pub(super) fn lifeline() -> Result<Arc<OwnedFd>> {
    LINK.lock().watched()
}

pub(super) static LINK: Private<Link> = Private::new(Link {
    connection: None,
    lifeline: None,
    guard: None,
});

/// What a fork does to [`LINK`]: the child closes its copies, so that neither server nor children take it for its parent.
#[derive(Debug)]
pub(super) struct CloseInChild;

impl Forkable for CloseInChild {
    fn before(&self) {
        LINK.acquire();
    }

    fn after(&self) {
        LINK.release();
    }

    fn child(&self) {
        LINK.release();
        let mut link = LINK.lock();
        drop(link.lifeline.take());
        drop(link.guard.take());
        if let Some(connection) = link.connection.take() {
            let _closed = nix::unistd::close(connection.socket.as_raw_fd());
            // Copies of handles in this child may share it, and must not close the number again.
            let _number_is_closed = ManuallyDrop::new(connection);
        }
    }
}

/// In a new child: the connection that the server made for it.
pub(super) fn adopt(socket: OwnedFd) {
    let Some(baseline) = surroundings::baseline() else {
        return;
    };
    let connection = Connection::new(socket, None, baseline.known, baseline.rights);
    LINK.lock().connection = connection.ok().map(Arc::new);
}

/// In a new child: the guard that ends it with its parent. A detached one drops it.
pub(super) fn keep_guard(guard: OwnedFd) {
    LINK.lock().guard = Some(guard);
}

/// Asks for a child. An answer that does not come is an error: nobody knows whether the child runs, so it is not asked again.
pub(super) fn start(request: Request) -> Result<Started> {
    let mut link = LINK.lock();
    let connection = match link.connection.take() {
        Some(connection) if ask(&mut link, &connection, request)? => connection,
        _ => {
            let connection = Arc::new(connect(surroundings::rights_now())?);
            if !ask(&mut link, &connection, request)? {
                return unavailable("the fork server died as soon as it was started");
            }
            connection
        }
    };
    // An answer that does not come now must not be taken for the next one's: the connection is kept only with it.
    let mut answer = [0; size_of::<Answer>()];
    let packet = socket::recv_waiting(connection.socket.as_fd(), &mut answer);
    let packet = packet.map_err(|error| {
        let error = Error::os("answer of the fork server", error);
        error.with_kind(ErrorKind::StartMethodUnavailable)
    })?;
    if packet.length != answer.len() {
        return unavailable("the fork server died while it started a process");
    }
    link.connection = Some(Arc::clone(&connection));
    match (Answer::from_ne_bytes(answer), packet.fd) {
        (pid, Some(pidfd)) if pid > 0 => Ok(Started {
            pid,
            pidfd,
            reaper: Reaper::Server(connection),
        }),
        (pid, None) if pid > 0 => {
            end_unheld(&connection, request, pid);
            let full = io::Error::from_raw_os_error(nix::libc::EMFILE);
            Err(Error::os("take the descriptor of a process", full))
        }
        (errno, _) => {
            // Perhaps it had no room for our lifeline: that comes again with the next request.
            connection.introduced.store(false, Relaxed);
            Err(Error::os("fork", io::Error::from_raw_os_error(-errno)))
        }
    }
}

/// A child runs, and there was no room for its pidfd: nobody could ever join it.
fn end_unheld(connection: &Connection, request: Request, pid: i32) {
    let _gone = nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(pid),
        nix::sys::signal::Signal::SIGKILL,
    );
    while request.member.status() == Some(Status::Running) && !connection.is_gone() {
        request.member.sleep_on_status(Duration::from_millis(50));
    }
}

/// Sends the request, the first time with our lifeline; `false` when the server has gone.
fn ask(link: &mut Link, connection: &Connection, request: Request) -> Result<bool> {
    let watched = link.watched()?;
    let introduced = connection.introduced.swap(true, Relaxed);
    let watched = (!introduced).then(|| watched.as_fd());
    match socket::send(connection.socket.as_fd(), &request.to_bytes(), watched) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(false),
        Err(error) => Err(Error::os("ask the fork server for a process", error)),
    }
}

/// Sees to it that there is a server with these rights, and says where it is. One that began with other rights is left to the
/// children that it has.
pub(super) fn server(rights: Option<u64>) -> Result<Known> {
    let mut link = LINK.lock();
    let fits =
        |known: &Connection| rights.is_none() || known.rights.is_none() || known.rights == rights;
    if let Some(known) = link.connection.as_ref().filter(|known| fits(known)) {
        return Ok(known.known);
    }
    let connection = Arc::new(connect(rights)?);
    let known = connection.known;
    link.connection = Some(connection);
    Ok(known)
}

/// Starts a fork server.
fn connect(rights: Option<u64>) -> Result<Connection> {
    let newborn = exec::start_anew(|hello, preload| Errand::Server { hello, preload })?;
    let pid = newborn.pid;
    let connection = Connection::new(newborn.socket, Some(pid), newborn.known, rights);
    connection.map_err(|error| {
        exec::discard(pid);
        Error::os("a socket", error)
    })
}

/// Does this process have a fork server?
pub(super) fn is_connected() -> bool {
    let link = LINK.lock();
    link.connection
        .as_ref()
        .is_some_and(|connection| !connection.is_gone())
}
