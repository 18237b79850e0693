//! `Pool` on threads: the verbs of a pool of processes.

use crate::call::{Arguments, Callable};
use crate::error::Result;
use crate::pool::{ThreadPool, ThreadResult};

/// A [`ThreadPool`] with the rule of a [`Pool`](crate::Pool) of processes: functions without captures, arguments that serialise.
///
/// # Examples
/// ```
/// let pool = multiproc::dummy::Pool::new(2)?;
/// assert_eq!(pool.map(|n: u64| n * n, 1..=4)?, [1, 4, 9, 16]);
/// # Ok::<(), multiproc::Error>(())
/// ```
#[derive(Debug)]
pub struct Pool {
    threads: ThreadPool,
}

impl Pool {
    /// Starts so many threads.
    ///
    /// # Errors
    /// As [`ThreadPool::new`].
    pub fn new(workers: usize) -> Result<Self> {
        let threads = ThreadPool::new(workers)?;
        Ok(Self { threads })
    }

    /// Calls `function` with `arguments` on a worker, and waits for the value.
    ///
    /// # Errors
    /// As [`ThreadPool::apply`].
    pub fn apply<F, A>(&self, function: F, arguments: A) -> Result<F::Output>
    where
        F: Callable<A>,
        A: Arguments,
        F::Output: Send + 'static,
    {
        self.threads.apply(move || function.call(arguments), ())
    }

    /// Calls `function` with `arguments` on a worker.
    ///
    /// # Errors
    /// As [`ThreadPool::apply_async`].
    pub fn apply_async<F, A>(&self, function: F, arguments: A) -> Result<ThreadResult<F::Output>>
    where
        F: Callable<A>,
        A: Arguments,
        F::Output: Send + 'static,
    {
        self.threads
            .apply_async(move || function.call(arguments), ())
    }

    /// Calls `function` with each item, and gives the values in their order.
    ///
    /// # Errors
    /// As [`ThreadPool::map`].
    pub fn map<F, T, I>(&self, function: F, items: I) -> Result<Vec<F::Output>>
    where
        F: Callable<(T,)> + Sync,
        T: Arguments,
        F::Output: Send + 'static,
        I: IntoIterator<Item = T>,
    {
        self.threads.map(move |item| function.call((item,)), items)
    }

    /// Takes no more tasks; the workers end when all are done.
    pub fn close(&self) {
        self.threads.close();
    }

    /// Waits for the workers' end, after [`close`](Self::close) or [`terminate`](Self::terminate).
    ///
    /// # Errors
    /// As [`ThreadPool::join`].
    pub fn join(&self) -> Result<()> {
        self.threads.join()
    }

    /// Drops the tasks that have not begun, and waits for the others: a thread cannot be ended.
    pub fn terminate(&self) {
        // Only a task of its own is refused.
        let _refused = self.threads.terminate();
    }
}
