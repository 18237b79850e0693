//! `ThreadPool`: functions called on a fixed number of threads.

use super::batch;
use super::crew::{Crew, Job};
use super::feed::{self, Arrangement, ThreadImap};
use super::result::{Promise, ThreadResult, panicked};
use crate::error::{Error, ErrorKind, Result};
use crate::process;
use crate::thread::{CallOnce, Thread, catch, panics};
use std::fmt;
use std::sync::Arc;

/// A fixed number of threads that call functions: Python's `multiprocessing.pool.ThreadPool`, with the verbs of a [`Pool`](crate::Pool).
///
/// Nothing is serialised: functions are closures of any kind, with what they capture, and arguments and values are moved. A pool is used by
/// all threads of the process that made it, its own tasks among them; in a forked child every verb is an [`ErrorKind::Misuse`].
///
/// A panic is an outcome like another, and the worker lives on. The workers are daemon threads named `"ThreadPool-1_worker-1"`. Tasks begin in
/// the order in which they were given.
///
/// Dropping a pool terminates it; [`close`](Self::close) and [`join`](Self::join) are the polite end.
///
/// **Tasks that wait for tasks.** A task may give tasks to its own pool. One that waits for them has its worker wait: when all workers do, they
/// wait for ever, as in Python. What can be seen to hang is refused: a task that joins or terminates its own pool. Where a task drops the pool's
/// last handle, the pool is terminated and nobody waits.
///
/// # Differences from Python
/// `map` with a chunk size of zero is an error, `terminate` ends waiting results too, and an initializer that panics is an error of
/// [`ThreadPoolBuilder::build`], where Python starts new workers for ever. Callbacks are to come.
///
/// # Examples
/// ```
/// use multiproc::ThreadPool;
///
/// let words = ["one", "three", "five"].map(String::from);
/// let pool = ThreadPool::new(2)?;
/// let suffix = String::from("!");
/// let loud = move |word: String| word.to_uppercase() + &suffix;
/// assert_eq!(pool.map(loud, words)?, ["ONE!", "THREE!", "FIVE!"]);
/// assert_eq!(pool.apply(u32::pow, (2, 5))?, 32);
/// pool.close();
/// pool.join()?;
/// # Ok::<(), multiproc::Error>(())
/// ```
pub struct ThreadPool {
    crew: Arc<Crew>,
    workers: Vec<Thread>,
}

impl ThreadPool {
    /// A pool of so many workers, all started.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for none; otherwise as [`ThreadPoolBuilder::build`].
    pub fn new(workers: usize) -> Result<Self> {
        Self::builder().workers(workers).build()
    }

    /// A pool with options.
    pub fn builder() -> ThreadPoolBuilder {
        ThreadPoolBuilder {
            workers: None,
            initializer: None,
            name: None,
        }
    }

    /// How many workers it has.
    #[must_use]
    pub fn workers(&self) -> usize {
        self.workers.len()
    }

    /// Calls `function` on a worker and waits for its value.
    ///
    /// # Errors
    /// As [`apply_async`](Self::apply_async) and [`ThreadResult::get`].
    pub fn apply<F, A>(&self, function: F, arguments: A) -> Result<F::Output>
    where
        F: CallOnce<A> + Send + 'static,
        A: Send + 'static,
        F::Output: Send + 'static,
    {
        self.apply_async(function, arguments)?.get()
    }

    /// Lets a worker call `function` with the tuple `arguments`, and answers at once.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`]; [`ErrorKind::Misuse`] in a process that did not make the pool.
    pub fn apply_async<F, A>(&self, function: F, arguments: A) -> Result<ThreadResult<F::Output>>
    where
        F: CallOnce<A> + Send + 'static,
        A: Send + 'static,
        F::Output: Send + 'static,
    {
        let (promise, result) = ThreadResult::new();
        self.crew.give(Box::new(Task {
            promise,
            function,
            arguments,
        }))?;
        Ok(result)
    }

    /// Calls `function` with each item and gives the values in the order of the items. Workers take them in chunks, four for each worker.
    ///
    /// # Errors
    /// The first failure in the order of the items, after all have ended; what comes after a panic in its chunk is not called. Otherwise as
    /// [`apply`](Self::apply).
    pub fn map<F, T, R, I>(&self, function: F, items: I) -> Result<Vec<R>>
    where
        F: Fn(T) -> R + Send + Sync + 'static,
        T: Send + 'static,
        R: Send + 'static,
        I: IntoIterator<Item = T>,
    {
        self.map_async(function, items)?.get()
    }

