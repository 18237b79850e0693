//! What is behind a handle of a thread: its words, and what else is known of it.

use super::table;
use crate::error::RemoteError;
use crate::sys::atfork;
use crate::sys::atomic::{AcqRel, Acquire, AtomicBool, AtomicU32, AtomicU64, Relaxed, Release};
use crate::sys::clock::Deadline;
use crate::sys::futex::{self, Scope};
use crate::sys::os_thread::OsThread;
use crate::sys::private::Private;
use std::sync::Arc;
use std::time::Duration;

/// It was not started.
pub(super) const READY: u32 = 0;
/// It is about to run.
pub(super) const STARTING: u32 = 1;
/// It runs.
pub(super) const RUNNING: u32 = 2;
/// Its function is done.
pub(super) const ENDED: u32 = 3;
/// What it had in thread-local variables is gone, too.
const OVER: u32 = 4;
/// It has called `exit`, which never returns: it will not end before the process does.
pub(super) const LEFT: u32 = 5;

/// Who started the system's thread has not noted it yet.
const ABSENT: u32 = 0;
/// Whoever wants to join the system's thread may.
const THERE: u32 = 1;
/// Somebody joins it.
const TAKEN: u32 = 2;
/// Nobody needs to wait for it any more.
const GONE: u32 = 3;

/// Which sort of thread it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Made by this crate; with Python's name of its class.
    Own(&'static str),
    /// The one that the process began with.
    Main,
    /// Made elsewhere.
    Foreign,
}

/// What a thread runs, and whether the hook is told of its panic.
pub(super) struct Plan {
    pub(super) body: Box<dyn FnOnce() -> Option<Panicked> + Send>,
    pub(super) stack: Option<usize>,
}

/// A panic that ended a thread.
pub(super) struct Panicked {
    pub(super) panic: super::Panic,
    pub(super) then: Then,
}

/// Who else is told of a panic that ended a thread.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    /// The hook, if there is one; it was printed.
    Hook,
    /// The hook; nobody was told yet.
    HookFirst,
    /// Whoever joins.
    Joiner,
}

/// What changes rarely. It is looked at under the lock of the table only, so that no fork copies it locked or half changed.
pub(super) struct Rest {
    pub(super) name: String,
    pub(super) plan: Option<Plan>,
    pub(super) system: Option<OsThread>,
    pub(super) panic: Option<RemoteError>,
}

pub(super) struct Object {
    /// No other object of this process, or of those that it was forked from, has it.
    pub(super) key: u64,
    pub(super) kind: Kind,
    stage: AtomicU32,
    /// The generation of forks in which it was started.
    started_in: AtomicU32,
    /// The kernel's number of it, from its start on.
    number: AtomicU32,
    pub(super) daemon: AtomicBool,
    system: AtomicU32,
    pub(super) rest: Private<Rest>,
}

static KEYS: AtomicU64 = AtomicU64::new(1);

const LONG: Duration = Duration::from_secs(3600);

/// Waits while `word` is as it may be; `false` when the deadline has come first.
pub(super) fn wait_while(
    word: &AtomicU32,
    deadline: Deadline,
    stays: impl Fn(u32) -> bool,
) -> bool {
    loop {
        let now = word.load(Acquire);
        if !stays(now) {
            return true;
        }
        let slice = deadline.slice(LONG);
        if slice.is_zero() {
            return false;
        }
        futex::wait(word, now, slice, Scope::Private);
    }
}

/// Wakes all who wait for a change of `word`.
pub(super) fn wake(word: &AtomicU32) {
    futex::wake(word, u32::MAX, Scope::Private);
}

impl Object {
    /// One that can be started.
    pub(super) fn new(class: &'static str, name: String, daemon: bool, plan: Plan) -> Self {
        Self::of(Kind::Own(class), READY, name, daemon, Some(plan))
    }

    /// One that runs already.
    pub(super) fn running(kind: Kind, name: String, number: u32) -> Self {
        let object = Self::of(kind, RUNNING, name, kind == Kind::Foreign, None);
        object.begin(number);
        // Nobody joins what we have not made.
        object.system.store(GONE, Relaxed);
        object
    }

