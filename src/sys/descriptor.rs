//! A descriptor with several owners, which a forked process can close in all copies of them at once.
#![expect(unsafe_code, reason = "descriptors as numbers")]
//!
//! # Safety
//! The number is ours from `new` to `close`, which swaps it away, so that it is closed once.

use super::atomic::{AtomicI32, Relaxed};
use std::os::fd::{BorrowedFd, FromRawFd, IntoRawFd, OwnedFd};

/// A descriptor that is closed with its last owner, or before.
#[derive(Debug)]
pub(crate) struct Shared(AtomicI32);

impl Shared {
    pub(crate) fn new(fd: OwnedFd) -> Self {
        Self(AtomicI32::new(fd.into_raw_fd()))
    }

    /// The descriptor; `None` in a forked process, which has closed it.
    pub(crate) fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        let fd = self.0.load(Relaxed);
        // SAFETY: the number is ours until `close`, which is called where no other thread is and no borrow is used any more.
        (fd >= 0).then(|| unsafe { BorrowedFd::borrow_raw(fd) })
    }

    /// The descriptor for itself alone; `None` when it was taken or closed before. As [`close`](Self::close), only where nobody else is.
    pub(crate) fn take(&self) -> Option<OwnedFd> {
        let fd = self.0.swap(-1, Relaxed);
        // SAFETY: the number was ours and is forgotten, so it has one owner.
        (fd >= 0).then(|| unsafe { OwnedFd::from_raw_fd(fd) })
    }

    /// In a forked process, before anything else runs: it is the parent's.
    pub(crate) fn close(&self) {
        drop(self.take());
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.close();
    }
}
