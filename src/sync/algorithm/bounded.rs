//! Permits that have owners: a cell for each, 0 while nobody has it. What a dead one had is taken over by whoever needs it.

use super::cells::Cells;
use super::gate::Gate;
use crate::shm::Keeper;
use crate::shm::lease::{member_of, spins};
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
    /// How often a permit was loosened, or left as it was by a release that had taken it in hand.
    loosened: AtomicU64,
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

    /// Takes a permit that is free, or whose owner is dead by `is_dead`; the answer is its cell.
    fn take(&self, more: &[AtomicU64], me: u64, is_dead: fn(u64) -> bool) -> Option<usize> {
        let cells = self.cells(more);
        let hint = self.hint.load(Relaxed) as usize;
        // Many cells of one owner are asked about once.
        let mut alive = None;
        for index in (hint..cells.len()).chain(0..hint.min(cells.len())) {
            let cell = cells.get(index)?;
            let owner = cell.load(SeqCst);
            let member = member_of(owner);
            let takes = owner == 0 || alive != Some(member) && is_dead(owner & !LOOSE);
            if takes && cell.compare_exchange(owner, me, SeqCst, Relaxed).is_ok() {
                return Some(index);
            }
            if owner != 0 && !takes {
                alive = Some(member);
            }
        }
        None
    }

    /// Takes a permit without waiting.
    #[inline]
    pub(crate) fn try_acquire<K: Keeper>(&self, more: &[AtomicU64], me: u64) -> Option<usize> {
        self.take(more, me, K::known_dead)
            .or_else(|| self.take(more, me, K::proved_dead))
    }

    /// Takes a permit; `None` when the deadline has come first.
    #[inline]
    pub(crate) fn acquire<K: Keeper>(
        &self,
        more: &[AtomicU64],
        me: u64,
        deadline: Deadline,
    ) -> Option<usize> {
        self.take(more, me, K::known_dead)
            .or_else(|| self.acquire_contended::<K>(more, me, deadline))
    }

    #[cold]
    fn acquire_contended<K: Keeper>(
        &self,
        more: &[AtomicU64],
        me: u64,
        deadline: Deadline,
    ) -> Option<usize> {
        for _ in 0..spins() {
            std::hint::spin_loop();
            if let Some(index) = self.take(more, me, K::known_dead) {
                return Some(index);
            }
        }
        loop {
            let since = self.gate.arrive();
            if let Some(index) = self.take(more, me, K::known_dead) {
                return Some(index);
            }
            let slice = K::slice(deadline);
            if slice.is_zero() {
                return None;
            }
            if self.gate.sleep::<K>(since, slice)
                && let Some(index) = self.take(more, me, K::proved_dead)
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
            self.loosened.fetch_add(1, SeqCst);
        }
    }

    /// Gives back so many permits that were loosened, those of this process first; `false`, and nothing is changed, when there are
    /// not so many.
    pub(crate) fn release_loose<K: Keeper>(&self, more: &[AtomicU64], me: u64, count: u32) -> bool {
        let (cells, count) = (self.cells(more), count as usize);
        // First they become ours, so that they can be left as they were, and come back if we die here.
        let mut ours = Vec::new();
        while ours.len() < count {
            let since = self.loosened.load(SeqCst);
            let loose = cells.iter().filter(|cell| is_loose::<K>(cell.load(SeqCst)));
            if ours.len() + loose.count() >= count {
                take_in_hand::<K>(cells, me, count, &mut ours);
            } else if self.loosened.load(SeqCst) == since {
                // None was loosened behind our back while we looked.
                for &(cell, owner) in &ours {
                    cell.store(owner, SeqCst);
                }
                self.loosened.fetch_add(1, SeqCst);
                return false;
            }
        }
        for (cell, _) in ours {
            cell.store(0, SeqCst);
        }
        self.gate
            .notify::<K>(u32::try_from(count).unwrap_or(u32::MAX));
        true
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
