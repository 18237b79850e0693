//! The heap of the arena: blocks of `128 << order` bytes, each of which names its owner.
//!
//! A buddy heap. The *tag* of a block's first unit is the truth (free or used, kind, order), and a walk from tag to tag visits
//! every block; the free lists are a cache. Splitting writes the tag of the right half first and then shrinks the left one,
//! merging grows the left one: each is one store, so the walk is right between any two instructions. When the owner of the
//! lease was killed, the next one makes the lists anew from the tags.
//!
//! The tag of a large block also says how much of it, from its beginning, has pages for certain: to ask the kernel for pages that are
//! there already takes as long as to fill them.

use super::arena::Arena;
use super::keeper::Internal;
use super::layout::{ORDERS, OWNS_BLOCKS, UNIT, Unit};
use super::lease::Taken;
use super::member::{self, Member};
use crate::error::{Error, ErrorKind, Result};
use crate::sys::atomic::{AcqRel, Acquire, AtomicU32, Relaxed, Release};
use crate::sys::clock::Deadline;

/// Blocks from this size on get their pages when they are allocated, and can lose them when they are freed.
const LARGE: u64 = 1 << 20;

/// Free large blocks keep their pages up to so many bytes: punching holes costs twenty times the reuse.
const KEEP: u64 = 256 << 20;

const FREE: u32 = 1;
const USED: u32 = 2;

/// What a block is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    /// Bytes of its owner's own.
    Raw = 1,
    /// A [message](super::message), which may hold handles in flight.
    Message = 2,
}

/// A block, by its first unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Block(pub(crate) u32);

/// Who frees a block when everything else fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Owner(u32);

impl Owner {
    pub(crate) const NOBODY: Self = Self(0);

    pub(crate) fn member(slot: u32) -> Self {
        Self(slot + 1)
    }

    pub(crate) fn object(number: u32) -> Self {
        Self(OBJECTS | number)
    }

    /// An object that had [lent](super::lent) the message in the block.
    pub(crate) fn put_back(number: u32) -> Self {
        Self(OBJECTS | PUT_BACK | number)
    }

    /// Is this the object of that number, whatever the block is to it?
    pub(super) fn is_object(self, number: u32) -> bool {
        self.0 & !PUT_BACK == OBJECTS | number
    }
}

/// In an [`Owner`]: it is an object, not a member.
const OBJECTS: u32 = 1 << 31;

/// In an [`Owner`] that is an object.
const PUT_BACK: u32 = 1 << 30;

/// A block all of which has pages: the eighths that a tag counts.
const WARM: u32 = 8;

/// How many eighths of a block have pages for certain, counted from its beginning.
fn warmth(tag: u32) -> u32 {
    (tag >> 8 & 0xff).min(WARM)
}

/// The same block with so many eighths warm.
fn with_warmth(tag: u32, eighths: u32) -> u32 {
    tag & !0xff00 | eighths << 8
}

fn tag(state: u32, kind: u32, order: usize) -> u32 {
    state << 24 | kind << 16 | u32::try_from(order).unwrap_or(0xff)
}

/// The order of a tag in `state`, if it has that state and a sane order.
fn order_of(tag: u32, state: u32) -> Option<usize> {
    let order = (tag & 0xff) as usize;
    (tag >> 24 == state && order < ORDERS).then_some(order)
}

/// The order of the smallest block that holds `bytes`.
fn order_for(bytes: u64) -> usize {
    bytes
        .div_ceil(UNIT)
        .max(1)
        .next_power_of_two()
        .trailing_zeros() as usize
}

/// Takes the allocator's lease; makes its lists anew if the last owner died.
pub(super) fn with_allocator<R>(
    arena: &Arena,
    work: impl FnOnce(&Allocator<'_>) -> R,
) -> Result<R> {
    let me = member::me()?;
    let lease = &arena.header().allocator;
    let taken = lease.take::<Internal>(me, Deadline::NEVER);
    let allocator = Allocator { arena };
    let ready = match taken {
        Some(Taken::OwnerDied) => allocator.rebuild(),
        _ => Ok(()),
    };
    let result = ready.map(|()| work(&allocator));
    lease.give::<Internal>();
    result
}

/// Cuts the whole heap into free blocks, when the arena is made.
pub(super) fn initialise(arena: &Arena) {
    let allocator = Allocator { arena };
    let units = arena.layout.units;
    let mut unit = 0;
    while unit < units {
        let aligned = if unit == 0 { 31 } else { unit.trailing_zeros() };
        let fits = (units - unit).ilog2();
        let order = aligned.min(fits) as usize;
        if let Some(place) = arena.unit(unit) {
            place.tag.store(tag(FREE, 0, order), Release);
            let _first = allocator.push(unit, order);
        }
        unit += 1 << order;
    }
}

/// The heap, while its lease is held.
pub(super) struct Allocator<'a> {
    pub(super) arena: &'a Arena,
}

