//! What the front, the results and the supervisor of a pool share: the table, seen from the process that made it.

use super::dispatch::{Hint, Words};
use super::table::{self, SEGMENTS, Stage, State, TaskRef};
use crate::call::Call;
use crate::error::{Error, ErrorKind, Result};
use crate::process::StartMethod;
use crate::shm::arena::Arena;
use crate::shm::blocks::Owner;
use crate::shm::layout::{Kind, OWNS_BLOCKS};
use crate::shm::message::Cargo;
use crate::shm::object::MANY_BLOCKS;
use crate::shm::{Handle, handle};
use crate::sys::atfork;
use crate::sys::atomic::{AcqRel, Acquire, AtomicBool, AtomicU64, Relaxed, Release};
use crate::sys::private::Private;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeMap;

/// A pool's object, as its workers get it.
#[derive(Debug, Clone)]
pub(super) struct PoolHandle {
    pub(super) handle: Handle,
}

impl Serialize for PoolHandle {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.handle.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for PoolHandle {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let handle = handle::deserialize(deserializer, Kind::Pool)?;
        Ok(Self { handle })
    }
}

/// What only one thread at a time may do: take and give back cells, and give hints.
#[derive(Debug, Default)]
struct Desk {
    free: Vec<u32>,
    segments: usize,
    /// Cells whose result nobody wants, and which were not done when that was said.
    abandoned: Vec<(u32, u32)>,
}

/// Numbers that grow.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) deaths: AtomicU64,
    pub(super) deaths_in_task: AtomicU64,
    pub(super) retried: AtomicU64,
}

/// The pool, as the process that made it sees it.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) pool: PoolHandle,
    /// How workers come to be.
    pub(super) method: StartMethod,
    desk: Private<Desk>,
    /// Why tasks failed without a worker that could tell, by cell.
    failures: Private<BTreeMap<u32, Error>>,
    /// No more tasks are taken.
    closed: AtomicBool,
    pub(super) counters: Counters,
    forked: u32,
}

impl Shared {
    pub(super) fn new(method: StartMethod) -> Result<Self> {
        let arena = Arena::get()?;
        let handle = Handle::create(Kind::Pool)?;
        let cell = handle.cell();
        cell.flags.fetch_or(MANY_BLOCKS | OWNS_BLOCKS, AcqRel);
        let words: &Words = cell.body();
        words.grow(arena, cell, Owner::object(handle.number()))?;
        Ok(Self {
            pool: PoolHandle { handle },
            method,
            desk: Private::new(Desk::default()),
            failures: Private::new(BTreeMap::new()),
            closed: AtomicBool::new(false),
            counters: Counters::default(),
            forked: atfork::generation(),
        })
    }

    #[inline]
    pub(super) fn words(&self) -> &Words {
        self.pool.handle.cell().body()
    }

    /// A pool belongs to the process that made it: a forked child has only a picture of it.
    pub(super) fn check_process(&self) -> Result<()> {
        if self.forked == atfork::generation() {
            Ok(())
        } else {
            Err(Error::new(
                ErrorKind::Misuse,
                "a pool is used by the process that made it",
            ))
        }
    }

    /// The cell of a number.
    #[inline]
    pub(super) fn task(&self, arena: &Arena, cell: u32) -> Result<TaskRef> {
        let task = table::find(arena, &self.pool.handle, &self.words().segments, cell);
        task.ok_or_else(|| Error::new(ErrorKind::Corrupt, "the table of a pool"))
    }

    /// Submits a task: cell and generation.
    pub(super) fn submit(&self, call: Call, arguments: &[u8], cargo: Cargo) -> Result<(u32, u32)> {
        self.check_process()?;
        let arena = Arena::get()?;
        let mut desk = self.desk.lock();
        if self.is_closed() {
            return Err(Error::new(
                ErrorKind::Closed,
                "the pool takes no more tasks",
            ));
        }
        let cell = self.free_cell(arena, &mut desk)?;
        let task = self.task(arena, cell)?;
        let free = task.stage();
        if let Err(error) = task.fill(call, arguments, cargo) {
            desk.free.push(cell);
            return Err(error);
        }
        let generation = free.generation.wrapping_add(1);
        task.step(
            free,
            Stage {
                state: State::Queued,
                worker: 0,
                generation,
            },
        );
        let hint = Hint { cell, generation };
        if let Err(error) = self.give(arena, hint) {
            task.clear(arena);
            task.step(
                task.stage(),
                Stage {
                    state: State::Free,
                    worker: 0,
                    generation,
                },
            );
            desk.free.push(cell);
            return Err(error);
        }
        Ok((cell, generation))
    }

    /// The caller is at the desk.
    fn give(&self, arena: &Arena, hint: Hint) -> Result<()> {
        while !self.words().give(arena, hint)? {
            let handle = &self.pool.handle;
            self.words()
                .grow(arena, handle.cell(), Owner::object(handle.number()))?;
        }
        Ok(())
    }

    fn free_cell(&self, arena: &Arena, desk: &mut Desk) -> Result<u32> {
        if let Some(cell) = desk.free.pop() {
            return Ok(cell);
        }
        self.collect_abandoned(arena, desk);
        if let Some(cell) = desk.free.pop() {
            return Ok(cell);
        }
        if desk.segments == SEGMENTS {
            return Err(Error::new(
                ErrorKind::NoSpace,
                "too many tasks whose results nobody has taken",
            ));
        }
        let block = table::add_segment(arena, &self.pool.handle, desk.segments)?;
        self.words().segments[desk.segments].store(block.0 + 1, Release);
        let cells =
            table::cells_in(arena, desk.segments)..table::cells_in(arena, desk.segments + 1);
        desk.segments += 1;
        // The first cell last, so that it is taken first.
        desk.free.extend(cells.rev());
        desk.free.pop().ok_or_else(|| ErrorKind::NoSpace.into())
    }

