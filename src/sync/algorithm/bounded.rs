//! Permits that have owners: a cell for each, 0 while nobody has it. What a dead one had is taken over by whoever needs it.

use super::cells::Cells;
use super::gate::Gate;
use crate::shm::lease::{member_of, spins};
use crate::shm::{Keeper, Lease};
use crate::sys::atomic::{AtomicU32, AtomicU64, Relaxed, Release, SeqCst};
use crate::sys::clock::Deadline;

/// In a cell: the guard was given up, so anybody may release the permit.
const LOOSE: u64 = 1 << 63;

/// Permits whose cells lie with the other words; few for loom, which tries every look at each.
const INLINE: usize = if cfg!(loom) { 2 } else { 21 };

/// The words of a bounded semaphore.
#[repr(C, align(64))]
#[derive(Debug, Default)]
pub struct BoundedWords {
    gate: Gate,
    bound: AtomicU32,
    /// Where a free cell was seen last: where to look first. Only a hint.
    hint: AtomicU32,
    /// Whose turn it is to look for permits that were loosened.
    releasing: Lease,
    cells: [AtomicU64; INLINE],
}

impl BoundedWords {
    /// Of a new one that nobody else knows: how many cells it needs beyond its own.
    pub(crate) fn set(&self, bound: u32) -> usize {
        self.bound.store(bound, Release);
        (bound as usize).saturating_sub(INLINE)
    }

    pub(crate) fn bound(&self) -> u32 {
        self.bound.load(Relaxed)
    }

    fn cells<'a>(&'a self, more: &'a [AtomicU64]) -> Cells<'a> {
        Cells::new(&self.cells, more).first(self.bound() as usize)
    }

    /// Permits that nobody has, or only somebody who is known to be dead.
    pub(crate) fn value<K: Keeper>(&self, more: &[AtomicU64]) -> u32 {
        let free = |cell: &&AtomicU64| {
            let owner = cell.load(Relaxed);
            owner == 0 || K::known_dead(owner & !LOOSE)
        };
        u32::try_from(self.cells(more).iter().filter(free).count()).unwrap_or(u32::MAX)
    }

    /// Takes a permit that is free, or whose owner is known to be dead; the answer is its cell.
    fn take<K: Keeper>(&self, more: &[AtomicU64], me: u64) -> Option<usize> {
        self.take_where(more, me, K::known_dead)
    }

    /// The same, after asking the kernel about the owners, about each once.
    #[cold]
    fn take_from_the_dead<K: Keeper>(&self, more: &[AtomicU64], me: u64) -> Option<usize> {
        // A bit for each slot that there can be.
        let mut alive = [0_u64; 64];
        self.take_where(more, me, |owner| {
            let (word, bit) = ((owner >> 38 & 63) as usize, 1 << (owner >> 32 & 63));
            if K::known_dead(owner) {
                return true;
            }
            let dead = alive[word] & bit == 0 && K::proved_dead(owner);
            if !dead {
                alive[word] |= bit;
            }
            dead
        })
    }

    fn take_where(
        &self,
        more: &[AtomicU64],
        me: u64,
        mut is_dead: impl FnMut(u64) -> bool,
    ) -> Option<usize> {
        let cells = self.cells(more);
        let hint = self.hint.load(Relaxed) as usize;
        (hint..cells.len())
            .chain(0..hint.min(cells.len()))
            .find(|&index| {
                cells.get(index).is_some_and(|cell| {
                    let owner = cell.load(SeqCst);
                    let takes = owner == 0 || is_dead(owner & !LOOSE);
                    takes && cell.compare_exchange(owner, me, SeqCst, Relaxed).is_ok()
                })
            })
    }

    /// Takes a permit without waiting.
    #[inline]
    pub(crate) fn try_acquire<K: Keeper>(&self, more: &[AtomicU64], me: u64) -> Option<usize> {
        self.take::<K>(more, me)
            .or_else(|| self.take_from_the_dead::<K>(more, me))
    }

