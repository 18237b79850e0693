//! `Backend`: what a program needs that is to run on threads or on processes.

use super::carriers::{
    BackendConnection, BackendJoinableQueue, BackendQueue, BackendSimpleQueue, Message,
};
use super::process;
use super::runners::{BackendJoinHandle, BackendPool, BackendProcess};
use crate::call::{Arguments, Callable};
use crate::error::Result;
use crate::sync::{AcrossProcesses, Threads, Travels};
use crate::{ipc, pool, process as processes, thread};

/// Threads or processes: a program that is generic over it runs on both, and can be measured on both.
///
/// [`Processes`](crate::Processes) and [`Threads`](crate::Threads) are the two. Their nouns have the same verbs, which a generic program
/// imports by [`dummy::prelude`](super::prelude); what only one of them could do ([`Process::kill`](crate::Process::kill), say) is not there. The primitives are those of [`sync`](crate::sync), with the
/// backend for a home: `Lock<B>`, `Event<B>` and so on. [`Value`](crate::Value), [`Array`](crate::Array) and the functions of the crate's
/// root serve both.
///
/// Functions and arguments keep the rule of processes on both: a function item or a closure without captures, called with values that
/// serialise. On threads nothing *is* serialised.
///
/// # Examples
/// ```
/// use multiproc::dummy::prelude::*;
/// use multiproc::sync::Lock;
/// use multiproc::{Backend, Processes, Result, Threads, Value};
///
/// fn add<B: Backend>(lock: Lock<B>, sum: Value<u64>, number: u64) {
///     let _guard = lock.acquire().expect("nobody dies");
///     sum.set(sum.get().expect("a number") + number).expect("a number");
/// }
///
/// fn sum<B: Backend>() -> Result<u64> {
///     let (lock, sum) = (Lock::<B>::new()?, Value::new(0)?);
///     let adders = (1..=4).map(|n| B::spawn(add::<B>, (lock.clone(), sum.clone(), n)));
///     for adder in adders.collect::<Result<Vec<_>>>()? {
///         adder.join()?;
///     }
///     Ok(sum.get()?)
/// }
///
/// assert_eq!(sum::<Threads>()?, 10);
/// assert_eq!(sum::<Processes>()?, 10);
/// # Ok::<(), multiproc::Error>(())
/// ```
pub trait Backend: Travels {
    /// `"processes"` or `"threads"`.
    const NAME: &'static str;

    /// [`Process`](crate::Process), or a thread with its verbs.
    type Process: BackendProcess;
    /// What [`spawn`](Self::spawn) gives.
    type JoinHandle<R: Message>: BackendJoinHandle<R>;
    /// [`Pool`](crate::Pool), or [`ThreadPool`](crate::ThreadPool) with its verbs.
    type Pool: BackendPool;
    /// [`Queue`](crate::Queue), or [`queue::Queue`](crate::queue::Queue) with its verbs.
    type Queue<T: Message>: BackendQueue<T>;
    /// [`JoinableQueue`](crate::JoinableQueue), or a queue of threads with its verbs.
    type JoinableQueue<T: Message>: BackendJoinableQueue<T>;
    /// [`SimpleQueue`](crate::SimpleQueue), or [`queue::SimpleQueue`](crate::queue::SimpleQueue) with its verbs.
    type SimpleQueue<T: Message>: BackendSimpleQueue<T>;
    /// [`Connection`](crate::Connection), or an end of two queues with its verbs.
    type Connection<S: Message, R: Message>: BackendConnection<S, R>;

    /// Calls `function` with `arguments`, in a new process or on a new thread: [`spawn`](crate::spawn).
    ///
    /// # Errors
    /// As [`Process::start`](crate::Process::start).
    fn spawn<F, A>(function: F, arguments: A) -> Result<Self::JoinHandle<F::Output>>
    where
        F: Callable<A>,
        A: Arguments,
        F::Output: Message;

    /// Two connected ends: [`Pipe::new`](crate::Pipe::new).
    ///
    /// # Errors
    /// [`ErrorKind::Os`](crate::ErrorKind::Os) when there is no room for two descriptors.
    #[expect(clippy::type_complexity, reason = "two ends, each of two types")]
    fn pipe<S: Message, R: Message>() -> Result<(Self::Connection<S, R>, Self::Connection<R, S>)>;

    /// The name of the process, or of the thread, that asks: [`current_process`](crate::current_process).
    fn current_name() -> String;
}

impl Backend for AcrossProcesses {
    const NAME: &'static str = "processes";

    type Process = processes::Process;
    type JoinHandle<R: Message> = processes::JoinHandle<R>;
    type Pool = pool::Pool;
    type Queue<T: Message> = ipc::Queue<T>;
    type JoinableQueue<T: Message> = ipc::JoinableQueue<T>;
    type SimpleQueue<T: Message> = ipc::SimpleQueue<T>;
    type Connection<S: Message, R: Message> = ipc::Connection<S, R>;

    fn spawn<F, A>(function: F, arguments: A) -> Result<processes::JoinHandle<F::Output>>
    where
        F: Callable<A>,
        A: Arguments,
        F::Output: Message,
    {
        processes::spawn(function, arguments)
    }

    fn pipe<S: Message, R: Message>() -> Result<(ipc::Connection<S, R>, ipc::Connection<R, S>)> {
        ipc::Pipe::new()
    }

    fn current_name() -> String {
        processes::current_process().name().to_owned()
    }
}

impl Backend for Threads {
    const NAME: &'static str = "threads";

    type Process = super::Process;
    type JoinHandle<R: Message> = thread::JoinHandle<R>;
    type Pool = super::Pool;
    type Queue<T: Message> = super::Queue<T>;
    type JoinableQueue<T: Message> = super::JoinableQueue<T>;
    type SimpleQueue<T: Message> = super::SimpleQueue<T>;
    type Connection<S: Message, R: Message> = super::Connection<S, R>;

    fn spawn<F, A>(function: F, arguments: A) -> Result<thread::JoinHandle<F::Output>>
    where
        F: Callable<A>,
        A: Arguments,
        F::Output: Message,
    {
        process::spawn(function, arguments)
    }

    fn pipe<S: Message, R: Message>() -> Result<(super::Connection<S, R>, super::Connection<R, S>)>
    {
        super::Pipe::new()
    }

    fn current_name() -> String {
        thread::current_thread().name()
    }
}
