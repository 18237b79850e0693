//! Bytes and values from one process to another.
//!
//! [`ring`] moves bytes: records in a ring of the arena, a lease for each end, positions published by one instruction.
//! [`values`] puts types on it, and the rest are its faces: [`queue`], [`simple_queue`], [`joinable_queue`], and the [`ends`] of a queue
//! that was split. `docs/design/queue.md` tells the protocol.

mod address;
mod auth;
pub(crate) mod authkey;
mod batch;
mod bytes;
pub(crate) mod challenge;
mod client;
mod connection;
mod connection_error;
mod ends;
mod error;
mod fd;
pub(crate) mod frame;
mod greeting;
mod greetings;
mod joinable_queue;
mod leased;
mod listener;
mod listener_builder;
mod loan;
#[cfg(feature = "python")]
mod pickle;
mod pipe;
mod queue;
mod ring;
mod simple_queue;
mod stream;
mod values;
mod wait;

pub use address::Address;
pub use authkey::AuthKey;
pub use batch::{Batch, Iter};
pub use client::{Client, ClientBuilder};
pub use connection::Connection;
pub use connection_error::RecvIntoError;
pub use ends::{Receiver, Sender};
pub use error::{GetError, PutError, TryGetError, TryPutError};
pub use fd::Fd;
pub use joinable_queue::{JoinableIter, JoinableQueue, JoinableQueueBuilder};
pub use leased::Leased;
pub use listener::Listener;
pub use listener_builder::ListenerBuilder;
pub use loan::Loan;
pub use pipe::Pipe;
pub use queue::Queue;
pub use simple_queue::SimpleQueue;
pub use wait::wait;
