//! Queues between threads under load: many who put and get by all verbs, more or less room, and the end in the middle of it.

use crate::runner::{Case, case, scaled};
use crate::sleepers::sleepers;
use multiproc::queue::{
    Fifo, Lifo, Order, OrderedQueue, Queue, ShutDown, Smallest, TryGetError, TryPutError,
};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

pub(crate) fn tests() -> Vec<Case> {
    vec![
        case("thread_queue_storm::unbounded", || {
            storm::<Fifo>(0, false);
            storm::<Lifo>(0, false);
            storm::<Smallest>(0, false);
        }),
        case("thread_queue_storm::bounded", || {
            for maxsize in [1, 2, 50] {
                storm::<Fifo>(maxsize, false);
                storm::<Lifo>(maxsize, false);
                storm::<Smallest>(maxsize, false);
            }
        }),
        case("thread_queue_storm::room_changes", || {
            storm::<Fifo>(1, true);
            storm::<Lifo>(1, true);
            storm::<Smallest>(1, true);
        }),
        case("thread_queue_storm::shut_in_the_middle", shut),
        case("thread_queue_storm::hasty_and_patient_getters", hasty),
        case("thread_queue_storm::hasty_and_patient_putters", hasty_put),
        case("thread_queue_storm::joined_again_and_again", joined),
        case("thread_queue_storm::never_more_than_maxsize", exact),
    ]
}

static MADE: AtomicU64 = AtomicU64::new(0);
static DROPPED: AtomicU64 = AtomicU64::new(0);

/// Who put it, and how many he had put before.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Item {
    who: usize,
    number: u64,
}

impl Item {
    fn new(who: usize, number: u64) -> Item {
        MADE.fetch_add(1, SeqCst);
        Item { who, number }
    }
}

impl Drop for Item {
    fn drop(&mut self) {
        DROPPED.fetch_add(1, SeqCst);
    }
}

/// Puts by one verb after the other; `false` when it is over.
fn put<O: Order<Item>>(queue: &OrderedQueue<Item, O>, who: usize, number: u64) -> bool {
    let mut item = Item::new(who, number);
    loop {
        let micros = Duration::from_micros(number % 20);
        let put = match number % 3 {
            0 => queue.try_put(item),
            1 => queue.put_timeout(item, micros),
            _ => queue
                .put(item)
                .map_err(|ShutDown(item)| TryPutError::ShutDown(item)),
        };
        match put {
            Ok(()) => return true,
            Err(TryPutError::Full(back)) => item = back,
            Err(TryPutError::ShutDown(_)) => return false,
        }
        thread::yield_now();
    }
}

/// Gets by one verb after the other.
fn get<O: Order<Item>>(queue: &OrderedQueue<Item, O>, round: u64) -> Option<Item> {
    loop {
        let got = match round % 3 {
            0 => queue.try_get(),
            1 => queue.get_timeout(Duration::from_micros(round % 20)),
            _ => queue.get().map_err(|ShutDown(())| TryGetError::ShutDown),
        };
        match got {
            Ok(item) => return Some(item),
            Err(TryGetError::Empty) => thread::yield_now(),
            Err(TryGetError::ShutDown) => return None,
        }
    }
}

const PUTTERS: usize = 4;

/// What one got of each putter: how many, their sum, the last, and whether they came in order.
#[derive(Default)]
struct Got {
    counts: [u64; PUTTERS],
    sums: [u64; PUTTERS],
    last: [Option<u64>; PUTTERS],
    in_disorder: bool,
}

fn get_all<O: Order<Item>>(queue: &OrderedQueue<Item, O>) -> Got {
    let (mut got, mut round) = (Got::default(), 0);
    while let Some(item) = get(queue, round) {
        round += 1;
        got.counts[item.who] += 1;
        got.sums[item.who] += item.number;
        got.in_disorder |= got.last[item.who] >= Some(item.number);
        got.last[item.who] = Some(item.number);
        queue.task_done().unwrap();
    }
    got
}

/// Nothing is lost, nothing comes twice, and first in, first out holds for each who puts.
fn storm<O: Order<Item> + 'static>(maxsize: usize, changes: bool)
where
    OrderedQueue<Item, O>: Send + Sync,
{
    let queue = OrderedQueue::<Item, O>::with_maxsize(maxsize);
    let (count, over) = (u64::from(scaled(600)), AtomicBool::new(false));
    thread::scope(|scope| {
        if changes {
            scope.spawn(|| {
                for room in (0..7).cycle().take_while(|_| !over.load(SeqCst)) {
                    queue.set_maxsize(room);
                    thread::yield_now();
                }
            });
        }
        let putters = [0, 1, 2, 3].map(|who| {
            let queue = &queue;
            scope.spawn(move || (0..count).for_each(|number| assert!(put(queue, who, number))))
        });
        let getters = [(); 4].map(|()| scope.spawn(|| get_all(&queue)));
        putters
            .into_iter()
            .for_each(|putter| putter.join().unwrap());
        queue.join();
        queue.shutdown(false);
        let got = getters.map(|getter| getter.join().unwrap());
        over.store(true, SeqCst);
        for who in 0..PUTTERS {
            let counted: u64 = got.iter().map(|got| got.counts[who]).sum();
            let sum: u64 = got.iter().map(|got| got.sums[who]).sum();
            assert_eq!((counted, sum), (count, (0..count).sum()));
        }
        let fifo = std::any::TypeId::of::<O>() == std::any::TypeId::of::<Fifo>();
        assert!(!fifo || !got.iter().any(|got| got.in_disorder));
    });
    assert_eq!((queue.len(), queue.unfinished_tasks()), (0, 0));
    assert_eq!(MADE.load(SeqCst), DROPPED.load(SeqCst));
}

