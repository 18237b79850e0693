//! The arena itself: made at first use or adopted from the parent, mapped once, never unmapped.
#![expect(unsafe_code, reason = "offsets become references here")]
//!
//! # Safety
//! The mapping is `len` bytes long, readable and writable, zero at first and never unmapped. References are made to
//! [`Shared`] types only, after a check of bounds and alignment. Everything else is copied through raw pointers by code that
//! holds the lease or owns the block.

use super::layout::{Cell, Header, Layout, MAGIC, SMALLEST, Shared, Slot, UNIT, Unit};
use crate::error::{Error, ErrorKind, Result};
use crate::sys::atfork::{self, Forkable};
use crate::sys::atomic::{AcqRel, Acquire, AtomicBool, AtomicPtr, AtomicU64, Relaxed, Release};
use crate::sys::memory;
use crate::sys::private::Private;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::ptr::NonNull;

/// The shared memory of this process's family.
#[derive(Debug)]
pub(crate) struct Arena {
    base: NonNull<u8>,
    pub(crate) layout: Layout,
    fd: OwnedFd,
    /// How many handles this process has of each object: generation and count. Private, copied by a fork.
    counts: NonNull<AtomicU64>,
}

// SAFETY: the pointers stay good for the life of the process, and what is behind them is reached by atomics or under leases.
unsafe impl Send for Arena {}
// SAFETY: as for Send.
unsafe impl Sync for Arena {}

static ARENA: AtomicPtr<Arena> = AtomicPtr::new(std::ptr::null_mut());
static MAKING: Private<()> = Private::new(());
static WANTED: AtomicU64 = AtomicU64::new(0);

/// Chooses the size of the arena that this program will make.
///
/// The default is twice the machine's memory, at most 64 GiB and at most a quarter of `ulimit -v`; pages cost memory only
/// once they are touched. A smaller arena bounds what the family can share; a full one is an error
/// ([`ErrorKind::NoSpace`]), never a crash. The least is 1 MiB.
///
/// # Errors
/// [`ErrorKind::Misuse`] when the arena exists already; [`ErrorKind::InvalidInput`] for less than 1 MiB or more than 64 GiB.
///
/// # Examples
/// ```
/// multiproc::arena::set_size(16 << 20)?;
/// let queue = multiproc::Queue::<u32>::new()?;
/// assert!(multiproc::arena::set_size(32 << 20).is_err(), "the queue lies in it already");
/// # drop(queue);
/// # Ok::<(), multiproc::Error>(())
/// ```
pub fn set_size(bytes: usize) -> Result<()> {
    let size = bytes as u64;
    if !(SMALLEST..=64 << 30).contains(&size) {
        let text = "the arena is between 1 MiB and 64 GiB large";
        return Err(Error::new(ErrorKind::InvalidInput, text));
    }
    let _making = MAKING.lock();
    if !ARENA.load(Acquire).is_null() {
        return Err(Error::new(ErrorKind::Misuse, "the arena exists already"));
    }
    WANTED.store(size & !4095, Relaxed);
    Ok(())
}

