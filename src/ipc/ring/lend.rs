//! Lending: a queue whose messages stay its own until their takers say that they are done.
//!
//! Every message lies in a block ([`crate::shm::lent`] tells what becomes of it when its taker dies). The tail counts the messages that
//! were put, `done` those that are done; the rest is unfinished. Done is counted under the head's lease, with a note, so that the count
//! and the message agree whoever dies.

use super::end::nudge;
use super::pending::{self, Pending, Step};
use super::position::{ITEMS, Position};
use super::{Ring, corrupt};
use crate::error::Result;
use crate::shm::arena::Arena;
use crate::shm::blocks::{self, Block, Owner};
use crate::shm::keeper::{SLICE, low_half};
use crate::shm::lent::{self, FINISHED};
use crate::shm::{Internal, member, message, wait};
use crate::sys::atomic::{Acquire, AtomicU64, Relaxed, SeqCst};
use crate::sys::clock::Deadline;
use crate::sys::futex::{self, Scope};

/// In [`super::Words::done`]: somebody waits for the rest. Above it 29 bits count what is done, and the others what has failed.
const JOINERS: u64 = 1;

/// One more that has failed.
const FAILED: u64 = 1 << 30;

fn done_in(word: u64) -> u64 {
    word >> 1 & ITEMS
}

impl Ring {
    /// How many messages were put and are not done.
    pub(in super::super) fn unfinished(&self) -> u64 {
        // In this order: what is done was put before.
        let done = done_in(self.words.done.load(SeqCst));
        let put = Position::read(self.words.tail.position.load(SeqCst)).items;
        let unfinished = put.wrapping_sub(done) & ITEMS;
        if unfinished > ITEMS / 2 {
            0
        } else {
            unfinished
        }
    }

    /// How many have failed.
    pub(in super::super) fn failed(&self) -> u64 {
        self.words.done.load(Acquire) / FAILED
    }

    fn is_all_done(&self) -> bool {
        self.unfinished() == 0 || self.is_shut_now()
    }

    pub(super) fn attempts(block: Block) -> u32 {
        let head = Arena::existing().and_then(|arena| message::head(arena, block));
        head.map_or(0, |head| head.attempts.load(Relaxed))
    }

    /// Takes a message that was put back, if there is one. The caller holds the head's lease.
    pub(super) fn take_put_back(&self, arena: &Arena) -> Result<Option<Block>> {
        let count = u64::from(self.cell.put_back.load(SeqCst));
        if count == self.words.head.looked.load(Relaxed) {
            return Ok(None);
        }
        let own = member::own()?;
        lent::note_taker(arena);
        let mut taken = None;
        self.sift_put_back(arena, |block| {
            if taken.is_none() {
                // Counted first: an item that kills whoever takes it must come to an end.
                if let Some(head) = message::head(arena, block) {
                    head.attempts.fetch_add(1, Relaxed);
                }
                block.set_owner(arena, Owner::member(own.slot))?;
                taken = Some(block);
            }
            Ok(())
        })?;
        if taken.is_none() {
            self.words.head.looked.store(count, Relaxed);
        }
        Ok(taken)
    }

    /// Frees those that were put back and are done, or were so too often; the others are left to `keep`.
    fn sift_put_back(
        &self,
        arena: &Arena,
        mut keep: impl FnMut(Block) -> Result<()>,
    ) -> Result<()> {
        let retries = self.options().lends.unwrap_or(0);
        for block in blocks::owned_by(arena, Owner::put_back(self.object.number))? {
            let head = message::head(arena, block).ok_or_else(corrupt)?;
            let finished = head.lender.load(Acquire) & FINISHED != 0;
            if !finished && (retries == u32::MAX || head.attempts.load(Relaxed) < retries) {
                keep(block)?;
                continue;
            }
            if !finished {
                self.count_done(arena, block, true)?;
            }
            message::discard(arena, block);
        }
        Ok(())
    }

    /// Counts a message as done, by a note that can be completed.
    fn count_done(&self, arena: &Arena, block: Block, failed: bool) -> Result<()> {
        let end = &self.words.head;
        let done = &self.words.done;
        let mut word = done.load(SeqCst);
        Pending::counted(Step::Done, block, done_in(word)).note(end);
        loop {
            let counted = word & !(ITEMS << 1) | ((done_in(word) + 1) & ITEMS) << 1;
            let counted = counted.wrapping_add(if failed { FAILED } else { 0 });
            match done.compare_exchange(word, counted, SeqCst, SeqCst) {
                Ok(_) => break,
                Err(now) => word = now,
            }
        }
        mark_finished(arena, block);
        pending::clear(end);
        self.tell_joiners();
        Ok(())
    }

