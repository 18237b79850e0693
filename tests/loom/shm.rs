//! The lease, where the rules look for it.

#[path = "../../src/shm/lease.rs"]
pub(crate) mod lease;

pub(crate) use crate::futex::Threads as WithinProcess;
pub(crate) use lease::{Keeper, Lease, Taken};
