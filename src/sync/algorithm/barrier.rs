//! A place where a number of parties wait for each other, round after round. All of it is one word.
//!
//! | bits | meaning |
//! |---|---|
//! | 0 | broken |
//! | 1 | the action runs: the round is complete, and nobody has been let go yet |
//! | 2..16 | rounds that have ended, one way or the other |
//! | 16..24 | how many of them were broken |
//! | 24..32 | how the last eight of them ended, the last one first: 1 is completed |
//! | 32..52 | how many have come |
//! | 52..64 | deaths of holders when the first one came |
//!
//! The numbers wrap. Who waits remembers them: when another number of rounds has ended, its own is among them, and how that one ended is
//! still known ([`State::outcome`]). All sleep on the low half, which does not change when somebody comes.

use crate::shm::Keeper;
use crate::shm::lease::spins;
use crate::sys::atomic::{AcqRel, Acquire, AtomicU32, AtomicU64, Relaxed, Release};
use crate::sys::clock::Deadline;

/// The most parties.
pub(crate) const MOST_PARTIES: u32 = (1 << 20) - 1;

/// The words of a barrier.
#[repr(C, align(64))]
#[derive(Debug, Default)]
pub struct BarrierWords {
    state: AtomicU64,
    parties: AtomicU32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct State {
    broken: bool,
    action: bool,
    rounds: u64,
    breaks: u64,
    history: u64,
    come: u32,
    deaths: u32,
}

const ROUNDS: u64 = (1 << 14) - 1;
const BREAKS: u64 = (1 << 8) - 1;
const HISTORY: u64 = (1 << 8) - 1;
const DEATHS: u32 = (1 << 12) - 1;

impl State {
    fn read(word: u64) -> Self {
        Self {
            broken: word & 1 != 0,
            action: word & 2 != 0,
            rounds: word >> 2 & ROUNDS,
            breaks: word >> 16 & BREAKS,
            history: word >> 24 & HISTORY,
            come: (word >> 32) as u32 & MOST_PARTIES,
            deaths: (word >> 52) as u32 & DEATHS,
        }
    }

    fn word(self) -> u64 {
        u64::from(self.broken)
            | u64::from(self.action) << 1
            | (self.rounds & ROUNDS) << 2
            | (self.breaks & BREAKS) << 16
            | (self.history & HISTORY) << 24
            | u64::from(self.come) << 32
            | u64::from(self.deaths) << 52
    }

    /// All are let go.
    fn completed(self) -> Self {
        Self {
            action: false,
            rounds: self.rounds + 1,
            history: self.history << 1 | 1,
            come: 0,
            ..self
        }
    }

    /// All who have come get to know that nothing comes of it.
    fn ended(self, broken: bool) -> Self {
        let ends = !self.broken && (broken || self.come > 0);
        Self {
            broken,
            action: false,
            rounds: self.rounds + u64::from(ends),
            breaks: self.breaks + u64::from(ends),
            history: self.history << u64::from(ends),
            come: 0,
            ..self
        }
    }

    /// How the round of one who came at `entered` has ended; `None` while it has not. Who wakes up after more than eight others, of which one
    /// was broken, is told that it was its own.
    fn outcome(self, entered: Self) -> Option<bool> {
        match self.rounds.wrapping_sub(entered.rounds) & ROUNDS {
            0 => None,
            _ if self.breaks == entered.breaks => Some(true),
            ended => Some(ended <= 8 && self.history >> (ended - 1) & 1 == 1),
        }
    }
}

/// One who has come to the barrier.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival {
    entered: State,
    /// How many came before.
    pub(crate) index: u32,
    /// Everybody is there: this one runs the action, and then lets them go.
    pub(crate) is_last: bool,
}

impl BarrierWords {
    /// Of a new one that nobody else knows.
    pub(crate) fn set(&self, parties: u32) {
        self.parties.store(parties, Release);
    }

    pub(crate) fn parties(&self) -> u32 {
        self.parties.load(Relaxed)
    }

    fn state(&self) -> State {
        State::read(self.state.load(Acquire))
    }

    /// Also when nobody has come since a death that breaks it.
    pub(crate) fn broken(&self, deaths: &AtomicU32) -> bool {
        let state = self.state();
        state.broken || state.come > 0 && died(state, deaths)
    }

    /// How many have come to the round that fills.
    pub(crate) fn waiting(&self, deaths: &AtomicU32) -> u32 {
        let state = self.state();
        if died(state, deaths) { 0 } else { state.come }
    }

    fn change(&self, from: State, to: State) -> bool {
        let swap = self
            .state
            .compare_exchange(from.word(), to.word(), AcqRel, Relaxed);
        swap.is_ok()
    }

