//! What runs functions on threads or on processes: the verbs that both have, a trait a noun.

use super::Message;
use crate::call::{Arguments, Callable};
use crate::error::Result;
use crate::pool::{AsyncResult, ThreadResult};
use crate::{pool, process, thread};
use std::fmt::Debug;
use std::time::Duration;

/// The verbs of [`JoinHandle`](crate::JoinHandle).
pub trait BackendJoinHandle<R>: Sized + Debug {
    /// As [`JoinHandle::join`](crate::JoinHandle::join).
    ///
    /// # Errors
    /// As there.
    fn join(self) -> Result<R>;
    /// As [`JoinHandle::is_finished`](crate::JoinHandle::is_finished).
    fn is_finished(&self) -> bool;
}

macro_rules! join_handle {
    ($of:ty) => {
        impl<R: Message> BackendJoinHandle<R> for $of {
            fn join(self) -> Result<R> {
                Self::join(self)
            }

            fn is_finished(&self) -> bool {
                Self::is_finished(self)
            }
        }
    };
}

join_handle!(process::JoinHandle<R>);
join_handle!(thread::JoinHandle<R>);

/// The verbs of [`Process`](crate::Process).
pub trait BackendProcess: Sized + Send + Debug {
    /// As [`Process::new`](crate::Process::new).
    fn new<F: Callable<A>, A: Arguments>(function: F, arguments: A) -> Self;
    /// As [`Process::name`](crate::Process::name).
    fn name(&self) -> String;
    /// As [`Process::set_name`](crate::Process::set_name).
    ///
    /// # Errors
    /// As there.
    fn set_name(&mut self, name: &str) -> Result<()>;
    /// As [`Process::daemon`](crate::Process::daemon).
    fn daemon(&self) -> bool;
    /// As [`Process::set_daemon`](crate::Process::set_daemon).
    ///
    /// # Errors
    /// As there.
    fn set_daemon(&mut self, daemon: bool) -> Result<()>;
    /// As [`Process::start`](crate::Process::start).
    ///
    /// # Errors
    /// As there.
    fn start(&mut self) -> Result<()>;
    /// As [`Process::join`](crate::Process::join).
    ///
    /// # Errors
    /// As there.
    fn join(&self) -> Result<i32>;
    /// As [`Process::join_timeout`](crate::Process::join_timeout).
    ///
    /// # Errors
    /// As there.
    fn join_timeout(&self, timeout: Duration) -> Result<Option<i32>>;
    /// As [`Process::exitcode`](crate::Process::exitcode).
    ///
    /// # Errors
    /// As there.
    fn exitcode(&self) -> Result<Option<i32>>;
    /// As [`Process::is_alive`](crate::Process::is_alive).
    fn is_alive(&self) -> bool;
}

macro_rules! process {
    ($of:ty) => {
        impl BackendProcess for $of {
            fn new<F: Callable<A>, A: Arguments>(function: F, arguments: A) -> Self {
                Self::new(function, arguments)
            }

            fn name(&self) -> String {
                Self::name(self).to_owned()
            }

            fn set_name(&mut self, name: &str) -> Result<()> {
                Self::set_name(self, name)
            }

            fn daemon(&self) -> bool {
                Self::daemon(self)
            }

            fn set_daemon(&mut self, daemon: bool) -> Result<()> {
                Self::set_daemon(self, daemon)
            }

            fn start(&mut self) -> Result<()> {
                Self::start(self)
            }

            fn join(&self) -> Result<i32> {
                Self::join(self)
            }

            fn join_timeout(&self, timeout: Duration) -> Result<Option<i32>> {
                Self::join_timeout(self, timeout)
            }

            fn exitcode(&self) -> Result<Option<i32>> {
                Self::exitcode(self)
            }

            fn is_alive(&self) -> bool {
                Self::is_alive(self)
            }
        }
    };
}

process!(process::Process);
process!(super::Process);

