//! Settling: what a dead member had is given back, once, by whoever gets to it.
//!
//! Every step can be done twice, so a settler that is killed leaves the rest to the next one. The order: say that it is dead,
//! pass on the wake-ups that it took with it, finish what it was taking apart, clear its holder bits, free its blocks, and at
//! last free its slot for the next generation.
//!
//! The last step is its parent's, who wants to read how it ended. All before it are done by anybody who waits for something that the
//! dead may have had ([`clean_ended`]): its parent may be that waiter, and will not ask.

use super::arena::Arena;
use super::blocks::{self, Block, Owner};
use super::keeper::Internal;
use super::label::{self, Sweeper};
use super::layout::{CLEANED, Kind, LIVED, OWNS_BLOCKS, Slot};
use super::member::{self, Identity, Member, State, Status};
use super::message;
use super::object::{self, ObjectRef};
use super::{epitaph, handle, lent, wait};
use crate::error::Result;
use crate::sys::atomic::{AcqRel, Acquire, AtomicU32, Relaxed, Release, SeqCst};
use crate::sys::clock::{self, Deadline};
use crate::sys::process;
use std::time::Duration;

/// How long one who looks after the dead by the way waits for another who settles: only a stopped one takes longer.
const PATIENCE: Duration = Duration::from_millis(20);

/// Slots that are not free, in order.
pub(super) fn used_slots(arena: &Arena) -> impl Iterator<Item = u32> {
    (0..arena.layout.slots).step_by(64).flat_map(move |first| {
        let mut word = arena.used(first).map_or(0, |used| used.load(SeqCst));
        std::iter::from_fn(move || {
            let bit = (word != 0).then(|| word.trailing_zeros())?;
            word &= word - 1;
            Some(first + bit)
        })
    })
}

/// Says that a member is dead and wakes whoever waits for what it held. Takes no lease, so that a fork server may call it.
pub(crate) fn announce(member: Member) {
    let Some(arena) = Arena::existing() else {
        return;
    };
    let Some(slot) = member.slot(arena) else {
        return;
    };
    let word = slot.identity.load(Acquire);
    let identity = Identity::read(word);
    if identity.generation != member.generation || matches!(identity.state, State::Free) {
        return;
    }
    let ended = Identity {
        state: State::Ended,
        ..identity
    };
    if slot
        .identity
        .compare_exchange(word, ended.word(), AcqRel, Relaxed)
        .is_ok()
    {
        count_death(arena, member, slot);
        wait::pass_on(arena, slot);
        // Now that it is counted, those who wait for an end clean up behind it.
        for number in (0..objects(arena)).filter(|&number| held(arena, member.slot, number)) {
            epitaph::rouse(arena, number);
        }
        wait::look_again(arena, |number| held(arena, member.slot, number));
    }
}

/// Says of those who hold the object of this word and are dead that they are: their parents live and have not asked for them yet.
pub(super) fn announce_dead_holders(word: &AtomicU32) {
    let offset = Arena::existing().and_then(|arena| Some((arena, arena.offset_of(word)?)));
    if let Some(number) = offset.and_then(|(arena, offset)| wait::object_at(arena, offset)) {
        announce_dead_holders_of(number);
    }
}

/// The same, for the object of that number.
pub(crate) fn announce_dead_holders_of(number: u32) {
    let Some(arena) = Arena::existing() else {
        return;
    };
    if !is_due(arena, number) {
        return;
    }
    // What nobody holds at all may have been in the hands of one who was killed before he held it, or after he had let go of it.
    let living = |slot| held(arena, slot, number) && !is_known_dead(arena, slot);
    let lost = !used_slots(arena).any(living);
    for holder in used_slots(arena).filter(|&slot| lost || held(arena, slot, number)) {
        let Some(slot) = arena.slot(holder) else {
            continue;
        };
        let identity = Identity::read(slot.identity.load(Acquire));
        let generation = identity.generation;
        let member = Member {
            slot: holder,
            generation,
        };
        match identity.state {
            State::Living if member::proved_dead(holder, generation) => announce(member),
            State::Reserved if member::child_proved_dead(slot, generation) => announce(member),
            _ => {}
        }
    }
}

/// Is the member of this slot known to be dead?
fn is_known_dead(arena: &Arena, slot: u32) -> bool {
    let identity = arena.slot(slot).map(|slot| slot.identity.load(SeqCst));
    identity.is_none_or(|word| {
        let state = Identity::read(word).state;
        matches!(state, State::Ended | State::Free)
    })
}

/// Has whoever announced a death told everybody? One who has not in a fifth of a second was killed at it.
fn is_counted(slot: &Slot, generation: u32) -> bool {
    if slot.counted.load(Acquire) == generation.wrapping_add(1) {
        return true;
    }
    let now = clock::hundredths() | 1;
    let noted = slot.uncounted.compare_exchange(0, now, AcqRel, Acquire);
    noted.is_err_and(|since| now.wrapping_sub(since) >= 20)
}

