//! All interleavings of the primitives' rules, by loom: `RUSTFLAGS="--cfg loom" cargo test --release --test loom`.
//!
//! What is checked are the very files of `src/sync/algorithm`, the lease, and the algorithm of the queues between threads, compiled here over loom's atomics and a futex that
//! never returns too early or too late: a wake-up that is lost is a deadlock, and loom says so. With two threads every interleaving is
//! tried, with three those with at most three preemptions, of queues fewer. There is one CPU, so nobody spins, and nobody dies: what a death
//! does is checked by `tests/faults`, instruction by instruction.

#![cfg(loom)]
#![expect(dead_code, reason = "the files have more than what is tried here")]

#[path = "../src/sync/algorithm/mod.rs"]
mod algorithm;
#[path = "loom/futex.rs"]
mod futex;
#[path = "loom/queue.rs"]
mod queue;
#[path = "loom/shm.rs"]
mod shm;
#[path = "loom/sys.rs"]
mod sys;
#[path = "loom/waiting.rs"]
mod waiting;

/// Errors, as far as they are told apart here.
mod error {
    pub(crate) type Result<T, E = Error> = std::result::Result<T, E>;

    #[derive(Debug)]
    pub(crate) struct Error;

    pub(crate) enum ErrorKind {
        Busy,
        Closed,
        Misuse,
    }

    impl Error {
        pub(crate) fn new(_kind: ErrorKind, _text: &str) -> Self {
            Self
        }
    }
}

/// Where the queues look for it.
mod sync {
    pub(crate) use crate::algorithm::Gate;
}
