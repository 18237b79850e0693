//! An object that is a number of bytes, and the ways to reach them.
#![expect(
    unsafe_code,
    reason = "bytes of shared memory become values, and a slice under a lock"
)]
//!
//! # Safety
//! The bytes are reached in three ways: copied out or in under the lock of a value; copied piece by piece with atomics where there is no
//! lock; or lent as a slice to the guard of an array, which owns the lock of that array, so that no thread of the family that keeps to
//! this crate's interface touches them meanwhile. All types are [`Plain`]: there are no bytes that would be no value, or they are looked for.

use super::plain::Plain;
use crate::error::{Error, ErrorKind, Result};
use crate::shm::arena::Arena;
use crate::shm::blocks::{self, Owner, Use};
use crate::shm::layout::{Kind, Shared};
use crate::shm::{Handle, handle, member};
use crate::sync::{AcrossProcesses, RLock, RLockGuard, Repair};
use crate::sys::atomic::{
    Acquire, AtomicU8, AtomicU16, AtomicU32, AtomicU64, Relaxed, Release, SeqCst,
};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::any::TypeId;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::ptr::NonNull;

pub(super) type Lock = RLock<AcrossProcesses>;

/// Bytes that lie in the object itself.
const INLINE: usize = 128;

#[repr(C, align(64))]
#[derive(Debug)]
struct BytesWords {
    /// How many there are. Written when the object is made.
    length: AtomicU64,
    /// The thread that has a guard of them; 0 for none. Written under the lock of the value.
    borrower: AtomicU64,
    /// Which lock protects them; 0 for none. Written when the object is made.
    lock: AtomicU64,
    /// A hash of the type of the values. Written when the object is made.
    kind: AtomicU64,
    _reserved: [AtomicU64; 4],
    inline: [AtomicU64; INLINE / 8],
}

// SAFETY: atomics only.
unsafe impl Shared for BytesWords {}

/// What new bytes hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fill {
    /// Nothing yet: the caller writes them all.
    Nothing,
    /// Zeros, in pages that are there.
    Zeros,
    /// Zeros, in pages that come when they are touched.
    Sparse,
}

/// A handle of so many values of type `T` in the arena.
#[derive(Debug)]
pub(super) struct Data<T> {
    handle: Handle,
    /// Where they lie: found once, because it never changes.
    offset: u64,
    length: usize,
    values: PhantomData<fn() -> T>,
}

impl<T> Clone for Data<T> {
    fn clone(&self) -> Self {
        Self {
            handle: self.handle.clone(),
            ..*self
        }
    }
}

impl<T: Plain> Data<T> {
    const FITS: () = {
        let aligned = align_of::<T>() <= 64;
        assert!(aligned, "plain data is aligned to 64 bytes at most");
        assert!(size_of::<T>() > 0, "plain data has at least one byte");
    };

    /// Makes room for `length` values, which `lock` protects.
    pub(super) fn new(length: usize, fill: Fill, lock: Option<&Lock>) -> Result<Self> {
        let () = Self::FITS;
        let bytes = length.checked_mul(size_of::<T>()).map(|bytes| bytes as u64);
        let bytes = bytes.ok_or_else(|| Error::new(ErrorKind::NoSpace, "too many values"))?;
        let handle = Handle::create(Kind::Bytes)?;
        let words = handle.cell().body::<BytesWords>();
        words.length.store(bytes, Release);
        words.lock.store(lock.map_or(0, Lock::name), Release);
        words.kind.store(kind_of::<T>(), Release);
        if bytes > INLINE as u64 {
            allocate(&handle, bytes, fill)?;
        }
        Self::of(handle)
    }

    /// Values that are copied from `from`.
    pub(super) fn of_slice(from: &[T], lock: Option<&Lock>) -> Result<Self> {
        let data = Self::new(from.len(), Fill::Nothing, lock)?;
        data.write(0, from)?;
        Ok(data)
    }

