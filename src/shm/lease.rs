//! The one lock algorithm: a word that says who owns it, taken over when the owner is proved dead.
//!
//! The word is 0 when free. An owner sets it to its own number by one compare-and-swap; the last bit says that somebody
//! sleeps. Whether it guards threads or processes depends on the [`Keeper`]: where the word lives, which flag the futex call
//! gets, and who can be dead.
//!
//! | bits | meaning |
//! |---|---|
//! | 0 | [`WAITERS`]: the owner must wake one when it lets go |
//! | 1..23 | kernel thread id |
//! | 23..32 | generation of the owner's slot, low 9 bits |
//! | 32..44 | slot |
//! | 44..63 | generation, high 19 bits |
//! | 63 | [`LOOSE`]: anybody may let go of it |
//!
//! Sleepers wait on the low half. A woken one takes the word with the bit set, because it cannot know whether others sleep.
//! What is written here knows nothing of the arena, so that loom can go through all its interleavings (`tests/loom.rs`).

use crate::sys::atomic::{AcqRel, Acquire, AtomicU64, Relaxed, Release, SeqCst};
use crate::sys::clock::Deadline;
use crate::sys::thread;
use std::time::Duration;

/// Somebody sleeps on the word.
const WAITERS: u64 = 1;

/// Its owner has given up the guard: whoever likes may let go.
const LOOSE: u64 = 1 << 63;

/// The bits that name a thread.
const TID: u64 = 0x7f_fffe;

/// Looks before the first sleep, when there is more than one CPU.
const SPINS: u32 = 1000;

/// The longest time between two looks at a lease, in pauses of the processor.
const MOST_PAUSES: u32 = 16;

/// How often to look at a word before sleeping on it: what another CPU is about to change is seen long before a sleeper is awake.
#[inline]
pub(crate) fn spins() -> u32 {
    if thread::cpus() > 1 { SPINS } else { 0 }
}

/// How a lease was come by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// It was free.
    Clean,
    /// Its owner is dead and may have left anything half done.
    OwnerDied,
}

/// Who can own a lease, and how it is waited for: the difference between the two homes.
pub trait Keeper {
    /// The same for leases that no user holds: no thread ends while it owns one.
    type Internal: Keeper;
    /// How long to sleep at most, until the deadline: zero when it has passed.
    fn slice(deadline: Deadline) -> Duration;
    /// Sleeps while the low half of the word is that of `expected`; returns for any reason, after `timeout` at the latest.
    fn sleep(word: &AtomicU64, expected: u64, timeout: Duration);
    /// Wakes so many sleepers at most, and says how many there were.
    fn wake(word: &AtomicU64, count: u32) -> u32;
    /// Is it known without asking the kernel that this owner is dead?
    fn known_dead(owner: u64) -> bool;
    /// Is it proved that this owner is dead?
    fn proved_dead(owner: u64) -> bool;
    /// Tells all of those who have a handle of what the word belongs to and are dead, though nobody has asked for them yet.
    fn look_for_the_dead(_word: &AtomicU64) {}
}

/// The number of a thread of the member in `slot`.
pub(super) fn owner(slot: u32, generation: u32, tid: u32) -> u64 {
    let (slot, generation, tid) = (u64::from(slot), u64::from(generation), u64::from(tid));
    (generation >> 9) << 44
        | (slot & 0xfff) << 32
        | (generation & 0x1ff) << 23
        | (tid & 0x3f_ffff) << 1
}

pub(super) fn owner_slot(owner: u64) -> u32 {
    (owner >> 32) as u32 & 0xfff
}

pub(super) fn owner_tid(owner: u64) -> u32 {
    ((owner & TID) >> 1) as u32
}

pub(super) fn owner_generation(owner: u64) -> u32 {
    let (high, low) = ((owner & !LOOSE) >> 44, owner >> 23 & 0x1ff);
    u32::try_from(high << 9 | low).unwrap_or(u32::MAX)
}

/// The member whose thread an owner is: equal for all its threads.
pub(crate) fn member_of(owner: u64) -> u64 {
    owner & !(TID | WAITERS | LOOSE)
}

/// A lock word. In the arena, or in a process's own memory.
#[repr(transparent)]
#[derive(Debug, Default)]
pub(crate) struct Lease {
    word: AtomicU64,
}

impl Lease {
    /// Takes the lease for `me` if it is free.
    #[inline]
    pub(crate) fn try_take(&self, me: u64) -> bool {
        self.word.compare_exchange(0, me, Acquire, Relaxed).is_ok()
    }

    /// Takes the lease for `me`, or says `None` when the deadline has come first.
    #[inline]
    pub(crate) fn take<K: Keeper>(&self, me: u64, deadline: Deadline) -> Option<Taken> {
        if self.try_take(me) {
            return Some(Taken::Clean);
        }
        self.take_contended::<K>(me, deadline)
    }

    /// Takes the lease if it is free or its owner is dead; never sleeps.
    pub(crate) fn take_now<K: Keeper>(&self, me: u64) -> Option<Taken> {
        if self.try_take(me) {
            return Some(Taken::Clean);
        }
        loop {
            let owner = self.word.load(Relaxed);
            if owner == 0 {
                return self.try_take(me).then_some(Taken::Clean);
            }
            if !K::proved_dead(owner) {
                return None;
            }
            // It fails when somebody else has taken it over, or begun to wait.
            if self.take_over(owner, me) {
                return Some(Taken::OwnerDied);
            }
        }
    }

