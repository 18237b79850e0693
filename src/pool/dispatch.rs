//! The dispatch ring: hints for workers, in the order in which tasks were submitted.
//!
//! One producer at a time (the pool's process, under a private lock), many consumers without any lock: a worker reads the hint at
//! the head, notes it in its slot, and moves the head by compare-and-swap. A hint is a cell and its generation, never zero.
//!
//! The tail is one word: [`SLEEPERS`], [`CLOSED`], and the number of hints ever given. Workers sleep on it. A worker that looks
//! for work without sleeping says so in `searching`; then nobody needs to be woken, because before it sleeps it takes that back and
//! looks again.

use super::table::SEGMENTS;
use crate::error::{Error, ErrorKind, Result};
use crate::shm::arena::Arena;
use crate::shm::blocks::{self, Block, Owner, Use};
use crate::shm::keeper::{SLICE, low_half};
use crate::shm::layout::{Cell, Shared};
use crate::shm::object::MANY_BLOCKS;
use crate::shm::{AcrossProcesses, Keeper, wait};
use crate::sys::atomic::{AcqRel, Acquire, AtomicU32, AtomicU64, Relaxed, Release, SeqCst};
use crate::sys::futex::{self, Scope};
use crate::sys::thread;

const SLEEPERS: u64 = 1;
const CLOSED: u64 = 2;
const FLAGS: u64 = 3;

/// Looks of a worker before it sleeps: a wake-up costs more.
const SPINS: u32 = 1000;

/// The control words of a pool.
#[repr(C, align(64))]
#[derive(Debug)]
pub(super) struct Words {
    /// Hints ever taken. Moved by workers.
    head: AtomicU64,
    _head_line: [AtomicU64; 7],
    /// Hints ever given, and flags. Moved by the producer; flags by anybody.
    tail: AtomicU64,
    /// The slot + 1 of a worker that looks for work. Written by that worker; cleared by the supervisor if it died.
    searching: AtomicU64,
    _tail_line: [AtomicU64; 6],
    /// The block of the hints as unit + 1 in the high half, the binary logarithm of their number in the low half. Written by the producer.
    hints: AtomicU64,
    /// The blocks of the table's segments, as unit + 1. Written by the producer.
    pub(super) segments: [AtomicU32; SEGMENTS],
}
#[expect(unsafe_code, reason = "Shared is an unsafe trait")]
// SAFETY: atomics only.
unsafe impl Shared for Words {}

/// "Look at this cell."
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hint {
    pub(super) cell: u32,
    pub(super) generation: u32,
}

impl Hint {
    fn word(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.cell + 1)
    }

    pub(super) fn read(word: u64) -> Option<Self> {
        let cell = ((word & 0xffff_ffff) as u32).checked_sub(1)?;
        Some(Self {
            cell,
            generation: (word >> 32) as u32,
        })
    }
}

/// The storage of the hints.
#[derive(Clone, Copy)]
struct Storage {
    block: Block,
    offset: u64,
    mask: u64,
}

impl Storage {
    fn at(self, arena: &Arena, number: u64) -> Option<&'static AtomicU64> {
        arena.at(self.offset + (number & self.mask) * 8)
    }
}

impl Words {
    fn storage(&self, arena: &Arena, word: u64) -> Option<Storage> {
        let unit = u32::try_from(word >> 32).ok()?.checked_sub(1)?;
        let count = 1_u64.checked_shl((word & 0xff) as u32)?;
        let (offset, bytes) = Block(unit).bytes(arena)?;
        let fits = count.checked_mul(8)? <= bytes;
        fits.then_some(Storage {
            block: Block(unit),
            offset,
            mask: count - 1,
        })
    }

    /// Storage for twice as many hints, or for the first. The hints that nobody has taken are copied to the same numbers.
    pub(super) fn grow(&self, arena: &Arena, cell: &Cell, owner: Owner) -> Result<()> {
        let old = self.storage(arena, self.hints.load(Acquire));
        let count = old.map_or(128, |old| (old.mask + 1) * 2);
        let block = blocks::allocate(count * 8, Use::Raw, owner)?;
        cell.flags.fetch_or(MANY_BLOCKS, AcqRel);
        let word = u64::from(block.0 + 1) << 32 | u64::from(count.ilog2());
        let new = self.storage(arena, word).ok_or(ErrorKind::Corrupt)?;
        if let Some(old) = old {
            let tail = self.tail.load(Acquire) >> 2;
            let head = self
                .head
                .load(Acquire)
                .max(tail.saturating_sub(old.mask + 1));
            for number in head..tail {
                let hint = old.at(arena, number).map_or(0, |place| place.load(Relaxed));
                let place = new.at(arena, number).ok_or(ErrorKind::Corrupt)?;
                place.store(hint, Relaxed);
            }
        }
        self.hints.store(word, SeqCst);
        if let Some(old) = old {
            // A worker that has read a hint there looks at `hints` again before it believes it.
            blocks::free(old.block);
        }
        Ok(())
    }

