//! The tests of `multiproc` from outside: one binary, one module per noun, its own runner.
//!
//! libtest runs every test in a second thread, so every test would fork a program with threads. Here each
//! test is the main thread of a fresh process in a session of its own; see [`runner`].
//!
//! A new module is a file beside this one with `pub(crate) fn tests() -> Vec<Case>`, a `mod` line and a line
//! in [`MODULES`]. A test is `fn()` and panics when it fails.

#![expect(clippy::unwrap_used, reason = "a test reports a surprise by panicking")]
#![expect(
    clippy::print_stdout,
    reason = "the output of a test is shown when it fails"
)]

use std::process::ExitCode;

mod arena;
mod array;
mod backends;
mod barrier;
mod barrier_death;
mod barrier_processes;
mod board;
mod bounded;
mod churn;
mod condition;
mod condition_death;
mod condition_processes;
mod condition_waits;
mod conditions;
mod connection;
mod connection_death;
mod connection_ends;
mod connection_moves;
mod connection_odd;
mod connection_travel;
mod copied;
mod disconnected;
mod ends;
mod event;
mod examples;
mod examples_ipc;
mod examples_locals;
mod examples_queue;
mod examples_start;
mod examples_sync;
mod examples_threads;
mod executable;
mod exits;
mod experiments;
mod family;
mod fd;
mod forks;
mod handshakes;
mod handshakes_many;
mod helper;
mod hostile;
mod in_flight;
mod interrupts;
mod joinable;
mod joinable_closed;
mod joinable_death;
mod joinable_leases;
mod kit;
mod labels;
mod labels_forged;
mod labels_kept;
mod life;
mod listener;
mod local;
mod lock;
mod lock_rules;
mod logging;
mod many;
mod methods;
mod misuse;
mod named_pipe;
mod named_pipe_bad;
mod names_again;
mod outcomes;
#[cfg(feature = "python")]
mod pickle;
mod pipe;
mod pipe_life;
mod pool;
mod pool_death;
mod pool_end;
mod pool_storm;
mod pool_trouble;
mod pool_values;
mod pool_ways;
mod preload;
mod process;
mod python_peer;
#[cfg(feature = "python")]
mod python_pickles;
mod python_shm;
mod pythons;
mod queue;
mod queue_bad_bytes;
mod queue_bad_input;
mod queue_batch_values;
mod queue_batches;
mod queue_bytes;
mod queue_death;
mod queue_ends;
mod queue_gets;
mod queue_gone;
mod queue_handles;
mod queue_loans;
mod queue_memory;
mod queue_reentrant;
mod queue_shutdown;
mod queue_signals;
mod queue_stopped;
mod queue_storm;
mod queue_storm_ways;
mod queue_values;
mod queue_wakes;
mod raw;
mod raw_peer;
mod relatives;
mod rlock;
mod runner;
mod runner_checks;
mod rwlock;
mod scribble;
mod scribbled;
mod semaphore;
mod semaphore_death;
mod sender_death;
mod shareable_list;
mod shared_memory;
mod shared_memory_limits;
mod signals;
mod simple_queue;
mod sleepers;
mod smoke;
mod spares;
mod stale;
mod streams;
mod struck;
mod surroundings;
mod sync_death;
mod sync_storm;
mod sync_storm_verbs;
mod sync_wakes;
mod thread;
mod thread_ends;
mod thread_forks;
mod thread_hooks;
mod thread_odd;
mod thread_pool;
mod thread_pool_ends;
mod thread_pool_forks;
mod thread_pool_panics;
mod thread_queue;
mod thread_queue_drops;
mod thread_queue_odd;
mod thread_queue_shutdown;
mod thread_queue_storm;
mod thread_signals;
mod thread_simple_queue;
mod thread_values;
mod travel;
mod value;
mod value_death;
mod value_types;
mod wait;
mod ways;
mod wordcount;

