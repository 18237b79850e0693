//! What the tests of several nouns need: numbers that processes share, the fork server, forks behind our back.
//!
//! Only std and nix, none of the crate's own means but `Process` itself.

use crate::runner::{RemoteGate, wait_for_exit};
use multiproc::{Arguments, Callable, Condition, Process};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{ForkResult, Pid, fork};
use serde::{Deserialize, Serialize};
use std::fs::{self, File, OpenOptions};
use std::os::fd::{AsRawFd as _, RawFd};
use std::os::unix::fs::FileExt as _;

/// A process that has been started.
pub(crate) fn start<F: Callable<A>, A: Arguments>(function: F, arguments: A) -> Process {
    let mut process = Process::new(function, arguments);
    process.start().unwrap();
    process
}

/// Its process id.
pub(crate) fn pid_of(process: &Process) -> Pid {
    Pid::from_raw(process.pid().unwrap().cast_signed())
}

/// Numbers that several processes read and write. Plain ones: to add one is to read and then to write.
#[derive(Debug)]
pub(crate) struct Numbers {
    file: File,
}

/// The address of [`Numbers`], good for as long as they exist.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct RemoteNumbers {
    pid: u32,
    fd: RawFd,
}

impl Numbers {
    /// As many zeros as anybody likes.
    pub(crate) fn new() -> Numbers {
        let flags = nix::sys::memfd::MFdFlags::MFD_CLOEXEC;
        let fd = nix::sys::memfd::memfd_create("numbers", flags).unwrap();
        let file = File::from(fd);
        file.set_len(1 << 16).unwrap();
        Numbers { file }
    }

    pub(crate) fn get(&self, index: usize) -> u64 {
        let mut bytes = [0; 8];
        self.file
            .read_exact_at(&mut bytes, 8 * index as u64)
            .unwrap();
        u64::from_ne_bytes(bytes)
    }

    pub(crate) fn set(&self, index: usize, number: u64) {
        let bytes = number.to_ne_bytes();
        self.file.write_all_at(&bytes, 8 * index as u64).unwrap();
    }

    pub(crate) fn add(&self, index: usize, more: u64) {
        self.set(index, self.get(index) + more);
    }

    pub(crate) fn remote(&self) -> RemoteNumbers {
        RemoteNumbers {
            pid: std::process::id(),
            fd: self.file.as_raw_fd(),
        }
    }
}

impl RemoteNumbers {
    /// The numbers, in another process.
    pub(crate) fn open(self) -> Numbers {
        let path = format!("/proc/{}/fd/{}", self.pid, self.fd);
        let file = OpenOptions::new().read(true).write(true).open(path);
        Numbers {
            file: file.unwrap(),
        }
    }
}

/// The children of this process.
pub(crate) fn children() -> Vec<Pid> {
    let me = std::process::id();
    let mut found = Vec::new();
    for task in fs::read_dir("/proc/self/task").unwrap() {
        let name = task.unwrap().file_name().into_string().unwrap();
        let text = fs::read_to_string(format!("/proc/{me}/task/{name}/children"));
        let text = text.unwrap_or_default();
        found.extend(
            text.split_whitespace()
                .map(|pid| Pid::from_raw(pid.parse().unwrap())),
        );
    }
    found
}

fn name_of(pid: Pid) -> String {
    let name = fs::read_to_string(format!("/proc/{pid}/comm"));
    name.unwrap_or_default().trim().to_owned()
}

/// The state letter of a process; `None` when there is no such process.
pub(crate) fn state_of(pid: Pid) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}

/// Does it exist, and not only as a zombie?
pub(crate) fn lives(pid: Pid) -> bool {
    state_of(pid).is_some_and(|state| state != 'Z' && state != 'X')
}

/// The fork server of this process.
pub(crate) fn fork_server() -> Pid {
    find_fork_server().unwrap()
}

/// The fork server of this process, if it has one that lives.
pub(crate) fn find_fork_server() -> Option<Pid> {
    let is_server = |pid: &Pid| name_of(*pid) == "multiproc-fs" && lives(*pid);
    children().into_iter().find(is_server)
}

