//! Queues between threads, with plain data under them: what Miri and ThreadSanitizer look at, who find every access that is not
//! ordered by them. An ordinary test as well.

use multiproc::queue::{
    LifoQueue, Order, OrderedQueue, PriorityQueue, Queue, ShutDown, SimpleQueue, TryGetError,
    TryPutError,
};
use std::cell::UnsafeCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

/// Items of each thread: Miri takes its time.
const ROUNDS: u64 = if cfg!(miri) { 8 } else { 5_000 };

const NO_PANIC: &str = "no thread panics";

/// A number that is not atomic: who writes, who it was, and which of his it is. Dropped ones are counted.
#[derive(Debug)]
struct Item {
    who: Box<u64>,
    number: u64,
    dropped: Arc<AtomicU64>,
}

impl Drop for Item {
    fn drop(&mut self) {
        *self.who += 1;
        self.dropped.fetch_add(1, Relaxed);
    }
}

impl PartialEq for Item {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}
impl Eq for Item {}
impl Ord for Item {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.number.cmp(&other.number)
    }
}
impl PartialOrd for Item {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// Makes items and knows how many were dropped.
#[derive(Default)]
struct Maker(Arc<AtomicU64>);

impl Maker {
    fn item(&self, who: u64, number: u64) -> Item {
        let (who, dropped) = (Box::new(who), Arc::clone(&self.0));
        Item {
            who,
            number,
            dropped,
        }
    }

    fn dropped(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// Two put, two get; who comes out of the loop has heard of the end. Answers what each of the two got.
fn two_to_two<O: Order<Item>>(queue: &OrderedQueue<Item, O>) -> [Vec<(u64, u64)>; 2]
where
    OrderedQueue<Item, O>: Send + Sync,
{
    let maker = Maker::default();
    let got = thread::scope(|scope| {
        let put = |who| {
            let (queue, maker) = (queue.clone(), &maker);
            move || (0..ROUNDS).for_each(|n| queue.put(maker.item(who, n)).expect("open"))
        };
        let get = || {
            let got = queue.iter().map(|item| {
                queue.task_done().expect("it was put");
                (*item.who, item.number)
            });
            got.collect::<Vec<_>>()
        };
        let putters = [scope.spawn(put(0)), scope.spawn(put(1))];
        let getters = [scope.spawn(get), scope.spawn(get)];
        putters
            .into_iter()
            .for_each(|putter| putter.join().expect(NO_PANIC));
        queue.join();
        queue.shutdown(false);
        getters.map(|getter| getter.join().expect(NO_PANIC))
    });
    assert_eq!(maker.dropped(), 2 * ROUNDS);
    assert_eq!((queue.len(), queue.unfinished_tasks()), (0, 0));
    let mut all = got.concat();
    all.sort_unstable();
    let expected: Vec<_> = [0, 1]
        .iter()
        .flat_map(|&who| (0..ROUNDS).map(move |n| (who, n)))
        .collect();
    assert_eq!(all, expected, "something was lost, or came twice");
    got
}

/// What one got of one is in the order in which it was put.
fn in_order(got: &[Vec<(u64, u64)>]) {
    for got in got {
        for who in [0, 1] {
            let of_one = got.iter().filter(|(by, _)| *by == who);
            assert!(of_one.map(|(_, number)| number).is_sorted());
        }
    }
}

#[test]
fn first_in_first_out() {
    in_order(&two_to_two(&Queue::new()));
}

#[test]
fn last_in_first_out() {
    two_to_two(&LifoQueue::new());
}

#[test]
fn smallest_first() {
    two_to_two(&PriorityQueue::new());
}

#[test]
fn bounded() {
    in_order(&two_to_two(&Queue::with_maxsize(1)));
    in_order(&two_to_two(&Queue::with_maxsize(3)));
    two_to_two(&LifoQueue::with_maxsize(2));
    two_to_two(&PriorityQueue::with_maxsize(2));
}

/// Somebody changes the room all the time.
#[test]
fn maxsize_changes() {
    let queue = Queue::with_maxsize(1);
    let over = AtomicU64::new(0);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut maxsize = 1;
            while over.load(Relaxed) == 0 {
                maxsize = (maxsize + 1) % 5;
                queue.set_maxsize(maxsize);
                thread::yield_now();
            }
        });
        in_order(&two_to_two(&queue));
        over.store(1, Relaxed);
    });
}

/// It comes while some wait to put or to get.
#[test]
fn shutdown_while_all_wait() {
    for immediate in [false, true] {
        let (empty, full) = (Queue::<u64>::new(), Queue::with_maxsize(1));
        full.put(7).unwrap();
        thread::scope(|scope| {
            let getters = [(); 2].map(|()| scope.spawn(|| empty.get()));
            let putters = [(); 2].map(|()| scope.spawn(|| full.put(8)));
            let joiner = scope.spawn(|| full.join());
            thread::yield_now();
            empty.shutdown(immediate);
            full.shutdown(immediate);
            for getter in getters {
                assert_eq!(getter.join().unwrap(), Err(ShutDown(())));
            }
            for putter in putters {
                assert_eq!(putter.join().unwrap(), Err(ShutDown(8)));
            }
            let rest = full.try_get();
            if immediate {
                assert_eq!(rest, Err(TryGetError::ShutDown));
            } else {
                assert_eq!(rest, Ok(7));
                full.task_done().unwrap();
            }
            joiner.join().unwrap();
        });
        assert_eq!(full.try_put(9), Err(TryPutError::ShutDown(9)));
    }
}

