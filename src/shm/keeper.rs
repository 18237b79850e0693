//! The two homes of a primitive: who can own it, who can be dead, and which futex call reaches its sleepers.
#![expect(unsafe_code, reason = "a futex is 32 bits wide")]
//!
//! # Safety
//! A pointer to half of an atomic is handed to the kernel and never accessed from here.

use super::lease::{Keeper, owner_generation, owner_slot, owner_tid};
use super::member::{self, Member};
use crate::sys::atomic::{AtomicU32, AtomicU64};
use crate::sys::clock::Deadline;
use crate::sys::futex::{self, Scope};
use std::time::Duration;

/// The longest sleep before the owner is probed. Whoever reaps a member wakes its waiters at once; this is the fallback.
pub(crate) const SLICE: Duration = Duration::from_millis(50);

/// The longest sleep where nobody can die alone: only so that there is one.
const LONG: Duration = Duration::from_secs(3600);

/// The home of primitives between processes: words in the arena.
#[derive(Clone, Copy, Debug)]
pub struct AcrossProcesses(());

/// The home of primitives between threads of one process.
#[derive(Clone, Copy, Debug)]
pub struct WithinProcess(());

/// The home of primitives between threads that are used as processes would be (`multiproc::dummy`).
#[derive(Clone, Copy, Debug)]
pub struct Threads(());

impl Keeper for AcrossProcesses {
    type Internal = Internal;

    fn slice(deadline: Deadline) -> Duration {
        deadline.slice(SLICE)
    }

    fn sleep(word: &AtomicU64, expected: u64, timeout: Duration) {
        super::wait::sleep(low_half(word), low(expected), timeout);
    }

    fn wake(word: &AtomicU64, count: u32) -> u32 {
        futex::wake(low_half(word), count, Scope::Shared)
    }

    fn known_dead(owner: u64) -> bool {
        member::known_dead(owner_slot(owner), owner_generation(owner))
    }

    fn proved_dead(owner: u64) -> bool {
        member::proved_dead(owner_slot(owner), owner_generation(owner))
    }

    fn look_for_the_dead(word: &AtomicU64) {
        super::settle::announce_dead_holders(low_half(word));
    }
}

/// The home of this crate's own leases in the arena. A thread does not end while it owns one, so a word that names a thread which
/// does not exist was written by somebody gone mad, and nobody has to be waited for.
#[derive(Clone, Copy, Debug)]
pub struct Internal(());

impl Keeper for Internal {
    type Internal = Self;

    fn slice(deadline: Deadline) -> Duration {
        AcrossProcesses::slice(deadline)
    }

    fn sleep(word: &AtomicU64, expected: u64, timeout: Duration) {
        AcrossProcesses::sleep(word, expected, timeout);
    }

    fn wake(word: &AtomicU64, count: u32) -> u32 {
        AcrossProcesses::wake(word, count)
    }

    fn known_dead(owner: u64) -> bool {
        AcrossProcesses::known_dead(owner)
    }

    fn proved_dead(owner: u64) -> bool {
        let me = member::me().is_ok_and(|me| me == owner & !1);
        let (slot, generation) = (owner_slot(owner), owner_generation(owner));
        me || member::proved_dead(slot, generation) || member::has_no_thread(slot, owner_tid(owner))
    }
}

/// Nobody dies alone where all are threads of one process.
macro_rules! keeps_threads {
    ($($home:ty),*) => { $(
        impl Keeper for $home {
            type Internal = Self;

            fn slice(deadline: Deadline) -> Duration {
                deadline.slice(LONG)
            }

            fn sleep(word: &AtomicU64, expected: u64, timeout: Duration) {
                if cfg!(miri) {
                    // Miri takes the kernel's look at half of a word for a race of the program's. There sleepers look again themselves.
                    return std::thread::yield_now();
                }
                futex::wait(low_half(word), low(expected), timeout, Scope::Private);
            }

            fn wake(word: &AtomicU64, count: u32) -> u32 {
                if cfg!(miri) {
                    return 0;
                }
                futex::wake(low_half(word), count, Scope::Private)
            }

            fn known_dead(_owner: u64) -> bool {
                false
            }

            fn proved_dead(_owner: u64) -> bool {
                false
            }
        }
    )* };
}

keeps_threads!(WithinProcess, Threads);

fn low(word: u64) -> u32 {
    (word & 0xffff_ffff) as u32
}

/// The low half of a 64-bit word, as the kernel's futexes see it.
pub(crate) fn low_half(word: &AtomicU64) -> &AtomicU32 {
    let halves: *const AtomicU32 = word.as_ptr().cast::<AtomicU32>().cast_const();
    let index = usize::from(cfg!(target_endian = "big"));
    // SAFETY: both halves lie inside the word, which is aligned for them.
    let half = unsafe { halves.add(index) };
    // SAFETY: the half lives as long as the borrowed word; it is only handed to the kernel and never accessed from here.
    unsafe { &*half }
}

/// Whose thread an owner is, and which one.
pub(crate) fn member_and_thread(owner: u64) -> (Member, u32) {
    let (slot, generation) = (owner_slot(owner), owner_generation(owner));
    (Member { slot, generation }, owner_tid(owner))
}
