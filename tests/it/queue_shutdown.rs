//! The end of a queue: closed, shut down at once, and what an iterator makes of it.

use crate::kit::start;
use crate::queue_batches::drained;
use crate::runner::{Case, Gate, RemoteGate, case, scaled};
use crate::sleepers::{sleeper, sleepers};
use crate::ways::{each, fine, start_by};
use multiproc::{
    Error, ErrorKind, GetError, Lock, PutError, Queue, TryGetError, TryPutError, arena,
};
use std::time::Duration;

pub(crate) fn tests() -> Vec<Case> {
    vec![
        case("queue_shutdown::not_at_once_is_close", not_at_once),
        case("queue_shutdown::at_once_drops_what_is_inside", at_once),
        case("queue_shutdown::every_verb_afterwards", every_verb),
        case("queue_shutdown::again_and_otherwise", again),
        case("queue_shutdown::of_a_queue_that_was_not_used", unused),
        case("queue_shutdown::by_another_process", by_another),
        case("queue_shutdown::sleepers_in_get_are_woken", wakes_getters),
        case("queue_shutdown::sleepers_in_put_are_woken", wakes_putters),
        case("queue_shutdown::in_the_middle_of_work", in_the_middle),
        case("queue_shutdown::memory_is_given_back", memory),
        case("queue_shutdown::kinds_of_errors", kinds),
        case("queue_shutdown::iterators_end", iterators_end),
        case("queue_shutdown::iterators_wait", iterators_wait),
        case("queue_shutdown::iterators_share", iterators_share),
        case("queue_shutdown::iterators_of_a_for_loop", for_loop),
    ]
}

const SHORT: Duration = Duration::from_millis(1);

fn not_at_once() {
    let queue = Queue::with_maxsize(3).unwrap();
    queue.put_many(["a", "b"].map(str::to_owned)).unwrap();
    assert!(!queue.is_closed());
    queue.shutdown(false);
    assert!(queue.is_closed() && queue.len() == 2 && !queue.is_full());
    let refused = queue.put("c".to_owned());
    assert!(matches!(refused, Err(PutError::Closed(text)) if text == "c"));
    assert_eq!(queue.get().unwrap(), "a");
    assert_eq!(queue.try_get().unwrap(), "b");
    assert!(matches!(queue.get(), Err(GetError::Closed)));
    assert!(queue.is_closed() && queue.is_empty());
}

fn at_once() {
    for count in [0, 1, 3, 200] {
        let queue = Queue::new().unwrap();
        queue.put_many((0..count).map(|n| vec![n; 50 * n])).unwrap();
        queue.shutdown(true);
        assert!(queue.is_closed() && queue.is_empty());
        assert_eq!(queue.len(), 0);
        assert!(matches!(queue.get(), Err(GetError::Closed)));
        assert!(matches!(queue.try_get(), Err(TryGetError::Closed)));
        assert!(matches!(queue.put(vec![7]), Err(PutError::Closed(back)) if back == [7]));
    }
}

/// All verbs of a queue that is closed and empty, however it came to be so.
fn all_closed(queue: &Queue<u32>) {
    assert!(queue.is_closed() && queue.is_empty() && !queue.is_full());
    let puts = [
        queue.put(1).map_err(Error::from),
        queue.try_put(1).map_err(Error::from),
        queue.put_timeout(1, Duration::MAX).map_err(Error::from),
        queue.put_many([1, 2]).map_err(Error::from),
        queue.try_put_many([1, 2]).map_err(Error::from),
        queue
            .put_many_timeout([1, 2], Duration::MAX)
            .map_err(Error::from),
    ];
    let gets = [
        queue.get().map(drop).map_err(Error::from),
        queue.try_get().map(drop).map_err(Error::from),
        queue
            .get_timeout(Duration::MAX)
            .map(drop)
            .map_err(Error::from),
        queue.get_many(1).map(drop).map_err(Error::from),
        queue.try_get_many(1).map(drop).map_err(Error::from),
        queue
            .get_many_timeout(1, Duration::MAX)
            .map(drop)
            .map_err(Error::from),
    ];
    for (number, result) in puts.into_iter().chain(gets).enumerate() {
        let kind = result.unwrap_err().kind();
        assert_eq!(kind, ErrorKind::Closed, "verb {number}");
    }
    assert!(queue.iter().next().is_none());
    // Nobody can undo it.
    queue.close();
    queue.shutdown(false);
    assert!(queue.is_closed() && queue.is_empty());
}

fn every_verb() {
    for immediate in [false, true] {
        for maxsize in [0, 1, 5] {
            let queue = Queue::with_maxsize(maxsize).unwrap();
            queue.try_put_many(0..3).ok();
            queue.shutdown(immediate);
            assert_eq!(queue.is_empty(), immediate);
            drained(&queue, 2);
            all_closed(&queue);
        }
    }
}