    fn of(kind: Kind, stage: u32, name: String, daemon: bool, plan: Option<Plan>) -> Self {
        Self {
            key: KEYS.fetch_add(1, Relaxed),
            kind,
            stage: AtomicU32::new(stage),
            started_in: AtomicU32::new(atfork::generation()),
            number: AtomicU32::new(0),
            daemon: AtomicBool::new(daemon),
            system: AtomicU32::new(ABSENT),
            rest: Private::new(Rest {
                name,
                plan,
                system: None,
                panic: None,
            }),
        }
    }

    pub(super) fn stage(&self) -> u32 {
        self.stage.load(Acquire)
    }

    pub(super) fn number(&self) -> Option<u32> {
        Some(self.number.load(Acquire)).filter(|&number| number != 0)
    }

    /// Was it started in this process, and not in one that this was forked from?
    pub(super) fn is_ours(&self) -> bool {
        self.started_in.load(Relaxed) == atfork::generation()
    }

    pub(super) fn is_alive(&self) -> bool {
        self.stage() == RUNNING && self.is_ours()
    }

    /// Under the lock of the table: somebody starts it; `false` when somebody has before.
    pub(super) fn claim(&self) -> bool {
        let ready = self.stage() == READY;
        if ready {
            self.started_in.store(atfork::generation(), Relaxed);
            self.stage.store(STARTING, Relaxed);
        }
        ready
    }

    /// It could not be started.
    pub(super) fn unclaim(&self) {
        self.stage.store(READY, Release);
        wake(&self.stage);
    }

    /// In the new thread, or for one that runs already.
    pub(super) fn begin(&self, number: u32) {
        self.number.store(number, Release);
        self.stage.store(RUNNING, Release);
        wake(&self.stage);
    }

    /// Its function is done.
    pub(super) fn end(&self) {
        self.enter(ENDED);
    }

    /// Its thread is about to be gone, and nothing of the user's runs in it any more.
    pub(super) fn be_over(&self) {
        self.enter(OVER);
    }

    pub(super) fn is_over(&self) -> bool {
        self.stage() == OVER
    }

    /// It will not end.
    pub(super) fn give_up(&self) {
        let left = |stage| (stage != OVER).then_some(LEFT);
        let _over = self.stage.fetch_update(AcqRel, Acquire, left);
        wake(&self.stage);
    }

    fn enter(&self, stage: u32) {
        self.stage.store(stage, Release);
        wake(&self.stage);
    }

    /// Returns when its function is done or will not go on, or when it could not be started; `false` when the deadline has come first.
    pub(super) fn await_end(&self, deadline: Deadline) -> bool {
        wait_while(&self.stage, deadline, |stage| {
            stage == STARTING || stage == RUNNING
        })
    }

    /// Returns when nothing of the user's runs in its thread any more, after its function was done; `false` when the deadline has come first.
    pub(super) fn await_over(&self, deadline: Deadline) -> bool {
        wait_while(&self.stage, deadline, |stage| stage == ENDED)
    }

    /// The main thread goes on as another thread of the system's.
    pub(super) fn move_to(&self, number: u32) {
        self.number.store(number, Release);
    }

    /// Returns when it runs, or has.
    pub(super) fn await_begin(&self) {
        wait_while(&self.stage, Deadline::NEVER, |stage| stage == STARTING);
    }

    /// Notes the system's thread.
    pub(super) fn note_system(&self, system: OsThread) {
        table::with(|_| self.rest.lock().system = Some(system));
        let _given_up = self.system.compare_exchange(ABSENT, THERE, AcqRel, Acquire);
        wake(&self.system);
    }

    /// Returns when the system's thread is gone, after it was over.
    pub(super) fn await_system(&self) {
        loop {
            let mine = self.system.compare_exchange(THERE, TAKEN, AcqRel, Acquire);
            match mine {
                Ok(_) => break,
                Err(GONE) => return,
                Err(now) => {
                    futex::wait(&self.system, now, LONG, Scope::Private);
                }
            }
        }
        let system = table::with(|_| self.rest.lock().system.take());
        if let Some(system) = system {
            let _ended_well = system.join();
        }
        self.system.store(GONE, Release);
        wake(&self.system);
    }
}

/// A counted object.
pub(super) type Shared = Arc<Object>;
