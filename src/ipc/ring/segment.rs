//! Segments: where the records lie, and how the ring goes from one to another.
//!
//! Who puts makes the next one, writes a link into the last free word of its own, and moves the tail over it; who gets finds the link,
//! goes over, and frees what it leaves. Nothing is copied, and nobody needs both leases.

use super::Ring;
use super::end::{End, Wake, publish, publish_quietly};
use super::pending::{self, Pending, Step};
use super::position::{Position, WORDS};
use super::record::{Segment, link_head};
use crate::error::{ErrorKind, Result};
use crate::shm::arena::Arena;
use crate::shm::blocks::{self, Block, Owner, Use};
use crate::shm::member;
use crate::sys::atomic::{Acquire, AtomicU64, Relaxed, Release};
use crate::sys::memory;

/// The most words of a segment: 4 MiB, whose pages come in a millisecond.
const MOST_WORDS: u64 = 1 << 19;

/// In [`End::start`]: there is one.
const STARTED: u64 = 1 << 63;

/// What a queue may hold, in bytes: a quarter of the machine's memory.
pub(super) fn most_bytes() -> u64 {
    static MOST: AtomicU64 = AtomicU64::new(0);
    let known = MOST.load(Relaxed);
    if known != 0 {
        return known;
    }
    let most = memory::memory_of_machine() / 4;
    MOST.store(most, Relaxed);
    most
}

fn word_of(block: u32, words: u64) -> u64 {
    u64::from(block + 1) << 32 | u64::from(words.ilog2())
}

impl Ring {
    /// Gives a new queue its first segment.
    pub(super) fn first_segment(&self) -> Result<()> {
        let arena = Arena::get()?;
        let bytes = (arena.layout.size / 64)
            .clamp(16 << 10, 64 << 10)
            .next_power_of_two();
        let block = blocks::allocate(bytes, Use::Raw, self.owner())?;
        // A queue that stays in its first segment is freed without a walk through the heap.
        self.cell.block.store(block.0 + 1, Release);
        self.words.least_words.store(bytes / 8, Relaxed);
        for end in [&self.words.tail, &self.words.head] {
            end.segment.store(word_of(block.0, bytes / 8), Release);
        }
        Ok(())
    }

    /// The segment of an end.
    #[inline]
    pub(super) fn segment(arena: &Arena, end: &End) -> Result<Segment> {
        let word = end.segment.load(Acquire);
        let found = || {
            let unit = u32::try_from(word >> 32).ok()?.checked_sub(1)?;
            segment_in(arena, Block(unit), 1_u64.checked_shl((word & 0xff) as u32)?)
        };
        found().ok_or_else(super::corrupt)
    }

    /// How many words of the tail's segment are in use at most, when the head was at `head`.
    #[inline]
    pub(super) fn used(&self, tail: Position, head: u64) -> u64 {
        let (all, _) = tail.since(Position::read(head));
        let start = self.words.tail.start.load(Relaxed);
        if start == 0 {
            return all;
        }
        let words = start & WORDS;
        all.min(tail.since(Position { words, items: 0 }).0)
    }

    /// Forgets where the segment began, once the head is in it: a start that was kept for ever would come round again.
    pub(super) fn look_at_start(&self, tail: Position, head: u64) {
        let (all, _) = tail.since(Position::read(head));
        let start = &self.words.tail.start;
        if start.load(Relaxed) != 0 && all <= self.used(tail, head) {
            start.store(0, Relaxed);
        }
    }

    /// Goes to a larger segment, because this one is full: the tail is in it then. `None` if the queue may not grow.
    #[cold]
    pub(super) fn grow(
        &self,
        arena: &Arena,
        tail: Position,
        old: Segment,
        head: u64,
    ) -> Result<Option<(Position, Segment)>> {
        // Who only puts never waits: here he looks whether anybody is left who gets.
        self.look_around();
        let (all, _) = tail.since(Position::read(head));
        let words = (old.words * 2).min(MOST_WORDS).max(old.words);
        if (all + words) * 8 > most_bytes() || all + words >= WORDS / 4 {
            return Ok(None);
        }
        let chained = match self.chain(arena, tail, old, words) {
            // In a full or a cut up arena a small one may still be had.
            Err(error) if error.kind() == ErrorKind::NoSpace => {
                let least = self.words.least_words.load(Relaxed).max(1);
                self.chain(arena, tail, old, least)
            }
            chained => chained,
        };
        chained.map(Some)
    }

