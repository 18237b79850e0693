//! What runs at the end of a thread, and not at the end of the program: the destructors of `pthread_key_create(3)`.
#![expect(unsafe_code, reason = "keys of threads have no safe wrapper")]
//!
//! Those of `thread_local!` also run in the middle of `exit`, in whatever the thread that calls it is doing; these never do. They run after
//! all of those, when the functions of the thread have returned, and again when something has armed them meanwhile, a few times.
//!
//! # Safety
//! The one value that a key has is the address of a static, in an image that is never unloaded from then on.

use super::atomic::{AcqRel, Acquire, AtomicU32};
use nix::libc;

/// No key yet. The C library's are small numbers.
const NONE: u32 = u32::MAX;

/// A function for the ends of threads.
#[derive(Debug)]
pub(crate) struct ThreadEnd {
    key: AtomicU32,
    run: fn(),
}

impl ThreadEnd {
    /// `run` must not unwind.
    pub(crate) const fn new(run: fn()) -> Self {
        Self {
            key: AtomicU32::new(NONE),
            run,
        }
    }

    /// This thread will run it at its end; `false` where the C library has no key or no memory left.
    pub(crate) fn arm(&'static self) -> bool {
        let Some(key) = self.key() else { return false };
        let this: *const Self = self;
        // SAFETY: the key was made by `key` and is never deleted.
        unsafe { libc::pthread_setspecific(key, this.cast()) == 0 }
    }

    fn key(&self) -> Option<libc::pthread_key_t> {
        let known = self.key.load(Acquire);
        if known != NONE {
            return Some(known);
        }
        let mut key = 0;
        // SAFETY: `key` is written by the call, and `end` is a function of this image.
        if unsafe { libc::pthread_key_create(&raw mut key, Some(end)) } != 0 {
            return None;
        }
        let stored = self.key.compare_exchange(NONE, key, AcqRel, Acquire);
        stored.map_or_else(
            |others| {
                // SAFETY: it was made here, and no thread has a value for it.
                unsafe { libc::pthread_key_delete(key) };
                Some(others)
            },
            |_| {
                stay_loaded();
                Some(key)
            },
        )
    }
}

/// Threads of a host may end when it has unloaded this image, and the C library would call what is not there any more.
fn stay_loaded() {
    if cfg!(miri) {
        return;
    }
    let mut info = std::mem::MaybeUninit::<libc::Dl_info>::zeroed();
    let here: extern "C" fn(*mut libc::c_void) = end;
    // SAFETY: the call fills the structure, and takes any address.
    if unsafe { libc::dladdr(here as *const libc::c_void, info.as_mut_ptr()) } == 0 {
        return;
    }
    // SAFETY: the call has filled it.
    let image = unsafe { info.assume_init() };
    // SAFETY: the call takes any number. The answer lies in the first page of the program.
    let program = usize::try_from(unsafe { libc::getauxval(libc::AT_PHDR) }).unwrap_or(0);
    if program.wrapping_sub(image.dli_fbase as usize) < 4096 {
        return;
    }
    let flags = libc::RTLD_LAZY | libc::RTLD_NOLOAD | libc::RTLD_NODELETE;
    // SAFETY: a path of the loader's own. What is loaded already is marked, and nothing else is loaded.
    let _handle = unsafe { libc::dlopen(image.dli_fname, flags) };
}

/// The C library has emptied the thread's place before.
extern "C" fn end(this: *mut libc::c_void) {
    // SAFETY: `arm` gave the address of a static `ThreadEnd`, and nothing else is ever stored under its key.
    let this = unsafe { &*this.cast::<ThreadEnd>().cast_const() };
    (this.run)();
}
