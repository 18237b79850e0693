//! Bytes and values from one process to another.
//!
//! [`ring`] moves bytes: records in a ring of the arena, a lease for each end, positions published by one instruction.
//! [`queue`] puts types on it. `docs/design/queue.md` tells the protocol.

mod error;
mod queue;
mod ring;

pub use error::{GetError, PutError, TryGetError, TryPutError};
pub use queue::Queue;
