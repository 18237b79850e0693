//! How full the arena is.

use super::arena::Arena;
use super::blocks::with_allocator;
use super::layout::UNIT;
use super::member::{Identity, State};
use super::{object, settle};
use crate::error::Result;
use crate::sys::atomic::Acquire;

/// What the family uses of its arena.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Usage {
    /// Locks, queues and pools that live.
    pub objects: usize,
    /// Blocks of memory in use.
    pub blocks: usize,
    /// Bytes of these blocks, rounded up to powers of two.
    pub bytes: usize,
    /// Processes of the family that live or are not joined yet, this one included.
    pub members: usize,
}

/// Counts what the arena holds. Members whose death nobody has noticed yet, because their parents died too, are settled first.
///
/// # Errors
/// Where the arena cannot be made, or is corrupt.
///
/// # Examples
/// ```
/// let before = multiproc::arena::usage()?;
/// let queue = multiproc::Queue::<String>::new()?;
/// assert_eq!(multiproc::arena::usage()?.objects, before.objects + 1);
/// drop(queue);
/// assert_eq!(multiproc::arena::usage()?, before);
/// # Ok::<(), multiproc::Error>(())
/// ```
pub fn usage() -> Result<Usage> {
    let arena = Arena::get()?;
    super::member::own()?;
    settle::sweep(arena);
    let mut usage = Usage {
        objects: object::living(arena),
        members: members(arena),
        ..Usage::default()
    };
    with_allocator(arena, |allocator| {
        allocator.walk(|_, _, used| {
            if let Some(order) = used {
                usage.blocks += 1;
                usage.bytes += usize::try_from(UNIT << order).unwrap_or(usize::MAX);
            }
        })
    })??;
    Ok(usage)
}

/// Slots that are not free. The bit of one is set before it is taken and may be left when somebody is killed in between.
fn members(arena: &Arena) -> usize {
    let taken = |slot: &u32| {
        let slot = arena.slot(*slot);
        slot.is_some_and(|slot| Identity::read(slot.identity.load(Acquire)).state != State::Free)
    };
    settle::used_slots(arena).filter(taken).count()
}
