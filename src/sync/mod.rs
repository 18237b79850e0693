//! Who may go on, who must wait: one algorithm, two homes.
//!
//! A lock is a few atomic words and a rule. Whether it guards threads or processes depends on where the words live and on one
//! flag of the futex call, so each primitive is written once, over a [`Home`]: [`AcrossProcesses`] (the arena) or
//! [`WithinProcess`] (the heap). `multiproc::Lock` and `multiproc::threading::Lock` are names of the two, and so with the others. A third
//! one, [`Threads`], is the second with the types of the first, for programs that run on either (`multiproc::dummy`).
//!
//! What a death does to each is told by its documentation, and with the tests in the repository's `docs/guarantees.md`. Common to all: whoever
//! reaps a dead process wakes those who wait for what it held; where nobody does, they look for themselves every 50 ms.

mod algorithm;
mod barrier;
mod bounded;
mod condition;
mod event;
mod holder;
mod home;
mod lock;
mod news;
mod rlock;
mod rwlock;
mod semaphore;

pub use crate::shm::{AcrossProcesses, Threads, WithinProcess};
pub(crate) use algorithm::Gate;
pub use barrier::{Barrier, BarrierBuilder};
pub use bounded::{BoundedSemaphore, BoundedSemaphoreGuard};
pub use condition::{Condition, ConditionGuard};
pub use event::Event;
pub use holder::Holder;
pub(crate) use home::STAYS;
pub use home::{Home, Travels};
pub use lock::{Lock, LockGuard};
pub(crate) use news::sealed::Repair;
pub(crate) use news::with_guard;
pub use news::{AcquireError, Guard, OwnerDied, TryAcquireError};
pub use rlock::{RLock, RLockGuard};
pub use rwlock::{RwLock, RwLockReadGuard, RwLockWriteGuard};
pub use semaphore::{Semaphore, SemaphoreGuard};
