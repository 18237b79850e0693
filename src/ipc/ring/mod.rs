//! The ring of a queue: records of bytes, put at the tail, taken at the head.
//!
//! A [record](record) is a head word and its payload, padded to words of eight bytes. Who puts holds the tail's lease, who gets the
//! head's. [`position`] words say how far the ends have come; moving one is the only thing that others see of a put or a get, so
//! whoever is killed before it has done nothing. What then lies half written is overwritten by the next.
//!
//! The records lie in a *segment*, used round and round. When it is full and may grow, a last record leads to another
//! [segment](segment); whoever gets frees the old one. Messages too large for a record, or with handles in them, lie in a block of
//! their own, which changes its owner with the message. Whatever takes several steps is noted as [`Pending`] before, so that who takes
//! over from a dead owner can tell how far that one had come.
//!
//! A queue that [lends](lend) its messages stays the lender of what was got until it is said to be done.

mod end;
mod get;
mod get_many;
mod lend;
mod pending;
mod position;
mod put;
mod put_many;
mod record;
mod segment;
mod shut;
mod split;
mod taking;

pub(super) use get::GetFailure;
pub(super) use get_many::Payloads as Gotten;
pub(super) use put::PutFailure;
pub(super) use put_many::Payloads;
pub(super) use taking::Taking;

use crate::error::{Error, ErrorKind, Result};
use crate::shm::arena::Arena;
use crate::shm::blocks::Owner;
use crate::shm::layout::{Cell, Kind, Shared};
use crate::shm::object::ObjectRef;
use crate::shm::{Handle, Internal, Taken, member, settle};
use crate::sys::atomic::{Acquire, AtomicU64, Relaxed, SeqCst};
use crate::sys::clock::Deadline;
use end::{End, Waiting};
use position::{CLOSED, ITEMS, Position};
use record::Memory;
use std::time::Duration;

/// A lease is held for nanoseconds. Even who may not wait at all waits so long for it, or a full queue would look empty whenever
/// somebody else is at it; only a stopped owner holds it for longer.
const LEAST_PATIENCE: Duration = Duration::from_millis(20);

/// The control words of a ring.
#[repr(C, align(64))]
#[derive(Debug)]
struct Words {
    tail: End,
    head: End,
    /// See [`Options`]. Written once.
    options: AtomicU64,
    /// How it was shut (see [`shut`]).
    shut: AtomicU64,
    /// Of a queue that lends: how many messages are done, and in the lowest bit whether somebody waits for that.
    done: AtomicU64,
    /// Of those, how many have failed.
    failed: AtomicU64,
    /// The objects that are the two ends, once they were split: see [`ObjectRef::name`].
    senders: AtomicU64,
    receivers: AtomicU64,
    /// Words of the first segment: no later one is smaller.
    least_words: AtomicU64,
    _reserved: AtomicU64,
}
#[expect(unsafe_code, reason = "Shared is an unsafe trait")]
// SAFETY: atomics only.
unsafe impl Shared for Words {}

/// What a queue is made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Options {
    /// The most records, 0 for any number; less than 2^28.
    pub(super) maxsize: u64,
    /// Whether it lends its messages, and how often one is put back at most.
    pub(super) lends: Option<u32>,
}

const LENDS: u64 = 1 << 31;

impl Options {
    fn word(self) -> u64 {
        let lends = self
            .lends
            .map_or(0, |retries| LENDS | u64::from(retries) << 32);
        lends | self.maxsize
    }

    fn read(word: u64) -> Self {
        let retries = (word >> 32) as u32;
        Self {
            maxsize: word & (LENDS - 1),
            lends: (word & LENDS != 0).then_some(retries),
        }
    }
}

/// What one attempt came to.
enum Attempt<T> {
    Done(T),
    /// Not possible while the other end's position is this word.
    Blocked(u64),
    Closed,
    /// Somebody holds the lease for longer than we can wait.
    Late,
}

/// A ring. Whoever has one has a handle that keeps its object.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ring {
    object: ObjectRef,
    cell: &'static Cell,
    words: &'static Words,
}

impl Memory for Arena {
    #[inline]
    fn word(&self, offset: u64) -> Option<u64> {
        Some(self.at::<AtomicU64>(offset)?.load(Acquire))
    }
}

impl Ring {
    #[inline]
    pub(super) fn of(handle: &Handle) -> Self {
        Self::at(handle.object(), handle.cell())
    }

    fn at(object: ObjectRef, cell: &'static Cell) -> Self {
        let words = cell.body();
        Self {
            object,
            cell,
            words,
        }
    }

