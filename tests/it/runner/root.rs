//! The test's own process: a new session, the body on the main thread, then the search for leaks.

use super::leaks::Baseline;
use super::{Case, PASSED, SKIPPED, Skipped};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{Signal, raise};
use std::io::Write as _;
use std::panic::catch_unwind;
use std::process::ExitCode;

/// Runs the body of `case`.
///
/// # Panics
/// Panics when no session can be made.
pub(super) fn main(case: &Case) -> ExitCode {
    die_with_parent();
    nix::unistd::setsid().expect("a freshly started process leads no group");
    if !case.cold {
        warm_up();
    }
    let before = Baseline::take(case);
    match catch_unwind(case.body) {
        Ok(()) => {}
        Err(payload) if payload.is::<Skipped>() => return ExitCode::from(SKIPPED),
        Err(_) => leave_at_once("the body panicked"),
    }
    let leaks = before.leaks();
    if !leaks.is_empty() {
        leave_at_once(&format!("the test leaks:\n  {}", leaks.join("\n  ")));
    }
    // A return, not `_exit`: the crate's exit handler is part of what is tested.
    ExitCode::from(PASSED)
}

/// One use of the crate, so that what it keeps for the rest of the family's life exists before the first look.
fn warm_up() {
    let mut process = multiproc::Process::new(|| {}, ());
    process.start().expect("a process can be started");
    assert_eq!(process.join().expect("it can be joined"), 0);
}

/// Ends a failed test without the exit handler, which would wait for what the body left running.
fn leave_at_once(why: &str) -> ! {
    say(why);
    raise(Signal::SIGKILL).expect("a process may kill itself");
    unreachable!("nothing withstands SIGKILL");
}

/// When the parent's thread ends, so do we: nobody would watch the clock any more.
pub(super) fn die_with_parent() {
    set_pdeathsig(Signal::SIGKILL).expect("SIGKILL is a signal");
}

/// Prints a line of the report. `println!` would panic when nobody listens any more.
pub(super) fn say(line: &str) {
    writeln!(std::io::stdout().lock(), "{line}").ok();
}
