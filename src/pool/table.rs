//! The table of tasks: cells in the arena, in segments that double.
//!
//! The state of a cell is one word:
//!
//! | bits | meaning |
//! |---|---|
//! | 0..3 | [`State`] |
//! | 3 | [`WAITER`]: somebody sleeps until it is done |
//! | 16..32 | the worker's slot while running or condemned |
//! | 32..64 | generation: changes with every use of the cell |
//!
//! Who moves it: the front from free to queued and from done to free; a worker from queued to running to done; the supervisor from
//! running to condemned, when it knows that the worker is gone, and from there to queued or done. Every step that two could take
//! is a compare-and-swap.

use crate::call::Call;
use crate::error::{Error, ErrorKind, Result};
use crate::shm::arena::Arena;
use crate::shm::blocks::{self, Block, Owner, Use};
use crate::shm::keeper::low_half;
use crate::shm::layout::Shared;
use crate::shm::message::{self, Cargo, Flights};
use crate::shm::{Handle, Message};
use crate::sys::atomic::{AcqRel, Acquire, AtomicU64, Relaxed, Release};
use crate::sys::futex::{self, Scope};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Free = 0,
    Queued = 1,
    Running = 2,
    Condemned = 3,
    Done = 4,
}

/// See the table above.
pub(super) const WAITER: u64 = 8;

/// A state word, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stage {
    pub(super) state: State,
    pub(super) worker: u32,
    pub(super) generation: u32,
}

impl Stage {
    pub(super) fn read(word: u64) -> Self {
        let state = match word & 7 {
            1 => State::Queued,
            2 => State::Running,
            3 => State::Condemned,
            4 => State::Done,
            _ => State::Free,
        };
        Self {
            state,
            worker: (word >> 16 & 0xffff) as u32,
            generation: (word >> 32) as u32,
        }
    }

    fn word(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.worker & 0xffff) << 16 | self.state as u64
    }
}

/// What a result is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub(super) enum Outcome {
    /// The encoded value.
    Value = 1,
    /// An encoded [`Trouble`](super::worker::Trouble).
    Trouble = 2,
    /// The supervisor has noted a failure in private memory.
    Failure = 3,
}

/// Bytes of arguments and of a result that need no block of their own.
const INLINE_ARGUMENTS: usize = 80;
const INLINE_RESULT: usize = 112;

/// One task.
#[repr(C, align(64))]
#[derive(Debug)]
pub(super) struct Task {
    pub(super) state: AtomicU64,
    /// The function. Written by the front.
    call: [AtomicU64; 2],
    /// Where the encoded arguments are. Written by the front.
    arguments: AtomicU64,
    /// Where the encoded result is, and what it is. Written by the worker, or the supervisor.
    result: AtomicU64,
    /// How many workers died of it. Written by the supervisor.
    pub(super) deaths: AtomicU64,
    _reserved: [AtomicU64; 2],
    inline_arguments: [AtomicU64; INLINE_ARGUMENTS / 8],
    inline_result: [AtomicU64; INLINE_RESULT / 8],
}
#[expect(unsafe_code, reason = "Shared is an unsafe trait")]
// SAFETY: atomics only.
unsafe impl Shared for Task {}

/// Where bytes are: inline with a length, or in a message block; and for results what they are.
#[derive(Clone, Copy, Debug)]
struct Place {
    outcome: u64,
    length: usize,
    block: Option<Block>,
}

impl Place {
    fn word(self) -> u64 {
        let block = self.block.map_or(0, |block| u64::from(block.0 + 1));
        block << 32 | (self.length as u64 & 0xffff) << 8 | self.outcome
    }

    fn read(word: u64) -> Self {
        let block = u32::try_from(word >> 32)
            .ok()
            .and_then(|unit| unit.checked_sub(1));
        Self {
            outcome: word & 0xff,
            length: (word >> 8 & 0xffff) as usize,
            block: block.map(Block),
        }
    }
}

/// The task at a place in the table, and the pool's object that owns its blocks.
#[derive(Clone, Copy, Debug)]
pub(super) struct TaskRef {
    pub(super) task: &'static Task,
    pub(super) owner: Owner,
}

