//! The queue between threads that only puts and gets.

use crate::runner::{Case, case, scaled};
use crate::sleepers::{sleeper, sleepers};
use multiproc::queue::{Empty, SimpleQueue};
use multiproc::{Error, ErrorKind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

pub(crate) fn tests() -> Vec<Case> {
    vec![
        case("thread_simple_queue::basic", basic),
        case("thread_simple_queue::order", order),
        case("thread_simple_queue::timeouts", timeouts),
        case("thread_simple_queue::many_threads", many),
        case("thread_simple_queue::many_threads_that_try", many_try),
        case("thread_simple_queue::many_threads_in_a_hurry", many_hurry),
        case(
            "thread_simple_queue::values_are_dropped_when_taken",
            dropped,
        ),
        case("thread_simple_queue::put_in_a_destructor", reentrant),
        case(
            "thread_simple_queue::a_patient_one_among_hasty_ones",
            patient,
        ),
    ]
}

const SHORT: Duration = Duration::from_millis(2);

fn basic() {
    let queue = SimpleQueue::new();
    assert_eq!((queue.is_empty(), queue.len()), (true, 0));
    (1..=4).for_each(|n| queue.put(n));
    assert_eq!((queue.is_empty(), queue.len()), (false, 4));
    assert_eq!(queue.get(), 1);
    assert_eq!(queue.try_get(), Ok(2));
    assert_eq!(queue.get_timeout(SHORT), Ok(3));
    assert_eq!(queue.clone().get_timeout(Duration::ZERO), Ok(4));
    assert_eq!((queue.is_empty(), queue.len()), (true, 0));
    assert_eq!(queue.try_get(), Err(Empty));
    let error = queue.get_timeout(SHORT).unwrap_err();
    assert_eq!(error.to_string(), "the queue is empty");
    assert_eq!(Error::from(error).kind(), ErrorKind::Busy);
    assert_eq!(format!("{queue:?}"), "SimpleQueue { len: 0, .. }");
}

fn order() {
    let queue = SimpleQueue::default();
    let count = scaled(1000);
    thread::scope(|scope| {
        scope.spawn(|| (0..count).for_each(|n| queue.put(n)));
        (0..count).for_each(|n| assert_eq!(queue.get(), n));
    });
}

fn timeouts() {
    let queue = SimpleQueue::<u8>::new();
    for wait in [Duration::ZERO, Duration::from_nanos(1), SHORT * 10] {
        let begin = Instant::now();
        assert_eq!(queue.get_timeout(wait), Err(Empty));
        assert!(begin.elapsed() >= wait);
    }
    for wait in [Duration::MAX, Duration::from_secs(1 << 40)] {
        thread::scope(|scope| {
            let getter = sleeper(scope, || queue.get_timeout(wait));
            queue.put(5);
            assert_eq!(getter.join().unwrap(), Ok(5));
        });
    }
}

/// Fifty put what there is to put and fifty get it, by `get`.
fn run(get: impl Fn(&SimpleQueue<Option<u64>>) -> Option<u64> + Sync) {
    let (queue, next) = (SimpleQueue::new(), AtomicU64::new(0));
    let (got, count) = (Mutex::new(Vec::new()), u64::from(scaled(2000)));
    thread::scope(|scope| {
        for _ in 0..50 {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, SeqCst);
                    queue.put((number < count).then_some(number));
                    if number >= count {
                        break;
                    }
                }
            });
            scope.spawn(|| {
                while let Some(number) = get(&queue) {
                    got.lock().unwrap().push(number);
                }
            });
        }
    });
    assert!(queue.is_empty());
    let mut got = got.into_inner().unwrap();
    got.sort_unstable();
    assert!(got.into_iter().eq(0..count), "something was lost");
}

fn many() {
    run(SimpleQueue::get);
}

fn many_try() {
    run(|queue| {
        loop {
            match queue.try_get() {
                Ok(value) => return value,
                Err(Empty) => thread::yield_now(),
            }
        }
    });
}

fn many_hurry() {
    run(|queue| {
        loop {
            if let Ok(value) = queue.get_timeout(Duration::from_micros(10)) {
                return value;
            }
        }
    });
}

struct Counted<'a>(&'a AtomicU64);

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(1, SeqCst);
    }
}

fn dropped() {
    let (queue, count) = (SimpleQueue::new(), AtomicU64::new(0));
    (0..100).for_each(|_| queue.put(Counted(&count)));
    for taken in 1..=60 {
        drop(queue.get());
        assert_eq!(count.load(SeqCst), taken);
    }
    drop(queue);
    assert_eq!(count.load(SeqCst), 100);
}

/// Puts the next number when it is dropped.
struct Puts {
    queue: SimpleQueue<u64>,
    next: u64,
}

impl Drop for Puts {
    fn drop(&mut self) {
        self.queue.put(self.next);
    }
}

/// In the middle of a `put`: while its argument is made, and while a thread's last values go.
fn reentrant() {
    let queue = SimpleQueue::new();
    let puts = |next| Puts {
        queue: queue.clone(),
        next,
    };
    for (expected, next) in (0..2000).step_by(2).enumerate() {
        queue.put({
            drop(puts(next));
            next + 1
        });
        assert_eq!(queue.get(), expected as u64);
    }
    for _ in 0..100 {
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    let _last = puts(5);
                    let unwound = std::panic::catch_unwind(|| {
                        let _in_between = puts(5);
                        std::panic::resume_unwind(Box::new(()));
                    });
                    unwound.unwrap_err();
                });
            }
        });
    }
    assert_eq!(queue.len(), 1000 + 400);
}

/// Some give up all the time, others wait for ever: no wake-up goes with those who give up.
fn patient() {
    let (queue, got) = (SimpleQueue::new(), AtomicU64::new(0));
    let count = u64::from(scaled(2000));
    thread::scope(|scope| {
        for micros in [0, 1, 30] {
            let (queue, got) = (&queue, &got);
            scope.spawn(move || {
                while got.load(SeqCst) < count {
                    if queue.get_timeout(Duration::from_micros(micros)) == Ok(true) {
                        got.fetch_add(1, SeqCst);
                    }
                }
            });
        }
        let patient = sleepers(scope, 2, || {
            while queue.get() {
                got.fetch_add(1, SeqCst);
            }
        });
        for number in 0..count {
            queue.put(true);
            // One at a time: somebody must be awake for each.
            while got.load(SeqCst) <= number {
                thread::yield_now();
            }
        }
        while !patient.iter().all(thread::ScopedJoinHandle::is_finished) {
            queue.put(false);
            thread::yield_now();
        }
    });
}
