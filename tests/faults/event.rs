//! `Event`: set or not, never in between; who waits hears of what was set, though the one who set it is dead.

use crate::row::{Keep, Row, Scene, row};
use crate::survivor::{PATIENCE, Waiter, started, warm};
use crate::tracee::section;
use multiproc::{Event, Lock, Process};
use std::time::Duration;

pub(crate) fn rows() -> Vec<Row> {
    vec![
        row::<Set>("event::set", "nobody waits"),
        row::<SetWithSleepers>("event::set_with_sleepers", "two wait"),
        row::<SetAndClear>("event::set_and_clear", "cleared at once, while two wait"),
        row::<Clear>("event::clear", "it was set"),
        row::<WaitSet>("event::wait_set", "it is set"),
        row::<Wait>("event::wait", "sleeps, and is woken by the set"),
        row::<TimesOut>("event::times_out", "sleeps, gives up"),
    ]
}

/// It can be set, waited for and cleared.
fn works(event: &Event) {
    event.set().unwrap();
    assert!(event.is_set());
    assert!(event.wait_timeout(PATIENCE).unwrap());
    event.clear().unwrap();
    assert!(!event.is_set());
    assert!(!event.wait_timeout(Duration::ZERO).unwrap());
}

fn waiter(event: &Event) -> Waiter<()> {
    let event = event.clone();
    Waiter::asleep_in(move || event.wait().unwrap())
}

fn two_waiters(event: &Event) -> Vec<Waiter<()>> {
    vec![waiter(event), waiter(event)]
}

struct Set {
    event: Event,
    set: bool,
}

impl Scene for Set {
    fn prepare() -> Self {
        Self {
            event: Event::new().unwrap(),
            set: false,
        }
    }

    fn start(&self, keep: &Keep) -> Process {
        let child = |event: Event, taken: Lock| {
            warm(&taken);
            section(|| event.set().unwrap());
        };
        started(child, &self.event, keep)
    }

    fn last_look(&mut self) {
        self.set = self.event.is_set();
    }

    fn check(self, left: bool) {
        assert!(!left || self.set);
        assert_eq!(self.event.is_set(), self.set);
        assert_eq!(self.event.wait_timeout(Duration::ZERO).unwrap(), self.set);
        works(&self.event);
    }
}

struct SetWithSleepers {
    event: Event,
    sleepers: Vec<Waiter<()>>,
    set: bool,
}

impl Scene for SetWithSleepers {
    fn prepare() -> Self {
        Self {
            event: Event::new().unwrap(),
            sleepers: Vec::new(),
            set: false,
        }
    }

    fn start(&self, keep: &Keep) -> Process {
        let child = |event: Event, taken: Lock| {
            warm(&taken);
            section(|| event.set().unwrap());
        };
        started(child, &self.event, keep)
    }

    fn entered(&mut self) {
        self.sleepers = two_waiters(&self.event);
    }

    fn last_look(&mut self) {
        self.set = self.event.is_set();
    }

    fn check(self, left: bool) {
        assert!(!left || self.set);
        if !self.set {
            self.event.set().unwrap();
        }
        self.sleepers.into_iter().for_each(Waiter::result);
        works(&self.event);
    }
}

struct SetAndClear {
    event: Event,
    sleepers: Vec<Waiter<()>>,
    set: bool,
}

impl Scene for SetAndClear {
    fn prepare() -> Self {
        Self {
            event: Event::new().unwrap(),
            sleepers: Vec::new(),
            set: false,
        }
    }

    fn start(&self, keep: &Keep) -> Process {
        let child = |event: Event, taken: Lock| {
            warm(&taken);
            section(|| {
                event.set().unwrap();
                event.clear().unwrap();
            });
        };
        started(child, &self.event, keep)
    }

    fn entered(&mut self) {
        self.sleepers = two_waiters(&self.event);
    }

    fn last_look(&mut self) {
        let some_went = !self.sleepers.iter().all(Waiter::waits);
        self.set = some_went || self.event.is_set();
    }

    fn check(self, left: bool) {
        // Nobody needs to set it again for those who slept when it was set.
        if !left && !self.set {
            self.event.set().unwrap();
        }
        self.sleepers.into_iter().for_each(Waiter::result);
        works(&self.event);
    }
}

struct Clear {
    event: Event,
    set: bool,
}

impl Scene for Clear {
    fn prepare() -> Self {
        let event = Event::new().unwrap();
        event.set().unwrap();
        Self { event, set: true }
    }

    fn start(&self, keep: &Keep) -> Process {
        let child = |event: Event, taken: Lock| {
            warm(&taken);
            section(|| event.clear().unwrap());
        };
        started(child, &self.event, keep)
    }

    fn last_look(&mut self) {
        self.set = self.event.is_set();
    }

    fn check(self, left: bool) {
        assert!(!left || !self.set);
        assert_eq!(self.event.is_set(), self.set);
        works(&self.event);
    }
}

/// It is set all the time: who waits for it changes nothing that stays.
struct WaitSet(Event);

impl Scene for WaitSet {
    fn prepare() -> Self {
        let event = Event::new().unwrap();
        event.set().unwrap();
        Self(event)
    }

    fn start(&self, keep: &Keep) -> Process {
        let child = |event: Event, taken: Lock| {
            warm(&taken);
            section(|| {
                event.wait().unwrap();
                // Something that is seen from outside, or nothing would change at all.
                event.clear().unwrap();
                event.set().unwrap();
            });
        };
        started(child, &self.0, keep)
    }

    fn check(self, left: bool) {
        assert!(!left || self.0.is_set());
        works(&self.0);
    }
}

/// The child sleeps, and a thread of the survivor too; both are woken.
struct Wait {
    event: Event,
    other: Option<Waiter<()>>,
}

impl Scene for Wait {
    const SLEEPS: bool = true;

    fn prepare() -> Self {
        Self {
            event: Event::new().unwrap(),
            other: None,
        }
    }

    fn start(&self, keep: &Keep) -> Process {
        let child = |event: Event, taken: Lock| {
            warm(&taken);
            section(|| event.wait().unwrap());
        };
        started(child, &self.event, keep)
    }

    fn asleep(&mut self) {
        if self.other.is_none() {
            self.other = Some(waiter(&self.event));
            self.event.set().unwrap();
        }
    }

    fn check(self, left: bool) {
        assert!(!left || self.event.is_set());
        self.other.into_iter().for_each(Waiter::result);
        works(&self.event);
    }
}

struct TimesOut(Event);

impl Scene for TimesOut {
    fn prepare() -> Self {
        Self(Event::new().unwrap())
    }

    fn start(&self, keep: &Keep) -> Process {
        let child = |event: Event, taken: Lock| {
            warm(&taken);
            let set = section(|| event.wait_timeout(Duration::from_millis(80)).unwrap());
            assert!(!set);
        };
        started(child, &self.0, keep)
    }

    fn check(self, _left: bool) {
        assert!(!self.0.is_set());
        works(&self.0);
    }
}
