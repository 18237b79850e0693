//! Python's `threading`: threads with names, and the same primitives between the threads of one process.
//!
//! # What needs no lock, and what does not compile
//!
//! Two threads that add to a global number without a lock, the first experiment of every course, are no program in Rust:
//!
//! ```compile_fail
//! static mut COUNT: u64 = 0;
//!
//! let add = || (0..1_000_000).for_each(|_| COUNT += 1);
//! let threads = [multiproc::threading::Thread::new(add), multiproc::threading::Thread::new(add)];
//! ```
//!
//! Nor are two that share a number which they have borrowed:
//!
//! ```compile_fail
//! let mut count = 0;
//! let add = || (0..1_000_000).for_each(|_| count += 1);
//! let thread = multiproc::threading::Thread::new(add);
//! count += 1;
//! thread.start().expect("a thread");
//! ```
//!
//! With an atomic number it is one. To load and to store are two steps, so without the lock counts are lost:
//!
//! ```
//! use multiproc::threading::{Lock, Thread};
//! use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
//!
//! static COUNT: AtomicU64 = AtomicU64::new(0);
//!
//! let lock = Lock::new()?;
//! let threads = [0, 1].map(|_| {
//!     let lock = lock.clone();
//!     Thread::new(move || {
//!         for _ in 0..1000 {
//!             let _guard = lock.acquire().expect("a lock of this process");
//!             COUNT.store(COUNT.load(Relaxed) + 1, Relaxed);
//!         }
//!     })
//! });
//! for thread in &threads {
//!     thread.start()?;
//! }
//! for thread in &threads {
//!     thread.join()?;
//! }
//! assert_eq!(COUNT.load(Relaxed), 2000);
//! # Ok::<(), multiproc::Error>(())
//! ```

use crate::sync::{self, WithinProcess};

pub use crate::thread::{
    CallOnce, ExceptHookArgs, JoinHandle, Local, Run, Thread, ThreadBuilder, Timer, active_count,
    current_thread, default_excepthook, enumerate, excepthook, get_ident, get_native_id,
    main_thread, reset_excepthook, set_excepthook, set_stack_size, spawn, stack_size,
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
