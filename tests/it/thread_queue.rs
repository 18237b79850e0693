//! Queues between threads, one verb after the other: what CPython tests, for all three orders.

use crate::kit::kind;
use crate::runner::{Case, case};
use crate::sleepers::{sleeper, sleepers};
use multiproc::ErrorKind;
use multiproc::queue::{
    Fifo, Lifo, Order, OrderedQueue, Queue, Smallest, TryGetError, TryPutError,
};
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

/// A test of each order.
macro_rules! all_orders {
    ($body:ident) => {
        || {
            $body::<Fifo>();
            $body::<Lifo>();
            $body::<Smallest>();
        }
    };
}
pub(crate) use all_orders;

pub(crate) fn tests() -> Vec<Case> {
    vec![
        case("thread_queue::orders", orders),
        case("thread_queue::basic", all_orders!(basic)),
        case("thread_queue::timeouts", all_orders!(timeouts)),
        case("thread_queue::limits", all_orders!(limits)),
        case("thread_queue::shrinking", all_orders!(shrinking)),
        case("thread_queue::done_too_often", all_orders!(done_too_often)),
        case("thread_queue::join_twice", all_orders!(join_twice)),
        case("thread_queue::iterators", iterators),
        case("thread_queue::debug_and_defaults", debug),
    ]
}

const SHORT: Duration = Duration::from_millis(2);

fn orders() {
    fn got<O: Order<u64>>() -> Vec<u64> {
        let queue = OrderedQueue::<u64, O>::new();
        [333, 111, 222]
            .into_iter()
            .for_each(|n| queue.put(n).unwrap());
        (0..3).map(|_| queue.get().unwrap()).collect()
    }
    assert_eq!(got::<Fifo>(), [333, 111, 222]);
    assert_eq!(got::<Lifo>(), [222, 111, 333]);
    assert_eq!(got::<Smallest>(), [111, 222, 333]);
}

/// Twice on the same queue: full and empty, and both verbs that wait for the other.
fn basic<O: Order<u64>>()
where
    OrderedQueue<u64, O>: Send + Sync,
{
    let queue = OrderedQueue::<u64, O>::with_maxsize(3);
    for _ in 0..2 {
        assert!(queue.is_empty() && !queue.is_full());
        queue.put(111).unwrap();
        queue.put_timeout(222, Duration::MAX).unwrap();
        assert!(!queue.is_empty() && !queue.is_full());
        queue.try_put(333).unwrap();
        assert!(!queue.is_empty() && queue.is_full());
        assert_eq!(queue.try_put(4), Err(TryPutError::Full(4)));
        assert_eq!(queue.put_timeout(4, SHORT), Err(TryPutError::Full(4)));
        thread::scope(|scope| {
            let putter = sleeper(scope, || queue.put(444));
            assert_eq!(queue.len(), 3);
            queue.get().unwrap();
            putter.join().unwrap().unwrap();
        });
        assert_eq!(queue.len(), 3);
        for _ in 0..3 {
            queue.get().unwrap();
        }
        assert_eq!(queue.try_get(), Err(TryGetError::Empty));
        assert_eq!(queue.get_timeout(SHORT), Err(TryGetError::Empty));
        thread::scope(|scope| {
            let getter = sleeper(scope, || queue.get());
            queue.put(5).unwrap();
            assert_eq!(getter.join().unwrap(), Ok(5));
        });
    }
}

/// None is over too early, the longest ones are for ever, and zero does not wait.
fn timeouts<O: Order<u64>>()
where
    OrderedQueue<u64, O>: Send + Sync,
{
    let queue = OrderedQueue::<u64, O>::with_maxsize(1);
    for wait in [Duration::ZERO, Duration::from_nanos(1), SHORT * 10] {
        let begin = Instant::now();
        assert_eq!(queue.get_timeout(wait), Err(TryGetError::Empty));
        assert!(begin.elapsed() >= wait);
    }
    queue.put(1).unwrap();
    for wait in [Duration::ZERO, Duration::from_nanos(1), SHORT * 10] {
        let begin = Instant::now();
        assert_eq!(queue.put_timeout(2, wait), Err(TryPutError::Full(2)));
        assert!(begin.elapsed() >= wait);
        let begin = Instant::now();
        assert!(!queue.join_timeout(wait));
        assert!(begin.elapsed() >= wait);
    }
    let absurd = [
        Duration::MAX,
        Duration::from_secs(u64::MAX),
        Duration::from_secs(1 << 40),
    ];
    for wait in absurd {
        thread::scope(|scope| {
            let putter = sleeper(scope, || queue.put_timeout(2, wait));
            queue.get().unwrap();
            putter.join().unwrap().unwrap();
            queue.get().unwrap();
            let getter = sleeper(scope, || queue.get_timeout(wait));
            queue.put(3).unwrap();
            assert_eq!(getter.join().unwrap(), Ok(3));
            let joiner = sleeper(scope, || queue.join_timeout(wait));
            while queue.unfinished_tasks() > 0 {
                queue.task_done().unwrap();
            }
            assert!(joiner.join().unwrap());
            queue.put(1).unwrap();
        });
    }
    assert_eq!(queue.get_timeout(Duration::ZERO), Ok(1));
    queue.put_timeout(1, Duration::ZERO).unwrap();
}

