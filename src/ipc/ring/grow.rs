//! Growing: from a full storage to one twice as large.

use super::position::{Position, WORDS};
use super::record::Storage;
use super::{Ring, pending};
use crate::error::{ErrorKind, Result};
use crate::shm::arena::Arena;
use crate::shm::blocks::{self, Block, Owner, Use};
use crate::shm::object::MANY_BLOCKS;
use crate::shm::{Internal, Taken, member};
use crate::sys::atomic::{AcqRel, Acquire, Release};
use crate::sys::clock::Deadline;
use crate::sys::memory;

impl Storage {
    /// An unbounded queue grows to a quarter of the machine's memory.
    pub(super) fn may_grow(self) -> bool {
        self.words * 16 <= memory::memory_of_machine() / 4 && self.words * 2 < WORDS / 4
    }
}

impl Ring<'_> {
    /// Doubles the storage. The caller holds the tail's lease; `None` when the head's cannot be had in time.
    #[cold]
    pub(super) fn grow(
        &self,
        arena: &Arena,
        tail: Position,
        old: Storage,
        deadline: Deadline,
    ) -> Result<Option<Storage>> {
        let own = Owner::member(member::own()?.slot);
        let block = blocks::allocate(old.words * 16, Use::Raw, own)?;
        self.cell.flags.fetch_or(MANY_BLOCKS, AcqRel);
        let grown = self.move_to(arena, tail, old, block, deadline);
        if !matches!(grown, Ok(Some(_))) {
            blocks::free(block);
        }
        grown
    }

    fn move_to(
        &self,
        arena: &Arena,
        tail: Position,
        old: Storage,
        block: Block,
        deadline: Deadline,
    ) -> Result<Option<Storage>> {
        let (offset, _) = block.bytes(arena).ok_or(ErrorKind::Corrupt)?;
        let new = Storage {
            block,
            offset,
            words: old.words * 2,
        };
        // With the head's lease too nobody reads. Who gets never asks for the tail's, so this cannot deadlock.
        let Some(taken) = self.take(&self.words.head, deadline)? else {
            return Ok(None);
        };
        if taken == Taken::OwnerDied {
            self.recover_get(arena);
        }
        let moved = self.copy_records(arena, tail, old, new);
        let moved = moved.and_then(|()| self.switch(arena, tail, old, new));
        self.words.head.lease.give::<Internal>();
        moved.map(|()| Some(new))
    }

    /// From here on the new block is the storage. Each step can be the last one of a process that is killed.
    fn switch(&self, arena: &Arena, tail: Position, old: Storage, new: Storage) -> Result<()> {
        let pending_block = &self.words.tail.pending;
        pending_block.store(pending(new.block, tail), Release);
        new.block.set_owner(arena, self.owner())?;
        self.set_storage(new.block, new.words);
        pending_block.store(pending(old.block, tail), Release);
        blocks::free(old.block);
        pending_block.store(0, Release);
        Ok(())
    }

    /// Copies what lies between the ends, piece by piece where either storage wraps.
    fn copy_records(
        &self,
        arena: &Arena,
        tail: Position,
        old: Storage,
        new: Storage,
    ) -> Result<()> {
        let head = Position::read(self.words.head.position.load(Acquire));
        let (mut left, _) = tail.since(head);
        if left > old.words {
            return Err(ErrorKind::Corrupt.into());
        }
        let mut at = head;
        while left > 0 {
            let piece = left.min(old.room_after(at)).min(new.room_after(at));
            let copied = arena.copy(old.at(at), new.at(at), piece * 8);
            copied.ok_or(ErrorKind::Corrupt)?;
            at = at.plus(piece, 0);
            left -= piece;
        }
        Ok(())
    }
}
