//! Who waits for a condition: a place for each, three words: who it is, when it came, and who it was notified among.
//!
//! A place is 0 when free. Who waits writes its number there and sleeps on it; to notify is to set [`NOTIFIED`] in the places of those
//! who came first. The mark stays until the notified one has its lock back: if it dies before, one of those who waited at the time of
//! the notification takes the place over, and the mark with it. Places are taken and marked by whoever holds the lock of the
//! condition, so these two never race; leaving and taking over do, and are one compare-and-swap each.

use super::cells::Cells;
use crate::shm::Keeper;
use crate::shm::lease::spins;
use crate::sys::atomic::{AcqRel, Acquire, AtomicU64, Relaxed, Release};
use crate::sys::clock::Deadline;

/// In a place: its owner is to wake up.
const NOTIFIED: u64 = 1;

/// In a place: its owner sleeps, or is about to.
const SLEEPS: u64 = 1 << 63;

/// Who a place belongs to.
fn owner(who: u64) -> u64 {
    who & !(NOTIFIED | SLEEPS)
}

/// Words of a place.
const WORDS: usize = 3;

/// Words of the places that lie with the others; few for loom, which tries every look at each.
const INLINE: usize = if cfg!(loom) { 6 } else { 21 };

/// The words of a condition.
#[repr(C, align(64))]
#[derive(Debug, Default)]
pub struct ConditionWords {
    /// How many have come. Written under the lock of the condition.
    turn: AtomicU64,
    /// Places from here on were never taken. Written under the lock of the condition.
    high: AtomicU64,
    places: [AtomicU64; INLINE],
}

/// One who waits.
#[derive(Clone, Copy, Debug)]
struct Place<'a> {
    who: &'a AtomicU64,
    /// Its turn.
    turn: &'a AtomicU64,
    /// Once it is notified, the turn of the next one to come. A word of its own: killed between this and the mark, whoever
    /// notifies leaves one who waits as it was.
    before: &'a AtomicU64,
}

impl Place<'_> {
    fn waits<K: Keeper>(self) -> bool {
        let who = self.who.load(Acquire);
        who != 0 && who & NOTIFIED == 0 && !K::known_dead(owner(who))
    }

    /// Marks it, unless it has left; `before` is the turn of the first who was not there.
    fn notify<K: Keeper>(self, before: u64) -> bool {
        let mut who = self.who.load(Acquire);
        self.before.store(before, Relaxed);
        while who != 0 && who & NOTIFIED == 0 {
            let marked = who | NOTIFIED;
            match self.who.compare_exchange(who, marked, AcqRel, Acquire) {
                Ok(_) if who & SLEEPS == 0 => return true,
                Ok(_) => {
                    K::wake(self.who, 1);
                    return true;
                }
                Err(now) => who = now,
            }
        }
        false
    }

    /// Leaves it, unless it is notified.
    fn leave(self) -> bool {
        let mut who = self.who.load(Acquire);
        while who & NOTIFIED == 0 {
            match self.who.compare_exchange(who, 0, AcqRel, Acquire) {
                Ok(_) => return true,
                Err(now) => who = now,
            }
        }
        false
    }
}

/// What one has who was notified.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Notified {
    place: usize,
    /// The place of a dead one, whose mark came too.
    other: Option<usize>,
}

impl Notified {
    fn at(place: usize) -> Self {
        Self { place, other: None }
    }
}

impl ConditionWords {
    fn place<'a>(&'a self, more: &'a [AtomicU64], index: usize) -> Option<Place<'a>> {
        let cells = Cells::new(&self.places, more);
        let first = index.checked_mul(WORDS)?;
        let who = cells.get(first)?;
        let turn = cells.get(first + 1)?;
        let before = cells.get(first + 2)?;
        Some(Place { who, turn, before })
    }

