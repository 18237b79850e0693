//! `JoinableQueue`: every item that was put is done once or put back, whoever dies; what is unfinished is counted right, and those who
//! join end once the living have done the rest.

use crate::row::{Keep, Row, Scene, row};
use crate::survivor::{PATIENCE, started, warm};
use crate::tracee::section;
use multiproc::{JoinableQueue, Lock, Process, TryGetError, arena};
use std::marker::PhantomData;

pub(crate) fn rows() -> Vec<Row> {
    vec![
        row::<Work<Put>>("joinable::put", "an item more"),
        row::<Work<PutByTaker>>(
            "joinable::put_by_taker",
            "by one that has taken items before",
        ),
        row::<Work<PutMany>>("joinable::put_many", "three items more"),
        row::<Work<Get>>("joinable::get", "the oldest item"),
        row::<Work<GetPutBack>>("joinable::get_put_back", "an item that was put back"),
        row::<Work<Done>>("joinable::task_done", "an item is done"),
        row::<Work<DonePutBack>>(
            "joinable::task_done_again",
            "an item is done that was put back",
        ),
        row::<Work<Dropped>>("joinable::drop", "an item is put back"),
        row::<Work<GetOnce>>("joinable::get_once", "nothing may be put back"),
        row::<Work<GetTwice>>("joinable::get_twice", "what was put back may not be again"),
        row::<Work<DropOnce>>("joinable::drop_once", "nothing may be put back"),
    ]
}

pub(crate) type Items = JoinableQueue<u64>;

/// The survivor's own item.
const LAST: u64 = 1000;

/// How many items are in the queue before the child comes.
const BEFORE: u64 = 2;

/// What a child does.
trait Verb: 'static {
    fn make() -> Items {
        JoinableQueue::new().unwrap()
    }

    /// After the first items were put.
    fn before(_queue: &Items) {}

    /// In the child, in a section.
    fn acts(queue: &Items);

    /// Items that it puts.
    const PUTS: u64 = 0;
    /// The most that may be finished by the child: done, or failed with it.
    const DOES: usize = 0;
    /// The most that may have failed.
    const FAILS: u64 = 0;
    /// How often items may have been taken before the survivor takes them.
    const ATTEMPTS: u32 = 0;
}

struct Put;

impl Verb for Put {
    const PUTS: u64 = 1;

    fn acts(queue: &Items) {
        section(|| queue.put(BEFORE)).unwrap();
    }
}

struct PutByTaker;

impl Verb for PutByTaker {
    const PUTS: u64 = 1;
    // It had one before, and gave it back.
    const ATTEMPTS: u32 = 1;

    fn acts(queue: &Items) {
        drop(queue.get().unwrap());
        section(|| queue.put(BEFORE)).unwrap();
    }
}

struct PutMany;

impl Verb for PutMany {
    const PUTS: u64 = 3;

    fn acts(queue: &Items) {
        section(|| queue.put_many(BEFORE..BEFORE + 3)).unwrap();
    }
}

struct Get;

impl Verb for Get {
    const ATTEMPTS: u32 = 1;

    fn acts(queue: &Items) {
        let leased = section(|| queue.get()).unwrap();
        assert_eq!((*leased, leased.attempts()), (0, 0));
    }
}

struct GetPutBack;

impl Verb for GetPutBack {
    const ATTEMPTS: u32 = 2;

    fn before(queue: &Items) {
        drop(queue.get().unwrap());
    }

    fn acts(queue: &Items) {
        let leased = section(|| queue.get()).unwrap();
        assert_eq!((*leased, leased.attempts()), (0, 1));
    }
}

struct Done;

impl Verb for Done {
    const DOES: usize = 1;
    const ATTEMPTS: u32 = 1;

    fn acts(queue: &Items) {
        let leased = queue.get().unwrap();
        assert_eq!(section(|| leased.task_done()), 0);
    }
}

struct DonePutBack;

impl Verb for DonePutBack {
    const DOES: usize = 1;
    const ATTEMPTS: u32 = 2;

    fn before(queue: &Items) {
        GetPutBack::before(queue);
    }

    fn acts(queue: &Items) {
        let leased = queue.get().unwrap();
        assert_eq!(section(|| leased.task_done()), 0);
    }
}

