//! A member's side of the fork server: what ties it to its server and its children, and the request for a child.

use super::connection::{Answered, Connection};
use super::running::Reaper;
use super::server::Request;
use super::spares::Spares;
use super::start::Started;
use super::surroundings::{self, Known};
use crate::error::{Error, Result};
use crate::shm::member::Status;
use crate::sys::atfork::Forkable;
use crate::sys::private::Private;
use crate::sys::{lifeline, process};
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

/// What ties this process to its server and its children.
#[derive(Debug, Default)]
pub(super) struct Link {
    pub(super) connection: Option<Arc<Connection>>,
    lifeline: Option<Lifeline>,
    /// As a child: the guard that ties this process to its parent.
    guard: Option<OwnedFd>,
    pub(super) spares: Spares,
}

#[derive(Debug)]
struct Lifeline {
    /// The end that children watch.
    watched: Arc<OwnedFd>,
    /// The end that is held open for as long as this process lives.
    _held: OwnedFd,
}

impl Link {
    pub(super) fn watched(&mut self) -> Result<Arc<OwnedFd>> {
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

    /// A connection on which the request was sent.
    fn ask(&mut self, request: Request) -> Result<Arc<Connection>> {
        let lifeline = self.watched()?;
        if let Some(connection) = self.connection.take()
            && connection.ask(request, &lifeline)?
        {
            return Ok(connection);
        }
        // With the server, its answers have gone.
        self.spares.lose();
        let connection = Arc::new(Connection::to_new_server(surroundings::rights_now())?);
        if connection.ask(request, &lifeline)? {
            return Ok(connection);
        }
        super::exec::unavailable("the fork server died as soon as it was started")
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
    spares: Spares::NONE,
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
            connection.close();
        }
        link.spares.forget();
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

/// Sees to it that there is a server with these rights, and says where it is. One that began with other rights is left to the
/// children that it has.
pub(super) fn server(rights: Option<u64>) -> Result<Known> {
    let mut link = LINK.lock();
    let fitting = link.connection.as_ref().filter(|known| known.fits(rights));
    if let Some(connection) = fitting {
        return Ok(connection.known);
    }
    link.spares.lose();
    let connection = Arc::new(Connection::to_new_server(rights)?);
    let known = connection.known;
    link.connection = Some(connection);
    Ok(known)
}

/// Does this process have a fork server?
pub(super) fn is_connected() -> bool {
    let link = LINK.lock();
    let connection = link.connection.as_ref();
    connection.is_some_and(|connection| !connection.is_gone())
}

/// Asks for a child. An answer that does not come is an error: nobody knows whether the child runs, so it is not asked again.
pub(super) fn start(request: Request) -> Result<Started> {
    let mut link = LINK.lock();
    // An answer that does not come now must not be taken for the next one's: the connection is kept only with it.
    let connection = link.ask(request)?;
    // Those that were asked for before are answered before.
    let answered = link
        .spares
        .hear_all(&connection)
        .and_then(|()| connection.answer())
        .inspect_err(|_| link.spares.lose())?;
    link.connection = Some(Arc::clone(&connection));
    match answered {
        Answered::Started(pid, pidfd) => Ok(Started {
            pid,
            pidfd,
            reaper: Reaper::Server(connection),
        }),
        Answered::Unheld(pid) => {
            end_unheld(&connection, request, pid);
            let full = io::Error::from_raw_os_error(nix::libc::EMFILE);
            Err(Error::os("take the descriptor of a process", full))
        }
        Answered::Failed(error) => Err(Error::os("fork", error)),
    }
}

/// A child runs that nobody could ever join.
fn end_unheld(connection: &Connection, request: Request, pid: i32) {
    let _gone = process::send_signal(pid, nix::libc::SIGKILL);
    while request.member.status() == Some(Status::Running) && !connection.is_gone() {
        request.member.sleep_on_status(Duration::from_millis(50));
    }
}
