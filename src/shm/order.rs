//! Orders: how a child that waits in its slot is told what to do.

use super::arena::Arena;
use super::blocks::Block;
use super::keeper::SLICE;
use super::layout::CLEANED;
use super::member::Member;
use crate::error::{ErrorKind, Result};
use crate::sys::atomic::{AcqRel, Acquire, Release};
use crate::sys::{futex, thread};
use std::time::{Duration, Instant};

/// The order is about to come.
const ROUSED: u32 = u32::MAX;

/// No order will come.
const DISMISSED: u32 = u32::MAX - 1;

/// How long a roused child looks for its order before it sleeps again.
const ROUSED_FOR: Duration = Duration::from_micros(200);

fn order(word: u32) -> Option<Block> {
    (word != 0 && word < DISMISSED).then(|| Block(word - 1))
}

impl Member {
    /// Tells a child what to do.
    pub(crate) fn give_order(self, block: Block) -> Result<()> {
        let slot = self.slot(Arena::get()?).ok_or(ErrorKind::StaleHandle)?;
        // If it is dead and was cleaned up behind, this has come since.
        slot.flags.fetch_and(!CLEANED, AcqRel);
        slot.order.store(block.0 + 1, Release);
        futex::wake(&slot.order, 1, futex::Scope::Shared);
        Ok(())
    }

    /// Wakes a child that waits for an order, which will come in the time that the waking takes.
    pub(crate) fn rouse(self) {
        let slot = Arena::existing().and_then(|arena| self.slot(arena));
        if let Some(slot) = slot
            && thread::cpus() > 1
        {
            slot.order.store(ROUSED, Release);
            futex::wake(&slot.order, 1, futex::Scope::Shared);
        }
    }

    /// Tells a child that there is nothing for it to do. One that this process may not kill leaves all the same.
    pub(crate) fn dismiss(self) {
        let slot = Arena::existing().and_then(|arena| self.slot(arena));
        if let Some(slot) = slot {
            slot.order.store(DISMISSED, Release);
            futex::wake(&slot.order, 1, futex::Scope::Shared);
        }
    }

    /// As a child: is it told already what to do?
    pub(crate) fn has_order(self) -> bool {
        let slot = Arena::existing().and_then(|arena| arena.slot(self.slot));
        slot.is_some_and(|slot| order(slot.order.load(Acquire)).is_some())
    }

    /// As a child: waits until it is told what to do; `None` for nothing. If its parent dies instead, the kernel ends it, where it is
    /// `tied` to that; another one looks for itself, and then once more for an order.
    pub(crate) fn await_order(self, tied: bool) -> Option<Block> {
        let slot = Arena::existing()?.slot(self.slot)?;
        let mut is_last = false;
        loop {
            let word = slot.order.load(Acquire);
            if word == DISMISSED {
                return None;
            }
            if let Some(block) = order(word) {
                return Some(block);
            }
            if word == ROUSED {
                let begin = Instant::now();
                while slot.order.load(Acquire) == word && begin.elapsed() < ROUSED_FOR {
                    std::hint::spin_loop();
                }
            }
            if is_last {
                return None;
            }
            if slot.order.load(Acquire) == word {
                let hour = Duration::from_secs(3600);
                let slice = if tied { hour } else { SLICE };
                futex::wait(&slot.order, word, slice, futex::Scope::Shared);
            }
            is_last = !tied && !super::settle::parent_lives(slot);
        }
    }
}
