//! Numbers that several processes see at once. Not the crate's own: what is tested does not say how it went.

use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::mman::{MapFlags, ProtFlags, mmap};
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::num::NonZeroUsize;
use std::os::fd::AsRawFd as _;
use std::sync::atomic::AtomicU64;

/// Words that are 0 at first. Memory is used for those that were written.
#[derive(Debug)]
pub(crate) struct Board {
    file: File,
    words: &'static [AtomicU64],
}

/// Where a [`Board`] lies.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct RemoteBoard {
    pid: u32,
    fd: i32,
    words: usize,
}

impl Board {
    /// So many words.
    pub(crate) fn new(words: usize) -> Self {
        let file = File::from(memfd_create("board", MFdFlags::MFD_CLOEXEC).unwrap());
        file.set_len(8 * words as u64).unwrap();
        Self::map(file, words)
    }

    #[expect(unsafe_code, reason = "shared memory of the test's own")]
    fn map(file: File, words: usize) -> Self {
        let length = NonZeroUsize::new(8 * words).unwrap();
        let rights = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: because a new mapping, wherever the kernel likes, is nobody else's memory.
        let start = unsafe { mmap(None, length, rights, MapFlags::MAP_SHARED, &file, 0) }.unwrap();
        // SAFETY: because the mapping is that long, aligned to pages, never unmapped, and only used as atomics.
        let words = unsafe { std::slice::from_raw_parts(start.as_ptr().cast(), words) };
        Self { file, words }
    }

    /// The same board for another process of this user. It works for as long as this one exists.
    pub(crate) fn remote(&self) -> RemoteBoard {
        RemoteBoard {
            pid: std::process::id(),
            fd: self.file.as_raw_fd(),
            words: self.words.len(),
        }
    }

    pub(crate) fn word(&self, index: usize) -> &AtomicU64 {
        &self.words[index]
    }
}

impl RemoteBoard {
    /// The board, in another process.
    pub(crate) fn open(self) -> Board {
        let path = format!("/proc/{}/fd/{}", self.pid, self.fd);
        let file = OpenOptions::new().read(true).write(true).open(path);
        Board::map(file.unwrap(), self.words)
    }
}
