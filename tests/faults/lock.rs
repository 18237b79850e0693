//! `Lock`: whoever dies, the next one gets it, and hears of the death if the dead one owned it.

use crate::row::{Keep, Row, Scene, row};
use crate::survivor::{Holder, News, Waiter, acquires, warm};
use crate::tracee::section;
use multiproc::{AcquireError, Lock, Process, Queue};
use std::time::Duration;

pub(crate) fn rows() -> Vec<Row> {
    vec![
        row::<AcquireFree>("lock::acquire_free", "nobody owns it"),
        row::<ReleaseFree>("lock::release_free", "nobody waits for it"),
        row::<Critical>(
            "lock::critical_section",
            "acquire, change two things, release",
        ),
        row::<AcquireTaken>("lock::acquire_taken", "sleeps, and is woken by the release"),
        row::<AcquireAmongTwo>(
            "lock::acquire_among_two",
            "is woken while another one sleeps",
        ),
        row::<TimesOut>(
            "lock::times_out",
            "acquire_timeout sleeps, probes the owner, gives up",
        ),
        row::<ReleaseWithSleeper>("lock::release_with_sleeper", "somebody waits for it"),
        row::<TakeOver>("lock::take_over", "the owner died; repair, release"),
    ]
}

/// The news that a survivor must hear if the child owned the lock at its death.
fn due(owned: bool) -> News {
    if owned { News::OwnerDied } else { News::None }
}

/// A lock, and whether the child owned it.
struct Owned {
    lock: Lock,
    by_child: bool,
}

impl Owned {
    fn new() -> Self {
        Self {
            lock: Lock::new().unwrap(),
            by_child: false,
        }
    }

    fn look(&mut self) {
        self.by_child = self.lock.locked();
    }

    fn check(self) {
        assert_eq!(acquires(&self.lock), due(self.by_child));
    }
}

/// Starts a process that runs a section on this lock.
fn started<F>(child: F, lock: &Lock, keep: &Keep) -> Process
where
    F: Fn(Lock, Lock) + Copy + Send + 'static,
{
    let arguments = (lock.clone(), keep.taken.clone());
    Process::builder(child, arguments).start().unwrap()
}

/// In the child: the section is one `acquire`.
fn acquires_in_section(lock: Lock, taken: Lock) {
    warm(&taken);
    let _guard = section(|| lock.acquire());
}

/// In the child: the section is the release of what was acquired before.
fn releases_in_section(lock: Lock, taken: Lock) {
    warm(&taken);
    let guard = lock.acquire();
    section(|| drop(guard));
}

struct AcquireFree(Owned);

impl Scene for AcquireFree {
    fn prepare() -> Self {
        Self(Owned::new())
    }

    fn start(&self, keep: &Keep) -> Process {
        started(acquires_in_section, &self.0.lock, keep)
    }

    fn last_look(&mut self) {
        self.0.look();
    }

    fn check(self, left: bool) {
        assert!(!left || self.0.by_child);
        self.0.check();
    }
}

struct ReleaseFree(Owned);

impl Scene for ReleaseFree {
    fn prepare() -> Self {
        Self(Owned::new())
    }

    fn start(&self, keep: &Keep) -> Process {
        started(releases_in_section, &self.0.lock, keep)
    }

    fn last_look(&mut self) {
        self.0.look();
    }

    fn check(self, left: bool) {
        assert!(!left || !self.0.by_child);
        self.0.check();
    }
}

/// The lock guards a token: one number, in a queue of its own.
struct Critical {
    owned: Owned,
    token: Queue<u64>,
}

impl Scene for Critical {
    fn prepare() -> Self {
        let token = Queue::new().unwrap();
        token.put(1).unwrap();
        Self {
            owned: Owned::new(),
            token,
        }
    }

    fn start(&self, keep: &Keep) -> Process {
        let child = |lock: Lock, token: Queue<u64>, taken: Lock| {
            warm(&taken);
            section(|| {
                let _guard = lock.acquire().unwrap();
                let token_was = token.get().unwrap();
                token.put(token_was + 1).unwrap();
            });
        };
        let arguments = (
            self.owned.lock.clone(),
            self.token.clone(),
            keep.taken.clone(),
        );
        Process::builder(child, arguments).start().unwrap()
    }

    fn last_look(&mut self) {
        self.owned.look();
    }

    fn check(self, left: bool) {
        let owned = self.owned.by_child;
        self.owned.check();
        let token = self.token.try_get().ok();
        // Without the news it is the old or the new one; with the news it may lie nowhere, for the owner had it.
        assert!(
            token.is_some() || owned,
            "the token is lost and nobody was told"
        );
        assert!(
            token.is_none_or(|token| (1..=2).contains(&token)),
            "{token:?}"
        );
        assert!(!left || token == Some(2), "{token:?}");
        assert!(self.token.try_get().is_err(), "there was one token");
    }
}

/// A thread of the survivor holds the lock, until the child sleeps.
struct Taken {
    owned: Owned,
    holder: Holder,
    released: bool,
}

