//! The keeper of one test: watches the clock, reaps its orphans, and fails it for what it leaves behind.
//!
//! Being a subreaper it inherits every process of the test that loses its parent. It reaps them at once, as init
//! would, so a test may wait for a grandchild to disappear.

use super::private::Places;
use super::root::{die_with_parent, say};
use super::{Case, FAILED, PASSED, ROOT, SKIPPED, grace, own_binary, procfs, seconds};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl::set_child_subreaper;
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, getpid};
use std::os::fd::AsFd as _;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

/// How long processes may take to die of SIGKILL.
const KILLING: Duration = Duration::from_secs(10);

/// Runs the test `case` and ends with its verdict.
///
/// # Panics
/// Panics when the machine refuses a basic service.
pub(super) fn main(case: &Case) -> ExitCode {
    die_with_parent();
    set_child_subreaper(true).expect("every kernel since 3.4 has subreapers");
    let places = Places::take();
    let mut family = Family::start(case, &places);
    let mut complaints = Vec::new();

    let deadline = deadline(case);
    if !family.wait_until(deadline, |family| family.root_status.is_some()) {
        complaints.push(format!(
            "hung: not done after {deadline:?}; its tasks sleep here:"
        ));
        complaints.push(procfs::where_tasks_sleep(getpid()));
        family.kill_all();
    } else if !family.wait_until(grace(), |family| family.childless) {
        complaints.push(format!(
            "processes are left {:?} after the test's own has ended:",
            grace()
        ));
        complaints.push(procfs::where_tasks_sleep(getpid()));
        family.kill_all();
    }
    let left = places.left().into_iter();
    complaints.extend(left.map(|file| format!("new file: {file}")));
    family.verdict(&complaints)
}

/// The processes of the test.
struct Family {
    root: Pid,
    root_status: Option<WaitStatus>,
    /// No child is left, hence no descendant: orphans become ours.
    childless: bool,
    /// Readable when a child has ended.
    bell: SignalFd,
}

impl Family {
    fn start(case: &Case, places: &Places) -> Family {
        let mut chld = SigSet::empty();
        chld.add(Signal::SIGCHLD);
        // Blocked before the first child exists, or its end could be missed. Std starts children with an empty mask.
        chld.thread_block().expect("SIGCHLD can be blocked");
        let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
        let bell = SignalFd::with_flags(&chld, flags).expect("signalfd works");
        // Not `Child`: every end is seen by the one `waitpid` below.
        let root = Command::new(own_binary())
            .args([ROOT, case.name])
            .envs(places.variables())
            .stdin(Stdio::null())
            .spawn()
            .expect("this binary can be started again")
            .id();
        let root = Pid::from_raw(root.try_into().expect("a pid fits"));
        Family {
            root,
            root_status: None,
            childless: false,
            bell,
        }
    }

    /// Reaps until `done` or until the time is over; says whether `done`.
    fn wait_until(&mut self, limit: Duration, done: impl Fn(&Family) -> bool) -> bool {
        let deadline = Instant::now() + limit;
        loop {
            self.reap();
            let left = deadline.saturating_duration_since(Instant::now());
            if done(self) || left.is_zero() {
                return done(self);
            }
            let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
            let mut fds = [PollFd::new(self.bell.as_fd(), PollFlags::POLLIN)];
            match poll(&mut fds, timeout) {
                Ok(_) | Err(Errno::EINTR) => {}
                Err(error) => panic!("poll of a signalfd: {error}"),
            }
        }
    }

    fn reap(&mut self) {
        // The bell is muted first: an end after this rings it again.
        while let Ok(Some(_)) = self.bell.read_signal() {}
        loop {
            match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::StillAlive) | Err(Errno::EINTR) => return,
                Ok(status) if status.pid() == Some(self.root) => self.root_status = Some(status),
                Ok(_) => {}
                Err(Errno::ECHILD) => {
                    self.childless = true;
                    return;
                }
                Err(error) => panic!("waitpid: {error}"),
            }
        }
    }

    /// Kills every descendant. In rounds, because one may fork while we look.
    fn kill_all(&mut self) {
        let deadline = Instant::now() + KILLING;
        while Instant::now() < deadline {
            for process in procfs::descendants(getpid()) {
                // It may be gone already.
                _ = kill(process.pid, Signal::SIGKILL);
            }
            if self.wait_until(Duration::from_millis(50), |family| family.childless) {
                return;
            }
        }
        say("some processes survive SIGKILL:");
        say(&procfs::where_tasks_sleep(getpid()));
    }

    fn verdict(&self, complaints: &[String]) -> ExitCode {
        for complaint in complaints {
            say(complaint);
        }
        let code = match self.root_status {
            Some(WaitStatus::Exited(_, code)) => u8::try_from(code).unwrap_or(FAILED),
            _ => FAILED,
        };
        if ![PASSED, SKIPPED].contains(&code) {
            say(&format!(
                "the test's process ended with {:?}",
                self.root_status
            ));
            return ExitCode::from(FAILED);
        }
        ExitCode::from(if complaints.is_empty() { code } else { FAILED })
    }
}

/// The case's own deadline, or the general one when that is longer.
fn deadline(case: &Case) -> Duration {
    seconds("MULTIPROC_TEST_DEADLINE", 60).max(case.deadline)
}
