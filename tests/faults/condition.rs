//! `Condition`: a notify reaches exactly who waits and lives, and the mark of one that dies before it went on is passed on.

use crate::row::{Keep, Row, Scene, row};
use crate::survivor::{News, PATIENCE, Waiter, started, warm};
use crate::tracee::section;
use multiproc::{Condition, ErrorKind, Lock, Process, Queue, TryAcquireError};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::cell::Cell;
use std::path::Path;
use std::time::Duration;

pub(crate) fn rows() -> Vec<Row> {
    vec![
        row::<Wait>("condition::wait", "sleeps, is notified, has the lock again"),
        row::<WaitAmongTwo>(
            "condition::wait_among_two",
            "one of two is notified: the mark is the child's, or is passed on",
        ),
        row::<TimesOut>("condition::times_out", "wait_timeout sleeps, gives up"),
        row::<Notify>("condition::notify", "two wait, one is notified"),
        row::<NotifyAll>("condition::notify_all", "two wait, both are notified"),
        row::<PassesOn>(
            "condition::passes_on",
            "joins a process that died notified, while another one waits",
        )
        .long(),
    ]
}

/// Takes the lock, with what it heard; calls `inside` when its data are said to be in order.
fn with_lock<R>(condition: &Condition, inside: impl FnOnce() -> R) -> (News, R) {
    match condition.acquire_timeout(PATIENCE) {
        Ok(_guard) => (News::None, inside()),
        Err(TryAcquireError::OwnerDied(news)) => {
            let _guard = news.repaired();
            (News::OwnerDied, inside())
        }
        Err(TryAcquireError::Busy) => panic!("the lock cannot be had: busy"),
        Err(TryAcquireError::Failed(error)) => panic!("the lock cannot be had: {error}"),
    }
}

/// Waits with the lock held; the news of a death is only noted.
fn waits(condition: &Condition) {
    match condition.wait() {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::OwnerDied => condition.repaired().unwrap(),
        Err(error) => panic!("the wait failed: {error}"),
    }
}

/// A thread that waits to be notified, once.
fn waiter(condition: &Condition) -> Waiter<()> {
    let condition = condition.clone();
    Waiter::asleep_in(move || {
        let _news_and = with_lock(&condition, || waits(&condition));
    })
}

/// Nobody waits, and one who comes can be notified.
fn works(condition: &Condition) {
    let (news, notified) = with_lock(condition, || condition.notify_all().unwrap());
    assert_eq!((news, notified), (News::None, 0));
    let waiter = waiter(condition);
    let (_, notified) = with_lock(condition, || condition.notify(5).unwrap());
    assert_eq!(notified, 1, "the dead do not count");
    waiter.result();
    assert!(!condition.locked());
}

/// In the child: the section is one `wait`, with the lock held before and after.
fn waits_in_section(condition: Condition, taken: Lock) {
    warm(&taken);
    let _guard = condition.acquire().unwrap();
    section(|| condition.wait().unwrap());
}

struct Wait {
    condition: Condition,
    notified: bool,
    owned: bool,
}

impl Scene for Wait {
    const SLEEPS: bool = true;

    fn prepare() -> Self {
        Self {
            condition: Condition::new().unwrap(),
            notified: false,
            owned: false,
        }
    }

    fn start(&self, keep: &Keep) -> Process {
        started(waits_in_section, &self.condition, keep)
    }

    fn asleep(&mut self) {
        if !self.notified {
            let (_, notified) = with_lock(&self.condition, || self.condition.notify(1).unwrap());
            assert_eq!(notified, 1, "it sleeps");
            self.notified = true;
        }
    }

    fn last_look(&mut self) {
        self.owned = self.condition.locked();
    }

    fn check(self, left: bool) {
        assert!(!left || self.notified && self.owned);
        let (news, notified) = with_lock(&self.condition, || self.condition.notify_all().unwrap());
        assert_eq!((news == News::OwnerDied, notified), (self.owned, 0));
        works(&self.condition);
    }
}

/// The child waits first, then a thread of the survivor; one is notified.
struct WaitAmongTwo {
    condition: Condition,
    other: Option<Waiter<()>>,
    owned: bool,
}

impl Scene for WaitAmongTwo {
    const SLEEPS: bool = true;

    fn prepare() -> Self {
        Self {
            condition: Condition::new().unwrap(),
            other: None,
            owned: false,
        }
    }

    fn start(&self, keep: &Keep) -> Process {
        started(waits_in_section, &self.condition, keep)
    }

    fn asleep(&mut self) {
        if self.other.is_none() {
            self.other = Some(waiter(&self.condition));
            let (_, notified) = with_lock(&self.condition, || self.condition.notify(1).unwrap());
            assert_eq!(notified, 1, "two sleep");
        }
    }

    fn last_look(&mut self) {
        self.owned = self.condition.locked();
    }

    fn check(self, left: bool) {
        let Some(other) = self.other else {
            let (news, notified) =
                with_lock(&self.condition, || self.condition.notify_all().unwrap());
            assert_eq!((news == News::OwnerDied, notified), (self.owned, 0));
            return works(&self.condition);
        };
        if !left && !self.owned {
            // The child had not come back: whatever it had of the wake-up is the other one's.
            other.result();
        } else {
            let (_, notified) = with_lock(&self.condition, || self.condition.notify_all().unwrap());
            assert!(notified <= 1 && (!left || notified == 1), "{notified}");
            other.result();
        }
        works(&self.condition);
    }
}

