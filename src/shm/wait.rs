//! Sleeping on a word of the arena, so that a wake-up can be passed on when the woken one dies with it.
//!
//! Every thread that sleeps notes the word in its member's slot. Whoever settles a dead member wakes one sleeper of each
//! word noted there: a waiter that was killed just after it was woken took that wake-up with it. A member has eight places for
//! notes; the threads beyond rely on their own slices.

use super::arena::Arena;
use super::keeper::SLICE;
use super::layout::Slot;
use super::member;
use crate::sys::atomic::{AcqRel, AtomicU32, Relaxed, Release};
use crate::sys::futex::{self, Scope};
use std::time::Duration;

/// Sleeps while `word` holds `expected`, for `timeout` or [`SLICE`], whichever is shorter; returns for any reason.
pub(crate) fn sleep(word: &AtomicU32, expected: u32, timeout: Duration) {
    let note = note(word);
    futex::wait(word, expected, timeout.min(SLICE), Scope::Shared);
    if let Some((slot, place)) = note {
        slot.waits[place].store(0, Release);
    }
}

fn note(word: &AtomicU32) -> Option<(&'static Slot, usize)> {
    let arena = Arena::existing()?;
    let offset = arena.offset_of(word)?;
    let slot = arena.slot(member::known()?.slot)?;
    let place = slot.waits.iter().position(|place| {
        let free = place.load(Relaxed) == 0;
        free && place.compare_exchange(0, offset, AcqRel, Relaxed).is_ok()
    })?;
    Some((slot, place))
}

/// Wakes one sleeper of every word that the member in `slot` has noted.
pub(super) fn pass_on(arena: &Arena, slot: &Slot) {
    for place in &slot.waits {
        let offset = place.swap(0, AcqRel);
        if offset != 0 {
            wake_at(arena, offset);
        }
    }
}

/// The object in whose cell an offset lies.
pub(super) fn object_at(arena: &Arena, offset: u64) -> Option<u32> {
    let cells = arena.layout.cells_at..arena.layout.bits_at;
    let cell = cells
        .contains(&offset)
        .then(|| (offset - cells.start) / 256)?;
    u32::try_from(cell).ok()
}

/// Wakes one sleeper of each word inside an object that `concerns` is true of: its sleepers look at the owner again.
pub(super) fn look_again(arena: &Arena, concerns: impl Fn(u32) -> bool) {
    for number in super::settle::used_slots(arena) {
        let Some(slot) = arena.slot(number) else {
            continue;
        };
        for place in &slot.waits {
            let offset = place.load(Relaxed);
            if offset != 0 && object_at(arena, offset).is_none_or(&concerns) {
                wake_at(arena, offset);
            }
        }
    }
}

fn wake_at(arena: &Arena, offset: u64) {
    if let Some(word) = arena.at::<AtomicU32>(offset) {
        futex::wake(word, 1, Scope::Shared);
    }
}
