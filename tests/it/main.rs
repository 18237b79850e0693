//! The tests of `multiproc` from outside: one binary, one module per noun, its own runner.
//!
//! libtest runs every test in a second thread, so every test would fork a program with threads. Here each
//! test is the main thread of a fresh process in a session of its own; see [`runner`].
//!
//! A new module is a file beside this one with `pub(crate) fn tests() -> Vec<Case>`, a `mod` line and a line
//! in [`cases`]. A test is `fn()` and panics when it fails.

#![expect(clippy::unwrap_used, reason = "a test reports a surprise by panicking")]
#![expect(
    clippy::print_stdout,
    reason = "the output of a test is shown when it fails"
)]

use std::process::ExitCode;

mod arena;
mod examples;
mod family;
mod kit;
mod lock;
mod pool;
mod pool_death;
mod pool_end;
mod pool_storm;
mod pool_trouble;
mod pool_values;
mod process;
mod queue;
mod queue_death;
mod queue_handles;
mod runner;
mod runner_checks;
mod scribble;
mod smoke;
mod wordcount;

/// Every test and every program of this binary, module by module.
fn cases() -> Vec<runner::Case> {
    [
        runner_checks::specimens(),
        runner_checks::tests(),
        arena::tests(),
        examples::tests(),
        family::tests(),
        lock::tests(),
        pool::tests(),
        pool_values::tests(),
        pool_death::tests(),
        pool_storm::tests(),
        pool_trouble::tests(),
        pool_end::tests(),
        pool_end::programs(),
        process::tests(),
        queue::tests(),
        queue_death::tests(),
        queue_handles::tests(),
        scribble::tests(),
        smoke::tests(),
        wordcount::tests(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn main() -> ExitCode {
    runner::main(cases)
}