impl Allocator<'_> {
    fn head(&self, order: usize) -> &'static AtomicU32 {
        &self.arena.header().free_blocks[order.min(ORDERS - 1)]
    }

    /// Puts a block first in the list of its order.
    fn push(&self, unit: u32, order: usize) -> Option<()> {
        let place = self.arena.unit(unit)?;
        let head = self.head(order);
        let first = head.load(Relaxed);
        place.previous.store(0, Relaxed);
        place.next.store(first, Relaxed);
        if let Some(next) = first.checked_sub(1) {
            self.arena.unit(next)?.previous.store(unit + 1, Relaxed);
        }
        head.store(unit + 1, Relaxed);
        Some(())
    }

    /// Takes a free block out of its list; `None` when the list makes no sense.
    fn unlink(&self, unit: u32, order: usize) -> Option<()> {
        let place = self.arena.unit(unit)?;
        let (previous, next) = (place.previous.load(Relaxed), place.next.load(Relaxed));
        let link = |number: u32| -> Option<&'static Unit> {
            let unit = self.arena.unit(number.checked_sub(1)?)?;
            order_of(unit.tag.load(Relaxed), FREE)
                .filter(|&o| o == order)
                .map(|_| unit)
        };
        if next != 0 {
            link(next)?.previous.store(previous, Relaxed);
        }
        if previous != 0 {
            link(previous)?.next.store(next, Relaxed);
        } else if self.head(order).load(Relaxed) == unit + 1 {
            self.head(order).store(next, Relaxed);
        } else {
            return None;
        }
        Some(())
    }

    /// Finds, splits and marks a block. `Ok(None)`: there is no room. `Err`: the lists make no sense.
    fn take(&self, order: usize, kind: Use, owner: Owner) -> Result<Option<u32>, ()> {
        let Some(from) = (order..ORDERS).find(|&order| self.head(order).load(Relaxed) != 0) else {
            return Ok(None);
        };
        let unit = self.head(from).load(Relaxed) - 1;
        let place = self.arena.unit(unit).ok_or(())?;
        if order_of(place.tag.load(Relaxed), FREE) != Some(from) {
            return Err(());
        }
        self.unlink(unit, from).ok_or(())?;
        let mut warm = warmth(place.tag.load(Relaxed));
        for half in (order..from).rev() {
            let right = unit + (1 << half);
            let cold = with_warmth(tag(FREE, 0, half), (2 * warm).saturating_sub(WARM));
            self.arena.unit(right).ok_or(())?.tag.store(cold, Release);
            warm = (2 * warm).min(WARM);
            let left = with_warmth(tag(FREE, 0, half), warm);
            place.tag.store(left, Release);
            self.push(right, half).ok_or(())?;
        }
        place.owner.store(owner.0, Release);
        let used = with_warmth(tag(USED, kind as u32, order), warm);
        place.tag.store(used, Release);
        self.keep(order, false);
        Ok(Some(unit))
    }

    /// Frees a used block and merges it with its free buddies.
    fn give(&self, mut unit: u32) -> Result<(), ()> {
        let place = self.arena.unit(unit).ok_or(())?;
        let used = place.tag.load(Acquire);
        let mut order = order_of(used, USED).ok_or(())?;
        self.keep(order, true);
        let mut warm = warmth(used);
        if self.punch(unit, order) {
            warm = 0;
        }
        // The tag first: a used block without an owner would be nobody's for ever.
        place
            .tag
            .store(with_warmth(tag(FREE, 0, order), warm), Release);
        place.owner.store(0, Release);
        while order + 1 < ORDERS {
            let buddy = unit ^ (1 << order);
            let Some(other) = self.arena.unit(buddy) else {
                break;
            };
            let its_tag = other.tag.load(Relaxed);
            if order_of(its_tag, FREE) != Some(order) {
                break;
            }
            let left = unit.min(buddy);
            let (first, second) = if left == unit {
                (warm, warmth(its_tag))
            } else {
                (warmth(its_tag), warm)
            };
            if left + (2 << order) > self.arena.layout.units || self.unlink(buddy, order).is_none()
            {
                break;
            }
            // The second half counts only behind a first that is warm to its end.
            let both = if first == WARM { first + second } else { first };
            (order, unit, warm) = (order + 1, left, both / 2);
            let merged = with_warmth(tag(FREE, 0, order), warm);
            self.arena.unit(unit).ok_or(())?.tag.store(merged, Release);
        }
        self.push(unit, order).ok_or(())
    }

    fn keep(&self, order: usize, more: bool) {
        let bytes = UNIT << order;
        if bytes >= LARGE {
            let kept = &self.arena.header().kept;
            let now = kept.load(Relaxed);
            kept.store(
                if more {
                    now.saturating_add(bytes)
                } else {
                    now.saturating_sub(bytes)
                },
                Relaxed,
            );
        }
    }

    /// Above the mark the pages of a large free block go back to the system; says whether they did.
    fn punch(&self, unit: u32, order: usize) -> bool {
        let bytes = UNIT << order;
        let many = bytes >= LARGE && self.arena.header().kept.load(Relaxed) > KEEP;
        let punched = many && self.arena.punch(self.arena.data(unit), bytes).is_ok();
        if punched {
            self.keep(order, false);
        }
        punched
    }

    /// Visits every block: unit, tag. `Err` when the tags make no sense.
    pub(super) fn walk(
        &self,
        mut visit: impl FnMut(u32, &'static Unit, Option<usize>),
    ) -> Result<()> {
        let units = self.arena.layout.units;
        let mut at = 0;
        while at < units {
            let unit = self.arena.unit(at).ok_or(ErrorKind::Corrupt)?;
            let tag = unit.tag.load(Acquire);
            let used = order_of(tag, USED);
            let order = used
                .or_else(|| order_of(tag, FREE))
                .ok_or(ErrorKind::Corrupt)?;
            visit(at, unit, used);
            at = at.checked_add(1 << order).ok_or(ErrorKind::Corrupt)?;
        }
        Ok(())
    }

    /// Makes the free lists anew from the tags and the cells.
    fn rebuild(&self) -> Result<()> {
        for head in &self.arena.header().free_blocks {
            head.store(0, Relaxed);
        }
        self.walk(|at, unit, _used| {
            if let Some(order) = order_of(unit.tag.load(Relaxed), FREE) {
                let _pushed = self.push(at, order);
            }
        })?;
        super::object::rebuild(self.arena);
        Ok(())
    }
}

