//! `BoundedSemaphore`: the permits of a dead process come back, whatever it was doing, none twice.

use crate::row::{Keep, Row, Scene, row};
use crate::survivor::{PATIENCE, Waiter, started, warm};
use crate::tracee::section;
use multiproc::{BoundedSemaphore, ErrorKind, Lock, Process};
use std::time::Duration;

pub(crate) fn rows() -> Vec<Row> {
    vec![
        row::<AcquireFree>("bounded::acquire_free", "there are permits"),
        row::<ReleaseFree>("bounded::release_free", "nobody waits for one"),
        row::<Forgotten>(
            "bounded::release_forgotten",
            "two guards were given up; one release, then two at once",
        ),
        row::<AcquireTaken>(
            "bounded::acquire_taken",
            "sleeps, and is woken by the release",
        ),
        row::<AcquireAmongTwo>(
            "bounded::acquire_among_two",
            "is woken while another one sleeps",
        ),
        row::<TimesOut>("bounded::times_out", "sleeps, gives up"),
        row::<ReleaseWithSleeper>("bounded::release_with_sleeper", "somebody waits for one"),
        row::<New>("bounded::new", "a hundred permits: an object and a block"),
        row::<AfterADeath>(
            "bounded::after_a_death",
            "takes the permit of one that died",
        ),
    ]
}

/// All permits are there, each once, and none too many can be given back.
fn whole(semaphore: &BoundedSemaphore) {
    let bound = semaphore.bound();
    assert_eq!(semaphore.value(), bound);
    let acquire = |_| semaphore.acquire_timeout(PATIENCE).unwrap();
    let all: Vec<_> = (0..bound).map(acquire).collect();
    assert!(semaphore.locked() && semaphore.try_acquire().is_err());
    drop(all);
    let error = semaphore.release().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Misuse);
    assert_eq!(semaphore.value(), bound);
}

/// A thread that takes a permit and gives it back.
fn taker(semaphore: &BoundedSemaphore) -> Waiter<()> {
    let semaphore = semaphore.clone();
    Waiter::asleep_in(move || drop(semaphore.acquire().unwrap()))
}

/// In the child: the section is one `acquire`.
fn acquires_in_section(semaphore: BoundedSemaphore, taken: Lock) {
    warm(&taken);
    let _guard = section(|| semaphore.acquire());
}

/// In the child: the section is the release of a permit.
fn releases_in_section(semaphore: BoundedSemaphore, taken: Lock) {
    warm(&taken);
    let guard = semaphore.acquire();
    section(|| drop(guard));
}

struct AcquireFree(BoundedSemaphore, u32);

impl Scene for AcquireFree {
    fn prepare() -> Self {
        Self(BoundedSemaphore::new(2).unwrap(), 2)
    }

    fn start(&self, keep: &Keep) -> Process {
        started(acquires_in_section, &self.0, keep)
    }

    fn last_look(&mut self) {
        self.1 = self.0.value();
    }

    fn check(self, left: bool) {
        assert!([1, 2].contains(&self.1));
        assert!(!left || self.1 == 1);
        whole(&self.0);
    }
}

struct ReleaseFree(BoundedSemaphore);

impl Scene for ReleaseFree {
    fn prepare() -> Self {
        Self(BoundedSemaphore::new(2).unwrap())
    }

    fn start(&self, keep: &Keep) -> Process {
        started(releases_in_section, &self.0, keep)
    }

    fn check(self, _left: bool) {
        whole(&self.0);
    }
}

struct Forgotten(BoundedSemaphore);

impl Scene for Forgotten {
    fn prepare() -> Self {
        Self(BoundedSemaphore::new(3).unwrap())
    }

    fn start(&self, keep: &Keep) -> Process {
        let child = |semaphore: BoundedSemaphore, taken: Lock| {
            warm(&taken);
            let guards = [(); 3].map(|()| semaphore.acquire().unwrap());
            section(|| {
                for guard in guards {
                    guard.forget();
                }
                semaphore.release().unwrap();
                semaphore.release_many(2).unwrap();
            });
        };
        started(child, &self.0, keep)
    }

    fn check(self, _left: bool) {
        whole(&self.0);
    }
}

/// The survivor has the only permit until the child sleeps.
struct Taken {
    semaphore: BoundedSemaphore,
    released: bool,
}

