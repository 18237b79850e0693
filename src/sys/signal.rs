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

/// As the fork server: be deaf to the terminal, and ignore what Rust's runtime ignores. The former are blocked and not ignored: a
/// signal meant for a new child that has not reset them yet would be lost, and stays pending so.
pub(crate) fn ignore_as_server() -> io::Result<()> {
    let deaf: SigSet = SERVER_IGNORES.into_iter().collect();
    sigprocmask(SigmaskHow::SIG_BLOCK, Some(&deaf), None)?;
    // SAFETY: ignoring a signal runs no handler.
    unsafe { signal(Signal::SIGPIPE, SigHandler::SigIgn)? };
    Ok(())
}

/// As a child of the server: nothing blocked; what came meanwhile comes now. SIGPIPE stays ignored, as in every Rust program.
pub(crate) fn reset_as_child() -> io::Result<()> {
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
