//! A pool of threads: the verbs of a [`Pool`](super::Pool) for closures of any kind, nothing serialised.
//!
//! Where a task travels:
//!
//! 1. [`front`]: [`ThreadPool::apply_async`] puts the function, its arguments and a [promise](result) into a box, a *job*, and gives it to
//!    the [crew](crew), whose queue takes no lock.
//! 2. [`crew`]: a worker that looks for a job at this moment finds it, else one is woken.
//! 3. [`result`]: the promise is kept, or dropped, which says that the pool was terminated. So there is exactly one outcome, always.
//!
//! A [`map`](batch) is one object for all its items and a job for each worker, in which the worker takes chunk after chunk. An
//! [`imap`](feed) is one job, which goes round: whoever has it draws one item, passes it on, and calls the function.

mod batch;
mod crew;
mod feed;
mod front;
mod result;

pub use feed::ThreadImap;
pub use front::{ThreadPool, ThreadPoolBuilder};
pub use result::ThreadResult;
