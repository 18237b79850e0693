//! What carries values between threads or between processes: the verbs that both have, a trait a noun.

use crate::error::Result;
use crate::ipc::{self, GetError, PutError, TryGetError, TryPutError};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt::Debug;
use std::ops::Deref;
use std::time::Duration;

/// What can be sent to another process. Nothing needs to be implemented by hand.
pub trait Message: Serialize + DeserializeOwned + Send + 'static {}

impl<T: Serialize + DeserializeOwned + Send + 'static> Message for T {}

/// A trait whose verbs two types have by themselves.
macro_rules! noun {
    (
        $(#[$about:meta])*
        $name:ident<$($param:ident),*>: $($bound:ident)*;
        $processes:ty, $threads:ty;
        $(
            $(#[$verb_about:meta])*
            fn $verb:ident($($arg:ident: $kind:ty),*) -> $answer:ty $(where $clause:ident: $clause_bound:ident)?;
        )*
        new {
            $(
                $(#[$new_about:meta])*
                fn $new:ident($($new_arg:ident: $new_kind:ty),*);
            )*
        }
    ) => {
        $(#[$about])*
        pub trait $name<$($param: Message),*>: Sized + Send + Debug $(+ $bound)* + 'static {
            $(
                $(#[$new_about])*
                ///
                /// # Errors
                /// As the method of processes.
                fn $new($($new_arg: $new_kind),*) -> Result<Self>;
            )*
            $(
                $(#[$verb_about])*
                ///
                /// # Errors
                /// As there.
                fn $verb(&self $(, $arg: $kind)*) -> $answer $(where $clause: $clause_bound)?;
            )*
        }

        noun!(@both [$processes] [$threads] $name [$($param)*] {
            $(fn $new($($new_arg: $new_kind),*) -> Result<Self> { Self::$new($($new_arg),*) })*
            $(
                fn $verb(&self $(, $arg: $kind)*) -> $answer $(where $clause: $clause_bound)? {
                    Self::$verb(self $(, $arg)*)
                }
            )*
        });
    };
    (@both [$processes:ty] [$threads:ty] $name:ident [$($param:ident)*] $body:tt) => {
        noun!(@of $processes, $name [$($param)*] $body);
        noun!(@of $threads, $name [$($param)*] $body);
    };
    (@of $of:ty, $name:ident [$($param:ident)*] { $($body:tt)* }) => {
        impl<$($param: Message),*> $name<$($param),*> for $of {
            $($body)*
        }
    };
}

noun! {
    /// The verbs of [`Queue`](crate::Queue).
    BackendQueue<T>: Clone Serialize DeserializeOwned;
    ipc::Queue<T>, super::Queue<T>;
    /// As [`Queue::put`](crate::Queue::put).
    fn put(value: T) -> Result<(), PutError<T>>;
    /// As [`Queue::try_put`](crate::Queue::try_put).
    fn try_put(value: T) -> Result<(), TryPutError<T>>;
    /// As [`Queue::put_timeout`](crate::Queue::put_timeout).
    fn put_timeout(value: T, timeout: Duration) -> Result<(), TryPutError<T>>;
    /// As [`Queue::get`](crate::Queue::get).
    fn get() -> Result<T, GetError>;
    /// As [`Queue::try_get`](crate::Queue::try_get).
    fn try_get() -> Result<T, TryGetError>;
    /// As [`Queue::get_timeout`](crate::Queue::get_timeout).
    fn get_timeout(timeout: Duration) -> Result<T, TryGetError>;
    /// As [`Queue::len`](crate::Queue::len).
    fn len() -> usize;
    /// As [`Queue::is_empty`](crate::Queue::is_empty).
    fn is_empty() -> bool;
    /// As [`Queue::is_full`](crate::Queue::is_full).
    fn is_full() -> bool;
    /// As [`Queue::maxsize`](crate::Queue::maxsize).
    fn maxsize() -> usize;
    /// As [`Queue::close`](crate::Queue::close).
    fn close() -> ();
    /// As [`Queue::shutdown`](crate::Queue::shutdown).
    fn shutdown(immediate: bool) -> ();
    /// As [`Queue::is_closed`](crate::Queue::is_closed).
    fn is_closed() -> bool;
    new {
        /// A queue that takes as much as memory allows.
        fn new();
        /// A queue of at most `items` values; 0 is any number.
        fn with_maxsize(items: usize);
    }
}

noun! {
    /// The verbs of [`SimpleQueue`](crate::SimpleQueue).
    BackendSimpleQueue<T>: Clone Serialize DeserializeOwned;
    ipc::SimpleQueue<T>, super::SimpleQueue<T>;
    /// As [`SimpleQueue::put`](crate::SimpleQueue::put).
    fn put(value: T) -> Result<(), PutError<T>>;
    /// As [`SimpleQueue::get`](crate::SimpleQueue::get).
    fn get() -> Result<T, GetError>;
    /// As [`SimpleQueue::is_empty`](crate::SimpleQueue::is_empty).
    fn is_empty() -> Result<bool, GetError>;
    /// As [`SimpleQueue::close`](crate::SimpleQueue::close).
    fn close() -> ();
    new {
        /// A queue without bound.
        fn new();
    }
}

noun! {
    /// The verbs of [`Connection`](crate::Connection).
    BackendConnection<S, R>: Serialize DeserializeOwned;
    ipc::Connection<S, R>, super::Connection<S, R>;
    /// As [`Connection::send`](crate::Connection::send).
    fn send(value: &S) -> Result<()> where S: Clone;
    /// As [`Connection::recv`](crate::Connection::recv).
    fn recv() -> Result<R>;
    /// As [`Connection::recv_timeout`](crate::Connection::recv_timeout).
    fn recv_timeout(timeout: Duration) -> Result<R>;
    /// As [`Connection::try_recv`](crate::Connection::try_recv).
    fn try_recv() -> Result<Option<R>>;
    /// As [`Connection::poll`](crate::Connection::poll).
    fn poll() -> Result<bool>;
    /// As [`Connection::poll_timeout`](crate::Connection::poll_timeout).
    fn poll_timeout(timeout: Duration) -> Result<bool>;
    new {}
}

/// An item of a [`BackendJoinableQueue`], on lease until its taker says [`task_done`](Self::task_done). If it is dropped without
/// that, it is put back.
pub trait BackendLeased<T>: Deref<Target = T> {
    /// As [`Leased::task_done`](crate::Leased::task_done).
    fn task_done(self) -> T;
}

impl<T: Message> BackendLeased<T> for ipc::Leased<T> {
    fn task_done(self) -> T {
        Self::task_done(self)
    }
}

impl<T: Message> BackendLeased<T> for super::Leased<T> {
    fn task_done(self) -> T {
        Self::task_done(self)
    }
}

/// The verbs of [`JoinableQueue`](crate::JoinableQueue).
pub trait BackendJoinableQueue<T: Message>: JoinableVerbs<T> {
    /// What [`get`](Self::get) gives.
    type Leased: BackendLeased<T>;
    /// As [`JoinableQueue::get`](crate::JoinableQueue::get).
    ///
    /// # Errors
    /// As there.
    fn get(&self) -> Result<Self::Leased, GetError>;
    /// As [`JoinableQueue::try_get`](crate::JoinableQueue::try_get).
    ///
    /// # Errors
    /// As there.
    fn try_get(&self) -> Result<Self::Leased, TryGetError>;
    /// As [`JoinableQueue::get_timeout`](crate::JoinableQueue::get_timeout).
    ///
    /// # Errors
    /// As there.
    fn get_timeout(&self, timeout: Duration) -> Result<Self::Leased, TryGetError>;
}

macro_rules! joinable {
    ($of:ty, $leased:ty) => {
        impl<T: Message> BackendJoinableQueue<T> for $of {
            type Leased = $leased;

            fn get(&self) -> Result<$leased, GetError> {
                Self::get(self)
            }

            fn try_get(&self) -> Result<$leased, TryGetError> {
                Self::try_get(self)
            }

            fn get_timeout(&self, timeout: Duration) -> Result<$leased, TryGetError> {
                Self::get_timeout(self, timeout)
            }
        }
    };
}

joinable!(ipc::JoinableQueue<T>, ipc::Leased<T>);
joinable!(super::JoinableQueue<T>, super::Leased<T>);

noun! {
    /// The verbs of [`JoinableQueue`](crate::JoinableQueue), but those that take.
    JoinableVerbs<T>: Clone Serialize DeserializeOwned;
    ipc::JoinableQueue<T>, super::JoinableQueue<T>;
    /// As [`JoinableQueue::put`](crate::JoinableQueue::put).
    fn put(item: T) -> Result<(), PutError<T>>;
    /// As [`JoinableQueue::try_put`](crate::JoinableQueue::try_put).
    fn try_put(item: T) -> Result<(), TryPutError<T>>;
    /// As [`JoinableQueue::put_timeout`](crate::JoinableQueue::put_timeout).
    fn put_timeout(item: T, timeout: Duration) -> Result<(), TryPutError<T>>;
    /// As [`JoinableQueue::len`](crate::JoinableQueue::len).
    fn len() -> usize;
    /// As [`JoinableQueue::is_empty`](crate::JoinableQueue::is_empty).
    fn is_empty() -> bool;
    /// As [`JoinableQueue::unfinished`](crate::JoinableQueue::unfinished).
    fn unfinished() -> usize;
    /// As [`JoinableQueue::join`](crate::JoinableQueue::join).
    fn join() -> Result<()>;
    /// As [`JoinableQueue::join_timeout`](crate::JoinableQueue::join_timeout).
    fn join_timeout(timeout: Duration) -> Result<bool>;
    /// As [`JoinableQueue::close`](crate::JoinableQueue::close).
    fn close() -> ();
    /// As [`JoinableQueue::shutdown`](crate::JoinableQueue::shutdown).
    fn shutdown(immediate: bool) -> ();
    /// As [`JoinableQueue::is_closed`](crate::JoinableQueue::is_closed).
    fn is_closed() -> bool;
    new {
        /// A queue without bound.
        fn new();
        /// A queue of at most `items` items; 0 is any number.
        fn with_maxsize(items: usize);
    }
}