    /// Comes to the barrier; `None` if it is broken, or does not get free in time.
    pub(crate) fn arrive<K: Keeper>(
        &self,
        deaths: &AtomicU32,
        deadline: Deadline,
    ) -> Option<Arrival> {
        loop {
            let state = self.state();
            if state.broken {
                return None;
            }
            if state.come > 0 && died(state, deaths) {
                self.end::<K>(Some(state), true);
                continue;
            }
            if state.action {
                // More threads than parties: this one is of the next round.
                let slice = K::slice(deadline);
                if slice.is_zero() {
                    self.end::<K>(Some(state), true);
                    continue;
                }
                K::sleep(&self.state, state.word(), slice);
                self.look_for_the_dead::<K>(state);
                continue;
            }
            let mut next = state;
            if state.come == 0 {
                next.deaths = deaths.load(Acquire) & DEATHS;
            }
            next.come += 1;
            let is_last = next.come >= self.parties();
            next.action = is_last;
            if self.change(state, next) {
                return Some(Arrival {
                    entered: next,
                    index: state.come,
                    is_last,
                });
            }
        }
    }

    /// As the last one, lets all go; `false` if the barrier was broken meanwhile.
    pub(crate) fn complete<K: Keeper>(&self, arrival: Arrival) -> bool {
        let completed = self.change(arrival.entered, arrival.entered.completed());
        if completed {
            K::wake(&self.state, u32::MAX);
        }
        completed
    }

    /// As the last one, whose action has failed.
    pub(crate) fn fail<K: Keeper>(&self, arrival: Arrival) {
        self.end::<K>(Some(arrival.entered), true);
    }

    /// Breaks the barrier if somebody waits there.
    pub(crate) fn abandon<K: Keeper>(&self) {
        let mut state = self.state();
        while state.come > 0 && !state.broken {
            self.end::<K>(Some(state), true);
            state = self.state();
        }
    }

    /// Waits until all have come; `false` if it was broken. At the deadline this one breaks it.
    pub(crate) fn wait<K: Keeper>(
        &self,
        arrival: Arrival,
        deaths: &AtomicU32,
        deadline: Deadline,
    ) -> bool {
        let mut spins = spins();
        loop {
            let state = self.state();
            if let Some(outcome) = state.outcome(arrival.entered) {
                return outcome;
            }
            if died(state, deaths) {
                self.end::<K>(Some(state), true);
                continue;
            }
            if spins > 0 {
                spins -= 1;
                std::hint::spin_loop();
                continue;
            }
            let slice = K::slice(deadline);
            if slice.is_zero() {
                self.end::<K>(Some(state), true);
                continue;
            }
            K::sleep(&self.state, state.word(), slice);
            self.look_for_the_dead::<K>(state);
        }
    }

    /// After a sleep in which nothing has changed.
    fn look_for_the_dead<K: Keeper>(&self, state: State) {
        if self.state() == state {
            K::look_for_the_dead(&self.state);
        }
    }

    /// Breaks the barrier, or makes it new.
    pub(crate) fn reset<K: Keeper>(&self, broken: bool) {
        self.end::<K>(None, broken);
    }

    /// Ends the round, only in this state if there is one.
    fn end<K: Keeper>(&self, only: Option<State>, broken: bool) {
        loop {
            let state = only.unwrap_or_else(|| self.state());
            if self.change(state, state.ended(broken)) {
                K::wake(&self.state, u32::MAX);
                return;
            }
            if only.is_some() {
                return;
            }
        }
    }
}

/// Has a process died that held the barrier, since the first one came?
fn died(state: State, deaths: &AtomicU32) -> bool {
    deaths.load(Acquire) & DEATHS != state.deaths
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    const NEW: State = State {
        broken: false,
        action: false,
        rounds: 0,
        breaks: 0,
        history: 0,
        come: 0,
        deaths: 0,
    };

    #[test]
    fn a_state_is_a_word() {
        let state = State {
            broken: true,
            action: true,
            rounds: 0x3abc,
            breaks: 0x9e,
            history: 0xf1,
            come: 0xf_1234,
            deaths: 0x567,
        };
        assert_eq!(State::read(state.word()), state);
        assert_eq!(NEW.word(), 0, "a new cell is a new barrier");
    }

    /// A state as it is after a look at its word: numbers have wrapped.
    fn kept(state: State) -> State {
        State::read(state.word())
    }

    fn come(state: State) -> State {
        State { come: 1, ..state }
    }

    #[test]
    fn late_sleepers_learn_how_their_round_ended() {
        let ends = [true, false, true, true, false, false, true, true];
        for first in [0, ROUNDS - 5] {
            let mut state = State {
                rounds: first,
                ..NEW
            };
            let mut entered = Vec::new();
            for completes in ends {
                let now = come(kept(state.ended(false)));
                assert_eq!(now.outcome(now), None);
                entered.push(now);
                state = kept(if completes {
                    now.completed()
                } else {
                    now.ended(true)
                });
            }
            for (&now, completed) in entered.iter().zip(ends) {
                assert_eq!(state.outcome(now), Some(completed));
            }
            // However many rounds are completed meanwhile, it was not broken when none was.
            let last = come(kept(state.ended(false)));
            for _ in 0..1000 {
                state = kept(come(state).completed());
            }
            assert_eq!(state.outcome(last), Some(true));
            assert_eq!(state.outcome(entered[0]), Some(false), "nobody knows");
        }
    }

    #[test]
    fn a_broken_barrier_ends_no_more_rounds() {
        let broken = come(NEW).ended(true);
        assert_eq!(broken.ended(true), broken);
        let again = broken.ended(false);
        assert_eq!((again.broken, again.rounds), (false, broken.rounds));
        assert_eq!(NEW.ended(false), NEW, "nobody had come");
    }
}
