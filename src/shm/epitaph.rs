//! What an object leaves: bits that are set in another object when it ends, and a wake-up for all who sleep there.
//!
//! So the ends of a queue are counted without counting: each is an object of its own, held by all who have a handle of that end, and a
//! block of its carries a handle of the queue, which lives as long. It ends with its last handle, with the death of its last holder, or
//! with the message that carried the last one.

use super::arena::Arena;
use super::keeper::low_half;
use super::layout::{Cell, Kind, Shared};
use super::object::ObjectRef;
use super::wait::object_at;
use crate::sys::atomic::{Acquire, AtomicU64, SeqCst};
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

/// Tells of the end of the object in `cell`, which is taken apart and still carries a handle of the object that it concerns. Once it has
/// told, it does not do so again: by then nothing may keep that one.
pub(super) fn tell(arena: &Arena, cell: &Cell) {
    if !leaves_something(cell) {
        return;
    }
    let epitaph: &Epitaph = cell.body();
    let bits = epitaph.bits.load(Acquire);
    let object = ObjectRef::named(epitaph.object.load(Acquire));
    let Some(object) = object.filter(|object| bits != 0 && object.cell(arena, Kind::Queue).is_ok())
    else {
        return;
    };
    for word in &epitaph.words {
        let offset = word.load(Acquire);
        let inside = object_at(arena, offset) == Some(object.number);
        if let Some(word) = arena.at::<AtomicU64>(offset).filter(|_| inside) {
            word.fetch_or(bits, SeqCst);
            futex::wake(low_half(word), u32::MAX, Scope::Shared);
        }
    }
    epitaph.bits.store(0, SeqCst);
}

/// Wakes all who would be told, because a holder of the object has just died: if it was the last one, they clean up behind the dead
/// themselves, and so come to its end. Nothing is set here, because what is noted may be gone by now; a wake-up too many harms nobody.
pub(super) fn rouse(arena: &Arena, number: u32) {
    let Some(cell) = arena.cell(number).filter(|cell| leaves_something(cell)) else {
        return;
    };
    let epitaph: &Epitaph = cell.body();
    for word in &epitaph.words {
        if let Some(word) = arena.at::<AtomicU64>(word.load(Acquire)) {
            futex::wake(low_half(word), u32::MAX, Scope::Shared);
        }
    }
}
