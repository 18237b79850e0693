//! The life of a worker: take a hint, claim the cell, call the function, leave the result.

use super::dispatch::{Hint, Words};
use super::shared::PoolHandle;
use super::table::{self, Outcome, Stage, State, TaskRef};
use crate::call::Reply;
use crate::error::{Error, ErrorKind, Result};
use crate::process;
use crate::shm::arena::Arena;
use crate::shm::member;
use crate::thread::{self as threads, Panic};
use crate::wire;
use serde::{Deserialize, Serialize};

/// Why a task has no value, as its worker tells it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Trouble {
    pub(super) process: String,
    pub(super) pid: u32,
    pub(super) what: What,
}

/// As much of a text as surely fits into a cell, beside the name of its process.
const BRIEF: usize = 40;

#[derive(Debug, Serialize, Deserialize)]
pub(super) enum What {
    Panicked(Panic),
    /// The arguments did not decode.
    Decode(String),
    /// The result did not encode.
    Encode(String),
    /// There was no room for the result.
    NoSpace(String),
    /// Anything else.
    Failed(String),
}

/// The function of a worker process.
pub(super) fn work(pool: PoolHandle) {
    if let Err(error) = serve(&pool) {
        log::error!("a pool worker gives up: {error}");
        // A worker that cannot serve must be seen as dead, not as done.
        std::panic::panic_any(error.to_string());
    }
}

fn serve(pool: &PoolHandle) -> Result<()> {
    let arena = Arena::get()?;
    let own = member::own()?;
    let slot = own.slot(arena).ok_or(ErrorKind::StaleHandle)?;
    let words: &Words = pool.handle.cell().body();
    while let Some(hint) = words.take(arena, own.slot, &slot.noted)? {
        if let Some(task) = table::find(arena, &pool.handle, &words.segments, hint.cell) {
            run(task, hint, own.slot)?;
        }
    }
    Ok(())
}

/// Claims the cell, if the hint is still true, and runs the task.
fn run(task: TaskRef, hint: Hint, slot: u32) -> Result<()> {
    let queued = Stage {
        state: State::Queued,
        worker: 0,
        generation: hint.generation,
    };
    let running = Stage {
        state: State::Running,
        worker: slot,
        ..queued
    };
    if !task.step(queued, running) {
        return Ok(());
    }
    if let Some(what) = call(&task, slot) {
        leave_trouble(&task, what, slot)?;
    }
    let done = Stage {
        state: State::Done,
        ..running
    };
    if task.step(running, done) {
        Ok(())
    } else {
        Err(Error::new(
            ErrorKind::Corrupt,
            "a running task was taken away",
        ))
    }
}

/// Calls the function and leaves its value; or says why there is none.
fn call(task: &TaskRef, slot: u32) -> Option<What> {
    let call = task.call();
    let called = threads::catch(true, || call.invoke(&task.arguments()?, &mut || ()));
    let left = match called {
        Ok(reply) => reply.and_then(|reply| leave(task, reply, slot)),
        Err(panic) => return Some(What::Panicked(panic)),
    };
    left.err().map(|error| what_failed(&error))
}

fn leave_trouble(task: &TaskRef, what: What, slot: u32) -> Result<()> {
    let process = process::current_process().name().to_owned();
    let pid = std::process::id();
    let mut trouble = Trouble { process, pid, what };
    let leave = |trouble: &Trouble| {
        let (bytes, cargo) = wire::encode(trouble)?;
        task.leave_result(Outcome::Trouble, bytes.as_slice(), cargo, slot)
    };
    match leave(&trouble) {
        // No room to tell it at length: that is no reason to die.
        Err(error) if error.kind() == ErrorKind::NoSpace => {
            trouble.what.shorten();
            leave(&trouble)
        }
        left => left,
    }
}

impl What {
    /// The beginning of the text, so that it needs no block.
    fn shorten(&mut self) {
        let text = match self {
            Self::Panicked(panic) => {
                panic.place = None;
                panic.backtrace = None;
                &mut panic.message
            }
            Self::Decode(text) | Self::Encode(text) | Self::NoSpace(text) | Self::Failed(text) => {
                text
            }
        };
        let fits = |end: &usize| text.is_char_boundary(*end);
        let end = (0..=BRIEF.min(text.len())).rev().find(fits);
        text.truncate(end.unwrap_or(0));
    }
}

fn leave(task: &TaskRef, reply: Reply, slot: u32) -> Result<()> {
    task.leave_result(Outcome::Value, reply.bytes.as_slice(), reply.cargo, slot)
}

fn what_failed(error: &Error) -> What {
    let text = error.to_string();
    match error.kind() {
        ErrorKind::Decode => What::Decode(text),
        ErrorKind::Encode => What::Encode(text),
        ErrorKind::NoSpace => What::NoSpace(text),
        _ => What::Failed(text),
    }
}
