//! What a child leaves for its parent: the value of its function, or its panic. It lies in a block that its slot names and owns.

use crate::call::Reply;
use crate::error::{ErrorKind, Result};
use crate::shm::arena::Arena;
use crate::shm::blocks::{Block, Owner};
use crate::shm::member::{self, Member};
use crate::shm::message::{self, Cargo, Message};
use crate::sys::atomic::{Acquire, Release};
use crate::thread::Panic;
use crate::wire;
use serde::{Deserialize, Serialize};

/// The first part of what a child leaves; a value's bytes follow.
#[derive(Debug, Serialize, Deserialize)]
enum Kind {
    Failed(Panic, Failure),
    Value,
}

/// What sort of failure it was, as far as who joins may match on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Failure {
    Panicked,
    Encode,
    Decode,
    NoSpace,
}

impl Failure {
    fn of(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::Encode => Self::Encode,
            ErrorKind::Decode => Self::Decode,
            ErrorKind::NoSpace => Self::NoSpace,
            _ => Self::Panicked,
        }
    }

    fn kind(self) -> ErrorKind {
        match self {
            Self::Panicked => ErrorKind::Panicked,
            Self::Encode => ErrorKind::Encode,
            Self::Decode => ErrorKind::Decode,
            Self::NoSpace => ErrorKind::NoSpace,
        }
    }
}

/// What a child has left.
#[derive(Debug)]
pub(super) enum Report {
    /// A panic, or what kept the function from being called or its value from being told.
    Failed(Panic, ErrorKind),
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
    leave_failure(panic, ErrorKind::Panicked);
}

/// Leaves what went wrong where nothing panicked.
pub(super) fn leave_failure(what: &Panic, kind: ErrorKind) {
    let kind = Kind::Failed(what.clone(), Failure::of(kind));
    let _no_room = leave(&kind, &[], Cargo::default());
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
    let arena = Arena::existing()?;
    let slot = member.slot(arena)?;
    let block = Block(slot.outcome.load(Acquire).checked_sub(1)?);
    // Ours first: whoever cleans up behind the dead leaves only what is noted there.
    let dead = Owner::member(member.slot);
    let taken = block.take_from(arena, dead, member::own().ok()?);
    slot.outcome.store(0, Release);
    let message = if taken {
        message::take(block).ok()?
    } else {
        return None;
    };
    let (kind, rest) = wire::decode_first::<Kind>(&message.bytes).ok()?;
    let start = message.bytes.len() - rest.len();
    Some(match kind {
        Kind::Failed(what, failure) => Report::Failed(what, failure.kind()),
        Kind::Value => Report::Value(Value { message, start }),
    })
}
