//! The three ways to start a process, for what must hold of each.

use multiproc::{Arguments, Callable, Process, StartMethod};

/// All of them, the fork server first.
pub(crate) const WAYS: [StartMethod; 3] = [
    StartMethod::ForkServer,
    StartMethod::Fork,
    StartMethod::Spawn,
];

/// A process that has been started that way.
pub(crate) fn start_by<F: Callable<A>, A: Arguments>(
    way: StartMethod,
    function: F,
    arguments: A,
) -> Process {
    let builder = Process::builder(function, arguments).start_method(way);
    builder.start().unwrap()
}

/// Starts it that way, joins it, and says how it ended.
#[track_caller]
pub(crate) fn ends_with<F: Callable<A>, A: Arguments>(
    way: StartMethod,
    function: F,
    arguments: A,
) -> i32 {
    let process = start_by(way, function, arguments);
    process.join().unwrap()
}

/// Runs it that way; a panic in it fails the test with its message.
#[track_caller]
pub(crate) fn run_by<F: Callable<A>, A: Arguments>(way: StartMethod, function: F, arguments: A) {
    let process = start_by(way, function, arguments);
    assert_eq!(process.join().unwrap(), 0, "{way}: {:?}", process.panic());
}
