//! Making and freeing objects: what the dead child had comes back, and nothing is given out twice.

use crate::row::{Keep, Row, Scene, row};
use crate::survivor::warm;
use crate::tracee::section;
use multiproc::{Lock, Process, Queue};

pub(crate) fn rows() -> Vec<Row> {
    vec![
        row::<NewLock>("arena::new_lock", "an object without a block"),
        row::<NewQueue>(
            "arena::new_queue",
            "an object, and a block that is split off",
        ),
        row::<DropLock>(
            "arena::drop_lock",
            "the last handle of an object without a block",
        ),
        row::<DropQueue>(
            "arena::drop_queue",
            "the last handle of an object; its block is merged",
        ),
    ]
}

/// Starts a process that runs a section with nothing but what it makes itself.
fn started<F>(child: F, keep: &Keep) -> Process
where
    F: Fn(Lock) + Copy + Send + 'static,
{
    Process::builder(child, (keep.taken.clone(),))
        .start()
        .unwrap()
}

struct NewLock;

impl Scene for NewLock {
    const FILLS: bool = true;

    fn prepare() -> Self {
        Self
    }

    fn start(&self, keep: &Keep) -> Process {
        let child = |taken: Lock| {
            warm(&taken);
            let _made = section(Lock::new).unwrap();
        };
        started(child, keep)
    }

    fn check(self, _left: bool) {}
}

struct NewQueue;

impl Scene for NewQueue {
    const FILLS: bool = true;

    fn prepare() -> Self {
        Self
    }

    fn start(&self, keep: &Keep) -> Process {
        let child = |taken: Lock| {
            warm(&taken);
            let _made = section(Queue::<u64>::new).unwrap();
        };
        started(child, keep)
    }

    fn check(self, _left: bool) {}
}

struct DropLock;

impl Scene for DropLock {
    const FILLS: bool = true;

    fn prepare() -> Self {
        Self
    }

    fn start(&self, keep: &Keep) -> Process {
        let child = |taken: Lock| {
            warm(&taken);
            let lock = Lock::new().unwrap();
            section(|| drop(lock));
        };
        started(child, keep)
    }

    fn check(self, _left: bool) {}
}

struct DropQueue;

impl Scene for DropQueue {
    const FILLS: bool = true;

    fn prepare() -> Self {
        Self
    }

    fn start(&self, keep: &Keep) -> Process {
        let child = |taken: Lock| {
            warm(&taken);
            let queue = Queue::<u64>::new().unwrap();
            section(|| drop(queue));
        };
        started(child, keep)
    }

    fn check(self, _left: bool) {}
}