    /// Looks where the bytes of an object lie.
    fn of(handle: Handle) -> Result<Self> {
        let () = Self::FITS;
        let arena = Arena::get()?;
        let words = handle.cell().body::<BytesWords>();
        let bytes = words.length.load(Relaxed);
        if words.kind.load(Relaxed) != kind_of::<T>() {
            return Err(ErrorKind::Corrupt.into());
        }
        let place = if bytes <= INLINE as u64 {
            arena.offset_of(&words.inline)
        } else {
            let (offset, room) = handle.block_bytes(arena).ok_or(ErrorKind::Corrupt)?;
            (bytes <= room).then_some(offset)
        };
        let offset = place.ok_or(ErrorKind::Corrupt)?;
        let size = size_of::<T>() as u64;
        let length = bytes / size;
        if length * size != bytes {
            return Err(ErrorKind::Corrupt.into());
        }
        Ok(Self {
            handle,
            offset,
            length: usize::try_from(length).map_err(|_| ErrorKind::Corrupt)?,
            values: PhantomData,
        })
    }

    /// These values, if it is this lock that protects them, or none: nobody comes to them by another way than the one they were made for.
    pub(super) fn protected_by(self, lock: Option<&Lock>) -> Result<Self> {
        let noted = self.handle.cell().body::<BytesWords>().lock.load(Relaxed);
        if noted == lock.map_or(0, Lock::name) {
            Ok(self)
        } else {
            let text = "a value and a lock that do not belong together";
            Err(Error::new(ErrorKind::Corrupt, text))
        }
    }

    /// How many values there are.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.length
    }

    /// Where the value `index` lies, if the object is still there.
    #[inline]
    pub(super) fn offset(&self, index: usize) -> Result<u64> {
        member::join()?;
        self.handle.check()?;
        if index < self.length {
            Ok(self.offset + (index * size_of::<T>()) as u64)
        } else {
            Err(outside(index, self.length))
        }
    }

    /// Copies a value out; the caller has the lock.
    #[inline]
    pub(super) fn read(&self, index: usize) -> Result<T> {
        let offset = self.offset(index)?;
        value(|place| {
            let bytes: &mut [MaybeUninit<u8>] = place;
            Arena::get()?
                .read_uninit(offset, bytes)
                .ok_or(ErrorKind::Corrupt)?;
            Ok(())
        })
    }

    /// Copies values in from `index` on; the caller has the lock, or nobody else knows the object.
    #[inline]
    pub(super) fn write(&self, index: usize, values: &[T]) -> Result<()> {
        if values.is_empty() {
            return self.handle.check();
        }
        let last = index.saturating_add(values.len() - 1);
        self.offset(last)?;
        let offset = self.offset(index)?;
        let bytes = bytemuck::cast_slice(values);
        Arena::get()?
            .write(offset, bytes)
            .ok_or(ErrorKind::Corrupt)?;
        Ok(())
    }

    /// Copies a value out piece by piece, whoever changes it meanwhile.
    #[inline]
    pub(super) fn read_shared(&self, index: usize) -> Result<T> {
        let offset = self.offset(index)?;
        value(|place| {
            let whole = place.len();
            pieces(offset, place.len(), |piece, at, width| {
                let order = if width == whole { SeqCst } else { Acquire };
                let bytes = match width {
                    8 => self::at::<AtomicU64>(piece)?.load(order).to_ne_bytes(),
                    4 => spread(&self::at::<AtomicU32>(piece)?.load(order).to_ne_bytes()),
                    2 => spread(&self::at::<AtomicU16>(piece)?.load(order).to_ne_bytes()),
                    _ => spread(&[self::at::<AtomicU8>(piece)?.load(order)]),
                };
                for (place, byte) in place[at..at + width].iter_mut().zip(bytes) {
                    place.write(byte);
                }
                Ok(())
            })
        })
    }

    /// Copies a value in piece by piece, whoever reads or changes it meanwhile.
    #[inline]
    pub(super) fn write_shared(&self, index: usize, value: &T) -> Result<()> {
        let offset = self.offset(index)?;
        let bytes = bytemuck::bytes_of(value);
        pieces(offset, bytes.len(), |piece, at, width| {
            let order = if width == bytes.len() {
                SeqCst
            } else {
                Release
            };
            let mut eight = [0; 8];
            eight[..width].copy_from_slice(&bytes[at..at + width]);
            match (width, eight) {
                (8, eight) => self::at::<AtomicU64>(piece)?.store(u64::from_ne_bytes(eight), order),
                (4, [a, b, c, d, ..]) => {
                    self::at::<AtomicU32>(piece)?.store(u32::from_ne_bytes([a, b, c, d]), order);
                }
                (2, [a, b, ..]) => {
                    self::at::<AtomicU16>(piece)?.store(u16::from_ne_bytes([a, b]), order);
                }
                (_, [a, ..]) => self::at::<AtomicU8>(piece)?.store(a, order),
            }
            Ok(())
        })
    }

    /// Where all values lie; the caller has them in hand.
    pub(super) fn place(&self) -> Result<NonNull<[T]>> {
        self.handle.check()?;
        let length = self.length * size_of::<T>();
        let place = Arena::get()?.place(self.offset, length);
        let first = place.ok_or(ErrorKind::Corrupt)?.cast::<T>();
        let bits: *const T::Bits = first.cast().as_ptr();
        // SAFETY: the range was checked and is aligned, because the offset is a multiple of 64; nobody changes it, because the caller has
        // the lock; and any bytes are `Bits`.
        let bits = unsafe { std::slice::from_raw_parts(bits, self.length) };
        if bits.iter().all(T::is_valid_bit_pattern) {
            Ok(NonNull::slice_from_raw_parts(first, self.length))
        } else {
            Err(invalid::<T>())
        }
    }

    /// The caller has the lock: is it without a guard of the values?
    #[inline]
    pub(super) fn not_borrowed(&self) -> Result<()> {
        if self.borrower().load(Relaxed) == member::me()? {
            let text = "this thread has a guard of the value already";
            return Err(Error::new(ErrorKind::Misuse, text));
        }
        Ok(())
    }

    #[inline]
    fn borrower(&self) -> &AtomicU64 {
        &self.handle.cell().body::<BytesWords>().borrower
    }
}

