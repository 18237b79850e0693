//! Cells and their lives: an object is alive while some member holds it or a message carries it.
//!
//! The *life* of a cell is one word: state, epoch, and the number of messages, arguments and results under way that carry it.
//! Who holds it is a bit in each member's map ([`super::handle`]). It is freed by whoever finds no bit and nothing in flight
//! *and* sees the word unchanged since before it looked: every step that could hide a holder from the look (a handle put in
//! flight, or adopted) moves the epoch. A kill in the middle may keep an object for too long, never free it early.

use super::arena::Arena;
use super::blocks::{self, with_allocator};
use super::epitaph;
use super::layout::{Cell, KINDS, Kind, OWNS_BLOCKS};
use super::member;
use super::message;
use crate::error::{Error, ErrorKind, Result};
use crate::sys::atomic::{AcqRel, Acquire, Relaxed, Release, SeqCst};

/// Names an object at one time of its cell's use. Holds nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ObjectRef {
    pub(crate) number: u32,
    pub(crate) generation: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Free = 0,
    Living = 1,
    /// Being taken apart.
    Dying = 2,
}

/// The life word: state in the top two bits, 22 bits of flights, 40 bits of epoch.
#[derive(Clone, Copy, Debug)]
struct Life {
    state: State,
    /// Of a dying object: the slot that takes it apart, plus 1. Nobody else may, until that member is settled.
    flights: u32,
    epoch: u64,
}

const FLIGHTS: u32 = (1 << 22) - 1;
const EPOCHS: u64 = (1 << 40) - 1;

impl Life {
    fn read(word: u64) -> Self {
        let state = match word >> 62 {
            1 => State::Living,
            2 => State::Dying,
            _ => State::Free,
        };
        let flights = u32::try_from(word >> 40 & u64::from(FLIGHTS)).unwrap_or(FLIGHTS);
        Self {
            state,
            flights,
            epoch: word & EPOCHS,
        }
    }

    fn word(self) -> u64 {
        (self.state as u64) << 62 | u64::from(self.flights) << 40 | (self.epoch & EPOCHS)
    }

    /// The same, later.
    fn next(self) -> Self {
        Self {
            epoch: self.epoch.wrapping_add(1),
            ..self
        }
    }
}

/// Makes an object of `kind`; `hold` notes this process as its holder before it lives.
pub(super) fn create(
    arena: &Arena,
    kind: Kind,
    hold: impl FnOnce(ObjectRef) -> Result<()>,
) -> Result<ObjectRef> {
    with_allocator(arena, |_| {
        let number = pop_free(arena, kind)?;
        let cell = arena.cell(number).ok_or(ErrorKind::Corrupt)?;
        let object = ObjectRef {
            number,
            generation: cell.generation.load(Relaxed),
        };
        // It was zeroed when the one before was freed; somebody gone mad may have written there since.
        for word in &cell.body {
            word.store(0, Relaxed);
        }
        hold(object)?;
        let life = Life::read(cell.life.load(Acquire));
        cell.life.store(
            Life {
                state: State::Living,
                flights: 0,
                ..life.next()
            }
            .word(),
            SeqCst,
        );
        Ok(object)
    })?
}

/// A cell that was of this kind before; else one that was never used; else, in a full table, one of another kind.
fn pop_free(arena: &Arena, kind: Kind) -> Result<u32> {
    if let Some(number) = pop_from(arena, kind as usize)? {
        return Ok(number);
    }
    let header = arena.header();
    let fresh = header.objects_high.load(Relaxed);
    if let Some(cell) = arena.cell(fresh) {
        cell.kind.store(kind as u32, Relaxed);
        header.objects_high.store(fresh + 1, Release);
        return Ok(fresh);
    }
    for other in 0..KINDS {
        if let Some(number) = pop_from(arena, other)? {
            let cell = arena.cell(number).ok_or(ErrorKind::Corrupt)?;
            cell.kind.store(kind as u32, Relaxed);
            return Ok(number);
        }
    }
    let text = format!("all {} objects are in use", arena.layout.objects);
    Err(Error::new(ErrorKind::NoSpace, text))
}

