//! All interleavings of the primitives' rules, by loom: `RUSTFLAGS="--cfg loom" cargo test --release --test loom`.
//!
//! What is checked are the very files of `src/sync/algorithm` and the lease, compiled here over loom's atomics and a futex that
//! never returns too early or too late: a wake-up that is lost is a deadlock, and loom says so. With two threads every interleaving is
//! tried, with three those with at most three preemptions. There is one CPU, so nobody spins, and nobody dies: what a death
//! does is checked by `tests/faults`, instruction by instruction.

#![cfg(loom)]
#![expect(dead_code, reason = "the files have more than what is tried here")]

#[path = "../src/sync/algorithm/mod.rs"]
mod algorithm;
#[path = "loom/futex.rs"]
mod futex;
#[path = "loom/shm.rs"]
mod shm;
#[path = "loom/sys.rs"]
mod sys;
#[path = "loom/waiting.rs"]
mod waiting;