struct Dropped;

impl Verb for Dropped {
    const ATTEMPTS: u32 = 1;

    fn acts(queue: &Items) {
        let leased = queue.get().unwrap();
        section(|| drop(leased));
    }
}

struct GetOnce;

impl Verb for GetOnce {
    const DOES: usize = 1;
    const FAILS: u64 = 1;

    fn make() -> Items {
        JoinableQueue::builder().retries(0).build().unwrap()
    }

    fn acts(queue: &Items) {
        Get::acts(queue);
    }
}

struct GetTwice;

impl Verb for GetTwice {
    const DOES: usize = 1;
    const FAILS: u64 = 1;
    const ATTEMPTS: u32 = 1;

    fn make() -> Items {
        JoinableQueue::builder().retries(1).build().unwrap()
    }

    fn before(queue: &Items) {
        GetPutBack::before(queue);
    }

    fn acts(queue: &Items) {
        GetPutBack::acts(queue);
    }
}

struct DropOnce;

impl Verb for DropOnce {
    const DOES: usize = 1;
    const FAILS: u64 = 1;

    fn make() -> Items {
        GetOnce::make()
    }

    fn acts(queue: &Items) {
        Dropped::acts(queue);
    }
}

/// Takes what is left, and says that it is done.
pub(crate) fn work_off(queue: &Items) -> Vec<(u64, u32)> {
    let mut all = Vec::new();
    loop {
        match queue.try_get() {
            Ok(leased) => {
                let attempts = leased.attempts();
                all.push((leased.task_done(), attempts));
            }
            Err(TryGetError::Empty | TryGetError::Closed) => return all,
            Err(error) => panic!("what is in the queue cannot be got: {error}"),
        }
    }
}

/// Nothing is unfinished, and nothing is left but the ring.
pub(crate) fn is_done(queue: &Items) {
    assert!(queue.join_timeout(PATIENCE).unwrap());
    assert_eq!((queue.unfinished(), queue.len()), (0, 0));
    assert_eq!(arena::usage().unwrap().blocks, 1);
}

struct Work<V> {
    queue: Items,
    length: usize,
    verb: PhantomData<V>,
}

fn acts<V: Verb>(queue: Items, taken: Lock) {
    warm(&taken);
    V::acts(&queue);
}

impl<V: Verb> Scene for Work<V> {
    fn prepare() -> Self {
        let queue = V::make();
        (0..BEFORE).for_each(|number| queue.put(number).unwrap());
        V::before(&queue);
        Self {
            queue,
            length: 0,
            verb: PhantomData,
        }
    }

    fn start(&self, keep: &Keep) -> Process {
        started(acts::<V>, &self.queue, keep)
    }

    fn last_look(&mut self) {
        self.length = self.queue.len();
    }

    fn check(self, left: bool) {
        let queue = &self.queue;
        let unfinished = queue.unfinished();
        let put = unfinished.max(usize::try_from(BEFORE).unwrap());
        assert!(!left || V::PUTS == 0 || put as u64 == BEFORE + V::PUTS);
        assert!(!left || V::DOES == 0 || V::FAILS > 0 || unfinished == put - 1);
        // Whoever puts next completes what a dead one had begun.
        queue.put(LAST).unwrap();
        assert_eq!(queue.unfinished(), unfinished + 1);
        let got = work_off(queue);
        let failed = queue.failed();
        assert!(failed <= V::FAILS && (!left || failed == V::FAILS));
        // All that was put and not finished, each once; what failed may have been found only now.
        let mut numbers: Vec<_> = got.iter().map(|(number, _)| *number).collect();
        numbers.sort_unstable();
        assert_eq!(numbers.pop(), Some(LAST));
        let finished = put - numbers.len();
        assert!(finished <= V::DOES, "{numbers:?} of {put}");
        let all: Vec<_> = (0..put as u64).collect();
        assert!(numbers == all || finished == 1 && numbers == all[1..]);
        let most = got.iter().map(|(_, attempts)| *attempts).max();
        assert!(most <= Some(V::ATTEMPTS), "{got:?}");
        is_done(queue);
    }
}