fn pop_from(arena: &Arena, kind: usize) -> Result<Option<u32>> {
    let head = &arena.header().free_cells[kind];
    let Some(number) = head.load(Relaxed).checked_sub(1) else {
        return Ok(None);
    };
    let cell = arena.cell(number).ok_or(ErrorKind::Corrupt)?;
    let free = Life::read(cell.life.load(Acquire)).state == State::Free;
    if !free || cell.kind.load(Relaxed) as usize != kind {
        return Err(ErrorKind::Corrupt.into());
    }
    head.store(cell.next.load(Relaxed), Relaxed);
    Ok(Some(number))
}

/// Makes the lists of free cells anew.
pub(super) fn rebuild(arena: &Arena) {
    let header = arena.header();
    for head in &header.free_cells {
        head.store(0, Relaxed);
    }
    for number in 0..header.objects_high.load(Acquire).min(arena.layout.objects) {
        let Some(cell) = arena.cell(number) else {
            return;
        };
        if Life::read(cell.life.load(Acquire)).state == State::Free {
            push_free(arena, number, cell);
        }
    }
}

fn push_free(arena: &Arena, number: u32, cell: &Cell) {
    let kind = cell.kind.load(Relaxed) as usize;
    if let Some(head) = arena.header().free_cells.get(kind).filter(|_| kind < KINDS) {
        cell.next.store(head.load(Relaxed), Relaxed);
        head.store(number + 1, Relaxed);
    }
}

impl ObjectRef {
    /// Number and generation in one word that is never 0, for others that note it.
    pub(crate) fn name(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.number + 1)
    }

    /// The object of that name.
    pub(crate) fn named(name: u64) -> Option<Self> {
        let number = u32::try_from(name & 0xffff_ffff).ok()?.checked_sub(1)?;
        let generation = u32::try_from(name >> 32).ok()?;
        Some(Self { number, generation })
    }

    /// Is the object of this cell still there? Asked after its lease was taken, because a cell outlives its object.
    #[inline]
    pub(crate) fn check(self, cell: &Cell) -> Result<()> {
        if cell.generation.load(Acquire) == self.generation {
            Ok(())
        } else {
            Err(ErrorKind::StaleHandle.into())
        }
    }

    /// The cell, if the object is still there and of this kind.
    #[inline]
    pub(crate) fn cell(self, arena: &Arena, kind: Kind) -> Result<&'static Cell> {
        let cell = arena.cell(self.number).ok_or(ErrorKind::StaleHandle)?;
        let same = cell.generation.load(Acquire) == self.generation;
        if same && cell.kind.load(Relaxed) == kind as u32 {
            Ok(cell)
        } else {
            Err(ErrorKind::StaleHandle.into())
        }
    }

    /// Changes the life of a living object of this generation by one compare-and-swap.
    fn change(self, arena: &Arena, how: impl Fn(Life) -> Option<Life>) -> Result<Life> {
        let cell = arena.cell(self.number).ok_or(ErrorKind::StaleHandle)?;
        let mut word = cell.life.load(SeqCst);
        loop {
            let life = Life::read(word);
            let same = cell.generation.load(Acquire) == self.generation;
            if !same || life.state != State::Living {
                return Err(ErrorKind::StaleHandle.into());
            }
            let changed = how(life).ok_or(ErrorKind::Corrupt)?.next();
            match cell
                .life
                .compare_exchange_weak(word, changed.word(), SeqCst, SeqCst)
            {
                Ok(_) => return Ok(changed),
                Err(now) => word = now,
            }
        }
    }

    /// One more message carries it. The caller holds it, or a message that does.
    pub(super) fn take_off(self, arena: &Arena) -> Result<()> {
        let more = |life: Life| {
            (life.flights < FLIGHTS).then_some(Life {
                flights: life.flights + 1,
                ..life
            })
        };
        self.change(arena, more).map(|_| ())
    }

    /// One message less carries it; freed if it was the last that kept it.
    pub(super) fn land(self, arena: &Arena) {
        let less = |life: Life| {
            Some(Life {
                flights: life.flights.checked_sub(1)?,
                ..life
            })
        };
        let outer = note_freeing(arena, self.number + 1);
        if self.change(arena, less).is_ok_and(|life| life.flights == 0) {
            self.free_if_unheld(arena);
        }
        note_freeing(arena, outer);
    }

    /// A new holder has set its bit: whoever looked before must look again.
    pub(super) fn hold(self, arena: &Arena) -> Result<()> {
        self.change(arena, Some).map(|_| ())
    }

    /// Frees the object if nothing keeps it.
    pub(super) fn free_if_unheld(self, arena: &Arena) {
        let Some(cell) = arena.cell(self.number) else {
            return;
        };
        let outer = note_freeing(arena, self.number + 1);
        let by = member::known().map_or(0, |own| own.slot + 1);
        loop {
            let word = cell.life.load(SeqCst);
            let life = Life::read(word);
            let same = cell.generation.load(Acquire) == self.generation;
            let free = same && life.state == State::Living && life.flights == 0;
            if !free || super::handle::anyone_holds(arena, self.number) {
                break;
            }
            let dying = Life {
                state: State::Dying,
                flights: by,
                ..life.next()
            };
            if cell
                .life
                .compare_exchange(word, dying.word(), SeqCst, SeqCst)
                .is_ok()
            {
                take_apart(arena, self.number, by);
                break;
            }
        }
        note_freeing(arena, outer);
    }
}

