//! The handshakes of a listener, side by side: whoever is silent keeps nobody waiting.

use super::address::Address;
use super::greeting::{Greeting, Progress, Terms, Trouble};
use crate::error::{Error, ErrorKind, Result};
use crate::sys::clock::Deadline;
use crate::sys::epoll::Epoll;
use crate::sys::limits;
use crate::sys::listening::{self, Listening};
use crate::sys::socket;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

/// Handshakes at one time, and no more than leave descriptors for everything else. More who connect wait in the backlog.
const MOST: u64 = 4096;

/// Events between two looks at the clock.
const EVENTS: u32 = 64;

/// The number of the listening socket; handshakes have those from 1 on.
const LISTENING: u64 = 0;

/// Somebody who may come in.
pub(super) type Accepted = (OwnedFd, Address);

/// Those who have connected and not yet proved themselves.
#[derive(Debug)]
pub(super) struct Greetings {
    /// The process whose handshakes these are: a forked child has copies of the sockets, and no business with them.
    process: u32,
    last: u64,
    open: BTreeMap<u64, Guest>,
    /// When each of them must have sent its next message.
    due: BTreeSet<(Instant, u64)>,
    /// Nobody else is let in until one of these has ended.
    full: bool,
    most: u64,
}

#[derive(Debug)]
struct Guest {
    greeting: Greeting,
    peer: Address,
    due: Instant,
}

/// What the handshakes of one listener have in common.
#[derive(Clone, Copy, Debug)]
pub(super) struct House<'a> {
    pub(super) socket: &'a Listening,
    pub(super) epoll: &'a Epoll,
    pub(super) terms: Option<&'a Terms>,
    pub(super) patience: Duration,
}

impl Greetings {
    pub(super) fn new(socket: &Listening, epoll: &Epoll) -> io::Result<Self> {
        epoll.add(socket.as_fd(), LISTENING)?;
        Ok(Self {
            process: std::process::id(),
            last: LISTENING,
            open: BTreeMap::new(),
            due: BTreeSet::new(),
            full: false,
            most: most(),
        })
    }

    /// A call of `accept` begins.
    pub(super) fn begin(&mut self, house: House<'_>) -> Result<()> {
        if self.process != std::process::id() {
            let renewed = house.epoll.renew();
            let renewed = renewed.and_then(|()| Self::new(house.socket, house.epoll));
            *self = renewed.map_err(|error| Error::os("accept after a fork", error))?;
        }
        // There may be room again that we cannot know of.
        self.set_full(house, false)
    }

    /// Lets in who is ready at this instant; `None` when nobody is, or when there is so much to do that the caller should look at the
    /// clock.
    pub(super) fn next(&mut self, house: House<'_>) -> Result<Option<Accepted>> {
        let failed = |error| Error::os("watch a listener", error);
        for _ in 0..EVENTS {
            let Some(number) = house.epoll.ready().map_err(failed)? else {
                break;
            };
            let accepted = match number {
                LISTENING => self.admit(house)?,
                number => self.step(house, number)?,
            };
            if accepted.is_some() {
                return Ok(accepted);
            }
        }
        self.drop_overdue(house)
    }

    /// When somebody must have sent his next message.
    pub(super) fn first_due(&self) -> Option<Instant> {
        self.due.first().map(|(due, _)| *due)
    }

    /// Somebody has connected. Without a key he is welcome at once.
    fn admit(&mut self, house: House<'_>) -> Result<Option<Accepted>> {
        let (socket, peer) = match house.socket.accept() {
            Ok((socket, name)) => (socket, Address::named(name)),
            Err(error) => return self.not_admitted(house, error).map(|()| None),
        };
        let Some(terms) = house.terms else {
            return Ok(Some((socket, peer)));
        };
        match Greeting::accepting(socket, terms) {
            Ok(greeting) => self.enter(house, greeting, peer)?,
            Err(trouble) => log::info!("{peer} was not greeted: {}", trouble.error()),
        }
        Ok(None)
    }

    fn not_admitted(&mut self, house: House<'_>, error: io::Error) -> Result<()> {
        let nobody = error.kind() == io::ErrorKind::WouldBlock;
        // A Unix socket that was ended says nothing else.
        if listening::is_over(&error) || nobody && socket::hung_up(house.socket.as_fd()) {
            let text = "the listener, by the process that made it";
            return Err(Error::new(ErrorKind::Closed, text));
        }
        if nobody || listening::is_his_failure(&error) {
            return Ok(());
        }
        if listening::is_no_room(&error) && !self.open.is_empty() {
            log::warn!("no room for another connection until a handshake has ended: {error}");
            return self.set_full(house, true);
        }
        Err(Error::os("accept", error))
    }

