//! Getting: from a record to bytes that nobody else gets.

use super::end::{self, Wake, pass_on, publish, sleep_until_moved};
use super::pending::{self, Pending, Step};
use super::position::{CLOSED, Position, SLEEPERS};
use super::record::{self, What};
use super::taking::Taking;
use super::{Attempt, Ring, Waiter, corrupt};
use crate::error::{Error, Result};
use crate::shm::arena::Arena;
use crate::shm::blocks::{Block, Owner, Use};
use crate::shm::{Internal, lent, member, message};
use crate::sys::atomic::{Acquire, Relaxed, Release};
use crate::sys::clock::Deadline;

/// Why nothing was got.
#[derive(Debug)]
pub(in super::super) enum GetFailure {
    Empty,
    Closed,
    Disconnected,
    Failed(Error),
}

/// What the owner of the lease found.
pub(super) enum Found<T> {
    /// Nothing while the tail is here.
    Empty(u64),
    /// Nothing, and nothing will come.
    Shut,
    Something(T),
}

impl Ring {
    /// Gets a message; when there is none, waits until the deadline.
    #[inline]
    pub(in super::super) fn get(
        &self,
        taking: &mut Taking,
        deadline: Deadline,
    ) -> Result<(), GetFailure> {
        self.wait_to_get(deadline, |arena| self.try_get(arena, taking, deadline))
    }