    fn places<'a>(&'a self, more: &'a [AtomicU64]) -> impl Iterator<Item = (usize, Place<'a>)> {
        let count = Cells::new(&self.places, more).len() / WORDS;
        let high = usize::try_from(self.high.load(Acquire)).unwrap_or(count);
        (0..high.min(count)).filter_map(move |index| Some((index, self.place(more, index)?)))
    }

    /// Takes a place, under the lock; `None` when all are taken.
    pub(crate) fn enter<K: Keeper>(&self, more: &[AtomicU64], me: u64) -> Option<usize> {
        let turn = self.turn.load(Relaxed);
        let takes = |place: Place<'_>| {
            let who = place.who.load(Acquire);
            let free = who == 0 || K::known_dead(owner(who)) && !self.wanted::<K>(more, place);
            if free {
                // Before it is ours: from then on it may be notified.
                place.turn.store(turn, Relaxed);
            }
            // It fails when another waiter has just inherited the place of a dead one.
            free && place.who.compare_exchange(who, me, AcqRel, Relaxed).is_ok()
        };
        let index = self
            .places(more)
            .find_map(|(index, place)| takes(place).then_some(index));
        let index = match index {
            Some(index) => index,
            None => self
                .raise(more)
                .filter(|&index| self.place(more, index).is_some_and(takes))?,
        };
        self.turn.store(turn.wrapping_add(1), Relaxed);
        Some(index)
    }

    /// A place that was never taken.
    fn raise(&self, more: &[AtomicU64]) -> Option<usize> {
        let high = self.high.load(Relaxed);
        let index = usize::try_from(high).ok()?;
        self.place(more, index)?;
        self.high.store(high + 1, Release);
        Some(index)
    }

    /// Is there a mark in the place of a dead one that somebody else should have?
    fn wanted<K: Keeper>(&self, more: &[AtomicU64], dead: Place<'_>) -> bool {
        let before = dead.before.load(Relaxed);
        let marked = dead.who.load(Relaxed) & NOTIFIED != 0;
        let mut others = self.places(more);
        marked && others.any(|(_, other)| other.turn.load(Relaxed) < before && other.waits::<K>())
    }

    /// Sleeps in a place until notified: the answer is what to [`leave`](Self::leave) once the lock is had again. `None` when the
    /// deadline has come first; then the place is free.
    pub(crate) fn wait<'a, K: Keeper>(
        &'a self,
        more: impl Fn() -> &'a [AtomicU64],
        index: usize,
        me: u64,
        deadline: Deadline,
    ) -> Option<Notified> {
        let place = self.place(more(), index)?;
        let mut spins = spins();
        loop {
            let who = place.who.load(Acquire);
            // A place that is not ours any more was overwritten by somebody gone mad.
            if who & NOTIFIED != 0 || owner(who) != me {
                return Some(Notified::at(index));
            }
            if spins > 0 {
                spins -= 1;
                std::hint::spin_loop();
                continue;
            }
            let slice = K::slice(deadline);
            if slice.is_zero() {
                return (!place.leave()).then_some(Notified::at(index));
            }
            let sleeps = place
                .who
                .compare_exchange(who, who | SLEEPS, AcqRel, Relaxed);
            if sleeps.is_err() {
                continue;
            }
            K::sleep(place.who, who, slice);
            if place.who.load(Acquire) & NOTIFIED == 0
                && let Some(notified) = self.inherit::<K>(more(), index, me)
            {
                return Some(notified);
            }
        }
    }

    /// Takes over the place of one that died notified: its mark is ours.
    fn inherit<K: Keeper>(&self, more: &[AtomicU64], index: usize, me: u64) -> Option<Notified> {
        let own = self.place(more, index)?;
        let came = own.turn.load(Relaxed);
        let (dead, place, who) = self.places(more).find_map(|(dead, place)| {
            let who = place.who.load(Acquire);
            let before = place.before.load(Relaxed);
            let marked = who & NOTIFIED != 0 && came < before;
            (marked && K::proved_dead(owner(who))).then_some((dead, place, who))
        })?;
        let ours = place
            .who
            .compare_exchange(who, me | NOTIFIED, AcqRel, Relaxed);
        match (ours.is_ok(), ours.is_ok() && own.leave()) {
            (false, _) => None,
            (true, true) => Some(Notified::at(dead)),
            // Notified as well: that mark is for somebody else, who gets it once we have the lock, or inherits it from us.
            (true, false) => Some(Notified {
                place: index,
                other: Some(dead),
            }),
        }
    }

    /// Gives the place of a notified one back, under the lock, and hands on the mark that it has too many.
    pub(crate) fn leave<K: Keeper>(&self, more: &[AtomicU64], notified: Notified) {
        if let Some(other) = notified.other.and_then(|other| self.place(more, other)) {
            // Set before ours is gone: rather one too many than none.
            self.mark::<K>(more, 1, other.before.load(Relaxed));
            other.who.store(0, Release);
        }
        self.free(more, notified.place);
    }

    /// Gives a place back in which nobody was notified.
    pub(crate) fn free(&self, more: &[AtomicU64], index: usize) {
        if let Some(place) = self.place(more, index) {
            place.who.store(0, Release);
        }
    }

    /// Wakes the first `count` of those who wait, under the lock; says how many they were.
    pub(crate) fn notify<K: Keeper>(&self, more: &[AtomicU64], count: usize) -> usize {
        self.mark::<K>(more, count, self.turn.load(Relaxed))
    }

    /// Marks the first `count` of those who came before the turn `before`, under the lock.
    fn mark<K: Keeper>(&self, more: &[AtomicU64], count: usize, before: u64) -> usize {
        let mut waiting: Vec<(u64, Place<'_>)> = Vec::new();
        for (_, place) in self.places(more) {
            let turn = place.turn.load(Relaxed);
            if turn < before && place.waits::<K>() {
                waiting.push((turn, place));
            }
        }
        waiting.sort_unstable_by_key(|&(turn, _)| turn);
        let marks = waiting
            .into_iter()
            .filter(|(_, place)| place.notify::<K>(before));
        marks.take(count).count()
    }

    /// How many wait.
    pub(crate) fn waiting<K: Keeper>(&self, more: &[AtomicU64]) -> usize {
        self.places(more)
            .filter(|(_, place)| place.waits::<K>())
            .count()
    }
}
