//! The ends of a ring as objects of their own.

use super::Ring;
use crate::error::{Error, ErrorKind, Result};
use crate::shm::Handle;
use crate::shm::arena::Arena;
use crate::shm::epitaph::Epitaph;
use crate::shm::layout::Kind;
use crate::shm::object::ObjectRef;
use crate::sys::atomic::{AcqRel, Acquire, Release};

impl Ring {
    /// Notes in a new end what it belongs to.
    pub(in super::super) fn note_end(&self, epitaph: &Epitaph) {
        let (_, words) = self.closing();
        epitaph.object.store(self.object.name(), Release);
        for (noted, word) in epitaph.words.iter().zip(words) {
            let offset = Arena::existing().and_then(|arena| arena.offset_of(word));
            noted.store(offset.unwrap_or(0), Release);
        }
    }

    /// From here on these are the ends of the ring, and close it when they end.
    pub(in super::super) fn claim_ends(&self, senders: &Handle, receivers: &Handle) -> Result<()> {
        self.object.check(self.cell)?;
        let names = (senders.object().name(), receivers.object().name());
        let before = self.words.senders.load(Acquire);
        // Whoever claimed it may have been killed before its ends could tell.
        let ends = ObjectRef::named(before);
        let arena = Arena::get()?;
        let lost = ends.is_none_or(|end| end.cell(arena, Kind::Senders).is_err());
        let expected = if lost && !self.is_closed() { before } else { 0 };
        let claimed = self
            .words
            .senders
            .compare_exchange(expected, names.0, AcqRel, Acquire);
        claimed.map_err(|_| Error::new(ErrorKind::Misuse, "the queue was split before"))?;
        self.words.receivers.store(names.1, Release);
        for end in [senders, receivers] {
            let epitaph: &Epitaph = end.cell().body();
            epitaph.bits.store(self.closing().0, Release);
        }
        Ok(())
    }
}