/// The verbs of [`Pool`](crate::Pool).
pub trait BackendPool: Sized + Send + Sync + Debug {
    /// What [`apply_async`](Self::apply_async) gives.
    type AsyncResult<R: Message>: BackendAsyncResult<R>;
    /// As [`Pool::new`](crate::Pool::new).
    ///
    /// # Errors
    /// As there.
    fn new(workers: usize) -> Result<Self>;
    /// As [`Pool::apply`](crate::Pool::apply).
    ///
    /// # Errors
    /// As there.
    fn apply<F, A>(&self, function: F, arguments: A) -> Result<F::Output>
    where
        F: Callable<A>,
        A: Arguments,
        F::Output: Message;
    /// As [`Pool::apply_async`](crate::Pool::apply_async).
    ///
    /// # Errors
    /// As there.
    fn apply_async<F, A>(&self, function: F, arguments: A) -> Result<Self::AsyncResult<F::Output>>
    where
        F: Callable<A>,
        A: Arguments,
        F::Output: Message;
    /// As [`Pool::map`](crate::Pool::map).
    ///
    /// # Errors
    /// As there.
    fn map<F, T, I>(&self, function: F, items: I) -> Result<Vec<F::Output>>
    where
        F: Callable<(T,)> + Sync,
        T: Message,
        F::Output: Message,
        I: IntoIterator<Item = T>;
    /// As [`Pool::close`](crate::Pool::close).
    fn close(&self);
    /// As [`Pool::join`](crate::Pool::join).
    ///
    /// # Errors
    /// As there.
    fn join(&self) -> Result<()>;
    /// As [`Pool::terminate`](crate::Pool::terminate), but that a thread which runs a task cannot be ended: it is waited for.
    fn terminate(&self);
}

macro_rules! pool {
    ($of:ty, $result:ident) => {
        impl BackendPool for $of {
            type AsyncResult<R: Message> = $result<R>;

            fn new(workers: usize) -> Result<Self> {
                Self::new(workers)
            }

            fn apply<F, A>(&self, function: F, arguments: A) -> Result<F::Output>
            where
                F: Callable<A>,
                A: Arguments,
                F::Output: Message,
            {
                Self::apply(self, function, arguments)
            }

            fn apply_async<F, A>(&self, function: F, arguments: A) -> Result<$result<F::Output>>
            where
                F: Callable<A>,
                A: Arguments,
                F::Output: Message,
            {
                Self::apply_async(self, function, arguments)
            }

            fn map<F, T, I>(&self, function: F, items: I) -> Result<Vec<F::Output>>
            where
                F: Callable<(T,)> + Sync,
                T: Message,
                F::Output: Message,
                I: IntoIterator<Item = T>,
            {
                Self::map(self, function, items)
            }

            fn close(&self) {
                Self::close(self);
            }

            fn join(&self) -> Result<()> {
                Self::join(self)
            }

            fn terminate(&self) {
                Self::terminate(self);
            }
        }
    };
}

pool!(pool::Pool, AsyncResult);
pool!(super::Pool, ThreadResult);

/// The verbs of [`AsyncResult`](crate::AsyncResult).
pub trait BackendAsyncResult<R>: Sized + Debug {
    /// As [`AsyncResult::get`](crate::AsyncResult::get).
    ///
    /// # Errors
    /// As there.
    fn get(self) -> Result<R>;
    /// As [`AsyncResult::get_timeout`](crate::AsyncResult::get_timeout).
    ///
    /// # Errors
    /// As there.
    fn get_timeout(&mut self, timeout: Duration) -> Result<R>;
    /// As [`AsyncResult::ready`](crate::AsyncResult::ready).
    fn ready(&self) -> bool;
    /// As [`AsyncResult::successful`](crate::AsyncResult::successful).
    ///
    /// # Errors
    /// As there.
    fn successful(&self) -> Result<bool>;
    /// As [`AsyncResult::wait`](crate::AsyncResult::wait).
    fn wait(&self);
    /// As [`AsyncResult::wait_timeout`](crate::AsyncResult::wait_timeout).
    fn wait_timeout(&self, timeout: Duration) -> bool;
}

macro_rules! async_result {
    ($result:ident) => {
        impl<R: Message> BackendAsyncResult<R> for $result<R> {
            fn get(self) -> Result<R> {
                Self::get(self)
            }

            fn get_timeout(&mut self, timeout: Duration) -> Result<R> {
                Self::get_timeout(self, timeout)
            }

            fn ready(&self) -> bool {
                Self::ready(self)
            }

            fn successful(&self) -> Result<bool> {
                Self::successful(self)
            }

            fn wait(&self) {
                Self::wait(self);
            }

            fn wait_timeout(&self, timeout: Duration) -> bool {
                Self::wait_timeout(self, timeout)
            }
        }
    };
}

async_result!(AsyncResult);
async_result!(ThreadResult);
