//! The one seam for atomics: everything above imports them from here.

pub(crate) use core::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release, SeqCst};
pub(crate) use core::sync::atomic::{
    AtomicBool, AtomicI32, AtomicPtr, AtomicU8, AtomicU16, AtomicU32, AtomicU64, AtomicUsize,
};

/// A sequentially consistent fence, right after a read-modify-write of that ordering. On x86 such an instruction is a full
/// fence itself, so that only the compiler has to be held back.
#[inline]
pub(crate) fn fence_after_rmw() {
    if cfg!(all(target_arch = "x86_64", not(miri))) {
        core::sync::atomic::compiler_fence(SeqCst);
    } else {
        core::sync::atomic::fence(SeqCst);
    }
}
