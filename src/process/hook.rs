//! The hook that turns this program into its own fork server, before `main`.
#![expect(unsafe_code, reason = "a constructor is registered with the loader")]
//!
//! The loader calls the constructors in `.init_array` of every program that links this crate. Ours looks for a marker in the
//! environment and returns at once when there is none, so that a program pays one look-up for it. With the marker it never
//! returns: `main` does not run in the server.
//!
//! # Safety
//! A constructor runs while the process has one thread.

use super::server;
use crate::sys::{image, process, signal, socket, spawn};
use std::ffi::{c_char, c_int};
use std::io;
use std::os::fd::AsFd;

/// The marker: the number that the server says hello with.
pub(super) const MARKER: &str = "MULTIPROC_FORK_SERVER";

/// The section holds pointers to functions of exactly this type, which the loader calls.
#[used]
#[unsafe(link_section = ".init_array")]
static HOOK: image::Constructor = hook;

/// Named by whoever starts processes, so that the linker cannot leave this file out.
pub(super) fn keep() {
    std::hint::black_box(&HOOK);
}

extern "C" fn hook(argc: c_int, argv: *const *const c_char, envp: *const *const c_char) {
    if std::env::var_os(MARKER).is_none() {
        return;
    }
    if spawn::is_privileged() {
        // Somebody would like a program with more rights to serve him: leave everything as it is, main may run.
        return;
    }
    // SAFETY: constructors run before any thread can exist.
    let Some(marker) = (unsafe { spawn::take_variable(MARKER) }) else {
        return;
    };
    let later = image::constructors().iter().flatten();
    let ours = hook as image::Constructor as usize;
    for constructor in later
        .skip_while(|&&constructor| constructor as usize != ours)
        .skip(1)
    {
        // They would never run otherwise, and statics of other crates would be empty in every child.
        constructor(argc, argv, envp);
    }
    let code = match serve(&marker) {
        Ok(()) => 0,
        Err(_) => 1,
    };
    process::exit_now(code);
}

fn serve(marker: &str) -> io::Result<()> {
    let hello: u64 = marker.parse().map_err(|_| io::ErrorKind::InvalidInput)?;
    // SAFETY: this process was started with these two descriptors for this purpose, and nothing has run before.
    let control = unsafe { spawn::inherited(spawn::CONTROL_FD)? };
    if socket::peer_pid(control.as_fd())? != nix::unistd::getppid().as_raw() {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    // SAFETY: as above.
    let arena = unsafe { spawn::inherited(spawn::ARENA_FD)? };
    // SAFETY: no other descriptor has an owner yet.
    unsafe { spawn::close_all_but(&mut [3, 4]) };
    spawn::standard_streams()?;
    signal::ignore_as_server()?;
    server::run(control, arena, hello)
}
