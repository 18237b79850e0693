//! Threads as the kernel sees them: their number, and whether two can run at once.
#![expect(unsafe_code, reason = "gettid has no safe wrapper for a cached number")]
//!
//! # Safety
//! `gettid` takes nothing and cannot fail.

use super::atomic::{Acquire, AtomicPtr, AtomicU32, Relaxed, Release};
use super::futex::{self, Scope};
use super::private::Private;
/// For those who wait a few instructions for another thread.
pub(crate) use crossbeam::utils::Backoff;
use nix::libc;
use std::cell::Cell;
use std::time::{Duration, Instant};

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

static CPUS: AtomicU32 = AtomicU32::new(0);

/// This process has been confined: what was known of its CPUs is not true any more.
pub(crate) fn forget_cpus() {
    CPUS.store(0, Relaxed);
}

/// CPUs that this process may run on, asked once: spinning is useless on one.
pub(crate) fn cpus() -> u32 {
    if cfg!(miri) {
        // It runs one thread at a time.
        return 1;
    }
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

/// How long the new thread of [`run_fresh`] may take to be ready.
const READY: Duration = Duration::from_millis(200);

/// What a new thread is to run.
struct Fresh<F> {
    ready: fn(),
    /// Whoever takes it runs it.
    body: Private<Option<F>>,
    ended: AtomicU32,
}

/// Runs `body` on a new thread, after `ready`, and waits for its end. Not std's: a thread of that kind inherits where its maker's output
/// is captured. Where no thread can be made, or the new one is not ready in time, `body` runs here. Neither must unwind.
pub(crate) fn run_fresh<F: FnOnce() + Send>(ready: fn(), body: F) {
    // Never given back: a thread that is not ready in time may look into it for longer than this call takes.
    let fresh: &Fresh<F> = Box::leak(Box::new(Fresh {
        ready,
        body: Private::new(Some(body)),
        ended: AtomicU32::new(0),
    }));
    let thread = start(fresh);
    let begin = Instant::now();
    while thread.is_some() && fresh.ended.load(Acquire) == 0 && begin.elapsed() < READY {
        let left = READY.saturating_sub(begin.elapsed());
        futex::wait(&fresh.ended, 0, left, Scope::Private);
    }
    let late = fresh.body.lock().take();
    if let Some(body) = late {
        body();
    } else if let Some(thread) = thread {
        // SAFETY: nobody else joins it.
        unsafe { libc::pthread_join(thread, std::ptr::null_mut()) };
    }
}

fn start<F: FnOnce() + Send>(fresh: &Fresh<F>) -> Option<libc::pthread_t> {
    let argument = (&raw const *fresh).cast_mut().cast();
    // SAFETY: `call_once` gets a pointer to what `run_fresh` never gives back.
    unsafe { create(STACK, call_once::<F>, argument) }.ok()
}

/// Makes a thread with that much stack, or the least that there can be.
///
/// # Safety
/// `body` may be called with `argument` on another thread, whenever that begins to run.
pub(super) unsafe fn create(
    stack: usize,
    body: extern "C" fn(*mut libc::c_void) -> *mut libc::c_void,
    argument: *mut libc::c_void,
) -> std::io::Result<libc::pthread_t> {
    let mut thread = std::mem::MaybeUninit::<libc::pthread_t>::uninit();
    let mut attributes = std::mem::MaybeUninit::<libc::pthread_attr_t>::uninit();
    // SAFETY: the call fills the structure that it is given.
    unsafe { libc::pthread_attr_init(attributes.as_mut_ptr()) };
    // SAFETY: the attributes were initialised.
    unsafe { libc::pthread_attr_setstacksize(attributes.as_mut_ptr(), stack) };
    // SAFETY: the attributes were initialised, and the caller answers for the rest.
    let made =
        unsafe { libc::pthread_create(thread.as_mut_ptr(), attributes.as_ptr(), body, argument) };
    // SAFETY: the attributes were initialised, and nobody uses them any more.
    unsafe { libc::pthread_attr_destroy(attributes.as_mut_ptr()) };
    if made != 0 {
        return Err(std::io::Error::from_raw_os_error(made));
    }
    // SAFETY: the thread was made, so its number was written.
    Ok(unsafe { thread.assume_init() })
}

extern "C" fn call_once<F: FnOnce() + Send>(fresh: *mut libc::c_void) -> *mut libc::c_void {
    // SAFETY: `start` passed a pointer to what is never given back and is shared between its two threads.
    let fresh = unsafe { &*fresh.cast::<Fresh<F>>().cast_const() };
    (fresh.ready)();
    let body = fresh.body.lock().take();
    if let Some(body) = body {
        // Whoever made this thread joins it, so what `body` has borrowed is there.
        body();
        fresh.ended.store(1, Release);
        futex::wake(&fresh.ended, 1, Scope::Private);
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