/// Values in the hands of one thread, which has their lock: until this is dropped, all other ways to them are closed.
#[derive(Debug)]
pub(super) struct Borrowed<'a, T: Plain> {
    lock: RLockGuard<'a, AcrossProcesses>,
    data: &'a Data<T>,
}

impl<'a, T: Plain> Borrowed<'a, T> {
    /// # Errors
    /// When this thread has the values in hand already.
    pub(super) fn new(lock: RLockGuard<'a, AcrossProcesses>, data: &'a Data<T>) -> Result<Self> {
        data.not_borrowed()?;
        data.borrower().store(member::me()?, Relaxed);
        lock.pin(true);
        Ok(Self { lock, data })
    }

    /// A child that was forked behind our back has a copy of this, but not the values.
    fn is_mine(&self) -> bool {
        let borrower = self.data.borrower().load(Relaxed);
        self.data.handle.check().is_ok() && member::me().is_ok_and(|me| me == borrower)
    }

    /// Copies values in, if they are in our hands.
    pub(super) fn write(&self, index: usize, values: &[T]) -> Result<()> {
        if self.is_mine() {
            self.data.write(index, values)
        } else {
            Ok(())
        }
    }

    pub(super) fn say_repaired(&self) {
        self.lock.say_repaired();
    }
}

impl<T: Plain> Drop for Borrowed<'_, T> {
    fn drop(&mut self) {
        if self.is_mine() {
            self.data.borrower().store(0, Relaxed);
            self.lock.pin(false);
        }
    }
}

/// The values of an array in the hands of one thread, where they lie.
#[derive(Debug)]
pub(super) struct Lent<'a, T: Plain> {
    borrowed: Borrowed<'a, T>,
    values: NonNull<[T]>,
}

impl<'a, T: Plain> Lent<'a, T> {
    pub(super) fn new(borrowed: Borrowed<'a, T>) -> Result<Self> {
        let values = borrowed.data.place()?;
        Ok(Self { borrowed, values })
    }

    pub(super) fn values(&self) -> &[T] {
        // SAFETY: aligned values in a mapping that stays; nobody else refers to them or changes them, because this thread has them in
        // hand and keeps them for as long as this is borrowed.
        unsafe { self.values.as_ref() }
    }

