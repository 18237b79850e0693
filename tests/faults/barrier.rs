//! `Barrier`: who dies while a round is filling breaks it; a reset makes it whole, and nobody waits for the dead.

use crate::row::{Keep, Row, Scene, row};
use crate::survivor::{Waiter, started, warm};
use crate::tracee::section;
use multiproc::{Barrier, ErrorKind, Lock, Process};
use std::time::Duration;

pub(crate) fn rows() -> Vec<Row> {
    vec![
        row::<WaitFirst>("barrier::wait_first", "sleeps until the other one comes"),
        row::<WaitLast>("barrier::wait_last", "the other one waits"),
        row::<WaitLastAction>("barrier::wait_last_with_action", "runs the action first"),
        row::<TimesOut>("barrier::times_out", "nobody comes: it is broken").long(),
        row::<Abort>("barrier::abort", "somebody waits"),
        row::<Reset>("barrier::reset", "somebody waits"),
        row::<ResetBroken>("barrier::reset_broken", "it was broken"),
    ]
}

/// What a thread of the survivor heard: its index, or that the barrier is broken.
type Heard = Option<usize>;

fn heard(result: multiproc::Result<usize>) -> Heard {
    match result {
        Ok(index) => Some(index),
        Err(error) if error.kind() == ErrorKind::BrokenBarrier => None,
        Err(error) => panic!("the wait failed: {error}"),
    }
}

/// A thread that waits for one more.
fn waiter(barrier: &Barrier) -> Waiter<Heard> {
    let barrier = barrier.clone();
    Waiter::asleep_in(move || heard(barrier.wait()))
}

/// After a reset if it was broken, two pass, twice.
fn works(barrier: &Barrier) {
    if barrier.broken() {
        assert_eq!(heard(barrier.wait()), None);
        barrier.reset().unwrap();
    }
    assert!(!barrier.broken());
    for _ in 0..2 {
        assert_eq!(barrier.n_waiting(), 0);
        let first = waiter(barrier);
        let second = barrier.wait().unwrap();
        let first = first.result().expect("the round is complete");
        assert_eq!(first + second, 1, "indices 0 and 1");
    }
    assert_eq!(barrier.n_waiting(), 0);
}

/// In the child: the section is one `wait`.
fn waits_in_section(barrier: Barrier, taken: Lock) {
    warm(&taken);
    section(|| barrier.wait().unwrap());
}

/// The child sleeps; a thread of the survivor completes the round.
struct WaitFirst {
    barrier: Barrier,
    second: Option<Waiter<Heard>>,
    waited: u32,
}

impl Scene for WaitFirst {
    const SLEEPS: bool = true;

    fn prepare() -> Self {
        Self {
            barrier: Barrier::new(2).unwrap(),
            second: None,
            waited: 0,
        }
    }

    fn start(&self, keep: &Keep) -> Process {
        started(waits_in_section, &self.barrier, keep)
    }

    fn asleep(&mut self) {
        if self.second.is_none() {
            let barrier = self.barrier.clone();
            let second = Waiter::asleep_in(move || heard(barrier.wait()));
            self.second = Some(second);
        }
    }

    fn last_look(&mut self) {
        self.waited = self.barrier.n_waiting();
    }

    fn check(self, left: bool) {
        match self.second {
            Some(second) => {
                let heard = second.result();
                assert!(heard.is_some(), "the round was complete before the death");
                assert!(!self.barrier.broken());
            }
            None => {
                assert!(!left);
                // It was in the round, or there was none.
                assert_eq!(self.barrier.broken(), self.waited == 1);
            }
        }
        works(&self.barrier);
    }
}

/// The survivor's thread waits; the round is complete or broken by the child.
struct Last {
    barrier: Barrier,
    first: Option<Waiter<Heard>>,
    waited: u32,
}

impl Last {
    fn new(barrier: Barrier) -> Self {
        Self {
            first: Some(waiter(&barrier)),
            barrier,
            waited: 1,
        }
    }

