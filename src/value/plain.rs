//! Which types may lie in shared memory: plain data.

use super::bytes::at;
use crate::error::Result;
use crate::sys::atomic::{AtomicU8, AtomicU16, AtomicU32, AtomicU64, SeqCst};
use bytemuck::{CheckedBitPattern, NoUninit, cast};

/// Data without pointers, handles or unused bytes: what it is lies in its bytes alone, so that every process reads the same.
///
/// Implemented for integers, floating-point numbers, `bool`, `char`, arrays of numbers, and every type with [`bytemuck`]'s derives:
///
/// ```
/// use multiproc::{Value, bytemuck};
///
/// #[derive(Clone, Copy, Debug, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
/// #[bytemuck(crate = "multiproc::bytemuck")]
/// #[repr(C)]
/// struct Point {
///     x: f64,
///     y: f64,
/// }
///
/// let point = Value::new(Point { x: 1.0, y: 2.0 })?;
/// point.update(|point| point.x += 1.0)?;
/// assert_eq!(point.get()?, Point { x: 2.0, y: 2.0 });
/// # Ok::<(), multiproc::Error>(())
/// ```
///
/// A structure with a `bool`, a `char` or a plain `enum` inside derives `bytemuck::NoUninit` and `bytemuck::CheckedBitPattern` instead. What is
/// no plain data does not compile:
///
/// ```compile_fail,E0277
/// let text = multiproc::Value::new(String::from("not plain"))?;
/// # Ok::<(), multiproc::Error>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not plain data and cannot lie in shared memory",
    note = "plain data are numbers, `bool`, `char`, arrays of numbers, and `#[repr(C)]` structures that derive `bytemuck::Pod` and `bytemuck::Zeroable`; \
            what has pointers inside, as `String` and `Vec`, can be sent through a `Queue`"
)]
pub trait Plain: CheckedBitPattern + NoUninit + Send + Sync + 'static {}

#[diagnostic::do_not_recommend]
impl<T: CheckedBitPattern + NoUninit + Send + Sync + 'static> Plain for T {}

/// Integers of up to eight bytes: they can be changed in one step, without a lock.
pub trait Integer: Plain + sealed::Atomic {}

pub(super) mod sealed {
    use crate::error::Result;

    /// What the processor does in one step with a number at an offset of the arena.
    pub trait Atomic: Copy {
        fn load(offset: u64) -> Result<Self>;
        fn store(offset: u64, value: Self) -> Result<()>;
        fn swap(offset: u64, value: Self) -> Result<Self>;
        fn add(offset: u64, value: Self) -> Result<Self>;
        fn subtract(offset: u64, value: Self) -> Result<Self>;
        /// Changes it in a loop of compare-and-swap.
        fn change(offset: u64, how: impl Fn(Self) -> Self) -> Result<Self>;
        fn compare_exchange(offset: u64, current: Self, new: Self) -> Result<Result<Self, Self>>;
    }
}

macro_rules! integers {
    ($($integer:ty: $atomic:ident;)*) => { $(
        impl Integer for $integer {}

        impl sealed::Atomic for $integer {
            #[inline]
            fn load(offset: u64) -> Result<Self> {
                Ok(cast(at::<$atomic>(offset)?.load(SeqCst)))
            }

            #[inline]
            fn store(offset: u64, value: Self) -> Result<()> {
                at::<$atomic>(offset)?.store(cast(value), SeqCst);
                Ok(())
            }

            #[inline]
            fn swap(offset: u64, value: Self) -> Result<Self> {
                Ok(cast(at::<$atomic>(offset)?.swap(cast(value), SeqCst)))
            }

            #[inline]
            fn add(offset: u64, value: Self) -> Result<Self> {
                Ok(cast(at::<$atomic>(offset)?.fetch_add(cast(value), SeqCst)))
            }

            #[inline]
            fn subtract(offset: u64, value: Self) -> Result<Self> {
                Ok(cast(at::<$atomic>(offset)?.fetch_sub(cast(value), SeqCst)))
            }

            #[inline]
            fn change(offset: u64, how: impl Fn(Self) -> Self) -> Result<Self> {
                let place = at::<$atomic>(offset)?;
                let mut now = place.load(SeqCst);
                loop {
                    let new = cast(how(cast(now)));
                    match place.compare_exchange_weak(now, new, SeqCst, SeqCst) {
                        Ok(before) => return Ok(cast(before)),
                        Err(other) => now = other,
                    }
                }
            }

            #[inline]
            fn compare_exchange(
                offset: u64,
                current: Self,
                new: Self,
            ) -> Result<Result<Self, Self>> {
                let place = at::<$atomic>(offset)?;
                let swapped = place.compare_exchange(cast(current), cast(new), SeqCst, SeqCst);
                Ok(swapped.map(cast).map_err(cast))
            }
        }
    )* };
}

integers! {
    u8: AtomicU8;
    i8: AtomicU8;
    u16: AtomicU16;
    i16: AtomicU16;
    u32: AtomicU32;
    i32: AtomicU32;
    u64: AtomicU64;
    i64: AtomicU64;
}

#[cfg(target_pointer_width = "64")]
integers! {
    usize: AtomicU64;
    isize: AtomicU64;
}
