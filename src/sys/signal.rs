//! Signals: what the fork server ignores, and how a child starts clean.
#![expect(unsafe_code, reason = "signal dispositions are process-wide")]
//!
//! # Safety
//! Only `SIG_IGN` and `SIG_DFL` are set, which run no code of ours.

use nix::libc;
use nix::sys::signal::{SigHandler, SigSet, SigmaskHow, Signal, signal, sigprocmask};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use std::io;

/// What a fork server does not hear: a terminal's keys and a polite request are meant for the family's members.
const SERVER_IGNORES: [Signal; 7] = [
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGHUP,
    Signal::SIGTERM,
    Signal::SIGTSTP,
    Signal::SIGTTIN,
    Signal::SIGTTOU,
];

/// As the fork server: be deaf to the terminal. Its signals are blocked and not ignored: one that is meant for a new child that has
/// not reset them yet would be lost, and stays pending so.
pub(crate) fn be_deaf_as_server() -> io::Result<()> {
    let deaf: SigSet = SERVER_IGNORES.into_iter().collect();
    Ok(sigprocmask(SigmaskHow::SIG_SETMASK, Some(&deaf), None)?)
}

/// As a process in which Rust's runtime has not begun: ignore what it ignores.
pub(crate) fn ignore_as_runtime() -> io::Result<()> {
    // SAFETY: ignoring a signal runs no handler.
    unsafe { signal(Signal::SIGPIPE, SigHandler::SigIgn)? };
    Ok(())
}

/// As a child of the server: nothing blocked; what came meanwhile comes now. SIGPIPE stays ignored, as in every Rust program.
pub(crate) fn reset_as_child() -> io::Result<()> {
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)?;
    Ok(())
}

/// All signals of this thread are blocked, until dropped.
#[derive(Debug)]
pub(crate) struct AllBlocked {
    before: SigSet,
}

impl AllBlocked {
    pub(crate) fn now() -> io::Result<Self> {
        let mut before = SigSet::empty();
        sigprocmask(
            SigmaskHow::SIG_SETMASK,
            Some(&SigSet::all()),
            Some(&mut before),
        )?;
        Ok(Self { before })
    }
}

impl Drop for AllBlocked {
    fn drop(&mut self) {
        let _mask_is_valid = sigprocmask(SigmaskHow::SIG_SETMASK, Some(&self.before), None);
    }
}

/// Puts away all handlers but those of faults, which Rust's runtime has set to tell a stack overflow.
pub(crate) fn default_handlers() -> io::Result<()> {
    let faults = [
        Signal::SIGSEGV,
        Signal::SIGBUS,
        Signal::SIGILL,
        Signal::SIGFPE,
        Signal::SIGTRAP,
    ];
    let fixed = [Signal::SIGKILL, Signal::SIGSTOP, Signal::SIGPIPE];
    for number in
        Signal::iterator().filter(|number| !faults.contains(number) && !fixed.contains(number))
    {
        // SAFETY: the default action runs no handler.
        unsafe { signal(number, SigHandler::SigDfl)? };
    }
    for number in libc::SIGRTMIN()..=libc::SIGRTMAX() {
        // SAFETY: as above.
        unsafe { libc::signal(number, libc::SIG_DFL) };
    }
    // SAFETY: ignoring a signal runs no handler.
    unsafe { signal(Signal::SIGPIPE, SigHandler::SigIgn)? };
    Ok(())
}

/// As a child that was forked from a process with handlers: they are the parent's and are put away. Then nothing is blocked any more,
/// and what came meanwhile comes.
pub(crate) fn put_away_handlers(blocked: AllBlocked) -> io::Result<()> {
    default_handlers()?;
    let _the_parents_mask = std::mem::ManuallyDrop::new(blocked);
    reset_as_child()
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