/// Allocates `bytes`, for `owner`. Pages of large blocks are there afterwards.
pub(crate) fn allocate(bytes: u64, kind: Use, owner: Owner) -> Result<Block> {
    let block = take(bytes, kind, owner)?;
    if bytes >= LARGE {
        populate(block, bytes)?;
    }
    Ok(block)
}

/// Allocates raw bytes that are zero, and whose pages come when they are touched.
pub(crate) fn allocate_sparse(bytes: u64, owner: Owner) -> Result<Block> {
    let block = take(bytes, Use::Raw, owner)?;
    let arena = Arena::get()?;
    block.set_warmth(arena, 0);
    arena
        .clear(arena.data(block.0), bytes)
        .ok_or(ErrorKind::Corrupt)?;
    Ok(block)
}

/// Gives a block its pages now; frees it where there are none.
pub(crate) fn populate(block: Block, bytes: u64) -> Result<()> {
    let arena = Arena::get()?;
    let (_, size) = block.bytes(arena).ok_or(ErrorKind::Corrupt)?;
    let warm = size / u64::from(WARM) * u64::from(block.warmth(arena));
    let Some(cold) = bytes.checked_sub(warm).filter(|&cold| cold > 0) else {
        return Ok(());
    };
    let first = arena.data(block.0) + warm;
    arena.populate(first, cold).map_err(|error| {
        free(block);
        let error = Error::os(format!("{bytes} bytes of memory"), error);
        error.with_kind(ErrorKind::NoSpace)
    })?;
    let eighths = bytes / (size / u64::from(WARM));
    block.set_warmth(arena, u32::try_from(eighths).unwrap_or(0).min(WARM));
    Ok(())
}

/// Takes a block from the heap.
fn take(bytes: u64, kind: Use, owner: Owner) -> Result<Block> {
    let arena = Arena::get()?;
    note_owner(arena, owner)?;
    let order = order_for(bytes);
    let full = || Error::new(ErrorKind::NoSpace, format!("{bytes} bytes"));
    if bytes > arena.layout.size || order >= ORDERS {
        return Err(full());
    }
    let found = with_allocator(arena, |allocator| {
        match allocator.take(order, kind, owner) {
            Ok(found) => Ok(found),
            Err(()) => {
                allocator.rebuild()?;
                allocator
                    .take(order, kind, owner)
                    .map_err(|()| Error::from(ErrorKind::Corrupt))
            }
        }
    })??;
    Ok(Block(found.ok_or_else(full)?))
}