    /// Tries until it succeeds or there is no sense in it any more.
    #[inline]
    pub(super) fn wait_to_get<R>(
        &self,
        deadline: Deadline,
        mut attempt: impl FnMut(&Arena) -> Result<Attempt<R>>,
    ) -> Result<R, GetFailure> {
        let arena = Arena::get().map_err(GetFailure::Failed)?;
        let mut slept = false;
        let result = loop {
            match attempt(arena) {
                Ok(Attempt::Done(got)) => break Ok(got),
                Ok(Attempt::Closed) if self.may_be_put_back(arena) => {
                    if !self.wait_for_rest(deadline) {
                        break Err(GetFailure::Empty);
                    }
                }
                Ok(Attempt::Closed) if self.is_shut() => break Err(GetFailure::Closed),
                Ok(Attempt::Closed) => break Err(GetFailure::Disconnected),
                Ok(Attempt::Late) => break Err(GetFailure::Empty),
                Ok(Attempt::Blocked(tail)) => {
                    let (ring, gets) = (*self, true);
                    let waiter = Waiter { ring, gets };
                    if !sleep_until_moved(&self.words.tail.position, tail, &waiter, deadline) {
                        break Err(GetFailure::Empty);
                    }
                    slept = true;
                }
                Err(error) => break Err(GetFailure::Failed(error)),
            }
        };
        if slept {
            pass_on(&self.words.tail.position, || {
                self.items() > 0 || self.has_put_back()
            });
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
        if self.take(arena, end, deadline)?.is_none() {
            return Ok(Attempt::Late);
        }
        let found = self.get_under_lease(arena, taking);
        end.lease.give::<Internal>();
        Ok(match found? {
            Found::Empty(tail) if tail & CLOSED != 0 => Attempt::Closed,
            Found::Empty(tail) => Attempt::Blocked(tail),
            Found::Shut => Attempt::Closed,
            Found::Something(wake) => {
                end::wake(end, wake);
                Attempt::Done(())
            }
        })
    }

    /// Whether something is there, and how many words are published from the head on.
    #[inline]
    pub(super) fn look(&self) -> Found<(Position, u64)> {
        let end = &self.words.head;
        let word = end.position.load(Relaxed);
        if word & CLOSED != 0 && self.is_shut_now() {
            return Found::Shut;
        }
        let head = Position::read(word);
        let mut tail = end.seen.load(Relaxed);
        if Position::read(tail) == head {
            tail = self.words.tail.position.load(Acquire);
            end.seen.store(tail & !(SLEEPERS | CLOSED), Relaxed);
            if Position::read(tail) == head {
                return Found::Empty(tail);
            }
        }
        let (used, _) = Position::read(tail).since(head);
        Found::Something((head, used))
    }

    #[inline]
    fn get_under_lease(&self, arena: &Arena, taking: &mut Taking) -> Result<Found<Wake>> {
        if self.lends()
            && !self.is_shut_now()
            && let Some(block) = self.take_put_back(arena)?
        {
            taking.hold(block, Some(*self));
            return Ok(Found::Something(Wake::Nobody));
        }
        let mut wake = Wake::Nobody;
        loop {
            let seen = match self.look() {
                Found::Something(seen) => seen,
                Found::Empty(tail) => {
                    // Whoever waits for memory may go on, though no message was got.
                    end::wake(&self.words.head, wake);
                    return Ok(Found::Empty(tail));
                }
                Found::Shut => return Ok(Found::Shut),
            };
            let (moved, got) = self.take_next(arena, seen, taking)?;
            wake = wake.or(moved);
            if got {
                return Ok(Found::Something(wake));
            }
        }
    }

    /// Takes the record at the head; `false` if it was a link.
    #[inline]
    pub(super) fn take_next(
        &self,
        arena: &Arena,
        (head, used): (Position, u64),
        taking: &mut Taking,
    ) -> Result<(Wake, bool)> {
        let end = &self.words.head;
        let segment = Self::segment(arena, end)?;
        let record = record::find(arena, segment, head, used).ok_or_else(corrupt)?;
        let next = head.plus(record.words, 1);
        Ok(match record.what {
            What::Bytes { offset, length, by } => {
                let copied = taking.copy(arena, offset, length, by);
                copied.ok_or_else(corrupt)?;
                (publish(end, next), true)
            }
            What::Block(unit) => (
                self.get_block(arena, Block(unit), (head, next), taking)?,
                true,
            ),
            What::Link { block, words } => {
                let link = (block, words);
                (self.follow(arena, head, segment, link)?, false)
            }
        })
    }

    /// A block changes its owner: from the queue to us, after the record is gone.
    fn get_block(
        &self,
        arena: &Arena,
        block: Block,
        (head, next): (Position, Position),
        taking: &mut Taking,
    ) -> Result<Wake> {
        let end = &self.words.head;
        if block.owner(arena) != self.owner() {
            return Err(corrupt());
        }
        let own = member::own()?;
        let lends = self.lends();
        if lends {
            lent::note_taker(arena);
            // Only now: whoever is killed while he puts has nothing on lease.
            let head = message::head(arena, block).ok_or_else(corrupt)?;
            head.lender.store(self.object.name(), Release);
        }
        let (_, size) = block.bytes(arena).ok_or_else(corrupt)?;
        end.block_bytes.fetch_add(size, Relaxed);
        Pending::moving(Step::Message, block, head).note(end);
        let wake = publish(end, next);
        block.set_owner(arena, Owner::member(own.slot))?;
        pending::clear(end);
        taking.hold(block, lends.then_some(*self));
        Ok(wake)
    }

    /// The last who got was killed.
    #[cold]
    pub(super) fn recover_get(&self, arena: &Arena) {
        let end = &self.words.head;
        let Some(pending) = Pending::at(end) else {
            return pending::clear(end);
        };
        match pending.step {
            Step::Message => self.recover_message(arena, pending),
            Step::Segment => self.recover_follow(arena, pending),
            Step::Done => self.recover_done(arena, pending),
            Step::Orphan => self.recover_orphan(arena, pending),
        }
    }

    /// A block that the dead one had taken off the ring, and not made its own, is nobody's.
    fn recover_message(&self, arena: &Arena, pending: Pending) {
        if pending.has_moved(&self.words.head) {
            self.recover_left(arena, pending);
        } else {
            pending::clear(&self.words.head);
        }
    }

    /// The block is out of the ring: if it is the queue's still, it is nobody's.
    pub(super) fn recover_left(&self, arena: &Arena, pending: Pending) {
        let end = &self.words.head;
        let orphan = pending.block.owner(arena) == self.owner();
        let found = orphan.then_some(Pending {
            step: Step::Orphan,
            ..pending
        });
        // If the block is the queue's because somebody has put it meanwhile, he has changed the note before (`Pending::forget`).
        if pending.replace(end, found)
            && let Some(found) = found
        {
            self.recover_orphan(arena, found);
        }
    }

    fn recover_orphan(&self, arena: &Arena, pending: Pending) {
        if self.lends() && pending.block.is(arena, Use::Message) {
            self.adopt(arena, pending.block);
        } else {
            let orphan = pending.block.owner(arena) == self.owner();
            // In this order: whoever puts the block anew clears the note before it is the queue's.
            if orphan && Pending::at(&self.words.head) == Some(pending) {
                message::discard(arena, pending.block);
            }
        }
        pending::clear(&self.words.head);
    }
}