/// Every test and every program of this binary, module by module.
const MODULES: &[fn() -> Vec<runner::Case>] = &[
    runner_checks::specimens,
    runner_checks::tests,
    arena::tests,
    array::tests,
    backends::tests,
    barrier::tests,
    barrier_processes::tests,
    bounded::tests,
    condition::tests,
    condition_processes::tests,
    condition_waits::tests,
    conditions::tests,
    churn::tests,
    copied::tests,
    ends::tests,
    event::tests,
    examples::tests,
    executable::tests,
    experiments::tests,
    family::tests,
    hostile::tests,
    joinable_death::tests,
    listener::tests,
    local::tests,
    lock::tests,
    lock_rules::tests,
    logging::tests,
    #[cfg(feature = "python")]
    pickle::tests,
    pool::tests,
    pool_values::tests,
    pool_ways::tests,
    pool_death::tests,
    pool_storm::tests,
    pool_trouble::tests,
    pool_end::tests,
    pool_end::programs,
    preload::tests,
    process::tests,
    python_peer::tests,
    #[cfg(feature = "python")]
    python_pickles::tests,
    queue::tests,
    queue_death::tests,
    queue_gone::tests,
    queue_handles::tests,
    joinable_closed::tests,
    queue_gets::tests,
    queue_signals::tests,
    queue_stopped::tests,
    queue_bad_bytes::tests,
    queue_bad_input::tests,
    queue_memory::tests,
    disconnected::tests,
    in_flight::tests,
    interrupts::tests,
    pipe::tests,
    pipe_life::tests,
    connection::tests,
    connection_ends::tests,
    connection_moves::tests,
    connection_odd::tests,
    connection_travel::tests,
    connection_death::tests,
    fd::tests,
    wait::tests,
    joinable::tests,
    joinable_leases::tests,
    queue_batch_values::tests,
    queue_batches::tests,
    queue_bytes::tests,
    queue_ends::tests,
    queue_loans::tests,
    queue_reentrant::tests,
    queue_shutdown::tests,
    queue_values::tests,
    simple_queue::tests,
    queue_storm::tests,
    queue_wakes::tests,
    raw::tests,
    rlock::tests,
    rwlock::tests,
    scribble::tests,
    semaphore::tests,
    labels::tests,
    labels_forged::tests,
    labels_kept::tests,
    python_shm::tests,
    named_pipe::tests,
    named_pipe_bad::tests,
    shareable_list::tests,
    shared_memory::tests,
    shared_memory_limits::tests,
    signals::tests,
    exits::tests,
    forks::tests,
    handshakes::tests,
    handshakes_many::tests,
    helper::tests,
    life::tests,
    many::tests,
    methods::tests,
    misuse::tests,
    names_again::tests,
    outcomes::tests,
    relatives::tests,
    stale::tests,
    streams::tests,
    smoke::tests,
    spares::tests,
    struck::tests,
    surroundings::tests,
    barrier_death::tests,
    condition_death::tests,
    semaphore_death::tests,
    sender_death::tests,
    sync_death::tests,
    sync_storm::tests,
    sync_wakes::tests,
    thread::tests,
    thread_ends::tests,
    thread_forks::tests,
    thread_hooks::tests,
    thread_signals::tests,
    thread_values::tests,
    thread_odd::tests,
    thread_queue::tests,
    thread_queue_drops::tests,
    thread_queue_odd::tests,
    thread_queue_shutdown::tests,
    thread_queue_storm::tests,
    thread_simple_queue::tests,
    thread_pool::tests,
    thread_pool_ends::tests,
    thread_pool_forks::tests,
    thread_pool_panics::tests,
    travel::tests,
    value::tests,
    value_death::tests,
    value_types::tests,
    wordcount::tests,
];

fn cases() -> Vec<runner::Case> {
    MODULES.iter().flat_map(|module| module()).collect()
}

fn main() -> ExitCode {
    runner::main(cases)
}