impl Arena {
    /// The family's arena, made now if this is its first use.
    #[inline]
    pub(crate) fn get() -> Result<&'static Self> {
        Self::existing().map_or_else(Self::make, Ok)
    }

    /// The arena, if this process has one.
    #[inline]
    pub(crate) fn existing() -> Option<&'static Self> {
        // SAFETY: the pointer is null or comes from `Box::leak` in `publish`.
        unsafe { ARENA.load(Acquire).as_ref() }
    }

    /// Lets a fork wait until an arena that is being made is made. Called before `main` where the hook runs, so that no fork can come
    /// before it.
    pub(crate) fn register() {
        static REGISTERED: AtomicBool = AtomicBool::new(false);
        static TABLE: &dyn Forkable = &MAKING;
        if !REGISTERED.swap(true, AcqRel) {
            atfork::register(&[&TABLE]);
        }
    }

    #[cold]
    fn make() -> Result<&'static Self> {
        Self::register();
        let _making = MAKING.lock();
        if let Some(arena) = Self::existing() {
            return Ok(arena);
        }
        let wanted = WANTED.load(Relaxed);
        let mut size = match wanted {
            0 => memory::preferred_size() & !4095,
            wanted => usize::try_from(wanted).unwrap_or(usize::MAX),
        };
        loop {
            match Self::with_size(size) {
                Ok(arena) => {
                    arena.initialise();
                    return Ok(arena.publish());
                }
                Err(_) if wanted == 0 && size as u64 / 2 >= SMALLEST => size = (size / 2) & !4095,
                Err(error) => return Err(error),
            }
        }
    }

    fn with_size(size: usize) -> Result<Self> {
        let fd = memory::create(size)
            .map_err(|error| Error::os(format!("create {size} bytes of shared memory"), error))?;
        Self::map(fd, size)
    }

    /// Takes over the arena of the family that started this process.
    pub(crate) fn adopt(fd: OwnedFd) -> Result<&'static Self> {
        let size =
            memory::size(fd.as_fd()).map_err(|error| Error::os("size of the arena", error))?;
        if (size as u64) < SMALLEST {
            return Err(ErrorKind::Corrupt.into());
        }
        let arena = Self::map(fd, size)?;
        if arena.header().magic.load(Acquire) != MAGIC {
            return Err(ErrorKind::Corrupt.into());
        }
        Ok(arena.publish())
    }

    fn map(fd: OwnedFd, size: usize) -> Result<Self> {
        let layout = Layout::new(size as u64);
        let base = memory::map(fd.as_fd(), size)
            .map_err(|error| Error::os(format!("map {size} bytes"), error))?;
        let counts = memory::private(layout.objects as usize * size_of::<AtomicU64>());
        let counts = counts
            .map_err(|error| Error::os("map the table of handles", error))?
            .cast();
        Ok(Self {
            base,
            layout,
            fd,
            counts,
        })
    }

    fn initialise(&self) {
        super::blocks::initialise(self);
        self.header().magic.store(MAGIC, Release);
    }

    fn publish(self) -> &'static Self {
        let arena = Box::leak(Box::new(self));
        // First: who sees the arena may fork.
        super::member::register();
        ARENA.store(arena, Release);
        arena
    }

    /// The descriptor, to be handed to a fork server.
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Looks at a `T` at `offset`, if there is room for one and it is aligned.
    #[inline]
    pub(crate) fn at<T: Shared>(&self, offset: u64) -> Option<&'static T> {
        let end = offset.checked_add(size_of::<T>() as u64)?;
        if end > self.layout.size || !offset.is_multiple_of(align_of::<T>() as u64) {
            return None;
        }
        // SAFETY: because of the check the object lies inside the mapping, which is aligned to pages, never unmapped and may be
        // looked at as atomics by anybody.
        Some(unsafe { self.address(offset).cast().as_ref() })
    }

    /// The offset of something in the arena; `None` for what lies elsewhere.
    pub(crate) fn offset_of<T>(&self, of: &T) -> Option<u64> {
        let offset = (&raw const *of as u64).checked_sub(self.base.as_ptr() as u64)?;
        (offset < self.layout.size).then_some(offset)
    }

    fn address(&self, offset: u64) -> NonNull<u8> {
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        // SAFETY: every caller has checked that the offset lies inside the mapping.
        unsafe { self.base.add(offset) }
    }

    pub(crate) fn header(&self) -> &'static Header {
        self.at(0).expect("the arena is larger than its header")
    }

    #[inline]
    pub(crate) fn slot(&self, slot: u32) -> Option<&'static Slot> {
        let offset = self.layout.slots_at + u64::from(slot) * size_of::<Slot>() as u64;
        (slot < self.layout.slots)
            .then(|| self.at(offset))
            .flatten()
    }

    #[inline]
    pub(crate) fn cell(&self, number: u32) -> Option<&'static Cell> {
        let offset = self.layout.cells_at + u64::from(number) * size_of::<Cell>() as u64;
        (number < self.layout.objects)
            .then(|| self.at(offset))
            .flatten()
    }

    #[inline]
    pub(crate) fn unit(&self, unit: u32) -> Option<&'static Unit> {
        let offset = self.layout.units_at + u64::from(unit) * size_of::<Unit>() as u64;
        (unit < self.layout.units)
            .then(|| self.at(offset))
            .flatten()
    }

    /// The offset of the data of a unit.
    pub(crate) fn data(&self, unit: u32) -> u64 {
        self.layout.data_at + u64::from(unit) * UNIT
    }

    /// A word of the bit map of used slots.
    pub(crate) fn used(&self, slot: u32) -> Option<&'static AtomicU64> {
        (slot < self.layout.slots)
            .then(|| self.at(self.layout.used_at + u64::from(slot / 64) * 8))
            .flatten()
    }

    /// The word of a slot's bit map that has the bit of object `number`.
    #[inline]
    pub(crate) fn bits(&self, slot: u32, number: u32) -> Option<&'static AtomicU64> {
        if slot >= self.layout.slots || number >= self.layout.objects {
            return None;
        }
        let word = u64::from(slot) * u64::from(self.layout.bit_words) + u64::from(number / 64);
        self.at(self.layout.bits_at + word * 8)
    }

    /// How many handles this process has of object `number`.
    #[inline]
    pub(crate) fn count(&self, number: u32) -> Option<&AtomicU64> {
        if number >= self.layout.objects {
            return None;
        }
        // SAFETY: the table has a word for each object.
        let place = unsafe { self.counts.add(number as usize) };
        // SAFETY: the private mapping is zeroed, aligned and never unmapped.
        Some(unsafe { place.as_ref() })
    }

    /// Looks at `count` words at `offset`, if there is room for them and they are aligned.
    pub(crate) fn words(&self, offset: u64, count: usize) -> Option<&'static [AtomicU64]> {
        self.check(offset, count.checked_mul(8)?)?;
        if !offset.is_multiple_of(8) {
            return None;
        }
        let first = self.address(offset).cast::<AtomicU64>();
        // SAFETY: because of the check all of them lie inside the mapping, which is never unmapped; atomics may be looked at by anybody.
        Some(unsafe { std::slice::from_raw_parts(first.as_ptr(), count) })
    }

    /// Fills a range that the caller owns with zeros.
    pub(crate) fn zero(&self, offset: u64, length: u64) -> Option<()> {
        let length = usize::try_from(length).ok()?;
        self.check(offset, length)?;
        // SAFETY: the range was checked, and any bytes may lie there.
        unsafe { self.address(offset).as_ptr().write_bytes(0, length) };
        Some(())
    }

    /// Copies bytes into the arena; the caller owns the place. `None` if it lies outside.
    #[inline]
    pub(crate) fn write(&self, offset: u64, bytes: &[u8]) -> Option<()> {
        self.check(offset, bytes.len())?;
        let to = self.address(offset).as_ptr();
        // SAFETY: the range was checked, and private memory does not overlap the arena.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len()) };
        Some(())
    }

    /// Copies bytes of the arena to `to`; the caller owns the place.
    #[inline]
    pub(crate) fn read_into(&self, offset: u64, to: &mut [u8]) -> Option<()> {
        self.check(offset, to.len())?;
        let from = self.address(offset).as_ptr();
        // SAFETY: the range was checked, and private memory does not overlap the arena.
        unsafe { std::ptr::copy_nonoverlapping(from, to.as_mut_ptr(), to.len()) };
        Some(())
    }

    /// Copies bytes of the arena to a place that may hold nothing yet; the caller owns the bytes.
    #[inline]
    pub(crate) fn read_uninit(&self, offset: u64, to: &mut [MaybeUninit<u8>]) -> Option<()> {
        self.check(offset, to.len())?;
        let from = self.address(offset).as_ptr().cast();
        // SAFETY: the range was checked, and private memory does not overlap the arena.
        unsafe { std::ptr::copy_nonoverlapping(from, to.as_mut_ptr(), to.len()) };
        Some(())
    }

    /// The address of a range.
    pub(crate) fn place(&self, offset: u64, length: usize) -> Option<NonNull<u8>> {
        self.check(offset, length)?;
        Some(self.address(offset))
    }

    /// Appends `length` bytes of the arena to `to`; the caller owns the place.
    #[inline]
    pub(crate) fn read(&self, offset: u64, length: usize, to: &mut Vec<u8>) -> Option<()> {
        self.check(offset, length)?;
        to.reserve(length);
        let end = to.len();
        // SAFETY: `reserve` made room from `end` on.
        let place = unsafe { to.as_mut_ptr().add(end) };
        // SAFETY: the range was checked, and private memory does not overlap the arena.
        unsafe { std::ptr::copy_nonoverlapping(self.address(offset).as_ptr(), place, length) };
        // SAFETY: these bytes were written by the copy.
        unsafe { to.set_len(end + length) };
        Some(())
    }

    fn check(&self, offset: u64, length: usize) -> Option<()> {
        let end = offset.checked_add(length as u64)?;
        (end <= self.layout.size).then_some(())
    }

    /// Pages for a range now, or an error.
    pub(crate) fn populate(&self, offset: u64, length: u64) -> std::io::Result<()> {
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        memory::populate(self.address(offset), length)
    }

    /// Gives the pages of a range back that holds nothing of worth: whole pages only, which are zero then.
    pub(crate) fn punch(&self, offset: u64, length: u64) -> std::io::Result<()> {
        let (start, end) = pages_of(offset, length);
        if start < end {
            let length = usize::try_from(end - start).unwrap_or(0);
            memory::punch(self.address(start), length)?;
        }
        Ok(())
    }

    /// Makes a range zero without touching its whole pages, where the system can.
    pub(crate) fn clear(&self, offset: u64, length: u64) -> Option<()> {
        let (start, end) = pages_of(offset, length);
        if start >= end || self.punch(offset, length).is_err() {
            return self.zero(offset, length);
        }
        self.zero(offset, start - offset)?;
        self.zero(end, offset + length - end)
    }
}

/// The whole pages inside a range.
fn pages_of(offset: u64, length: u64) -> (u64, u64) {
    let page = memory::page_size() as u64;
    (
        offset.next_multiple_of(page),
        (offset + length) & !(page - 1),
    )
}
