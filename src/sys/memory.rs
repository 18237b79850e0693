//! Memory that a family shares: `memfd_create(2)`, `mmap(2)`, `madvise(2)`.
#![expect(unsafe_code, reason = "mapping memory")]
//!
//! # Safety
//! A mapping made here is never unmapped, so a pointer into it stays good for the life of the process; what lies behind it
//! is reached by the rooms above through atomics or raw copies only.

use super::atomic::{AtomicU32, Relaxed};
use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::libc;
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::mman::{MapFlags, MmapAdvise, ProtFlags, madvise, mmap, mmap_anonymous, munmap};
use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit};
use std::io;
use std::num::NonZeroUsize;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::ptr::NonNull;

/// Bytes of a page of this machine.
pub(crate) fn page_size() -> usize {
    static SIZE: AtomicU32 = AtomicU32::new(0);
    if SIZE.load(Relaxed) == 0 {
        let size = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE);
        let size = size
            .ok()
            .flatten()
            .and_then(|size| u32::try_from(size).ok());
        SIZE.store(size.unwrap_or(1 << 16), Relaxed);
    }
    SIZE.load(Relaxed) as usize
}

/// The guard below and above the arena, in bytes (a multiple of every page size in use).
const GUARD: usize = 65536;

/// A shared object of `size` bytes without a name, which can grow no smaller.
pub(crate) fn create(size: usize) -> io::Result<OwnedFd> {
    let fd = memfd_create(
        c"multiproc",
        MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING,
    )?;
    let fd = super::spawn::above_streams(fd)?;
    let length = libc::off_t::try_from(size).map_err(|_| io::ErrorKind::InvalidInput)?;
    nix::unistd::ftruncate(&fd, length)?;
    let seals = SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SEAL;
    fcntl(&fd, FcntlArg::F_ADD_SEALS(seals))?;
    Ok(fd)
}

/// The bytes of a shared object.
pub(crate) fn size(fd: BorrowedFd<'_>) -> io::Result<usize> {
    let size = nix::sys::stat::fstat(fd)?.st_size;
    usize::try_from(size).map_err(|_| io::ErrorKind::InvalidData.into())
}

/// Maps a shared object: no reserve, out of core dumps, inaccessible bytes on both sides.
pub(crate) fn map(fd: BorrowedFd<'_>, size: usize) -> io::Result<NonNull<u8>> {
    let around = NonZeroUsize::new(size + 2 * GUARD).ok_or(io::ErrorKind::InvalidInput)?;
    let flags = MapFlags::MAP_PRIVATE | MapFlags::MAP_NORESERVE;
    // SAFETY: a new mapping at an address of the kernel's choice touches nothing that exists.
    let whole = unsafe { mmap_anonymous(None, around, ProtFlags::PROT_NONE, flags)? };
    // SAFETY: GUARD is less than the length of the mapping just made.
    let inner = unsafe { whole.byte_add(GUARD) };
    let length = NonZeroUsize::new(size).ok_or(io::ErrorKind::InvalidInput)?;
    let flags = MapFlags::MAP_SHARED | MapFlags::MAP_NORESERVE | MapFlags::MAP_FIXED;
    let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
    let address = NonZeroUsize::new(inner.as_ptr() as usize);
    // SAFETY: the fixed address lies inside the inaccessible mapping above, which nobody else knows.
    let mapped = unsafe { mmap(address, length, protection, flags, fd, 0) };
    match mapped {
        Ok(base) => {
            // SAFETY: the range was mapped by the call before.
            let _advice = unsafe { madvise(base, size, MmapAdvise::MADV_DONTDUMP) };
            Ok(base.cast())
        }
        Err(errno) => {
            // SAFETY: the range was reserved above and no pointer into it has left this function.
            let _done = unsafe { munmap(whole, around.get()) };
            Err(errno.into())
        }
    }
}

/// Zeroed private memory that costs nothing until touched; a forked child has its own copy.
pub(crate) fn private(size: usize) -> io::Result<NonNull<u8>> {
    let length = NonZeroUsize::new(size).ok_or(io::ErrorKind::InvalidInput)?;
    let flags = MapFlags::MAP_PRIVATE | MapFlags::MAP_NORESERVE;
    let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
    // SAFETY: a new mapping at an address of the kernel's choice touches nothing that exists.
    Ok(unsafe { mmap_anonymous(None, length, protection, flags)? }.cast())
}

/// Makes sure that `length` bytes from `start` have pages now, so that a full machine is an error here and not a signal later.
/// Kernels before 5.14 cannot tell; there the promise is void.
pub(crate) fn populate(start: NonNull<u8>, length: usize) -> io::Result<()> {
    // SAFETY: populating changes no byte; a range that is not mapped is answered by ENOMEM.
    let result = unsafe { libc::madvise(start.as_ptr().cast(), length, libc::MADV_POPULATE_WRITE) };
    match nix::errno::Errno::result(result) {
        Ok(_) | Err(nix::errno::Errno::EINVAL) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

/// Gives the pages of a range that holds nothing of worth back to the system.
pub(crate) fn punch(start: NonNull<u8>, length: usize) -> io::Result<()> {
    // SAFETY: the caller holds the range as free memory; what is read there afterwards is zero.
    unsafe { madvise(start.cast(), length, MmapAdvise::MADV_REMOVE) }?;
    Ok(())
}

/// The size that suits this machine: twice its memory, at most 64 GiB, at most a quarter of the limits that would strike.
pub(crate) fn preferred_size() -> usize {
    const MOST: u64 = 64 << 30;
    let quarter = |resource| match getrlimit(resource) {
        Ok((soft, _)) if soft != RLIM_INFINITY => soft / 4,
        _ => MOST,
    };
    let size = MOST
        .min(memory_of_machine().saturating_mul(2))
        .min(quarter(Resource::RLIMIT_AS))
        .min(quarter(Resource::RLIMIT_FSIZE));
    usize::try_from(size).unwrap_or(usize::MAX)
}

/// Bytes of physical memory.
pub(crate) fn memory_of_machine() -> u64 {
    use nix::unistd::{SysconfVar, sysconf};
    let ask = |what| {
        sysconf(what)
            .ok()
            .flatten()
            .and_then(|n| u64::try_from(n).ok())
    };
    ask(SysconfVar::_PHYS_PAGES).unwrap_or(1 << 18) * ask(SysconfVar::PAGE_SIZE).unwrap_or(4096)
}