    fn enter(&mut self, house: House<'_>, greeting: Greeting, peer: Address) -> Result<()> {
        let number = self.last + 1;
        let added = house.epoll.add(greeting.as_fd(), number);
        added.map_err(|error| Error::os("watch a handshake", error))?;
        self.last = number;
        let due = due_after(house.patience);
        self.due.insert((due, number));
        let guest = Guest {
            greeting,
            peer,
            due,
        };
        self.open.insert(number, guest);
        let full = self.open.len() as u64 >= self.most;
        if full {
            self.set_full(house, true)
        } else {
            Ok(())
        }
    }

    /// One of them may have sent something.
    fn step(&mut self, house: House<'_>, number: u64) -> Result<Option<Accepted>> {
        let (Some(guest), Some(terms)) = (self.open.get_mut(&number), house.terms) else {
            return Ok(None);
        };
        match guest.greeting.step(terms) {
            Ok(Progress::Nothing) => {}
            Ok(Progress::Message) => {
                // Each message has the time once more, so that it is no matter of his how late we are to read them.
                self.due.remove(&(guest.due, number));
                guest.due = due_after(house.patience);
                self.due.insert((guest.due, number));
            }
            Ok(Progress::Done) => {
                let guest = self.leave(house, number)?;
                return Ok(guest.map(|guest| (guest.greeting.into_socket(), guest.peer)));
            }
            Err(trouble) => {
                if let Some(guest) = self.leave(house, number)? {
                    return guest.sent_away(trouble);
                }
            }
        }
        Ok(None)
    }

    /// Those who have been silent for too long. What they have sent may not have been read yet: for how long nobody accepted is no matter
    /// of theirs.
    fn drop_overdue(&mut self, house: House<'_>) -> Result<Option<Accepted>> {
        while let Some(&(due, number)) = self.due.first()
            && due <= Instant::now()
        {
            let accepted = self.step(house, number)?;
            if accepted.is_some() {
                return Ok(accepted);
            }
            if !self.due.contains(&(due, number)) {
                continue;
            }
            if let Some(guest) = self.leave(house, number)? {
                let peer = &guest.peer;
                log::warn!("{peer} has been silent in the handshake for too long: it is dropped");
                guest.greeting.end();
            }
        }
        Ok(None)
    }

    fn leave(&mut self, house: House<'_>, number: u64) -> Result<Option<Guest>> {
        let Some(guest) = self.open.remove(&number) else {
            return Ok(None);
        };
        self.due.remove(&(guest.due, number));
        house.epoll.remove(guest.greeting.as_fd());
        self.set_full(house, false)?;
        Ok(Some(guest))
    }

    fn set_full(&mut self, house: House<'_>, full: bool) -> Result<()> {
        if self.full == full {
            return Ok(());
        }
        let set = house.epoll.watch(house.socket.as_fd(), LISTENING, !full);
        set.map_err(|error| Error::os("watch a listener", error))?;
        self.full = full;
        Ok(())
    }

    /// The listener ends: so do they, unless they are only copies.
    pub(super) fn end(&mut self) {
        if self.process == std::process::id() {
            let guests = std::mem::take(&mut self.open).into_values();
            guests.for_each(|guest| guest.greeting.end());
        }
    }
}

impl Guest {
    fn sent_away(self, trouble: Trouble) -> Result<Option<Accepted>> {
        self.greeting.end();
        match trouble {
            Trouble::Refused(error) => {
                log::warn!("{} was refused: {error}", self.peer);
                Err(error)
            }
            Trouble::Gone(error) => {
                log::info!("{} was not accepted: {error}", self.peer);
                Ok(None)
            }
        }
    }
}

fn most() -> u64 {
    let limit = limits::limit(nix::libc::RLIMIT_NOFILE);
    limit.map_or(MOST, |(soft, _)| MOST.min(soft / 4)).max(1)
}

/// What overflows the clock is a century from now.
fn due_after(patience: Duration) -> Instant {
    const CENTURY: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
    let now = Instant::now();
    now.checked_add(patience).unwrap_or(now + CENTURY)
}

/// The earlier of both.
pub(super) fn earlier(deadline: Deadline, due: Option<Instant>) -> Deadline {
    match due {
        Some(due) => deadline.or_earlier(due),
        None => deadline,
    }
}
