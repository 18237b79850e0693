//! A process may die at any instruction: here one does, at each.
//!
//! A row of the table is a *marked section*: an operation between two `int3`. For k = 0, 1, 2, … a fresh child of the family
//! runs it under `ptrace`, is killed after k instructions, and the survivor, which started it, goes on and checks what the
//! row promises. Two kills between which neither a byte of the arena nor the kernel changed are one ([`drive`]).
//!
//! Each row runs in a program of its own, this binary started again, so that what one row breaks or leaks is not the next
//! one's arena. A plain run takes some of the kills of each row, `MULTIPROC_SCALE=20` all of them.
//!
//! A new row is a type with [`Scene`](row::Scene) in one of the tables below, or in a file beside them with a line in
//! [`rows`]; `cargo test --test faults -- queue` runs those whose names contain the word.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test reports a surprise by panicking, and its figures by printing"
)]

mod arena;
mod barrier;
mod bounded;
mod capacity;
mod close;
mod condition;
mod connection;
mod drive;
mod event;
mod handle;
mod joinable;
mod joinable_handle;
mod joinable_waits;
mod lock;
mod named;
mod owned;
mod pool;
mod programs;
mod queue;
mod queue_block;
mod queue_bytes;
mod queue_many;
mod rlock;
mod row;
mod rwlock;
mod semaphore;
mod settle;
mod shared;
mod shut;
mod split;
mod start;
mod survivor;
mod tracee;
mod value;
mod watch;

use row::Row;
use std::process::ExitCode;

/// The table.
fn rows() -> Vec<Row> {
    [
        // The longest first.
        start::rows(),
        settle::rows(),
        lock::rows(),
        rlock::rows(),
        semaphore::rows(),
        bounded::rows(),
        event::rows(),
        condition::rows(),
        connection::rows(),
        named::rows(),
        rwlock::rows(),
        barrier::rows(),
        value::rows(),
        arena::rows(),
        handle::rows(),
        queue::rows(),
        queue_block::rows(),
        queue_bytes::rows(),
        queue_many::rows(),
        close::rows(),
        shut::rows(),
        split::rows(),
        joinable::rows(),
        joinable_handle::rows(),
        joinable_waits::rows(),
        pool::rows(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn main() -> ExitCode {
    programs::main(&rows())
}