    /// Takes a permit; `None` when the deadline has come first.
    #[inline]
    pub(crate) fn acquire<K: Keeper>(
        &self,
        more: &[AtomicU64],
        me: u64,
        deadline: Deadline,
    ) -> Option<usize> {
        self.take::<K>(more, me)
            .or_else(|| self.acquire_contended::<K>(more, me, deadline))
    }

    #[cold]
    fn acquire_contended<K: Keeper>(
        &self,
        more: &[AtomicU64],
        me: u64,
        deadline: Deadline,
    ) -> Option<usize> {
        // A look at many cells takes as long as many looks.
        for _ in 0..spins() / self.bound().max(1) {
            std::hint::spin_loop();
            if let Some(index) = self.take::<K>(more, me) {
                return Some(index);
            }
        }
        loop {
            let since = self.gate.arrive();
            if let Some(index) = self.take::<K>(more, me) {
                return Some(index);
            }
            let slice = K::slice(deadline);
            if slice.is_zero() {
                return self.take_from_the_dead::<K>(more, me);
            }
            if self.gate.sleep::<K>(since, slice)
                && let Some(index) = self.take_from_the_dead::<K>(more, me)
            {
                return Some(index);
            }
        }
    }

    /// Gives back the permit in a cell, if it is still that of `me`.
    #[inline]
    pub(crate) fn release<K: Keeper>(&self, more: &[AtomicU64], index: usize, me: u64) {
        let cell = self.cells(more).get(index);
        if cell.is_some_and(|cell| cell.compare_exchange(me, 0, SeqCst, Relaxed).is_ok()) {
            self.hint.store(u32::try_from(index).unwrap_or(0), Relaxed);
            self.gate.notify::<K>(1);
        }
    }

    /// From now on anybody may release this permit of `me`.
    pub(crate) fn loosen(&self, more: &[AtomicU64], index: usize, me: u64) {
        if let Some(cell) = self.cells(more).get(index) {
            let _mine = cell.compare_exchange(me, me | LOOSE, SeqCst, Relaxed);
        }
    }

    /// Gives back so many permits that were loosened, those of this process first; `false`, and nothing is changed, when there are
    /// not so many.
    pub(crate) fn release_loose<K: Keeper>(&self, more: &[AtomicU64], me: u64, count: u32) -> bool {
        // One at a time, or two would each see too few because the other has some in hand.
        let _taken = self.releasing.take::<K::Internal>(me, Deadline::NEVER);
        // First they become ours, so that they can be left as they were, and come back if we die here.
        let mut ours = Vec::new();
        take_in_hand::<K>(self.cells(more), me, count as usize, &mut ours);
        let enough = ours.len() == count as usize;
        for (cell, owner) in ours {
            cell.store(if enough { 0 } else { owner }, SeqCst);
        }
        self.releasing.give::<K::Internal>();
        if enough {
            self.gate.notify::<K>(count);
        }
        enough
    }
}

/// Has the guard of this permit been given up, by a process that may live?
fn is_loose<K: Keeper>(owner: u64) -> bool {
    owner & LOOSE != 0 && !K::known_dead(owner & !LOOSE)
}

/// Makes loosened permits those of `me` until there are `count` in hand, if there are so many; those of this process first.
fn take_in_hand<'a, K: Keeper>(
    cells: Cells<'a>,
    me: u64,
    count: usize,
    ours: &mut Vec<(&'a AtomicU64, u64)>,
) {
    for own in [true, false] {
        for cell in cells.iter() {
            let owner = cell.load(Relaxed);
            let fits = is_loose::<K>(owner) && (member_of(owner) == member_of(me)) == own;
            let wanted = ours.len() < count && fits;
            if wanted && cell.compare_exchange(owner, me, SeqCst, Relaxed).is_ok() {
                ours.push((cell, owner));
            }
        }
    }
}
