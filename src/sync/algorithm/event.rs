//! A flag that many wait for.
//!
//! | bits | meaning |
//! |---|---|
//! | 0 | [`WAITERS`]: somebody may sleep |
//! | 1 | [`SET`] |
//! | 2..64 | how often it was set: who waits sees that it was, also when it is clear again |

use crate::shm::Keeper;
use crate::shm::lease::spins;
use crate::sys::atomic::{AcqRel, Acquire, AtomicU64, Relaxed};
use crate::sys::clock::Deadline;

const WAITERS: u64 = 1;
const SET: u64 = 2;
const TIME: u64 = 4;

/// The word of an event.
#[repr(C, align(64))]
#[derive(Debug, Default)]
pub struct EventWords {
    word: AtomicU64,
}

impl EventWords {
    #[inline]
    pub(crate) fn is_set(&self) -> bool {
        self.word.load(Acquire) & SET != 0
    }

    /// Sets the flag. Only atomics and a futex call: a signal handler may do this.
    #[inline]
    pub(crate) fn set<K: Keeper>(&self) {
        let mut word = self.word.load(Relaxed);
        loop {
            let next = if word & SET != 0 {
                word
            } else {
                (word.wrapping_add(TIME) | SET) & !WAITERS
            };
            // Also when it is set already: who sees the flag sees what was written before each of its `set`s.
            match self.word.compare_exchange_weak(word, next, AcqRel, Relaxed) {
                Ok(_) if word & WAITERS == 0 || word == next => return,
                Ok(_) => {
                    K::wake(&self.word, u32::MAX);
                    return;
                }
                Err(now) => word = now,
            }
        }
    }

    #[inline]
    pub(crate) fn clear(&self) {
        self.word.fetch_and(!SET, AcqRel);
    }

    /// Waits until the flag is set, or was meanwhile; `false` when the deadline has come first.
    #[inline]
    pub(crate) fn wait<K: Keeper>(&self, deadline: Deadline) -> bool {
        let first = self.word.load(Acquire);
        first & SET != 0 || self.wait_contended::<K>(first / TIME, deadline)
    }

    #[cold]
    fn wait_contended<K: Keeper>(&self, times: u64, deadline: Deadline) -> bool {
        let mut spins = spins();
        loop {
            let word = self.word.load(Acquire);
            if word & SET != 0 || word / TIME != times {
                return true;
            }
            if spins > 0 {
                spins -= 1;
                std::hint::spin_loop();
                continue;
            }
            let waiting = word | WAITERS;
            let said = word == waiting
                || self
                    .word
                    .compare_exchange(word, waiting, Relaxed, Relaxed)
                    .is_ok();
            if said {
                let slice = K::slice(deadline);
                if slice.is_zero() {
                    return false;
                }
                K::sleep(&self.word, waiting, slice);
            }
        }
    }
}