/// Kills a process, and returns when it is dead.
pub(crate) fn kill_and_wait(pid: Pid) {
    kill(pid, Signal::SIGKILL).unwrap();
    wait_for_exit(pid);
}

/// Stops a process, and returns when all of it stands still.
pub(crate) fn stop_and_wait(pid: Pid) {
    kill(pid, Signal::SIGSTOP).unwrap();
    while state_of(pid) != Some('T') {
        std::thread::yield_now();
    }
}

/// Forks this process behind the crate's back. The child runs `body` and leaves without its parent's exit handlers.
pub(crate) fn fork_behind_our_back(body: impl FnOnce()) -> Pid {
    #[expect(unsafe_code, reason = "a fork that the crate does not know of")]
    // SAFETY: the tests that fork have one thread, or do in the child only what a fork of many allows.
    let side = unsafe { fork() }.unwrap();
    match side {
        ForkResult::Parent { child } => child,
        ForkResult::Child => {
            let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(body));
            leave(i32::from(result.is_err()));
        }
    }
}

/// Ends this process at once, as one does that knows nothing of the crate.
pub(crate) fn leave(code: i32) -> ! {
    #[expect(clippy::disallowed_methods, reason = "an end without exit handlers")]
    #[expect(unsafe_code, reason = "an end without exit handlers")]
    // SAFETY: `_exit` has no preconditions.
    unsafe {
        nix::libc::_exit(code)
    }
}

/// Closes all descriptors from 3 on, as daemons do.
pub(crate) fn close_everything() {
    #[expect(unsafe_code, reason = "descriptors are closed behind their owners")]
    // SAFETY: the caller does not use what is closed here, and ends by a signal.
    unsafe {
        nix::libc::syscall(nix::libc::SYS_close_range, 3, u32::MAX, 0)
    };
}

/// Children have their parent's limits: one whose parent has made room for few descriptors makes room for more.
pub(crate) fn raise_descriptors() {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).unwrap();
}

/// Says that it is there, and waits until it may go on.
pub(crate) fn say_and_wait(here: RemoteGate, there: RemoteGate) {
    here.open(1);
    there.wait();
}

/// Returns when a process sleeps for one of the crate's own words, in its first thread. One that was woken already and has not run yet
/// does not sleep: it was on its way.
pub(crate) fn asleep(pid: Pid) {
    let futex = format!("{} ", nix::libc::SYS_futex);
    let call = format!("/proc/{pid}/syscall");
    let sleeps = || {
        let in_futex = fs::read_to_string(&call).unwrap().starts_with(&futex);
        in_futex && state_of(pid) == Some('S')
    };
    let mut looks = 0;
    while looks < 3 {
        looks = if sleeps() { looks + 1 } else { 0 };
        std::thread::yield_now();
    }
}

/// How many wait for a condition.
pub(crate) fn waiting(condition: &Condition) -> usize {
    let text = format!("{condition:?}");
    let (_, count) = text.split_once("waiting: ").unwrap();
    count.split([',', ' ']).next().unwrap().parse().unwrap()
}

/// Kills a process, and joins it.
#[track_caller]
pub(crate) fn kill_and_join(process: &Process) {
    process.kill().unwrap();
    assert_eq!(process.join().unwrap(), -9);
}

/// The kind of error of what must have failed.
#[track_caller]
pub(crate) fn kind<T: std::fmt::Debug>(result: multiproc::Result<T>) -> multiproc::ErrorKind {
    result.unwrap_err().kind()
}

/// Returns when the kernel counts no thread of this process any more but this one. A thread that was joined is counted a little longer.
pub(crate) fn await_alone() {
    while fs::read_dir("/proc/self/task").unwrap().count() > 1 {
        std::thread::yield_now();
    }
}

/// Runs it in another thread.
pub(crate) fn elsewhere<T: Send>(body: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| scope.spawn(body).join().unwrap())
}