impl Taken {
    fn new() -> Self {
        let owned = Owned::new();
        Self {
            holder: Holder::of(&owned.lock),
            owned,
            released: false,
        }
    }

    fn release(&mut self) {
        self.released = true;
        self.holder.release();
    }

    fn look(&mut self) {
        self.owned.by_child = self.released && self.owned.lock.locked();
    }
}

struct AcquireTaken(Taken);

impl Scene for AcquireTaken {
    const SLEEPS: bool = true;

    fn prepare() -> Self {
        Self(Taken::new())
    }

    fn start(&self, keep: &Keep) -> Process {
        started(acquires_in_section, &self.0.owned.lock, keep)
    }

    fn asleep(&mut self) {
        self.0.release();
    }

    fn last_look(&mut self) {
        self.0.look();
    }

    fn check(mut self, left: bool) {
        assert!(!left || self.0.owned.by_child);
        self.0.release();
        self.0.owned.check();
    }
}

/// The child sleeps, then a thread of the survivor too; the release wakes the child, who was first.
struct AcquireAmongTwo {
    taken: Taken,
    other: Option<Waiter<News>>,
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
        started(acquires_in_section, &self.taken.owned.lock, keep)
    }

    fn asleep(&mut self) {
        if self.other.is_none() {
            self.other = Some(waiter(&self.taken.owned.lock));
            self.taken.release();
        }
    }

    fn last_look(&mut self) {
        self.taken.released &= self.other.as_ref().is_none_or(Waiter::waits);
        self.taken.look();
    }

    fn check(mut self, _left: bool) {
        self.taken.release();
        let by_child = self.taken.owned.by_child;
        match self.other {
            // It was the next one, so the news was its own.
            Some(other) => assert_eq!(other.result(), due(by_child)),
            None => self.taken.owned.check(),
        }
    }
}

/// A thread that waits for the lock, and says what it heard.
fn waiter(lock: &Lock) -> Waiter<News> {
    let lock = lock.clone();
    Waiter::asleep_in(move || match lock.acquire() {
        Ok(_guard) => News::None,
        Err(AcquireError::OwnerDied(news)) => {
            drop(news.repaired());
            News::OwnerDied
        }
        Err(AcquireError::Failed(error)) => panic!("the lock cannot be had: {error}"),
    })
}

struct TimesOut(Taken);

impl Scene for TimesOut {
    fn prepare() -> Self {
        Self(Taken::new())
    }

    fn start(&self, keep: &Keep) -> Process {
        let child = |lock: Lock, taken: Lock| {
            warm(&taken);
            let busy = section(|| lock.acquire_timeout(Duration::from_millis(80)).is_err());
            assert!(busy);
        };
        started(child, &self.0.owned.lock, keep)
    }

    fn check(mut self, _left: bool) {
        self.0.release();
        self.0.owned.check();
    }
}

struct ReleaseWithSleeper {
    owned: Owned,
    sleeper: Option<Waiter<News>>,
}

impl Scene for ReleaseWithSleeper {
    fn prepare() -> Self {
        Self {
            owned: Owned::new(),
            sleeper: None,
        }
    }

    fn start(&self, keep: &Keep) -> Process {
        started(releases_in_section, &self.owned.lock, keep)
    }

    fn entered(&mut self) {
        self.sleeper = Some(waiter(&self.owned.lock));
    }

    fn last_look(&mut self) {
        let sleeps = self.sleeper.as_ref().is_some_and(Waiter::waits);
        self.owned.by_child = sleeps && self.owned.lock.locked();
    }

    fn check(self, _left: bool) {
        let heard = self.sleeper.unwrap().result();
        // Between the last look and the kill the sleeper may have taken what was free, never what was not.
        assert_eq!(heard, due(self.owned.by_child));
        assert_eq!(acquires(&self.owned.lock), News::None);
    }
}

/// The owner before the child died too.
struct TakeOver(Owned);

impl Scene for TakeOver {
    fn prepare() -> Self {
        let owned = Owned::new();
        let child = |lock: Lock| {
            let _guard = lock.acquire();
            std::process::abort();
        };
        let mut first = Process::new(child, (owned.lock.clone(),));
        first.start().unwrap();
        assert_eq!(first.join().unwrap(), -6);
        Self(owned)
    }

    fn start(&self, keep: &Keep) -> Process {
        let child = |lock: Lock, taken: Lock| {
            warm(&taken);
            section(|| match lock.acquire() {
                Err(AcquireError::OwnerDied(news)) => drop(news.repaired()),
                other => panic!("the owner died: {other:?}"),
            });
        };
        started(child, &self.0.lock, keep)
    }

    fn last_look(&mut self) {
        self.0.look();
    }

    fn check(self, left: bool) {
        assert!(!left || !self.0.by_child);
        // Whoever owned it, the first or the child, died with it, until the child had repaired and released it.
        self.0.check();
    }
}