/// In Python's words: normal, immediate, and normal again.
fn again() {
    let queue = Queue::new().unwrap();
    queue.put_many(0..10).unwrap();
    queue.shutdown(false);
    queue.shutdown(false);
    assert_eq!(queue.get().unwrap(), 0);
    assert_eq!(queue.len(), 9);
    queue.shutdown(true);
    all_closed(&queue);
    queue.shutdown(true);
    queue.shutdown(false);
    all_closed(&queue);
    let closed = Queue::new().unwrap();
    closed.put(1).unwrap();
    closed.close();
    closed.shutdown(true);
    all_closed(&closed);
}

fn unused() {
    let closes: [fn(&Queue<u32>); 3] = [
        |queue| queue.close(),
        |queue| queue.shutdown(false),
        |queue| queue.shutdown(true),
    ];
    for close in closes {
        let queue = Queue::new().unwrap();
        close(&queue);
        all_closed(&queue);
    }
}

fn by_another() {
    each(|way| {
        for immediate in [false, true] {
            let queue = Queue::new().unwrap();
            queue.put_many(0..5).unwrap();
            let shuts = |queue: Queue<u32>, immediate: bool| queue.shutdown(immediate);
            fine(&start_by(way, shuts, (queue.clone(), immediate)));
            assert!(queue.is_closed());
            assert_eq!(drained(&queue, 9).len(), if immediate { 0 } else { 5 });
            let looks = |queue: Queue<u32>| all_closed(&queue);
            fine(&start_by(way, looks, (queue,)));
        }
    });
}

/// Threads and processes, by each verb that waits.
fn wakes_getters() {
    let gets = |queue: Queue<u32>, here: RemoteGate| {
        here.open(1);
        assert!(matches!(queue.get(), Err(GetError::Closed)));
    };
    for round in 0..scaled(10) {
        let (queue, here) = (Queue::<u32>::new().unwrap(), Gate::new());
        let processes = [(); 2].map(|()| start(gets, (queue.clone(), here.remote())));
        std::thread::scope(|scope| {
            let some = sleepers(scope, 2, || matches!(queue.get(), Err(GetError::Closed)));
            let many = sleeper(scope, || matches!(queue.get_many(3), Err(GetError::Closed)));
            let iterates = sleeper(scope, || queue.iter().next().is_none());
            processes.iter().for_each(|_| here.wait());
            queue.shutdown(round % 2 == 0);
            let mut all = some.into_iter().chain([many, iterates]);
            assert!(all.all(|it| it.join().unwrap()));
        });
        processes.iter().for_each(fine);
    }
}

fn wakes_putters() {
    let puts = |queue: Queue<u32>, here: RemoteGate| {
        here.open(1);
        assert!(matches!(queue.put(7), Err(PutError::Closed(7))));
    };
    for round in 0..scaled(10) {
        let (queue, here) = (Queue::with_maxsize(1).unwrap(), Gate::new());
        queue.put(0).unwrap();
        let processes = [(); 2].map(|()| start(puts, (queue.clone(), here.remote())));
        std::thread::scope(|scope| {
            let late = |value| queue.put_timeout(value, Duration::MAX);
            let some = sleepers(scope, 2, move || {
                matches!(late(8), Err(TryPutError::Closed(8)))
            });
            let many = sleeper(scope, || {
                queue.put_many([1, 2, 3]).unwrap_err().into_inner()
            });
            processes.iter().for_each(|_| here.wait());
            let immediate = round % 2 == 0;
            queue.shutdown(immediate);
            assert!(some.into_iter().all(|it| it.join().unwrap()));
            assert_eq!(many.join().unwrap(), [1, 2, 3]);
            assert_eq!(drained(&queue, 9), if immediate { &[][..] } else { &[0] });
        });
        processes.iter().for_each(fine);
    }
}

/// Nobody hangs, nothing is got twice, and of what was put before a plain close nothing is lost.
fn in_the_middle() {
    for round in 0..scaled(60) {
        let immediate = round % 2 == 0;
        let queue = Queue::with_maxsize(if round % 3 == 0 { 5 } else { 0 }).unwrap();
        let puts = |step: usize| {
            let mut put = 0;
            while queue.put_many(put..put + step).is_ok() {
                put += step;
            }
            put
        };
        let gets = |max: usize| {
            let mut got = 0;
            while let Ok(batch) = queue.get_many(max) {
                got += batch.map(Result::unwrap).count();
            }
            got
        };
        std::thread::scope(|scope| {
            let producers = [1, 3].map(|step| scope.spawn(move || puts(step)));
            let consumers = [1, 70].map(|max| scope.spawn(move || gets(max)));
            while queue.is_empty() {
                std::thread::yield_now();
            }
            queue.shutdown(immediate);
            let put: usize = producers.map(|it| it.join().unwrap()).iter().sum();
            let got: usize = consumers.map(|it| it.join().unwrap()).iter().sum();
            // A batch may be put in part.
            assert!(got <= put + 4, "{got} of {put}");
            assert!(immediate || got >= put, "{got} of {put}");
        });
        all_closed_of_any(&queue);
    }
}

