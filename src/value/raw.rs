//! `RawValue`: one value in shared memory, without a lock.

use super::bytes::Data;
use super::plain::{Integer, Plain};
use crate::error::Result;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::ops::{BitAnd, BitOr, BitXor};

/// A value in shared memory without a lock: plain data that all processes with a handle see and change at any time.
///
/// Clones are the same value; it travels like a [`Lock`](crate::Lock). Integers are read and changed in one step, sequentially
/// consistent, as by std's atomics. Other types are copied: up to eight bytes in one step too, if they are aligned to their size; of larger ones a
/// reader may see half of a change. [`Value`](crate::Value) has a lock.
///
/// **When a process dies** in one of these verbs, the change is made or it is not; a large value may be changed in part.
///
/// # Examples
/// ```
/// use multiproc::{Process, RawValue};
///
/// let counter = RawValue::new(0_u32)?;
/// let adds = |counter: RawValue<u32>| (0..1000).for_each(|_| _ = counter.fetch_add(1).expect("it is there"));
/// let mut process = Process::new(adds, (counter.clone(),));
/// process.start()?;
/// adds(counter.clone());
/// process.join()?;
/// assert_eq!(counter.load()?, 2000);
/// # Ok::<(), multiproc::Error>(())
/// ```
#[derive(Clone)]
pub struct RawValue<T: Plain> {
    data: Data<T>,
}

impl<T: Plain> RawValue<T> {
    /// Puts a value into shared memory.
    ///
    /// # Errors
    /// [`ErrorKind::NoSpace`](crate::ErrorKind::NoSpace) when the arena is full.
    pub fn new(value: T) -> Result<Self> {
        let data = Data::of_slice(&[value], None)?;
        Ok(Self { data })
    }

    /// A copy of the value.
    ///
    /// # Errors
    /// [`ErrorKind::StaleHandle`](crate::ErrorKind::StaleHandle) when the value is gone;
    /// [`ErrorKind::Corrupt`](crate::ErrorKind::Corrupt) when half of a change is no value of the type.
    pub fn get(&self) -> Result<T> {
        self.data.read_shared(0)
    }

    /// Writes the value.
    ///
    /// # Errors
    /// [`ErrorKind::StaleHandle`](crate::ErrorKind::StaleHandle) when the value is gone.
    pub fn set(&self, value: T) -> Result<()> {
        self.data.write_shared(0, &value)
    }
}

impl<T: Integer> RawValue<T> {
    /// The value, in one step.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn load(&self) -> Result<T> {
        T::load(self.data.offset(0)?)
    }

    /// Writes the value, in one step.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn store(&self, value: T) -> Result<()> {
        T::store(self.data.offset(0)?, value)
    }

    /// Writes the value and gives the old one, in one step.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn swap(&self, value: T) -> Result<T> {
        T::swap(self.data.offset(0)?, value)
    }

    /// Adds, in one step, and gives the old value; wraps around at the end of the type's range.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn fetch_add(&self, more: T) -> Result<T> {
        T::add(self.data.offset(0)?, more)
    }

    /// Subtracts, in one step, and gives the old value; wraps around at the end of the type's range.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn fetch_sub(&self, less: T) -> Result<T> {
        T::subtract(self.data.offset(0)?, less)
    }

    /// Keeps the bits that `mask` has, in one step, and gives the old value.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn fetch_and(&self, mask: T) -> Result<T>
    where
        T: BitAnd<Output = T>,
    {
        T::change(self.data.offset(0)?, |now| now & mask)
    }

    /// Sets the bits that `mask` has, in one step, and gives the old value.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn fetch_or(&self, mask: T) -> Result<T>
    where
        T: BitOr<Output = T>,
    {
        T::change(self.data.offset(0)?, |now| now | mask)
    }

    /// Flips the bits that `mask` has, in one step, and gives the old value.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn fetch_xor(&self, mask: T) -> Result<T>
    where
        T: BitXor<Output = T>,
    {
        T::change(self.data.offset(0)?, |now| now ^ mask)
    }

    /// Writes the larger of both, in one step, and gives the old value.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn fetch_max(&self, other: T) -> Result<T>
    where
        T: Ord,
    {
        T::change(self.data.offset(0)?, |now| now.max(other))
    }

    /// Writes the smaller of both, in one step, and gives the old value.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn fetch_min(&self, other: T) -> Result<T>
    where
        T: Ord,
    {
        T::change(self.data.offset(0)?, |now| now.min(other))
    }

    /// Writes `new` if the value is `current`, in one step: `Ok` with the old value if so, `Err` with the one that is there if not.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn compare_exchange(&self, current: T, new: T) -> Result<Result<T, T>> {
        T::compare_exchange(self.data.offset(0)?, current, new)
    }
}

impl<T: Plain + fmt::Debug> fmt::Debug for RawValue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = f.debug_struct("RawValue");
        if let Ok(value) = self.get() {
            text.field("value", &value);
        }
        text.finish_non_exhaustive()
    }
}

impl<T: Plain> Serialize for RawValue<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.data.serialize(serializer)
    }
}

impl<'de, T: Plain> Deserialize<'de> for RawValue<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let data: Data<T> = Deserialize::deserialize(deserializer)?;
        let data = data.protected_by(None);
        let data = data.map_err(serde::de::Error::custom)?;
        Ok(Self { data })
    }
}