impl TaskRef {
    /// Fills a free cell and marks it queued.
    pub(super) fn fill(&self, call: Call, arguments: &[u8], cargo: Cargo) -> Result<()> {
        let place = self.place(arguments, cargo, &self.task.inline_arguments, self.owner)?;
        self.task.arguments.store(place.word(), Relaxed);
        self.task.result.store(0, Relaxed);
        self.task.deaths.store(0, Relaxed);
        for (word, value) in self.task.call.iter().zip(call.words()) {
            word.store(value, Relaxed);
        }
        Ok(())
    }

    fn place(
        &self,
        bytes: &[u8],
        cargo: Cargo,
        inline: &[AtomicU64],
        owner: Owner,
    ) -> Result<Place> {
        if bytes.len() > inline.len() * 8 || !cargo.is_empty() {
            let block = message::store(bytes, cargo, owner)?;
            return Ok(Place {
                outcome: 0,
                length: 0,
                block: Some(block),
            });
        }
        let arena = Arena::get()?;
        let offset = arena.offset_of(&inline[0]).ok_or(ErrorKind::Corrupt)?;
        arena.write(offset, bytes).ok_or(ErrorKind::Corrupt)?;
        Ok(Place {
            outcome: 0,
            length: bytes.len(),
            block: None,
        })
    }

    fn inline(&self, place: Place, inline: &[AtomicU64]) -> Result<Vec<u8>> {
        let arena = Arena::get()?;
        let offset = arena.offset_of(&inline[0]).ok_or(ErrorKind::Corrupt)?;
        let mut bytes = Vec::new();
        if place.length > inline.len() * 8 {
            return Err(ErrorKind::Corrupt.into());
        }
        arena
            .read(offset, place.length, &mut bytes)
            .ok_or(ErrorKind::Corrupt)?;
        Ok(bytes)
    }

    pub(super) fn call(&self) -> Call {
        Call::from_words([0, 1].map(|index: usize| self.task.call[index].load(Relaxed)))
    }

    /// A copy of the arguments; their handles stay with the cell.
    pub(super) fn arguments(&self) -> Result<Vec<u8>> {
        let place = Place::read(self.task.arguments.load(Relaxed));
        match place.block {
            Some(block) => message::peek(block),
            None => self.inline(place, &self.task.inline_arguments),
        }
    }

    /// As the worker in `slot`: leaves the result in the cell.
    pub(super) fn leave_result(
        &self,
        outcome: Outcome,
        bytes: &[u8],
        cargo: Cargo,
        slot: u32,
    ) -> Result<()> {
        let place = self.place(bytes, cargo, &self.task.inline_result, Owner::member(slot))?;
        let place = Place {
            outcome: outcome as u64,
            ..place
        };
        self.task.result.store(place.word(), Release);
        if let Some(block) = place.block {
            block.set_owner(Arena::get()?, self.owner)?;
        }
        Ok(())
    }

    /// Notes that the failure is told in private memory.
    pub(super) fn leave_failure(&self) {
        let place = Place {
            outcome: Outcome::Failure as u64,
            length: 0,
            block: None,
        };
        self.task.result.store(place.word(), Release);
    }

    /// What the result of a cell that is done is.
    pub(super) fn outcome(&self) -> Option<Outcome> {
        match Place::read(self.task.result.load(Acquire)).outcome {
            1 => Some(Outcome::Value),
            2 => Some(Outcome::Trouble),
            3 => Some(Outcome::Failure),
            _ => None,
        }
    }

    /// Takes the result out of a cell that is done.
    pub(super) fn take_result(&self) -> Result<(Outcome, Message)> {
        let outcome = self.outcome();
        let outcome =
            outcome.ok_or_else(|| Error::new(ErrorKind::Corrupt, "the result of a task"))?;
        let place = Place::read(self.task.result.swap(0, AcqRel));
        let message = match place.block {
            Some(block) => message::take(block)?,
            None => Message {
                bytes: self.inline(place, &self.task.inline_result)?,
                flights: Flights::default(),
            },
        };
        Ok((outcome, message))
    }

