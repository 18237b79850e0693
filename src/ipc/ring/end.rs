//! The ends of a ring: moving one, and sleeping until one moves. The waiters of one end sleep on the position of the other.

use super::position::{CLOSED, Position, SLEEPERS};
use crate::shm::keeper::{SLICE, low_half};
use crate::shm::layout::Shared;
use crate::shm::{Internal, Keeper, Lease, wait};
use crate::sys::atomic::{AtomicU64, Relaxed, SeqCst};
use crate::sys::clock::Deadline;
use crate::sys::thread;
use std::cell::Cell;
use std::time::{Duration, Instant};

/// Looks before a sleep, when there is more than one CPU: the fewest and the most. A wake-up costs as much as a thousand.
const SPINS: (u32, u32) = (200, 6400);

/// The longest time between two looks, in pauses of the processor.
const MOST_PAUSES: u32 = 64;

/// Pauses in which a side in full flow does more than one thing.
const SHORT_LOOK: u32 = 8;

/// A sleep that was shorter should have been a spin: the other side is at work at this moment.
const SHORT: Duration = Duration::from_micros(200);

thread_local! {
    /// How many pauses come before the first look of a wait.
    static FIRST_LOOK: Cell<u32> = const { Cell::new(1) };
    /// How long it pays this thread to look before it sleeps, as far as the last waits have told.
    static PATIENCE: Cell<u32> = const { Cell::new(400) };
}

/// Looks for a while, as long as it pays this thread, whether there is something: `look` says how much, if so.
///
/// Each look takes the cache line away from the other side, who works in it: so it looks ever more seldom. If there is something at the
/// first look, the other side is in full flow, and a look for every single message disturbs it: then the first look of the next wait
/// comes later, when there is more at once. If it is a single one all the same, or comes later, the other side answers one by one, and
/// is looked for at once.
fn look_often(look: impl Fn() -> Option<u64>) -> bool {
    if thread::cpus() == 1 {
        return false;
    }
    let first = FIRST_LOOK.get();
    let (mut left, mut pauses, mut is_first) = (PATIENCE.get(), first, true);
    while left > 0 {
        for _ in 0..pauses {
            std::hint::spin_loop();
        }
        if let Some(gain) = look() {
            let flows = is_first && (gain > 1 || first < SHORT_LOOK);
            let next = if flows { first * 2 } else { first / 2 };
            FIRST_LOOK.set(next.clamp(1, MOST_PAUSES));
            return true;
        }
        left = left.saturating_sub(pauses);
        pauses = if is_first {
            1
        } else {
            (2 * pauses).min(MOST_PAUSES)
        };
        is_first = false;
    }
    false
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
    /// What is half done (see [`super::pending`]).
    pub(super) pending: AtomicU64,
    /// The segment of this end: its block as unit + 1 in the high half, the logarithm of its words in the low half.
    pub(super) segment: AtomicU64,
    /// Of the tail: where its segment begins, as words of a position and the highest bit; 0 once the head is in the same segment.
    pub(super) start: AtomicU64,
    /// Of the head: how many items were put back when all of them had been taken again.
    pub(super) looked: AtomicU64,
    /// Bytes in blocks that have gone through this end. A kill may make it wrong by one message, until the queue is empty.
    pub(super) block_bytes: AtomicU64,
}

#[expect(unsafe_code, reason = "Shared is an unsafe trait")]
// SAFETY: atomics only.
unsafe impl Shared for End {}

/// Whether a sleeper must be woken, once the lease is given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wake {
    Nobody,
    Sleeper,
}

impl Wake {
    pub(super) fn or(self, other: Self) -> Self {
        if self == Self::Sleeper { self } else { other }
    }
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

/// Moves an end over what is no message: nobody is told, and who sleeps is told by the next.
pub(super) fn publish_quietly(end: &End, to: Position) {
    let _nobody = move_to(end, to, |word| Some(word & (CLOSED | SLEEPERS)));
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
#[inline]
pub(super) fn wake(end: &End, wake: Wake) {
    if wake == Wake::Sleeper {
        Internal::wake(&end.position, 1);
    }
}

/// Tells those who sleep until `position` moves of something else: all who are about to sleep look again, and one is woken.
pub(super) fn nudge(position: &AtomicU64) {
    if position.fetch_and(!SLEEPERS, SeqCst) & SLEEPERS != 0 {
        Internal::wake(position, 1);
    }
}

/// What ends a wait besides the move of a position.
pub(super) trait Waiting {
    /// Is there something else to do? Asked again after the waiter has said that it sleeps.
    fn enough(&self) -> bool;
    /// Looks for what no wake-up tells: before every sleep, which lasts 50 ms at most, and before it gives up.
    fn look_around(&self);
}

/// Waits until an end has moved from where it was seen, or the waiting has another end; `false` when the deadline came first.
pub(super) fn sleep_until_moved(
    position: &AtomicU64,
    seen: u64,
    waiting: &impl Waiting,
    deadline: Deadline,
) -> bool {
    let moved = |word: u64| Position::read(word) != Position::read(seen) || waiting.enough();
    if deadline.passed() {
        waiting.look_around();
        return moved(position.load(SeqCst));
    }
    let look = || {
        let word = position.load(SeqCst);
        let gain = Position::read(word).since(Position::read(seen)).1;
        moved(word).then_some(gain)
    };
    if look_often(look) {
        return true;
    }
    let asleep = Instant::now();
    loop {
        let word = position.load(SeqCst);
        if moved(word) {
            slept(asleep.elapsed());
            return true;
        }
        waiting.look_around();
        let slice = deadline.slice(SLICE);
        if slice.is_zero() {
            // A nudge may have come for us and taken the bit of those who sleep on.
            let word = position.fetch_or(SLEEPERS, SeqCst);
            return moved(word);
        }
        let said = position.compare_exchange(word, word | SLEEPERS, SeqCst, Relaxed);
        if (word & SLEEPERS != 0 || said.is_ok()) && !waiting.enough() {
            let expected = ((word | SLEEPERS) & 0xffff_ffff) as u32;
            wait::sleep(low_half(position), expected, slice);
        }
    }
}

/// Who has slept cannot know whether others still do: their bit went with its wake-up. So it is set again for the next move, and
/// if there is something to do for them already, one is woken.
pub(super) fn pass_on(position: &AtomicU64, more: impl FnOnce() -> bool) {
    position.fetch_or(SLEEPERS, SeqCst);
    if more() {
        Internal::wake(position, 1);
    }
}
