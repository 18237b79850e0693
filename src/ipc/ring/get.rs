//! Getting: from a record to bytes that nobody else gets.

use super::position::{
    self, CLOSED, Position, SLEEPERS, Wake, pass_on, publish, sleep_until_moved,
};
use super::record::{self, Kind, Taking};
use super::{Attempt, Ring, pending, read_pending};
use crate::error::{Error, ErrorKind, Result};
use crate::shm::arena::Arena;
use crate::shm::blocks::{Block, Owner};
use crate::shm::{Internal, Taken, member, message};
use crate::sys::atomic::{AcqRel, Acquire, Relaxed, Release};
use crate::sys::clock::Deadline;

/// Why nothing was got.
#[derive(Debug)]
pub(in super::super) enum GetFailure {
    Empty,
    Closed,
    Failed(Error),
}

/// What the owner of the lease found.
enum Step {
    /// Nothing while the tail is here.
    Empty(u64),
    Record(Wake, Option<Block>),
}

impl Ring<'_> {
    /// Gets a message; when there is none, waits until the deadline.
    pub(in super::super) fn get(
        &self,
        taking: &mut Taking,
        deadline: Deadline,
    ) -> Result<(), GetFailure> {
        let arena = Arena::get().map_err(GetFailure::Failed)?;
        let mut slept = false;
        let result = loop {
            match self.try_get(arena, taking, deadline) {
                Ok(Attempt::Done(())) => break Ok(()),
                Ok(Attempt::Closed) => break Err(GetFailure::Closed),
                Ok(Attempt::Late) => break Err(GetFailure::Empty),
                Ok(Attempt::Blocked(tail))
                    if !sleep_until_moved(&self.words.tail, &self.words.head, tail, deadline) =>
                {
                    break Err(GetFailure::Empty);
                }
                Ok(Attempt::Blocked(_)) => slept = true,
                Err(error) => break Err(GetFailure::Failed(error)),
            }
        };
        if slept {
            pass_on(&self.words.tail, self.items() > 0);
        }
        result
    }

    #[inline]
    fn try_get(
        &self,
        arena: &Arena,
        taking: &mut Taking,
        deadline: Deadline,
    ) -> Result<Attempt<()>> {
        let end = &self.words.head;
        let Some(taken) = self.take(end, deadline)? else {
            return Ok(Attempt::Late);
        };
        if taken == Taken::OwnerDied {
            self.recover_get(arena);
        }
        let step = self.get_under_lease(arena, taking);
        end.lease.give::<Internal>();
        match step? {
            Step::Empty(tail) if tail & CLOSED != 0 => Ok(Attempt::Closed),
            Step::Empty(tail) => Ok(Attempt::Blocked(tail)),
            Step::Record(wake, block) => {
                position::wake(end, wake);
                if let Some(block) = block {
                    taking.hold(block)?;
                }
                Ok(Attempt::Done(()))
            }
        }
    }

    #[inline]
    fn get_under_lease(&self, arena: &Arena, taking: &mut Taking) -> Result<Step> {
        let end = &self.words.head;
        let head = Position::read(end.position.load(Relaxed));
        let mut tail = end.seen.load(Relaxed);
        if Position::read(tail) == head {
            tail = self.words.tail.position.load(Acquire);
            end.seen.store(tail & !(SLEEPERS | CLOSED), Relaxed);
            if Position::read(tail) == head {
                return Ok(Step::Empty(tail));
            }
        }
        let (used, _) = Position::read(tail).since(head);
        let record = record::find(arena, self.storage(arena)?, head, used)?;
        let next = head.plus(record.words, 1);
        if record.kind == Kind::Block {
            return self.get_block(arena, record.block(arena)?, head, next);
        }
        record.copy_to(arena, taking)?;
        Ok(Step::Record(publish(end, next), None))
    }

    /// A block changes its owner: from the queue to us, after the record is gone.
    fn get_block(
        &self,
        arena: &Arena,
        block: Block,
        head: Position,
        next: Position,
    ) -> Result<Step> {
        let end = &self.words.head;
        if block.owner(arena) != self.owner() {
            return Err(Error::new(ErrorKind::Corrupt, "a message of a queue"));
        }
        let own = member::own()?;
        end.pending.store(pending(block, head), Release);
        let wake = publish(end, next);
        block.set_owner(arena, Owner::member(own.slot))?;
        end.pending.store(0, Release);
        Ok(Step::Record(wake, Some(block)))
    }

    /// The last who got was killed: a block that it had taken off the ring, and not made its own, is nobody's.
    #[cold]
    pub(super) fn recover_get(&self, arena: &Arena) {
        let end = &self.words.head;
        let word = end.pending.load(Acquire);
        let nobodys =
            read_pending(end).filter(|&(block, moved)| moved && block.owner(arena) == self.owner());
        // If the block is the queue's because somebody has put it meanwhile, he has changed the word before (`forget_at_head`).
        let unchanged = end.pending.compare_exchange(word, 0, AcqRel, Relaxed);
        if let (Some((block, _)), Ok(_)) = (nobodys, unchanged) {
            message::discard(arena, block);
        }
    }
}
