//! Python's `multiprocessing.dummy`: the nouns and verbs of this crate's root, on threads.
//!
//! A program that says `use multiproc::dummy as mp` in the place of `use multiproc as mp` runs on threads, as far as it uses what both
//! have. One that shall run on either is generic over [`Backend`]: [`Processes`] and [`Threads`] are the two, and
//! `examples/threads_or_processes.rs` is switched between them by a flag.
//!
//! The handles here serialise as far as their types say, so that the same text compiles; to send one to another process is an error
//! where it is sent, as it is in Python.

/// Handles that stay in their process, though their types say that they travel.
macro_rules! stays {
    ($name:ident<$($param:ident),*>) => {
        impl<$($param),*> serde::Serialize for $name<$($param),*> {
            fn serialize<Out: serde::Serializer>(&self, _serializer: Out) -> Result<Out::Ok, Out::Error> {
                Err(serde::ser::Error::custom(crate::sync::STAYS))
            }
        }

        impl<'de, $($param),*> serde::Deserialize<'de> for $name<$($param),*> {
            fn deserialize<In: serde::Deserializer<'de>>(_deserializer: In) -> Result<Self, In::Error> {
                Err(serde::de::Error::custom(crate::sync::STAYS))
            }
        }
    };
}

mod backend;
mod carriers;
mod joinable;
mod pipe;
mod pool;
mod process;
mod queue;
mod runners;

pub use backend::Backend;
pub use carriers::{
    BackendConnection, BackendJoinableQueue, BackendLeased, BackendQueue, BackendSimpleQueue,
    JoinableVerbs, Message,
};
pub use joinable::{JoinableQueue, Leased};
pub use pipe::{Connection, Pipe};
pub use pool::Pool;
pub use process::{Process, active_children, spawn};
pub use queue::{Queue, SimpleQueue};
pub use runners::{BackendAsyncResult, BackendJoinHandle, BackendPool, BackendProcess};

pub use crate::process::{available_cpus, cpu_count};
use crate::sync;
pub use crate::sync::{AcrossProcesses as Processes, Threads};
pub use crate::thread::{JoinHandle, current_thread as current_process};
pub use crate::value::{Array, RawArray, RawValue, Value};

/// The verbs of what a [`Backend`] has, for programs that are generic over it: `use multiproc::dummy::prelude::*`.
pub mod prelude {
    pub use super::{
        BackendAsyncResult as _, BackendConnection as _, BackendJoinHandle as _,
        BackendJoinableQueue as _, BackendLeased as _, BackendPool as _, BackendProcess as _,
        BackendQueue as _, BackendSimpleQueue as _, JoinableVerbs as _,
    };
}

/// A [lock](sync::Lock) between threads, where one between processes could be.
pub type Lock = sync::Lock<Threads>;
/// A [recursive lock](sync::RLock) between threads, where one between processes could be.
pub type RLock = sync::RLock<Threads>;
/// A [semaphore](sync::Semaphore) between threads, where one between processes could be.
pub type Semaphore = sync::Semaphore<Threads>;
/// A [bounded semaphore](sync::BoundedSemaphore) between threads, where one between processes could be.
pub type BoundedSemaphore = sync::BoundedSemaphore<Threads>;
/// A [condition](sync::Condition) between threads, where one between processes could be.
pub type Condition = sync::Condition<Threads>;
/// A [read-write lock](sync::RwLock) between threads, where one between processes could be.
pub type RwLock = sync::RwLock<Threads>;
/// A [barrier](sync::Barrier) between threads, where one between processes could be.
pub type Barrier = sync::Barrier<Threads>;
/// An [event](sync::Event) between threads, where one between processes could be.
pub type Event = sync::Event<Threads>;
