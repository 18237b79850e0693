//! `Pool`: functions called on a fixed number of worker processes.

use super::result::AsyncResult;
use super::shared::Shared;
use super::supervisor::{Line, Supervisor, start_worker};
use crate::call::{self, Arguments, Callable};
use crate::error::{Error, ErrorKind, Result};
use crate::process::{self, Context, StartMethod};
use crate::sys::atomic::Relaxed;
use crate::sys::os_thread::OsThread;
use crate::sys::private::Private;
use crate::wire;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt;
use std::sync::Arc;

/// A fixed number of worker processes that call functions.
///
/// Functions are sent as [`Process::new`](crate::Process::new) sends them: function items or closures without captures, arguments and
/// results serialised. A pool is used by the threads of the process that made it.
///
/// **When a worker dies**, by a signal, `exit`, `abort` or the kernel's memory killer, only the task that it ran is touched: it
/// fails with [`ErrorKind::WorkerDied`], or is retried ([`PoolBuilder::retries`]), and the worker is replaced. A panic is an outcome like
/// another and the worker lives on. **When this process dies**, its workers are killed by the kernel.
///
/// Dropping a pool terminates it; [`close`](Self::close) and [`join`](Self::join) are the polite end.
///
/// # Differences from Python
/// A task whose worker died has an outcome, where Python waits for ever; `map` with a chunk size of zero cannot be written; `terminate` ends
/// waiting results too. Initializers, callbacks, `imap` and `maxtasksperchild` are to come.
///
/// # Examples
/// ```
/// use multiproc::Pool;
///
/// fn is_prime(n: u32) -> bool {
///     n > 1 && (2..n).take_while(|d| d * d <= n).all(|d| n % d != 0)
/// }
///
/// let pool = Pool::new(2)?;
/// assert!(pool.apply(is_prime, (97,))?);
/// assert_eq!(pool.map(is_prime, 1..=6)?, [false, true, true, false, true, false]);
/// pool.close();
/// pool.join()?;
/// # Ok::<(), multiproc::Error>(())
/// ```
///
/// A closure that captures does not compile:
///
/// ```compile_fail,E0080
/// let pool = multiproc::Pool::new(1).unwrap();
/// let offset = 5;
/// let _ = pool.apply_async(move |n: u32| n + offset, (1,));
/// ```
pub struct Pool {
    shared: Arc<Shared>,
    line: Arc<Line>,
    wanted: usize,
    supervisor: Private<Option<OsThread>>,
}

impl Pool {
    /// A pool of so many workers, all started.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for none; otherwise as [`PoolBuilder::build`].
    pub fn new(workers: usize) -> Result<Self> {
        Self::builder().workers(workers).build()
    }

    /// A pool with options.
    pub fn builder() -> PoolBuilder {
        PoolBuilder {
            workers: None,
            retries: 0,
            method: None,
        }
    }

    /// Calls `function` on a worker and waits for its value.
    ///
    /// # Errors
    /// As [`apply_async`](Self::apply_async) and [`AsyncResult::get`].
    pub fn apply<F, A>(&self, function: F, arguments: A) -> Result<F::Output>
    where
        F: Callable<A>,
        A: Arguments,
        F::Output: Serialize + DeserializeOwned,
    {
        self.apply_async(function, arguments)?.get()
    }

    /// Lets a worker call `function`, and answers at once. Tasks are taken in the order in which they are given.
    ///
    /// # Errors
    /// [`ErrorKind::Encode`] when the arguments do not serialise; [`ErrorKind::Closed`]; [`ErrorKind::NoSpace`] when the arena is full of
    /// tasks and results; [`ErrorKind::Misuse`] in a process that did not make the pool.
    pub fn apply_async<F, A>(&self, function: F, arguments: A) -> Result<AsyncResult<F::Output>>
    where
        F: Callable<A>,
        A: Arguments,
        F::Output: Serialize,
    {
        let (bytes, cargo) = wire::encode(&arguments)?;
        let call = call::task::<F, A>(function);
        let place = self.shared.submit(call, bytes.as_slice(), cargo)?;
        Ok(AsyncResult::new(&self.shared, place))
    }

    /// Calls `function` with each item and gives the values in the order of the items. Items travel in chunks, four for each worker.
    ///
    /// # Errors
    /// The first failure in the order of the items, after all have ended; the other values of its chunk are lost with it. When a
    /// chunk cannot be given to the pool, as [`apply_async`](Self::apply_async), at once.
    pub fn map<F, T, I>(&self, function: F, items: I) -> Result<Vec<F::Output>>
    where
        F: Callable<(T,)>,
        T: Serialize + DeserializeOwned + Send + 'static,
        F::Output: Serialize + DeserializeOwned,
        I: IntoIterator<Item = T>,
    {
        let items: Vec<T> = items.into_iter().collect();
        let chunk = items.len().div_ceil(self.wanted * 4).max(1);
        let mut results = Vec::new();
        let mut items = items.into_iter();
        loop {
            let some: Vec<T> = items.by_ref().take(chunk).collect();
            if some.is_empty() {
                break;
            }
            results.push(self.apply_async(call::each(function), (some,))?);
        }
        results.iter().for_each(AsyncResult::wait);
        let mut values = Vec::new();
        for result in results {
            values.extend(result.get()?);
        }
        Ok(values)
    }

    /// Takes no more tasks. Workers leave when all are done.
    pub fn close(&self) {
        if self.shared.check_process().is_ok() {
            self.shared.close();
            self.line.call();
        }
    }

