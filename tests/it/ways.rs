//! The three ways to start a process, for what must hold of each.

use multiproc::{Arguments, Callable, Process, ProcessBuilder, StartMethod};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

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

/// Runs `body` for each way; the output says which one it was when it fails or hangs.
pub(crate) fn each(body: impl Fn(StartMethod)) {
    for way in WAYS {
        println!("-- {way}");
        body(way);
    }
}

/// A builder that starts that way.
pub(crate) fn builder<F: Callable<A>, A: Arguments>(
    way: StartMethod,
    function: F,
    arguments: A,
) -> ProcessBuilder {
    Process::builder(function, arguments).start_method(way)
}

/// The way of that name.
pub(crate) fn named(way: &str) -> StartMethod {
    way.parse().unwrap()
}

/// Waits for its end, which must be a good one: what a child asserted is said here.
#[track_caller]
pub(crate) fn fine(process: &Process) {
    let code = process.join().unwrap();
    assert_eq!(code, 0, "{:?}", process.panic());
}

/// Returns when it has ended. It is not reaped by this.
pub(crate) fn ended(process: &Process) {
    let sentinel = process.sentinel().unwrap();
    let mut fds = [PollFd::new(sentinel, PollFlags::POLLIN)];
    while poll(&mut fds, PollTimeout::NONE) != Ok(1) {}
}

/// The numbers of the open descriptors of this process.
pub(crate) fn open_numbers() -> Vec<i32> {
    let entries = std::fs::read_dir("/proc/self/fd").unwrap();
    let number = |entry: std::io::Result<std::fs::DirEntry>| {
        entry.unwrap().file_name().to_str().unwrap().parse().ok()
    };
    let mut numbers: Vec<i32> = entries.filter_map(number).collect();
    numbers.sort_unstable();
    numbers
}
