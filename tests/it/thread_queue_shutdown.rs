//! The end of queues between threads: before it, after it, and while others put, get and join. What CPython tests, for all three orders.

use crate::kit::kind;
use crate::runner::{Case, case, scaled};
use crate::sleepers::{sleeper, sleepers};
use crate::thread_queue::all_orders;
use multiproc::ErrorKind;
use multiproc::queue::{
    Fifo, Lifo, Order, OrderedQueue, ShutDown, Smallest, TryGetError, TryPutError,
};
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

pub(crate) fn tests() -> Vec<Case> {
    [before_and_after(), meanwhile()].concat()
}

fn before_and_after() -> Vec<Case> {
    vec![
        case(
            "thread_queue_shutdown::shut_when_empty",
            all_orders!(shut_when_empty),
        ),
        case(
            "thread_queue_shutdown::shut_at_once",
            all_orders!(shut_at_once),
        ),
        case(
            "thread_queue_shutdown::shut_again_and_again",
            all_orders!(shut_again),
        ),
        case(
            "thread_queue_shutdown::every_verb_after_it",
            all_orders!(after_it),
        ),
        case(
            "thread_queue_shutdown::every_verb_after_it_at_once",
            all_orders!(after_it_at_once),
        ),
    ]
}

fn meanwhile() -> Vec<Case> {
    vec![
        case(
            "thread_queue_shutdown::shut_under_many",
            all_orders!(shut_under_many),
        ),
        case(
            "thread_queue_shutdown::shut_and_get",
            all_orders!(shut_and_get),
        ),
        case(
            "thread_queue_shutdown::shut_while_others_put",
            all_orders!(shut_while_putting),
        ),
        case(
            "thread_queue_shutdown::shut_while_others_join",
            all_orders!(shut_while_joining),
        ),
        case(
            "thread_queue_shutdown::shut_get_done_join",
            all_orders!(shut_get_done_join),
        ),
        case(
            "thread_queue_shutdown::shut_while_others_get",
            all_orders!(shut_while_getting),
        ),
    ]
}

const SHORT: Duration = Duration::from_millis(2);

fn shut_when_empty<O: Order<u64>>() {
    let queue = OrderedQueue::<u64, O>::new();
    queue.shutdown(false);
    assert_eq!(queue.put(1), Err(ShutDown(1)));
    assert_eq!(queue.get(), Err(ShutDown(())));
    let queue = OrderedQueue::<u64, O>::new();
    queue.put(1).unwrap();
    queue.shutdown(false);
    assert_eq!(queue.get(), Ok(1));
    assert_eq!(queue.get(), Err(ShutDown(())));
}

fn shut_at_once<O: Order<u64>>() {
    let queue = OrderedQueue::<u64, O>::new();
    (0..3).for_each(|n| queue.put(n).unwrap());
    queue.get().unwrap();
    queue.shutdown(true);
    assert_eq!(queue.get(), Err(ShutDown(())));
    // What was got is not done, what was dropped is.
    assert_eq!((queue.len(), queue.unfinished_tasks()), (0, 1));
    assert!(!queue.join_timeout(SHORT));
    queue.task_done().unwrap();
    queue.join();
}

fn shut_again<O: Order<u64>>() {
    let queue = OrderedQueue::<u64, O>::new();
    queue.put(1).unwrap();
    assert!(!queue.is_shutdown());
    for immediate in [false, true, false, true] {
        queue.shutdown(immediate);
        assert!(queue.is_shutdown());
    }
    assert!(queue.is_empty());
    assert_eq!(queue.try_get(), Err(TryGetError::ShutDown));
}

fn nothing_goes<O: Order<u64>>(queue: &OrderedQueue<u64, O>) {
    assert_eq!(queue.put(1), Err(ShutDown(1)));
    assert_eq!(queue.try_put(1), Err(TryPutError::ShutDown(1)));
    let put = queue.put_timeout(1, Duration::MAX);
    assert_eq!(put, Err(TryPutError::ShutDown(1)));
}

fn nothing_comes<O: Order<u64>>(queue: &OrderedQueue<u64, O>) {
    assert_eq!(queue.get(), Err(ShutDown(())));
    assert_eq!(queue.try_get(), Err(TryGetError::ShutDown));
    let got = queue.get_timeout(Duration::MAX);
    assert_eq!(got, Err(TryGetError::ShutDown));
    assert_eq!(queue.iter().next(), None);
}

fn after_it<O: Order<u64>>() {
    let queue = OrderedQueue::<u64, O>::with_maxsize(2);
    queue.put(1).unwrap();
    queue.try_put(2).unwrap();
    queue.shutdown(false);
    nothing_goes(&queue);
    for _ in 0..2 {
        queue.get().unwrap();
        nothing_goes(&queue);
        queue.task_done().unwrap();
    }
    queue.join();
    nothing_comes(&queue);
    queue.set_maxsize(9);
    nothing_goes(&queue);
    assert_eq!(kind(queue.task_done()), ErrorKind::Misuse);
}

fn after_it_at_once<O: Order<u64>>() {
    let queue = OrderedQueue::<u64, O>::with_maxsize(2);
    queue.put(1).unwrap();
    queue.try_put(2).unwrap();
    queue.shutdown(true);
    nothing_goes(&queue);
    nothing_comes(&queue);
    assert_eq!(kind(queue.task_done()), ErrorKind::Misuse);
    queue.join();
}

