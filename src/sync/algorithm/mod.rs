//! The rules by which threads wait for each other, whoever they are and wherever the words lie.
//!
//! Nothing here knows of the arena, of handles, or of errors: only atomics, and a [`Keeper`](crate::shm::Keeper), who sleeps, wakes,
//! and knows who is dead. So loom can go through all interleavings of these very files (`tests/loom.rs`), and what holds for
//! threads holds for processes. What they have in common:
//!
//! - A word is the truth; a wake-up is only a hint to look at it again. So a wake-up may be lost with a process that dies, and is
//!   made up for by the slices in which processes sleep.
//! - That somebody sleeps is a bit, set by whoever is about to, and cleared by whoever finds nobody to wake. A bit that is left costs one
//!   system call.
//! - Who holds something is written in the step that takes it, so that it can be taken back when that one is dead.

mod barrier;
mod bounded;
mod cells;
mod condition;
mod event;
mod gate;
mod rwlock;
mod semaphore;

pub(crate) use barrier::BarrierWords;
pub(crate) use barrier::{Arrival, MOST_PARTIES};
pub(crate) use bounded::BoundedWords;
pub(crate) use condition::ConditionWords;
pub(crate) use event::EventWords;
pub(crate) use gate::Gate;
pub(crate) use rwlock::NoRead;
pub(crate) use rwlock::RwLockWords;
pub(crate) use semaphore::MOST as MOST_PERMITS;
pub(crate) use semaphore::SemaphoreWords;
