//! A pool of worker processes. No lock that a worker can die holding lies on the way of a task.
//!
//! Where a task travels:
//!
//! 1. [`front`]: [`Pool::apply_async`] encodes the arguments and takes a free [cell](table) in the arena: state, function, arguments,
//!    result. It marks the cell *queued* and puts a *hint* ("look at this cell") into the [dispatch ring](dispatch).
//! 2. [`worker`]: a worker notes the hint in its slot, moves the ring's head past it by compare-and-swap, claims the cell by
//!    compare-and-swap from queued to running, calls the function, writes the result into the cell and marks it *done*.
//! 3. [`result`]: [`AsyncResult::get`] sleeps on the cell's state itself; no thread lies between.
//! 4. [`supervisor`]: one thread sleeps on the workers' pidfds. When a worker dies, the one cell that it had noted tells all: still
//!    queued, it is hinted again; running on it, the task is retried or failed. Then the worker is replaced.
//!
//! Hints may be doubled or stale, cells tell the truth. Exactly one outcome per task, always. `docs/design/pool.md` tells why.

mod dispatch;
mod front;
mod result;
mod shared;
mod supervisor;
mod table;
mod threads;
mod worker;

pub use front::{Pool, PoolBuilder, PoolStats};
pub use result::AsyncResult;
pub use threads::{ThreadImap, ThreadPool, ThreadPoolBuilder, ThreadResult};
