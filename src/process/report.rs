//! What a child leaves for its parent: the value of its function, or its panic. It lies in a block that its slot names and owns.

use super::call::Reply;
use super::panics::Panic;
use crate::error::{ErrorKind, Result};
use crate::shm::arena::Arena;
use crate::shm::blocks::{Block, Owner};
use crate::shm::member::{self, Member};
use crate::shm::message::{self, Cargo, Message};
use crate::sys::atomic::{AcqRel, Release};
use crate::wire;
use serde::{Deserialize, Serialize};

/// The first part of what a child leaves; a value's bytes follow.
#[derive(Debug, Serialize, Deserialize)]
enum Kind {
    Panicked(Panic),
    Value,
}

/// What a child has left.
#[derive(Debug)]
pub(super) enum Report {
    Panicked(Panic),
    /// The encoded value, with the handles in it.
    Value(Value),
}

/// An encoded value of a child, with the handles in it.
#[derive(Debug)]
pub(super) struct Value {
    message: Message,
    start: usize,
}

impl Value {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.message.bytes[self.start..]
    }
}

/// Leaves the value of this process's function.
pub(super) fn leave_value(reply: Reply) -> Result<()> {
    leave(&Kind::Value, reply.bytes.as_slice(), reply.cargo)
}

/// Leaves the panic that ends this process. There may be no room for it, and nobody to tell that.
pub(super) fn leave_panic(panic: &Panic) {
    let _no_room = leave(&Kind::Panicked(panic.clone()), &[], Cargo::default());
}

fn leave(kind: &Kind, rest: &[u8], cargo: Cargo) -> Result<()> {
    let own = member::own()?;
    let slot = own.slot(Arena::get()?).ok_or(ErrorKind::StaleHandle)?;
    let (first, _no_handles) = wire::encode(kind)?;
    let bytes = [first.as_slice(), rest].concat();
    let block = message::store(&bytes, cargo, Owner::member(own.slot))?;
    slot.outcome.store(block.0 + 1, Release);
    Ok(())
}

/// Takes what a member that has ended left.
pub(super) fn left_by(member: Member) -> Option<Report> {
    let slot = member.slot(Arena::existing()?)?;
    let block = slot.outcome.swap(0, AcqRel).checked_sub(1)?;
    let message = message::take(Block(block)).ok()?;
    let (kind, rest) = wire::decode_first::<Kind>(&message.bytes).ok()?;
    let start = message.bytes.len() - rest.len();
    Some(match kind {
        Kind::Panicked(panic) => Report::Panicked(panic),
        Kind::Value => Report::Value(Value { message, start }),
    })
}
