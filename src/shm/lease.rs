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
//! | 44..64 | generation, high 20 bits |
//!
//! Sleepers wait on the low half. A woken one takes the word with the bit set, because it cannot know whether others sleep.

use super::layout::Shared;
use super::member;
use crate::sys::atomic::{Acquire, AtomicU32, AtomicU64, Relaxed, Release};
use crate::sys::clock::Deadline;
use crate::sys::futex::{self, Scope};
use crate::sys::thread;
use std::time::Duration;

/// Somebody sleeps on the word.
const WAITERS: u64 = 1;

/// Looks before the first sleep, when there is more than one CPU.
const SPINS: u32 = 100;

/// The longest sleep before the owner is probed. Whoever reaps a member wakes its waiters at once; this is the fallback.
pub(crate) const SLICE: Duration = Duration::from_millis(50);

/// How a lease was come by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// It was free.
    Clean,
    /// Its owner is dead and may have left anything half done.
    OwnerDied,
}

/// Who can own a lease: the difference between its two homes.
pub(crate) trait Keeper {
    /// Sleeps on the word; returns for any reason, after `timeout` at the latest.
    fn sleep(word: &AtomicU32, expected: u32, timeout: Duration);
    /// Wakes one sleeper.
    fn wake(word: &AtomicU32);
    /// Is it known without asking the kernel that this owner is dead?
    fn known_dead(owner: u64) -> bool;
    /// Is it proved that this owner is dead?
    fn proved_dead(owner: u64) -> bool;
}

/// The home of primitives between processes: words in the arena.
#[derive(Clone, Copy, Debug)]
pub struct AcrossProcesses(());

/// The home of primitives between threads of one process.
#[derive(Clone, Copy, Debug)]
pub struct WithinProcess(());

impl Keeper for AcrossProcesses {
    fn sleep(word: &AtomicU32, expected: u32, timeout: Duration) {
        super::wait::sleep(word, expected, timeout);
    }

    fn wake(word: &AtomicU32) {
        futex::wake(word, 1, Scope::Shared);
    }

    fn known_dead(owner: u64) -> bool {
        member::known_dead(owner_slot(owner), owner_generation(owner))
    }

    fn proved_dead(owner: u64) -> bool {
        member::proved_dead(owner_slot(owner), owner_generation(owner))
    }
}

/// The home of this crate's own leases in the arena. A thread does not end while it owns one, so a word that names a thread which
/// does not exist was written by somebody gone mad, and nobody has to be waited for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Internal(());

impl Keeper for Internal {
    fn sleep(word: &AtomicU32, expected: u32, timeout: Duration) {
        AcrossProcesses::sleep(word, expected, timeout);
    }

    fn wake(word: &AtomicU32) {
        AcrossProcesses::wake(word);
    }

    fn known_dead(owner: u64) -> bool {
        AcrossProcesses::known_dead(owner)
    }

    fn proved_dead(owner: u64) -> bool {
        let me = member::me().is_ok_and(|me| me == owner & !WAITERS);
        let (slot, generation) = (owner_slot(owner), owner_generation(owner));
        me || member::proved_dead(slot, generation) || member::has_no_thread(slot, owner_tid(owner))
    }
}

impl Keeper for WithinProcess {
    fn sleep(word: &AtomicU32, expected: u32, timeout: Duration) {
        futex::wait(word, expected, timeout, Scope::Private);
    }

    fn wake(word: &AtomicU32) {
        futex::wake(word, 1, Scope::Private);
    }

    fn known_dead(_owner: u64) -> bool {
        false
    }

    fn proved_dead(_owner: u64) -> bool {
        false
    }
}

/// The number of a thread of the member in `slot`.
pub(super) fn owner(slot: u32, generation: u32, tid: u32) -> u64 {
    let (slot, generation, tid) = (u64::from(slot), u64::from(generation), u64::from(tid));
    (generation >> 9) << 44
        | (slot & 0xfff) << 32
        | (generation & 0x1ff) << 23
        | (tid & 0x3f_ffff) << 1
}

fn owner_slot(owner: u64) -> u32 {
    (owner >> 32) as u32 & 0xfff
}

fn owner_tid(owner: u64) -> u32 {
    (owner >> 1 & 0x3f_ffff) as u32
}

fn owner_generation(owner: u64) -> u32 {
    let (high, low) = (owner >> 44, owner >> 23 & 0x1ff);
    u32::try_from(high << 9 | low).unwrap_or(u32::MAX)
}

/// A lock word. In the arena, or in a process's own memory.
#[repr(transparent)]
#[derive(Debug, Default)]
pub(crate) struct Lease {
    word: AtomicU64,
}
#[expect(unsafe_code, reason = "Shared is an unsafe trait")]
// SAFETY: an atomic.
unsafe impl Shared for Lease {}

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
        let owner = self.word.load(Relaxed);
        if owner == 0 {
            return self.try_take(me).then_some(Taken::Clean);
        }
        (K::proved_dead(owner) && self.take_over(owner, me)).then_some(Taken::OwnerDied)
    }

    #[cold]
    fn take_contended<K: Keeper>(&self, me: u64, deadline: Deadline) -> Option<Taken> {
        let mut mine = me;
        let mut spins = if thread::cpus() > 1 { SPINS } else { 0 };
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
                spins -= 1;
                std::hint::spin_loop();
            } else if self.say_waiting(owner) {
                let slice = deadline.slice(SLICE);
                if slice.is_zero() {
                    return None;
                }
                K::sleep(self.low_half(), low(owner | WAITERS), slice);
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
            K::wake(self.low_half());
        }
    }

    /// Does somebody own it?
    pub(crate) fn is_taken(&self) -> bool {
        self.word.load(Relaxed) != 0
    }

    /// The word as the kernel's futexes see it.
    fn low_half(&self) -> &AtomicU32 {
        low_half(&self.word)
    }
}

fn low(word: u64) -> u32 {
    (word & 0xffff_ffff) as u32
}

/// The low half of a 64-bit word, to sleep on.
#[expect(unsafe_code, reason = "a futex is 32 bits wide")]
pub(crate) fn low_half(word: &AtomicU64) -> &AtomicU32 {
    let halves: *const AtomicU32 = word.as_ptr().cast::<AtomicU32>().cast_const();
    let index = usize::from(cfg!(target_endian = "big"));
    // SAFETY: both halves lie inside the word, which is aligned for them.
    let half = unsafe { halves.add(index) };
    // SAFETY: the half lives as long as the borrowed word; it is only handed to the kernel and never accessed from here.
    unsafe { &*half }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owner_word_keeps_its_parts() {
        let word = owner(0xabc, 0x0fed_cba9 & 0x0fff_ffff, 0x3f_fffe);
        assert_eq!(owner_slot(word), 0xabc);
        assert_eq!(owner_generation(word), 0x0fed_cba9);
        assert_eq!(owner_tid(word), 0x3f_fffe);
        assert_eq!(word & WAITERS, 0);
    }
}
