//! The end of a queue: for everybody, at once or when it is drained.

use super::Ring;
use super::position::{CLOSED, Position};
use super::taking::Taking;
use crate::error::Result;
use crate::shm::arena::Arena;
use crate::shm::keeper::low_half;
use crate::shm::{Internal, member};
use crate::sys::atomic::{Acquire, AtomicU64, SeqCst};
use crate::sys::clock::Deadline;
use crate::sys::futex::{self, Scope};

/// In [`super::Words::shut`]: nothing more is put.
const SHUT: u64 = 1;
/// And nothing is got any more.
const NOW: u64 = 2;

impl Ring {
    /// Was the queue shut by somebody? If it is closed and was not, one of its ends is gone.
    pub(super) fn is_shut(&self) -> bool {
        self.words.shut.load(Acquire) != 0
    }

    /// Was it shut together with what was inside?
    pub(super) fn is_shut_now(&self) -> bool {
        // Whoever shuts may be killed before anything is closed: then nothing has happened.
        self.words.shut.load(Acquire) & NOW != 0 && self.is_closed()
    }

    /// Will nothing more be put, for whatever reason?
    pub(in super::super) fn is_closed(&self) -> bool {
        self.words.tail.position.load(Acquire) & CLOSED != 0
    }

    /// The bit that closes an end, and the words that have it, the first one first.
    pub(in super::super) fn closing(&self) -> (u64, [&'static AtomicU64; 2]) {
        let words = self.words;
        (CLOSED, [&words.tail.position, &words.head.position])
    }

    /// Ends the queue: nothing more is put. With `now` nothing is got either, and what is inside is dropped.
    pub(in super::super) fn shut(&self, now: bool) {
        // One whose object is gone has nothing to end.
        if member::join().is_err() || self.object.check(self.cell).is_err() {
            return;
        }
        self.words
            .shut
            .fetch_or(if now { SHUT | NOW } else { SHUT }, SeqCst);
        let (bit, words) = self.closing();
        for position in words {
            position.fetch_or(bit, SeqCst);
            futex::wake(low_half(position), u32::MAX, Scope::Shared);
        }
        self.tell_joiners();
        if now && let Err(error) = self.drop_all() {
            log::error!("what was in a queue was not dropped: {error}");
        }
    }

    /// Takes all messages away. Whoever is killed at it leaves the rest until the queue is freed: nobody gets it.
    fn drop_all(&self) -> Result<()> {
        let arena = Arena::get()?;
        let end = &self.words.head;
        loop {
            let mut dropped = Taking::empty();
            if self.take(arena, end, Deadline::NEVER)?.is_none() {
                return Ok(());
            }
            let more = self.drop_under_lease(arena, &mut dropped);
            end.lease.give::<Internal>();
            if !more? {
                return Ok(());
            }
            dropped.finish(false)?;
        }
    }

    fn drop_under_lease(&self, arena: &Arena, dropped: &mut Taking) -> Result<bool> {
        if self.lends()
            && let Some(block) = self.take_put_back(arena)?
        {
            dropped.hold(block, Some(*self));
            return Ok(true);
        }
        let head = Position::read(self.words.head.position.load(Acquire));
        let tail = Position::read(self.words.tail.position.load(Acquire));
        if head == tail {
            return Ok(false);
        }
        self.take_next(arena, (head, tail.since(head).0), dropped)?;
        Ok(true)
    }
}
