//! Handles: how a process says that it needs an object.
//!
//! How many handles a process has is private to it (a table that a fork copies along with the handles); shared is one bit,
//! "this member holds that object", in the member's map. The bit is set with the first handle and cleared with the last.

use super::arena::Arena;
use super::blocks::{self, Block, Owner, Use};
use super::layout::{Cell, Kind};
use super::member::{self, Member};
use super::message;
use super::object::{self, ObjectRef};
use super::settle::used_slots;
use crate::error::{Error, ErrorKind, Result};
use crate::sys::atfork::Forkable;
use crate::sys::atomic::{AcqRel, Acquire, AtomicU64, Relaxed, Release, SeqCst};
use crate::sys::private::Private;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::cell::Cell as Local;

/// Taken for the first and the last handle of an object, so that the bit and the count say the same.
static COUNTING: Private<()> = Private::new(());

thread_local! {
    /// The place of the child that this thread is about to fork.
    static HEIR: Local<Option<Member>> = const { Local::new(None) };
}

/// The time of one fork.
#[derive(Debug)]
pub(crate) struct Bequest(());

impl Drop for Bequest {
    fn drop(&mut self) {
        HEIR.set(None);
    }
}

/// The next fork of this thread makes the child that takes the place of `heir`: what this process holds, it holds too.
pub(crate) fn bequeath(heir: Option<Member>) -> Bequest {
    HEIR.set(heir);
    Bequest(())
}

/// What a fork does to the counts: they are copied along with the handles, and what they count is held by the child before it is there.
#[derive(Debug)]
pub(super) struct Counts;

impl Forkable for Counts {
    fn before(&self) {
        COUNTING.acquire();
        let (heir, own) = (HEIR.get(), member::known());
        if let (Some(arena), Some(heir), Some(own)) = (Arena::existing(), heir, own) {
            copy_bits(arena, own, heir);
        }
    }

    fn after(&self) {
        COUNTING.release();
    }

    fn child(&self) {
        COUNTING.release();
    }
}

fn copy_bits(arena: &Arena, from: Member, to: Member) {
    for first in (0..objects(arena)).step_by(64) {
        if let (Some(from), Some(to)) = (arena.bits(from.slot, first), arena.bits(to.slot, first)) {
            let mut bits = from.load(SeqCst);
            if bits != 0 {
                to.fetch_or(bits, SeqCst);
            }
            while bits != 0 {
                let number = first + bits.trailing_zeros();
                bits &= bits - 1;
                let counted = arena.count(number).map_or(0, |count| count.load(Relaxed));
                let generation = (counted >> 32) as u32;
                // Or who has looked at the heir's map before, and looks at ours when we have let go, would see nobody.
                let _freed_already = ObjectRef { number, generation }.hold(arena);
            }
        }
    }
}

/// One more than the largest number of an object that ever was.
fn objects(arena: &Arena) -> u32 {
    let high = arena.header().objects_high.load(Acquire);
    high.min(arena.layout.objects)
}

/// A handle of an object: plain data, counted. The cell never moves, so its address is kept.
#[derive(Debug)]
pub(crate) struct Handle {
    object: ObjectRef,
    cell: &'static Cell,
}

impl Handle {
    /// Makes an object of `kind`, zeroed, held by this process.
    pub(crate) fn create(kind: Kind) -> Result<Self> {
        let arena = Arena::get()?;
        let own = member::own()?;
        // A fork in between would copy the count and not the bit.
        let counting = COUNTING.lock();
        let object = object::create(arena, kind, |object| first(arena, own, object))?;
        drop(counting);
        let cell = object.cell(arena, kind)?;
        Ok(Self { object, cell })
    }

    /// The cell of the object; it may belong to a later one, see [`check`](Self::check).
    #[inline]
    pub(crate) fn cell(&self) -> &'static Cell {
        self.cell
    }

    /// Which object it is.
    #[inline]
    pub(crate) fn object(&self) -> ObjectRef {
        self.object
    }

    /// Is the object still there? Asked after its lease was taken, because a cell outlives its object.
    #[inline]
    pub(crate) fn check(&self) -> Result<()> {
        self.object.check(self.cell)
    }

    /// Gives the object, which has none, a block that belongs to this process.
    pub(crate) fn keep(&self, block: Block) -> Result<()> {
        let arena = Arena::get()?;
        // Noted first: killed in between, the block is still ours and goes with us.
        self.cell.block.store(block.0 + 1, Release);
        block.set_owner(arena, Owner::object(self.object.number))
    }

    /// The words of the object's block, if it was [grown](Self::grow).
    #[inline]
    pub(crate) fn more(&self) -> &'static [AtomicU64] {
        let block = self.cell.block.load(Acquire).checked_sub(1);
        block.and_then(words_of).unwrap_or(&[])
    }

    /// Where the object's block lies, and how many bytes there are.
    pub(crate) fn block_bytes(&self, arena: &Arena) -> Option<(u64, u64)> {
        let unit = self.cell.block.load(Acquire).checked_sub(1)?;
        Block(unit).bytes(arena)
    }

    /// Gives the object a block of so many words, zero at first; one that has a block keeps it.
    pub(crate) fn grow(&self, count: usize) -> Result<()> {
        let arena = Arena::get()?;
        if self.cell.block.load(Acquire) != 0 {
            return Ok(());
        }
        // A block that is not noted yet is found when the object is taken apart.
        self.cell.flags.fetch_or(object::MANY_BLOCKS, AcqRel);
        let owner = Owner::object(self.object.number);
        let block = blocks::allocate(8 * count as u64, Use::Raw, owner)?;
        let (offset, length) = block.bytes(arena).ok_or(ErrorKind::Corrupt)?;
        arena.zero(offset, length).ok_or(ErrorKind::Corrupt)?;
        let noted = self
            .cell
            .block
            .compare_exchange(0, block.0 + 1, AcqRel, Acquire);
        if noted.is_err() {
            blocks::free(block);
        }
        Ok(())
    }

    /// Number and generation in one word that is never 0: which object this is, for others that note it.
    pub(crate) fn name(&self) -> u64 {
        self.object.name()
    }

    /// The number of the object, for owners of blocks.
    pub(crate) fn number(&self) -> u32 {
        self.object.number
    }

    /// A handle of something that arrived; its message keeps it alive for the time of the call.
    fn arrive(object: ObjectRef, kind: Kind) -> Result<Self> {
        let arena = Arena::get()?;
        let cell = object.cell(arena, kind)?;
        let own = member::own()?;
        let _counting = COUNTING.lock();
        let count = arena.count(object.number).ok_or(ErrorKind::StaleHandle)?;
        // Clones and drops change it without the lock.
        let same = |now: u64| now != 0 && now >> 32 == u64::from(object.generation);
        let more = |now: u64| same(now).then_some(now + 1);
        if count.fetch_update(Relaxed, Relaxed, more).is_ok() {
            return Ok(Self { object, cell });
        }
        first(arena, own, object)?;
        if let Err(error) = object.hold(arena) {
            count.store(0, Relaxed);
            clear_bit(arena, own.slot, object.number);
            return Err(error);
        }
        Ok(Self { object, cell })
    }
}

