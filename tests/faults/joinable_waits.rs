//! `JoinableQueue`, where somebody waits: for an item, for one to be put back, for all to be done.

use crate::joinable::{Items, is_done, work_off};
use crate::row::{Keep, Row, Scene, row};
use crate::survivor::{PATIENCE, Waiter, started, warm};
use crate::tracee::section;
use multiproc::{GetError, JoinableQueue, Leased, Lock, Process, TryGetError, TryPutError};
use std::time::Duration;

pub(crate) fn rows() -> Vec<Row> {
    vec![
        row::<DropWakes>("joinable::drop_wakes", "somebody sleeps in get"),
        row::<DoneWakes>("joinable::task_done_wakes", "somebody sleeps in join"),
        row::<FailWakes>(
            "joinable::get_wakes",
            "somebody sleeps in join for what may not be put back",
        ),
        row::<JoinSleeps>("joinable::join_sleeps", "sleeps beside another joiner"),
        row::<GetSleeps>("joinable::get_sleeps", "sleeps beside another getter"),
        row::<Rest<true>>(
            "joinable::last_done",
            "closed; somebody waits for what may be put back",
        ),
        row::<Rest<false>>(
            "joinable::last_dropped",
            "closed; somebody waits for what may be put back",
        ),
        row::<ShutNow>(
            "joinable::shutdown_now",
            "somebody sleeps in join, another has an item",
        ),
    ]
}

/// A queue with one item.
fn one_item() -> Items {
    let queue = JoinableQueue::new().unwrap();
    queue.put(1).unwrap();
    queue
}

type Got = Result<(u64, u32), GetError>;

/// A thread that gets one item, and is done with it.
fn getter(queue: &Items) -> Waiter<Got> {
    let queue = queue.clone();
    let takes = move || {
        queue.get().map(|leased| {
            let attempts = leased.attempts();
            (leased.task_done(), attempts)
        })
    };
    Waiter::asleep_in(takes)
}

/// A thread that joins.
fn joiner(queue: &Items) -> Waiter<()> {
    let queue = queue.clone();
    Waiter::asleep_in(move || queue.join().unwrap())
}

/// What a dead process had is somebody else's, who slept meanwhile.
struct DropWakes {
    queue: Items,
    getter: Option<Waiter<Got>>,
}

impl Scene for DropWakes {
    fn prepare() -> Self {
        Self {
            queue: one_item(),
            getter: None,
        }
    }

    fn start(&self, keep: &Keep) -> Process {
        let child = |queue: Items, taken: Lock| {
            warm(&taken);
            let leased = queue.get().unwrap();
            section(|| drop(leased));
        };
        started(child, &self.queue, keep)
    }

    fn entered(&mut self) {
        self.getter = Some(getter(&self.queue));
    }

    fn check(self, _left: bool) {
        assert_eq!(self.getter.unwrap().result().unwrap(), (1, 1));
        is_done(&self.queue);
    }
}

struct DoneWakes {
    queue: Items,
    joiner: Option<Waiter<()>>,
    unfinished: usize,
}

impl Scene for DoneWakes {
    fn prepare() -> Self {
        Self {
            queue: one_item(),
            joiner: None,
            unfinished: 1,
        }
    }

    fn start(&self, keep: &Keep) -> Process {
        let child = |queue: Items, taken: Lock| {
            warm(&taken);
            let leased = queue.get().unwrap();
            section(|| leased.task_done());
        };
        started(child, &self.queue, keep)
    }

    fn entered(&mut self) {
        self.joiner = Some(joiner(&self.queue));
    }

    fn last_look(&mut self) {
        self.unfinished = self.queue.unfinished();
    }

    fn check(self, left: bool) {
        assert!(self.unfinished == 0 || !left);
        // If it was not done, nobody is told that it was.
        let joiner = self.joiner.unwrap();
        if self.unfinished == 1 {
            assert!(joiner.waits());
            let leased = self.queue.get_timeout(PATIENCE).unwrap();
            assert!(joiner.waits());
            assert_eq!((leased.attempts(), leased.task_done()), (1, 1));
        }
        joiner.result();
        assert_eq!(work_off(&self.queue), []);
        is_done(&self.queue);
    }
}

/// An item fails with its taker, and nobody comes who gets: who joins finds out.
struct FailWakes {
    queue: Items,
    joiner: Option<Waiter<()>>,
    length: usize,
}

impl Scene for FailWakes {
    fn prepare() -> Self {
        let queue = JoinableQueue::builder().retries(0).build().unwrap();
        queue.put(1).unwrap();
        Self {
            queue,
            joiner: None,
            length: 1,
        }
    }

    fn start(&self, keep: &Keep) -> Process {
        let child = |queue: Items, taken: Lock| {
            warm(&taken);
            let _leased = section(|| queue.get()).unwrap();
        };
        started(child, &self.queue, keep)
    }

    fn entered(&mut self) {
        self.joiner = Some(joiner(&self.queue));
    }

    fn last_look(&mut self) {
        self.length = self.queue.len();
    }

    fn check(self, left: bool) {
        assert!(!left || self.length == 0);
        let joiner = self.joiner.unwrap();
        if self.length == 1 {
            assert!(joiner.waits());
            assert_eq!(work_off(&self.queue), [(1, 0)]);
        }
        joiner.result();
        assert_eq!(self.queue.failed(), 1 - self.length as u64);
        assert_eq!(work_off(&self.queue), []);
        is_done(&self.queue);
    }
}