/// Is it time to look after the holders of an object again? One of many who ask does it.
fn is_due(arena: &Arena, number: u32) -> bool {
    let now = clock::hundredths();
    arena.cell(number).is_some_and(|cell| {
        let last = cell.probed.load(Relaxed);
        let due = now.wrapping_sub(last) >= 5;
        due && cell
            .probed
            .compare_exchange(last, now, Relaxed, Relaxed)
            .is_ok()
    })
}

/// Lets the barriers and read-write locks that a dead member held know of it, before their sleepers are woken: the barriers only if it did
/// not end well, or one of its threads was at one. Who counts twice, because the first to count was killed, breaks a barrier once too often.
fn count_death(arena: &Arena, member: Member, slot: &Slot) {
    let counted = member.generation.wrapping_add(1);
    if slot.counted.load(Acquire) == counted {
        return;
    }
    let ended_well = match member.status() {
        Some(Status::Leaving(0) | Status::Reaped(0)) => true,
        // For one that never came to be, nobody waits.
        Some(Status::Running) => slot.flags.load(Acquire) & LIVED == 0,
        _ => false,
    };
    for number in 0..objects(arena) {
        let cell = arena
            .cell(number)
            .filter(|_| held(arena, member.slot, number));
        let Some(cell) = cell else { continue };
        let kind = cell.kind.load(Relaxed);
        if member.slot(arena).is_none() {
            // Another one has counted and settled it meanwhile: what is here now is the next member.
            return;
        }
        let in_barrier = !ended_well || slot.in_barriers.load(Acquire) != 0;
        if kind == Kind::RwLock as u32 || kind == Kind::Barrier as u32 && in_barrier {
            cell.deaths.fetch_add(1, AcqRel);
        }
    }
    slot.counted.store(counted, Release);
}

/// One more than the largest number of an object that ever was.
pub(super) fn objects(arena: &Arena) -> u32 {
    let high = arena.header().objects_high.load(Acquire);
    high.min(arena.layout.objects)
}

pub(super) fn held(arena: &Arena, slot: u32, number: u32) -> bool {
    let bits = arena
        .bits(slot, number)
        .map_or(0, |bits| bits.load(Relaxed));
    bits & 1 << (number % 64) != 0
}

/// Gives back all that a dead member had, and its slot. The caller has the proof that it is dead (or that it never lived).
pub(crate) fn settle(member: Member) -> Result<()> {
    let arena = Arena::get()?;
    announce(member);
    if label::is_named(member) {
        // Before the slot forgets it, and before the lease: this takes its time.
        label::sweep_or_say(Sweeper::Other);
    }
    let me = member::me()?;
    let lease = &arena.header().settling;
    let _taken = lease.take::<Internal>(me, Deadline::NEVER);
    if let Some(slot) = member.slot(arena) {
        give_back(arena, member, slot);
    }
    lease.give::<Internal>();
    Ok(())
}

/// Does something for a member that is proved dead and not settled, while it stays so; `None` when another one settles for too long.
fn with_ended(member: Member, work: impl FnOnce(Member, &Slot)) -> Option<()> {
    let (arena, me) = (Arena::existing()?, member::me().ok()?);
    let lease = &arena.header().settling;
    lease.take::<Internal>(me, Deadline::after(PATIENCE))?;
    if let Some(slot) = member.slot(arena)
        && Identity::read(slot.identity.load(Acquire)).state == State::Ended
    {
        work(member, slot);
    }
    lease.give::<Internal>();
    Some(())
}

/// Gives up a member that was reserved for a child of which nothing is known: it may run, or may yet come to run.
pub(crate) fn abandon(member: Member) {
    let Some(arena) = Arena::existing() else {
        return;
    };
    let Some(slot) = member.slot(arena) else {
        return;
    };
    let word = slot.identity.load(Acquire);
    let identity = Identity::read(word);
    let ended = Identity {
        state: State::Ended,
        ..identity
    };
    // Either this or the child's own step from reserved to living succeeds.
    let never_ran = identity.state == State::Reserved
        && slot
            .identity
            .compare_exchange(word, ended.word(), AcqRel, Relaxed)
            .is_ok();
    if never_ran || member::proved_dead(member.slot, member.generation) {
        if let Err(error) = settle(member) {
            log::error!("a place for a process was not given back: {error}");
        }
    } else {
        // It lives without a parent that would ask for it: it is swept when it has ended.
        slot.parent.store(0, Release);
    }
}

fn give_back(arena: &Arena, member: Member, slot: &Slot) {
    let identity = Identity::read(slot.identity.load(Acquire));
    if identity.state == State::Free {
        return;
    }
    clean(arena, member, slot);
    let owner = Owner::member(member.slot);
    for block in blocks_of(arena, member, slot) {
        if block.owner(arena) == owner {
            message::discard(arena, block);
        }
    }
    slot.outcome.store(0, Relaxed);
    slot.flags.store(0, Relaxed);
    free_slot(arena, member.slot, slot, identity);
}

