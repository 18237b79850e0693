//! A thread that waits in the place of others, which began to wait for a connection before a child was forked whose end concerns them
//! ([`super::running::KEPT`]). It is there as long as there are such children.

use super::running;
use crate::sys::atfork::Forkable;
use crate::sys::clock::Deadline;
use crate::sys::descriptor::Shared;
use crate::sys::private::Private;
use crate::sys::signal::AllBlocked;
use crate::sys::{os_thread, socket, stream};
use nix::poll::{PollFd, PollFlags};
use std::io;
use std::sync::Arc;

/// By which the thread is told of another child.
#[derive(Debug)]
struct Bell {
    ours: Shared,
    theirs: Shared,
}

impl Bell {
    fn new() -> io::Result<Self> {
        let (ours, theirs) = stream::pair()?;
        Ok(Self {
            ours: Shared::new(ours),
            theirs: Shared::new(theirs),
        })
    }

    fn ring(&self) {
        if let Some(fd) = self.ours.as_fd() {
            // One that has no room for it rings already.
            let _rings = stream::send(fd, [b"!", b""], false);
        }
    }
}

/// The thread's bell, while there is one.
static BELL: Private<Option<Arc<Bell>>> = Private::new(None);

/// What a fork does to it: the child has no such thread.
#[derive(Debug)]
pub(super) struct Absent;

impl Forkable for Absent {
    fn before(&self) {
        BELL.acquire();
    }

    fn after(&self) {
        BELL.release();
    }

    fn child(&self) {
        BELL.release();
        if let Some(bell) = BELL.lock().take() {
            bell.ours.close();
            bell.theirs.close();
        }
    }
}

/// There is another child to be watched.
pub(super) fn look_again() {
    let mut watched = BELL.lock();
    if let Some(bell) = &*watched {
        bell.ring();
        return;
    }
    let started = Bell::new().and_then(|bell| {
        let bell = Arc::new(bell);
        let its = Arc::clone(&bell);
        let watch = move || watch(&its);
        os_thread::spawn("multiproc-kept", os_thread::STACK, watch).map(|_detached| bell)
    });
    match started {
        Ok(bell) => *watched = Some(bell),
        Err(error) => {
            drop(watched);
            log::warn!(
                "whoever waits for a connection may not hear of the end of a child: {error}"
            );
        }
    }
}

fn watch(bell: &Arc<Bell>) {
    // Signals are for threads that their owners know.
    let _deaf = AllBlocked::now();
    loop {
        match wait(bell) {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => {
                log::error!("the ends of children are not watched any more: {error}");
                let mut known = BELL.lock();
                known.take_if(|known| Arc::ptr_eq(known, bell));
                return;
            }
        }
    }
}

/// Waits once; `false` when there is nobody to wait for.
fn wait(bell: &Bell) -> io::Result<bool> {
    let children = running::with_something_kept();
    let Some(theirs) = bell.theirs.as_fd().filter(|_| !children.is_empty()) else {
        return Ok(!is_over());
    };
    let pidfds = children.iter().filter_map(|child| child.pidfd());
    let all = std::iter::once(theirs).chain(pidfds);
    let mut fds: Vec<PollFd<'_>> = all.map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
    socket::poll_until(&mut fds, Deadline::NEVER)?;
    let _rung = stream::recv(theirs, &mut [0; 64], false);
    for child in &children {
        let _ended = child.try_wait();
    }
    Ok(true)
}

/// Has the last child ended? Then who comes later starts another thread.
fn is_over() -> bool {
    let mut bell = BELL.lock();
    let over = running::with_something_kept().is_empty();
    if over {
        *bell = None;
    }
    over
}
