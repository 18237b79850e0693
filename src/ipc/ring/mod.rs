//! The ring of a queue: records of bytes, put at the tail, taken at the head.
//!
//! A [record](record) is a head word and its payload, padded to words of eight bytes. Who puts holds the tail's lease, who gets the
//! head's. [`position`] words say how far the ends have come; moving one is the only thing that others see of a put or a get, so
//! whoever is killed before it has done nothing. What then lies half written is overwritten by the next.
//!
//! The ring doubles when it is full and may [grow](grow): under both leases the records are copied to a block twice as large, at the
//! same positions modulo its size. Messages too large for a record, or with handles in them, lie in a block of their own, which
//! changes its owner with the message: the lease's owner notes the block as *pending* before, so that who takes over from a dead
//! owner can tell whether the block still belongs to somebody.

mod get;
mod grow;
mod position;
mod put;
mod record;

pub(super) use get::GetFailure;
pub(super) use put::PutFailure;
pub(super) use record::Taking;

use crate::error::{Error, ErrorKind, Result};
use crate::shm::arena::Arena;
use crate::shm::blocks::{self, Block, Owner, Use};
use crate::shm::keeper::low_half;
use crate::shm::layout::{Cell, Shared};
use crate::shm::{Handle, Internal, Taken, member};
use crate::sys::atomic::{Acquire, AtomicU64, Relaxed, Release, SeqCst};
use crate::sys::clock::Deadline;
use crate::sys::futex::{self, Scope};
use position::{CLOSED, End, ITEMS, Position};
use record::Storage;
use std::time::Duration;

/// A lease is held for nanoseconds. Even who may not wait at all waits so long for it, or a full queue would look empty whenever
/// somebody else is at it; only a stopped owner holds it for longer.
const LEAST_PATIENCE: Duration = Duration::from_millis(20);

/// The control words of a ring.
#[repr(C, align(64))]
#[derive(Debug)]
struct Words {
    tail: End,
    head: End,
    /// The ring's block as unit + 1 in the high half, the binary logarithm of its words in the low half. Written under both leases.
    ring: AtomicU64,
    /// The most records, 0 for any number. Written once.
    maxsize: AtomicU64,
}
#[expect(unsafe_code, reason = "Shared is an unsafe trait")]
// SAFETY: atomics only.
unsafe impl Shared for Words {}

/// What one attempt came to.
enum Attempt<T> {
    Done(T),
    /// Not possible while the other end's position is this word.
    Blocked(u64),
    Closed,
    /// Somebody holds the lease for longer than we can wait.
    Late,
}

/// A ring, as its handle's process sees it.
pub(super) struct Ring<'a> {
    handle: &'a Handle,
    cell: &'static Cell,
    words: &'static Words,
}

impl<'a> Ring<'a> {
    #[inline]
    pub(super) fn of(handle: &'a Handle) -> Self {
        let cell = handle.cell();
        Self {
            handle,
            cell,
            words: cell.body(),
        }
    }

    /// Gives a new queue its first storage.
    pub(super) fn initialise(&self, maxsize: u64) -> Result<()> {
        let arena = Arena::get()?;
        let bytes = (arena.layout.size / 64)
            .clamp(16 << 10, 64 << 10)
            .next_power_of_two();
        let block = blocks::allocate(bytes, Use::Raw, self.owner())?;
        self.words.maxsize.store(maxsize, Relaxed);
        self.set_storage(block, bytes / 8);
        Ok(())
    }

    fn owner(&self) -> Owner {
        Owner::object(self.handle.number())
    }

    fn set_storage(&self, block: Block, words: u64) {
        self.cell.block.store(block.0 + 1, Release);
        let word = u64::from(block.0 + 1) << 32 | u64::from(words.ilog2());
        self.words.ring.store(word, Release);
    }

    #[inline]
    fn storage(&self, arena: &Arena) -> Result<Storage> {
        let word = self.words.ring.load(Acquire);
        let found = || {
            let unit = u32::try_from(word >> 32).ok()?.checked_sub(1)?;
            let words = 1_u64.checked_shl((word & 0xff) as u32)?;
            let (offset, bytes) = Block(unit).bytes(arena)?;
            (words.checked_mul(8)? <= bytes).then_some(Storage {
                block: Block(unit),
                offset,
                words,
            })
        };
        found().ok_or_else(|| Error::new(ErrorKind::Corrupt, "the storage of a queue"))
    }

    /// The number of records at this instant.
    pub(super) fn items(&self) -> u64 {
        let head = Position::read(self.words.head.position.load(Acquire));
        let tail = Position::read(self.words.tail.position.load(Acquire));
        let (_, items) = tail.since(head);
        // More than can be is nonsense that somebody wrote there.
        if items > ITEMS / 2 { 0 } else { items }
    }

    pub(super) fn maxsize(&self) -> u64 {
        self.words.maxsize.load(Relaxed)
    }

    /// Closes both ends, the tail first, and wakes all who sleep.
    pub(super) fn close(&self) {
        for end in [&self.words.tail, &self.words.head] {
            end.position.fetch_or(CLOSED, SeqCst);
            futex::wake(low_half(&end.position), u32::MAX, Scope::Shared);
        }
    }

    /// Takes the lease of an end, for this object; `None` when somebody holds it for too long.
    #[inline]
    fn take(&self, end: &End, deadline: Deadline) -> Result<Option<Taken>> {
        let me = member::me()?;
        self.handle.check()?;
        let taken = if end.lease.try_take(me) {
            Some(Taken::Clean)
        } else {
            end.lease
                .take::<Internal>(me, deadline.or_later(LEAST_PATIENCE))
        };
        if taken.is_some() && self.handle.check().is_err() {
            end.lease.give::<Internal>();
            return Err(ErrorKind::StaleHandle.into());
        }
        Ok(taken)
    }
}

/// A block that is about to change its owner, and where the end was before.
fn pending(block: Block, before: Position) -> u64 {
    u64::from(block.0 + 1) << 32 | before.words & 0xffff_ffff
}

/// The pending block of an end, and whether the end has moved since it was noted.
fn read_pending(end: &End) -> Option<(Block, bool)> {
    let word = end.pending.load(Acquire);
    let unit = u32::try_from(word >> 32).ok()?.checked_sub(1)?;
    let now = Position::read(end.position.load(Acquire)).words;
    Some((Block(unit), (word ^ now) & 0xffff_ffff != 0))
}
