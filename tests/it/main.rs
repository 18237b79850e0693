//! The tests of `multiproc` from outside: one binary, one module per noun, its own runner.
//!
//! libtest runs every test in a second thread, so every test would fork a program with threads. Here each
//! test is the main thread of a fresh process in a session of its own; see [`runner`].
//!
//! A new module is a file beside this one with `pub(crate) fn tests() -> Vec<Case>`, a `mod` line and a line
//! in [`cases`]. A test is `fn()` and panics when it fails.

#![expect(clippy::unwrap_used, reason = "a test reports a surprise by panicking")]

use std::process::ExitCode;

mod runner;
mod runner_checks;
mod smoke;

/// Every test and every program of this binary, module by module.
fn cases() -> Vec<runner::Case> {
    [
        runner_checks::specimens(),
        runner_checks::tests(),
        smoke::tests(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn main() -> ExitCode {
    runner::main(cases)
}
