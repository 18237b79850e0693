//! Many readers, or one writer.
//!
//! The writer owns a lease; while it is owned no new reader comes in. Each process that reads has a cell with the number of its
//! readers, so that those of a dead one can be told. A reader counts itself and then looks at the lease; a writer takes the
//! lease and then looks at the cells: one of them sees the other.

use super::cells::Cells;
use super::gate::Gate;
use crate::shm::lease::{member_of, spins};
use crate::shm::{Keeper, Lease, Taken};
use crate::sys::atomic::{
    AcqRel, Acquire, AtomicU32, AtomicU64, Relaxed, Release, SeqCst, fence_after_rmw,
};
use crate::sys::clock::Deadline;

/// In a cell: how many threads of the process read. The other bits name it.
const READERS: u64 = 0x7f_ffff;

/// Processes whose cells lie with the other words; few for loom, which tries every look at each.
const INLINE: usize = if cfg!(loom) { 2 } else { 20 };

/// The words of a read-write lock.
#[repr(C, align(64))]
#[derive(Debug, Default)]
pub struct RwLockWords {
    writer: Lease,
    gate: Gate,
    /// 1 from the death of a holder until somebody says that the data is repaired.
    inconsistent: AtomicU32,
    /// 1 while the writer is alone. One that dies before, waiting for the readers to end, has changed nothing.
    alone: AtomicU32,
    /// Deaths of holders of which the readers have heard.
    heard: AtomicU32,
    cells: [AtomicU64; INLINE],
}

/// Why there is no lock yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoRead {
    /// The deadline has come first.
    Late,
    /// All cells are those of other processes that read.
    Full,
}

impl RwLockWords {
    fn cells<'a>(&'a self, more: &'a [AtomicU64]) -> Cells<'a> {
        Cells::new(&self.cells, more)
    }

    /// Who writes; 0 for nobody.
    pub(crate) fn writer(&self) -> u64 {
        self.writer.owner()
    }

    /// How many read.
    pub(crate) fn readers(&self, more: &[AtomicU64]) -> usize {
        let count = |cell: &AtomicU64| (cell.load(Relaxed) & READERS) as usize;
        self.cells(more).iter().map(count).sum()
    }

    pub(crate) fn is_inconsistent(&self) -> bool {
        self.inconsistent.load(Relaxed) != 0
    }

    pub(crate) fn say_repaired(&self) {
        self.inconsistent.store(0, Relaxed);
    }

    /// Counts a reader of the member `key`; the answer is its cell, `None` when all are those of others.
    #[inline]
    fn count(&self, more: &[AtomicU64], key: u64) -> Option<usize> {
        loop {
            let mut free = None;
            for (index, cell) in self.cells(more).iter().enumerate() {
                let mut word = cell.load(Relaxed);
                while word & !READERS == key && word & READERS < READERS {
                    match cell.compare_exchange(word, word + 1, SeqCst, Relaxed) {
                        Ok(_) => return Some(index),
                        Err(now) => word = now,
                    }
                }
                if word & READERS == 0 && free.is_none() {
                    free = Some((index, cell, word));
                }
            }
            let (index, cell, word) = free?;
            // Nobody of that process reads any more: the cell is free for another.
            let ours = cell.compare_exchange(word, key | 1, SeqCst, Relaxed);
            if ours.is_ok() {
                return Some(index);
            }
        }
    }

    /// The same, in a cell of the dead if there is no other.
    #[inline]
    fn count_or_bury<K: Keeper>(&self, more: &[AtomicU64], key: u64) -> Result<usize, NoRead> {
        if let Some(cell) = self.count(more, key) {
            return Ok(cell);
        }
        self.drained::<K>(more, K::known_dead);
        self.count(more, key).ok_or(NoRead::Full)
    }

    /// Reads: the answer is the cell, for [`end_read`](Self::end_read).
    #[inline]
    pub(crate) fn read<K: Keeper>(
        &self,
        more: &[AtomicU64],
        me: u64,
        deaths: &AtomicU32,
        deadline: Option<Deadline>,
    ) -> Result<usize, NoRead> {
        let died = deaths.load(Acquire);
        if died != self.heard.load(Relaxed) {
            // A reader may have been among them.
            self.drained::<K>(more, K::known_dead);
            self.heard.store(died, Relaxed);
        }
        let mut spins = spins();
        loop {
            let writer = self.writer.owner();
            if writer == 0 {
                let cell = self.count_or_bury::<K>(more, member_of(me))?;
                fence_after_rmw();
                if self.writer.owner() == 0 {
                    return Ok(cell);
                }
                self.end_read::<K>(more, cell);
            } else if K::known_dead(writer) {
                self.take_over::<K>(me);
            } else if spins > 0 && deadline.is_some() {
                spins -= 1;
                std::hint::spin_loop();
            } else if !self.sleep_as_reader::<K>(me, writer, deadline) {
                return Err(NoRead::Late);
            }
        }
    }

