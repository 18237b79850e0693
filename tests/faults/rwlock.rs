//! `RwLock`: a reader or a writer that dies is news for the next one of either kind.

use crate::owned::{self, Owned, heard, heard_in_time};
use crate::row::{Keep, Row, Scene, row};
use crate::survivor::{Holder, News, Waiter, acquires, started, warm};
use crate::tracee::section;
use multiproc::sync::{AcrossProcesses, RwLockReadGuard, RwLockWriteGuard};
use multiproc::{AcquireError, Lock, Process, RwLock, TryAcquireError};
use serde::{Deserialize, Serialize};
use std::time::Duration;

pub(crate) fn rows() -> Vec<Row> {
    let mut rows = acquires_of_both_kinds();
    rows.extend(releases_and_take_overs());
    rows
}

fn acquires_of_both_kinds() -> Vec<Row> {
    vec![
        row::<owned::AcquireFree<Writes>>("rwlock::write_free", "nobody has it"),
        row::<owned::AcquireFree<Reads>>("rwlock::read_free", "nobody has it"),
        row::<ReadBeside>(
            "rwlock::read_beside_a_reader",
            "reads and lets go while a survivor reads",
        ),
        row::<owned::AcquireTaken<Writes>>("rwlock::write_taken", "sleeps until a writer lets go"),
        row::<owned::AcquireTaken<WritesAfterReader>>(
            "rwlock::write_after_reader",
            "sleeps until a reader lets go",
        ),
        row::<owned::AcquireTaken<Reads>>("rwlock::read_taken", "sleeps until a writer lets go"),
        row::<owned::AcquireAmongTwo<Writes>>(
            "rwlock::write_among_two",
            "is woken while another writer sleeps",
        ),
        row::<WriterBeforeReader>(
            "rwlock::waiting_writer",
            "sleeps behind a reader while another reader waits behind it",
        ),
        row::<owned::TimesOut<Writes>>("rwlock::write_times_out", "sleeps, gives up").long(),
        row::<owned::TimesOut<WritesAfterReader>>(
            "rwlock::write_times_out_after_reader",
            "sleeps, gives up",
        ),
        row::<owned::TimesOut<Reads>>("rwlock::read_times_out", "sleeps, gives up"),
    ]
}

fn releases_and_take_overs() -> Vec<Row> {
    vec![
        row::<owned::ReleaseFree<Writes>>("rwlock::release_write", "nobody waits for it"),
        row::<owned::ReleaseFree<Reads>>("rwlock::release_read", "nobody waits for it"),
        row::<owned::ReleaseWithSleeper<Writes>>(
            "rwlock::release_write_with_sleeper",
            "a writer waits",
        ),
        row::<owned::ReleaseWithSleeper<WritesAfterReader>>(
            "rwlock::release_write_with_reader",
            "a reader waits",
        ),
        row::<owned::ReleaseWithSleeper<Reads>>(
            "rwlock::release_read_with_sleeper",
            "a writer waits",
        ),
        row::<owned::TakeOver<Writes>>("rwlock::take_over", "a writer died; repair, release"),
        row::<owned::TakeOver<WritesAfterReader>>(
            "rwlock::take_over_by_reader",
            "a writer died, and a reader hears it; repair, release",
        ),
        row::<owned::TakeOver<Reads>>(
            "rwlock::take_over_from_reader",
            "a reader died; repair, release",
        ),
    ]
}

/// A lock that is written to, against other writers.
#[derive(Clone, Serialize, Deserialize)]
struct Writes(RwLock);

/// A lock that is written to, against readers.
#[derive(Clone, Serialize, Deserialize)]
struct WritesAfterReader(RwLock);

/// A lock that is read, against writers.
#[derive(Clone, Serialize, Deserialize)]
struct Reads(RwLock);

impl Owned for Writes {
    type Guard<'a> = RwLockWriteGuard<'a, AcrossProcesses>;
    type Against = Self;

    fn make() -> Self {
        Self(RwLock::new().unwrap())
    }

    fn against(&self) -> Self {
        self.clone()
    }

    fn acquire(&self) -> (News, RwLockWriteGuard<'_, AcrossProcesses>) {
        heard!(self.0.write(), AcquireError)
    }