/// Gives back what a dead member had, but for its slot and what it left for its parent.
fn clean(arena: &Arena, member: Member, slot: &Slot) {
    count_death(arena, member, slot);
    wait::pass_on(arena, slot);
    if let Some(number) = slot.freeing.load(Acquire).checked_sub(1) {
        object::finish_freeing(arena, number, member.slot);
        slot.freeing.store(0, Release);
    }
    // Its bits still hold the queues that what it had taken goes back to.
    lent::put_back_all(arena, member, slot);
    clear_bits(arena, member.slot);
    let outcome = slot.outcome.load(Acquire).checked_sub(1);
    for block in blocks_of(arena, member, slot) {
        // What its messages carried lands. They are not freed: its parent may be at work on one.
        if Some(block.0) != outcome {
            message::unload(arena, block);
        }
    }
    slot.flags.fetch_or(CLEANED, AcqRel);
}

fn blocks_of(arena: &Arena, member: Member, slot: &Slot) -> Vec<Block> {
    if slot.flags.load(Acquire) & OWNS_BLOCKS == 0 {
        return Vec::new();
    }
    blocks::owned_by(arena, Owner::member(member.slot)).unwrap_or_default()
}

/// Gives back what members had that are known to be dead, though nobody has asked for them yet.
pub(crate) fn clean_ended() {
    let Some(arena) = Arena::existing() else {
        return;
    };
    for number in used_slots(arena) {
        let Some(slot) = arena.slot(number) else {
            continue;
        };
        let identity = Identity::read(slot.identity.load(Acquire));
        let due = identity.state == State::Ended && slot.flags.load(Acquire) & CLEANED == 0;
        if due && is_counted(slot, identity.generation) {
            let member = Member {
                slot: number,
                generation: identity.generation,
            };
            // Somebody who is stopped holds them all up: the next look will do.
            if with_ended(member, |member, slot| clean(arena, member, slot)).is_none() {
                return;
            }
        }
    }
}

/// Clears the map word by word, and frees the objects that nobody else holds.
fn clear_bits(arena: &Arena, slot: u32) {
    for first in (0..objects(arena)).step_by(64) {
        let Some(bits) = arena.bits(slot, first) else {
            return;
        };
        let mut word = bits.load(SeqCst);
        while word != 0 {
            let number = first + word.trailing_zeros();
            word &= word - 1;
            // Noted first: killed after the bit is gone, we would be the last who knew of the object.
            let outer = object::note_freeing(arena, number + 1);
            handle::clear_bit(arena, slot, number);
            if let Some(cell) = arena.cell(number) {
                let generation = cell.generation.load(Acquire);
                ObjectRef { number, generation }.free_if_unheld(arena);
            }
            object::note_freeing(arena, outer);
        }
    }
}

fn free_slot(arena: &Arena, number: u32, slot: &Slot, identity: Identity) {
    // The bit before the identity: a slot that is free may be claimed, and its claimer sets the bit.
    if let Some(used) = arena.used(number) {
        used.fetch_and(!(1 << (number % 64)), SeqCst);
    }
    // Killed here, the slot is ended and has no bit: then a sweep finds it.
    let now = slot.identity.load(Acquire);
    if Identity::read(now).generation == identity.generation {
        let _claimed = slot
            .identity
            .compare_exchange(now, identity.next().word(), AcqRel, Relaxed);
    }
}

/// Settles every member that is dead and that nobody will ask for: its parent is dead, or it had none.
pub(crate) fn sweep(arena: &Arena) {
    let own = member::known();
    // All of them: who was killed in `free_slot` has left an ended slot without its bit.
    for number in 0..arena.layout.slots {
        let Some(slot) = arena.slot(number) else {
            continue;
        };
        let identity = Identity::read(slot.identity.load(Acquire));
        let member = Member {
            slot: number,
            generation: identity.generation,
        };
        let free = identity.state == State::Free;
        if free || own == Some(member) || parent_lives(slot) {
            continue;
        }
        let dead = match identity.state {
            State::Free => false,
            State::Ended => true,
            State::Reserved => process::proved_dead(identity.pid, 0),
            State::Living => member::proved_dead(number, identity.generation),
        };
        if dead && let Err(error) = settle(member) {
            log::error!("a dead member was not settled: {error}");
        }
    }
}

/// A parent that lives asks for its children itself.
pub(super) fn parent_lives(slot: &Slot) -> bool {
    let word = slot.parent.load(Acquire);
    let parent = (word & 0xffff_ffff) as u32;
    let Some(parent) = parent.checked_sub(1) else {
        return false;
    };
    let generation = (word >> 32) as u32;
    !member::proved_dead(parent, generation)
}
