//! What an object leaves: bits that are set in another object when it ends, and a wake-up for all who sleep there.
//!
//! So the ends of a queue are counted without counting: each is an object of its own, held by all who have a handle of that end, and a
//! block of its carries a handle of the queue, which lives as long. It ends with its last handle, with the death of its last holder, or
//! with the message that carried the last one.

use super::arena::Arena;
use super::keeper::low_half;
use super::layout::{Cell, Kind, Shared};
use super::member::known_dead;
use super::object::{self, ObjectRef};
use super::settle::{held, used_slots};
use super::wait::object_at;
use crate::sys::atomic::{Acquire, AtomicU64, SeqCst, fence};
use crate::sys::futex::{self, Scope};

/// The control words of an object that leaves something.
#[repr(C, align(64))]
#[derive(Debug)]
pub(crate) struct Epitaph {
    /// The object that it concerns, as number + 1 and generation.
    pub(crate) object: AtomicU64,
    /// Where that one's words lie.
    pub(crate) words: [AtomicU64; 2],
    /// What is set in each of them; 0 for nothing yet.
    pub(crate) bits: AtomicU64,
}

#[expect(unsafe_code, reason = "Shared is an unsafe trait")]
// SAFETY: atomics only.
unsafe impl Shared for Epitaph {}

fn leaves_something(cell: &Cell) -> bool {
    let kind = cell.kind.load(Acquire);
    kind == Kind::Senders as u32 || kind == Kind::Receivers as u32
}

/// Tells of the end of the object in `cell`, which has a flight of the object that it concerns. May be done twice.
pub(super) fn tell(arena: &Arena, cell: &Cell) {
    if !leaves_something(cell) {
        return;
    }
    let epitaph: &Epitaph = cell.body();
    let (bits, name) = (epitaph.bits.load(Acquire), epitaph.object.load(Acquire));
    for word in &epitaph.words {
        let offset = word.load(Acquire);
        let number = object_at(arena, offset);
        let same = number.is_some_and(|number| (name & 0xffff_ffff) == u64::from(number + 1));
        if let Some(word) = arena.at::<AtomicU64>(offset).filter(|_| same && bits != 0) {
            word.fetch_or(bits, SeqCst);
            futex::wake(low_half(word), u32::MAX, Scope::Shared);
        }
    }
}

/// Tells of the end of an object whose last living holder has just died, before the dead are settled.
pub(super) fn tell_if_last(arena: &Arena, number: u32) {
    let Some(cell) = arena.cell(number).filter(|cell| leaves_something(cell)) else {
        return;
    };
    let generation = cell.generation.load(Acquire);
    let object = ObjectRef { number, generation };
    // Of two that die at the same time, one at least must see the other's death.
    fence(SeqCst);
    let living = |slot| {
        let identity = arena.slot(slot).map(|slot| slot.identity.load(SeqCst));
        let generation = identity.map(|word| super::member::Identity::read(word).generation);
        held(arena, slot, number)
            && generation.is_some_and(|generation| !known_dead(slot, generation))
    };
    if object::is_unheld(arena, object, || used_slots(arena).any(living)) {
        tell(arena, cell);
    }
}
