//! `Semaphore`: it counts. What the dead child had taken is gone, what it had given back is there, and no wake-up is lost.

use crate::row::{Keep, Row, Scene, row};
use crate::survivor::{PATIENCE, Waiter, started, warm};
use crate::tracee::section;
use multiproc::{Lock, Process, Semaphore};
use std::time::Duration;

pub(crate) fn rows() -> Vec<Row> {
    vec![
        row::<AcquireFree>("semaphore::acquire_free", "there are permits"),
        row::<ReleaseFree>("semaphore::release_free", "nobody waits for one"),
        row::<Both>("semaphore::guard", "acquire, and release by the guard"),
        row::<AcquireTaken>(
            "semaphore::acquire_taken",
            "sleeps, and is woken by the release",
        ),
        row::<AcquireAmongTwo>(
            "semaphore::acquire_among_two",
            "is woken while another one sleeps",
        ),
        row::<TimesOut>("semaphore::times_out", "sleeps, gives up"),
        row::<ReleaseWithSleeper>("semaphore::release_with_sleeper", "somebody waits for one"),
        row::<ReleaseMany>(
            "semaphore::release_many",
            "two at once, and two wait for one each",
        ),
    ]
}

/// Exactly `value` permits are there, and more can be given and taken.
pub(crate) fn counts(semaphore: &Semaphore, value: u32) {
    assert_eq!(semaphore.value(), value);
    semaphore.release().unwrap();
    for _ in 0..=value {
        semaphore.try_acquire().unwrap().forget();
    }
    assert!(semaphore.try_acquire().is_err(), "one too many");
    semaphore.release_many(value + 1).unwrap();
    assert_eq!(semaphore.value(), value + 1);
}

/// A thread that takes a permit and keeps it.
fn taker(semaphore: &Semaphore) -> Waiter<()> {
    let semaphore = semaphore.clone();
    Waiter::asleep_in(move || semaphore.acquire().unwrap().forget())
}

/// In the child: the section is one `acquire`; the permit is kept.
fn acquires_in_section(semaphore: Semaphore, taken: Lock) {
    warm(&taken);
    section(|| semaphore.acquire().unwrap().forget());
}

/// In the child: the section is one `release`.
fn releases_in_section(semaphore: Semaphore, taken: Lock) {
    warm(&taken);
    section(|| semaphore.release().unwrap());
}

/// A semaphore and what it showed before the child was killed.
struct Seen {
    semaphore: Semaphore,
    value: u32,
}

impl Seen {
    fn new(value: u32) -> Self {
        Self {
            semaphore: Semaphore::new(value).unwrap(),
            value,
        }
    }

    fn look(&mut self) {
        self.value = self.semaphore.value();
    }
}

struct AcquireFree(Seen);

impl Scene for AcquireFree {
    fn prepare() -> Self {
        Self(Seen::new(3))
    }

    fn start(&self, keep: &Keep) -> Process {
        started(acquires_in_section, &self.0.semaphore, keep)
    }

    fn last_look(&mut self) {
        self.0.look();
    }

    fn check(self, left: bool) {
        assert!([2, 3].contains(&self.0.value));
        assert!(!left || self.0.value == 2);
        counts(&self.0.semaphore, self.0.value);
    }
}

struct ReleaseFree(Seen);

impl Scene for ReleaseFree {
    fn prepare() -> Self {
        Self(Seen::new(0))
    }

    fn start(&self, keep: &Keep) -> Process {
        started(releases_in_section, &self.0.semaphore, keep)
    }

    fn last_look(&mut self) {
        self.0.look();
    }

    fn check(self, left: bool) {
        assert!([0, 1].contains(&self.0.value));
        assert!(!left || self.0.value == 1);
        counts(&self.0.semaphore, self.0.value);
    }
}

struct Both(Seen);

impl Scene for Both {
    fn prepare() -> Self {
        Self(Seen::new(1))
    }

    fn start(&self, keep: &Keep) -> Process {
        let child = |semaphore: Semaphore, taken: Lock| {
            warm(&taken);
            section(|| drop(semaphore.acquire().unwrap()));
        };
        started(child, &self.0.semaphore, keep)
    }

    fn last_look(&mut self) {
        self.0.look();
    }

    fn check(self, left: bool) {
        assert!([0, 1].contains(&self.0.value));
        assert!(!left || self.0.value == 1);
        counts(&self.0.semaphore, self.0.value);
    }
}

struct AcquireTaken {
    seen: Seen,
    released: bool,
}

impl Scene for AcquireTaken {
    const SLEEPS: bool = true;

    fn prepare() -> Self {
        Self {
            seen: Seen::new(0),
            released: false,
        }
    }

    fn start(&self, keep: &Keep) -> Process {
        started(acquires_in_section, &self.seen.semaphore, keep)
    }

