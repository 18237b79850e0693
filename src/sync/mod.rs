//! Who may go on, who must wait: one algorithm, two homes.
//!
//! A lock is a few atomic words and a rule. Whether it guards threads or processes depends on where the words live and on one
//! flag of the futex call, so each primitive is written once, over a [`Home`]: [`AcrossProcesses`] (the arena) or
//! [`WithinProcess`] (the heap). `multiproc::Lock` and `multiproc::threading::Lock` are names of the two.

mod home;
mod lock;

pub use crate::shm::{AcrossProcesses, WithinProcess};
pub use home::Home;
pub use lock::{AcquireError, Lock, LockGuard, OwnerDied, TryAcquireError};
