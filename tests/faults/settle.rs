//! Settling: the settler dies while it gives back what a dead member had, and the next one finishes it.

use crate::row::{Keep, Leak, Row, Scene, row};
use crate::survivor::{Blob, warm};
use crate::tracee::section;
use multiproc::{Lock, Process, Queue, arena};
use std::path::Path;

pub(crate) fn rows() -> Vec<Row> {
    vec![
        row::<Join>(
            "settle::join",
            "joins a child that died with a lock, a queue and a message in it",
        )
        .long(),
        row::<Sweep>("settle::sweep", "finds a dead member whose parent died too").long(),
    ]
}

/// Has a lock and a queue with two messages of its own, tells its pid, and waits for the end.
fn rich(tell: Queue<u32>, owned: Lock) {
    let _guard = owned.acquire();
    let queue = Queue::<(Option<Lock>, Blob)>::new().unwrap();
    queue.put((None, Blob::of(5000))).unwrap();
    queue
        .put((Some(Lock::new().unwrap()), Blob::of(5)))
        .unwrap();
    tell.put(std::process::id()).unwrap();
    let _never = Queue::<u32>::new().unwrap().get();
}

/// Waits until a process has been reaped by whoever has to.
fn gone(pid: u32) {
    while Path::new(&format!("/proc/{pid}")).exists() {
        std::thread::yield_now();
    }
}

struct Join {
    tell: Queue<u32>,
    owned: Lock,
}

impl Scene for Join {
    // Discarding the message counts its handle down before it lands.
    const MAY_LEAK: Leak = Leak::A_LOCK;
    const FILLS: bool = true;

    fn prepare() -> Self {
        Self {
            tell: Queue::new().unwrap(),
            owned: Lock::new().unwrap(),
        }
    }

    fn start(&self, keep: &Keep) -> Process {
        let child = |tell: Queue<u32>, owned: Lock, taken: Lock| {
            warm(&taken);
            let process = Process::builder(rich, (tell.clone(), owned))
                .start()
                .unwrap();
            let pid = tell.get().unwrap();
            process.kill().unwrap();
            gone(pid);
            assert_eq!(section(|| process.join()).unwrap(), -9);
        };
        let arguments = (self.tell.clone(), self.owned.clone(), keep.taken.clone());
        Process::builder(child, arguments).start().unwrap()
    }

    fn check(self, _left: bool) {
        assert!(self.owned.try_acquire().is_err(), "its owner died");
    }
}

struct Sweep {
    owned: Lock,
}

impl Scene for Sweep {
    const MAY_LEAK: Leak = Leak::A_LOCK;

    fn prepare() -> Self {
        let (tell, owned) = (Queue::new().unwrap(), Lock::new().unwrap());
        let parent = |tell: Queue<u32>, owned: Lock| {
            let _child = Process::builder(rich, (tell, owned)).start().unwrap();
            let _never = Queue::<u32>::new().unwrap().get();
        };
        let arguments = (tell.clone(), owned.clone());
        let parent = Process::builder(parent, arguments).start().unwrap();
        let pid = tell.get().unwrap();
        parent.kill().unwrap();
        assert_eq!(parent.join().unwrap(), -9);
        gone(pid);
        Self { owned }
    }

    fn start(&self, keep: &Keep) -> Process {
        let child = |taken: Lock| {
            warm(&taken);
            let _usage = section(arena::usage).unwrap();
        };
        Process::builder(child, (keep.taken.clone(),))
            .start()
            .unwrap()
    }

    fn check(self, _left: bool) {
        assert!(self.owned.try_acquire().is_err(), "its owner died");
    }
}
