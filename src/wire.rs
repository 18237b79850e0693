//! Values as bytes. The codec (postcard) is named here and nowhere else.

pub(crate) mod descriptors;

use crate::error::{Error, ErrorKind, Result};
use crate::shm::message::{self, Cargo};
use descriptors::Luggage;
use postcard::ser_flavors::Flavor;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::any::{Any, TypeId};
use std::os::fd::OwnedFd;

/// Room for small values without the heap.
const INLINE: usize = 120;

/// Encoded bytes: inline while they fit.
#[derive(Debug)]
pub(crate) struct Bytes {
    inline: [u8; INLINE],
    length: usize,
    spilled: Vec<u8>,
}

impl Bytes {
    pub(crate) const fn new() -> Self {
        Self {
            inline: [0; INLINE],
            length: 0,
            spilled: Vec::new(),
        }
    }

    #[inline]
    pub(crate) fn as_slice(&self) -> &[u8] {
        if self.spilled.is_empty() {
            &self.inline[..self.length]
        } else {
            &self.spilled
        }
    }

    #[cold]
    fn spill(&mut self, more: &[u8]) {
        if self.spilled.is_empty() {
            self.spilled.reserve(self.length + more.len() + INLINE);
            self.spilled.extend_from_slice(&self.inline[..self.length]);
        }
        self.spilled.extend_from_slice(more);
    }
}

/// Writes to [`Bytes`] where they are: they are too large to be moved about.
struct Writer<'a>(&'a mut Bytes);

impl Flavor for Writer<'_> {
    type Output = ();

    #[inline]
    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        let to = &mut *self.0;
        if to.spilled.is_empty() {
            return self.try_extend(&[byte]);
        }
        to.spilled.push(byte);
        Ok(())
    }

    #[inline]
    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        let to = &mut *self.0;
        let end = to.length + bytes.len();
        if to.spilled.is_empty() && end <= INLINE {
            to.inline[to.length..end].copy_from_slice(bytes);
            to.length = end;
        } else {
            to.spill(bytes);
        }
        Ok(())
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}

/// Writes behind what a vector holds.
struct Behind<'a>(&'a mut Vec<u8>);

impl Flavor for Behind<'_> {
    type Output = ();

    #[inline]
    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.0.push(byte);
        Ok(())
    }

    #[inline]
    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}

/// Encodes a value to `bytes`, which are empty; the handles in it are in flight with the cargo.
#[inline]
pub(crate) fn encode_to<T: Serialize + ?Sized>(value: &T, bytes: &mut Bytes) -> Result<Cargo> {
    let (written, cargo) =
        message::writing(|| postcard::serialize_with_flavor(value, Writer(bytes)));
    match written {
        Ok(()) => Ok(cargo),
        Err(error) => Err(failed::<T>(ErrorKind::Encode, error)),
    }
}

/// Encodes a value behind what is in `bytes` already.
#[inline]
pub(crate) fn encode_behind<T: Serialize + ?Sized>(
    value: &T,
    bytes: &mut Vec<u8>,
) -> Result<Cargo> {
    let begin = bytes.len();
    let (written, cargo) =
        message::writing(|| postcard::serialize_with_flavor(value, Behind(bytes)));
    match written {
        Ok(()) => Ok(cargo),
        Err(error) => {
            bytes.truncate(begin);
            Err(failed::<T>(ErrorKind::Encode, error))
        }
    }
}

/// The bytes of a `Vec<u8>`, which travel as they are: one by one, as the codec takes them, they are twenty times as slow.
#[inline]
pub(crate) fn as_plain_bytes<T: 'static>(value: &T) -> Option<&[u8]> {
    let value: &dyn Any = value;
    value.downcast_ref::<Vec<u8>>().map(Vec::as_slice)
}

