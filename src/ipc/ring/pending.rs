//! What the owner of an end's lease has half done, so that whoever takes over from a dead one can complete it or undo it.

use super::end::End;
use super::position::{ITEMS, Position};
use crate::shm::blocks::Block;
use crate::sys::atomic::{AcqRel, Acquire, Relaxed, Release};

/// What happens to the block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// A message goes from a member to the queue, or back.
    Message = 1,
    /// At the tail: a segment becomes the queue's. At the head: an old segment is left.
    Segment = 2,
    /// A lent message is done.
    Done = 3,
    /// A lent message that a dead taker had taken off the ring, and not made its own.
    Orphan = 4,
}

/// One word: block as unit + 1 (32 bits), step (3 bits), and 29 bits of a count as it was before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pending {
    pub(super) block: Block,
    pub(super) step: Step,
    pub(super) before: u64,
}

impl Pending {
    /// A step after which the end has moved.
    pub(super) fn moving(step: Step, block: Block, before: Position) -> Self {
        Self::counted(step, block, before.words)
    }

    /// A step after which a count has changed.
    pub(super) fn counted(step: Step, block: Block, before: u64) -> Self {
        Self {
            block,
            step,
            before: before & ITEMS,
        }
    }

    fn word(self) -> u64 {
        u64::from(self.block.0 + 1) << 32 | (self.step as u64) << 29 | self.before
    }

    fn read(word: u64) -> Option<Self> {
        let unit = u32::try_from(word >> 32).ok()?.checked_sub(1)?;
        let step = match word >> 29 & 7 {
            1 => Step::Message,
            2 => Step::Segment,
            3 => Step::Done,
            4 => Step::Orphan,
            _ => return None,
        };
        Some(Self {
            block: Block(unit),
            step,
            before: word & ITEMS,
        })
    }

    pub(super) fn note(self, end: &End) {
        end.pending.store(self.word(), Release);
    }

    /// What is noted at an end.
    pub(super) fn at(end: &End) -> Option<Self> {
        Self::read(end.pending.load(Acquire))
    }

    /// Is the count another one now?
    pub(super) fn has_changed(self, now: u64) -> bool {
        now & ITEMS != self.before
    }

    /// Has the end moved since this was noted?
    pub(super) fn has_moved(self, end: &End) -> bool {
        self.has_changed(Position::read(end.position.load(Acquire)).words)
    }

    /// Replaces the note; `false` if it is not there any more.
    pub(super) fn replace(self, end: &End, by: Option<Self>) -> bool {
        let by = by.map_or(0, Self::word);
        let replaced = end
            .pending
            .compare_exchange(self.word(), by, AcqRel, Relaxed);
        replaced.is_ok()
    }

    /// Forgets what is noted of a block.
    pub(super) fn forget(end: &End, block: Block) {
        let word = end.pending.load(Acquire);
        if word >> 32 == u64::from(block.0 + 1) {
            let _taken_over = end.pending.compare_exchange(word, 0, AcqRel, Relaxed);
        }
    }
}

/// Nothing is half done any more.
#[inline]
pub(super) fn clear(end: &End) {
    end.pending.store(0, Release);
}
