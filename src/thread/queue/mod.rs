//! Queues between the threads of one process: who may put, who gets what, who must wait?
//!
//! All three kinds of [`OrderedQueue`] run by one algorithm ([`flow`](self::flow)) over a store that only knows an order
//! ([`order`](self::order)); [`SimpleQueue`] is that store for first in, first out, and a place to sleep.

mod error;
mod flow;
mod heap;
mod order;
mod ordered;
mod simple;
mod waiting;

pub use error::{Empty, ShutDown, TryGetError, TryPutError};
pub use order::{Fifo, Lifo, Order, Smallest};
pub use ordered::{Iter, LifoQueue, OrderedQueue, PriorityQueue, Queue};
pub use simple::SimpleQueue;