/// The value of plain bytes, if `T` is what they travel as.
#[inline]
pub(crate) fn from_plain_bytes<T: 'static, E>(
    bytes: impl FnOnce() -> Result<Vec<u8>, E>,
) -> Result<Option<T>, E> {
    if TypeId::of::<T>() != TypeId::of::<Vec<u8>>() {
        return Ok(None);
    }
    let mut bytes = Some(bytes()?);
    let value: &mut dyn Any = &mut bytes;
    Ok(value.downcast_mut::<Option<T>>().and_then(Option::take))
}

/// Encodes a value.
#[inline]
pub(crate) fn encode<T: Serialize + ?Sized>(value: &T) -> Result<(Bytes, Cargo)> {
    let mut bytes = Bytes::new();
    let cargo = encode_to(value, &mut bytes)?;
    Ok((bytes, cargo))
}

/// Encodes a value that may have descriptors in it.
pub(crate) fn encode_laden<T: Serialize>(value: &T) -> Result<(Bytes, Cargo, Luggage)> {
    let (encoded, luggage) = descriptors::packing(|| encode(value));
    let (bytes, cargo) = encoded?;
    Ok((bytes, cargo, luggage))
}

/// Encodes a value to `bytes`, which are empty, for one who may be of another family: it has descriptors in it, but no handles.
#[inline]
pub(crate) fn encode_abroad<T: Serialize>(value: &T, bytes: &mut Bytes) -> Result<Luggage> {
    let (encoded, luggage) = descriptors::packing(|| encode_to(value, bytes));
    if encoded?.is_empty() {
        Ok(luggage)
    } else {
        Err(descriptors::no_handles::<T>())
    }
}

/// Decodes a value that came from one who may be of another family, with these descriptors.
#[inline]
pub(crate) fn decode_abroad<T: DeserializeOwned>(bytes: &[u8], fds: Vec<OwnedFd>) -> Result<T> {
    let decoded = descriptors::unpacking(fds, || postcard::take_from_bytes(bytes));
    whole(decoded)
}

/// Decodes a value from all of `bytes`. The message that brought them must be kept until this is done.
#[inline]
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    whole(message::reading(|| postcard::take_from_bytes(bytes)))
}

/// The value, if no bytes are left.
#[inline]
fn whole<T>(decoded: postcard::Result<(T, &[u8])>) -> Result<T> {
    match decoded {
        Ok((value, [])) => Ok(value),
        Ok((_, rest)) => {
            let text = format!(
                "{}: {} bytes too many",
                std::any::type_name::<T>(),
                rest.len()
            );
            Err(Error::new(ErrorKind::Decode, text))
        }
        Err(error) => Err(failed::<T>(ErrorKind::Decode, error)),
    }
}

/// Decodes a value from the beginning of `bytes`, and gives the rest.
pub(crate) fn decode_first<T: DeserializeOwned>(bytes: &[u8]) -> Result<(T, &[u8])> {
    let decoded = message::reading(|| postcard::take_from_bytes(bytes));
    decoded.map_err(|error| failed::<T>(ErrorKind::Decode, error))
}

#[cold]
fn failed<T: ?Sized>(kind: ErrorKind, error: postcard::Error) -> Error {
    let name = std::any::type_name::<T>();
    match descriptors::reason() {
        Some(reason) => Error::new(kind, format!("{name}: {reason}")),
        None => Error::new(kind, format!("{name}: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_and_large_values_come_back() {
        for length in [0, 1, 119, 120, 121, 5000] {
            let value: Vec<u8> = (0..length).map(|n| (n % 251) as u8).collect();
            let (bytes, cargo) = encode(&value).expect("bytes encode");
            assert!(cargo.is_empty());
            assert_eq!(
                decode::<Vec<u8>>(bytes.as_slice()).expect("and decode"),
                value
            );
        }
    }

    #[test]
    fn wrong_bytes_are_an_error_that_names_the_type() {
        let error = decode::<String>(&[200]).expect_err("too short");
        assert_eq!(error.kind(), ErrorKind::Decode);
        assert!(error.to_string().contains("String"), "{error}");
        let error = decode::<u8>(&[1, 2]).expect_err("too long");
        assert!(error.to_string().contains("1 bytes too many"), "{error}");
    }
}