/// Four put, six get, two join, and it is shut down by one more when half is put.
fn shut_under_many<O: Order<u64>>()
where
    OrderedQueue<u64, O>: Send + Sync,
{
    for immediate in [false, true] {
        let queue = OrderedQueue::<u64, O>::new();
        let (half, begin) = (AtomicBool::new(false), Barrier::new(10));
        let each = u64::from(scaled(1000));
        thread::scope(|scope| {
            let put = || {
                (0..each / 4).for_each(|n| queue.put(n).unwrap());
                begin.wait();
                let put = (each / 4..each).take_while(|&n| {
                    half.fetch_or(n >= each / 2, SeqCst);
                    queue.put(n).is_ok()
                });
                each / 4 + put.count() as u64
            };
            let get = || {
                queue.get().unwrap();
                queue.task_done().unwrap();
                begin.wait();
                1 + loop_until_shut(&queue)
            };
            let putters = [(); 4].map(|()| scope.spawn(put));
            let getters = [(); 6].map(|()| scope.spawn(get));
            let joiners = [(); 2].map(|()| scope.spawn(|| queue.join()));
            while !half.load(SeqCst) {
                thread::yield_now();
            }
            queue.shutdown(immediate);
            assert!(!immediate || queue.is_empty());
            let put: u64 = putters.map(|putter| putter.join().unwrap()).iter().sum();
            let got: u64 = getters.map(|getter| getter.join().unwrap()).iter().sum();
            joiners
                .into_iter()
                .for_each(|joiner| joiner.join().unwrap());
            assert!(if immediate { got <= put } else { got == put });
        });
        assert_eq!((queue.len(), queue.unfinished_tasks()), (0, 0));
    }
}

/// How many it got.
fn loop_until_shut<O: Order<u64>>(queue: &OrderedQueue<u64, O>) -> u64 {
    let mut got = 0;
    loop {
        match queue.try_get() {
            Ok(_) => queue.task_done().unwrap(),
            Err(TryGetError::Empty) => continue,
            Err(TryGetError::ShutDown) => return got,
        }
        got += 1;
    }
}

fn shut_and_get<O: Order<u64>>()
where
    OrderedQueue<u64, O>: Send + Sync,
{
    for (immediate, expected) in [(false, 2), (true, 0)] {
        let queue = OrderedQueue::<u64, O>::with_maxsize(2);
        (0..2).for_each(|n| queue.put(n).unwrap());
        queue.shutdown(immediate);
        let got = thread::scope(|scope| {
            let getters = [(); 3].map(|()| scope.spawn(|| queue.get()));
            let got = getters.map(|getter| getter.join().unwrap());
            got.iter().filter(|got| got.is_ok()).count()
        });
        assert_eq!(got, expected);
    }
}

fn shut_while_putting<O: Order<u64>>()
where
    OrderedQueue<u64, O>: Send + Sync,
{
    for immediate in [false, true] {
        let queue = OrderedQueue::<u64, O>::with_maxsize(2);
        (0..2).for_each(|n| queue.put(n).unwrap());
        thread::scope(|scope| {
            let for_ever = sleepers(scope, 2, || queue.put(7));
            let for_long = sleeper(scope, || queue.put_timeout(8, Duration::MAX));
            queue.shutdown(immediate);
            for putter in for_ever {
                assert_eq!(putter.join().unwrap(), Err(ShutDown(7)));
            }
            assert_eq!(for_long.join().unwrap(), Err(TryPutError::ShutDown(8)));
        });
        assert_eq!(queue.len(), if immediate { 0 } else { 2 });
    }
}

fn shut_while_joining<O: Order<u64>>()
where
    OrderedQueue<u64, O>: Send + Sync,
{
    for immediate in [false, true] {
        let queue = OrderedQueue::<u64, O>::with_maxsize(2);
        queue.put(1).unwrap();
        thread::scope(|scope| {
            let joiners = sleepers(scope, 2, || queue.join());
            assert_eq!(queue.unfinished_tasks(), 1);
            queue.shutdown(immediate);
            assert_eq!(queue.put(2), Err(ShutDown(2)));
            if !immediate {
                assert!(!joiners.iter().any(thread::ScopedJoinHandle::is_finished));
                queue.get().unwrap();
                queue.task_done().unwrap();
            }
            for joiner in joiners {
                joiner.join().unwrap();
            }
        });
        nothing_comes(&queue);
    }
}

fn shut_get_done_join<O: Order<u64>>()
where
    OrderedQueue<u64, O>: Send + Sync,
{
    let queue = OrderedQueue::<u64, O>::with_maxsize(2);
    (0..2).for_each(|n| queue.put(n).unwrap());
    assert_eq!(queue.unfinished_tasks(), queue.len());
    thread::scope(|scope| {
        let joiners = sleepers(scope, 2, || queue.join());
        let getters = [(); 2].map(|()| {
            scope.spawn(|| {
                queue.get().unwrap();
                queue.task_done().unwrap();
            })
        });
        queue.shutdown(false);
        getters
            .into_iter()
            .for_each(|getter| getter.join().unwrap());
        for joiner in joiners {
            joiner.join().unwrap();
        }
    });
}

fn shut_while_getting<O: Order<u64>>()
where
    OrderedQueue<u64, O>: Send + Sync,
{
    for immediate in [false, true] {
        let queue = OrderedQueue::<u64, O>::new();
        thread::scope(|scope| {
            let for_ever = sleepers(scope, 2, || queue.get());
            let for_long = sleeper(scope, || queue.get_timeout(Duration::MAX));
            let loops = sleeper(scope, || queue.iter().count());
            queue.shutdown(immediate);
            for getter in for_ever {
                assert_eq!(getter.join().unwrap(), Err(ShutDown(())));
            }
            assert_eq!(for_long.join().unwrap(), Err(TryGetError::ShutDown));
            assert_eq!(loops.join().unwrap(), 0);
        });
    }
}
