//! What a program wants done at the end of a process, and around a fork of it.

use super::exit;
use super::start;
use crate::sys::atfork::Kept;
use crate::sys::exit::write_to_stderr;
use crate::sys::private::Private;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

type AtExit = Box<dyn FnOnce() + Send>;

/// A forked child starts with none.
pub(super) static EXITS: Private<Vec<AtExit>> = Private::new(Vec::new());

/// Calls `function` at the normal end of *this* process: when `main` returns or `exit` is called, and in a child when its function is
/// done. The last one registered is called first; then daemons are terminated and other children are joined.
///
/// A panic in it is printed and harms nobody; `exit` in it aborts a program, as std says, and ends a child. A process that is killed calls none; a child has none of its parent's.
///
/// # Examples
/// ```
/// multiproc::at_exit(|| println!("that was it"));
/// ```
pub fn at_exit(function: impl FnOnce() + Send + 'static) {
    start::register_tables();
    exit::install_for_parent();
    EXITS.lock().push(Box::new(function));
}

/// Calls what was registered, the last first; also what these functions register.
pub(super) fn run_exits() {
    loop {
        let Some(function) = EXITS.lock().pop() else {
            return;
        };
        if catch_unwind(AssertUnwindSafe(function)).is_err() {
            write_to_stderr("a function registered by at_exit panicked\n");
        }
    }
}

type AtFork = Arc<dyn Fn() + Send + Sync>;

#[derive(Clone)]
pub(super) struct Hook {
    before: AtFork,
    parent: AtFork,
    child: AtFork,
}

pub(super) static FORKS: Kept<Vec<Hook>> = Kept::new(Vec::new());

/// Calls `before` before each fork of this process by this crate ([`Process::fork`](crate::Process::fork),
/// [`StartMethod::Fork`](crate::StartMethod::Fork), [`os::fork`](crate::os::fork)), `parent` after it, and `child` first thing in the child:
/// Python's `os.register_at_fork`.
///
/// It is for locks that a child shall not inherit locked: take them before, give them back on both sides. The last one registered is
/// called first before the fork, and last after it. Forks by the fork server are forks of the server, not of this process. A function
/// that panics does so in whoever forks; in the child that is the end of it.
///
/// # Examples
/// ```
/// use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
///
/// static FORKS: AtomicU32 = AtomicU32::new(0);
///
/// multiproc::at_fork(|| (), || _ = FORKS.fetch_add(1, Relaxed), || FORKS.store(100, Relaxed));
/// let child = multiproc::fork(|| FORKS.load(Relaxed))?;
/// assert_eq!(child.join()?, 100);
/// assert_eq!(FORKS.load(Relaxed), 1);
/// # Ok::<(), multiproc::Error>(())
/// ```
pub fn at_fork(
    before: impl Fn() + Send + Sync + 'static,
    parent: impl Fn() + Send + Sync + 'static,
    child: impl Fn() + Send + Sync + 'static,
) {
    start::register_tables();
    FORKS.lock().push(Hook {
        before: Arc::new(before),
        parent: Arc::new(parent),
        child: Arc::new(child),
    });
}

/// The hooks of one fork: those that were there when it began.
pub(super) struct Around(Vec<Hook>);

/// Calls the first of each hook. They are called without the lock: they may register others.
pub(super) fn before_fork() -> Around {
    let hooks = FORKS.lock().clone();
    hooks.iter().rev().for_each(|hook| (hook.before)());
    Around(hooks)
}

impl Around {
    pub(super) fn in_parent(&self) {
        self.0.iter().for_each(|hook| (hook.parent)());
    }

    pub(super) fn in_child(&self) {
        self.0.iter().for_each(|hook| (hook.child)());
    }
}
