//! The end of a process: its threads first, then its children, its buffers, and then itself.

use super::hooks;
use super::running::{self, Running};
use super::spares;
use crate::shm::member::{self, Status};
use crate::sys::atomic::{AtomicBool, AtomicU32, AtomicU64, SeqCst};
use crate::sys::clock::Deadline;
use crate::sys::{self, exit, os_thread, process};
use crate::thread;
use std::ffi::{c_int, c_void};
use std::sync::Arc;
use std::time::Duration;

/// How long daemons may take after SIGTERM; what is left then dies with this process, by its lifeline.
const GRACE: Duration = Duration::from_secs(1);

/// The process whose end is prepared: a forked child starts anew.
static INSTALLED_IN: AtomicU32 = AtomicU32::new(0);

/// Once a process, when it starts its first child or registers a function for its end.
pub(super) fn install_for_parent() {
    let pid = std::process::id();
    if INSTALLED_IN.swap(pid, SeqCst) != pid {
        exit::at_exit(at_exit);
    }
}

extern "C" fn at_exit() {
    if INSTALLED_IN.load(SeqCst) == std::process::id() {
        thread::join_all();
        hooks::run_exits();
        end_children();
        thread::flush_waited();
    }
}

/// The handler of children is registered, and no other after it.
static INHERITED: AtomicBool = AtomicBool::new(false);

/// In a fork server: its children inherit the handler, which does nothing in the server itself.
pub(super) fn install_for_children() {
    exit::at_exit_with_status(leave_with_status);
    INHERITED.store(true, SeqCst);
}

/// In a child: `exit(3)` must not run the handlers that it inherited, so the first of its own ends it.
pub(super) fn install_for_child() {
    INSTALLED_IN.store(std::process::id(), SeqCst);
    if !INHERITED.load(SeqCst) {
        exit::at_exit_with_status(leave_with_status);
    }
}

extern "C" fn leave_with_status(status: c_int, _argument: *mut c_void) {
    if INSTALLED_IN.load(SeqCst) == std::process::id() {
        leave(status & 0xff);
    }
}

/// The process that leaves, and the thread in which it does.
static LEAVER: AtomicU64 = AtomicU64::new(0);

/// The first who ends a process does, with its exit code: a thread may call `exit` while its function's end waits for that thread. The
/// handlers of the first may call `exit` again.
fn leave_alone() {
    let pid = u64::from(std::process::id());
    let me = pid << 32 | u64::from(sys::thread::gettid());
    let claimed = LEAVER.fetch_update(SeqCst, SeqCst, |leaver| (leaver >> 32 != pid).then_some(me));
    if claimed.is_err_and(|leaver| leaver != me) {
        os_thread::park();
    }
}

/// Ends a child: joins its threads, calls what was registered, joins its children, flushes, says how it ended, and is gone.
pub(super) fn leave(code: i32) -> ! {
    leave_alone();
    thread::join_all();
    hooks::run_exits();
    end_children();
    exit::flush();
    if let Some(own) = member::known() {
        own.set_status(Status::Leaving(code));
    }
    process::exit_now(code)
}

/// This process is about to leave: nobody should start anything.
static ENDING: AtomicBool = AtomicBool::new(false);

/// In a child that was forked from another than the fork server: its parent may have been about to leave, and has handlers of its own.
pub(super) fn begin_anew() {
    ENDING.store(false, SeqCst);
    INHERITED.store(false, SeqCst);
}

/// Is this process about to leave?
pub(crate) fn is_ending() -> bool {
    ENDING.load(SeqCst)
}

/// Terminates daemons, then joins the others for as long as they take.
fn end_children() {
    ENDING.store(true, SeqCst);
    spares::discard_all_but(0);
    let mut children = running::children();
    children.retain(|child| !child.detached);
    let (daemons, others): (Vec<Arc<Running>>, Vec<_>) = children
        .into_iter()
        .partition(|child| child.identity.daemon);
    for daemon in &daemons {
        let _gone_already = daemon.signal(nix::libc::SIGTERM);
    }
    for child in others {
        if let Ok(None) = child.try_wait() {
            log::info!("waiting for process {} (pid {})", child.name(), child.pid);
        }
        let _ended = child.wait(Deadline::NEVER);
    }
    if daemons.is_empty() {
        return;
    }
    let grace = Deadline::after(GRACE);
    for daemon in daemons {
        let _ended = daemon.wait(grace);
    }
}
