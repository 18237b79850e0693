//! `Queue::close`: it is closed or it is not, for everybody.

use crate::row::{Keep, Row, Scene, row};
use crate::survivor::{PATIENCE, Waiter, drained, still_works, warm};
use crate::tracee::section;
use multiproc::{GetError, Lock, Process, PutError, Queue, TryPutError};

pub(crate) fn rows() -> Vec<Row> {
    vec![
        row::<Close>("queue::close", "nobody sleeps"),
        row::<CloseWithGetter>("queue::close_with_getter", "somebody sleeps in get"),
        row::<CloseWithPutter>("queue::close_with_putter", "somebody sleeps in put"),
    ]
}

fn started(queue: &Queue<u64>, keep: &Keep) -> Process {
    let child = |queue: Queue<u64>, taken: Lock| {
        warm(&taken);
        section(|| queue.close());
    };
    let arguments = (queue.clone(), keep.taken.clone());
    Process::builder(child, arguments).start().unwrap()
}

struct Close(Queue<u64>);

impl Scene for Close {
    fn prepare() -> Self {
        let queue = Queue::new().unwrap();
        queue.put(1).unwrap();
        Self(queue)
    }

    fn start(&self, keep: &Keep) -> Process {
        started(&self.0, keep)
    }

    fn check(self, left: bool) {
        match self.0.put_timeout(2, PATIENCE) {
            Ok(()) => {
                assert!(!left);
                assert_eq!(drained(&self.0), [1, 2]);
                still_works(&self.0, &[3, 4]);
            }
            Err(TryPutError::Closed(2)) => assert_eq!(drained(&self.0), [1]),
            Err(other) => panic!("{other:?}"),
        }
        // Closing again finishes what was begun.
        self.0.close();
        assert!(matches!(self.0.get(), Err(GetError::Closed)));
    }
}

struct CloseWithGetter {
    queue: Queue<u64>,
    getter: Option<Waiter<Result<u64, GetError>>>,
}

impl Scene for CloseWithGetter {
    fn prepare() -> Self {
        Self {
            queue: Queue::new().unwrap(),
            getter: None,
        }
    }

    fn start(&self, keep: &Keep) -> Process {
        started(&self.queue, keep)
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
struct CloseWithPutter {
    queue: Queue<u64>,
    putter: Option<Waiter<Result<(), PutError<u64>>>>,
}

impl Scene for CloseWithPutter {
    fn prepare() -> Self {
        let queue = Queue::with_maxsize(1).unwrap();
        queue.put(1).unwrap();
        Self {
            queue,
            putter: None,
        }
    }

    fn start(&self, keep: &Keep) -> Process {
        started(&self.queue, keep)
    }

    fn entered(&mut self) {
        let queue = self.queue.clone();
        self.putter = Some(Waiter::asleep_in(move || queue.put(2)));
    }

    fn check(self, left: bool) {
        match self.queue.try_put(3) {
            // Nobody gets anything: the close itself must end the sleep.
            Err(TryPutError::Closed(3)) => {
                let put = self.putter.unwrap().result();
                assert!(matches!(put, Err(PutError::Closed(2))), "{put:?}");
                assert_eq!(drained(&self.queue), [1]);
            }
            Err(TryPutError::Full(3)) => {
                assert!(!left);
                assert_eq!(self.queue.get().unwrap(), 1);
                self.putter.unwrap().result().unwrap();
                assert_eq!(drained(&self.queue), [2]);
            }
            other => panic!("{other:?}"),
        }
    }
}
