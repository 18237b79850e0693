//! `Lock`: whoever dies, the next one gets it, and hears of the death if the dead one owned it.

use crate::owned::{self, Owned, heard, heard_in_time};
use crate::row::{Keep, Row, Scene, row};
use crate::survivor::{News, acquires, started, warm};
use crate::tracee::section;
use multiproc::sync::{AcrossProcesses, LockGuard};
use multiproc::{AcquireError, Lock, Process, Queue, TryAcquireError};
use std::time::Duration;

pub(crate) fn rows() -> Vec<Row> {
    vec![
        row::<owned::AcquireFree<Lock>>("lock::acquire_free", "nobody owns it"),
        row::<owned::ReleaseFree<Lock>>("lock::release_free", "nobody waits for it"),
        row::<Critical>(
            "lock::critical_section",
            "acquire, change two things, release",
        ),
        row::<owned::AcquireTaken<Lock>>(
            "lock::acquire_taken",
            "sleeps, and is woken by the release",
        ),
        row::<owned::AcquireAmongTwo<Lock>>(
            "lock::acquire_among_two",
            "is woken while another one sleeps",
        ),
        row::<owned::TimesOut<Lock>>(
            "lock::times_out",
            "acquire_timeout sleeps, probes the owner, gives up",
        ),
        row::<owned::ReleaseWithSleeper<Lock>>(
            "lock::release_with_sleeper",
            "somebody waits for it",
        ),
        row::<owned::TakeOver<Lock>>("lock::take_over", "the owner died; repair, release"),
        row::<Forgotten>(
            "lock::release_forgotten",
            "the guard was given up, and the lock is released",
        ),
    ]
}

impl Owned for Lock {
    type Guard<'a> = LockGuard<'a, AcrossProcesses>;
    type Against = Self;

    fn make() -> Self {
        Self::new().unwrap()
    }

    fn against(&self) -> Self {
        self.clone()
    }

    fn acquire(&self) -> (News, LockGuard<'_, AcrossProcesses>) {
        heard!(self.acquire(), AcquireError)
    }

    fn acquire_timeout(&self, timeout: Duration) -> Option<(News, LockGuard<'_, AcrossProcesses>)> {
        heard_in_time!(self.acquire_timeout(timeout))
    }

    fn is_owned(&self) -> bool {
        self.locked()
    }
}

/// The lock guards a token: one number, in a queue of its own.
struct Critical {
    lock: Lock,
    owned: bool,
    token: Queue<u64>,
}

impl Scene for Critical {
    fn prepare() -> Self {
        let token = Queue::new().unwrap();
        token.put(1).unwrap();
        Self {
            lock: Lock::new().unwrap(),
            owned: false,
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
        let arguments = (self.lock.clone(), self.token.clone(), keep.taken.clone());
        Process::builder(child, arguments).start().unwrap()
    }

    fn last_look(&mut self) {
        self.owned = self.lock.locked();
    }

    fn check(self, left: bool) {
        let news = acquires(&self.lock);
        assert_eq!(news == News::OwnerDied, self.owned);
        let token = self.token.try_get().ok();
        // Without the news it is the old or the new one; with the news it may lie nowhere, for the owner had it.
        assert!(
            token.is_some() || self.owned,
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

/// Given up and released without a guard: between the two it is as owned as with one.
struct Forgotten {
    lock: Lock,
    owned: bool,
}

impl Scene for Forgotten {
    fn prepare() -> Self {
        Self {
            lock: Lock::new().unwrap(),
            owned: false,
        }
    }

    fn start(&self, keep: &Keep) -> Process {
        let child = |lock: Lock, taken: Lock| {
            warm(&taken);
            let guard = lock.acquire().unwrap();
            section(|| {
                guard.forget();
                lock.release().unwrap();
            });
        };
        started(child, &self.lock, keep)
    }

    fn last_look(&mut self) {
        self.owned = self.lock.locked();
    }

    fn check(self, left: bool) {
        assert!(!left || !self.owned);
        let news = acquires(&self.lock);
        assert_eq!(news == News::OwnerDied, self.owned);
    }
}