fn limits<O: Order<u64>>() {
    let queue = OrderedQueue::<u64, O>::with_maxsize(3);
    (0..3).for_each(|n| queue.try_put(n).unwrap());
    assert_eq!(queue.try_put(9), Err(TryPutError::Full(9)));
    (0..3).for_each(|_| _ = queue.try_get().unwrap());
    assert_eq!(queue.try_get(), Err(TryGetError::Empty));
    for maxsize in [0, usize::MAX] {
        let queue = OrderedQueue::<u64, O>::with_maxsize(maxsize);
        (0..1000).for_each(|n| queue.try_put(n).unwrap());
        assert_eq!((queue.len(), queue.is_full()), (1000, false));
        assert_eq!(queue.maxsize(), maxsize);
    }
}

/// Less room than there is inside; and more, which lets those go on who wait.
fn shrinking<O: Order<u64>>()
where
    OrderedQueue<u64, O>: Send + Sync,
{
    let queue = OrderedQueue::<u64, O>::with_maxsize(3);
    (0..3).for_each(|n| queue.put(n).unwrap());
    assert_eq!(queue.try_put(4), Err(TryPutError::Full(4)));
    queue.set_maxsize(2);
    assert_eq!((queue.len(), queue.maxsize()), (3, 2));
    assert_eq!(queue.try_put(4), Err(TryPutError::Full(4)));
    queue.get().unwrap();
    assert!(queue.is_full());
    assert_eq!(queue.try_put(4), Err(TryPutError::Full(4)));
    queue.get().unwrap();
    queue.try_put(4).unwrap();
    for room in [4, 0] {
        thread::scope(|scope| {
            let putters = sleepers(scope, 2, || queue.put(5));
            queue.set_maxsize(room);
            for putter in putters {
                putter.join().unwrap().unwrap();
            }
        });
        assert_eq!(queue.is_full(), room == 4);
    }
    assert_eq!(queue.len(), 6);
}

fn done_too_often<O: Order<u64>>() {
    let queue = OrderedQueue::<u64, O>::new();
    assert_eq!(kind(queue.task_done()), ErrorKind::Misuse);
    queue.put(1).unwrap();
    queue.put(2).unwrap();
    assert_eq!(queue.unfinished_tasks(), 2);
    // As in Python nobody asks whether it was got.
    queue.task_done().unwrap();
    queue.get().unwrap();
    queue.task_done().unwrap();
    for _ in 0..3 {
        assert_eq!(kind(queue.task_done()), ErrorKind::Misuse);
    }
    assert_eq!((queue.unfinished_tasks(), queue.len()), (0, 1));
    queue.join();
    // And what was refused is not counted.
    queue.put(3).unwrap();
    assert_eq!(queue.unfinished_tasks(), 1);
    queue.task_done().unwrap();
}

fn join_twice<O: Order<u64>>()
where
    OrderedQueue<u64, O>: Send + Sync,
{
    let queue = OrderedQueue::<u64, O>::new();
    let sum = AtomicU64::new(0);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Ok(number) = queue.get() {
                    sum.fetch_add(number, SeqCst);
                    queue.task_done().unwrap();
                }
            });
        }
        for times in 1..=2 {
            (0..100).for_each(|n| queue.put(n).unwrap());
            queue.join();
            assert_eq!(sum.load(SeqCst), 4950 * times);
        }
        queue.shutdown(false);
    });
    queue.join();
    assert_eq!(kind(queue.task_done()), ErrorKind::Misuse);
}

fn iterators() {
    let queue = Queue::with_maxsize(1);
    let other = queue.clone();
    let putter = thread::spawn(move || {
        (0..100).for_each(|n| other.put(n).unwrap());
        other.shutdown(false);
    });
    let mut expected = 0;
    for number in &queue {
        assert_eq!(number, expected);
        expected += 1;
    }
    assert_eq!(expected, 100);
    let mut values = queue.iter();
    assert_eq!((values.next(), values.next()), (None, None));
    putter.join().unwrap();
}

/// Nothing is asked of the values, nor of the errors that hold them.
fn debug() {
    struct Plain;
    let queue = Queue::default();
    queue.put(Plain).unwrap();
    let text = "Queue { len: 1, maxsize: 0, unfinished_tasks: 1, is_shutdown: false, .. }";
    assert_eq!(format!("{queue:?}"), text);
    assert!(format!("{:?}", queue.iter()).contains(text));
    queue.set_maxsize(1);
    let full = queue.try_put(Plain).err().unwrap();
    queue.shutdown(true);
    let shut = queue.try_put(Plain).err().unwrap();
    let ended = queue.put(Plain).err().unwrap();
    assert_eq!(
        format!("{full:?} {shut:?} {ended:?}"),
        "Full(..) ShutDown(..) ShutDown(..)"
    );
    assert_eq!(
        format!("{full}, {shut}"),
        "the queue is full, the queue is shut down"
    );
    let Plain = ended.into_inner();
    assert_eq!(multiproc::Error::from(full).kind(), ErrorKind::Busy);
    assert_eq!(multiproc::Error::from(shut).kind(), ErrorKind::Closed);
    let got = multiproc::Error::from(queue.try_get().err().unwrap());
    assert_eq!(got.to_string(), "closed: the queue is shut down");
    let queue = OrderedQueue::<u64, Smallest>::default();
    assert!(format!("{queue:?}").starts_with("PriorityQueue { len: 0"));
    let got = multiproc::Error::from(queue.try_get().unwrap_err());
    assert_eq!(got.to_string(), "busy: the queue is empty");
}