/// Finishes what a dead member was taking apart, and what it was about to.
pub(super) fn finish_freeing(arena: &Arena, number: u32, slot: u32) {
    // Taking a queue apart frees what its messages carry: there can be several.
    let high = arena.header().objects_high.load(Acquire);
    for number in 0..high.min(arena.layout.objects) {
        take_apart(arena, number, slot + 1);
    }
    if let Some(cell) = arena.cell(number) {
        let generation = cell.generation.load(Acquire);
        ObjectRef { number, generation }.free_if_unheld(arena);
    }
}

/// Notes in our own slot what we may be the last to need, before we let go of it, so that its freeing can be done or finished
/// for us. Answers with what was noted before. Of two threads of one member the later note counts: a kill then may leak the
/// other's object.
pub(super) fn note_freeing(arena: &Arena, number: u32) -> u32 {
    let slot = member::known().and_then(|own| arena.slot(own.slot));
    slot.map_or(0, |slot| slot.freeing.swap(number, AcqRel))
}

/// Takes an object apart that is dying by the slot `by - 1`. May be called again when the first who did it was killed.
fn take_apart(arena: &Arena, number: u32, by: u32) {
    let Some(cell) = arena.cell(number) else {
        return;
    };
    let life = Life::read(cell.life.load(Acquire));
    if life.state != State::Dying || life.flights != by {
        return;
    }
    epitaph::tell(arena, cell);
    free_blocks(arena, number, cell);
    let freed = with_allocator(arena, |_| {
        cell.block.store(0, Relaxed);
        cell.flags.store(0, Relaxed);
        cell.put_back.store(0, Relaxed);
        for word in &cell.body {
            word.store(0, Relaxed);
        }
        // The generation first: who still has a handle must not take the next object for his.
        cell.generation.fetch_add(1, SeqCst);
        cell.life.store(
            Life {
                state: State::Free,
                flights: 0,
                ..life.next()
            }
            .word(),
            SeqCst,
        );
        push_free(arena, number, cell);
    });
    if let Err(error) = freed {
        log::error!("object {number} was not freed: {error}");
    }
}

/// An object whose only block is its first one needs no walk through the heap.
fn free_blocks(arena: &Arena, number: u32, cell: &Cell) {
    let flags = cell.flags.load(Acquire);
    if flags & OWNS_BLOCKS == 0 {
        return;
    }
    let blocks = if flags & MANY_BLOCKS == 0 {
        cell.block
            .load(Acquire)
            .checked_sub(1)
            .map(|unit| vec![blocks::Block(unit)])
    } else {
        None
    };
    let all = || blocks::owned(arena, |owner| owner.is_object(number));
    for block in blocks.map_or_else(all, Ok).unwrap_or_default() {
        if block.owner(arena).is_object(number) {
            message::discard(arena, block);
        }
    }
}

/// In [`Cell::flags`]: blocks other than `block` may name the object as their owner.
pub(crate) const MANY_BLOCKS: u32 = 2;

/// Objects that live at the moment.
pub(super) fn living(arena: &Arena) -> usize {
    let high = arena
        .header()
        .objects_high
        .load(Acquire)
        .min(arena.layout.objects);
    let lives = (0..high).filter_map(|number| arena.cell(number));
    lives
        .filter(|cell| Life::read(cell.life.load(Acquire)).state != State::Free)
        .count()
}
