//! Putting many: several records under one lease, seen by others at once.

use super::end::{self, Wake, publish_unless_closed};
use super::put::{PutFailure, Room, Step, pad_and_at, pad_before, write_bytes};
use super::record::words_for;
use super::{Attempt, Ring};
use crate::error::Result;
use crate::shm::Internal;
use crate::shm::arena::Arena;
use crate::shm::message::Cargo;
use crate::sys::clock::Deadline;

/// Payloads that are to be put, one behind the other, and where each ends.
#[derive(Debug, Default)]
pub(in super::super) struct Payloads {
    pub(in super::super) bytes: Vec<u8>,
    pub(in super::super) ends: Vec<usize>,
}

impl Payloads {
    pub(in super::super) fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    fn get(&self, index: usize) -> Option<&[u8]> {
        let &end = self.ends.get(index)?;
        let begin = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        self.bytes.get(begin..end)
    }
}

impl Ring {
    /// Puts all of them, in as many steps as there is room for. How many were put before the failure comes with it.
    pub(in super::super) fn put_many(
        &self,
        payloads: &Payloads,
        deadline: Deadline,
    ) -> Result<(), (usize, PutFailure)> {
        let mut put = 0;
        while let Some(next) = payloads.get(put) {
            let result = if self.fits(next.len()) {
                self.wait_to_put(deadline, |arena| {
                    self.try_put_many(arena, payloads, put, deadline)
                })
            } else {
                self.put(next, Cargo::default(), deadline).map(|()| 1)
            };
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
        let first = payloads.get(from).map_or(0, <[u8]>::len);
        let (mut at, segment, mut pad) = match self.make_room(arena, words_for(first))? {
            Step::Done(place) => place,
            Step::Closed => return Ok(Step::Closed),
            Step::Full(head) => return Ok(Step::Full(head)),
        };
        let mut put = 0;
        while let Some(bytes) = payloads.get(from + put).filter(|b| self.fits(b.len())) {
            let needed = words_for(bytes.len());
            if put > 0 {
                pad = pad_before(segment, at, needed);
                let Room::Enough = self.room(at, segment, pad + needed)? else {
                    break;
                };
            }
            let record = pad_and_at(arena, segment, at, pad)?;
            write_bytes(arena, record, bytes)?;
            at = at.plus(pad + needed, 1);
            put += 1;
        }
        let wake = publish_unless_closed(&self.words.tail, at);
        Ok(wake.map_or(Step::Closed, |wake| Step::Done((wake, put))))
    }
}
