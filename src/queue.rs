//! Python's `queue`: queues between the threads of one process.
//!
//! | | order | |
//! |---|---|---|
//! | [`Queue`] | first in, first out | `maxsize`, `task_done` and `join`, `shutdown` |
//! | [`LifoQueue`] | last in, first out | the same |
//! | [`PriorityQueue`] | smallest first | the same |
//! | [`SimpleQueue`] | first in, first out | only `put` and `get` |
//!
//! For queues between processes see [`multiproc::Queue`](crate::Queue).

pub use crate::thread::queue::{
    Empty, Fifo, Iter, Lifo, LifoQueue, Order, OrderedQueue, PriorityQueue, Queue, ShutDown,
    SimpleQueue, Smallest, TryGetError, TryPutError,
};
