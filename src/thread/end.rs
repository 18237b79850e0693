//! Who waits for the threads at the end of the program?

use super::current;
use super::handle::Thread;
use super::table;
use crate::sys::atomic::{AtomicBool, AtomicU32, Relaxed, SeqCst};
use crate::sys::clock::Deadline;
use crate::sys::{atfork, exit, os_thread};
use std::time::{Duration, Instant};

/// How long a thread is waited for before somebody looks who can still end.
const SLICE: Duration = Duration::from_millis(50);

/// Who looks waits for so many times as long as that took.
const PATIENCE: u32 = 16;

/// The end of the program has had to wait for somebody.
static WAITED: AtomicBool = AtomicBool::new(false);

/// Once a process, when it starts the first thread that is to be waited for. A forked child inherits the handler, but not when its parent
/// was ending already; twice does no harm.
pub(super) fn install() {
    /// More by one than the generation.
    static INSTALLED: AtomicU32 = AtomicU32::new(0);
    let generation = atfork::generation().wrapping_add(1);
    if INSTALLED.swap(generation, SeqCst) != generation {
        exit::at_exit(at_exit);
    }
}

extern "C" fn at_exit() {
    join_all();
    flush_waited();
}

/// Writes what the threads that were waited for have printed. Std has looked at its output before, but not while one of them held it.
pub(crate) fn flush_waited() {
    if WAITED.swap(false, Relaxed) {
        exit::flush_output();
    }
}

/// The end of the program has begun, in this thread: returns when all threads but this one and daemons have ended. From then on only
/// daemons can be started.
///
/// A thread that has called `exit` itself, as std's other, is parked for ever by std, and so is not waited for.
pub(crate) fn join_all() {
    // It is in an exit handler: its function does not go on, so nobody needs to wait for it.
    if let Some(here) = current::made_here() {
        give_up(&here);
    }
    let main = table::with(|table| {
        table.ending = true;
        // It may have ended before anybody looks again, and std has tried its output before.
        if table.others.values().any(|thread| !thread.daemon()) {
            WAITED.store(true, Relaxed);
        }
        table.main.clone()
    });
    if let Some(main) = main {
        main.object.be_over();
    }
    let mut slice = SLICE;
    while let Some(thread) = next() {
        WAITED.store(true, Relaxed);
        if !thread.object.await_end(Deadline::after(slice)) {
            slice = SLICE.max(PATIENCE * give_up_parked());
        }
    }
}

/// Somebody to wait for.
fn next() -> Option<Thread> {
    table::with(|table| {
        let waited_for = |thread: &&Thread| !thread.daemon();
        let thread = table.others.values().find(waited_for).cloned();
        table.closed |= thread.is_none();
        thread
    })
}

/// Gives up all that cannot end, daemons too: somebody may join them. Says how long it took to look.
fn give_up_parked() -> Duration {
    let begin = Instant::now();
    let all: Vec<Thread> = table::with(|table| table.others.values().cloned().collect());
    all.iter()
        .filter(|thread| is_parked(thread))
        .for_each(give_up);
    begin.elapsed()
}

fn is_parked(thread: &Thread) -> bool {
    thread.object.number().is_some_and(os_thread::is_parked)
}

/// It will never end, or is the one that ends the program.
fn give_up(thread: &Thread) {
    let listed = table::with(|table| table.others.remove(&thread.object.key));
    thread.object.give_up();
    drop(listed);
}

/// Returns when nothing of the user's runs in `thread` any more, whose function is done, or when that will never be: a destructor may have
/// called `exit`, and nobody else looks for that in a thread that is not listed.
pub(super) fn await_over(thread: &Thread) {
    while !thread.object.await_over(Deadline::after(SLICE)) {
        if table::with(|table| table.ending) && is_parked(thread) {
            give_up(thread);
        }
    }
}
