//! Signals: what the fork server ignores, and how a child starts clean.
#![expect(unsafe_code, reason = "signal dispositions are process-wide")]
//!
//! # Safety
//! Only `SIG_IGN` and `SIG_DFL` are set, which run no code of ours.

use nix::sys::signal::{SigHandler, SigSet, SigmaskHow, Signal, signal, sigprocmask};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use std::io;

/// What a fork server does not hear: a terminal's keys and a polite request are meant for the family's members.
const SERVER_IGNORES: [Signal; 4] = [
    Signal::SIGINT,
    Signal::SIGTERM,
    Signal::SIGTTIN,
    Signal::SIGTTOU,
];

/// As the fork server: ignore the terminal, and what Rust's runtime ignores.
pub(crate) fn ignore_as_server() -> io::Result<()> {
    for number in SERVER_IGNORES.into_iter().chain([Signal::SIGPIPE]) {
        // SAFETY: ignoring a signal runs no handler.
        unsafe { signal(number, SigHandler::SigIgn)? };
    }
    Ok(())
}

/// As a child of the server: default actions, nothing blocked. SIGPIPE stays ignored, as in every Rust program.
pub(crate) fn reset_as_child() -> io::Result<()> {
    for number in SERVER_IGNORES {
        // SAFETY: the default action runs no handler of ours.
        unsafe { signal(number, SigHandler::SigDfl)? };
    }
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)?;
    Ok(())
}

/// Blocks SIGCHLD and answers a descriptor that is readable when one has come.
pub(crate) fn child_signals() -> io::Result<SignalFd> {
    let mut set = SigSet::empty();
    set.add(Signal::SIGCHLD);
    sigprocmask(SigmaskHow::SIG_BLOCK, Some(&set), None)?;
    Ok(SignalFd::with_flags(
        &set,
        SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK,
    )?)
}
