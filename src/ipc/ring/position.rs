//! Positions: how far the ends of a ring have come, and sleeping until one moves.
//!
//! A position is one word:
//!
//! | bits | meaning |
//! |---|---|
//! | 0 | [`SLEEPERS`]: somebody waits for this position to move |
//! | 1 | [`CLOSED`] |
//! | 2..35 | words since the beginning, modulo 2^33 |
//! | 35..64 | records since the beginning, modulo 2^29 |
//!
//! so that the number of records is exact at any instant. The waiters of one end sleep on the position of the other.

use crate::shm::keeper::{SLICE, low_half};
use crate::shm::layout::Shared;
use crate::shm::{Internal, Keeper, Lease, wait};
use crate::sys::atomic::{AcqRel, Acquire, AtomicU64, Relaxed, SeqCst};
use crate::sys::clock::Deadline;
use crate::sys::thread;
use std::cell::Cell;
use std::time::{Duration, Instant};

/// See the table above.
pub(super) const SLEEPERS: u64 = 1;
/// See the table above.
pub(super) const CLOSED: u64 = 2;
pub(super) const WORDS: u64 = (1 << 33) - 1;
pub(super) const ITEMS: u64 = (1 << 29) - 1;

/// Looks before a sleep, when there is more than one CPU: the fewest and the most. A wake-up costs as much as a thousand.
const SPINS: (u32, u32) = (200, 6400);

/// A sleep that was shorter should have been a spin: the other side is at work at this moment.
const SHORT: Duration = Duration::from_micros(200);

thread_local! {
    /// How long it pays this thread to look before it sleeps, as far as the last waits have told.
    static PATIENCE: Cell<u32> = const { Cell::new(400) };
}

/// Learns from a sleep.
fn slept(time: Duration) {
    let spins = PATIENCE.get();
    let better = if time < SHORT { spins * 2 } else { spins / 2 };
    PATIENCE.set(better.clamp(SPINS.0, SPINS.1));
}

/// One end of the ring. The fields but `position` are read and written by the owner of the lease.
#[repr(C, align(64))]
#[derive(Debug)]
pub(super) struct End {
    pub(super) lease: Lease,
    /// How far this end has come. Written by the owner of the lease; its flags by anybody.
    pub(super) position: AtomicU64,
    /// Where the other end was when last looked at.
    pub(super) seen: AtomicU64,
    /// A block about to change its owner, as unit + 1, and the low half of the position before.
    pub(super) pending: AtomicU64,
}

#[expect(unsafe_code, reason = "Shared is an unsafe trait")]
// SAFETY: atomics only.
unsafe impl Shared for End {}

/// A position without its flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Position {
    pub(super) words: u64,
    pub(super) items: u64,
}

impl Position {
    pub(super) fn read(word: u64) -> Self {
        Self {
            words: word >> 2 & WORDS,
            items: word >> 35 & ITEMS,
        }
    }

    pub(super) fn word(self) -> u64 {
        self.items << 35 | self.words << 2
    }

    pub(super) fn plus(self, words: u64, items: u64) -> Self {
        Self {
            words: (self.words + words) & WORDS,
            items: (self.items + items) & ITEMS,
        }
    }

    /// Words and records between an earlier position and this one.
    pub(super) fn since(self, earlier: Self) -> (u64, u64) {
        (
            self.words.wrapping_sub(earlier.words) & WORDS,
            self.items.wrapping_sub(earlier.items) & ITEMS,
        )
    }
}

/// Whether a sleeper must be woken, once the lease is given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wake {
    Nobody,
    Sleeper,
}

/// Moves an end to `to`: from here on the others see it. The caller holds the end's lease.
#[inline]
pub(super) fn publish(end: &End, to: Position) -> Wake {
    let moved = move_to(end, to, |word| Some(word & CLOSED));
    moved.unwrap_or(Wake::Nobody)
}

/// The same for who puts: `None` when the queue was closed meanwhile, because whoever saw it closed and empty has left.
#[inline]
pub(super) fn publish_unless_closed(end: &End, to: Position) -> Option<Wake> {
    move_to(end, to, |word| (word & CLOSED == 0).then_some(0))
}

#[inline]
fn move_to(end: &End, to: Position, flags: impl Fn(u64) -> Option<u64>) -> Option<Wake> {
    let mut word = end.position.load(Relaxed);
    loop {
        // Sleepers are told, and their bit goes; the closed bit stays.
        let next = to.word() | flags(word)?;
        match end
            .position
            .compare_exchange_weak(word, next, SeqCst, Relaxed)
        {
            Ok(_) if word & SLEEPERS != 0 => return Some(Wake::Sleeper),
            Ok(_) => return Some(Wake::Nobody),
            Err(now) => word = now,
        }
    }
}

/// Wakes one of those who wait for an end to move.
pub(super) fn wake(end: &End, wake: Wake) {
    if wake == Wake::Sleeper {
        Internal::wake(&end.position, 1);
    }
}

/// Waits until an end has moved from where it was seen, or it or our `own` end was closed (whoever closes both may be killed
/// between the two); `false` when the deadline came first.
pub(super) fn sleep_until_moved(end: &End, own: &End, seen: u64, deadline: Deadline) -> bool {
    let moved = |word: u64| {
        let closed = (word | own.position.load(Acquire)) & CLOSED != 0;
        closed || Position::read(word) != Position::read(seen)
    };
    if deadline.passed() {
        return moved(end.position.load(Acquire));
    }
    let spins = if thread::cpus() > 1 {
        PATIENCE.get()
    } else {
        0
    };
    for _ in 0..spins {
        if moved(end.position.load(Acquire)) {
            return true;
        }
        std::hint::spin_loop();
    }
    let asleep = Instant::now();
    loop {
        let word = end.position.load(Acquire);
        if moved(word) {
            slept(asleep.elapsed());
            return true;
        }
        let slice = deadline.slice(SLICE);
        if slice.is_zero() {
            return false;
        }
        let said = end
            .position
            .compare_exchange(word, word | SLEEPERS, AcqRel, Relaxed);
        if word & SLEEPERS != 0 || said.is_ok() {
            let expected = ((word | SLEEPERS) & 0xffff_ffff) as u32;
            wait::sleep(low_half(&end.position), expected, slice);
        }
    }
}

/// Who has slept cannot know whether others still do: their bit went with its wake-up. So it is set again for the next move, and
/// if there is something to do for them already, one is woken.
pub(super) fn pass_on(end: &End, more: bool) {
    end.position.fetch_or(SLEEPERS, AcqRel);
    if more {
        Internal::wake(&end.position, 1);
    }
}
