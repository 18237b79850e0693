//! A number of permits: taken one at a time, given by anybody.
//!
//! | bits | meaning |
//! |---|---|
//! | 0 | [`WAITERS`]: somebody may sleep |
//! | 1..32 | permits |
//! | 32..64 | releases, so that the word never looks the same after one |

use crate::shm::Keeper;
use crate::shm::lease::spins;
use crate::sys::atomic::{Acquire, AtomicU64, Relaxed, Release};
use crate::sys::clock::Deadline;

const WAITERS: u64 = 1;
const PERMIT: u64 = 2;
const RELEASE: u64 = 1 << 32;

/// The most permits that there can be.
pub(crate) const MOST: u32 = i32::MAX.cast_unsigned();

fn permits(word: u64) -> u32 {
    (word & 0xffff_ffff) as u32 >> 1
}

/// The word of a semaphore.
#[repr(C, align(64))]
#[derive(Debug, Default)]
pub struct SemaphoreWords {
    word: AtomicU64,
}

impl SemaphoreWords {
    /// Of a new one that nobody else knows.
    pub(crate) fn set(&self, value: u32) {
        self.word.store(u64::from(value) * PERMIT, Release);
    }

    pub(crate) fn value(&self) -> u32 {
        permits(self.word.load(Relaxed))
    }

    #[inline]
    pub(crate) fn try_acquire(&self) -> bool {
        let mut word = self.word.load(Relaxed);
        while permits(word) > 0 {
            let less = word - PERMIT;
            match self
                .word
                .compare_exchange_weak(word, less, Acquire, Relaxed)
            {
                Ok(_) => return true,
                Err(now) => word = now,
            }
        }
        false
    }

    /// Takes a permit; `false` when the deadline has come first.
    #[inline]
    pub(crate) fn acquire<K: Keeper>(&self, deadline: Deadline) -> bool {
        self.try_acquire() || self.acquire_contended::<K>(deadline)
    }

    #[cold]
    fn acquire_contended<K: Keeper>(&self, deadline: Deadline) -> bool {
        let mut spins = spins();
        loop {
            if self.try_acquire() {
                return true;
            }
            let word = self.word.load(Relaxed);
            if permits(word) > 0 {
                continue;
            }
            if spins > 0 && word & WAITERS == 0 {
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

    /// Gives so many permits; `false`, and nothing is changed, when there would be too many.
    #[inline]
    pub(crate) fn release<K: Keeper>(&self, count: u32) -> bool {
        let mut word = self.word.load(Relaxed);
        let next = loop {
            let more = permits(word).checked_add(count);
            if more.is_none_or(|more| more > MOST) {
                return false;
            }
            let next = word.wrapping_add(RELEASE + u64::from(count) * PERMIT);
            match self
                .word
                .compare_exchange_weak(word, next, Release, Relaxed)
            {
                Ok(_) => break next,
                Err(now) => word = now,
            }
        };
        if word & WAITERS != 0 && K::wake(&self.word, count) < count {
            // Nobody sleeps any more. Who has come to sleep meanwhile has seen another word than this.
            let _since = self
                .word
                .compare_exchange(next, next & !WAITERS, Relaxed, Relaxed);
        }
        true
    }
}