    /// The last owner of the lease was killed while it counted a message as done.
    pub(super) fn recover_done(&self, arena: &Arena, pending: Pending) {
        // It is still there: only under this lease is it freed after its taker's death.
        if pending.has_changed(done_in(self.words.done.load(SeqCst))) {
            mark_finished(arena, pending.block);
        }
        pending::clear(&self.words.head);
    }

    /// The taker of a message is done with it.
    pub(super) fn finish(&self, block: Block, failed: bool) -> Result<()> {
        let arena = Arena::get()?;
        let end = &self.words.head;
        if self.take(arena, end, Deadline::NEVER)?.is_none() {
            return Ok(());
        }
        let counted = self.count_done(arena, block, failed);
        end.lease.give::<Internal>();
        message::discard(arena, block);
        counted
    }

    /// The taker of a message gives it up.
    pub(super) fn put_back(&self, arena: &Arena, block: Block) {
        let Some(own) = member::known() else {
            return;
        };
        if lent::put_back(arena, block, Owner::member(own.slot)).is_some() {
            self.tell_of_put_back(arena);
        } else {
            message::discard(arena, block);
        }
    }

    /// A message that a dead taker had taken off the ring and not made its own is put back. The caller holds the head's lease.
    pub(super) fn adopt(&self, arena: &Arena, block: Block) {
        if lent::put_back(arena, block, self.owner()).is_some()
            || block.owner(arena) == Owner::put_back(self.object.number)
        {
            self.tell_of_put_back(arena);
        }
    }

    fn tell_of_put_back(&self, arena: &Arena) {
        lent::count(arena, self.object.number);
        nudge(&self.words.tail.position);
        wake_all(&self.words.done);
    }

    /// Wakes those who wait until all is done, if it is.
    pub(super) fn tell_joiners(&self) {
        if self.is_all_done() {
            wake_all(&self.words.done);
        }
    }

    /// Waits until all is done; `false` when the deadline came first.
    pub(in super::super) fn join(&self, deadline: Deadline) -> Result<bool> {
        self.object.check(self.cell)?;
        let arena = Arena::get()?;
        loop {
            self.look_around();
            if self.has_put_back() && self.options().lends != Some(u32::MAX) {
                self.fail_put_back(arena, deadline)?;
            }
            if self.is_all_done() {
                return Ok(true);
            }
            if deadline.passed() {
                return Ok(false);
            }
            self.sleep_until_done(deadline, || self.is_all_done());
        }
    }

    /// Counts as failed what was put back too often: nobody may come who gets.
    fn fail_put_back(&self, arena: &Arena, deadline: Deadline) -> Result<()> {
        let end = &self.words.head;
        if self.take(arena, end, deadline)?.is_some() {
            let sifted = self.sift_put_back(arena, |_| Ok(()));
            end.lease.give::<Internal>();
            return sifted;
        }
        Ok(())
    }

    /// The queue is closed and empty. May something be put back yet? Not if this process has some of it itself: then it must not
    /// wait for others, who may wait for it.
    pub(super) fn may_be_put_back(&self, arena: &Arena) -> bool {
        if !self.lends() || self.is_all_done() {
            return false;
        }
        let own = member::known().map_or(Owner::NOBODY, |own| Owner::member(own.slot));
        let ours = |block: &Block| {
            let head = message::head(arena, *block);
            head.is_some_and(|head| head.lender.load(Acquire) == self.object.name())
        };
        let mut taken = blocks::owned_by(arena, own).unwrap_or_default().into_iter();
        !taken.any(|block| ours(&block))
    }

    /// Waits until all is done or something was put back; `false` when the deadline came first.
    pub(super) fn wait_for_rest(&self, deadline: Deadline) -> bool {
        let enough = || self.is_all_done() || self.has_put_back();
        while !enough() {
            self.look_around();
            if enough() {
                break;
            }
            if deadline.passed() {
                return false;
            }
            self.sleep_until_done(deadline, enough);
        }
        true
    }

    fn sleep_until_done(&self, deadline: Deadline, enough: impl Fn() -> bool) {
        let done = &self.words.done;
        let word = done.load(SeqCst);
        let said = done.compare_exchange(word, word | JOINERS, SeqCst, Relaxed);
        if (word & JOINERS != 0 || said.is_ok()) && !enough() {
            let expected = ((word | JOINERS) & 0xffff_ffff) as u32;
            wait::sleep(low_half(done), expected, deadline.slice(SLICE));
        }
    }
}

fn mark_finished(arena: &Arena, block: Block) {
    if let Some(head) = message::head(arena, block) {
        head.lender.fetch_or(FINISHED, SeqCst);
    }
}

/// Wakes all who sleep on a word whose lowest bit says that somebody does.
fn wake_all(word: &AtomicU64) {
    if word.fetch_and(!JOINERS, SeqCst) & JOINERS != 0 {
        futex::wake(low_half(word), u32::MAX, Scope::Shared);
    }
}