#[cold]
fn words_of(unit: u32) -> Option<&'static [AtomicU64]> {
    let arena = Arena::existing()?;
    let (offset, length) = Block(unit).bytes(arena)?;
    arena.words(offset, usize::try_from(length / 8).ok()?)
}

/// Notes the first handle: bit, then count.
fn first(arena: &Arena, own: Member, object: ObjectRef) -> Result<()> {
    let bits = arena
        .bits(own.slot, object.number)
        .ok_or(ErrorKind::StaleHandle)?;
    bits.fetch_or(1 << (object.number % 64), SeqCst);
    let count = arena.count(object.number).ok_or(ErrorKind::StaleHandle)?;
    count.store(u64::from(object.generation) << 32 | 1, Relaxed);
    Ok(())
}

pub(super) fn clear_bit(arena: &Arena, slot: u32, number: u32) {
    if let Some(bits) = arena.bits(slot, number) {
        bits.fetch_and(!(1 << (number % 64)), SeqCst);
    }
}

impl Clone for Handle {
    fn clone(&self) -> Self {
        let counted = Arena::existing().and_then(|arena| arena.count(self.object.number));
        if let Some(count) = counted {
            let same = |now: u64| now != 0 && now >> 32 == u64::from(self.object.generation);
            let _stale = count.fetch_update(Relaxed, Relaxed, |now| same(now).then_some(now + 1));
        }
        Self { ..*self }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        let Some(arena) = Arena::existing() else {
            return;
        };
        let Some(count) = arena.count(self.object.number) else {
            return;
        };
        let generation = u64::from(self.object.generation);
        let many = |now: u64| now >> 32 == generation && now & 0xffff_ffff > 1;
        // Released, because whoever finds the last handle gone frees what this one may have changed.
        let less = |now: u64| many(now).then(|| now - 1);
        if count.fetch_update(Release, Relaxed, less).is_ok() {
            return;
        }
        let counting = COUNTING.lock();
        if count.fetch_update(Release, Relaxed, less).is_ok() {
            return;
        }
        if count.load(Acquire) == generation << 32 | 1 {
            count.store(0, Relaxed);
            // A process without an identity was forked behind our back and holds nothing.
            let Some(own) = member::known() else { return };
            let outer = object::note_freeing(arena, self.object.number + 1);
            clear_bit(arena, own.slot, self.object.number);
            drop(counting);
            self.object.free_if_unheld(arena);
            object::note_freeing(arena, outer);
        }
    }
}

/// Does any member hold the object?
pub(super) fn anyone_holds(arena: &Arena, number: u32) -> bool {
    used_slots(arena).any(|slot| {
        let bits = arena.bits(slot, number).map_or(0, |bits| bits.load(SeqCst));
        bits & 1 << (number % 64) != 0
    })
}

/// A forked stranger takes its own place: what its copied table counts, it holds; what was freed meanwhile, it does not.
pub(super) fn adopt_inherited(arena: &Arena, own: Member) {
    let _counting = COUNTING.lock();
    for number in 0..objects(arena) {
        let Some(count) = arena.count(number) else {
            return;
        };
        let counted = count.load(Relaxed);
        if counted == 0 {
            continue;
        }
        let generation = (counted >> 32) as u32;
        if let Some(bits) = arena.bits(own.slot, number) {
            bits.fetch_or(1 << (number % 64), SeqCst);
        }
        if (ObjectRef { number, generation }).hold(arena).is_err() {
            count.store(0, Relaxed);
            clear_bit(arena, own.slot, number);
        }
    }
}

impl Serialize for Handle {
    /// The message that is being written carries it.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        message::carry(self).map_err(serde::ser::Error::custom)?;
        (self.object.number, self.object.generation).serialize(serializer)
    }
}

/// Reads a handle of `kind`; its message keeps the object alive meanwhile.
pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
    deserializer: D,
    kind: Kind,
) -> Result<Handle, D::Error> {
    let (number, generation) = Deserialize::deserialize(deserializer)?;
    if !message::is_reading() {
        let text = "a handle travels only in a message of this crate";
        return Err(serde::de::Error::custom(text));
    }
    let arrived: Result<Handle, Error> = Handle::arrive(ObjectRef { number, generation }, kind);
    arrived.map_err(serde::de::Error::custom)
}
