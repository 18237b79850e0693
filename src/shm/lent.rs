//! Lent messages: a queue gives a message to a taker and stays its lender until the taker says that it is done.
//!
//! A block with a lent message belongs to its taker. When that one dies, or gives it up, the block is *put back*: one store makes it
//! the lender's again, and the lender's cell counts that something was put back. It lies in no list: whoever gets next, and sees that
//! the count has changed, walks the heap for it. So nothing has to be linked at the moment of a death, and no lease of the queue is
//! needed, whose owner may be stopped.
//!
//! A taker that is done marks the message [`FINISHED`] before it frees it. Such a one is put back like all others and freed by who
//! finds it: only so the owner of the queue's lease can still find it when it has to complete what a dead taker had begun.

use super::arena::Arena;
use super::blocks::{self, Block, Owner};
use super::layout::{Kind, LENT, Slot};
use super::member::{self, Member};
use super::message;
use super::object::ObjectRef;
use super::settle::{self, held};
use super::wait;
use crate::sys::atomic::{AcqRel, Acquire, SeqCst};

/// In a message's lender: its taker is done with it.
pub(crate) const FINISHED: u64 = 1 << 31;

/// Notes that this process takes lent messages, before it has one.
pub(crate) fn note_taker(arena: &Arena) {
    let slot = member::known().and_then(|own| own.slot(arena));
    if let Some(slot) = slot
        && slot.flags.load(Acquire) & LENT == 0
    {
        slot.flags.fetch_or(LENT, AcqRel);
    }
}

/// Puts back what the owner `from` has of one message. `None` if it is not lent, or somebody else has put it back.
pub(crate) fn put_back(arena: &Arena, block: Block, from: Owner) -> Option<u32> {
    let name = message::head(arena, block)?.lender.load(Acquire);
    let lender = ObjectRef::named(name & !FINISHED)?;
    // The owner's bit keeps the lender alive: if it is gone all the same, the message has nowhere to go.
    lender.cell(arena, Kind::JoinableQueue).ok()?;
    let to = Owner::put_back(lender.number);
    block.change_owner(arena, from, to).then_some(lender.number)
}

/// Counts that something was put back to an object.
pub(crate) fn count(arena: &Arena, number: u32) {
    if let Some(cell) = arena.cell(number) {
        cell.put_back.fetch_add(1, SeqCst);
    }
}

/// Puts back all that a dead member has taken. Its bits still hold the queues; the caller owns the lease of settling.
pub(super) fn put_back_all(arena: &Arena, member: Member, slot: &Slot) {
    if slot.flags.load(Acquire) & LENT == 0 {
        return;
    }
    let owner = Owner::member(member.slot);
    for block in blocks::owned_by(arena, owner).unwrap_or_default() {
        let _not_lent = put_back(arena, block, owner);
    }
    // All of them, because who did this before us may have been killed before it could count.
    let lenders = |number| {
        let kind = arena.cell(number).map(|cell| cell.kind.load(Acquire));
        kind == Some(Kind::JoinableQueue as u32) && held(arena, member.slot, number)
    };
    for number in (0..settle::objects(arena)).filter(|&number| lenders(number)) {
        count(arena, number);
    }
    slot.flags.fetch_and(!LENT, AcqRel);
    wait::look_again(arena, lenders);
}
