//! Putting: from bytes to a record that others see.

use super::position::{
    self, CLOSED, ITEMS, Position, Wake, pass_on, publish_unless_closed, sleep_until_moved,
};
use super::record::{Kind, LARGEST, Storage, words_for, write_head};
use super::{Attempt, Ring, pending, read_pending};
use crate::error::{Error, ErrorKind, Result};
use crate::shm::arena::Arena;
use crate::shm::blocks::{Block, Owner};
use crate::shm::layout::OWNS_BLOCKS;
use crate::shm::message::{self, Cargo};
use crate::shm::object::MANY_BLOCKS;
use crate::shm::{Internal, Taken, member};
use crate::sys::atomic::{AcqRel, Acquire, Relaxed, Release};
use crate::sys::clock::Deadline;

/// Why nothing was put.
#[derive(Debug)]
pub(in super::super) enum PutFailure {
    Full,
    Closed,
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
            Self::Block(_) => words_for(8),
        }
    }
}

/// What the owner of the lease could do.
enum Step {
    Done(Wake),
    Closed,
    /// No room while the head is here.
    Full(u64),
    Late,
}

enum Room {
    Enough,
    TooManyItems(u64),
    TooFewWords(u64),
}

impl Ring<'_> {
    /// Puts a message; when there is no room, waits until the deadline.
    pub(in super::super) fn put(
        &self,
        bytes: &[u8],
        cargo: Cargo,
        deadline: Deadline,
    ) -> Result<(), PutFailure> {
        let arena = Arena::get().map_err(PutFailure::Failed)?;
        let parcel = self.wrap(bytes, cargo).map_err(PutFailure::Failed)?;
        let mut slept = false;
        let result = loop {
            match self.try_put(arena, &parcel, deadline) {
                Ok(Attempt::Done(())) => break Ok(()),
                Ok(Attempt::Closed) => break Err(PutFailure::Closed),
                Ok(Attempt::Late) => break Err(PutFailure::Full),
                Ok(Attempt::Blocked(head))
                    if !sleep_until_moved(&self.words.head, &self.words.tail, head, deadline) =>
                {
                    break Err(PutFailure::Full);
                }
                Ok(Attempt::Blocked(_)) => slept = true,
                Err(error) => break Err(PutFailure::Failed(error)),
            }
        };
        if slept {
            pass_on(
                &self.words.head,
                self.maxsize() == 0 || self.items() < self.maxsize(),
            );
        }
        if let (Err(_), Parcel::Block(block)) = (&result, parcel) {
            message::discard(arena, block);
        }
        result
    }

    #[inline]
    fn wrap<'b>(&self, bytes: &'b [u8], cargo: Cargo) -> Result<Parcel<'b>> {
        if bytes.len() <= LARGEST && cargo.is_empty() {
            return Ok(Parcel::Bytes(bytes));
        }
        let own = member::own()?;
        let block = message::store(bytes, cargo, Owner::member(own.slot))?;
        if self.cell.flags.load(Relaxed) & MANY_BLOCKS == 0 {
            self.cell.flags.fetch_or(MANY_BLOCKS | OWNS_BLOCKS, AcqRel);
        }
        Ok(Parcel::Block(block))
    }

    #[inline]
    fn try_put(
        &self,
        arena: &Arena,
        parcel: &Parcel<'_>,
        deadline: Deadline,
    ) -> Result<Attempt<()>> {
        let end = &self.words.tail;
        let Some(taken) = self.take(end, deadline)? else {
            return Ok(Attempt::Late);
        };
        if taken == Taken::OwnerDied {
            self.recover_put(arena);
        }
        let step = self.put_under_lease(arena, parcel, deadline);
        end.lease.give::<Internal>();
        Ok(match step? {
            Step::Done(wake) => {
                position::wake(end, wake);
                Attempt::Done(())
            }
            Step::Closed => Attempt::Closed,
            Step::Full(head) => Attempt::Blocked(head),
            Step::Late => Attempt::Late,
        })
    }

    #[inline]
    fn put_under_lease(
        &self,
        arena: &Arena,
        parcel: &Parcel<'_>,
        deadline: Deadline,
    ) -> Result<Step> {
        let end = &self.words.tail;
        let word = end.position.load(Relaxed);
        if word & CLOSED != 0 {
            return Ok(Step::Closed);
        }
        let tail = Position::read(word);
        let mut storage = self.storage(arena)?;
        let needed = parcel.words();
        let pad = loop {
            let room = storage.room_after(tail);
            let pad = if room < needed { room } else { 0 };
            match self.room(tail, storage, pad + needed)? {
                Room::Enough => break pad,
                Room::TooManyItems(head) => return Ok(Step::Full(head)),
                Room::TooFewWords(head) if !storage.may_grow() => return Ok(Step::Full(head)),
                Room::TooFewWords(_) => match self.grow(arena, tail, storage, deadline)? {
                    Some(larger) => storage = larger,
                    None => return Ok(Step::Late),
                },
            }
        };
        if pad > 0 {
            write_head(arena, storage.at(tail), (pad - 1) * 8, Kind::Pad)?;
        }
        self.write(arena, storage.at(tail.plus(pad, 0)), parcel, tail)?;
        let wake = publish_unless_closed(end, tail.plus(pad + needed, 1));
        if let Parcel::Block(block) = parcel {
            if wake.is_none() {
                block.set_owner(arena, Owner::member(member::own()?.slot))?;
            }
            end.pending.store(0, Release);
        }
        Ok(wake.map_or(Step::Closed, Step::Done))
    }

    #[inline]
    fn write(&self, arena: &Arena, record: u64, parcel: &Parcel<'_>, tail: Position) -> Result<()> {
        let written = match parcel {
            Parcel::Bytes(bytes) => {
                write_head(arena, record, bytes.len() as u64, Kind::Bytes)?;
                arena.write(record + 8, bytes)
            }
            Parcel::Block(block) => {
                write_head(arena, record, 8, Kind::Block)?;
                let written = arena.write(record + 8, &u64::from(block.0).to_ne_bytes());
                self.words
                    .tail
                    .pending
                    .store(pending(*block, tail), Release);
                self.forget_at_head(*block);
                block.set_owner(arena, self.owner())?;
                written
            }
        };
        written.ok_or_else(|| ErrorKind::Corrupt.into())
    }

    /// Is there room for so many more words, and a record? Looks at the head itself only when it seems not.
    #[inline]
    fn room(&self, tail: Position, storage: Storage, words: u64) -> Result<Room> {
        let maxsize = self.maxsize();
        let judge = |head: u64| {
            let (used, items) = tail.since(Position::read(head));
            if used > storage.words {
                return Err(Error::new(ErrorKind::Corrupt, "positions of a queue"));
            }
            if items >= ITEMS / 2 || (maxsize != 0 && items >= maxsize) {
                return Ok(Room::TooManyItems(head));
            }
            Ok(if used + words <= storage.words {
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
        judge(head)
    }

    /// Our block may be one that a getter, killed since, has noted as pending after it had become its own, and that was freed
    /// with its slot. Whoever takes over the head must not take it for that one once it is the queue's.
    #[inline]
    fn forget_at_head(&self, block: Block) {
        let pending = &self.words.head.pending;
        let word = pending.load(Acquire);
        if word >> 32 == u64::from(block.0 + 1) {
            let _taken_over = pending.compare_exchange(word, 0, AcqRel, Relaxed);
        }
    }

    /// The last who put was killed: a block that became ours, and was neither published nor made the storage, is nobody's.
    #[cold]
    fn recover_put(&self, arena: &Arena) {
        let end = &self.words.tail;
        if let Some((block, moved)) = read_pending(end)
            && !moved
            && self.words.ring.load(Acquire) >> 32 != u64::from(block.0 + 1)
            && block.owner(arena) == self.owner()
        {
            message::discard(arena, block);
        }
        end.pending.store(0, Release);
    }
}
