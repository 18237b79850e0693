//! Python's `threading`: threads with names, and the same primitives between the threads of one process.

use crate::sync::{self, WithinProcess};

pub use crate::thread::{
    CallOnce, ExceptHookArgs, JoinHandle, Local, Run, Thread, ThreadBuilder, Timer, active_count,
    current_thread, enumerate, excepthook, get_ident, get_native_id, main_thread, reset_excepthook,
    set_excepthook, set_stack_size, spawn, stack_size,
};

/// A [lock](sync::Lock) between the threads of this process.
pub type Lock = sync::Lock<WithinProcess>;
/// A [recursive lock](sync::RLock) between the threads of this process.
pub type RLock = sync::RLock<WithinProcess>;
/// A [semaphore](sync::Semaphore) between the threads of this process.
pub type Semaphore = sync::Semaphore<WithinProcess>;
/// A [bounded semaphore](sync::BoundedSemaphore) between the threads of this process.
pub type BoundedSemaphore = sync::BoundedSemaphore<WithinProcess>;
/// A [condition](sync::Condition) between the threads of this process.
pub type Condition = sync::Condition<WithinProcess>;
/// A [read-write lock](sync::RwLock) between the threads of this process.
pub type RwLock = sync::RwLock<WithinProcess>;
/// A [barrier](sync::Barrier) between the threads of this process.
pub type Barrier = sync::Barrier<WithinProcess>;
/// An [event](sync::Event) between the threads of this process.
pub type Event = sync::Event<WithinProcess>;
