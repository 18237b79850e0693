//! Python's `multiprocessing` for Rust on Linux: the same nouns and verbs, processes that may die at any instruction, and work on
//! processes nearly as fast as on threads.
//!
//! # A tour
//!
//! A [`Process`] runs a function in a process of its own. There is nothing to set up: no `init()` in `main`, no macro.
//!
//! ```
//! use multiproc::{Process, Queue};
//!
//! fn worker(name: String, results: Queue<String>) {
//!     results.put(format!("hello, {name}")).expect("the parent reads");
//! }
//!
//! let results = Queue::new()?;
//! let mut process = Process::new(worker, ("bob".to_string(), results.clone()));
//! process.start()?;
//! assert_eq!(results.get()?, "hello, bob");
//! assert_eq!(process.join()?, 0);
//! # Ok::<(), multiproc::Error>(())
//! ```
//!
//! A [`Pool`] calls functions on a fixed number of processes. A worker that dies fails or retries its own task, and is replaced.
//!
//! ```
//! let pool = multiproc::Pool::new(2)?;
//! assert_eq!(pool.map(|n: u64| n * n, 1..=4)?, [1, 4, 9, 16]);
//! # Ok::<(), multiproc::Error>(())
//! ```
//!
//! A [`Lock`] is held by one thread of any process, and says so when its owner died; a [`Queue`] carries values, and handles of all
//! these types, between any of them.
//!
//! [`threading`] and [`queue`] are the same for the threads of one process, with [`ThreadPool`] and [`ThreadLocal`]; a program that is
//! generic over [`Backend`] runs on threads or on processes.
//!
//! # The rule that everybody must know
//!
//! [`Process::new`] and the pool *send* their function: it is a function item or a closure without captures, its arguments are
//! serialised (serde), and it runs in a process that shares no memory with this one but the [`arena`].
//!
//! # Three promises
//!
//! Nothing hangs and nothing is lost when a process dies. Python's shapes, Rust's types. Process work at thread speed. The
//! repository's `docs/guarantees.md` says what each verb does when a process dies in it, and names the tests.

mod call;
pub mod dummy;
mod error;
mod ipc;
mod named;
mod pool;
mod process;
pub mod queue;
mod shm;
pub mod signal;
pub mod sync;
mod sys;
mod thread;
pub mod threading;
mod value;
mod wire;

pub use bytemuck;
pub use call::{Arguments, Callable};
pub use dummy::{Backend, Processes, Threads};
pub use error::{Error, ErrorKind, RemoteError, Result};
pub use ipc::{
    Address, AuthKey, Batch, Client, ClientBuilder, Connection, Fd, GetError, Iter, JoinableIter,
    JoinableQueue, JoinableQueueBuilder, Leased, Listener, ListenerBuilder, Loan, Pipe, PutError,
    Queue, Receiver, RecvIntoError, Sender, SimpleQueue, TryGetError, TryPutError, wait,
};
pub use named::{NamedPipe, NamedPipeLines, NamedPipeReader, NamedPipeWriter, cleanup};
pub use pool::{
    AsyncResult, Pool, PoolBuilder, PoolStats, ThreadImap, ThreadPool, ThreadPoolBuilder,
    ThreadResult,
};
pub use process::{
    Context, CurrentProcess, JoinHandle, ParentProcess, Process, ProcessBuilder, ProcessState,
    StartMethod, active_children, all_start_methods, at_exit, at_fork, available_cpus, cpu_count,
    current_process, force_start_method, fork, init, log_to_stderr, os, parent_process,
    set_executable, set_forkserver_preload, set_spare_children, set_start_method, spawn,
    start_method,
};
pub use sync::{AcquireError, Holder, OwnerDied, TryAcquireError};
pub use thread::{Local as ThreadLocal, Run};
pub use value::{Array, ArrayGuard, Integer, Plain, RawArray, RawValue, Value, ValueGuard};

/// A [lock](sync::Lock) between processes.
pub type Lock = sync::Lock<sync::AcrossProcesses>;
/// A [recursive lock](sync::RLock) between processes.
pub type RLock = sync::RLock<sync::AcrossProcesses>;
/// A [semaphore](sync::Semaphore) between processes.
pub type Semaphore = sync::Semaphore<sync::AcrossProcesses>;
/// A [bounded semaphore](sync::BoundedSemaphore) between processes.
pub type BoundedSemaphore = sync::BoundedSemaphore<sync::AcrossProcesses>;
/// A [condition](sync::Condition) between processes.
pub type Condition = sync::Condition<sync::AcrossProcesses>;
/// A [read-write lock](sync::RwLock) between processes.
pub type RwLock = sync::RwLock<sync::AcrossProcesses>;
/// A [barrier](sync::Barrier) between processes.
pub type Barrier = sync::Barrier<sync::AcrossProcesses>;
/// An [event](sync::Event) between processes.
pub type Event = sync::Event<sync::AcrossProcesses>;

/// The memory that a family of processes shares: its size, and how full it is.
pub mod arena {
    pub use crate::shm::arena::set_size;
    pub use crate::shm::usage::{Usage, usage};
}

/// Python's `multiprocessing.shared_memory`: segments of memory, and lists in them, that processes share by name, Python programs among them.
pub mod shared_memory {
    pub use crate::named::{Item, ShareableList, ShareableListIter, SharedMemory};
}

/// The halves of the handshake, for connections that were not made by a [`Listener`] and a [`Client`].
pub mod auth {
    pub use crate::ipc::challenge::{answer_challenge, deliver_challenge};
}

/// The program in the README compiles and runs.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
