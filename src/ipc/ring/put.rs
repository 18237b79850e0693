//! Putting: from bytes to a record that others see.

use super::end::{self, Wake, pass_on, publish_unless_closed, sleep_until_moved};
use super::pending::{self, Pending, Step as Half};
use super::position::{CLOSED, ITEMS, Position};
use super::record::{LARGEST, Segment, block_head, bytes_head, pad_head, words_for};
use super::{Attempt, Ring, Waiter, corrupt, segment};
use crate::error::{Error, Result};
use crate::shm::arena::Arena;
use crate::shm::blocks::{Block, Owner};
use crate::shm::layout::OWNS_BLOCKS;
use crate::shm::message::{self, Cargo};
use crate::shm::object::MANY_BLOCKS;
use crate::shm::{Internal, member};
use crate::sys::atomic::{AcqRel, Acquire, AtomicU64, Relaxed};
use crate::sys::clock::Deadline;

/// Why nothing was put.
#[derive(Debug)]
pub(in super::super) enum PutFailure {
    Full,
    Closed,
    Disconnected,
    Failed(Error),
}

/// A payload as it travels: in the ring, or in a block of its own.
enum Parcel<'a> {
    Bytes(&'a [u8]),
    Block(Block),
}

impl Parcel<'_> {
    #[inline]
    fn words(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => words_for(bytes.len()),
            Self::Block(_) => 1,
        }
    }
}

/// What the owner of the lease could do.
pub(super) enum Step<T> {
    Done(T),
    Closed,
    /// No room while the head is here.
    Full(u64),
}

pub(super) enum Room {
    Enough,
    TooManyItems(u64),
    TooFewWords(u64),
}

impl Ring {
    /// Puts a message; when there is no room, waits until the deadline.
    #[inline]
    pub(in super::super) fn put(
        &self,
        bytes: &[u8],
        cargo: Cargo,
        deadline: Deadline,
    ) -> Result<(), PutFailure> {
        let parcel = self.wrap(bytes, cargo).map_err(PutFailure::Failed)?;
        let result = self.wait_to_put(deadline, |arena| self.try_put(arena, &parcel, deadline));
        if let (Err(_), Parcel::Block(block)) = (&result, parcel)
            && let Some(arena) = Arena::existing()
        {
            message::discard(arena, block);
        }
        result
    }

    /// Tries until it succeeds or there is no sense in it any more.
    #[inline]
    pub(super) fn wait_to_put<R>(
        &self,
        deadline: Deadline,
        mut attempt: impl FnMut(&Arena) -> Result<Attempt<R>>,
    ) -> Result<R, PutFailure> {
        let arena = Arena::get().map_err(PutFailure::Failed)?;
        let mut slept = false;
        let result = loop {
            match attempt(arena) {
                Ok(Attempt::Done(put)) => break Ok(put),
                Ok(Attempt::Closed) if self.is_shut() => break Err(PutFailure::Closed),
                Ok(Attempt::Closed) => break Err(PutFailure::Disconnected),
                Ok(Attempt::Late) => break Err(PutFailure::Full),
                Ok(Attempt::Blocked(head)) => {
                    let (ring, gets) = (*self, false);
                    let waiter = Waiter { ring, gets };
                    if !sleep_until_moved(&self.words.head.position, head, &waiter, deadline) {
                        break Err(PutFailure::Full);
                    }
                    slept = true;
                }
                Err(error) => break Err(PutFailure::Failed(error)),
            }
        };
        if slept {
            pass_on(&self.words.head.position, || !self.is_full());
        }
        result
    }

    /// May a payload of so many bytes, which carries nothing, lie in the ring?
    #[inline]
    pub(in super::super) fn fits(&self, length: usize) -> bool {
        length <= LARGEST && !self.lends()
    }