    /// Frees what a worker that died had written of its result. Called before the worker is settled: a block that it still owned is
    /// freed with it, and may be somebody else's afterwards.
    pub(super) fn discard_result(&self, arena: &Arena) {
        if let Some(block) = Place::read(self.task.result.swap(0, AcqRel)).block
            && block.owner(arena) == self.owner
        {
            message::discard(arena, block);
        }
    }

    /// Frees the arguments, and a result that nobody has taken.
    pub(super) fn clear(&self, arena: &Arena) {
        for word in [&self.task.arguments, &self.task.result] {
            if let Some(block) = Place::read(word.swap(0, AcqRel)).block {
                message::discard(arena, block);
            }
        }
    }

    pub(super) fn stage(&self) -> Stage {
        Stage::read(self.task.state.load(Acquire))
    }

    /// Moves the state by one compare-and-swap from `from` to `to`; `false` when it was not there.
    pub(super) fn step(&self, from: Stage, to: Stage) -> bool {
        let mut word = self.task.state.load(Acquire);
        while Stage::read(word) == from {
            // Who waits for the end goes on waiting until it comes.
            let waiter = if to.state == State::Done {
                0
            } else {
                word & WAITER
            };
            match self
                .task
                .state
                .compare_exchange(word, to.word() | waiter, AcqRel, Acquire)
            {
                Ok(_) if to.state == State::Done && word & WAITER != 0 => {
                    futex::wake(low_half(&self.task.state), u32::MAX, Scope::Shared);
                    return true;
                }
                Ok(_) => return true,
                Err(now) => word = now,
            }
        }
        false
    }
}

/// A pool's directory of segments.
pub(super) const SEGMENTS: usize = 14;

/// Cells in the first segment: the n-th has `2^(n-1)` times as many.
fn first(arena: &Arena) -> u32 {
    if arena.layout.size < 64 << 20 {
        64
    } else {
        1024
    }
}

/// The segment of a cell, and its place there.
fn locate(arena: &Arena, cell: u32) -> (usize, u32) {
    match (cell / first(arena)).checked_ilog2() {
        None => (0, cell),
        Some(doubled) => (doubled as usize + 1, cell - (first(arena) << doubled)),
    }
}

/// Cells in `segments` segments.
pub(super) fn cells_in(arena: &Arena, segments: usize) -> u32 {
    if segments == 0 {
        0
    } else {
        first(arena) << (segments - 1)
    }
}

/// Finds a cell through the directory.
pub(super) fn find(
    arena: &Arena,
    handle: &Handle,
    segments: &[crate::sys::atomic::AtomicU32],
    cell: u32,
) -> Option<TaskRef> {
    let (segment, place) = locate(arena, cell);
    let unit = segments.get(segment)?.load(Acquire).checked_sub(1)?;
    let (offset, bytes) = Block(unit).bytes(arena)?;
    let at = u64::from(place) * size_of::<Task>() as u64;
    if at + size_of::<Task>() as u64 > bytes {
        return None;
    }
    let task = arena.at(offset + at)?;
    Some(TaskRef {
        task,
        owner: Owner::object(handle.number()),
    })
}

/// A new segment, all cells free.
pub(super) fn add_segment(arena: &Arena, handle: &Handle, segment: usize) -> Result<Block> {
    let cells = cells_in(arena, segment + 1) - cells_in(arena, segment);
    let bytes = u64::from(cells) * size_of::<Task>() as u64;
    let block = blocks::allocate(bytes, Use::Raw, Owner::object(handle.number()))?;
    let (offset, _) = block.bytes(arena).ok_or(ErrorKind::Corrupt)?;
    for cell in 0..u64::from(cells) {
        let task = arena.at::<Task>(offset + cell * size_of::<Task>() as u64);
        let task = task.ok_or(ErrorKind::Corrupt)?;
        // The block may have been anything before; the generation goes on from whatever it was.
        let generation = Stage::read(task.state.load(Relaxed)).generation;
        let free = Stage {
            state: State::Free,
            worker: 0,
            generation,
        };
        task.state.store(free.word(), Relaxed);
        task.arguments.store(0, Relaxed);
        task.result.store(0, Relaxed);
    }
    Ok(block)
}