    /// The same, in chunks of so many items.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for chunks of none; otherwise as [`map`](Self::map).
    pub fn map_chunked<F, T, R, I>(&self, function: F, items: I, chunk: usize) -> Result<Vec<R>>
    where
        F: Fn(T) -> R + Send + Sync + 'static,
        T: Send + 'static,
        R: Send + 'static,
        I: IntoIterator<Item = T>,
    {
        if chunk == 0 {
            let text = "a chunk has at least one item";
            return Err(Error::new(ErrorKind::InvalidInput, text));
        }
        self.start_map(function, items.into_iter(), chunk)?.get()
    }

    /// As [`map`](Self::map), and answers at once.
    ///
    /// # Errors
    /// As [`apply_async`](Self::apply_async).
    pub fn map_async<F, T, R, I>(&self, function: F, items: I) -> Result<ThreadResult<Vec<R>>>
    where
        F: Fn(T) -> R + Send + Sync + 'static,
        T: Send + 'static,
        R: Send + 'static,
        I: IntoIterator<Item = T>,
    {
        let items: Vec<T> = items.into_iter().collect();
        let chunk = items.len().div_ceil(self.workers().saturating_mul(4));
        self.start_map(function, items.into_iter(), chunk.max(1))
    }

    fn start_map<F, T, R>(
        &self,
        function: F,
        items: impl Iterator<Item = T>,
        chunk: usize,
    ) -> Result<ThreadResult<Vec<R>>>
    where
        F: Fn(T) -> R + Send + Sync + 'static,
        T: Send + 'static,
        R: Send + 'static,
    {
        let (promise, result) = ThreadResult::new();
        batch::start(&self.crew, self.workers(), function, items, chunk, promise)?;
        Ok(result)
    }

    /// As [`map`](Self::map), each item a tuple of the function's arguments.
    ///
    /// # Errors
    /// As [`map`](Self::map).
    ///
    /// # Examples
    /// ```
    /// let pool = multiproc::ThreadPool::new(2)?;
    /// let powers = pool.starmap(u64::pow, [(2, 5), (3, 2), (10, 3)])?;
    /// assert_eq!(powers, [32, 9, 1000]);
    /// # Ok::<(), multiproc::Error>(())
    /// ```
    pub fn starmap<F, A, R, I>(&self, function: F, items: I) -> Result<Vec<R>>
    where
        F: Send + Sync + 'static,
        for<'f> &'f F: CallOnce<A, Output = R>,
        A: Send + 'static,
        R: Send + 'static,
        I: IntoIterator<Item = A>,
    {
        self.map(move |arguments| (&function).call_once(arguments), items)
    }

    /// Calls `function` with each item and gives the values one by one, in the order of the items, as they come.
    ///
    /// The workers draw the items themselves, one at a time and as fast as they can, so the iterator moves to them. It may be endless: drop the
    /// results when you have enough. A draw that waits keeps one worker waiting.
    ///
    /// # Errors
    /// As [`apply_async`](Self::apply_async); each result has its own.
    ///
    /// # Examples
    /// ```
    /// let pool = multiproc::ThreadPool::new(2)?;
    /// let mut squares = pool.imap(|n: u64| n * n, 1..)?;
    /// assert_eq!(squares.next().unwrap()?, 1);
    /// assert_eq!(squares.nth(98).unwrap()?, 10_000);
    /// # Ok::<(), multiproc::Error>(())
    /// ```
    pub fn imap<F, R, I>(&self, function: F, items: I) -> Result<ThreadImap<R>>
    where
        F: Fn(I::Item) -> R + Send + Sync + 'static,
        R: Send + 'static,
        I: IntoIterator,
        I::IntoIter: Send + 'static,
    {
        let items = items.into_iter();
        feed::start(&self.crew, function, items, Arrangement::ByItem)
    }

    /// The same, each value as soon as it is there.
    ///
    /// # Errors
    /// As [`imap`](Self::imap).
    pub fn imap_unordered<F, R, I>(&self, function: F, items: I) -> Result<ThreadImap<R>>
    where
        F: Fn(I::Item) -> R + Send + Sync + 'static,
        R: Send + 'static,
        I: IntoIterator,
        I::IntoIter: Send + 'static,
    {
        let items = items.into_iter();
        feed::start(&self.crew, function, items, Arrangement::AsTheyCome)
    }

    /// Takes no more tasks. Workers leave when all are done, the items of an [`imap`](Self::imap) among them.
    pub fn close(&self) {
        if self.crew.check_process().is_ok() {
            self.crew.close();
        }
    }

    /// Waits until all tasks are done and all workers have left.
    ///
    /// # Errors
    /// [`ErrorKind::Misuse`] before [`close`](Self::close) or [`terminate`](Self::terminate), and in a task of this pool.
    pub fn join(&self) -> Result<()> {
        self.crew.check_process()?;
        if !self.crew.is_closed() {
            return Err(Error::new(
                ErrorKind::Misuse,
                "a pool is closed or terminated before it is joined",
            ));
        }
        self.check_outside()?;
        self.workers.iter().try_for_each(Thread::join)
    }

