//! Threads as the kernel sees them: their number, and whether two can run at once.
#![expect(unsafe_code, reason = "gettid has no safe wrapper for a cached number")]
//!
//! # Safety
//! `gettid` takes nothing and cannot fail.

use super::atomic::{Acquire, AtomicPtr, AtomicU32, Relaxed, Release};
use nix::libc;
use std::cell::Cell;

thread_local! {
    static TID: Cell<u32> = const { Cell::new(0) };
}

/// The kernel's number of this thread, asked once a thread; a forked child asks again ([`forget`]).
pub(crate) fn gettid() -> u32 {
    TID.with(|tid| {
        if tid.get() == 0 {
            // SAFETY: gettid has no arguments and no preconditions.
            let number = unsafe { libc::gettid() };
            tid.set(number.cast_unsigned());
        }
        tid.get()
    })
}

/// In a forked child: the thread that forked has a new number.
pub(crate) fn forget() {
    TID.with(|tid| tid.set(0));
}

/// CPUs that this process may run on, asked once: spinning is useless on one.
pub(crate) fn cpus() -> u32 {
    static CPUS: AtomicU32 = AtomicU32::new(0);
    let known = CPUS.load(Relaxed);
    if known != 0 {
        return known;
    }
    let set = nix::sched::sched_getaffinity(nix::unistd::Pid::from_raw(0));
    let count = set.map_or(1, |set| {
        (0..nix::sched::CpuSet::count())
            .filter(|&cpu| set.is_set(cpu).unwrap_or(false))
            .count()
    });
    let count = u32::try_from(count.max(1)).unwrap_or(1);
    CPUS.store(count, Relaxed);
    count
}

/// Is it known that this process has one thread? The C library tells (glibc from 2.32 on).
pub(crate) fn is_alone() -> bool {
    static FLAG: AtomicPtr<libc::c_char> = AtomicPtr::new(std::ptr::null_mut());
    static ASKED: AtomicU32 = AtomicU32::new(0);
    if ASKED.load(Acquire) == 0 {
        // SAFETY: a name that ends with a zero byte is looked up.
        let flag = unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"__libc_single_threaded".as_ptr()) };
        FLAG.store(flag.cast(), Release);
        ASKED.store(1, Release);
    }
    let flag = FLAG.load(Acquire);
    // SAFETY: null, or the library's variable of one byte, which it changes only when a second thread is about to be.
    !flag.is_null() && unsafe { flag.read_volatile() } != 0
}

/// The number of threads of this process; 0 where nobody can tell.
pub(crate) fn count() -> usize {
    std::fs::read_dir("/proc/self/task").map_or(0, Iterator::count)
}

/// The stack of [`run_fresh`]: what the first thread of a program usually has. Untouched pages cost nothing.
const STACK: usize = 8 << 20;

/// Runs `body` on a new thread and waits for its end. Not std's: a thread of that kind inherits where its maker's output is captured.
/// Where no thread can be made, `body` runs here. It must not unwind.
pub(crate) fn run_fresh<F: FnOnce() + Send>(body: F) {
    let mut body = Some(body);
    let mut thread = std::mem::MaybeUninit::<libc::pthread_t>::uninit();
    let mut attributes = std::mem::MaybeUninit::<libc::pthread_attr_t>::uninit();
    // SAFETY: the call fills the structure that it is given.
    unsafe { libc::pthread_attr_init(attributes.as_mut_ptr()) };
    // SAFETY: the attributes were initialised.
    unsafe { libc::pthread_attr_setstacksize(attributes.as_mut_ptr(), STACK) };
    let argument = (&raw mut body).cast();
    // SAFETY: `call_once` gets the pointer to `body`, which lives until the thread was joined below.
    let made = unsafe {
        libc::pthread_create(
            thread.as_mut_ptr(),
            attributes.as_ptr(),
            call_once::<F>,
            argument,
        )
    };
    if made == 0 {
        // SAFETY: the thread was made, so its number was written.
        let thread = unsafe { thread.assume_init() };
        // SAFETY: nobody else joins it.
        unsafe { libc::pthread_join(thread, std::ptr::null_mut()) };
    } else if let Some(body) = body.take() {
        body();
    }
}

extern "C" fn call_once<F: FnOnce() + Send>(body: *mut libc::c_void) -> *mut libc::c_void {
    // SAFETY: `run_fresh` passed a pointer to its variable and does not touch it until this thread has ended.
    let body = unsafe { &mut *body.cast::<Option<F>>() };
    if let Some(body) = body.take() {
        body();
    }
    std::ptr::null_mut()
}

/// CPUs of the machine that are on line.
pub(crate) fn online_cpus() -> usize {
    let online = nix::unistd::sysconf(nix::unistd::SysconfVar::_NPROCESSORS_ONLN);
    online
        .ok()
        .flatten()
        .and_then(|count| usize::try_from(count).ok())
        .unwrap_or(1)
        .max(1)
}