/// It comes in the middle of everything: each item is got or dropped, and nobody gets one behind one that was dropped.
#[test]
fn shutdown_in_the_middle() {
    for round in 0..if cfg!(miri) { 4 } else { 200 } {
        let (maker, queue) = (Maker::default(), Queue::new());
        let (put, got) = thread::scope(|scope| {
            let putter = scope.spawn(|| {
                let items = (0..ROUNDS).map(|n| queue.put(maker.item(0, n)));
                items.take_while(Result::is_ok).count() as u64
            });
            let getter = scope.spawn(|| {
                let numbers = queue.iter().map(|item| item.number);
                numbers.collect::<Vec<u64>>()
            });
            let begin = queue.unfinished_tasks() as u64;
            while !putter.is_finished() && (queue.unfinished_tasks() as u64) < begin + round {
                thread::yield_now();
            }
            queue.shutdown(true);
            assert!(queue.is_empty());
            (putter.join().unwrap(), getter.join().unwrap())
        });
        let expected: Vec<u64> = (0..got.len() as u64).collect();
        assert_eq!(got, expected);
        assert_eq!(queue.unfinished_tasks(), got.len());
        // And what was not put.
        assert_eq!(maker.dropped(), put + u64::from(put < ROUNDS));
    }
}

/// Who joins sees what was done, and only when all of it is done.
/// A number without any protection of its own.
struct Bare(UnsafeCell<u64>);

#[expect(unsafe_code, reason = "that it is ordered is what is tested")]
// SAFETY: a worker writes a number of its own, which is read after `join`, before there is more to do.
unsafe impl Sync for Bare {}

/// Who joins sees what was done, and only when all of it is done.
#[test]
fn join() {
    let (queue, sums) = (Queue::new(), [0; 2].map(|zero| Bare(UnsafeCell::new(zero))));
    thread::scope(|scope| {
        for sum in &sums {
            let queue = &queue;
            scope.spawn(move || {
                for number in queue {
                    #[expect(unsafe_code, reason = "that it is ordered is what is tested")]
                    // SAFETY: nobody reads it until this is done, because who reads it has joined.
                    let sum = unsafe { &mut *sum.0.get() };
                    *sum += number;
                    queue.task_done().unwrap();
                }
            });
        }
        for batch in 1..=ROUNDS / 4 {
            (0..4).for_each(|_| queue.put(1).unwrap());
            queue.join();
            let sums = sums.each_ref().map(|sum| {
                #[expect(unsafe_code, reason = "that it is ordered is what is tested")]
                // SAFETY: nobody writes it, because there is nothing to do.
                let sum = unsafe { &*sum.0.get() };
                *sum
            });
            assert_eq!(sums[0] + sums[1], 4 * batch);
        }
        queue.shutdown(false);
    });
}

#[test]
fn simple() {
    let (queue, maker) = (SimpleQueue::new(), Maker::default());
    let got = thread::scope(|scope| {
        let put = |who| {
            let (queue, maker) = (queue.clone(), &maker);
            move || (0..ROUNDS).for_each(|n| queue.put(maker.item(who, n)))
        };
        let get = || {
            let item = |item: Item| (*item.who, item.number);
            (0..ROUNDS).map(|_| item(queue.get())).collect::<Vec<_>>()
        };
        let by_time = || {
            let mut got = Vec::new();
            while (got.len() as u64) < ROUNDS {
                if let Ok(item) = queue.get_timeout(Duration::from_micros(50)) {
                    got.push((*item.who, item.number));
                }
            }
            got
        };
        scope.spawn(put(0));
        scope.spawn(put(1));
        let getters = (scope.spawn(get), scope.spawn(by_time));
        [getters.0.join().unwrap(), getters.1.join().unwrap()]
    });
    in_order(&got);
    assert_eq!(maker.dropped(), 2 * ROUNDS);
    assert!(queue.is_empty());
}

/// What is left goes with the last handle.
#[test]
fn what_is_left() {
    let maker = Maker::default();
    let (first, last) = (Queue::new(), LifoQueue::new());
    let (sorted, simple) = (PriorityQueue::new(), SimpleQueue::new());
    for n in 0..70 {
        first.put(maker.item(0, n)).unwrap();
        last.put(maker.item(0, n)).unwrap();
        sorted.put(maker.item(0, 100 - n)).unwrap();
        simple.put(maker.item(0, n));
    }
    assert_eq!(maker.dropped(), 0);
    drop((first.clone(), simple.clone()));
    assert_eq!(maker.dropped(), 0);
    drop((first, last, sorted, simple));
    assert_eq!(maker.dropped(), 4 * 70);
}