struct TimesOut {
    condition: Condition,
    other: Option<Waiter<()>>,
    owned: bool,
}

impl Scene for TimesOut {
    const SLEEPS: bool = true;

    fn prepare() -> Self {
        Self {
            condition: Condition::new().unwrap(),
            other: None,
            owned: false,
        }
    }

    fn start(&self, keep: &Keep) -> Process {
        let child = |condition: Condition, taken: Lock| {
            warm(&taken);
            let _guard = condition.acquire().unwrap();
            let notified = section(|| {
                let timeout = Duration::from_millis(80);
                condition.wait_timeout(timeout).unwrap()
            });
            assert!(!notified);
        };
        started(child, &self.condition, keep)
    }

    fn asleep(&mut self) {
        if self.other.is_none() {
            self.other = Some(waiter(&self.condition));
        }
    }

    fn last_look(&mut self) {
        self.owned = self.condition.locked();
    }

    fn check(self, left: bool) {
        assert!(!left || self.owned);
        let (news, notified) = with_lock(&self.condition, || self.condition.notify(2).unwrap());
        // The one that timed out, or died on its way there, is not counted; the other one is.
        assert_eq!(notified, usize::from(self.other.is_some()));
        assert_eq!(news == News::OwnerDied, self.owned);
        self.other.into_iter().for_each(Waiter::result);
        works(&self.condition);
    }
}

/// Two threads of the survivor wait; the child dies with the lock, while it notifies them.
struct Notified {
    condition: Condition,
    sleepers: Vec<Waiter<()>>,
}

impl Notified {
    fn new() -> Self {
        Self {
            condition: Condition::new().unwrap(),
            sleepers: Vec::new(),
        }
    }

    /// As many as the child did not notify are left, and no more.
    fn check(self, most: usize, left: bool) {
        let (_, rest) = with_lock(&self.condition, || self.condition.notify_all().unwrap());
        let least = 2 - most;
        assert!((least..=2).contains(&rest), "{rest} left");
        assert!(!left || rest == least, "{rest} left");
        self.sleepers.into_iter().for_each(Waiter::result);
        works(&self.condition);
    }
}

/// Starts a child whose section is `notify(n)`, when two wait.
fn notifies(condition: &Condition, n: usize, keep: &Keep) -> Process {
    let child = |(condition, go, n): (Condition, Queue<()>, usize), taken: Lock| {
        warm(&taken);
        go.get().unwrap();
        let _guard = condition.acquire().unwrap();
        section(|| condition.notify(n).unwrap());
    };
    let go = Queue::new().unwrap();
    let process = started(child, &(condition.clone(), go.clone(), n), keep);
    go.put(()).unwrap();
    process
}

struct Notify(Notified);

impl Scene for Notify {
    fn prepare() -> Self {
        let mut notified = Notified::new();
        notified.sleepers = vec![waiter(&notified.condition), waiter(&notified.condition)];
        Self(notified)
    }

    fn start(&self, keep: &Keep) -> Process {
        notifies(&self.0.condition, 1, keep)
    }

    fn check(self, left: bool) {
        self.0.check(1, left);
    }
}

struct NotifyAll(Notified);

impl Scene for NotifyAll {
    fn prepare() -> Self {
        let mut notified = Notified::new();
        notified.sleepers = vec![waiter(&notified.condition), waiter(&notified.condition)];
        Self(notified)
    }

    fn start(&self, keep: &Keep) -> Process {
        notifies(&self.0.condition, usize::MAX, keep)
    }

    fn check(self, left: bool) {
        self.0.check(2, left);
    }
}

/// Waits, is stopped, is notified, dies: all before the section, which settles it.
struct PassesOn {
    condition: Condition,
    /// The waiter's pid, and that somebody else waits too.
    pid: Queue<u32>,
    go: Queue<()>,
    other: Cell<Option<Waiter<()>>>,
}

impl Scene for PassesOn {
    fn prepare() -> Self {
        Self {
            condition: Condition::new().unwrap(),
            pid: Queue::new().unwrap(),
            go: Queue::new().unwrap(),
            other: Cell::new(None),
        }
    }

    fn start(&self, keep: &Keep) -> Process {
        let child = |(condition, pid, go): (Condition, Queue<u32>, Queue<()>), taken: Lock| {
            warm(&taken);
            let waits = |condition: Condition, pid: Queue<u32>| {
                let _guard = condition.acquire().unwrap();
                pid.put(std::process::id()).unwrap();
                condition.wait().unwrap();
            };
            let arguments = (condition.clone(), pid.clone());
            let process = Process::builder(waits, arguments).start().unwrap();
            go.get().unwrap();
            process.kill().unwrap();
            while Path::new(&format!("/proc/{}", process.pid().unwrap())).exists() {
                std::thread::yield_now();
            }
            assert_eq!(section(|| process.join()).unwrap(), -9);
        };
        let objects = (self.condition.clone(), self.pid.clone(), self.go.clone());
        let process = started(child, &objects, keep);
        let waiting = Pid::from_raw(self.pid.get().unwrap().cast_signed());
        // When the lock can be had it waits; then it stands still.
        with_lock(&self.condition, || {
            kill(waiting, Signal::SIGSTOP).unwrap();
        });
        self.other.set(Some(waiter(&self.condition)));
        let (_, notified) = with_lock(&self.condition, || self.condition.notify(1).unwrap());
        assert_eq!(notified, 1);
        self.go.put(()).unwrap();
        process
    }

    fn check(self, _left: bool) {
        self.other.take().unwrap().result();
        works(&self.condition);
    }
}