    /// Drops the tasks that have not begun, whose results are [`ErrorKind::Terminated`], and waits for those that run: a thread cannot be
    /// stopped from outside.
    ///
    /// # Errors
    /// [`ErrorKind::Misuse`] in a task of this pool, and in a process that did not make it; nothing happens then.
    pub fn terminate(&self) -> Result<()> {
        self.crew.check_process()?;
        self.check_outside()?;
        self.crew.terminate();
        self.join()
    }

    fn check_outside(&self) -> Result<()> {
        if self.crew.is_own() {
            let text = "a task would wait for itself: a pool is joined and terminated from outside";
            return Err(Error::new(ErrorKind::Misuse, text));
        }
        Ok(())
    }
}

impl Drop for ThreadPool {
    fn drop(&mut self) {
        if self.crew.check_process().is_ok() {
            self.crew.terminate();
            // In a task there is nobody to wait: the others leave, and this worker when it has done its task.
            let _own = self.join();
        }
    }
}

impl fmt::Debug for ThreadPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ThreadPool")
            .field("workers", &self.workers())
            .field("closed", &self.crew.is_closed())
            .finish_non_exhaustive()
    }
}

/// A call that waits for a worker.
struct Task<F: CallOnce<A>, A> {
    // The first field is dropped first: who waits for it does not wait for destructors of the user's.
    promise: Promise<F::Output>,
    function: F,
    arguments: A,
}

impl<F, A> Job for Task<F, A>
where
    F: CallOnce<A> + Send,
    A: Send,
    F::Output: Send,
{
    fn run(self: Box<Self>, _crew: &Crew) {
        let Self {
            promise,
            function,
            arguments,
        } = *self;
        let called = catch(true, || function.call_once(arguments));
        promise.keep(called.map_err(panicked));
    }
}

type Initializer = Arc<dyn Fn() + Send + Sync>;

/// Options of a pool of threads; from [`ThreadPool::builder`].
#[must_use = "call `build`"]
pub struct ThreadPoolBuilder {
    workers: Option<usize>,
    initializer: Option<Initializer>,
    name: Option<String>,
}

impl ThreadPoolBuilder {
    /// How many workers; the default is the number of CPUs that this process may use.
    #[doc(alias = "processes")]
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = Some(workers);
        self
    }

    /// What each worker does first.
    pub fn initializer(mut self, initializer: impl Fn() + Send + Sync + 'static) -> Self {
        self.initializer = Some(Arc::new(initializer));
        self
    }

    /// What the names of the workers begin with; the default is `"ThreadPool-1"`, and its first worker `"ThreadPool-1_worker-1"`.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// The pool, its workers started and through with their initializers.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for no workers; [`ErrorKind::Os`] when the system has no more threads; [`ErrorKind::Panicked`] when an initializer
    /// did. What was started is ended then.
    pub fn build(self) -> Result<ThreadPool> {
        let wanted = self.workers.unwrap_or_else(process::available_cpus);
        if wanted == 0 {
            let text = "a pool needs at least one worker";
            return Err(Error::new(ErrorKind::InvalidInput, text));
        }
        panics::install();
        let crew = Arc::new(Crew::new());
        let name = self.name;
        let name = name.unwrap_or_else(|| format!("ThreadPool-{}", crew.number));
        // Dropping it ends the workers that were started before something failed.
        let mut pool = ThreadPool {
            crew,
            workers: Vec::new(),
        };
        let mut ready = Vec::new();
        for number in 1..=wanted {
            let name = format!("{name}_worker-{number}");
            let (worker, result) = start(&pool.crew, name, self.initializer.clone())?;
            pool.workers.push(worker);
            ready.extend(result);
        }
        ready.into_iter().try_for_each(ThreadResult::get)?;
        Ok(pool)
    }
}

/// A worker, and what says that it is through with its initializer.
fn start(
    crew: &Arc<Crew>,
    name: String,
    initializer: Option<Initializer>,
) -> Result<(Thread, Option<ThreadResult<()>>)> {
    let (prepare, ready) = initializer
        .map(|initializer| {
            let (promise, result) = ThreadResult::new();
            ((initializer, promise), result)
        })
        .unzip();
    let crew = Arc::clone(crew);
    let life = move || {
        if let Some((initializer, promise)) = prepare {
            let done = catch(true, || initializer());
            let failed = done.is_err();
            promise.keep(done.map_err(panicked));
            if failed {
                return;
            }
        }
        crew.work();
    };
    let worker = Thread::builder(life).name(name).daemon(true).start()?;
    Ok((worker, ready))
}

impl fmt::Debug for ThreadPoolBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ThreadPoolBuilder")
            .field("workers", &self.workers)
            .field("initializer", &self.initializer.is_some())
            .field("name", &self.name)
            .finish()
    }
}
