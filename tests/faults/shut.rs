//! `Queue::shutdown(true)`, `SimpleQueue::close`: what is inside is dropped, and whoever finds it half dropped finishes that.

use crate::row::{Keep, Leak, Row, Scene, row};
use crate::survivor::{Blob, PATIENCE, Waiter, drained, started, warm};
use crate::tracee::section;
use multiproc::{
    GetError, Lock, Process, PutError, Queue, SimpleQueue, TryGetError, TryPutError, arena,
};

pub(crate) fn rows() -> Vec<Row> {
    vec![
        row::<ShutNow>("queue::shutdown_now", "messages of all kinds are inside"),
        row::<ShutWithGetter>("queue::shutdown_with_getter", "somebody sleeps in get"),
        row::<ShutWithPutter>("queue::shutdown_with_putter", "somebody sleeps in put"),
        row::<SimplePut>("simple_queue::put", "room"),
        row::<SimpleClose>("simple_queue::close", "something is inside"),
    ]
}

/// A small one, or a handle, or too large for a record.
type Message = (u64, Option<Lock>, Blob);

fn small(number: u64) -> Message {
    (number, None, Blob::of(7))
}

fn shuts<T: 'static>(queue: Queue<T>, taken: Lock) {
    warm(&taken);
    section(|| queue.shutdown(true));
}

/// Blocks and objects in use.
fn used() -> (usize, usize) {
    let usage = arena::usage().unwrap();
    (usage.blocks, usage.objects)
}

/// Nothing is in use but what was then, and a lock that a dead process was about to land.
fn is_empty(empty: (usize, usize), left: bool) {
    let (blocks, objects) = used();
    assert_eq!(blocks, empty.0);
    assert!(objects == empty.1 || objects == empty.1 + 1 && !left);
}

/// A queue in its second segment, with a large message and one with a handle.
struct ShutNow {
    queue: Queue<Message>,
    empty: (usize, usize),
}

impl Scene for ShutNow {
    const FILLS: bool = true;
    // A handle is counted down before it lands.
    const MAY_LEAK: Leak = Leak::A_LOCK;

    fn prepare() -> Self {
        let queue = Queue::new().unwrap();
        let empty = used();
        for number in 0..520 {
            queue.put(small(number)).unwrap();
        }
        (0..515).for_each(|_| drop(queue.get().unwrap()));
        queue.put((1, None, Blob::of(4200))).unwrap();
        queue
            .put((2, Some(Lock::new().unwrap()), Blob::of(9)))
            .unwrap();
        Self { queue, empty }
    }

    fn start(&self, keep: &Keep) -> Process {
        started(shuts::<Message>, &self.queue, keep)
    }

    fn check(self, left: bool) {
        let open = match self.queue.put_timeout(small(3), PATIENCE) {
            Ok(()) => true,
            Err(TryPutError::Closed(_)) => false,
            Err(error) => panic!("{error}"),
        };
        assert!(!left || !open);
        if open {
            // Whoever only said that it would has done nothing.
            assert_eq!(drained(&self.queue).len(), 8);
        } else if left {
            assert!(matches!(self.queue.try_get(), Err(TryGetError::Closed)));
            is_empty(self.empty, left);
        }
        // Doing it again finishes what was begun.
        self.queue.shutdown(true);
        assert!(matches!(self.queue.get(), Err(GetError::Closed)));
        assert!(self.queue.is_closed() && self.queue.is_empty());
        is_empty(self.empty, left);
    }
}

struct ShutWithGetter {
    queue: Queue<u64>,
    getter: Option<Waiter<Result<u64, GetError>>>,
}

impl Scene for ShutWithGetter {
    fn prepare() -> Self {
        Self {
            queue: Queue::new().unwrap(),
            getter: None,
        }
    }

    fn start(&self, keep: &Keep) -> Process {
        started(shuts::<u64>, &self.queue, keep)
    }

    fn entered(&mut self) {
        let queue = self.queue.clone();
        self.getter = Some(Waiter::asleep_in(move || queue.get()));
    }

    fn check(self, left: bool) {
        let closed = self.queue.put_timeout(2, PATIENCE).is_err();
        assert!(closed || !left);
        match self.getter.unwrap().result() {
            Ok(2) => assert!(!closed),
            Err(GetError::Closed) => assert!(closed),
            other => panic!("{other:?}"),
        }
    }
}

/// A queue for one value, with one in it.
struct ShutWithPutter {
    queue: Queue<u64>,
    putter: Option<Waiter<Result<(), PutError<u64>>>>,
}

impl Scene for ShutWithPutter {
    fn prepare() -> Self {
        let queue = Queue::with_maxsize(1).unwrap();
        queue.put(1).unwrap();
        Self {
            queue,
            putter: None,
        }
    }

    fn start(&self, keep: &Keep) -> Process {
        started(shuts::<u64>, &self.queue, keep)
    }

    fn entered(&mut self) {
        let queue = self.queue.clone();
        self.putter = Some(Waiter::asleep_in(move || queue.put(2)));
    }

    fn check(self, left: bool) {
        let putter = self.putter.unwrap();
        match self.queue.try_put(3) {
            // Nobody gets anything: the end itself must end the sleep.
            Err(TryPutError::Closed(3)) => {
                let put = putter.result();
                assert!(matches!(put, Err(PutError::Closed(2))), "{put:?}");
            }
            Err(TryPutError::Full(3)) => {
                assert!(!left);
                assert_eq!(self.queue.get().unwrap(), 1);
                putter.result().unwrap();
                assert_eq!(drained(&self.queue), [2]);
            }
            other => panic!("{other:?}"),
        }
    }
}

struct SimplePut(SimpleQueue<u64>);

impl Scene for SimplePut {
    fn prepare() -> Self {
        let queue = SimpleQueue::new().unwrap();
        queue.put(1).unwrap();
        Self(queue)
    }

    fn start(&self, keep: &Keep) -> Process {
        let child = |queue: SimpleQueue<u64>, taken: Lock| {
            warm(&taken);
            section(|| queue.put(2)).unwrap();
        };
        started(child, &self.0, keep)
    }

    fn check(self, left: bool) {
        assert_eq!(self.0.get().unwrap(), 1);
        self.0.put(3).unwrap();
        let next = self.0.get().unwrap();
        assert!(next == 2 || next == 3 && !left);
        assert_eq!(self.0.is_empty().unwrap(), next == 3);
    }
}

struct SimpleClose(SimpleQueue<Lock>, (usize, usize));

impl Scene for SimpleClose {
    // A handle is counted down before it lands.
    const MAY_LEAK: Leak = Leak::A_LOCK;

    fn prepare() -> Self {
        let queue = SimpleQueue::new().unwrap();
        let empty = used();
        (0..2).for_each(|_| queue.put(Lock::new().unwrap()).unwrap());
        Self(queue, empty)
    }

    fn start(&self, keep: &Keep) -> Process {
        let child = |queue: SimpleQueue<Lock>, taken: Lock| {
            warm(&taken);
            section(|| queue.close());
        };
        started(child, &self.0, keep)
    }

    fn check(self, left: bool) {
        let closed = self.0.put(Lock::new().unwrap()).is_err();
        assert!(closed || !left);
        if !closed {
            (0..3).for_each(|_| drop(self.0.get().unwrap()));
        }
        self.0.close();
        assert!(matches!(self.0.get(), Err(GetError::Closed)));
        assert!(matches!(self.0.is_empty(), Err(GetError::Closed)));
        is_empty(self.1, left);
    }
}
