//! How does a thread begin, and how does it end?

use super::handle::{Thread, misuse};
use super::object::{Panicked, Then};
use super::{current, end, hook, panics, table};
use crate::error::{Error, ErrorKind, Result};
use crate::sys::atomic::{AtomicUsize, Relaxed};
use crate::sys::{atfork, exit, os_thread, thread};

/// The least that may be asked for.
const LEAST_STACK: usize = 32 << 10;

/// What new threads get; 0 for the default.
static STACK_SIZE: AtomicUsize = AtomicUsize::new(0);

/// How many bytes of stack new threads get; 0 is the default, which is 2 MiB.
#[must_use]
pub fn stack_size() -> usize {
    STACK_SIZE.load(Relaxed)
}

/// From now on new threads get a stack of `bytes`, where [`ThreadBuilder::stack_size`](super::ThreadBuilder::stack_size) does not say
/// otherwise; 0 is the default. The answer is what held before.
///
/// # Errors
/// [`ErrorKind::InvalidInput`] for less than 32 KiB.
///
/// # Examples
/// ```
/// use multiproc::threading;
///
/// assert_eq!(threading::set_stack_size(256 << 10)?, 0);
/// assert_eq!(threading::stack_size(), 256 << 10);
/// assert!(threading::set_stack_size(4096).is_err());
/// # Ok::<(), multiproc::Error>(())
/// ```
pub fn set_stack_size(bytes: usize) -> Result<usize> {
    check_stack(bytes)?;
    Ok(STACK_SIZE.swap(bytes, Relaxed))
}

fn check_stack(bytes: usize) -> Result<()> {
    if bytes == 0 || bytes >= LEAST_STACK {
        return Ok(());
    }
    let text = format!("a stack has at least {LEAST_STACK} bytes, not {bytes}");
    Err(Error::new(ErrorKind::InvalidInput, text))
}

/// Starts the system's thread, and returns when it runs.
pub(super) fn start(thread: &Thread) -> Result<()> {
    panics::install();
    let object = &thread.object;
    let (name, stack) = claim(thread)?;
    if !thread.daemon() {
        end::install();
    }
    let life = thread.clone();
    match os_thread::spawn(&name, stack, move || live(&life)) {
        Ok(system) => object.note_system(system),
        Err(error) => {
            let listed = table::with(|table| {
                object.unclaim();
                table.others.remove(&object.key)
            });
            drop(listed);
            return Err(Error::os(format!("start thread {name}"), error));
        }
    }
    object.await_begin();
    Ok(())
}

/// Lists it, as one that somebody starts; says what it is called, and how much stack it gets.
fn claim(thread: &Thread) -> Result<(String, usize)> {
    let object = &thread.object;
    table::with(|table| {
        let rest = object.rest.lock();
        let asked = rest.plan.as_ref().and_then(|plan| plan.stack);
        let stack = asked.unwrap_or_else(stack_size);
        check_stack(stack)?;
        if table.closed && !thread.daemon() {
            return misuse("the program is ending: only daemon threads can be started");
        }
        if !object.claim() {
            return misuse("a thread can be started once");
        }
        table.others.insert(object.key, thread.clone());
        Ok((
            rest.name.clone(),
            if stack == 0 { os_thread::STACK } else { stack },
        ))
    })
}

/// Tells the end of a thread, whatever has happened in it.
struct End<'a> {
    thread: &'a Thread,
    /// Somebody will tell when its variables are gone.
    more_follows: bool,
}

impl Drop for End<'_> {
    fn drop(&mut self) {
        let object = &self.thread.object;
        let listed = table::with(|table| table.others.remove(&object.key));
        if self.more_follows {
            object.end();
        } else {
            object.be_over();
        }
        drop(listed);
    }
}

/// The life of a new thread. It does not unwind.
fn live(thread: &Thread) {
    let _end = End {
        thread,
        more_follows: current::become_thread(thread),
    };
    // The function's own panics are caught in its body. What is dropped here may panic, too.
    let _told = panics::catch(false, || run(thread));
}

fn run(thread: &Thread) {
    let object = &thread.object;
    let plan = table::with(|_| object.rest.lock().plan.take());
    object.begin(thread::gettid());
    let generation = atfork::generation();
    let panicked = plan.and_then(|plan| (plan.body)());
    let failed = panicked.is_some();
    if let Some(panicked) = panicked {
        tell(thread, panicked);
    }
    if atfork::generation() != generation {
        // The function has forked and returns in the child, where this is the main thread.
        exit::flush_output();
        exit::end(i32::from(failed) * FAILED);
    }
}

/// The exit code of a program whose main thread has panicked.
const FAILED: i32 = 101;

fn tell(thread: &Thread, panicked: Panicked) {
    let Panicked { panic, then } = panicked;
    let remote = panic.into_thread_error(thread.name());
    table::with(|_| thread.object.rest.lock().panic = Some(remote.clone()));
    if then != Then::Joiner {
        hook::tell(thread, &remote, then);
    }
}
