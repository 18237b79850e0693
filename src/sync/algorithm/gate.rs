//! A place to wait for any change: an event count. It says nothing of what has changed.
//!
//! Who waits *arrives*, looks at the condition once more, and then sleeps until somebody has notified since. Who changes the
//! condition notifies afterwards, which is a fence and a look at one word when nobody waits.
//!
//! | bits | meaning |
//! |---|---|
//! | 0 | [`WAITERS`]: somebody has arrived and may sleep |
//! | 1..32 | notifications that found somebody |
//! | 32..64 | arrivals |

use crate::shm::Keeper;
use crate::sys::atomic::{AtomicU64, Relaxed, SeqCst, fence_after_rmw};
use std::time::Duration;

const WAITERS: u64 = 1;
const CHANGE: u64 = 2;
const ARRIVAL: u64 = 1 << 32;

#[repr(transparent)]
#[derive(Debug, Default)]
pub(crate) struct Gate {
    word: AtomicU64,
}

/// Since when somebody waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ticket(u64);

impl Gate {
    /// Says that this thread is about to sleep. It looks at its condition after this, and before [`sleep`](Self::sleep).
    pub(crate) fn arrive(&self) -> Ticket {
        let mut word = self.word.load(Relaxed);
        loop {
            let next = word.wrapping_add(ARRIVAL) | WAITERS;
            match self.word.compare_exchange_weak(word, next, SeqCst, Relaxed) {
                Ok(_) => {
                    fence_after_rmw();
                    return Ticket(next);
                }
                Err(now) => word = now,
            }
        }
    }

    /// Sleeps, unless somebody has notified since; says whether nobody has until now.
    pub(crate) fn sleep<K: Keeper>(&self, since: Ticket, slice: Duration) -> bool {
        K::sleep(&self.word, since.0, slice);
        self.word.load(Relaxed) & (ARRIVAL - CHANGE) == since.0 & (ARRIVAL - CHANGE)
    }

    /// Wakes so many who wait, after the change that they wait for, which was a read-modify-write.
    #[inline]
    pub(crate) fn notify<K: Keeper>(&self, count: u32) {
        fence_after_rmw();
        if self.word.load(Relaxed) & WAITERS != 0 {
            self.wake::<K>(count);
        }
    }

    #[cold]
    fn wake<K: Keeper>(&self, count: u32) {
        // Who has arrived and does not sleep yet will not, because of this step.
        let word = self.word.fetch_add(CHANGE, SeqCst).wrapping_add(CHANGE);
        if K::wake(&self.word, count) < count {
            // Nobody sleeps any more. If somebody has arrived meanwhile, the word is another one.
            let _since = self
                .word
                .compare_exchange(word, word & !WAITERS, Relaxed, Relaxed);
        }
    }
}