    #[inline]
    fn wrap<'b>(&self, bytes: &'b [u8], cargo: Cargo) -> Result<Parcel<'b>> {
        if cargo.is_empty() && self.fits(bytes.len()) {
            return Ok(Parcel::Bytes(bytes));
        }
        let own = member::own()?;
        let block = message::store(bytes, cargo, Owner::member(own.slot))?;
        self.note_many_blocks();
        Ok(Parcel::Block(block))
    }

    /// Remembers that more than the first segment is the queue's.
    #[inline]
    pub(super) fn note_many_blocks(&self) {
        if self.cell.flags.load(Relaxed) & MANY_BLOCKS == 0 {
            self.cell.flags.fetch_or(MANY_BLOCKS | OWNS_BLOCKS, AcqRel);
        }
    }

    #[inline]
    fn try_put(
        &self,
        arena: &Arena,
        parcel: &Parcel<'_>,
        deadline: Deadline,
    ) -> Result<Attempt<()>> {
        let end = &self.words.tail;
        if self.take(arena, end, deadline)?.is_none() {
            return Ok(Attempt::Late);
        }
        let step = self.put_under_lease(arena, parcel);
        end.lease.give::<Internal>();
        Ok(match step? {
            Step::Done(wake) => {
                end::wake(end, wake);
                Attempt::Done(())
            }
            Step::Closed => Attempt::Closed,
            Step::Full(head) => Attempt::Blocked(head),
        })
    }

    #[inline]
    fn put_under_lease(&self, arena: &Arena, parcel: &Parcel<'_>) -> Result<Step<Wake>> {
        let end = &self.words.tail;
        let size = match parcel {
            Parcel::Bytes(_) => 0,
            Parcel::Block(block) => block.bytes(arena).ok_or_else(corrupt)?.1,
        };
        if end.position.load(Relaxed) & CLOSED != 0 {
            return Ok(Step::Closed);
        }
        if size > 0
            && let Some(head) = self.too_many_bytes(size)
        {
            return Ok(Step::Full(head));
        }
        let (tail, segment, pad) = match self.make_room(arena, parcel.words())? {
            Step::Done(place) => place,
            Step::Closed => return Ok(Step::Closed),
            Step::Full(head) => return Ok(Step::Full(head)),
        };
        let next = tail.plus(pad + parcel.words(), 1);
        let record = pad_and_at(arena, segment, tail, pad)?;
        let block = match parcel {
            Parcel::Bytes(bytes) => {
                write_bytes(arena, record, bytes)?;
                return Ok(publish_unless_closed(end, next).map_or(Step::Closed, Step::Done));
            }
            Parcel::Block(block) => *block,
        };
        write_word(arena, record, block_head(block.0))?;
        Pending::moving(Half::Message, block, tail).note(end);
        // A getter, killed since, may have noted the block when it was its own. Whoever takes over the head must not take it for that
        // one once it is the queue's.
        Pending::forget(&self.words.head, block);
        block.set_owner(arena, self.owner())?;
        end.block_bytes.fetch_add(size, Relaxed);
        let wake = publish_unless_closed(end, next);
        if wake.is_none() {
            end.block_bytes.fetch_sub(size, Relaxed);
            block.set_owner(arena, Owner::member(member::own()?.slot))?;
        }
        pending::clear(end);
        Ok(wake.map_or(Step::Closed, Step::Done))
    }

    /// Would the queue hold more than it may, with so many more bytes in blocks? While the head is where it says.
    fn too_many_bytes(&self, more: u64) -> Option<u64> {
        let (tail, head) = (&self.words.tail, &self.words.head);
        let got = head.block_bytes.load(Acquire);
        let head = head.position.load(Acquire);
        if Position::read(head) == Position::read(tail.position.load(Relaxed)) {
            tail.block_bytes.store(got, Relaxed);
            return None;
        }
        let held = tail.block_bytes.load(Relaxed).wrapping_sub(got);
        // Less than nothing is what a kill has left.
        let held = if held > u64::MAX / 2 { 0 } else { held };
        (held + more > segment::most_bytes()).then_some(head)
    }

    /// Finds room for a record of so many words, and one more for a link: tail, segment, and how much is left empty before it.
    #[inline]
    pub(super) fn make_room(
        &self,
        arena: &Arena,
        needed: u64,
    ) -> Result<Step<(Position, Segment, u64)>> {
        let end = &self.words.tail;
        let word = end.position.load(Relaxed);
        if word & CLOSED != 0 {
            return Ok(Step::Closed);
        }
        let mut tail = Position::read(word);
        let mut segment = Self::segment(arena, end)?;
        loop {
            let pad = pad_before(segment, tail, needed);
            if begins_lap(segment, tail, pad)
                && let Some(smaller) = self.shrink(arena, tail, segment)?
            {
                (tail, segment) = smaller;
                continue;
            }
            match self.room(tail, segment, pad + needed)? {
                Room::Enough => return Ok(Step::Done((tail, segment, pad))),
                Room::TooManyItems(head) => return Ok(Step::Full(head)),
                Room::TooFewWords(head) => match self.grow(arena, tail, segment, head)? {
                    Some(larger) => (tail, segment) = larger,
                    None => return Ok(Step::Full(head)),
                },
            }
        }
    }

    /// Is there room for so many more words, and a record? Looks at the head itself only when it seems not.
    #[inline]
    pub(super) fn room(&self, tail: Position, segment: Segment, words: u64) -> Result<Room> {
        let maxsize = self.options().maxsize;
        let judge = |head: u64| {
            let (_, items) = tail.since(Position::read(head));
            let used = self.used(tail, head);
            if used > segment.words {
                return Err(corrupt());
            }
            if items >= ITEMS / 2 || (maxsize != 0 && items >= maxsize) {
                return Ok(Room::TooManyItems(head));
            }
            Ok(if used + words < segment.words {
                Room::Enough
            } else {
                Room::TooFewWords(head)
            })
        };
        if let Ok(Room::Enough) = judge(self.words.tail.seen.load(Relaxed)) {
            return Ok(Room::Enough);
        }
        let head = self.words.head.position.load(Acquire);
        self.words.tail.seen.store(head, Relaxed);
        self.look_at_start(tail, head);
        judge(head)
    }

    /// The last who put was killed: a block that became ours, and was not published, is nobody's.
    #[cold]
    pub(super) fn recover_put(&self, arena: &Arena) {
        let end = &self.words.tail;
        if let Some(pending) = Pending::at(end) {
            let unpublished = !pending.has_moved(end) && pending.block.owner(arena) == self.owner();
            match pending.step {
                Half::Segment => self.recover_chain(arena, pending),
                _ if unpublished => message::discard(arena, pending.block),
                _ => {}
            }
        }
        pending::clear(end);
    }
}