    fn look(&mut self) {
        self.waited = self.barrier.n_waiting();
    }

    fn check(self, left: bool) {
        let heard = self.first.unwrap().result();
        assert!(!left || heard.is_some(), "the round was complete");
        assert_eq!(self.barrier.broken(), heard.is_none());
        works(&self.barrier);
    }
}

struct WaitLast(Last);

impl Scene for WaitLast {
    fn prepare() -> Self {
        Self(Last::new(Barrier::new(2).unwrap()))
    }

    fn start(&self, keep: &Keep) -> Process {
        started(waits_in_section, &self.0.barrier, keep)
    }

    fn last_look(&mut self) {
        self.0.look();
    }

    fn check(self, left: bool) {
        self.0.check(left);
    }
}

struct WaitLastAction(Last);

impl Scene for WaitLastAction {
    fn prepare() -> Self {
        let barrier = Barrier::builder(2).action(|| ()).build();
        Self(Last::new(barrier.unwrap()))
    }

    fn start(&self, keep: &Keep) -> Process {
        started(waits_in_section, &self.0.barrier, keep)
    }

    fn last_look(&mut self) {
        self.0.look();
    }

    fn check(self, left: bool) {
        self.0.check(left);
    }
}

struct TimesOut {
    barrier: Barrier,
    waited: u32,
}

impl Scene for TimesOut {
    fn prepare() -> Self {
        Self {
            barrier: Barrier::new(2).unwrap(),
            waited: 0,
        }
    }

    fn start(&self, keep: &Keep) -> Process {
        let child = |barrier: Barrier, taken: Lock| {
            warm(&taken);
            let broken = section(|| barrier.wait_timeout(Duration::from_millis(80)).is_err());
            assert!(broken);
        };
        started(child, &self.barrier, keep)
    }

    fn last_look(&mut self) {
        self.waited = self.barrier.n_waiting();
    }

    fn check(self, left: bool) {
        assert!(!left && self.waited == 0 || self.barrier.broken());
        works(&self.barrier);
    }
}

/// Whichever comes first, the abort or the death while a round is filling: who waits hears of it.
struct Abort {
    barrier: Barrier,
    first: Waiter<Heard>,
}

impl Scene for Abort {
    fn prepare() -> Self {
        let barrier = Barrier::new(2).unwrap();
        Self {
            first: waiter(&barrier),
            barrier,
        }
    }

    fn start(&self, keep: &Keep) -> Process {
        let child = |barrier: Barrier, taken: Lock| {
            warm(&taken);
            section(|| barrier.abort().unwrap());
        };
        started(child, &self.barrier, keep)
    }

    fn check(self, _left: bool) {
        assert_eq!(self.first.result(), None);
        assert!(self.barrier.broken());
        works(&self.barrier);
    }
}

struct Reset {
    barrier: Barrier,
    first: Waiter<Heard>,
}

impl Scene for Reset {
    fn prepare() -> Self {
        let barrier = Barrier::new(2).unwrap();
        Self {
            first: waiter(&barrier),
            barrier,
        }
    }

    fn start(&self, keep: &Keep) -> Process {
        let child = |barrier: Barrier, taken: Lock| {
            warm(&taken);
            section(|| barrier.reset().unwrap());
        };
        started(child, &self.barrier, keep)
    }

    fn check(self, _left: bool) {
        assert_eq!(self.first.result(), None);
        works(&self.barrier);
    }
}

struct ResetBroken(Barrier);

impl Scene for ResetBroken {
    fn prepare() -> Self {
        let barrier = Barrier::new(2).unwrap();
        barrier.abort().unwrap();
        Self(barrier)
    }

    fn start(&self, keep: &Keep) -> Process {
        let child = |barrier: Barrier, taken: Lock| {
            warm(&taken);
            section(|| barrier.reset().unwrap());
        };
        started(child, &self.0, keep)
    }

    fn check(self, left: bool) {
        assert!(!left || !self.0.broken());
        works(&self.0);
    }
}