    #[cold]
    fn take_contended<K: Keeper>(&self, me: u64, deadline: Deadline) -> Option<Taken> {
        let mut mine = me;
        let mut spins = spins();
        let mut pauses = 1;
        loop {
            let owner = self.word.load(Relaxed);
            if owner == 0 {
                if self
                    .word
                    .compare_exchange(0, mine, Acquire, Relaxed)
                    .is_ok()
                {
                    return Some(Taken::Clean);
                }
            } else if K::known_dead(owner) {
                if self.take_over(owner, me) {
                    return Some(Taken::OwnerDied);
                }
            } else if spins > 0 && owner & WAITERS == 0 {
                // Ever more seldom: each look takes the cache line away from the owner, who works in it.
                spins = spins.saturating_sub(pauses);
                for _ in 0..pauses {
                    std::hint::spin_loop();
                }
                pauses = (2 * pauses).min(MOST_PAUSES);
            } else if self.say_waiting(owner) {
                let slice = K::slice(deadline);
                if slice.is_zero() {
                    let dead = K::proved_dead(owner) && self.take_over(owner | WAITERS, me);
                    return dead.then_some(Taken::OwnerDied);
                }
                K::sleep(&self.word, owner | WAITERS, slice);
                mine = me | WAITERS;
                let unchanged = self.word.load(Relaxed) == owner | WAITERS;
                if unchanged && K::proved_dead(owner) && self.take_over(owner | WAITERS, me) {
                    return Some(Taken::OwnerDied);
                }
            }
        }
    }

    /// From the dead value to ours in one step: of many who saw the death, one succeeds.
    fn take_over(&self, dead: u64, me: u64) -> bool {
        self.word
            .compare_exchange(dead, me | WAITERS, Acquire, Relaxed)
            .is_ok()
    }

    /// Sets the waiters bit; `false` when the owner has changed meanwhile.
    fn say_waiting(&self, owner: u64) -> bool {
        owner & WAITERS != 0
            || self
                .word
                .compare_exchange(owner, owner | WAITERS, Relaxed, Relaxed)
                .is_ok()
    }

    /// Lets go. The caller owns the lease.
    #[inline]
    pub(crate) fn give<K: Keeper>(&self) {
        if self.word.swap(0, Release) & WAITERS != 0 {
            K::wake(&self.word, 1);
        }
    }

    /// Lets go if `me` owns it.
    #[inline]
    pub(crate) fn give_own<K: Keeper>(&self, me: u64) {
        let swapped = self.word.compare_exchange(me, 0, Release, Relaxed);
        if let Err(owner) = swapped
            && owner & !WAITERS == me
        {
            self.give::<K>();
        }
    }

    /// Lets go if `me` owns it; says whether anybody could have done so.
    pub(crate) fn give_up<K: Keeper>(&self, me: u64) -> Option<bool> {
        let mut owner = self.word.load(Relaxed);
        while owner & !(WAITERS | LOOSE) == me {
            match self.word.compare_exchange(owner, 0, AcqRel, Relaxed) {
                Ok(_) => {
                    if owner & WAITERS != 0 {
                        K::wake(&self.word, 1);
                    }
                    return Some(owner & LOOSE != 0);
                }
                Err(now) => owner = now,
            }
        }
        None
    }

    /// The owner stays, but anybody may let go from now on. The caller owns the lease.
    pub(crate) fn loosen(&self) {
        self.word.fetch_or(LOOSE, Release);
    }

    /// Lets go of a loosened lease, whoever owns it; `false` when there is nothing of the kind.
    pub(crate) fn give_loose<K: Keeper>(&self) -> bool {
        let mut owner = self.word.load(Relaxed);
        while owner & LOOSE != 0 {
            // Acquired too: the owner's changes go to the next one by way of this thread.
            match self.word.compare_exchange(owner, 0, AcqRel, Relaxed) {
                Ok(_) if owner & WAITERS == 0 => return true,
                Ok(_) => {
                    K::wake(&self.word, 1);
                    return true;
                }
                Err(now) => owner = now,
            }
        }
        false
    }

    /// Who owns it; 0 for nobody.
    #[inline]
    pub(crate) fn owner(&self) -> u64 {
        self.word.load(SeqCst) & !(WAITERS | LOOSE)
    }

    /// Does somebody own it?
    pub(crate) fn is_taken(&self) -> bool {
        self.word.load(Relaxed) != 0
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn owner_word_keeps_its_parts() {
        let word = owner(0xabc, 0x0fed_cba9 & 0x0fff_ffff, 0x3f_fffe);
        assert_eq!(owner_slot(word), 0xabc);
        assert_eq!(owner_generation(word | LOOSE), 0x0fed_cba9);
        assert_eq!(owner_tid(word), 0x3f_fffe);
        assert_eq!(word & (WAITERS | LOOSE), 0);
        assert_eq!(member_of(word), member_of(owner(0xabc, 0x0fed_cba9, 1)));
    }
}