/// The child sleeps in `join`, then a thread of the survivor; the item is done.
struct JoinSleeps {
    queue: Items,
    other: Option<Waiter<()>>,
}

impl Scene for JoinSleeps {
    const SLEEPS: bool = true;

    fn prepare() -> Self {
        Self {
            queue: one_item(),
            other: None,
        }
    }

    fn start(&self, keep: &Keep) -> Process {
        let child = |queue: Items, taken: Lock| {
            warm(&taken);
            section(|| queue.join()).unwrap();
        };
        started(child, &self.queue, keep)
    }

    fn asleep(&mut self) {
        if self.other.is_none() {
            self.other = Some(joiner(&self.queue));
            let _done = work_off(&self.queue);
        }
    }

    fn check(self, left: bool) {
        assert!(!left || self.other.is_some());
        if self.other.is_none() {
            assert_eq!(work_off(&self.queue), [(1, 0)]);
        }
        self.other.map(Waiter::result);
        is_done(&self.queue);
    }
}

/// The child sleeps in `get`, then a thread of the survivor; two items come.
struct GetSleeps {
    queue: Items,
    other: Option<Waiter<Got>>,
}

impl Scene for GetSleeps {
    const SLEEPS: bool = true;

    fn prepare() -> Self {
        Self {
            queue: JoinableQueue::new().unwrap(),
            other: None,
        }
    }

    fn start(&self, keep: &Keep) -> Process {
        let child = |queue: Items, taken: Lock| {
            warm(&taken);
            let _leased = section(|| queue.get()).unwrap();
        };
        started(child, &self.queue, keep)
    }

    fn asleep(&mut self) {
        if self.other.is_none() {
            self.other = Some(getter(&self.queue));
            self.queue.put_many(0..2).unwrap();
        }
    }

    fn check(self, left: bool) {
        assert!(!left || self.other.is_some());
        if let Some(other) = self.other {
            let mut all = vec![other.result().unwrap()];
            all.extend(work_off(&self.queue));
            all.sort_unstable();
            assert!(matches!(all[..], [(0, first), (1, second)] if first + second <= 1));
            assert!(!left || all[0].1 + all[1].1 == 1, "{all:?}");
        }
        assert_eq!(work_off(&self.queue), []);
        is_done(&self.queue);
    }
}

/// The queue is closed and empty, and the child has the last item: who gets waits for what becomes of it.
struct Rest<const DONE: bool> {
    queue: Items,
    getter: Option<Waiter<Got>>,
    unfinished: usize,
}

impl<const DONE: bool> Scene for Rest<DONE> {
    fn prepare() -> Self {
        Self {
            queue: one_item(),
            getter: None,
            unfinished: 1,
        }
    }

    fn start(&self, keep: &Keep) -> Process {
        let child = |queue: Items, taken: Lock| {
            warm(&taken);
            let leased = queue.get().unwrap();
            section(|| {
                if DONE {
                    leased.task_done();
                } else {
                    drop(leased);
                }
            });
        };
        started(child, &self.queue, keep)
    }

    fn entered(&mut self) {
        self.queue.close();
        self.getter = Some(getter(&self.queue));
    }

    fn last_look(&mut self) {
        self.unfinished = self.queue.unfinished();
    }

    fn check(self, left: bool) {
        match self.getter.unwrap().result() {
            Ok(item) => assert_eq!((item, DONE && left), ((1, 1), false)),
            Err(GetError::Closed) => assert_eq!((DONE, self.unfinished), (true, 0)),
            Err(error) => panic!("{error}"),
        }
        assert!(matches!(self.queue.get(), Err(GetError::Closed)));
        is_done(&self.queue);
    }
}

/// Two items are in the queue; the survivor has a third, and a thread of it joins.
struct ShutNow {
    queue: Items,
    leased: Leased<u64>,
    joiner: Option<Waiter<()>>,
}

impl Scene for ShutNow {
    fn prepare() -> Self {
        let queue = JoinableQueue::new().unwrap();
        (0..3).for_each(|number| queue.put(number).unwrap());
        Self {
            leased: queue.get().unwrap(),
            queue,
            joiner: None,
        }
    }

    fn start(&self, keep: &Keep) -> Process {
        let child = |queue: Items, taken: Lock| {
            warm(&taken);
            section(|| queue.shutdown(true));
        };
        started(child, &self.queue, keep)
    }

    fn entered(&mut self) {
        self.joiner = Some(joiner(&self.queue));
    }

    fn check(self, left: bool) {
        let another = match self.queue.try_get() {
            Ok(leased) => Some(leased),
            Err(TryGetError::Empty | TryGetError::Closed) => None,
            Err(error) => panic!("{error}"),
        };
        let closed = match self.queue.put_timeout(3, PATIENCE) {
            Ok(()) => false,
            Err(TryPutError::Closed(3)) => true,
            Err(error) => panic!("{error}"),
        };
        assert!(!left || closed && another.is_none());
        // Doing it again finishes what was begun; the joiner does not wait for the item that is on lease.
        self.queue.shutdown(true);
        self.joiner.unwrap().result();
        assert!(self.queue.join_timeout(Duration::ZERO).unwrap());
        assert!(matches!(self.queue.get(), Err(GetError::Closed)));
        assert_eq!(self.leased.task_done(), 0);
        another.map(Leased::task_done);
        assert_eq!(multiproc::arena::usage().unwrap().blocks, 1);
    }
}
