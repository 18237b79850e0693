//! The end of a program: `atexit(3)`, `on_exit(3)`, and what stands in C's buffers.
#![expect(unsafe_code, reason = "exit handlers are C functions")]
//!
//! # Safety
//! Handlers are functions of this image that stay loaded.

use super::atomic::{Acquire, AtomicU32, Release};
use super::clock::Deadline;
use super::futex::{self, Scope};
use super::{os_thread, thread};
use nix::libc;
use std::io::Write;
use std::sync::{Arc, mpsc};
use std::time::Duration;

unsafe extern "C" {
    fn on_exit(
        handler: extern "C" fn(libc::c_int, *mut libc::c_void),
        argument: *mut libc::c_void,
    ) -> libc::c_int;

    /// C's standard output: the library sets it before anything runs.
    static stdout: *mut libc::FILE;
}

/// Calls `handler` at the normal end of the program, before the handlers registered earlier.
pub(crate) fn at_exit(handler: extern "C" fn()) {
    // SAFETY: the handler is a function of this image.
    unsafe { libc::atexit(handler) };
}

/// Calls `handler` with the status that `exit(3)` was given.
pub(crate) fn at_exit_with_status(handler: extern "C" fn(libc::c_int, *mut libc::c_void)) {
    // SAFETY: the handler is a function of this image and does not use its argument.
    unsafe { on_exit(handler, std::ptr::null_mut()) };
}

/// The normal end of the program: calls the handlers, flushes C's streams, and is gone.
pub(crate) fn end(code: libc::c_int) -> ! {
    // SAFETY: the handlers are functions that whoever registered them keeps.
    unsafe { libc::exit(code) }
}

/// How long another thread may hold the lock of a stream, until what stands in it is given up.
const GRACE: Duration = Duration::from_secs(1);

/// Writes what stands in the buffers of Rust's and C's output.
///
/// Another thread may hold the lock of a stream for ever, one that waits for input, or for room in a pipe; it must not keep the process
/// from ending. C's own `exit` takes no locks for it; nobody else can do without, so another thread waits for them.
pub(crate) fn flush() {
    let flush = || {
        let _failed = std::io::stdout().flush();
        flush_output_of_c();
        flush_all_of_c();
    };
    if thread::is_alone() || thread::count() == 1 {
        return flush();
    }
    let (done, end) = mpsc::channel();
    let helped = move || {
        flush();
        let _nobody_waits = done.send(());
    };
    if os_thread::spawn("flush", 1 << 18, helped).is_ok() {
        let _given_up = end.recv_timeout(GRACE);
    }
}

/// How far a thread is that writes what stands in a buffer: it has not begun, waits for the lock, has it, is done.
const ABSENT: u32 = 0;
const WAITS: u32 = 1;
const HAS_LOCK: u32 = 2;
const DONE: u32 = 3;

/// Writes what stands in the buffer of Rust's output, for as long as that takes.
///
/// Somebody may have its lock for ever, or may have had it when this process was forked: nobody can try it, so another thread does, and is
/// left alone after a while.
pub(crate) fn flush_output() {
    let state = Arc::new(AtomicU32::new(ABSENT));
    let theirs = Arc::clone(&state);
    let flush = move || {
        tell(&theirs, WAITS);
        let mut output = std::io::stdout().lock();
        tell(&theirs, HAS_LOCK);
        let _failed = output.flush();
        tell(&theirs, DONE);
    };
    if os_thread::spawn_helper(flush).is_ok() {
        leave_behind(&state, ABSENT, Deadline::NEVER);
        leave_behind(&state, WAITS, Deadline::after(GRACE));
        leave_behind(&state, HAS_LOCK, Deadline::NEVER);
    }
}

fn tell(state: &AtomicU32, now: u32) {
    state.store(now, Release);
    futex::wake(state, 1, Scope::Private);
}

/// Returns when `state` is `before` no more, or at the deadline.
fn leave_behind(state: &AtomicU32, before: u32, deadline: Deadline) {
    while state.load(Acquire) == before {
        let slice = deadline.slice(Duration::from_secs(3600));
        if slice.is_zero() {
            return;
        }
        futex::wait(state, before, slice, Scope::Private);
    }
}

fn flush_all_of_c() {
    // SAFETY: null flushes all streams.
    unsafe { libc::fflush(std::ptr::null_mut()) };
}

/// Writes what stands in the buffer of C's standard output: a fork would copy it, and both would write it. Not all of C's streams:
/// a thread that waits for input holds the lock of its stream.
pub(crate) fn flush_output_of_c() {
    // SAFETY: reading the pointer is sound, as the C library does not change it.
    let output = unsafe { stdout };
    // SAFETY: the stream is C's own, open or not.
    unsafe { libc::fflush(output) };
}

/// Writes to standard error past the locks of Rust and C, as far as it can be written.
pub(crate) fn write_to_stderr(text: &str) {
    let mut rest = text.as_bytes();
    while !rest.is_empty() {
        match nix::unistd::write(std::io::stderr(), rest) {
            Ok(written) => rest = rest.get(written..).unwrap_or_default(),
            Err(nix::errno::Errno::EINTR) => {}
            Err(_) => return,
        }
    }
}
