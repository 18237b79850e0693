//! Which threads are there, and may there be more?

use super::handle::Thread;
use super::hook::Hook;
use super::object::{Kind, Object};
use crate::sys::atfork::{self, Forkable};
use crate::sys::atomic::{Acquire, AtomicBool, AtomicU64, Relaxed, Release};
use crate::sys::private::Private;
use std::collections::BTreeMap;
use std::mem::ManuallyDrop;

/// The threads of this process, in the order in which they were made.
#[derive(Default)]
pub(super) struct Table {
    pub(super) main: Option<Thread>,
    /// Those that run, or are about to, but the main one.
    pub(super) others: BTreeMap<u64, Thread>,
    /// The main thread is done; others are waited for.
    pub(super) ending: bool,
    /// Nobody is waited for any more.
    pub(super) closed: bool,
    pub(super) hook: Option<Hook>,
}

impl Table {
    /// The main thread.
    pub(super) fn main(&mut self) -> &Thread {
        let ending = self.ending;
        self.main.get_or_insert_with(|| {
            let pid = std::process::id();
            let main = Object::running(Kind::Main, "MainThread".to_owned(), pid);
            if ending {
                main.be_over();
            }
            Thread::of(main)
        })
    }
}

/// A forked child has none of these threads, but what is told of the next panic stays.
struct Threads(Private<Table>);

impl Forkable for Threads {
    fn before(&self) {
        self.0.acquire();
    }

    fn after(&self) {
        self.0.release();
    }

    fn child(&self) {
        self.0.release();
        let mut table = self.0.lock();
        let hook = table.hook.take();
        let anew = Table {
            hook,
            ..Table::default()
        };
        // The parent's threads stay where they are: dropping them here would run the parent's destructors.
        let _parents = ManuallyDrop::new(std::mem::replace(&mut *table, anew));
    }
}

static THREADS: Threads = Threads(Private::new(Table {
    main: None,
    others: BTreeMap::new(),
    ending: false,
    closed: false,
    hook: None,
}));

/// Looks at the table, or changes it. What is dropped in there must not be the last of its kind.
pub(super) fn with<R>(look: impl FnOnce(&mut Table) -> R) -> R {
    register();
    look(&mut THREADS.0.lock())
}

/// The same, unless somebody is at it.
pub(super) fn try_with<R>(look: impl FnOnce(&mut Table) -> R) -> Option<R> {
    register();
    THREADS.0.try_lock().map(|mut table| look(&mut table))
}

/// Says once a process image what a fork must do to the table: before `main` where that is possible.
pub(crate) fn register() {
    static TABLE: &dyn Forkable = &THREADS;
    static DONE: AtomicBool = AtomicBool::new(false);
    static DOING: Private<()> = Private::new(());
    if DONE.load(Acquire) {
        return;
    }
    let _doing = DOING.lock();
    if !DONE.load(Relaxed) {
        atfork::register(&[&TABLE]);
        DONE.store(true, Release);
    }
}

static NUMBERS: AtomicU64 = AtomicU64::new(1);

/// The next name of that kind, as `Thread-5`. All kinds are counted together.
pub(super) fn next_name(kind: &str) -> String {
    format!("{kind}-{}", NUMBERS.fetch_add(1, Relaxed))
}