    fn collect_abandoned(&self, arena: &Arena, desk: &mut Desk) {
        let Desk {
            abandoned, free, ..
        } = desk;
        abandoned.retain(|&(cell, generation)| {
            let freed = self.free_if_done(arena, cell, generation);
            if freed {
                free.push(cell);
            }
            !freed
        });
    }

    fn free_if_done(&self, arena: &Arena, cell: u32, generation: u32) -> bool {
        let Ok(task) = self.task(arena, cell) else {
            return false;
        };
        let stage = task.stage();
        if stage.state != State::Done || stage.generation != generation {
            return false;
        }
        task.clear(arena);
        self.failures.lock().remove(&cell);
        task.step(
            stage,
            Stage {
                state: State::Free,
                worker: 0,
                generation,
            },
        )
    }

    /// Gives a cell back whose result was taken, or that nobody wants the result of.
    pub(super) fn release(&self, cell: u32, generation: u32) {
        let Some(arena) = Arena::existing() else {
            return;
        };
        if self.check_process().is_err() {
            return;
        }
        let mut desk = self.desk.lock();
        if self.free_if_done(arena, cell, generation) {
            desk.free.push(cell);
        } else {
            desk.abandoned.push((cell, generation));
            if desk.abandoned.len().is_power_of_two() {
                self.collect_abandoned(arena, &mut desk);
            }
        }
    }

    /// The worker in `slot` has died: takes the task that it ran away from it. Called before the worker is settled.
    pub(super) fn condemn(&self, noted: u64, slot: u32) -> Option<Condemned> {
        let arena = Arena::existing()?;
        let hint = Hint::read(noted)?;
        let task = self.task(arena, hint.cell).ok()?;
        let stage = task.stage();
        if stage.generation != hint.generation {
            return None;
        }
        let condemned = Stage {
            state: State::Condemned,
            worker: slot,
            generation: hint.generation,
        };
        match stage.state {
            // Noted, and not claimed: perhaps the hint is gone with the worker.
            State::Queued => {
                self.hint_again(arena, hint, &task, stage);
                None
            }
            State::Running if stage.worker == slot && task.step(stage, condemned) => {
                task.discard_result(arena);
                Some(Condemned {
                    hint,
                    task,
                    stage: condemned,
                })
            }
            _ => None,
        }
    }

    /// Queues a condemned task again.
    pub(super) fn retry(&self, condemned: &Condemned) {
        let Some(arena) = Arena::existing() else {
            return;
        };
        let queued = Stage {
            state: State::Queued,
            worker: 0,
            ..condemned.stage
        };
        // Before the task can be seen to be done.
        self.counters.retried.fetch_add(1, Relaxed);
        condemned.task.step(condemned.stage, queued);
        self.hint_again(arena, condemned.hint, &condemned.task, queued);
    }

    /// Hints a queued task again. Where there is no room for the hint nobody would ever look at the task: it fails.
    fn hint_again(&self, arena: &Arena, hint: Hint, task: &TaskRef, queued: Stage) {
        let given = {
            let _desk = self.desk.lock();
            self.give(arena, hint)
        };
        let Err(error) = given else { return };
        let condemned = Stage {
            state: State::Condemned,
            ..queued
        };
        if task.step(queued, condemned) {
            self.fail(hint.cell, task, condemned, error);
        }
    }

    /// Ends a task without a value.
    pub(super) fn fail(&self, cell: u32, task: &TaskRef, stage: Stage, error: Error) {
        self.failures.lock().insert(cell, error);
        task.leave_failure();
        task.step(
            stage,
            Stage {
                state: State::Done,
                ..stage
            },
        );
    }

    /// Ends all tasks that are not done. No worker lives any more.
    pub(super) fn fail_all(&self, why: impl Fn() -> Error) {
        let Some(arena) = Arena::existing() else {
            return;
        };
        let desk = self.desk.lock();
        for cell in 0..table::cells_in(arena, desk.segments) {
            let Ok(task) = self.task(arena, cell) else {
                continue;
            };
            let stage = task.stage();
            if !matches!(stage.state, State::Free | State::Done) {
                task.discard_result(arena);
                self.fail(cell, &task, stage, why());
            }
        }
    }

    /// Why the supervisor failed a task.
    pub(super) fn take_failure(&self, cell: u32) -> Error {
        let failure = self.failures.lock().remove(&cell);
        failure.unwrap_or_else(|| Error::new(ErrorKind::Corrupt, "the result of a task"))
    }

    /// Is there a task that is not done?
    pub(super) fn has_work(&self) -> bool {
        let Some(arena) = Arena::existing() else {
            return false;
        };
        let desk = self.desk.lock();
        (0..table::cells_in(arena, desk.segments)).any(|cell| {
            let stage = self.task(arena, cell).map(|task| task.stage().state);
            !matches!(stage, Ok(State::Free | State::Done) | Err(_))
        })
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Acquire)
    }

    /// Takes no more tasks. Under the desk's lock, so that who has submitted is seen.
    pub(super) fn close(&self) {
        let _desk = self.desk.lock();
        self.closed.store(true, Release);
        self.words().close();
    }
}

/// A task whose worker died while it ran.
#[derive(Debug)]
pub(super) struct Condemned {
    pub(super) hint: Hint,
    pub(super) task: TaskRef,
    pub(super) stage: Stage,
}