fn all_closed_of_any(queue: &Queue<usize>) {
    assert!(queue.is_closed() && queue.is_empty());
    assert!(matches!(queue.try_get(), Err(TryGetError::Closed)));
}

/// At once, not when the last handle goes: bytes, and objects that messages kept alive.
fn memory() {
    let before = arena::usage().unwrap();
    let queue = Queue::new().unwrap();
    for number in 0..100 {
        let inner = Queue::new().unwrap();
        inner.put(Lock::new().unwrap()).unwrap();
        queue.put((inner, vec![number; 100_000])).unwrap();
    }
    let full = arena::usage().unwrap();
    assert_eq!(full.objects, before.objects + 201);
    queue.shutdown(true);
    let now = arena::usage().unwrap();
    assert_eq!(now.objects, before.objects + 1);
    assert!(now.bytes <= before.bytes + (1 << 20), "{now:?}");
    drop(queue);
    assert_eq!(arena::usage().unwrap(), before);
}

fn kinds() {
    let queue = Queue::with_maxsize(1).unwrap();
    let kind = |error: Error| (error.kind(), error.to_string());
    let empty = kind(queue.try_get().unwrap_err().into());
    assert_eq!(empty.0, ErrorKind::Busy);
    assert!(empty.1.contains("empty"), "{empty:?}");
    queue.put('a').unwrap();
    let full = kind(queue.try_put('b').unwrap_err().into());
    assert_eq!(full.0, ErrorKind::Busy);
    assert!(full.1.contains("full"), "{full:?}");
    queue.close();
    let closed = queue.put('b').unwrap_err();
    assert!(closed.to_string().contains("closed"), "{closed}");
    assert!(format!("{closed:?}").contains("Closed"), "{closed:?}");
    assert_eq!(kind(closed.into()).0, ErrorKind::Closed);
    queue.get().unwrap();
    let closed = queue.get_timeout(SHORT).unwrap_err();
    assert!(closed.to_string().contains("closed"), "{closed}");
    assert_eq!(kind(closed.into()).0, ErrorKind::Closed);
}

// ---- iterators

fn iterators_end() {
    let queue = Queue::new().unwrap();
    queue.put_many(0..200).unwrap();
    queue.close();
    let mut iterator = queue.iter();
    assert_eq!(iterator.next().unwrap().unwrap(), 0);
    // What one has, others do not get.
    assert_eq!(queue.get().unwrap(), 1);
    let rest: Result<Vec<i32>, Error> = iterator.by_ref().collect();
    assert!(rest.unwrap().into_iter().eq(2..200));
    assert!(iterator.next().is_none() && iterator.next().is_none());
    assert!(queue.iter().next().is_none());
    let full = Queue::new().unwrap();
    full.put_many(0..10).unwrap();
    let mut iterator = full.iter();
    iterator.next().unwrap().unwrap();
    full.shutdown(true);
    assert!(iterator.next().is_none());
}

fn iterators_wait() {
    let queue = Queue::<u32>::new().unwrap();
    let count = scaled(500);
    let puts = |queue: Queue<u32>, count: u32| {
        (0..count).for_each(|number| queue.put(number).unwrap());
        queue.close();
    };
    std::thread::scope(|scope| {
        let reader = sleeper(scope, || {
            queue.iter().map(Result::unwrap).collect::<Vec<u32>>()
        });
        let process = start(puts, (queue.clone(), count));
        assert!(reader.join().unwrap().into_iter().eq(0..count));
        fine(&process);
    });
}

fn iterators_share() {
    let (queue, sums) = (Queue::<u64>::new().unwrap(), Queue::new().unwrap());
    let reads = |queue: Queue<u64>, sums: Queue<u64>| {
        let sum = queue.iter().map(Result::unwrap).sum();
        sums.put(sum).unwrap();
    };
    let processes = [(); 2].map(|()| start(reads, (queue.clone(), sums.clone())));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| reads(queue.clone(), sums.clone()));
        }
        queue.put_many(1..=1000).unwrap();
        queue.close();
    });
    processes.iter().for_each(fine);
    let sum: u64 = (0..4).map(|_| sums.get().unwrap()).sum();
    assert_eq!(sum, 500_500);
}

/// In the words of a loop, and handles come out alive.
fn for_loop() {
    let queue = Queue::new().unwrap();
    for number in 0..5 {
        let inner = Queue::new().unwrap();
        inner.put(number).unwrap();
        queue.put(inner).unwrap();
    }
    let mut next = 0;
    for inner in &queue {
        let inner: Queue<i32> = inner.unwrap();
        assert_eq!(inner.get().unwrap(), next);
        next += 1;
        if next == 5 {
            queue.close();
        }
    }
    assert_eq!(next, 5);
}
