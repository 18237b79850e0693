//! The child under `ptrace`: from its start to the first mark, then one instruction at a time.

#![expect(unsafe_code, reason = "int3")]

use nix::errno::Errno;
use nix::sys::ptrace;
use nix::sys::signal::{Signal, kill, raise};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use std::fs;

/// Stops the child until the tracer is there, and runs `operation` between two marks.
#[inline(never)]
pub(crate) fn section<R>(operation: impl FnOnce() -> R) -> R {
    begins();
    let result = operation();
    ends();
    result
}

/// Stops the child until the tracer is there; the section begins when this returns.
#[inline(always)]
pub(crate) fn begins() {
    raise(Signal::SIGSTOP).expect("a process may stop itself");
    mark();
}

/// The section ends here.
#[inline(always)]
pub(crate) fn ends() {
    mark();
}

/// Traps into the tracer.
#[inline(always)]
fn mark() {
    // SAFETY: because `int3` changes neither registers nor memory; without a tracer SIGTRAP ends the process.
    unsafe { core::arch::asm!("int3", options(nostack)) }
}

/// `si_code` of the trap that `int3` raises; a single step raises it with another.
const SI_KERNEL: i32 = 0x80;

/// A child that is stopped inside its section.
pub(crate) struct Tracee {
    pid: Pid,
    dead: bool,
}

/// What one instruction came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Inside,
    /// The second mark.
    Left,
}

impl Tracee {
    /// Takes over a child that is on its way to [`section`], and lets it run to the first mark.
    ///
    /// # Errors
    /// When the system does not permit it.
    pub(crate) fn catch(pid: u32) -> Result<Self, Errno> {
        let pid = Pid::from_raw(pid.cast_signed());
        ptrace::seize(pid, ptrace::Options::PTRACE_O_EXITKILL)?;
        let tracee = Self { pid, dead: false };
        tracee.run_to_mark();
        Ok(tracee)
    }

    fn run_to_mark(&self) {
        loop {
            let pass_on = match self.wait() {
                // It was stopped before it was seized, or stops now.
                WaitStatus::PtraceEvent(_, Signal::SIGSTOP, _) => {
                    kill(self.pid, Signal::SIGCONT).expect("the tracee lives");
                    None
                }
                WaitStatus::Stopped(_, Signal::SIGSTOP | Signal::SIGCONT)
                | WaitStatus::PtraceEvent(..) => None,
                WaitStatus::Stopped(_, Signal::SIGTRAP) if self.is_at_mark() => return,
                WaitStatus::Stopped(_, signal) => Some(signal),
                other => panic!("the section was not entered: {other:?}"),
            };
            ptrace::cont(self.pid, pass_on).expect("a stopped tracee goes on");
        }
    }

    fn is_at_mark(&self) -> bool {
        let trap = ptrace::getsiginfo(self.pid).expect("a stopped tracee tells why");
        trap.si_code == SI_KERNEL
    }

    /// Executes one instruction, a system call too. `asleep` is called, once, if it is a futex call that sleeps; its
    /// answer says whether to wait for the end of the sleep.
    pub(crate) fn step(&mut self, asleep: Option<&mut dyn FnMut() -> bool>) -> Option<Step> {
        let may_sleep = asleep.filter(|_| self.next_is_futex());
        let mut signal = None;
        if let Some(asleep) = may_sleep {
            ptrace::step(self.pid, None).expect("a stopped tracee goes on");
            if self.falls_asleep() && !asleep() {
                return None;
            }
        } else {
            ptrace::step(self.pid, None).expect("a stopped tracee goes on");
        }
        loop {
            match self.wait() {
                WaitStatus::Stopped(_, Signal::SIGTRAP) if self.is_at_mark() => {
                    return Some(Step::Left);
                }
                WaitStatus::Stopped(_, Signal::SIGTRAP) => return Some(Step::Inside),
                WaitStatus::Stopped(_, other) => signal = Some(other),
                WaitStatus::PtraceEvent(..) => {}
                other => panic!("it ended inside the section: {other:?}"),
            }
            ptrace::step(self.pid, signal.take()).expect("a stopped tracee goes on");
        }
    }

    /// Does the next instruction enter the kernel?
    pub(crate) fn next_is_syscall(&self) -> bool {
        let registers = ptrace::getregs(self.pid).expect("a stopped tracee has registers");
        self.is_syscall(registers.rip)
    }

    fn next_is_futex(&self) -> bool {
        let registers = ptrace::getregs(self.pid).expect("a stopped tracee has registers");
        registers.rax == nix::libc::SYS_futex.cast_unsigned() && self.is_syscall(registers.rip)
    }

    fn is_syscall(&self, instruction: u64) -> bool {
        let bytes = ptrace::read(self.pid, instruction as ptrace::AddressType);
        bytes.is_ok_and(|bytes| bytes.to_ne_bytes()[..2] == [0x0f, 0x05])
    }

    /// Waits until a system call has either ended or gone to sleep.
    fn falls_asleep(&self) -> bool {
        loop {
            let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid)).unwrap_or_default();
            let state = stat
                .rsplit(") ")
                .next()
                .and_then(|rest| rest.chars().next());
            match state {
                Some('S') => return true,
                Some('R') => nix::sched::sched_yield().expect("sched_yield cannot fail"),
                _ => return false,
            }
        }
    }

    fn wait(&self) -> WaitStatus {
        waitpid(self.pid, Some(WaitPidFlag::__WALL)).expect("a tracee can be waited for")
    }

    /// Kills it where it is. Its parent hears of it only after its tracer, so this waits.
    pub(crate) fn kill(mut self) {
        self.end();
    }

    fn end(&mut self) {
        if self.dead {
            return;
        }
        self.dead = true;
        kill(self.pid, Signal::SIGKILL).expect("a tracee lives until it is waited for");
        while !matches!(
            self.wait(),
            WaitStatus::Signaled(..) | WaitStatus::Exited(..)
        ) {}
    }
}

impl Drop for Tracee {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.end();
        }
    }
}
