//! `RLock`: as `Lock`, and a level more or less is no half of anything.

use crate::owned::{self, Owned, heard, heard_in_time};
use crate::row::{Keep, Row, Scene, row};
use crate::survivor::{News, acquires, started, warm};
use crate::tracee::section;
use multiproc::sync::{AcrossProcesses, RLockGuard};
use multiproc::{AcquireError, Lock, Process, RLock, TryAcquireError};
use std::time::Duration;

pub(crate) fn rows() -> Vec<Row> {
    vec![
        row::<owned::AcquireFree<RLock>>("rlock::acquire_free", "nobody owns it"),
        row::<owned::ReleaseFree<RLock>>("rlock::release_free", "nobody waits for it"),
        row::<Levels>(
            "rlock::levels",
            "a second level, given back, and the first too",
        ),
        row::<Forgotten>(
            "rlock::release_forgotten",
            "two levels that were given up are released",
        ),
        row::<owned::AcquireTaken<RLock>>(
            "rlock::acquire_taken",
            "sleeps, and is woken by the release",
        ),
        row::<owned::AcquireAmongTwo<RLock>>(
            "rlock::acquire_among_two",
            "is woken while another one sleeps",
        ),
        row::<owned::TimesOut<RLock>>(
            "rlock::times_out",
            "acquire_timeout sleeps, probes the owner, gives up",
        )
        .long(),
        row::<owned::ReleaseWithSleeper<RLock>>(
            "rlock::release_with_sleeper",
            "somebody waits for it",
        ),
        row::<owned::TakeOver<RLock>>("rlock::take_over", "the owner died; repair, release"),
    ]
}

impl Owned for RLock {
    type Guard<'a> = RLockGuard<'a, AcrossProcesses>;
    type Against = Self;

    fn make() -> Self {
        Self::new().unwrap()
    }

    fn against(&self) -> Self {
        self.clone()
    }

    fn acquire(&self) -> (News, RLockGuard<'_, AcrossProcesses>) {
        heard!(self.acquire(), AcquireError)
    }

    fn acquire_timeout(
        &self,
        timeout: Duration,
    ) -> Option<(News, RLockGuard<'_, AcrossProcesses>)> {
        heard_in_time!(self.acquire_timeout(timeout))
    }

    fn is_owned(&self) -> bool {
        self.locked()
    }
}

/// A lock, and whether the child owned it.
struct Plain {
    lock: RLock,
    owned: bool,
}

impl Plain {
    fn new() -> Self {
        Self {
            lock: RLock::new().unwrap(),
            owned: false,
        }
    }

    fn look(&mut self) {
        self.owned = self.lock.locked();
    }

    /// The next owner has one level, whatever the dead one had.
    fn check(self, left: bool) {
        assert!(!left || !self.owned);
        let news = acquires(&self.lock);
        assert_eq!(news == News::OwnerDied, self.owned);
        let guard = self.lock.acquire().unwrap();
        assert_eq!(self.lock.level(), 1);
        drop(guard);
        assert!(!self.lock.locked());
    }
}

/// Owned from the first instruction until the last level is given back.
struct Levels(Plain);

impl Scene for Levels {
    fn prepare() -> Self {
        Self(Plain::new())
    }

    fn start(&self, keep: &Keep) -> Process {
        let child = |lock: RLock, taken: Lock| {
            warm(&taken);
            let first = lock.acquire().unwrap();
            section(|| {
                let second = lock.acquire();
                drop(second);
                drop(first);
            });
        };
        started(child, &self.0.lock, keep)
    }

    fn last_look(&mut self) {
        self.0.look();
    }

    fn check(self, left: bool) {
        self.0.check(left);
    }
}

struct Forgotten(Plain);

impl Scene for Forgotten {
    fn prepare() -> Self {
        Self(Plain::new())
    }

    fn start(&self, keep: &Keep) -> Process {
        let child = |lock: RLock, taken: Lock| {
            warm(&taken);
            let first = lock.acquire().unwrap();
            let second = lock.acquire().unwrap();
            section(|| {
                first.forget();
                second.forget();
                lock.release().unwrap();
                lock.release().unwrap();
            });
        };
        started(child, &self.0.lock, keep)
    }

    fn last_look(&mut self) {
        self.0.look();
    }

    fn check(self, left: bool) {
        self.0.check(left);
    }
}
