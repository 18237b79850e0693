//! Handles: a dead process holds nothing, and what others hold stays.

use crate::row::{Keep, Leak, Row, Scene, row};
use crate::survivor::{Blob, News, acquires, drained, still_works, warm};
use crate::tracee::section;
use multiproc::{Lock, Process, Queue};

pub(crate) fn rows() -> Vec<Row> {
    vec![
        row::<CloneAndDrop>(
            "handle::clone_and_drop",
            "not the last handle of the object",
        ),
        row::<LastWithCargo>(
            "handle::last_with_cargo",
            "frees a queue, and a lock in a message in it",
        ),
        row::<Arrives>(
            "handle::arrives",
            "a message with the only handle of a queue is got and dropped",
        )
        .long(),
    ]
}

struct CloneAndDrop(Queue<u64>);

impl Scene for CloneAndDrop {
    fn prepare() -> Self {
        let queue = Queue::new().unwrap();
        queue.put(5).unwrap();
        Self(queue)
    }

    fn start(&self, keep: &Keep) -> Process {
        let child = |queue: Queue<u64>, taken: Lock| {
            warm(&taken);
            section(|| {
                let clone = queue.clone();
                drop(queue);
                drop(clone);
            });
        };
        let arguments = (self.0.clone(), keep.taken.clone());
        Process::builder(child, arguments).start().unwrap()
    }

    fn check(self, _left: bool) {
        assert_eq!(drained(&self.0), [5]);
        still_works(&self.0, &[1, 2, 3]);
    }
}

type Loaded = (Option<Lock>, Blob);

/// The child is the last who has the queue; in it a small message, a large one, and one with the only handle of a lock.
struct LastWithCargo(Option<Queue<Loaded>>);

impl Scene for LastWithCargo {
    // Discarding counts the handle down before it lands.
    const MAY_LEAK: Leak = Leak::A_LOCK;
    const FILLS: bool = true;

    fn prepare() -> Self {
        let queue = Queue::new().unwrap();
        queue.put((None, Blob::of(3))).unwrap();
        queue.put((None, Blob::of(5000))).unwrap();
        queue
            .put((Some(Lock::new().unwrap()), Blob::of(5)))
            .unwrap();
        Self(Some(queue))
    }

    fn start(&self, keep: &Keep) -> Process {
        let child = |queue: Queue<Loaded>, taken: Lock| {
            warm(&taken);
            section(|| drop(queue));
        };
        let arguments = (self.0.clone().unwrap(), keep.taken.clone());
        Process::builder(child, arguments).start().unwrap()
    }

    fn entered(&mut self) {
        self.0 = None;
    }

    fn check(self, _left: bool) {}
}

struct Arrives {
    carrier: Queue<(Lock, Queue<u64>)>,
    length: usize,
}

impl Scene for Arrives {
    // Between the block and the handles themselves the flights are in private memory.
    const MAY_LEAK: Leak = Leak {
        objects: 2,
        blocks: 1,
    };

    fn prepare() -> Self {
        let carrier = Queue::new().unwrap();
        carrier
            .put((Lock::new().unwrap(), Queue::new().unwrap()))
            .unwrap();
        Self { carrier, length: 1 }
    }

    fn start(&self, keep: &Keep) -> Process {
        let child = |carrier: Queue<(Lock, Queue<u64>)>, taken: Lock| {
            warm(&taken);
            section(|| drop(carrier.get().unwrap()));
        };
        let arguments = (self.carrier.clone(), keep.taken.clone());
        Process::builder(child, arguments).start().unwrap()
    }

    fn last_look(&mut self) {
        self.length = self.carrier.len();
    }

    fn check(self, _left: bool) {
        let mut found = drained(&self.carrier);
        assert_eq!(found.len(), self.length);
        if let Some((lock, queue)) = found.pop() {
            assert_eq!(acquires(&lock), News::None);
            still_works(&queue, &[7, 8, 9]);
        }
    }
}
