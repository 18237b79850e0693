//! How does the system make a thread that somebody joins, and what does it say of one?
#![expect(unsafe_code, reason = "threads that are not std's")]
//!
//! In a process that nobody has forked the thread is std's, which tells its name in panics and says when its stack is too small. In a
//! forked child it is made by `pthread_create`: a thread of std's takes a lock of std's when it begins, which a fork may have copied locked.
//!
//! # Safety
//! A body is handed over as a box: the new thread takes it back, or whoever could not make one.

use super::private::Private;
use super::{atfork, thread};
use nix::libc;
use std::ffi::CString;
use std::io;
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// A thread of this process that nobody has joined yet. Dropping it does not end the thread.
///
/// In a process that was forked since it is neither joined nor detached: the thread is not there, and its number may be another's.
#[derive(Debug)]
pub(crate) struct OsThread {
    made: Option<Made>,
    generation: u32,
}

#[derive(Debug)]
enum Made {
    Std(std::thread::JoinHandle<()>),
    Bare(Bare),
}

impl Made {
    fn here(self) -> OsThread {
        OsThread {
            made: Some(self),
            generation: atfork::generation(),
        }
    }
}

/// A thread that std does not know.
#[derive(Debug)]
struct Bare(libc::pthread_t);

/// How much stack a thread gets when nobody asks for more: as much as std's.
pub(crate) const STACK: usize = 2 << 20;

/// Runs `body` on a new thread.
pub(crate) fn spawn(
    name: &str,
    stack: usize,
    body: impl FnOnce() + Send + 'static,
) -> io::Result<OsThread> {
    if atfork::generation() == 0 {
        let builder = std::thread::Builder::new().stack_size(stack);
        // A zero byte would be a panic there.
        let builder = match name.contains('\0') {
            false => builder.name(name.to_owned()),
            true => builder,
        };
        return builder.spawn(body).map(|thread| Made::Std(thread).here());
    }
    let name = name.to_owned();
    let named = move || {
        set_own_name(&name);
        body();
    };
    spawn_bare(stack, Box::new(named)).map(|thread| Made::Bare(thread).here())
}

/// Runs `body`, which does not unwind and is soon done, on a new thread that nobody has asked for.
pub(crate) fn spawn_helper(body: impl FnOnce() + Send + 'static) -> io::Result<OsThread> {
    spawn_bare(1 << 18, Box::new(body)).map(|thread| Made::Bare(thread).here())
}

type Body = Box<dyn FnOnce() + Send>;

fn spawn_bare(stack: usize, body: Body) -> io::Result<Bare> {
    let argument = Box::into_raw(Box::new(body));
    // SAFETY: `call` takes the box back, once.
    let made = unsafe { thread::create(stack, call, argument.cast()) };
    made.map(Bare).inspect_err(|_| {
        // SAFETY: there is no thread that could have taken it.
        drop(unsafe { Box::from_raw(argument) });
    })
}

/// What a bare thread gives that has panicked.
const PANICKED: *mut libc::c_void = std::ptr::dangling_mut();

extern "C" fn call(body: *mut libc::c_void) -> *mut libc::c_void {
    // SAFETY: `spawn_bare` made it of a box of this type, for this call alone.
    let body = unsafe { Box::from_raw(body.cast::<Body>()) };
    // As std does. The hook of panics has told of it.
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(()) => std::ptr::null_mut(),
        Err(_told) => PANICKED,
    }
}

impl OsThread {
    /// Returns when the thread is gone, its thread-local variables included; says whether it did not panic.
    pub(crate) fn join(mut self) -> bool {
        let ours = self.generation == atfork::generation();
        match self.made.take_if(|_| ours) {
            None => true,
            Some(Made::Std(thread)) => thread.join().is_ok(),
            Some(Made::Bare(thread)) => {
                let thread = ManuallyDrop::new(thread);
                let mut gave = std::ptr::null_mut();
                // SAFETY: it is neither joined nor detached, and will not be again; what it gave is written to a variable.
                unsafe { libc::pthread_join(thread.0, &raw mut gave) };
                gave != PANICKED
            }
        }
    }
}

impl Drop for OsThread {
    fn drop(&mut self) {
        if self.generation != atfork::generation() {
            let _of_the_parent = ManuallyDrop::new(self.made.take());
        }
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        // SAFETY: nobody has joined it, and nobody can any more.
        unsafe { libc::pthread_detach(self.0) };
    }
}

/// As much of a name as the system keeps.
fn short(name: &str) -> &str {
    let plain = name.split('\0').next().unwrap_or_default();
    let ends = (0..=plain.len().min(15)).rev();
    let end = ends.into_iter().find(|&end| plain.is_char_boundary(end));
    &plain[..end.unwrap_or(0)]
}

fn set_own_name(name: &str) {
    let name = CString::new(short(name)).unwrap_or_default();
    let _unknown = nix::sys::prctl::set_name(&name);
}

/// Tells the system the name of a thread of this process. Where that is not possible, nobody needs it.
pub(crate) fn set_name(tid: u32, name: &str) {
    if cfg!(miri) {
        return;
    }
    let _unknown = std::fs::write(format!("/proc/self/task/{tid}/comm"), short(name));
}

/// Waits until the process is gone, as who calls std's `exit` second.
pub(crate) fn park() -> ! {
    loop {
        nix::unistd::pause();
    }
}

/// Does a thread of this process wait for no more than signals? So waits for ever who calls std's `exit` after another has. `false` where
/// nobody can tell.
pub(crate) fn is_parked(tid: u32) -> bool {
    let call = match call_of(tid) {
        Err(error) if error.raw_os_error() == Some(libc::EMFILE) => ask_apart(tid),
        call => call.ok(),
    };
    call.is_some_and(|call| pauses(&call))
}

/// The system call that a thread of this process is in, as `/proc` tells.
fn call_of(tid: u32) -> io::Result<String> {
    std::fs::read_to_string(format!("/proc/self/task/{tid}/syscall"))
}

/// The same when this process has no descriptor left: a thread without any of them asks.
fn ask_apart(tid: u32) -> Option<String> {
    let answer = Arc::new(Private::new(None));
    let theirs = Arc::clone(&answer);
    let ask = move || {
        // SAFETY: the call takes the table of descriptors from this thread alone, which uses none of them.
        let apart = unsafe {
            let (first, last) = (0 as libc::c_uint, libc::c_uint::MAX);
            libc::syscall(
                libc::SYS_close_range,
                first,
                last,
                libc::CLOSE_RANGE_UNSHARE,
            ) == 0
        };
        if apart {
            *theirs.lock() = call_of(tid).ok();
        }
    };
    spawn_helper(ask).ok()?.join();
    answer.lock().take()
}

/// `pause(2)`, or where there is none what the C library makes of it.
#[cfg(target_arch = "x86_64")]
fn pauses(call: &str) -> bool {
    call.split(' ').next() == Some(&libc::SYS_pause.to_string())
}

#[cfg(not(target_arch = "x86_64"))]
fn pauses(call: &str) -> bool {
    let nothing = format!("{} 0x0 0x0 0x0 0x0 ", libc::SYS_ppoll);
    call.starts_with(&nothing)
}
