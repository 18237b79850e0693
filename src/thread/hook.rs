//! Who is told when a thread panics?

use super::handle::Thread;
use super::object::Then;
use super::{panics, table};
use crate::error::RemoteError;
use crate::sys::atomic::{AtomicBool, Relaxed};
use crate::sys::exit::write_to_stderr;
use std::sync::Arc;

/// What a hook for panics of threads is told.
#[derive(Clone, Copy, Debug)]
pub struct ExceptHookArgs<'a> {
    thread: Option<&'a Thread>,
    panic: &'a RemoteError,
}

impl<'a> ExceptHookArgs<'a> {
    /// To [tell](excepthook) the hook of a panic oneself.
    #[must_use]
    pub fn new(thread: Option<&'a Thread>, panic: &'a RemoteError) -> Self {
        Self { thread, panic }
    }

    /// The thread that panicked; `None` when whoever tells does not say.
    #[must_use]
    pub fn thread(&self) -> Option<&'a Thread> {
        self.thread
    }

    /// Its panic: message, place, backtrace.
    #[must_use]
    pub fn panic(&self) -> &'a RemoteError {
        self.panic
    }
}

pub(super) type Hook = Arc<dyn Fn(&ExceptHookArgs<'_>) + Send + Sync>;

/// Is a hook set? For those who must not wait.
static SET: AtomicBool = AtomicBool::new(false);

pub(super) fn is_set() -> bool {
    SET.load(Relaxed)
}

fn replace(hook: Option<Hook>) {
    let before = table::with(|table| {
        SET.store(hook.is_some(), Relaxed);
        std::mem::replace(&mut table.hook, hook)
    });
    drop(before);
}

/// Calls `hook` from now on when a thread of this crate ends by a panic, on that thread: Python's `threading.excepthook`.
///
/// Without one Rust's own hook prints the panic when it happens; with one it does not. A hook that panics is told of on standard error,
/// with the panic that it was called for, and harms nobody. Threads of [`spawn`](super::spawn) are not its business: who joins them is told.
/// A forked child keeps the hook. Whether a panic will end the thread is not known when it happens: with a hook set, one that the function of a
/// thread catches itself is told to nobody.
///
/// # Examples
/// ```
/// use multiproc::threading::{self, Thread};
/// use std::sync::mpsc;
///
/// let (told, hears) = mpsc::channel();
/// threading::set_excepthook(move |args| {
///     let name = args.thread().map_or("nobody".to_owned(), Thread::name);
///     told.send(format!("{name}: {}", args.panic().message())).expect("main listens");
/// });
/// let thread = Thread::builder(|| panic!("no more bananas")).name("monkey").start()?;
/// thread.join()?;
/// assert_eq!(hears.recv().unwrap(), "monkey: no more bananas");
/// threading::reset_excepthook();
/// # Ok::<(), multiproc::Error>(())
/// ```
pub fn set_excepthook(hook: impl Fn(&ExceptHookArgs<'_>) + Send + Sync + 'static) {
    replace(Some(Arc::new(hook)));
}

/// From now on no hook is called: Rust's own prints the panics of threads.
pub fn reset_excepthook() {
    replace(None);
}

/// Writes a panic to standard error: what happens where no hook is set, for a hook that wants that too. Python's `threading.__excepthook__`.
///
/// # Examples
/// ```
/// use multiproc::threading;
///
/// threading::set_excepthook(|args| {
///     eprintln!("a thread has panicked");
///     threading::default_excepthook(args);
/// });
/// ```
pub fn default_excepthook(args: &ExceptHookArgs<'_>) {
    say("", args);
}

/// Tells the hook that is set, or standard error where none is, of a panic. In the hook that would be itself again, without an end.
pub fn excepthook(args: &ExceptHookArgs<'_>) {
    let hook = table::with(|table| table.hook.clone());
    match hook {
        Some(hook) => hook(args),
        None => say("", args),
    }
}

/// A thread of this crate has panicked.
pub(super) fn tell(thread: &Thread, panic: &RemoteError, then: Then) {
    let args = ExceptHookArgs::new(Some(thread), panic);
    let Some(hook) = table::with(|table| table.hook.clone()) else {
        // There was one when it panicked.
        if then == Then::HookFirst {
            say("", &args);
        }
        return;
    };
    if panics::catch(false, || hook(&args)).is_err() {
        say("the excepthook panicked, which was told that ", &args);
    }
    // It may be the last of its kind: somebody may have set another meanwhile.
    let _told = panics::catch(false, move || drop(hook));
}

fn say(before: &str, args: &ExceptHookArgs<'_>) {
    let backtrace = args.panic.backtrace().unwrap_or_default();
    write_to_stderr(&format!("{before}{}\n{backtrace}", args.panic));
}
