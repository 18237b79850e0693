//! A member's side of the fork server: what ties it to its server and its children, and the request for a child.

use super::connection::{self, Answered, Connection};
use super::running::Reaper;
use super::server::{self, Request};
use super::spares::{self, Spare, Spares};
use super::start::{self, Started};
use super::surroundings;
use crate::error::{Error, Result};
use crate::shm::member::Status;
use crate::shm::{Member, settle};
use crate::sys::atfork::Forkable;
use crate::sys::private::{Private, PrivateGuard};
use crate::sys::{lifeline, limits, process};
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
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
    fn ask(&mut self, request: Request, parcel: Option<BorrowedFd<'_>>) -> Result<Arc<Connection>> {
        let lifeline = self.watched();
        if let Some(connection) = &self.connection {
            // What could not be sent has changed nothing: the connection stays.
            let asked = connection.ask(request, &*lifeline?, parcel)?;
            let connection = self.connection.take();
            if let Some(connection) = connection.filter(|_| asked) {
                return Ok(connection);
            }
        }
        // With the server, its answers have gone.
        self.spares.lose();
        let connection = Arc::new(Connection::to_new_server(limits::rights())?);
        if connection.ask(request, &*self.watched()?, parcel)? {
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
    LINK.lock().connection = Some(Arc::new(connection));
}

/// In a new child: the guard that ends it with its parent. A detached one has none.
pub(super) fn keep_guard(guard: OwnedFd) {
    LINK.lock().guard = Some(guard);
}

/// A child of the fork server that has no order yet.
#[derive(Debug)]
pub(super) enum Begun {
    /// It waits.
    Spare(Spare),
    /// It was asked for. Nobody else asks or hears meanwhile.
    Coming(Coming),
}

/// A child that the server is about to fork.
#[derive(Debug)]
pub(super) struct Coming {
    member: Member,
    connection: Arc<Connection>,
    link: PrivateGuard<'static, Link>,
}

/// Begins a start: what the child has to do is prepared while it comes.
pub(super) fn begin(
    parent: Member,
    detached: bool,
    parcel: Option<BorrowedFd<'_>>,
) -> Result<Begun> {
    let mut link = LINK.lock();
    connection::reap_retired();
    // A spare is tied to this process, and was forked without a parcel.
    let plain = !detached && parcel.is_none();
    if plain && let Some(spare) = spares::take(&mut link) {
        return Ok(Begun::Spare(spare));
    }
    let member = start::reserve_child(parent)?;
    let request = Request {
        member,
        detached,
        laden: parcel.is_some(),
    };
    let asked = link.ask(request, parcel);
    let connection = asked.inspect_err(|_| settle::abandon(member))?;
    Ok(Begun::Coming(Coming {
        member,
        connection,
        link,
    }))
}

impl Begun {
    pub(super) fn member(&self) -> Member {
        match self {
            Self::Spare(spare) => spare.member,
            Self::Coming(coming) => coming.member,
        }
    }

    pub(super) fn connection(&self) -> &Connection {
        match self {
            Self::Spare(spare) => &spare.connection,
            Self::Coming(coming) => &coming.connection,
        }
    }

    /// It has its order. An error says that it cannot be held: then it must be given up.
    pub(super) fn finish(self) -> Result<Started> {
        match self {
            Self::Spare(spare) => Ok(Started {
                pid: spare.pid,
                pidfd: spare.pidfd,
                reaper: Reaper::Server(spare.connection),
            }),
            Self::Coming(coming) => coming.hear(),
        }
    }
}

impl Coming {
    fn hear(mut self) -> Result<Started> {
        // Those that were asked for before are answered before. With an answer that does not come the connection is dropped: it must
        // not be taken for the next one's.
        let answered = self
            .link
            .spares
            .hear_all(&self.connection)
            .and_then(|()| self.connection.answer())
            .inspect_err(|_| self.link.spares.lose())?;
        self.link.connection = Some(Arc::clone(&self.connection));
        match answered {
            Answered::Started(pid, pidfd) => Ok(Started {
                pid,
                pidfd,
                reaper: Reaper::Server(self.connection),
            }),
            Answered::Unheld(pid) => {
                end_unheld(&self.connection, self.member, pid);
                let full = io::Error::from_raw_os_error(nix::libc::EMFILE);
                Err(Error::os("take the descriptor of a process", full))
            }
            Answered::Failed(error) => Err(Error::os("fork", error)),
        }
    }
}

/// A child runs that nobody could ever join.
fn end_unheld(connection: &Connection, member: Member, pid: i32) {
    let _gone = process::send_signal(pid, nix::libc::SIGKILL);
    while member.status() == Some(Status::Running) && !connection.is_gone() {
        member.sleep_on_status(Duration::from_millis(50));
    }
}

/// Starts a server, where there is none with these rights. One that began with others is left to the children that it has, and its
/// spare children are ended.
pub(super) fn renew(rights: u64) -> Result<()> {
    let mut link = LINK.lock();
    let fitting = link.connection.as_ref();
    if fitting.is_some_and(|connection| connection.fits(rights)) {
        return Ok(());
    }
    spares::discard(&mut link);
    link.connection = Some(Arc::new(Connection::to_new_server(rights)?));
    Ok(())
}

/// Makes sure that this process has a fork server, which survives it and removes what it leaves under a name.
pub(super) fn keep() -> Result<()> {
    let mut link = LINK.lock();
    let connection = link.connection.as_ref();
    let rights = limits::rights();
    let kept = connection.is_some_and(|known| !known.is_gone() && known.fits(rights));
    if kept || server::is_serving() {
        return Ok(());
    }
    spares::discard(&mut link);
    link.connection = Some(Arc::new(Connection::to_new_server(rights)?));
    Ok(())
}

/// Does this process have a fork server?
pub(super) fn is_connected() -> bool {
    let link = LINK.lock();
    let connection = link.connection.as_ref();
    connection.is_some_and(|connection| !connection.is_gone())
}
