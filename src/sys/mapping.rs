//! Memory that strangers share by name: a mapping that ends, read and written through atomics.
#![expect(unsafe_code, reason = "mapping memory, and atomics in it")]
//!
//! # Safety
//! The mapping is `size` bytes long from the call that makes it to the drop that ends it. Others write there at any time, so every access
//! is atomic, and no reference to plain bytes is made. Whoever makes the file shorter takes pages away: an access there is a SIGBUS,
//! which ends the process and is not undefined.

use super::atomic::{AtomicU8, AtomicU16, AtomicU32, AtomicU64, Relaxed};
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};
use std::io;
use std::num::NonZeroUsize;
use std::os::fd::AsFd;
use std::ptr::NonNull;

/// Shared memory that is mapped until this is dropped.
#[derive(Debug)]
pub(crate) struct Mapping {
    base: NonNull<u8>,
    size: NonZeroUsize,
}

// SAFETY: the mapping belongs to the process, not to a thread.
unsafe impl Send for Mapping {}
// SAFETY: all access is atomic.
unsafe impl Sync for Mapping {}

/// An unsigned number that several write.
///
/// # Safety
/// An atomic: every bit pattern is a value of it, and no access can be a data race.
pub(crate) unsafe trait Atomic: Sized {}
// SAFETY: an atomic.
unsafe impl Atomic for AtomicU8 {}
// SAFETY: an atomic.
unsafe impl Atomic for AtomicU16 {}
// SAFETY: an atomic.
unsafe impl Atomic for AtomicU32 {}
// SAFETY: an atomic.
unsafe impl Atomic for AtomicU64 {}

impl Mapping {
    /// Maps the first `size` bytes of a file.
    pub(crate) fn new(file: impl AsFd, size: usize) -> io::Result<Self> {
        let size = NonZeroUsize::new(size).ok_or(io::ErrorKind::InvalidInput)?;
        let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a new mapping at an address of the kernel's choice touches nothing that exists.
        let base = unsafe { mmap(None, size, protection, MapFlags::MAP_SHARED, file, 0)? };
        Ok(Self {
            base: base.cast(),
            size,
        })
    }

    pub(crate) fn size(&self) -> usize {
        self.size.get()
    }

    /// An atomic that lies wholly inside and is aligned.
    pub(crate) fn at<A: Atomic>(&self, offset: usize) -> Option<&A> {
        let end = offset.checked_add(size_of::<A>())?;
        if end > self.size() || !offset.is_multiple_of(align_of::<A>()) {
            return None;
        }
        // SAFETY: the end is inside, so the beginning is.
        let place: NonNull<A> = unsafe { self.base.byte_add(offset) }.cast();
        // SAFETY: inside and aligned, because the base is a page's; an atomic, so any bytes will do and others may write; the mapping
        // lives as long as this is borrowed.
        Some(unsafe { place.as_ref() })
    }

    fn holds(&self, offset: usize, length: usize) -> Option<()> {
        (offset.checked_add(length)? <= self.size()).then_some(())
    }

    /// Copies bytes out. Eight that are aligned are read at once, whoever writes meanwhile.
    pub(crate) fn read(&self, offset: usize, to: &mut [u8]) -> Option<()> {
        self.holds(offset, to.len())?;
        let (head, words, tail) = parts(offset, to.len());
        for (index, byte) in to[..head].iter_mut().enumerate() {
            *byte = self.at::<AtomicU8>(offset + index)?.load(Relaxed);
        }
        let middle = to[head..head + words].chunks_exact_mut(8).enumerate();
        for (index, bytes) in middle {
            let word = self.at::<AtomicU64>(offset + head + 8 * index)?;
            bytes.copy_from_slice(&word.load(Relaxed).to_ne_bytes());
        }
        for (index, byte) in to[head + words..][..tail].iter_mut().enumerate() {
            let at = offset + head + words + index;
            *byte = self.at::<AtomicU8>(at)?.load(Relaxed);
        }
        Some(())
    }

    /// Copies bytes in. Eight that are aligned are written at once.
    pub(crate) fn write(&self, offset: usize, from: &[u8]) -> Option<()> {
        self.holds(offset, from.len())?;
        let (head, words, _) = parts(offset, from.len());
        for (index, &byte) in from[..head].iter().enumerate() {
            self.at::<AtomicU8>(offset + index)?.store(byte, Relaxed);
        }
        for (index, bytes) in from[head..head + words].chunks_exact(8).enumerate() {
            let mut word = [0; 8];
            word.copy_from_slice(bytes);
            let at = offset + head + 8 * index;
            let word = u64::from_ne_bytes(word);
            self.at::<AtomicU64>(at)?.store(word, Relaxed);
        }
        for (index, &byte) in from[head + words..].iter().enumerate() {
            let at = offset + head + words + index;
            self.at::<AtomicU8>(at)?.store(byte, Relaxed);
        }
        Some(())
    }
}

/// Bytes before the first aligned eight, in aligned eights, and after the last.
fn parts(offset: usize, length: usize) -> (usize, usize, usize) {
    let head = (offset.next_multiple_of(8) - offset).min(length);
    let words = (length - head) & !7;
    (head, words, length - head - words)
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: mapped by `new`, unmapped only here, and no reference into it outlives the borrow that it came from.
        let _cannot_fail = unsafe { munmap(self.base.cast(), self.size.get()) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_range_is_copied_and_no_other_byte() {
        let file = super::super::memory::create(4096).expect("memory");
        let mapping = Mapping::new(&file, 4096).expect("a mapping");
        let pattern: Vec<u8> = (1..=40).collect();
        for offset in 0..20 {
            for length in 0..=40 {
                mapping.write(0, &[0; 80]).expect("inside");
                mapping.write(offset, &pattern[..length]).expect("inside");
                let mut all = [0; 80];
                mapping.read(0, &mut all).expect("inside");
                let mut expected = [0; 80];
                expected[offset..offset + length].copy_from_slice(&pattern[..length]);
                assert_eq!(all, expected);
                let mut part = vec![0; length];
                mapping.read(offset, &mut part).expect("inside");
                assert_eq!(part, pattern[..length]);
            }
        }
        assert!(mapping.read(4095, &mut [0; 2]).is_none());
        assert!(mapping.write(usize::MAX, &[0]).is_none());
        assert!(mapping.at::<AtomicU64>(4089).is_none() && mapping.at::<AtomicU64>(4).is_none());
        assert!(mapping.at::<AtomicU64>(usize::MAX - 7).is_none());
    }
}
