//! What all of a family see: numbers, structures and arrays in shared memory.
//!
//! - [`plain`]: which types may lie there;
//! - [`bytes`]: an object with a number of bytes, and the ways to reach them;
//! - [`Value`], [`Array`]: these bytes and a lock; [`RawValue`], [`RawArray`]: without one.

mod array;
mod bytes;
mod locked;
mod plain;
mod raw;
mod raw_array;

pub use array::{Array, ArrayGuard};
pub use locked::{Value, ValueGuard};
pub use plain::{Integer, Plain};
pub use raw::RawValue;
pub use raw_array::RawArray;
