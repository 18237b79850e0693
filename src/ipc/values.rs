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
        let failed = match alone {
            None => continue,
            Some(Err(error)) => return Err(TryPutError::Failed(batch.split_off(next), error)),
            Some(Ok((bytes, cargo))) => ring.put(&bytes, cargo, deadline),
        };
        if let Err(failure) = failed {
            return Err(TryPutError::of(failure, batch.split_off(next)));
        }
        next += 1;
    }
    Ok(())
}

/// Adds a value; or gives its bytes, when it cannot go with others, or says why it does not serialise.
#[inline]
fn add<T: Serialize + 'static>(
    ring: Ring,
    value: &T,
    payloads: &mut Payloads,
) -> Option<Result<(Vec<u8>, Cargo)>> {
    let mut cargo = Cargo::default();
    let added = payloads.add(|bytes| {
        if let Some(plain) = wire::as_plain_bytes(value) {
            bytes.extend_from_slice(plain);
        } else {
            cargo = wire::encode_behind(value, bytes)?;
        }
        Ok(cargo.is_empty() && !ring.lends())
    });
    match added {
        Ok(None) => None,
        Ok(Some(bytes)) => Some(Ok((bytes, cargo))),
        Err(error) => Some(Err(error)),
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