/// Is the tail at the end of the segment, about to come round to its beginning?
#[inline]
pub(super) fn begins_lap(segment: Segment, tail: Position, pad: u64) -> bool {
    pad > 0 || segment.room_after(tail) == segment.words
}

/// Words that are left empty because a record does not wrap.
#[inline]
pub(super) fn pad_before(segment: Segment, tail: Position, needed: u64) -> u64 {
    let room = segment.room_after(tail);
    if room < needed { room } else { 0 }
}

/// Writes a pad, if there must be one, and answers where the record goes.
#[inline]
pub(super) fn pad_and_at(arena: &Arena, segment: Segment, tail: Position, pad: u64) -> Result<u64> {
    if pad > 0 {
        write_word(arena, segment.at(tail), pad_head(pad))?;
    }
    Ok(segment.at(tail.plus(pad, 0)))
}

#[inline]
fn write_word(arena: &Arena, offset: u64, word: u64) -> Result<()> {
    let place = arena.at::<AtomicU64>(offset).ok_or_else(corrupt)?;
    place.store(word, Relaxed);
    Ok(())
}

#[inline]
pub(super) fn write_bytes(arena: &Arena, record: u64, bytes: &[u8]) -> Result<()> {
    write_word(arena, record, bytes_head(bytes.len(), member::own_pid()))?;
    arena.write(record + 8, bytes).ok_or_else(corrupt)
}
