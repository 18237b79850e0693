//! What lies where in the arena, computed from its size alone, so that every process comes to the same answer.
#![expect(unsafe_code, reason = "Shared is an unsafe trait")]
//!
//! # Safety
//! [`Shared`] is implemented for atomics and for structures of nothing but atomics.

use super::lease::Lease;
use crate::sys::atomic::{AtomicU8, AtomicU16, AtomicU32, AtomicU64};

/// Types that may be looked at in memory which others write at the same time.
///
/// # Safety
/// The type consists of atomics only: every bit pattern is a value, and no access can be a data race.
pub unsafe trait Shared {}

// SAFETY: an atomic.
unsafe impl Shared for AtomicU8 {}
// SAFETY: an atomic.
unsafe impl Shared for AtomicU16 {}
// SAFETY: an atomic.
unsafe impl Shared for AtomicU32 {}
// SAFETY: an atomic.
unsafe impl Shared for AtomicU64 {}
// SAFETY: an atomic.
unsafe impl Shared for Lease {}
// SAFETY: an array of nothing but atomics.
unsafe impl<T: Shared, const N: usize> Shared for [T; N] {}

/// Kinds of objects. A cell keeps its kind from one object to the next, as long as others were never used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Kind {
    Lock = 1,
    Queue = 2,
    Pool = 3,
    RLock = 4,
    Semaphore = 5,
    BoundedSemaphore = 6,
    Condition = 7,
    Event = 8,
    Barrier = 9,
    RwLock = 10,
    /// The bytes of a value or an array.
    Bytes = 11,
    SimpleQueue = 12,
    JoinableQueue = 13,
    /// One end of a queue, as long as somebody has a handle of it.
    Senders = 14,
    /// The other end.
    Receivers = 15,
}

/// One more than the largest [`Kind`].
pub(crate) const KINDS: usize = 32;

/// Orders of blocks: `UNIT << order` bytes.
pub(crate) const ORDERS: usize = 32;

/// The smallest block, in bytes.
pub(crate) const UNIT: u64 = 128;

/// The first words of the arena.
#[repr(C, align(64))]
#[derive(Debug)]
pub(crate) struct Header {
    /// [`MAGIC`], written last when the arena is made.
    pub(crate) magic: AtomicU64,
    /// Objects that were ever made: cells above were never used. Written under `allocator`.
    pub(crate) objects_high: AtomicU32,
    /// Where the search for a free slot begins; moved by whoever claims one.
    pub(crate) next_slot: AtomicU32,
    /// Bytes in free blocks of a mebibyte and more that still have pages. Written under `allocator`.
    pub(crate) kept: AtomicU64,
    /// Guards the free lists below and all tags of units.
    pub(crate) allocator: Lease,
    /// Guards the settling of dead members.
    pub(crate) settling: Lease,
    /// First free block of an order, as unit + 1. A cache of the tags.
    pub(crate) free_blocks: [AtomicU32; ORDERS],
    /// First free cell of a kind, as number + 1. A cache of the cells.
    pub(crate) free_cells: [AtomicU32; KINDS],
}
// SAFETY: atomics only.
unsafe impl Shared for Header {}

/// Says that the rest of the header is written.
pub(crate) const MAGIC: u64 = 0x6d75_6c74_6970_0001;

/// One process of the family.
#[repr(C, align(128))]
#[derive(Debug)]
pub(crate) struct Slot {
    /// State, generation and pid in one word (see [`super::member`]).
    pub(crate) identity: AtomicU64,
    /// Generation (from bit 36), and clock ticks from the machine's start to the process's; 0 is unknown. Written by its server or
    /// itself.
    pub(crate) start_time: AtomicU64,
    /// How it ended, with the generation (see [`super::member`]). Written by its server and itself; the parent sleeps on its low half.
    pub(crate) status: AtomicU64,
    /// The pool's hint that it has taken last: cell and generation. Written by itself, read by the pool's supervisor.
    pub(crate) noted: AtomicU64,
    /// The block with the story of its panic, as unit + 1. Written by itself.
    pub(crate) outcome: AtomicU32,
    /// The object that it lets go of or is taking apart, as number + 1. Written by itself.
    pub(crate) freeing: AtomicU32,
    /// [`OWNS_BLOCKS`]. Written by itself, and by its parent before it runs.
    pub(crate) flags: AtomicU32,
    /// The block with the order of a spare child, as unit + 1. Written by its parent; it sleeps here until then.
    pub(crate) order: AtomicU32,
    /// The member that asked for it: slot + 1 and generation, 0 for none. Written by that one.
    pub(crate) parent: AtomicU64,
    /// Pid and generation of a child that its parent has forked and that may not have taken its place yet. Written by its parent.
    pub(crate) child: AtomicU64,
    /// Offsets of the words that its threads sleep on, 0 for none.
    pub(crate) waits: [AtomicU64; 8],
    /// How many of its threads are at barriers. Written by itself.
    pub(crate) in_barriers: AtomicU32,
    /// Its generation + 1, once what it held knows of its death.
    pub(crate) counted: AtomicU32,
    /// When one who wanted to clean up behind it found that its death was not counted yet, in hundredths of a second; 0 for never.
    pub(crate) uncounted: AtomicU32,
    _reserved: AtomicU32,
    /// Its name, for those who ask who holds a lock. Written by itself.
    pub(crate) name: [AtomicU64; 8],
}
// SAFETY: atomics only.
unsafe impl Shared for Slot {}

/// It has owned a block: settling must look for more.
pub(crate) const OWNS_BLOCKS: u32 = 1;

/// In [`Slot::flags`]: it was more than a place that was reserved.
pub(crate) const LIVED: u32 = 8;