/// Remembers that this owner has blocks, before it has one.
fn note_owner(arena: &Arena, owner: Owner) -> Result<()> {
    let flags = if owner.0 & OBJECTS != 0 {
        let number = owner.0 & !(OBJECTS | PUT_BACK);
        arena.cell(number).map(|cell| &cell.flags)
    } else if owner == Owner::NOBODY {
        return Ok(());
    } else {
        arena.slot(owner.0 - 1).map(|slot| &slot.flags)
    };
    let flags = flags.ok_or(ErrorKind::StaleHandle)?;
    if flags.load(Relaxed) & OWNS_BLOCKS == 0 {
        flags.fetch_or(OWNS_BLOCKS, AcqRel);
    }
    Ok(())
}

/// Frees a block; what its bytes mean is the caller's business.
pub(crate) fn free(block: Block) {
    let Some(arena) = Arena::existing() else {
        return;
    };
    let freed = with_allocator(arena, |allocator| {
        if allocator.give(block.0).is_err() {
            log::error!("a block of the arena was freed twice, or its tag is corrupt");
        }
    });
    if let Err(error) = freed {
        log::error!("a block was not freed: {error}");
    }
}

impl Block {
    /// Where its bytes begin, and how many there are; `None` if it is not a used block.
    pub(crate) fn bytes(self, arena: &Arena) -> Option<(u64, u64)> {
        let order = order_of(arena.unit(self.0)?.tag.load(Acquire), USED)?;
        let (offset, length) = (arena.data(self.0), UNIT << order);
        (offset.checked_add(length)? <= arena.layout.size).then_some((offset, length))
    }

    /// A raw block that has been filled becomes a message, by one store.
    pub(super) fn make_message(self, arena: &Arena) {
        self.change_tag(arena, |old| old & !0xff_0000 | (Use::Message as u32) << 16);
    }

    /// How many eighths have pages, when it is a large one.
    fn warmth(self, arena: &Arena) -> u32 {
        let unit = arena.unit(self.0);
        unit.map_or(0, |unit| warmth(unit.tag.load(Relaxed)))
    }

    fn set_warmth(self, arena: &Arena, eighths: u32) {
        self.change_tag(arena, |tag| with_warmth(tag, eighths));
    }

    /// Changes the tag of a used block that is ours, by one store.
    fn change_tag(self, arena: &Arena, how: impl FnOnce(u32) -> u32) {
        if let Some(unit) = arena.unit(self.0) {
            let old = unit.tag.load(Relaxed);
            if order_of(old, USED).is_some() {
                unit.tag.store(how(old), Release);
            }
        }
    }

    pub(crate) fn is(self, arena: &Arena, kind: Use) -> bool {
        let tag = arena.unit(self.0).map(|unit| unit.tag.load(Acquire));
        tag.is_some_and(|tag| order_of(tag, USED).is_some() && tag >> 16 & 0xff == kind as u32)
    }

    pub(crate) fn owner(self, arena: &Arena) -> Owner {
        Owner(
            arena
                .unit(self.0)
                .map_or(0, |unit| unit.owner.load(Acquire)),
        )
    }

    /// Passes the block from one owner to another, who has had blocks before; `false` if it is not the first one's.
    pub(super) fn change_owner(self, arena: &Arena, from: Owner, to: Owner) -> bool {
        arena.unit(self.0).is_some_and(|unit| {
            let changed = unit.owner.compare_exchange(from.0, to.0, AcqRel, Relaxed);
            changed.is_ok()
        })
    }

    /// Takes the block from a dead owner, for this process; `false` if it is not that one's any more.
    pub(crate) fn take_from(self, arena: &Arena, from: Owner, own: Member) -> bool {
        let to = Owner::member(own.slot);
        note_owner(arena, to).is_ok() && self.change_owner(arena, from, to)
    }

    /// Passes the block to another owner.
    pub(crate) fn set_owner(self, arena: &Arena, owner: Owner) -> Result<()> {
        note_owner(arena, owner)?;
        let unit = arena.unit(self.0).ok_or(ErrorKind::Corrupt)?;
        unit.owner.store(owner.0, Release);
        Ok(())
    }
}

/// All blocks that name `owner`.
pub(crate) fn owned_by(arena: &Arena, owner: Owner) -> Result<Vec<Block>> {
    owned(arena, |other| other == owner)
}

/// All blocks whose owner is wanted.
pub(super) fn owned(arena: &Arena, wanted: impl Fn(Owner) -> bool) -> Result<Vec<Block>> {
    let mut found = Vec::new();
    with_allocator(arena, |allocator| {
        allocator.walk(|at, unit, used| {
            if used.is_some() && wanted(Owner(unit.owner.load(Acquire))) {
                found.push(Block(at));
            }
        })
    })??;
    Ok(found)
}
