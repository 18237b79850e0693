//! Putting many: several records under one lease, seen by others at once.

use super::end::{self, Wake, publish_unless_closed};
use super::position::{ITEMS, Position};
use super::put::{PutFailure, Step, begins_lap, pad_and_at, pad_before};
use super::record::{LARGEST, Segment, bytes_head};
use super::{Attempt, Ring, corrupt};
use crate::error::Result;
use crate::shm::arena::Arena;
use crate::shm::{Internal, member};
use crate::sys::atomic::{Acquire, Relaxed};
use crate::sys::clock::Deadline;

/// Records that are to be put, as they will lie in the ring.
#[derive(Debug)]
pub(in super::super) struct Payloads {
    bytes: Vec<u8>,
    /// Where each ends.
    ends: Vec<usize>,
}

impl Payloads {
    /// For so many small ones.
    pub(in super::super) fn with_capacity(records: usize) -> Self {
        Self {
            bytes: Vec::with_capacity(24 * records),
            ends: Vec::with_capacity(records),
        }
    }

    pub(in super::super) fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    pub(in super::super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Adds a payload that `write` appends. One that is too large for a record, or that `write` does not want here, comes back.
    #[inline]
    pub(in super::super) fn add<E>(
        &mut self,
        write: impl FnOnce(&mut Vec<u8>) -> Result<bool, E>,
    ) -> Result<Option<Vec<u8>>, E> {
        let begin = self.bytes.len();
        self.bytes.extend_from_slice(&[0; 8]);
        let wanted = write(&mut self.bytes).inspect_err(|_| self.bytes.truncate(begin))?;
        let length = self.bytes.len() - begin - 8;
        if !wanted || length > LARGEST {
            let alone = self.bytes.split_off(begin + 8);
            self.bytes.truncate(begin);
            return Ok(Some(alone));
        }
        let head = bytes_head(length, member::own_pid()).to_ne_bytes();
        self.bytes[begin..begin + 8].copy_from_slice(&head);
        let padded = self.bytes.len().next_multiple_of(8);
        self.bytes.extend_from_slice(&[0; 8]);
        self.bytes.truncate(padded);
        self.ends.push(padded);
        Ok(None)
    }

    fn begin(&self, index: usize) -> usize {
        index.checked_sub(1).map_or(0, |before| self.ends[before])
    }

    /// Words of the record of that index.
    fn words(&self, index: usize) -> u64 {
        (self.ends[index] - self.begin(index)) as u64 / 8
    }

    /// The records from an index on that fit into so many words: how many, and their bytes.
    fn run(&self, from: usize, words: u64, most: u64) -> (usize, &[u8]) {
        let begin = self.begin(from);
        let fit = |&&end: &&usize| (end - begin) as u64 <= words * 8;
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let count = self.ends[from..].iter().take(most).take_while(fit).count();
        (count, &self.bytes[begin..self.begin(from + count)])
    }
}

impl Ring {
    /// Puts all of them, in as many steps as there is room for. How many were put before the failure comes with it. Not for a queue that
    /// lends.
    pub(in super::super) fn put_many(
        &self,
        payloads: &Payloads,
        deadline: Deadline,
    ) -> Result<(), (usize, PutFailure)> {
        let mut put = 0;
        while put < payloads.len() {
            let result = self.wait_to_put(deadline, |arena| {
                self.try_put_many(arena, payloads, put, deadline)
            });
            put += result.map_err(|failure| (put, failure))?;
        }
        Ok(())
    }

    fn try_put_many(
        &self,
        arena: &Arena,
        payloads: &Payloads,
        from: usize,
        deadline: Deadline,
    ) -> Result<Attempt<usize>> {
        let end = &self.words.tail;
        if self.take(arena, end, deadline)?.is_none() {
            return Ok(Attempt::Late);
        }
        let step = self.put_many_under_lease(arena, payloads, from);
        end.lease.give::<Internal>();
        Ok(match step? {
            Step::Done((wake, put)) => {
                end::wake(end, wake);
                Attempt::Done(put)
            }
            Step::Closed => Attempt::Closed,
            Step::Full(head) => Attempt::Blocked(head),
        })
    }

    fn put_many_under_lease(
        &self,
        arena: &Arena,
        payloads: &Payloads,
        from: usize,
    ) -> Result<Step<(Wake, usize)>> {
        let (mut at, segment, mut pad) = match self.make_room(arena, payloads.words(from))? {
            Step::Done(place) => place,
            Step::Closed => return Ok(Step::Closed),
            Step::Full(head) => return Ok(Step::Full(head)),
        };
        let (mut words, mut items) = self.free(at, segment);
        let mut put = 0;
        while from + put < payloads.len() && words > pad && items > 0 {
            let place = at.plus(pad, 0);
            let most = (words - pad).min(segment.room_after(place));
            let (count, bytes) = payloads.run(from + put, most, items);
            if count == 0 {
                break;
            }
            let offset = pad_and_at(arena, segment, at, pad)?;
            arena.write(offset, bytes).ok_or_else(corrupt)?;
            let written = bytes.len() as u64 / 8;
            at = place.plus(written, count as u64);
            put += count;
            (words, items) = (words - pad - written, items - count as u64);
            let next = from + put;
            if next == payloads.len() {
                break;
            }
            pad = pad_before(segment, at, payloads.words(next));
            // The rest asks for a smaller segment first.
            if begins_lap(segment, at, pad) && !self.is_least(segment) {
                break;
            }
        }
        let wake = publish_unless_closed(&self.words.tail, at);
        Ok(wake.map_or(Step::Closed, |wake| Step::Done((wake, put))))
    }

    /// How many words, but for the link, and how many records there is room for.
    fn free(&self, tail: Position, segment: Segment) -> (u64, u64) {
        let head = self.words.head.position.load(Acquire);
        self.words.tail.seen.store(head, Relaxed);
        self.look_at_start(tail, head);
        let (_, items) = tail.since(Position::read(head));
        let most = match self.options().maxsize {
            0 => ITEMS / 2,
            maxsize => maxsize,
        };
        let used = self.used(tail, head) + 1;
        (
            segment.words.saturating_sub(used),
            most.saturating_sub(items),
        )
    }
}