    #[cold]
    fn sleep_as_reader<K: Keeper>(&self, me: u64, writer: u64, deadline: Option<Deadline>) -> bool {
        let Some(deadline) = deadline else {
            return K::proved_dead(writer) && self.take_over::<K>(me);
        };
        let since = self.gate.arrive();
        if self.writer.owner() != writer {
            return true;
        }
        let slice = K::slice(deadline);
        if slice.is_zero() {
            return K::proved_dead(writer) && self.take_over::<K>(me);
        }
        if self.gate.sleep::<K>(since, slice) && K::proved_dead(writer) {
            self.take_over::<K>(me);
        }
        true
    }

    /// The writer is dead: everybody shall know, and go on. `true` for whoever does it.
    #[cold]
    fn take_over<K: Keeper>(&self, me: u64) -> bool {
        let taken = self.writer.take_now::<K>(me);
        if taken == Some(Taken::OwnerDied) {
            self.bury_writer();
        }
        if taken.is_some() {
            self.end_write::<K>();
        }
        taken.is_some()
    }

    #[inline]
    pub(crate) fn end_read<K: Keeper>(&self, more: &[AtomicU64], cell: usize) {
        if let Some(cell) = self.cells(more).get(cell) {
            cell.fetch_sub(1, SeqCst);
        }
        fence_after_rmw();
        // Nobody but a writer waits for readers.
        if self.writer.owner() != 0 {
            self.gate.notify::<K>(u32::MAX);
        }
    }

    /// Writes; `false` when the deadline has come first.
    pub(crate) fn write<'a, K: Keeper>(
        &'a self,
        more: impl Fn() -> &'a [AtomicU64],
        me: u64,
        deadline: Option<Deadline>,
    ) -> bool {
        let taken = match deadline {
            Some(deadline) => self.writer.take::<K>(me, deadline),
            None => self.writer.take_now::<K>(me),
        };
        match taken {
            None => return false,
            Some(Taken::OwnerDied) => self.bury_writer(),
            Some(Taken::Clean) => {}
        }
        fence_after_rmw();
        let drained = self.await_readers::<K>(more, deadline);
        if drained {
            // No write of the caller comes before this.
            self.alone.swap(1, AcqRel);
        } else {
            self.end_write::<K>();
        }
        drained
    }

    /// As the owner of the lease, whose last one is dead.
    fn bury_writer(&self) {
        if self.alone.load(Relaxed) != 0 {
            self.inconsistent.store(1, Relaxed);
            self.alone.store(0, Release);
        }
    }

    #[inline]
    fn await_readers<'a, K: Keeper>(
        &'a self,
        more: impl Fn() -> &'a [AtomicU64],
        deadline: Option<Deadline>,
    ) -> bool {
        if self.drained::<K>(more(), K::known_dead) {
            return true;
        }
        let Some(deadline) = deadline else {
            return self.drained::<K>(more(), K::proved_dead);
        };
        // A look at many cells takes as long as many looks.
        for _ in 0..spins() as usize / self.cells(more()).len() {
            std::hint::spin_loop();
            if self.drained::<K>(more(), K::known_dead) {
                return true;
            }
        }
        loop {
            let since = self.gate.arrive();
            if self.drained::<K>(more(), K::known_dead) {
                return true;
            }
            let slice = K::slice(deadline);
            if slice.is_zero() {
                return self.drained::<K>(more(), K::proved_dead);
            }
            if self.gate.sleep::<K>(since, slice) && self.drained::<K>(more(), K::proved_dead) {
                return true;
            }
        }
    }

    /// Does nobody read? The dead do not.
    fn drained<K: Keeper>(&self, more: &[AtomicU64], is_dead: fn(u64) -> bool) -> bool {
        let mut drained = true;
        for cell in self.cells(more).iter() {
            let word = cell.load(SeqCst);
            if word & READERS == 0 {
                continue;
            }
            let dead = is_dead(word & !READERS);
            if dead {
                // Before the cell is free: killed in between, we leave the news to the next one.
                self.inconsistent.store(1, SeqCst);
            }
            drained &= dead && cell.compare_exchange(word, 0, SeqCst, Relaxed).is_ok();
        }
        drained
    }

    #[inline]
    pub(crate) fn end_write<K: Keeper>(&self) {
        self.alone.store(0, Release);
        self.writer.give::<K>();
        self.gate.notify::<K>(u32::MAX);
    }
}