    /// Waits until all tasks are done and all workers have left.
    ///
    /// # Errors
    /// [`ErrorKind::Misuse`] before [`close`](Self::close) or [`terminate`](Self::terminate).
    pub fn join(&self) -> Result<()> {
        self.shared.check_process()?;
        if !self.shared.is_closed() {
            return Err(Error::new(
                ErrorKind::Misuse,
                "a pool is closed or terminated before it is joined",
            ));
        }
        if let Some(supervisor) = self.supervisor.lock().take()
            && !supervisor.join()
        {
            let text = "the supervisor of the pool panicked";
            return Err(Error::new(ErrorKind::Corrupt, text));
        }
        Ok(())
    }

    /// Kills the workers, and all processes in their groups, and waits until they are gone. Tasks that are not done end with
    /// [`ErrorKind::Terminated`].
    pub fn terminate(&self) {
        if self.shared.check_process().is_ok() {
            // First: a worker that leaves because the pool is closed must not be buried as one that has left, without its group.
            self.line.terminate();
            self.shared.close();
            let _joined = self.join();
        }
    }

    /// The process ids of the workers that live at this moment. A process that did not make the pool sees none.
    #[must_use]
    pub fn worker_pids(&self) -> Vec<u32> {
        if self.shared.check_process().is_err() {
            // The supervisor may have held the lock in the moment of the fork.
            return Vec::new();
        }
        let workers = self.line.workers.lock();
        workers
            .iter()
            .map(|worker| worker.pid.cast_unsigned())
            .collect()
    }

    /// How often workers died, and what became of their tasks.
    #[must_use]
    pub fn stats(&self) -> PoolStats {
        let counters = &self.shared.counters;
        PoolStats {
            deaths: counters.deaths.load(Relaxed),
            deaths_in_task: counters.deaths_in_task.load(Relaxed),
            retried: counters.retried.load(Relaxed),
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.terminate();
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("workers", &self.worker_pids())
            .field("closed", &self.shared.is_closed())
            .finish_non_exhaustive()
    }
}

/// Numbers of a pool since it was made; from [`Pool::stats`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PoolStats {
    /// Workers that died before the pool was closed, or otherwise than by leaving.
    pub deaths: u64,
    /// Those of them that ran a task.
    pub deaths_in_task: u64,
    /// Tasks that were queued again after that.
    pub retried: u64,
}

impl Context {
    /// A pool of so many workers that come to be by this context's start method.
    ///
    /// # Errors
    /// As [`Pool::new`].
    pub fn pool(self, workers: usize) -> Result<Pool> {
        self.pool_builder().workers(workers).build()
    }

    /// A pool with options, its workers made by this context's start method.
    pub fn pool_builder(self) -> PoolBuilder {
        Pool::builder().start_method(self.start_method())
    }
}

/// Options of a pool; from [`Pool::builder`].
#[derive(Clone, Debug)]
#[must_use = "call `build`"]
pub struct PoolBuilder {
    workers: Option<usize>,
    retries: u64,
    method: Option<StartMethod>,
}

impl PoolBuilder {
    /// How many workers; the default is the number of CPUs that this process may use.
    #[doc(alias = "processes")]
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = Some(workers);
        self
    }

    /// How often a task is tried again when its worker died; the default is 0. A task that is not idempotent should not be
    /// retried: the worker may have died after the work and before its result. Panics are not retried.
    pub fn retries(mut self, retries: u64) -> Self {
        self.retries = retries;
        self
    }

    /// How workers come to be. The default is the program's ([`set_start_method`](crate::set_start_method)). With
    /// [`StartMethod::Fork`] they share what this process has in memory, and the pool's own thread forks those that replace dead ones:
    /// see [`Process::fork`](crate::Process::fork) for what may hang then.
    pub fn start_method(mut self, method: StartMethod) -> Self {
        self.method = Some(method);
        self
    }

    /// The pool, its workers started.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for no workers; [`ErrorKind::NoSpace`]; and as [`Process::start`](crate::Process::start): what was started is
    /// ended then.
    pub fn build(self) -> Result<Pool> {
        let wanted = self.workers.unwrap_or_else(process::available_cpus);
        if wanted == 0 {
            let text = "a pool needs at least one worker";
            return Err(Error::new(ErrorKind::InvalidInput, text));
        }
        let method = self
            .method
            .or_else(process::chosen_method)
            .unwrap_or_default();
        let shared = Arc::new(Shared::new(method)?);
        let line = Arc::new(Line::new(Vec::new())?);
        let number = u32::try_from(wanted)
            .map_err(|_| Error::new(ErrorKind::InvalidInput, "too many workers"))?;
        let pool = Pool {
            shared,
            line,
            wanted,
            supervisor: Private::new(None),
        };
        let supervisor = Supervisor {
            shared: Arc::clone(&pool.shared),
            line: Arc::clone(&pool.line),
            wanted,
            retries: self.retries,
            number,
            barren: 0,
            taken: 0,
            failed: None,
        };
        let failed = (1..=number).try_for_each(|number| {
            let worker = start_worker(&pool.shared, number, |_| ())?;
            pool.line.workers.lock().push(worker);
            Ok::<(), Error>(())
        });
        let thread = supervisor.start().inspect_err(|_| {
            // Nobody else would.
            pool.line.kill_workers();
        })?;
        *pool.supervisor.lock() = Some(thread);
        // Dropping the pool ends the workers that were started before one failed.
        failed.map(|()| pool)
    }
}