/// Each value is got once or dropped once; at once, nothing is got behind what was dropped, but for what others had in hand.
fn shut() {
    for round in 0..scaled(150) {
        let queue = Queue::with_maxsize(round as usize % 4 * 10);
        let immediate = round % 2 == 0;
        thread::scope(|scope| {
            let putters = [0, 1, 2, 3].map(|who| {
                let queue = &queue;
                scope.spawn(move || (0..).take_while(|&n| put(queue, who, n)).count() as u64)
            });
            let getters = [(); 3].map(|()| scope.spawn(|| get_all(&queue)));
            while queue.unfinished_tasks() < round as usize % 7 {
                thread::yield_now();
            }
            queue.shutdown(immediate);
            assert!(!immediate || queue.is_empty());
            let put = putters.map(|putter| putter.join().unwrap());
            let got = getters.map(|getter| getter.join().unwrap());
            let mut missing = 0;
            for (who, put) in put.into_iter().enumerate() {
                let counted: u64 = got.iter().map(|got| got.counts[who]).sum();
                let last = got.iter().filter_map(|got| got.last[who]).max();
                missing += last.map_or(0, |last| last + 1) - counted;
                assert!(if immediate {
                    counted <= put
                } else {
                    counted == put
                });
            }
            // One each of the other getters.
            assert!(missing <= 2, "{missing}");
            assert!(!got.iter().any(|got| got.in_disorder));
        });
        queue.join();
        assert_eq!(queue.unfinished_tasks(), 0);
        assert_eq!(MADE.load(SeqCst), DROPPED.load(SeqCst));
    }
}

/// Some give up all the time, two wait for ever: no wake-up goes with those who give up.
fn hasty() {
    let (queue, got) = (Queue::new(), AtomicU64::new(0));
    let count = u64::from(scaled(2000));
    thread::scope(|scope| {
        for micros in [0, 1, 30] {
            let (queue, got) = (&queue, &got);
            scope.spawn(move || {
                loop {
                    match queue.get_timeout(Duration::from_micros(micros)) {
                        Ok(()) => _ = got.fetch_add(1, SeqCst),
                        Err(TryGetError::Empty) => {}
                        Err(TryGetError::ShutDown) => return,
                    }
                }
            });
        }
        let _patient = sleepers(scope, 2, || {
            let counted = queue.iter().map(|()| got.fetch_add(1, SeqCst));
            counted.count()
        });
        for number in 0..count {
            queue.put(()).unwrap();
            // One at a time: somebody must be awake for each.
            while got.load(SeqCst) <= number {
                thread::yield_now();
            }
        }
        queue.shutdown(false);
    });
}

/// The same for a full queue.
fn hasty_put() {
    let (queue, put) = (Queue::with_maxsize(1), AtomicU64::new(0));
    queue.put(()).unwrap();
    let count = u64::from(scaled(2000));
    thread::scope(|scope| {
        for micros in [0, 1, 30] {
            let (queue, put) = (&queue, &put);
            scope.spawn(move || {
                loop {
                    match queue.put_timeout((), Duration::from_micros(micros)) {
                        Ok(()) => _ = put.fetch_add(1, SeqCst),
                        Err(TryPutError::Full(())) => {}
                        Err(TryPutError::ShutDown(())) => return,
                    }
                }
            });
        }
        let _patient = sleepers(scope, 2, || {
            while queue.put(()).is_ok() {
                put.fetch_add(1, SeqCst);
            }
        });
        for number in 0..count {
            queue.try_get().unwrap();
            // Somebody must be awake for the place.
            while put.load(SeqCst) <= number {
                thread::yield_now();
            }
        }
        queue.shutdown(false);
    });
}

/// Who joins goes on whenever all is done, and not before.
fn joined() {
    let (queue, done) = (Queue::with_maxsize(8), AtomicU64::new(0));
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                for number in &queue {
                    done.fetch_add(number, SeqCst);
                    queue.task_done().unwrap();
                }
            });
        }
        for round in 1..=u64::from(scaled(500)) {
            (0..20).for_each(|_| queue.put(1).unwrap());
            match round % 2 {
                0 => queue.join(),
                _ => assert!(queue.join_timeout(Duration::MAX)),
            }
            assert_eq!(done.load(SeqCst), 20 * round);
        }
        queue.shutdown(false);
    });
}

/// Whenever anybody looks.
fn exact() {
    let (queue, inside) = (Queue::with_maxsize(3), AtomicU64::new(0));
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                // What is inside was counted before it came out, and is not before it goes in.
                while queue.put(()).is_ok() {
                    assert!(queue.len() <= 3);
                }
            });
            scope.spawn(|| {
                for () in &queue {
                    assert!(queue.len() <= 3);
                    inside.fetch_add(1, SeqCst);
                }
            });
        }
        while inside.load(SeqCst) < u64::from(scaled(5000)) {
            let (len, full) = (queue.len(), queue.is_full());
            assert!(len <= 3, "{len} {full}");
        }
        queue.shutdown(true);
    });
}