    pub(super) fn values_mut(&mut self) -> &mut [T] {
        // SAFETY: as above, and this is borrowed mutably.
        unsafe { self.values.as_mut() }
    }

    pub(super) fn say_repaired(&self) {
        self.borrowed.say_repaired();
    }
}

/// Gives a new object a block.
fn allocate(handle: &Handle, bytes: u64, fill: Fill) -> Result<()> {
    let arena = Arena::get()?;
    let owner = Owner::object(handle.number());
    let block = match fill {
        Fill::Sparse => blocks::allocate_sparse(bytes, owner)?,
        Fill::Nothing | Fill::Zeros => blocks::allocate(bytes, Use::Raw, owner)?,
    };
    if fill == Fill::Zeros {
        // Here, so that a full machine is an error and no signal.
        blocks::populate(block, bytes)?;
    }
    handle.cell().block.store(block.0 + 1, Release);
    if fill == Fill::Zeros {
        let (offset, _) = block.bytes(arena).ok_or(ErrorKind::Corrupt)?;
        arena.zero(offset, bytes).ok_or(ErrorKind::Corrupt)?;
    }
    Ok(())
}

/// Makes a value of bytes that `fill` writes, all of them.
#[inline]
fn value<T: Plain>(fill: impl FnOnce(&mut [MaybeUninit<u8>]) -> Result<()>) -> Result<T> {
    let mut bits = MaybeUninit::<T::Bits>::uninit();
    let place: *mut MaybeUninit<u8> = bits.as_mut_ptr().cast();
    // SAFETY: the bytes of `bits`, which may be uninitialised, as such.
    let bytes = unsafe { std::slice::from_raw_parts_mut(place, size_of::<T>()) };
    fill(bytes)?;
    // SAFETY: all bytes were written, and any bytes are `Bits`.
    let bits = unsafe { bits.assume_init() };
    if !T::is_valid_bit_pattern(&bits) {
        return Err(invalid::<T>());
    }
    // SAFETY: valid bits of `T`, which has the same size and alignment.
    Ok(unsafe { (&raw const bits).cast::<T>().read() })
}

/// Tells types apart, in all processes of the program.
fn kind_of<T: 'static>() -> u64 {
    let mut hasher = DefaultHasher::new();
    TypeId::of::<T>().hash(&mut hasher);
    hasher.finish()
}

fn invalid<T>() -> Error {
    let name = std::any::type_name::<T>();
    Error::new(ErrorKind::Corrupt, format!("these bytes are no {name}"))
}

fn outside(index: usize, length: usize) -> Error {
    let text = format!("index {index} of an array of {length}");
    Error::new(ErrorKind::InvalidInput, text)
}

/// An atomic of the arena.
#[inline]
pub(super) fn at<A: Shared>(offset: u64) -> Result<&'static A> {
    let place = Arena::existing().and_then(|arena| arena.at::<A>(offset));
    Ok(place.ok_or(ErrorKind::Corrupt)?)
}

/// Calls `each` for the largest aligned pieces of a range: offset, index, width.
#[inline]
fn pieces(
    offset: u64,
    length: usize,
    mut each: impl FnMut(u64, usize, usize) -> Result<()>,
) -> Result<()> {
    let mut at = 0;
    while at < length {
        let piece = offset + at as u64;
        let fits = |width: &usize| *width <= length - at && piece.is_multiple_of(*width as u64);
        let width = [8, 4, 2].into_iter().find(fits).unwrap_or(1);
        each(piece, at, width)?;
        at += width;
    }
    Ok(())
}

#[inline]
fn spread(bytes: &[u8]) -> [u8; 8] {
    let mut eight = [0; 8];
    eight[..bytes.len()].copy_from_slice(bytes);
    eight
}

impl<T> Serialize for Data<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.handle.serialize(serializer)
    }
}

impl<'de, T: Plain> Deserialize<'de> for Data<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let handle = handle::deserialize(deserializer, Kind::Bytes)?;
        Self::of(handle).map_err(serde::de::Error::custom)
    }
}