    /// The ring of an object that somebody else keeps alive, as its name was noted.
    pub(super) fn named(name: u64) -> Result<Self> {
        let object = ObjectRef::named(name).ok_or(ErrorKind::StaleHandle)?;
        let cell = object.cell(Arena::get()?, Kind::Queue)?;
        Ok(Self::at(object, cell))
    }

    /// A new object with a ring.
    pub(super) fn create(kind: Kind, options: Options) -> Result<Handle> {
        if options.maxsize > ITEMS / 2 {
            return Err(Error::new(
                ErrorKind::InvalidInput,
                "a queue of 2^28 items or more",
            ));
        }
        let handle = Handle::create(kind)?;
        let ring = Self::of(&handle);
        ring.words.options.store(options.word(), Relaxed);
        ring.first_segment()?;
        Ok(handle)
    }

    #[inline]
    fn options(&self) -> Options {
        Options::read(self.words.options.load(Relaxed))
    }

    /// Does it stay the lender of its messages?
    #[inline]
    pub(super) fn lends(&self) -> bool {
        self.options().lends.is_some()
    }

    #[inline]
    fn owner(&self) -> Owner {
        Owner::object(self.object.number)
    }

    /// The number of records at this instant.
    pub(super) fn items(&self) -> u64 {
        let mut head = self.words.head.position.load(SeqCst);
        loop {
            let tail = self.words.tail.position.load(SeqCst);
            let before = head;
            head = self.words.head.position.load(SeqCst);
            // At one instant between the two looks at the head both were so.
            if Position::read(before) == Position::read(head) {
                let (_, items) = Position::read(tail).since(Position::read(head));
                // More than can be is nonsense that somebody wrote there.
                return if items > ITEMS / 2 { 0 } else { items };
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        usize::try_from(self.items()).unwrap_or(usize::MAX)
    }

    pub(super) fn maxsize(&self) -> usize {
        usize::try_from(self.options().maxsize).unwrap_or(usize::MAX)
    }

    pub(super) fn is_full(&self) -> bool {
        let maxsize = self.options().maxsize;
        maxsize != 0 && self.items() >= maxsize
    }

    /// Takes the lease of an end, for this object, and completes what a dead owner has left; `None` when somebody holds it for too long.
    #[inline]
    fn take(&self, arena: &Arena, end: &End, deadline: Deadline) -> Result<Option<()>> {
        let me = member::me()?;
        self.object.check(self.cell)?;
        let taken = if end.lease.try_take(me) {
            Some(Taken::Clean)
        } else {
            end.lease
                .take::<Internal>(me, deadline.or_later(LEAST_PATIENCE))
        };
        if taken.is_some() && self.object.check(self.cell).is_err() {
            end.lease.give::<Internal>();
            return Err(ErrorKind::StaleHandle.into());
        }
        if taken == Some(Taken::OwnerDied) {
            self.recover(arena, end);
        }
        Ok(taken.map(|_| ()))
    }

    #[cold]
    fn recover(&self, arena: &Arena, end: &End) {
        if std::ptr::eq(end, &raw const self.words.tail) {
            self.recover_put(arena);
        } else {
            self.recover_get(arena);
        }
    }
}

/// Somebody who waits at a ring.
struct Waiter {
    ring: Ring,
    gets: bool,
}

impl Waiting for Waiter {
    #[inline]
    fn enough(&self) -> bool {
        // The tail's bit is the first that is set, and the one that every attempt looks at.
        let closed = self.ring.words.tail.position.load(SeqCst) & CLOSED != 0;
        closed || self.gets && self.ring.lends() && self.ring.has_put_back()
    }

    #[inline]
    fn look_around(&self) {
        self.ring.look_around();
    }
}

impl Ring {
    /// Was something put back that nobody has looked for yet?
    #[inline]
    fn has_put_back(&self) -> bool {
        let count = u64::from(self.cell.put_back.load(SeqCst));
        count != self.words.head.looked.load(Relaxed)
    }

    /// Looks for deaths that concern this queue and that nobody has told of: what the dead had comes back, or an end ends.
    #[inline]
    fn look_around(&self) {
        let split = self.words.senders.load(Relaxed) != 0;
        if split || self.lends() {
            self.look_for_the_dead();
        }
    }

    #[cold]
    fn look_for_the_dead(&self) {
        if self.lends() {
            settle::announce_dead_holders_of(self.object.number);
        }
        for end in [&self.words.senders, &self.words.receivers] {
            if let Some(end) = ObjectRef::named(end.load(Relaxed)) {
                settle::announce_dead_holders_of(end.number);
            }
        }
        settle::clean_ended();
    }
}

fn corrupt() -> Error {
    Error::new(ErrorKind::Corrupt, "a queue")
}