impl Taken {
    fn new() -> Self {
        let semaphore = BoundedSemaphore::new(1).unwrap();
        semaphore.acquire().unwrap().forget();
        Self {
            semaphore,
            released: false,
        }
    }

    fn release(&mut self) {
        if !self.released {
            self.released = true;
            self.semaphore.release().unwrap();
        }
    }
}

struct AcquireTaken(Taken);

impl Scene for AcquireTaken {
    const SLEEPS: bool = true;

    fn prepare() -> Self {
        Self(Taken::new())
    }

    fn start(&self, keep: &Keep) -> Process {
        started(acquires_in_section, &self.0.semaphore, keep)
    }

    fn asleep(&mut self) {
        self.0.release();
    }

    fn check(mut self, left: bool) {
        assert!(!left || self.0.released);
        self.0.release();
        whole(&self.0.semaphore);
    }
}

/// The child sleeps, then a thread of the survivor too; the thread gets the permit, from the survivor or from the dead.
struct AcquireAmongTwo {
    taken: Taken,
    other: Option<Waiter<()>>,
}

impl Scene for AcquireAmongTwo {
    const SLEEPS: bool = true;

    fn prepare() -> Self {
        Self {
            taken: Taken::new(),
            other: None,
        }
    }

    fn start(&self, keep: &Keep) -> Process {
        started(acquires_in_section, &self.taken.semaphore, keep)
    }

    fn asleep(&mut self) {
        if self.other.is_none() {
            self.other = Some(taker(&self.taken.semaphore));
            self.taken.release();
        }
    }

    fn check(mut self, _left: bool) {
        self.taken.release();
        self.other.into_iter().for_each(Waiter::result);
        whole(&self.taken.semaphore);
    }
}

struct TimesOut(Taken);

impl Scene for TimesOut {
    fn prepare() -> Self {
        Self(Taken::new())
    }

    fn start(&self, keep: &Keep) -> Process {
        let child = |semaphore: BoundedSemaphore, taken: Lock| {
            warm(&taken);
            let busy = section(|| {
                let timeout = Duration::from_millis(80);
                semaphore.acquire_timeout(timeout).is_err()
            });
            assert!(busy);
        };
        started(child, &self.0.semaphore, keep)
    }

    fn check(mut self, _left: bool) {
        assert_eq!(self.0.semaphore.value(), 0, "the survivor has it");
        self.0.release();
        whole(&self.0.semaphore);
    }
}

struct ReleaseWithSleeper {
    semaphore: BoundedSemaphore,
    sleeper: Option<Waiter<()>>,
}

impl Scene for ReleaseWithSleeper {
    fn prepare() -> Self {
        Self {
            semaphore: BoundedSemaphore::new(1).unwrap(),
            sleeper: None,
        }
    }

    fn start(&self, keep: &Keep) -> Process {
        started(releases_in_section, &self.semaphore, keep)
    }

    fn entered(&mut self) {
        self.sleeper = Some(taker(&self.semaphore));
    }

    fn check(self, _left: bool) {
        self.sleeper.unwrap().result();
        whole(&self.semaphore);
    }
}

/// One died with the only permit.
struct AfterADeath(BoundedSemaphore);

impl Scene for AfterADeath {
    fn prepare() -> Self {
        let semaphore = BoundedSemaphore::new(1).unwrap();
        let dies = |semaphore: BoundedSemaphore| {
            semaphore.acquire().unwrap().forget();
            std::process::abort();
        };
        let arguments = (semaphore.clone(),);
        let first = Process::builder(dies, arguments).start().unwrap();
        assert_eq!(first.join().unwrap(), -6);
        Self(semaphore)
    }

    fn start(&self, keep: &Keep) -> Process {
        started(acquires_in_section, &self.0, keep)
    }

    fn check(self, _left: bool) {
        whole(&self.0);
    }
}

/// More permits than an object has room for.
struct New;

impl Scene for New {
    const FILLS: bool = true;

    fn prepare() -> Self {
        Self
    }

    fn start(&self, keep: &Keep) -> Process {
        let child = |taken: Lock| {
            warm(&taken);
            let _made = section(|| BoundedSemaphore::new(100)).unwrap();
        };
        let arguments = (keep.taken.clone(),);
        Process::builder(child, arguments).start().unwrap()
    }

    fn check(self, _left: bool) {}
}
