//! Values through a ring: encoded before its lease is taken, decoded after it is given back.

use super::batch::Batch;
use super::error::{TryGetError, TryPutError};
use super::ring::{Gotten, Payloads, Ring, Taking};
use crate::error::{Error, Result};
use crate::shm::member;
use crate::shm::message::Cargo;
use crate::sys::clock::Deadline;
use crate::wire::{self, Bytes};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Values that go under one lease.
const BATCH: usize = 64;

#[inline]
pub(super) fn put<T: Serialize + 'static>(
    ring: Ring,
    value: T,
    deadline: Deadline,
) -> Result<(), TryPutError<T>> {
    let put = if let Some(bytes) = wire::as_plain_bytes(&value) {
        ring.put(bytes, Cargo::default(), deadline)
    } else {
        let mut bytes = Bytes::new();
        match wire::encode_to(&value, &mut bytes) {
            Ok(cargo) => ring.put(bytes.as_slice(), cargo, deadline),
            Err(error) => return Err(TryPutError::Failed(value, error)),
        }
    };
    put.map_err(|failure| TryPutError::of(failure, value))
}

/// Puts values one after the other; those that were not put come back.
pub(super) fn put_many<T: Serialize + 'static>(
    ring: Ring,
    values: impl IntoIterator<Item = T>,
    deadline: Deadline,
) -> Result<(), TryPutError<Vec<T>>> {
    let mut values = values.into_iter().fuse();
    let mut payloads = Payloads::with_capacity(BATCH);
    loop {
        let batch: Vec<T> = values.by_ref().take(BATCH).collect();
        if batch.is_empty() {
            return Ok(());
        }
        put_batch(ring, batch, &mut payloads, deadline).map_err(|error| {
            error.map(|mut left| {
                left.extend(values.by_ref());
                left
            })
        })?;
    }
}

fn put_batch<T: Serialize + 'static>(
    ring: Ring,
    mut batch: Vec<T>,
    payloads: &mut Payloads,
    deadline: Deadline,
) -> Result<(), TryPutError<Vec<T>>> {
    // Records name the process that wrote them.
    if let Err(error) = member::join() {
        return Err(TryPutError::Failed(batch, error));
    }
    let mut next = 0;
    while next < batch.len() {
        payloads.clear();
        // Up to the first one that cannot go with others.
        let alone = batch[next..]
            .iter()
            .find_map(|value| add(ring, value, payloads));
        if let Err((put, failure)) = ring.put_many(payloads, deadline) {
            return Err(TryPutError::of(failure, batch.split_off(next + put)));
        }
        next += payloads.len();
        let put = match alone {
            None => continue,
            Some(Alone::Failed(error)) => {
                return Err(TryPutError::Failed(batch.split_off(next), error));
            }
            Some(Alone::Bytes(bytes, cargo)) => ring.put(&bytes, cargo, deadline),
            Some(Alone::Plain) => {
                let bytes = wire::as_plain_bytes(&batch[next]).unwrap_or_default();
                ring.put(bytes, Cargo::default(), deadline)
            }
        };
        if let Err(failure) = put {
            return Err(TryPutError::of(failure, batch.split_off(next)));
        }
        next += 1;
    }
    Ok(())
}

/// A value that cannot go with others.
enum Alone {
    /// Its bytes are its own.
    Plain,
    /// It carries something, or is large.
    Bytes(Vec<u8>, Cargo),
    /// It does not serialise.
    Failed(Error),
}

/// Adds a value to those that go together, if it can.
#[inline]
fn add<T: Serialize + 'static>(ring: Ring, value: &T, payloads: &mut Payloads) -> Option<Alone> {
    let plain = wire::as_plain_bytes(value);
    if plain.is_some_and(|bytes| !ring.fits(bytes.len())) {
        return Some(Alone::Plain);
    }
    let mut cargo = Cargo::default();
    let added = payloads.add(|bytes| {
        if let Some(plain) = plain {
            bytes.extend_from_slice(plain);
        } else {
            cargo = wire::encode_behind(value, bytes)?;
        }
        Ok(cargo.is_empty() && !ring.lends())
    });
    match added {
        Ok(None) => None,
        Ok(Some(bytes)) => Some(Alone::Bytes(bytes, cargo)),
        Err(error) => Some(Alone::Failed(error)),
    }
}

#[inline]
pub(super) fn get<T: DeserializeOwned + 'static>(
    ring: Ring,
    deadline: Deadline,
) -> Result<T, TryGetError> {
    let mut taking = Taking::empty();
    ring.get(&mut taking, deadline)?;
    decode(&mut taking).map_err(TryGetError::Failed)
}

pub(super) fn get_many<T>(
    ring: Ring,
    max: usize,
    deadline: Deadline,
) -> Result<Batch<T>, TryGetError> {
    let (mut payloads, mut taking) = (Gotten::default(), Taking::empty());
    if max > 0 {
        ring.get_many(max, &mut payloads, &mut taking, deadline)?;
    }
    Ok(Batch::new(payloads, (max > 0).then_some(taking)))
}

/// The value of what was taken, which keeps the objects of its handles alive meanwhile.
#[inline]
pub(super) fn decode<T: DeserializeOwned + 'static>(taking: &mut Taking) -> Result<T> {
    let plain = wire::from_plain_bytes(|| {
        let mut bytes = Vec::new();
        taking.move_to(&mut bytes).map(|()| bytes)
    })?;
    if let Some(value) = plain {
        return Ok(value);
    }
    match wire::decode(taking.bytes()?) {
        Ok(value) => Ok(value),
        Err(error) => Err(put_by(error, taking.by())),
    }
}

/// The value of one of many payloads, which carry no handles.
pub(super) fn decode_bytes<T: DeserializeOwned + 'static>(bytes: &[u8], by: u32) -> Result<T> {
    match wire::from_plain_bytes(|| Ok::<_, Error>(bytes.to_vec()))? {
        Some(value) => Ok(value),
        None => wire::decode(bytes).map_err(|error| put_by(error, by)),
    }
}

#[cold]
fn put_by(error: Error, pid: u32) -> Error {
    error.and(&format!(", put by process {pid}"))
}
