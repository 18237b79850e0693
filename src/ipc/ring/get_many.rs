//! Getting many: several records under one lease.

use super::end::{self, Wake, publish};
use super::get::{Found, GetFailure};
use super::position::{CLOSED, Position};
use super::record::{self, Segment, What, words_for};
use super::taking::Taking;
use super::{Attempt, Ring, corrupt};
use crate::error::Result;
use crate::shm::Internal;
use crate::shm::arena::Arena;
use crate::sys::clock::Deadline;

/// The most records that are got under one lease: others want it too.
const MOST: usize = 4096;

/// Records that were got, as they lay in the ring.
#[derive(Debug, Default)]
pub(in super::super) struct Payloads {
    bytes: Vec<u8>,
    parts: Vec<Part>,
}

/// Where a payload lies in the bytes, and which process put it.
#[derive(Debug)]
struct Part {
    begin: usize,
    length: usize,
    by: u32,
}

impl Payloads {
    #[inline]
    pub(in super::super) fn len(&self) -> usize {
        self.parts.len()
    }

    /// The payload of that index, and the process that put it.
    #[inline]
    pub(in super::super) fn get(&self, index: usize) -> Option<(&[u8], u32)> {
        let part = self.parts.get(index)?;
        let bytes = self.bytes.get(part.begin..part.begin + part.length)?;
        Some((bytes, part.by))
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
        payloads.parts.reserve(max.min(64));
        payloads.bytes.reserve(16 * max.min(64));
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
        while payloads.len() < max && used > 0 {
            let (next, left) = payloads.add_run(arena, segment, (at, used), max)?;
            if next == at {
                break;
            }
            (at, used) = (next, left);
        }
        if payloads.len() == 0 {
            return Ok(Found::Something(Wake::Nobody));
        }
        Ok(Found::Something(publish(end, at)))
    }
}

impl Payloads {
    /// Copies the records that lie side by side from `at` on, and answers where it stopped.
    fn add_run(
        &mut self,
        arena: &Arena,
        segment: Segment,
        (mut at, mut used): (Position, u64),
        max: usize,
    ) -> Result<(Position, u64)> {
        let copied = self.bytes.len();
        let mut run: Option<(u64, u64)> = None;
        while self.parts.len() < max && used > 0 {
            let record = record::find(arena, segment, at, used).ok_or_else(corrupt)?;
            let What::Bytes { offset, length, by } = record.what else {
                break;
            };
            let first = run.map_or(offset, |(first, _)| first);
            let end = offset + (words_for(length) - 1) * 8;
            // Behind a pad another run begins.
            if run.is_some_and(|(_, end)| end + 8 != offset) {
                break;
            }
            run = Some((first, end));
            let begin = copied + usize::try_from(offset - first).map_err(|_| corrupt())?;
            self.parts.push(Part { begin, length, by });
            (at, used) = (at.plus(record.words, 1), used - record.words);
        }
        if let Some((first, end)) = run {
            let length = usize::try_from(end - first).map_err(|_| corrupt())?;
            let read = arena.read(first, length, &mut self.bytes);
            read.ok_or_else(corrupt)?;
        }
        Ok((at, used))
    }
}