/// In [`Slot::flags`]: it is dead, and all but what its parent reads was given back.
pub(crate) const CLEANED: u32 = 32;

/// In [`Slot::flags`]: it has taken [lent](super::lent) messages.
pub(crate) const LENT: u32 = 16;

/// In [`Slot::flags`]: it has made [named](super::label) things.
pub(crate) const NAMED: u32 = 64;

/// One object.
#[repr(C, align(256))]
#[derive(Debug)]
pub(crate) struct Cell {
    /// State, epoch, and how often it is in flight (see [`super::object`]).
    pub(crate) life: AtomicU64,
    /// Changes whenever the object is freed.
    pub(crate) generation: AtomicU32,
    /// A [`Kind`].
    pub(crate) kind: AtomicU32,
    /// Next free cell of the kind, as number + 1. A cache.
    pub(crate) next: AtomicU32,
    /// [`OWNS_BLOCKS`]: blocks other than the first name it as their owner.
    pub(crate) flags: AtomicU32,
    /// The object's first block, as unit + 1.
    pub(crate) block: AtomicU32,
    /// Members that held the object and died otherwise than by an exit with code 0; counted for barriers; all that died, for
    /// read-write locks.
    pub(crate) deaths: AtomicU32,
    /// When somebody looked last whether its holders live, in hundredths of a second.
    pub(crate) probed: AtomicU32,
    /// How often a [lent](super::lent) message was put back to it.
    pub(crate) put_back: AtomicU32,
    _reserved: [AtomicU32; 6],
    /// Control words, as the kind likes; zero in a new object.
    pub(crate) body: [AtomicU64; 24],
}
// SAFETY: atomics only.
unsafe impl Shared for Cell {}

impl Cell {
    /// The control words, as the kind names them.
    #[inline]
    pub(crate) fn body<T: Shared>(&self) -> &T {
        const {
            assert!(size_of::<T>() <= size_of::<[AtomicU64; 24]>() && align_of::<T>() <= 64);
        }
        let body: *const T = (&raw const self.body).cast();
        // SAFETY: the body begins at a multiple of 64 in a cell aligned to 256, is large enough because of the assertion, and
        // anybody may look at it as atomics.
        unsafe { &*body }
    }
}

/// The tag of 128 bytes of the heap; true only where a block begins.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct Unit {
    /// State, kind and order (see [`super::blocks`]).
    pub(crate) tag: AtomicU32,
    /// Who frees it: a member's slot or an object.
    pub(crate) owner: AtomicU32,
    /// Neighbours in the free list, as unit + 1. A cache.
    pub(crate) next: AtomicU32,
    pub(crate) previous: AtomicU32,
}
// SAFETY: atomics only.
unsafe impl Shared for Unit {}

/// Offsets and lengths of the tables.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    pub(crate) size: u64,
    pub(crate) slots: u32,
    pub(crate) slots_at: u64,
    /// A bit for each slot that is not free.
    pub(crate) used_at: u64,
    pub(crate) objects: u32,
    pub(crate) cells_at: u64,
    /// Words in the bit map of a slot.
    pub(crate) bit_words: u32,
    pub(crate) bits_at: u64,
    pub(crate) units: u32,
    pub(crate) units_at: u64,
    pub(crate) data_at: u64,
}

/// The smallest arena that has room for its tables and something more.
pub(crate) const SMALLEST: u64 = 1 << 20;

impl Layout {
    /// The layout of an arena of `size` bytes, which is at least [`SMALLEST`].
    pub(crate) fn new(size: u64) -> Self {
        let slots: u32 = if size < 64 << 20 { 1024 } else { 4096 };
        let objects = u32::try_from((size / 4096).clamp(1024, 1 << 20)).unwrap_or(1024) & !63;
        let bit_words = objects / 64;
        let slots_at = 4096;
        let used_at = slots_at + u64::from(slots) * size_of::<Slot>() as u64;
        let cells_at = align(used_at + u64::from(slots / 8), 256);
        let bits_at = cells_at + u64::from(objects) * size_of::<Cell>() as u64;
        let units_at = align(bits_at + u64::from(slots) * u64::from(bit_words) * 8, 4096);
        let rest = size - units_at;
        let units = rest.saturating_sub(4096) / (UNIT + size_of::<Unit>() as u64);
        let units = u32::try_from(units).unwrap_or(u32::MAX >> 1);
        let data_at = align(units_at + u64::from(units) * size_of::<Unit>() as u64, 4096);
        Self {
            size,
            slots,
            slots_at,
            used_at,
            objects,
            cells_at,
            bit_words,
            bits_at,
            units,
            units_at,
            data_at,
        }
    }
}

const fn align(offset: u64, to: u64) -> u64 {
    offset.next_multiple_of(to)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_do_not_overlap_and_fit() {
        for size in [SMALLEST, 3 << 20, 64 << 20, 1 << 30, 64 << 30] {
            let l = Layout::new(size);
            assert!(l.slots >= 1024 && l.objects >= 1024, "{l:?}");
            assert!(l.slots_at >= size_of::<Header>() as u64);
            assert!(l.used_at + u64::from(l.slots) / 8 <= l.cells_at);
            assert!(l.cells_at + u64::from(l.objects) * 256 <= l.bits_at);
            assert!(l.bits_at + u64::from(l.slots) * u64::from(l.bit_words) * 8 <= l.units_at);
            assert!(l.units_at + u64::from(l.units) * 16 <= l.data_at);
            assert!(l.data_at + u64::from(l.units) * UNIT <= size, "{l:?}");
            assert!(u64::from(l.units) * UNIT >= size / 4, "{l:?}");
        }
        assert_eq!(
            (size_of::<Slot>(), size_of::<Cell>(), size_of::<Unit>()),
            (256, 256, 16)
        );
    }
}