    fn acquire_timeout(
        &self,
        timeout: Duration,
    ) -> Option<(News, RwLockWriteGuard<'_, AcrossProcesses>)> {
        heard_in_time!(self.0.write_timeout(timeout))
    }

    fn is_owned(&self) -> bool {
        self.0.locked()
    }

    const EXACT: bool = false;
}

impl Owned for WritesAfterReader {
    type Guard<'a> = RwLockWriteGuard<'a, AcrossProcesses>;
    type Against = Reads;

    fn make() -> Self {
        Self(RwLock::new().unwrap())
    }

    fn against(&self) -> Reads {
        Reads(self.0.clone())
    }

    fn acquire(&self) -> (News, RwLockWriteGuard<'_, AcrossProcesses>) {
        heard!(self.0.write(), AcquireError)
    }

    fn acquire_timeout(
        &self,
        timeout: Duration,
    ) -> Option<(News, RwLockWriteGuard<'_, AcrossProcesses>)> {
        heard_in_time!(self.0.write_timeout(timeout))
    }

    fn is_owned(&self) -> bool {
        self.0.locked()
    }

    const EXACT: bool = false;
}

impl Owned for Reads {
    type Guard<'a> = RwLockReadGuard<'a, AcrossProcesses>;
    type Against = Writes;

    fn make() -> Self {
        Self(RwLock::new().unwrap())
    }

    fn against(&self) -> Writes {
        Writes(self.0.clone())
    }

    fn acquire(&self) -> (News, RwLockReadGuard<'_, AcrossProcesses>) {
        heard!(self.0.read(), AcquireError)
    }

    fn acquire_timeout(
        &self,
        timeout: Duration,
    ) -> Option<(News, RwLockReadGuard<'_, AcrossProcesses>)> {
        heard_in_time!(self.0.read_timeout(timeout))
    }

    fn is_owned(&self) -> bool {
        self.0.readers() > 0
    }
}

/// A survivor reads all the time; the child comes and goes.
struct ReadBeside {
    lock: RwLock,
    holder: Holder,
    read: bool,
}

impl Scene for ReadBeside {
    fn prepare() -> Self {
        let lock = RwLock::new().unwrap();
        Self {
            holder: Holder::of(&Reads(lock.clone())),
            lock,
            read: false,
        }
    }

    fn start(&self, keep: &Keep) -> Process {
        let child = |lock: RwLock, taken: Lock| {
            warm(&taken);
            section(|| drop(lock.read()));
        };
        started(child, &self.lock, keep)
    }

    fn last_look(&mut self) {
        self.read = self.lock.readers() == 2;
    }

    fn check(mut self, left: bool) {
        assert!(!left || !self.read);
        assert!(!self.lock.locked());
        let busy = matches!(self.lock.try_write(), Err(TryAcquireError::Busy));
        assert!(busy, "the survivor still reads");
        self.holder.release();
        let news = acquires(&Writes(self.lock.clone()));
        assert_eq!(news == News::OwnerDied, self.read);
        assert_eq!(self.lock.readers(), 0);
    }
}

/// A survivor reads; the child waits to write, and behind it another survivor waits to read.
struct WriterBeforeReader {
    lock: RwLock,
    holder: Holder,
    reader: Option<Waiter<News>>,
}

impl Scene for WriterBeforeReader {
    const SLEEPS: bool = true;

    fn prepare() -> Self {
        let lock = RwLock::new().unwrap();
        Self {
            holder: Holder::of(&Reads(lock.clone())),
            lock,
            reader: None,
        }
    }

    fn start(&self, keep: &Keep) -> Process {
        let child = |lock: RwLock, taken: Lock| {
            warm(&taken);
            section(|| drop(lock.write()));
        };
        started(child, &self.lock, keep)
    }

    fn asleep(&mut self) {
        if self.reader.is_none() {
            self.reader = Some(owned::waiter(&Reads(self.lock.clone())));
            self.holder.release();
        }
    }

    fn check(mut self, left: bool) {
        // A writer that died while it waited keeps nobody out, and one that had it is news.
        self.holder.release();
        let heard = self.reader.map(Waiter::result);
        assert!(!left || heard == Some(News::None));
        let _news = acquires(&Writes(self.lock.clone()));
        assert_eq!(acquires(&Reads(self.lock.clone())), News::None);
    }
}
