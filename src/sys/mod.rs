//! The operating system, and nothing else: the only room that calls the kernel.
//!
//! Every file wraps one chapter of the manual (futexes, memory, processes, sockets, …) into functions that are safe to
//! call, and knows nothing of queues, locks or pools. Names are those of POSIX and Linux. Errors are `io::Error` or
//! `Errno`; the rooms above put a word of context to them.
//!
//! Atomics come from [`atomic`] only, so that a model checker can be put in their place at one seam.

pub(crate) mod atfork;
pub(crate) mod atomic;
pub(crate) mod clock;
pub(crate) mod companions;
pub(crate) mod descriptor;
pub(crate) mod environment;
pub(crate) mod epoll;
pub(crate) mod event;
pub(crate) mod exit;
pub(crate) mod fifo;
pub(crate) mod file;
pub(crate) mod futex;
pub(crate) mod image;
pub(crate) mod interrupt;
pub(crate) mod lifeline;
pub(crate) mod limits;
pub(crate) mod listening;
pub(crate) mod mapping;
pub(crate) mod memory;
pub(crate) mod os_thread;
pub(crate) mod pidfd;
pub(crate) mod private;
pub(crate) mod process;
pub(crate) mod random;
pub(crate) mod signal;
pub(crate) mod socket;
pub(crate) mod spawn;
pub(crate) mod stream;
pub(crate) mod thread;
pub(crate) mod thread_end;
