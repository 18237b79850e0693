//! `JoinableQueue`, items with handles in them: the object lives as long as its item, and ends with it.

use crate::row::{Keep, Leak, Row, Scene, row};
use crate::survivor::{News, PATIENCE, acquires, started, warm};
use crate::tracee::section;
use multiproc::{JoinableQueue, Lock, Process, arena};

pub(crate) fn rows() -> Vec<Row> {
    vec![
        row::<Handled<0>>(
            "joinable::get_handle",
            "the only handle of a lock, on lease",
        ),
        row::<Handled<1>>(
            "joinable::task_done_handle",
            "the only handle of a lock comes out",
        ),
        row::<Handled<2>>(
            "joinable::drop_handle",
            "the only handle of a lock is put back",
        ),
    ]
}

type Locks = JoinableQueue<Lock>;

const GET: usize = 0;
const DONE: usize = 1;

/// The only handle of the lock is in the queue.
struct Handled<const VERB: usize>(Locks);

impl<const VERB: usize> Scene for Handled<VERB> {
    // Between the block and the handle itself the flight is in private memory.
    const MAY_LEAK: Leak = Leak::A_LOCK;

    fn prepare() -> Self {
        let queue = JoinableQueue::new().unwrap();
        queue.put(Lock::new().unwrap()).unwrap();
        Self(queue)
    }

    fn start(&self, keep: &Keep) -> Process {
        let child = |queue: Locks, taken: Lock| {
            warm(&taken);
            if VERB == GET {
                let _leased = section(|| queue.get()).unwrap();
                return;
            }
            let leased = queue.get().unwrap();
            section(|| {
                if VERB == DONE {
                    drop(leased.task_done());
                } else {
                    drop(leased);
                }
            });
        };
        started(child, &self.0, keep)
    }

    fn check(self, left: bool) {
        let queue = &self.0;
        let unfinished = queue.unfinished();
        assert!(unfinished == 1 || VERB == DONE);
        assert!(unfinished == 0 || VERB != DONE || !left);
        // One item or none, twice on lease: it can be decoded as often as it is taken.
        for attempts in 1..=2 {
            let Ok(leased) = queue.try_get() else {
                assert_eq!(unfinished, 0);
                break;
            };
            assert!(leased.attempts() <= attempts);
            assert_eq!(acquires(&*leased), News::None);
        }
        if let Ok(leased) = queue.try_get() {
            let lock = leased.task_done();
            assert_eq!(acquires(&lock), News::None);
        }
        assert!(queue.join_timeout(PATIENCE).unwrap());
        assert_eq!(arena::usage().unwrap().blocks, 1);
    }
}
