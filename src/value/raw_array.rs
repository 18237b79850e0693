//! `RawArray`: values in a row in shared memory, without a lock.

use super::array::same_length;
use super::bytes::{Data, Fill};
use super::plain::{Integer, Plain};
use crate::error::Result;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::ops::{BitAnd, BitOr, BitXor};

/// An array in shared memory without a lock: plain data in a row that all processes with a handle see and change at any time.
///
/// To [`Array`](crate::Array) as [`RawValue`](crate::RawValue) is to [`Value`](crate::Value): each value for itself is read and changed
/// as a [`RawValue`](crate::RawValue) is.
///
/// **When a process dies** in one of these verbs, some values may be changed and others not.
///
/// # Examples
/// ```
/// let votes = multiproc::RawArray::<u32>::zeroed(3)?;
/// multiproc::Pool::new(2)?.map(|votes: multiproc::RawArray<u32>| votes.fetch_add(1, 1).is_ok(), vec![votes.clone(); 5])?;
/// assert_eq!(votes.to_vec()?, [0, 5, 0]);
/// # Ok::<(), multiproc::Error>(())
/// ```
#[derive(Clone)]
pub struct RawArray<T: Plain> {
    data: Data<T>,
}

impl<T: Plain> RawArray<T> {
    /// Copies values into shared memory.
    ///
    /// # Errors
    /// [`ErrorKind::NoSpace`](crate::ErrorKind::NoSpace) when the arena is full, or the machine's memory is.
    pub fn from_slice(values: &[T]) -> Result<Self> {
        let data = Data::of_slice(values, None)?;
        Ok(Self { data })
    }

    /// Makes an array of `length` values whose bytes are zero. Its memory is there afterwards.
    ///
    /// # Errors
    /// As [`from_slice`](Self::from_slice).
    pub fn zeroed(length: usize) -> Result<Self> {
        let data = Data::new(length, Fill::Zeros, None)?;
        Ok(Self { data })
    }

    /// Makes an array of `length` values whose bytes are zero, and which takes memory only where it is touched; see
    /// [`Array::sparse`](crate::Array::sparse).
    ///
    /// # Errors
    /// [`ErrorKind::NoSpace`](crate::ErrorKind::NoSpace) when the arena has no room for so many.
    pub fn sparse(length: usize) -> Result<Self> {
        let data = Data::new(length, Fill::Sparse, None)?;
        Ok(Self { data })
    }

    /// How many values there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.data.len()
    }

    /// Are there none?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A copy of the value at `index`, from 0.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`](crate::ErrorKind::InvalidInput) for an index outside; otherwise as
    /// [`RawValue::get`](crate::RawValue::get).
    pub fn get(&self, index: usize) -> Result<T> {
        self.data.read_shared(index)
    }

    /// Writes the value at `index`.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn set(&self, index: usize, value: T) -> Result<()> {
        self.data.write_shared(index, &value)
    }

    /// A copy of all values, one after another.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn to_vec(&self) -> Result<Vec<T>> {
        (0..self.len()).map(|index| self.get(index)).collect()
    }

    /// Writes all values, one after another.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`](crate::ErrorKind::InvalidInput) when there are more or fewer than the array has; otherwise as
    /// [`get`](Self::get).
    pub fn copy_from_slice(&self, values: &[T]) -> Result<()> {
        same_length(values.len(), self.len())?;
        let mut values = values.iter().enumerate();
        values.try_for_each(|(index, value)| self.data.write_shared(index, value))
    }
}

impl<T: Integer> RawArray<T> {
    /// The value at `index`, in one step.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn load(&self, index: usize) -> Result<T> {
        T::load(self.data.offset(index)?)
    }

    /// Writes the value, in one step.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn store(&self, index: usize, value: T) -> Result<()> {
        T::store(self.data.offset(index)?, value)
    }

    /// Writes the value and gives the old one, in one step.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn swap(&self, index: usize, value: T) -> Result<T> {
        T::swap(self.data.offset(index)?, value)
    }

    /// Adds, in one step, and gives the old value; wraps around at the end of the type's range.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn fetch_add(&self, index: usize, more: T) -> Result<T> {
        T::add(self.data.offset(index)?, more)
    }

    /// Subtracts, in one step, and gives the old value; wraps around at the end of the type's range.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn fetch_sub(&self, index: usize, less: T) -> Result<T> {
        T::subtract(self.data.offset(index)?, less)
    }

    /// Keeps the bits that `mask` has, in one step, and gives the old value.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn fetch_and(&self, index: usize, mask: T) -> Result<T>
    where
        T: BitAnd<Output = T>,
    {
        T::change(self.data.offset(index)?, |now| now & mask)
    }

    /// Sets the bits that `mask` has, in one step, and gives the old value.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn fetch_or(&self, index: usize, mask: T) -> Result<T>
    where
        T: BitOr<Output = T>,
    {
        T::change(self.data.offset(index)?, |now| now | mask)
    }

    /// Flips the bits that `mask` has, in one step, and gives the old value.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn fetch_xor(&self, index: usize, mask: T) -> Result<T>
    where
        T: BitXor<Output = T>,
    {
        T::change(self.data.offset(index)?, |now| now ^ mask)
    }

    /// Writes the larger of both, in one step, and gives the old value.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn fetch_max(&self, index: usize, other: T) -> Result<T>
    where
        T: Ord,
    {
        T::change(self.data.offset(index)?, |now| now.max(other))
    }

    /// Writes the smaller of both, in one step, and gives the old value.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn fetch_min(&self, index: usize, other: T) -> Result<T>
    where
        T: Ord,
    {
        T::change(self.data.offset(index)?, |now| now.min(other))
    }

    /// Writes `new` if the value is `current`, in one step: `Ok` with the old value if so, `Err` with the one that is there if not.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn compare_exchange(&self, index: usize, current: T, new: T) -> Result<Result<T, T>> {
        T::compare_exchange(self.data.offset(index)?, current, new)
    }
}

impl<T: Plain> fmt::Debug for RawArray<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawArray")
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}

impl<T: Plain> Serialize for RawArray<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.data.serialize(serializer)
    }
}

impl<'de, T: Plain> Deserialize<'de> for RawArray<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let data: Data<T> = Deserialize::deserialize(deserializer)?;
        let data = data.protected_by(None);
        let data = data.map_err(serde::de::Error::custom)?;
        Ok(Self { data })
    }
}
