//! Queues between threads whose items use them when they are dropped: where an item is dropped, the queue counts it no more.

use crate::runner::{Case, case, scaled};
use multiproc::queue::{PriorityQueue, Queue, TryGetError};
use std::cmp::Ordering;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

pub(crate) fn tests() -> Vec<Case> {
    vec![
        case("thread_queue_drops::put_that_panics", put_that_panics),
        case("thread_queue_drops::shuts_down", shuts_down),
        case("thread_queue_drops::many_that_shut_down", many),
    ]
}

/// Compares with nobody, and uses its queue when it is dropped.
struct Touchy {
    number: u32,
    dies: fn(&PriorityQueue<Touchy>),
    queue: Option<PriorityQueue<Touchy>>,
}

impl Touchy {
    fn quiet(number: u32) -> Self {
        let dies = |_: &_| ();
        let queue = None;
        Self {
            number,
            dies,
            queue,
        }
    }
}

impl Drop for Touchy {
    fn drop(&mut self) {
        if let Some(queue) = self.queue.take() {
            (self.dies)(&queue);
        }
    }
}

impl PartialEq for Touchy {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}
impl Eq for Touchy {}
impl PartialOrd for Touchy {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Touchy {
    fn cmp(&self, other: &Self) -> Ordering {
        if self.number == 0 || other.number == 0 {
            resume_unwind(Box::new("incomparable"));
        }
        self.number.cmp(&other.number)
    }
}

/// A queue of two places, one of them taken, into which one is put that cannot be compared and `dies` so.
fn put(dies: fn(&PriorityQueue<Touchy>)) -> PriorityQueue<Touchy> {
    let queue = PriorityQueue::with_maxsize(2);
    assert!(queue.put(Touchy::quiet(5)).is_ok());
    let odd = Touchy {
        number: 0,
        dies,
        queue: Some(queue.clone()),
    };
    assert!(catch_unwind(AssertUnwindSafe(|| queue.put(odd))).is_err());
    queue
}

/// Its place is free again when it is dropped.
fn put_that_panics() {
    let queue = put(|queue| {
        assert_eq!(queue.len(), 1);
        assert!(queue.put(Touchy::quiet(3)).is_ok());
    });
    assert_eq!((queue.len(), queue.unfinished_tasks()), (2, 2));
    assert_eq!([(); 2].map(|()| queue.get().unwrap().number), [3, 5]);
}

fn shuts_down() {
    let queue = put(|queue| queue.shutdown(true));
    assert!(matches!(queue.try_get(), Err(TryGetError::ShutDown)));
    let queue = put(|queue| {
        queue.shutdown(false);
        assert_eq!(queue.get().unwrap().number, 5);
        assert!(queue.get().is_err());
    });
    assert!(queue.is_empty());
}

struct Ends(Queue<Ends>);

impl Drop for Ends {
    fn drop(&mut self) {
        self.0.shutdown(true);
    }
}

/// None of them ends the queue in the destructor of another.
fn many() {
    let queue = Queue::new();
    for _ in 0..scaled(100_000) {
        assert!(queue.put(Ends(queue.clone())).is_ok());
    }
    queue.shutdown(true);
    assert!(queue.is_empty());
    queue.join();
}
