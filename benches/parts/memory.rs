//! Memory that this process shares with the children that it forks.
#![expect(unsafe_code, reason = "mmap")]

use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous};
use std::num::NonZeroUsize;
use std::ptr::NonNull;

const PAGE: usize = 4096;

/// So many bytes, all zero, in pages of their own, which children forked later share. They are never given back.
pub(crate) fn map(bytes: usize) -> NonNull<u8> {
    let bytes = NonZeroUsize::new(bytes).expect("not zero");
    let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
    // SAFETY: because the kernel chooses the address, an anonymous mapping touches nothing that exists.
    let pages = unsafe { mmap_anonymous(None, bytes, access, MapFlags::MAP_SHARED) };
    pages.expect("mmap").cast()
}

/// `value` in such pages.
pub(crate) fn shared<T: Sync>(value: T) -> &'static T {
    assert!(align_of::<T>() <= PAGE);
    let place = map(size_of::<T>()).cast::<T>();
    // SAFETY: the pages are writable, because they were mapped so, and `T` fits into them.
    unsafe { place.write(value) };
    // SAFETY: it stays valid for ever, because nobody unmaps it.
    unsafe { place.as_ref() }
}