    /// Goes to a smaller segment, if only little of this one is in use: asked where it comes round to its beginning.
    #[cold]
    pub(super) fn shrink(
        &self,
        arena: &Arena,
        tail: Position,
        old: Segment,
    ) -> Result<Option<(Position, Segment)>> {
        let least = self.words.least_words.load(Relaxed).max(1);
        let head = self.words.head.position.load(Acquire);
        let (all, _) = tail.since(Position::read(head));
        if old.words <= least || all * 8 > old.words || self.used(tail, head) + 1 > old.words {
            return Ok(None);
        }
        let words = (all * 4).next_power_of_two().max(least);
        match self.chain(arena, tail, old, words) {
            Err(error) if error.kind() == ErrorKind::NoSpace => Ok(None),
            chained => chained.map(Some),
        }
    }

    pub(super) fn is_least(&self, segment: Segment) -> bool {
        segment.words <= self.words.least_words.load(Relaxed)
    }

    /// Makes a segment and moves the tail into it. The caller holds the tail's lease, and there is a word left.
    fn chain(
        &self,
        arena: &Arena,
        tail: Position,
        old: Segment,
        words: u64,
    ) -> Result<(Position, Segment)> {
        let end = &self.words.tail;
        let own = Owner::member(member::own()?.slot);
        self.note_many_blocks();
        let block = blocks::allocate(words * 8, Use::Raw, own)?;
        let link = arena.at::<AtomicU64>(old.at(tail));
        let new = segment_in(arena, block, words);
        let (Some(link), Some(new)) = (link, new) else {
            blocks::free(block);
            return Err(super::corrupt());
        };
        link.store(link_head(block.0, words), Relaxed);
        Pending::moving(Step::Segment, block, tail).note(end);
        Pending::forget(&self.words.head, block);
        block.set_owner(arena, self.owner())?;
        publish_quietly(end, tail.plus(1, 0));
        self.enter(block, words, tail.plus(1, 0));
        pending::clear(end);
        Ok((tail.plus(1, 0), new))
    }

    /// The tail is in this segment from here on.
    pub(super) fn enter(&self, block: Block, words: u64, start: Position) {
        let end = &self.words.tail;
        end.start.store(start.words | STARTED, Relaxed);
        end.segment.store(word_of(block.0, words), Release);
    }

    /// The last who put was killed while it went to another segment.
    pub(super) fn recover_chain(&self, arena: &Arena, pending: Pending) {
        let end = &self.words.tail;
        let ours = pending.block.owner(arena) == self.owner();
        if pending.has_moved(end) {
            if let Some((_, bytes)) = pending.block.bytes(arena) {
                let now = Position::read(end.position.load(Acquire));
                self.enter(pending.block, bytes / 8, now);
            }
        } else if ours {
            blocks::free(pending.block);
        }
    }

    /// The head goes over a link, and what it leaves is freed. The caller holds the head's lease.
    #[cold]
    pub(super) fn follow(
        &self,
        arena: &Arena,
        head: Position,
        old: Segment,
        link: (u32, u64),
    ) -> Result<Wake> {
        let end = &self.words.head;
        let (block, words) = (Block(link.0), link.1);
        segment_in(arena, block, words)
            .filter(|_| block.owner(arena) == self.owner())
            .ok_or_else(super::corrupt)?;
        Pending::moving(Step::Segment, Block(old.block), head).note(end);
        end.segment.store(word_of(block.0, words), Release);
        let wake = publish(end, head.plus(1, 0));
        blocks::free(Block(old.block));
        pending::clear(end);
        Ok(wake)
    }

    /// The last who got was killed while it went over a link.
    pub(super) fn recover_follow(&self, arena: &Arena, pending: Pending) {
        let end = &self.words.head;
        if end.segment.load(Acquire) >> 32 == u64::from(pending.block.0 + 1) {
            return pending::clear(end);
        }
        if !pending.has_moved(end) {
            let head = Position::read(end.position.load(Acquire));
            publish_quietly(end, head.plus(1, 0));
        }
        self.recover_left(arena, pending);
    }
}

#[inline]
fn segment_in(arena: &Arena, block: Block, words: u64) -> Option<Segment> {
    let (offset, bytes) = block.bytes(arena)?;
    let fits = words.is_power_of_two() && words.checked_mul(8)? <= bytes;
    fits.then_some(Segment {
        block: block.0,
        offset,
        words,
    })
}
