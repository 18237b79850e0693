//! What a process is doing, and how it ended, in words.

use std::fmt;

/// What a process is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ProcessState {
    /// Made and not started.
    Ready,
    /// It runs, or waits for nothing but a CPU.
    Running,
    /// It waits for something: a lock, input, a timer, its own threads.
    Blocked,
    /// A signal has stopped it (SIGSTOP), or a debugger.
    Stopped,
    /// It has ended.
    Ended,
}

impl fmt::Display for ProcessState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ready => "ready",
            Self::Running => "running",
            Self::Blocked => "blocked",
            Self::Stopped => "stopped",
            Self::Ended => "ended",
        })
    }
}

/// `SIGKILL` for 9.
pub(super) fn signal_name(signal: i32) -> String {
    let known = nix::sys::signal::Signal::try_from(signal);
    known.map_or_else(|_| format!("signal {signal}"), |known| known.to_string())
}

/// `-SIGKILL` for -9, as Python writes it.
pub(super) fn code_name(code: i32) -> String {
    if code < 0 {
        format!("-{}", signal_name(-code))
    } else {
        code.to_string()
    }
}
