//! The end of a program: `atexit(3)`, `on_exit(3)`, and what stands in C's buffers.
#![expect(unsafe_code, reason = "exit handlers are C functions")]
//!
//! # Safety
//! Handlers are functions of this image that stay loaded.

use nix::libc;

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

/// Writes what stands in the buffers of Rust's and C's standard output.
pub(crate) fn flush() {
    use std::io::Write;
    let _failed = std::io::stdout().flush();
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