    /// Gives a hint, and wakes a worker if all sleep. One producer at a time. `Ok(false)`: the storage is full.
    #[inline]
    pub(super) fn give(&self, arena: &Arena, hint: Hint) -> Result<bool> {
        let storage = self.storage(arena, self.hints.load(Acquire));
        let storage =
            storage.ok_or_else(|| Error::new(ErrorKind::Corrupt, "the hints of a pool"))?;
        let mut word = self.tail.load(Relaxed);
        let tail = word >> 2;
        let given = tail.wrapping_sub(self.head.load(Acquire));
        if given > storage.mask + 1 {
            return Err(Error::new(ErrorKind::Corrupt, "the hints of a pool"));
        }
        if given > storage.mask {
            return Ok(false);
        }
        let place = storage.at(arena, tail).ok_or(ErrorKind::Corrupt)?;
        place.store(hint.word(), Release);
        loop {
            let next = (tail + 1) << 2 | word & FLAGS;
            match self.tail.compare_exchange_weak(word, next, SeqCst, Relaxed) {
                Ok(_) => break,
                Err(now) => word = now,
            }
        }
        if word & SLEEPERS != 0 && self.searching.load(SeqCst) == 0 {
            self.wake_one();
        }
        Ok(true)
    }

    /// Hints ever taken: it grows while the pool gets on.
    pub(super) fn taken(&self) -> u64 {
        self.head.load(Relaxed)
    }

    fn wake_one(&self) {
        if self.tail.fetch_and(!SLEEPERS, AcqRel) & SLEEPERS != 0 {
            AcrossProcesses::wake(&self.tail, 1);
        }
    }

    /// No more hints than those of failures will come: workers leave when there is none.
    pub(super) fn close(&self) {
        self.tail.fetch_or(CLOSED, SeqCst);
        futex::wake(low_half(&self.tail), u32::MAX, Scope::Shared);
    }

    /// A worker has died: if it was the one that looked for work, another one must.
    pub(super) fn forget_searcher(&self, slot: u32) {
        let _other = self
            .searching
            .compare_exchange(u64::from(slot + 1), 0, SeqCst, Relaxed);
        self.wake_one();
    }

    /// As the worker in `slot`: the next hint, noted in `noted` before it is taken. `None` when the pool is closed and empty.
    pub(super) fn take(&self, arena: &Arena, slot: u32, noted: &AtomicU64) -> Result<Option<Hint>> {
        let mut spins = if thread::cpus() > 1 { SPINS } else { 0 };
        loop {
            let head = self.head.load(Acquire);
            let tail = self.tail.load(SeqCst);
            if head < tail >> 2 {
                if let Some(hint) = self.try_take(arena, head, tail >> 2, noted)? {
                    self.found(slot, head + 1);
                    return Ok(Some(hint));
                }
            } else if tail & CLOSED != 0 {
                self.stop_searching(slot);
                return Ok(None);
            } else if spins > 0 {
                if spins == SPINS {
                    let _another =
                        self.searching
                            .compare_exchange(0, u64::from(slot + 1), SeqCst, Relaxed);
                }
                spins -= 1;
                std::hint::spin_loop();
            } else if !self.stop_searching(slot) {
                self.sleep(tail);
            }
        }
    }

    /// `None`: another worker was faster, or the storage has moved.
    fn try_take(
        &self,
        arena: &Arena,
        head: u64,
        tail: u64,
        noted: &AtomicU64,
    ) -> Result<Option<Hint>> {
        let hints = self.hints.load(Acquire);
        let storage = self.storage(arena, hints);
        let place = storage.and_then(|storage| storage.at(arena, head));
        let word = place.map_or(0, |place| place.load(Acquire));
        if self.hints.load(SeqCst) != hints {
            return Ok(None);
        }
        let too_many = storage.is_none_or(|storage| tail - head > storage.mask + 1);
        if too_many && self.head.load(SeqCst) == head {
            return Err(Error::new(ErrorKind::Corrupt, "the hints of a pool"));
        }
        noted.store(word, Release);
        let taken = self.head.compare_exchange(head, head + 1, SeqCst, Relaxed);
        Ok(taken.ok().and_then(|_| Hint::read(word)))
    }

    /// Work was found: if there is more, one who sleeps should help.
    fn found(&self, slot: u32, head: u64) {
        self.stop_searching(slot);
        // Anew: who gave a hint since we looked saw us search, and woke nobody.
        let tail = self.tail.load(SeqCst);
        if tail & SLEEPERS != 0 && tail >> 2 > head {
            self.wake_one();
        }
    }

    /// `true` when this worker had said that it searches: it must look once more before it sleeps.
    fn stop_searching(&self, slot: u32) -> bool {
        let ours = self.searching.load(Relaxed) == u64::from(slot + 1);
        ours && self
            .searching
            .compare_exchange(u64::from(slot + 1), 0, SeqCst, Relaxed)
            .is_ok()
    }

    /// Sleeps while the tail is where it was seen.
    fn sleep(&self, seen: u64) {
        let said = self
            .tail
            .compare_exchange(seen, seen | SLEEPERS, SeqCst, Relaxed);
        if said.is_ok() || seen & SLEEPERS != 0 {
            let expected = ((seen | SLEEPERS) & 0xffff_ffff) as u32;
            wait::sleep(low_half(&self.tail), expected, SLICE);
            // The wake-up took the bit with it, and others may sleep still.
            self.tail.fetch_or(SLEEPERS, AcqRel);
        }
    }
}
