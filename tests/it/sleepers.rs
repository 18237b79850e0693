//! Threads and processes that are known to sleep: a test that wakes them needs no pause "until they wait".

use crate::kit::{Numbers, RemoteNumbers, state_of};
use crate::runner::{Gate, RemoteGate};
use nix::unistd::{Pid, gettid};
use serde::{Deserialize, Serialize};
use std::sync::mpsc;
use std::thread::{Scope, ScopedJoinHandle};

/// Returns when that thread sleeps, or has come to an end. It must be on its way to do so.
fn falls_asleep(thread: Pid) {
    while state_of(thread).is_some_and(|state| !"SZX".contains(state)) {
        std::thread::yield_now();
    }
}

/// A thread that runs `body` and has come to sleep in it.
pub(crate) fn sleeper<'scope, T: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    body: impl FnOnce() -> T + Send + 'scope,
) -> ScopedJoinHandle<'scope, T> {
    let (says, hears) = mpsc::channel();
    let thread = scope.spawn(move || {
        says.send(gettid().as_raw()).unwrap();
        body()
    });
    falls_asleep(Pid::from_raw(hears.recv().unwrap()));
    thread
}

/// As many of them.
pub(crate) fn sleepers<'scope, T: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    count: usize,
    body: impl Fn() -> T + Send + Copy + 'scope,
) -> Vec<ScopedJoinHandle<'scope, T>> {
    (0..count).map(|_| sleeper(scope, body)).collect()
}

/// Where a process says that it is about to sleep, one after the other.
#[derive(Debug)]
pub(crate) struct Bed {
    thread: Numbers,
    said: Gate,
}

/// The address of a [`Bed`].
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct RemoteBed {
    thread: RemoteNumbers,
    said: RemoteGate,
}

impl Bed {
    pub(crate) fn new() -> Bed {
        Bed {
            thread: Numbers::new(),
            said: Gate::new(),
        }
    }

    pub(crate) fn remote(&self) -> RemoteBed {
        RemoteBed {
            thread: self.thread.remote(),
            said: self.said.remote(),
        }
    }

    /// Returns when the one that was told of this bed sleeps.
    pub(crate) fn is_slept_in(&self) {
        self.said.wait();
        let thread = i32::try_from(self.thread.get(0)).unwrap();
        falls_asleep(Pid::from_raw(thread));
    }
}

impl RemoteBed {
    /// What the calling thread does next is to sleep.
    pub(crate) fn lie_down(self) {
        let thread = gettid().as_raw().cast_unsigned();
        self.thread.open().set(0, u64::from(thread));
        self.said.open(1);
    }
}
