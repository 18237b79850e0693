//! Who waits for the threads at the end of the program?

use super::current;
use super::handle::Thread;
use super::table;
use crate::sys::atomic::{AtomicBool, SeqCst};
use crate::sys::clock::Deadline;
use crate::sys::{exit, os_thread};
use std::time::Duration;

/// How long a thread is waited for before somebody looks whether it can still end.
const SLICE: Duration = Duration::from_millis(50);

/// Once a process image, when it starts the first thread that is to be waited for. A forked child inherits the handler.
pub(super) fn install() {
    static INSTALLED: AtomicBool = AtomicBool::new(false);
    if !INSTALLED.swap(true, SeqCst) {
        exit::at_exit(at_exit);
    }
}

extern "C" fn at_exit() {
    join_all();
}

/// The end of the program has begun, in this thread: returns when all threads but this one and daemons have ended. From then on only
/// daemons can be started.
///
/// A thread that has called `exit` itself, as std's other, is parked for ever by std, and so is not waited for.
pub(crate) fn join_all() {
    let main = table::with(|table| {
        table.ending = true;
        table.main.clone()
    });
    if let Some(main) = main {
        main.object.end();
    }
    while let Some(thread) = next() {
        let object = &thread.object;
        let ended = object.await_end(Deadline::after(SLICE));
        if !ended && object.number().is_some_and(os_thread::is_parked) {
            give_up(&thread);
        }
    }
}

/// Somebody to wait for.
fn next() -> Option<Thread> {
    // This thread is in an exit handler: its function does not go on, so nobody needs to wait for it.
    let here = table::with(|table| {
        let mut own = table.others.values();
        let here = own.find(|thread| current::is_made_here(&thread.object));
        let here = here.cloned();
        if here.is_some() {
            table.leaver.clone_from(&here);
        }
        here
    });
    if let Some(here) = here {
        give_up(&here);
    }
    table::with(|table| {
        let waited_for = |thread: &&Thread| !thread.daemon();
        let thread = table.others.values().find(waited_for).cloned();
        table.closed |= thread.is_none();
        thread
    })
}

/// It will never end, or is the one that ends the program.
fn give_up(thread: &Thread) {
    let listed = table::with(|table| table.others.remove(&thread.object.key));
    thread.object.give_up();
    drop(listed);
}
