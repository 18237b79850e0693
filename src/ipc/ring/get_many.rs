//! Getting many: several records under one lease.

use super::end::{self, Wake, publish};
use super::get::{Found, GetFailure};
use super::position::CLOSED;
use super::record::{self, What};
use super::taking::Taking;
use super::{Attempt, Ring, corrupt};
use crate::error::Result;
use crate::shm::Internal;
use crate::shm::arena::Arena;
use crate::sys::clock::Deadline;

/// The most records that are got under one lease: others want it too.
const MOST: usize = 4096;

/// Payloads that were got, one behind the other.
#[derive(Debug, Default)]
pub(in super::super) struct Payloads {
    bytes: Vec<u8>,
    /// Where each ends, and which process put it.
    ends: Vec<(usize, u32)>,
}

impl Payloads {
    pub(in super::super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The payload of that index, and the process that put it.
    pub(in super::super) fn get(&self, index: usize) -> Option<(&[u8], u32)> {
        let &(end, by) = self.ends.get(index)?;
        let begin = index.checked_sub(1).map_or(0, |before| self.ends[before].0);
        Some((self.bytes.get(begin..end)?, by))
    }
}

impl Ring {
    /// Gets what is there, `max` messages at most; when there is nothing, waits until the deadline. A message in a block comes alone.
    pub(in super::super) fn get_many(
        &self,
        max: usize,
        payloads: &mut Payloads,
        taking: &mut Taking,
        deadline: Deadline,
    ) -> Result<(), GetFailure> {
        let max = max.min(MOST);
        payloads.ends.reserve(max.min(64));
        let several = self.wait_to_get(deadline, |arena| {
            self.try_get_many(arena, max, payloads, deadline)
        })?;
        if several {
            return Ok(());
        }
        self.get(taking, deadline)
    }

    /// `false`: the next one lies in a block.
    fn try_get_many(
        &self,
        arena: &Arena,
        max: usize,
        payloads: &mut Payloads,
        deadline: Deadline,
    ) -> Result<Attempt<bool>> {
        let end = &self.words.head;
        if self.take(arena, end, deadline)?.is_none() {
            return Ok(Attempt::Late);
        }
        let found = self.get_many_under_lease(arena, max, payloads);
        end.lease.give::<Internal>();
        Ok(match found? {
            Found::Empty(tail) if tail & CLOSED != 0 => Attempt::Closed,
            Found::Empty(tail) => Attempt::Blocked(tail),
            Found::Shut => Attempt::Closed,
            Found::Something(wake) => {
                end::wake(end, wake);
                Attempt::Done(payloads.len() > 0)
            }
        })
    }

    fn get_many_under_lease(
        &self,
        arena: &Arena,
        max: usize,
        payloads: &mut Payloads,
    ) -> Result<Found<Wake>> {
        let end = &self.words.head;
        let (mut at, mut used) = match self.look() {
            Found::Something(seen) => seen,
            Found::Empty(tail) => return Ok(Found::Empty(tail)),
            Found::Shut => return Ok(Found::Shut),
        };
        let segment = Self::segment(arena, end)?;
        let mut read = || {
            while payloads.len() < max && used > 0 {
                let record = record::find(arena, segment, at, used).ok_or_else(corrupt)?;
                let What::Bytes { offset, length, by } = record.what else {
                    break;
                };
                let copied = arena.read(offset, length, &mut payloads.bytes);
                copied.ok_or_else(corrupt)?;
                payloads.ends.push((payloads.bytes.len(), by));
                (at, used) = (at.plus(record.words, 1), used - record.words);
            }
            Ok(())
        };
        let read = read();
        if payloads.len() == 0 {
            return read.map(|()| Found::Something(Wake::Nobody));
        }
        // What is no record is an error of the next one who gets.
        Ok(Found::Something(publish(end, at)))
    }
}
