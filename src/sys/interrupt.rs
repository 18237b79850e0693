//! SIGINT as something that a thread waits for, by the crate `signal-hook`.
#![expect(unsafe_code, reason = "signal handlers are process-wide")]
//!
//! signal-hook never takes its handler away again, and believes that it stays where it was once put. So what was there before is put
//! back here, and so is the handler when it is needed once more, also in a forked child, which begins without it.
//!
//! # Safety
//! What runs in the handler asks for the number of the process, adds to an atomic and writes to an eventfd, or ends the process as the
//! signal itself would: all of that is allowed there.

use super::atfork::{self, Forkable, Kept};
use super::atomic::{AtomicBool, AtomicU32, SeqCst};
use super::clock::Deadline;
use super::event::Event;
use super::{process, socket};
use nix::errno::Errno;
use nix::libc::{self, SIGINT};
use nix::poll::{PollFd, PollFlags};
use signal_hook::SigId;
use signal_hook::low_level::{emulate_default_handler, register, unregister};
use std::fmt;
use std::io;
use std::mem::MaybeUninit;
use std::sync::Arc;

/// Who is called when a SIGINT comes.
struct Table {
    /// In which process; see [`atfork::generation`].
    generation: u32,
    users: Vec<SigId>,
    /// What was there before the first of them.
    before: Option<libc::sigaction>,
    /// What signal-hook has put there.
    hook: Option<libc::sigaction>,
}

static TABLE: Kept<Table> = Kept::new(Table {
    generation: 0,
    users: Vec::new(),
    before: None,
    hook: None,
});

/// No fork while somebody is at the table: signal-hook has a lock of its own, which a child would find held for ever.
fn guard_against_forks() {
    static REGISTERED: AtomicBool = AtomicBool::new(false);
    static FORKABLE: &dyn Forkable = &TABLE;
    if !REGISTERED.swap(true, SeqCst) {
        atfork::register(&[&FORKABLE]);
    }
}

/// What the handler shares with those who wait.
#[derive(Debug)]
struct Shared {
    event: Event,
    count: AtomicU32,
}

/// The SIGINTs of this process, from now on until dropped.
pub(crate) struct Caught {
    shared: Arc<Shared>,
    id: SigId,
    pid: i32,
    given_back: AtomicBool,
}

impl Caught {
    /// From now on a SIGINT is counted, and does not end the process.
    pub(crate) fn new() -> io::Result<Self> {
        guard_against_forks();
        let mut table = TABLE.lock();
        let generation = atfork::generation();
        if table.generation != generation {
            table.generation = generation;
            // The parent's listeners are not here.
            table.users.drain(..).for_each(|id| _ = unregister(id));
        }
        if table.users.is_empty() {
            table.before = Some(current()?);
        }
        let was_default = table
            .before
            .is_some_and(|it| it.sa_sigaction == libc::SIG_DFL);
        let shared = Arc::new(Shared {
            event: Event::new()?,
            count: AtomicU32::new(0),
        });
        let pid = process::getpid();
        let told = Arc::clone(&shared);
        let action = move || {
            if process::getpid() == pid {
                told.count.fetch_add(1, SeqCst);
                told.event.set();
            } else if was_default {
                // A copy of this process that the crate does not know of has a handler, but nobody who listens.
                let _it_is_known = emulate_default_handler(SIGINT);
            }
        };
        // SAFETY: see the head of this file.
        let id = unsafe { register(SIGINT, action) }?;
        let caught = Self {
            shared,
            id,
            pid,
            given_back: AtomicBool::new(false),
        };
        table.users.push(id);
        let installed = table.install();
        // The other end of a refused one needs the table itself.
        drop(table);
        installed.map(|()| caught)
    }

    /// How many have come.
    pub(crate) fn count(&self) -> u32 {
        self.shared.count.load(SeqCst)
    }

    /// Returns when one has come, or when [`call`](Self::call) was called, since the last time.
    pub(crate) fn wait(&self) -> io::Result<()> {
        let mut fds = [PollFd::new(self.shared.event.as_fd(), PollFlags::POLLIN)];
        socket::poll_until(&mut fds, Deadline::NEVER)?;
        self.shared.event.clear();
        Ok(())
    }

    /// Wakes the one who waits.
    pub(crate) fn call(&self) {
        self.shared.event.set();
    }

    /// Is this the process that counts, and not a copy of it?
    pub(crate) fn is_own(&self) -> bool {
        process::getpid() == self.pid
    }
}

impl Caught {
    /// SIGINT does what it did before, if nobody else is called. Once only, and not in a copy of the process.
    pub(crate) fn give_back(&self) {
        if !self.is_own() || self.given_back.swap(true, SeqCst) {
            return;
        }
        let mut table = TABLE.lock();
        unregister(self.id);
        table.users.retain(|id| *id != self.id);
        let last = table.users.is_empty();
        if let (true, Some(before), Some(hook)) = (last, table.before, table.hook)
            && current().is_ok_and(|now| now.sa_sigaction == hook.sa_sigaction)
        {
            let _it_was_valid = set(&before);
        }
    }
}

impl Drop for Caught {
    fn drop(&mut self) {
        self.give_back();
    }
}

impl fmt::Debug for Caught {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Caught")
            .field("count", &self.count())
            .finish_non_exhaustive()
    }
}

impl Table {
    /// Sees to it that signal-hook's handler is there.
    fn install(&mut self) -> io::Result<()> {
        let now = current()?;
        match self.hook {
            Some(hook) if hook.sa_sigaction == now.sa_sigaction => Ok(()),
            Some(hook) => set(&hook),
            None if [libc::SIG_DFL, libc::SIG_IGN].contains(&now.sa_sigaction) => {
                // A parent's own use of signal-hook was copied, but not its handler.
                let text = "the handler of the crate signal-hook has been taken away";
                Err(io::Error::other(text))
            }
            None => {
                self.hook = Some(now);
                Ok(())
            }
        }
    }
}

/// What a SIGINT does now.
fn current() -> io::Result<libc::sigaction> {
    let mut action = MaybeUninit::uninit();
    // SAFETY: the call only writes to `action`, which is borrowed for it.
    let asked = unsafe { libc::sigaction(SIGINT, std::ptr::null(), action.as_mut_ptr()) };
    Errno::result(asked)?;
    // SAFETY: the call has succeeded, so the structure was written.
    Ok(unsafe { action.assume_init() })
}

fn set(action: &libc::sigaction) -> io::Result<()> {
    // SAFETY: the action was the process's once already.
    let done = unsafe { libc::sigaction(SIGINT, action, std::ptr::null_mut()) };
    Errno::result(done)?;
    Ok(())
}
