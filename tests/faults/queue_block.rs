//! `Queue`, messages in blocks of their own: large ones, and those with handles in them.

use crate::row::{Keep, Leak, Row, Scene, row};
use crate::survivor::{Blob, News, PATIENCE, acquires, drained, still_works, warm};
use crate::tracee::section;
use multiproc::{Lock, Process, Queue, arena};

pub(crate) fn rows() -> Vec<Row> {
    vec![
        row::<PutLarge>("queue::put_large", "a message in a block"),
        row::<GetLarge>("queue::get_large", "a message in a block"),
        row::<PutHandle>(
            "queue::put_handle",
            "the only handle of a lock goes into the queue",
        ),
        row::<GetHandle>(
            "queue::get_handle",
            "the only handle of a lock comes out of the queue",
        ),
    ]
}

/// Too large for a record.
fn large() -> Blob {
    Blob::of(4200)
}

fn queue_of(blobs: &[Blob]) -> Queue<Blob> {
    let queue = Queue::new().unwrap();
    blobs
        .iter()
        .for_each(|blob| queue.put(blob.clone()).unwrap());
    queue
}

/// Blocks in use.
fn blocks() -> usize {
    arena::usage().unwrap().blocks
}

/// The survivor puts one more, gets all, and goes on. Then no block is left but the storage: what the dead child had in hand is
/// given back at once, and not only with the queue.
fn check_blobs(queue: &Queue<Blob>, mut expected: Vec<Blob>) {
    queue.put_timeout(Blob::of(4300), PATIENCE).unwrap();
    expected.push(Blob::of(4300));
    assert_eq!(drained(queue), expected);
    still_works(queue, &[Blob::of(9), Blob::of(6000), Blob::of(4200)]);
    assert_eq!(blocks(), 1);
}

struct PutLarge {
    queue: Queue<Blob>,
    length: usize,
}

impl Scene for PutLarge {
    const FILLS: bool = true;

    fn prepare() -> Self {
        Self {
            queue: queue_of(&[Blob::of(7)]),
            length: 1,
        }
    }

    fn start(&self, keep: &Keep) -> Process {
        let child = |queue: Queue<Blob>, taken: Lock| {
            warm(&taken);
            let blob = large();
            section(|| queue.put(blob)).unwrap();
        };
        let arguments = (self.queue.clone(), keep.taken.clone());
        Process::builder(child, arguments).start().unwrap()
    }

    fn last_look(&mut self) {
        self.length = self.queue.len();
    }

    fn check(self, left: bool) {
        assert!(!left || self.length == 2);
        let mut expected = vec![Blob::of(7), large()];
        expected.truncate(self.length);
        check_blobs(&self.queue, expected);
    }
}

struct GetLarge {
    queue: Queue<Blob>,
    length: usize,
}

impl Scene for GetLarge {
    const FILLS: bool = true;

    fn prepare() -> Self {
        Self {
            queue: queue_of(&[large(), Blob::of(7)]),
            length: 2,
        }
    }

    fn start(&self, keep: &Keep) -> Process {
        let child = |queue: Queue<Blob>, taken: Lock| {
            warm(&taken);
            let got = section(|| queue.get()).unwrap();
            assert_eq!(got, large());
        };
        let arguments = (self.queue.clone(), keep.taken.clone());
        Process::builder(child, arguments).start().unwrap()
    }

    fn last_look(&mut self) {
        self.length = self.queue.len();
    }

    fn check(self, left: bool) {
        assert!(!left || self.length == 1);
        let mut expected = vec![large(), Blob::of(7)];
        expected.drain(..2 - self.length);
        check_blobs(&self.queue, expected);
    }
}

/// The only handle of the lock is the child's.
struct PutHandle {
    queue: Queue<Lock>,
    lock: Option<Lock>,
    length: usize,
}

impl Scene for PutHandle {
    // Until the message has its block, the flight is in private memory; discarding counts it down before it lands.
    const MAY_LEAK: Leak = Leak::A_LOCK;

    fn prepare() -> Self {
        Self {
            queue: Queue::new().unwrap(),
            lock: Some(Lock::new().unwrap()),
            length: 0,
        }
    }

    fn start(&self, keep: &Keep) -> Process {
        let child = |queue: Queue<Lock>, lock: Lock, taken: Lock| {
            warm(&taken);
            section(|| queue.put(lock)).unwrap();
        };
        let lock = self.lock.clone().unwrap();
        let arguments = (self.queue.clone(), lock, keep.taken.clone());
        Process::builder(child, arguments).start().unwrap()
    }

    fn entered(&mut self) {
        self.lock = None;
    }

    fn last_look(&mut self) {
        self.length = self.queue.len();
    }

    fn check(self, left: bool) {
        assert!(!left || self.length == 1);
        check_locks(&self.queue, self.length);
    }
}

/// The only handle of the lock is in the queue.
struct GetHandle {
    queue: Queue<Lock>,
    length: usize,
}

impl Scene for GetHandle {
    // Between the block and the handle itself the flight is in private memory.
    const MAY_LEAK: Leak = Leak::A_LOCK;

    fn prepare() -> Self {
        let queue = Queue::new().unwrap();
        queue.put(Lock::new().unwrap()).unwrap();
        Self { queue, length: 1 }
    }

    fn start(&self, keep: &Keep) -> Process {
        let child = |queue: Queue<Lock>, taken: Lock| {
            warm(&taken);
            let _lock = section(|| queue.get()).unwrap();
        };
        let arguments = (self.queue.clone(), keep.taken.clone());
        Process::builder(child, arguments).start().unwrap()
    }

    fn last_look(&mut self) {
        self.length = self.queue.len();
    }

    fn check(self, left: bool) {
        assert!(!left || self.length == 0);
        check_locks(&self.queue, self.length);
    }
}

/// So many locks are in the queue, all of them alive; and one more goes through it.
fn check_locks(queue: &Queue<Lock>, length: usize) {
    queue.put_timeout(Lock::new().unwrap(), PATIENCE).unwrap();
    let locks = drained(queue);
    assert_eq!(locks.len(), length + 1);
    for lock in &locks {
        assert_eq!(acquires(lock), News::None);
    }
}