    fn asleep(&mut self) {
        if !self.released {
            self.released = true;
            self.seen.semaphore.release().unwrap();
        }
    }

    fn last_look(&mut self) {
        self.seen.look();
    }

    fn check(self, left: bool) {
        assert!(self.seen.value <= u32::from(self.released));
        assert!(!left || self.released && self.seen.value == 0);
        counts(&self.seen.semaphore, self.seen.value);
    }
}

/// The child sleeps, then a thread of the survivor too; one permit comes, which the child may or may not take with it.
struct AcquireAmongTwo {
    seen: Seen,
    other: Option<Waiter<()>>,
}

impl Scene for AcquireAmongTwo {
    const SLEEPS: bool = true;

    fn prepare() -> Self {
        Self {
            seen: Seen::new(0),
            other: None,
        }
    }

    fn start(&self, keep: &Keep) -> Process {
        started(acquires_in_section, &self.seen.semaphore, keep)
    }

    fn asleep(&mut self) {
        if self.other.is_none() {
            self.other = Some(taker(&self.seen.semaphore));
            self.seen.semaphore.release().unwrap();
        }
    }

    fn last_look(&mut self) {
        self.seen.look();
    }

    fn check(self, _left: bool) {
        let semaphore = &self.seen.semaphore;
        let Some(other) = self.other else {
            return counts(semaphore, 0);
        };
        if self.seen.value == 1 {
            // The child had not taken it: the other one hears of it, though the wake-up was the child's.
            other.result();
            counts(semaphore, 0);
        } else {
            semaphore.release().unwrap();
            other.result();
            let rest = semaphore.value();
            assert!(rest <= 1, "{rest}");
            counts(semaphore, rest);
        }
    }
}

struct TimesOut(Semaphore);

impl Scene for TimesOut {
    fn prepare() -> Self {
        Self(Semaphore::new(0).unwrap())
    }

    fn start(&self, keep: &Keep) -> Process {
        let child = |semaphore: Semaphore, taken: Lock| {
            warm(&taken);
            let busy = section(|| {
                let timeout = Duration::from_millis(80);
                semaphore.acquire_timeout(timeout).is_err()
            });
            assert!(busy);
        };
        started(child, &self.0, keep)
    }

    fn check(self, _left: bool) {
        counts(&self.0, 0);
    }
}

struct ReleaseWithSleeper {
    seen: Seen,
    sleeper: Option<Waiter<()>>,
}

impl Scene for ReleaseWithSleeper {
    fn prepare() -> Self {
        Self {
            seen: Seen::new(0),
            sleeper: None,
        }
    }

    fn start(&self, keep: &Keep) -> Process {
        started(releases_in_section, &self.seen.semaphore, keep)
    }

    fn entered(&mut self) {
        self.sleeper = Some(taker(&self.seen.semaphore));
    }

    fn last_look(&mut self) {
        self.seen.look();
    }

    fn check(mut self, left: bool) {
        let (semaphore, sleeper) = (&self.seen.semaphore, self.sleeper.take().unwrap());
        if left || self.seen.value == 1 {
            sleeper.result();
            counts(semaphore, 0);
        } else {
            semaphore.release().unwrap();
            sleeper.result();
            let rest = semaphore.value();
            assert!(rest <= 1, "{rest}");
            counts(semaphore, rest);
        }
    }
}

struct ReleaseMany {
    semaphore: Semaphore,
    sleepers: Vec<Waiter<()>>,
    value: u32,
}

impl Scene for ReleaseMany {
    fn prepare() -> Self {
        Self {
            semaphore: Semaphore::new(0).unwrap(),
            sleepers: Vec::new(),
            value: 0,
        }
    }

    fn start(&self, keep: &Keep) -> Process {
        let child = |semaphore: Semaphore, taken: Lock| {
            warm(&taken);
            section(|| semaphore.release_many(2).unwrap());
        };
        started(child, &self.semaphore, keep)
    }

    fn entered(&mut self) {
        self.sleepers = vec![taker(&self.semaphore), taker(&self.semaphore)];
    }

    fn last_look(&mut self) {
        self.value = self.semaphore.value();
    }

    fn check(self, left: bool) {
        // All or nothing.
        let came = left || self.value > 0 || !self.sleepers.iter().all(Waiter::waits);
        if came {
            self.sleepers.into_iter().for_each(Waiter::result);
            return counts(&self.semaphore, 0);
        }
        self.semaphore.release_many(2).unwrap();
        self.sleepers.into_iter().for_each(Waiter::result);
        let rest = self.semaphore.value();
        assert!([0, 2].contains(&rest), "{rest}");
        let more = self.semaphore.acquire_timeout(Duration::ZERO).is_ok();
        assert_eq!(more, rest > 0);
        self.semaphore.release().unwrap();
        let again = self.semaphore.acquire_timeout(PATIENCE);
        assert!(again.is_ok());
    }
}
