//! Who tells of a panic in a child, and where it is left for the parent.

use super::{current, report};
use crate::sys::atomic::{AtomicBool, Relaxed};
use crate::sys::exit;
use crate::thread::{self, Panic, Scene, panics};

pub(crate) use crate::thread::catch;

/// This process was forked from one with threads.
static FORKED: AtomicBool = AtomicBool::new(false);

/// In a child that was forked from a process with threads: what the hook that it inherited would print goes through locks that a
/// thread of the parent may have held, so it is not called before the child knows who it is either.
pub(super) fn distrust_inherited_hook() {
    FORKED.store(true, Relaxed);
}

/// Once a process image, before the first panic of a child: notes where panics happen, and says in a child which process it was.
pub(super) fn install() {
    panics::set_teller(tell);
    panics::install();
}

fn tell(scene: &Scene, text: &str) -> bool {
    let child = current::is_child();
    if !child && !FORKED.load(Relaxed) {
        return false;
    }
    say_all(scene, text);
    if cfg!(panic = "abort") && child {
        report::leave_panic(&Panic::now(text.to_owned()));
    }
    true
}

/// The whole message in one piece, which no other process's can cut, and past the lock of standard error. Where nobody can read
/// it, that is no reason for a second panic.
fn say_all(scene: &Scene, text: &str) {
    let name = &current::identity().name;
    let thread = thread::name_for_message();
    let thread = thread.map_or(String::new(), |thread| format!(", thread {thread}"));
    let place = scene.place.as_ref();
    let place = place.map_or(String::new(), |(file, line)| format!(" at {file}:{line}"));
    let backtrace = scene.backtrace.as_deref().unwrap_or_default();
    let pid = std::process::id();
    exit::write_to_stderr(&format!(
        "process {name} (pid {pid}){thread}: panicked{place}:\n{text}\n{backtrace}"
    ));
}
