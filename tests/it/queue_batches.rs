//! Many values at once: the order, the limits, and what comes back when not all are put.

use crate::kit::start;
use crate::runner::{Case, case, scaled};
use crate::sleepers::{sleeper, sleepers};
use crate::ways::fine;
use multiproc::{GetError, PutError, Queue, TryGetError, TryPutError};
use serde::de::DeserializeOwned;
use std::time::{Duration, Instant};

pub(crate) fn tests() -> Vec<Case> {
    vec![
        case("queue_batches::in_order", in_order),
        case(
            "queue_batches::with_single_verbs_between",
            with_single_verbs,
        ),
        case("queue_batches::of_nothing", of_nothing),
        case("queue_batches::limits_of_a_get", limits_of_a_get),
        case("queue_batches::an_exact_iterator", exact_iterator),
        case("queue_batches::any_iterator_is_put", any_iterator),
        case("queue_batches::an_iterator_ends_once", ends_once),
        case("queue_batches::more_than_maxsize", more_than_maxsize),
        case("queue_batches::what_fits_is_put", what_fits),
        case("queue_batches::timeouts", timeouts),
        case("queue_batches::closed_in_the_middle", closed_in_the_middle),
        case("queue_batches::closed", closed),
        case("queue_batches::one_value_for_each_sleeper", wakes_getters),
        case("queue_batches::one_place_for_each_sleeper", wakes_putters),
        case("queue_batches::waits_for_one", waits_for_one),
    ]
}

const SHORT: Duration = Duration::from_millis(1);

/// All that is inside, by batches of `max` at most.
#[track_caller]
pub(crate) fn drained<T: DeserializeOwned + 'static>(queue: &Queue<T>, max: usize) -> Vec<T> {
    let mut all = Vec::new();
    loop {
        match queue.try_get_many(max) {
            Ok(batch) => {
                assert!((1..=max).contains(&batch.len()), "{} values", batch.len());
                all.extend(batch.map(Result::unwrap));
            }
            Err(TryGetError::Empty | TryGetError::Closed) => return all,
            Err(other) => panic!("{other}"),
        }
    }
}

fn in_order() {
    let queue = Queue::new().unwrap();
    for count in [0, 1, 2, 63, 64, 65, 127, 128, 129, 1000] {
        let values = || 0..count;
        queue.put_many(values()).unwrap();
        assert_eq!(queue.len(), count);
        values().for_each(|number| assert_eq!(queue.try_get().unwrap(), number));
        for max in [1, 7, 64, 65, 5000] {
            values().for_each(|number| queue.put(number).unwrap());
            assert!(drained(&queue, max).into_iter().eq(values()));
            queue.put_many(values()).unwrap();
            assert!(drained(&queue, max).into_iter().eq(values()));
        }
        assert!(queue.is_empty());
    }
}

fn with_single_verbs() {
    let queue = Queue::new().unwrap();
    let (mut put, mut got) = (0, 0);
    for round in 0..scaled(500) {
        match round % 3 {
            0 => queue.put_many(put..put + round % 80).unwrap(),
            1 => queue.try_put_many(put..put + round % 80).unwrap(),
            _ => (put..put + round % 80).for_each(|number| queue.put(number).unwrap()),
        }
        put += round % 80;
        if let Ok(number) = queue.try_get() {
            assert_eq!(number, got);
            got += 1;
        }
        for number in queue.try_get_many(70).into_iter().flatten() {
            assert_eq!(number.unwrap(), got);
            got += 1;
        }
    }
    assert!(drained(&queue, 100).into_iter().eq(got..put));
}

fn of_nothing() {
    let queue = Queue::with_maxsize(1).unwrap();
    queue.put_many([]).unwrap();
    assert_eq!(queue.get_many(0).unwrap().len(), 0);
    queue.put("one".to_owned()).unwrap();
    queue.put_many(Vec::new()).unwrap();
    queue.try_put_many(None).unwrap();
    queue.put_many_timeout([], Duration::ZERO).unwrap();
    assert_eq!(queue.get_many(0).unwrap().count(), 0);
    assert_eq!(queue.try_get_many(0).unwrap().count(), 0);
    assert_eq!(queue.get_many_timeout(0, SHORT).unwrap().count(), 0);
    assert_eq!(queue.len(), 1);
    // Nothing was waited for, and nothing was taken.
    assert_eq!(drained(&queue, 1), ["one"]);
    assert_eq!(queue.try_get_many(0).unwrap().count(), 0);
    assert_eq!(queue.get_many_timeout(0, SHORT).unwrap().count(), 0);
}

fn limits_of_a_get() {
    let queue = Queue::new().unwrap();
    for max in [1, 2, 9, 10, 11, 1 << 40, usize::MAX] {
        queue.put_many(0..10).unwrap();
        let verbs: [&dyn Fn() -> Vec<i32>; 3] = [
            &|| queue.get_many(max).unwrap().map(Result::unwrap).collect(),
            &|| {
                let batch = queue.try_get_many(max).unwrap();
                batch.map(Result::unwrap).collect()
            },
            &|| {
                let batch = queue.get_many_timeout(max, Duration::MAX).unwrap();
                batch.map(Result::unwrap).collect()
            },
        ];
        let mut next = 0;
        for verb in verbs.into_iter().cycle() {
            if next == 10 {
                break;
            }
            let got = verb();
            assert!((1..=max.min(10)).contains(&got.len()), "{got:?}");
            for number in got {
                assert_eq!(number, next);
                next += 1;
            }
        }
        assert!(matches!(queue.try_get_many(max), Err(TryGetError::Empty)));
    }
}

fn exact_iterator() {
    let queue = Queue::new().unwrap();
    queue.put_many(["a", "b", "c"].map(str::to_owned)).unwrap();
    let mut batch = queue.get_many(3).unwrap();
    let mut left = batch.len();
    let mut texts = String::new();
    while let Some(text) = batch.next() {
        texts.push_str(&text.unwrap());
        left -= 1;
        assert_eq!(batch.len(), left);
        assert_eq!(batch.size_hint(), (left, Some(left)));
    }
    assert!(batch.next().is_none() && batch.next().is_none());
    assert_eq!(batch.len(), 0);
    assert!(format!("{batch:?}").contains("Batch"));
    texts.extend(drained(&queue, 3));
    assert_eq!(texts, "abc");
}

/// Whose hint of its size is a lie.
struct Liar(std::ops::Range<u32>, (usize, Option<usize>));

impl Iterator for Liar {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        self.0.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.1
    }
}

/// Lazy ones, such that say nothing of their size or lie, and such that use the same queue.
fn any_iterator() {
    let queue = Queue::new().unwrap();
    let all = || drained(&queue, 50).into_iter();
    for hint in [(0, None), (0, Some(0)), (1000, Some(1)), (usize::MAX, None)] {
        queue.put_many(Liar(0..200, hint)).unwrap();
        assert!(all().eq(0..200), "{hint:?}");
    }
    let mut left = 300;
    let counts_down = std::iter::from_fn(|| {
        left -= 1;
        (left > 0).then_some(left)
    });
    let counts_down = counts_down.fuse();
    queue.put_many(counts_down.filter(|n| n % 2 == 0)).unwrap();
    assert!(all().eq((1..300).rev().filter(|n| n % 2 == 0)));
    queue.put_many(0..200).unwrap();
    queue
        .put_many((0..200).map(|_| queue.get().unwrap()))
        .unwrap();
    assert!(all().eq(0..200));
    let puts_one_too = (0..100).inspect(|_| queue.put(7).unwrap());
    queue.put_many(puts_one_too).unwrap();
    let (sevens, others): (Vec<u32>, Vec<u32>) = all().partition(|number| *number == 7);
    assert_eq!(sevens.len(), 101);
    assert!(others.into_iter().eq((0..100).filter(|n| *n != 7)));
}

/// As everywhere, nothing is asked of an iterator after its end, where it may begin anew.
fn ends_once() {
    let queue = Queue::with_maxsize(1000).unwrap();
    for length in [1, 63, 64, 65, 128, 200] {
        let mut next = 0;
        let begins_anew = || {
            std::iter::from_fn(move || {
                next = (next + 1) % (length + 1);
                (next > 0).then_some(next)
            })
        };
        queue.put_many(begins_anew()).unwrap();
        assert!(drained(&queue, 50).into_iter().eq(1..=length));
        queue.try_put_many(begins_anew()).unwrap();
        assert!(drained(&queue, 50).into_iter().eq(1..=length));
    }
    // Nor when it gives back the rest.
    let small = Queue::with_maxsize(1).unwrap();
    let mut next = 0;
    let begins_anew = std::iter::from_fn(|| {
        next = (next + 1) % 11;
        (next > 0).then_some(next)
    });
    let rest = small.try_put_many(begins_anew).unwrap_err().into_inner();
    assert!(rest.into_iter().eq(2..=10));
}

// ---- a full queue

/// It waits in the middle, and the limit holds at every instant.
fn more_than_maxsize() {
    for (size, count) in [(1, 50), (7, 1000), (64, 1000), (100, 101)] {
        let queue = Queue::with_maxsize(size).unwrap();
        let puts = |queue: Queue<usize>, count: usize| queue.put_many(0..count).unwrap();
        let process = start(puts, (queue.clone(), count));
        let mut next = 0;
        while next < count {
            assert!(queue.len() <= size);
            let batch = queue.get_many(next % 9 + 1).unwrap();
            for number in batch {
                assert_eq!(number.unwrap(), next);
                next += 1;
            }
        }
        fine(&process);
        assert!(queue.is_empty());
    }
}

fn what_fits() {
    for size in [1, 5, 64, 100] {
        let queue = Queue::with_maxsize(size).unwrap();
        for more in [0, 1, 70] {
            queue.try_put_many(0..size).unwrap();
            let error = queue.try_put_many(size..size + more);
            match error {
                Ok(()) => assert_eq!(more, 0),
                Err(TryPutError::Full(rest)) => assert!(rest.into_iter().eq(size..size + more)),
                Err(other) => panic!("{other:?}"),
            }
            queue.get().unwrap();
            let partly = queue.try_put_many(size..size + 1 + more);
            let rest = partly.map_or_else(TryPutError::into_inner, |()| Vec::new());
            assert!(rest.into_iter().eq(size + 1..size + 1 + more));
            assert!(queue.is_full());
            assert!(drained(&queue, size).into_iter().eq(1..=size));
        }
    }
}

fn timeouts() {
    let queue = Queue::with_maxsize(4).unwrap();
    for time in [0, 1, 30, 110].map(Duration::from_millis) {
        let before = Instant::now();
        let none = queue.get_many_timeout(3, time);
        assert!(matches!(none, Err(TryGetError::Empty)));
        assert!(before.elapsed() >= time, "too early");
        let before = Instant::now();
        match queue.put_many_timeout(0..10, time) {
            Err(TryPutError::Full(rest)) => assert_eq!(rest, [4, 5, 6, 7, 8, 9]),
            other => panic!("{other:?}"),
        }
        assert!(before.elapsed() >= time, "too early");
        assert_eq!(drained(&queue, 9), [0, 1, 2, 3]);
    }
    queue.put_many_timeout(0..4, Duration::MAX).unwrap();
    let batch = queue.get_many_timeout(1, Duration::MAX).unwrap();
    assert_eq!(batch.len(), 1);
}

/// What was put, and what comes back, are together what there was, in order.
fn closed_in_the_middle() {
    for round in 0..scaled(30) {
        let queue = Queue::with_maxsize(5).unwrap();
        std::thread::scope(|scope| {
            let putter = sleeper(scope, || queue.put_many(0..100_u32));
            let mut all = Vec::new();
            for _ in 0..round % 20 {
                all.push(queue.get().unwrap());
            }
            queue.close();
            match putter.join().unwrap() {
                Err(PutError::Closed(rest)) => {
                    all.extend(drained(&queue, 3));
                    all.extend(rest);
                }
                other => panic!("{other:?}"),
            }
            assert!(all.into_iter().eq(0..100));
        });
        assert!(matches!(queue.get_many(3), Err(GetError::Closed)));
    }
}

fn closed() {
    let queue = Queue::new().unwrap();
    queue.put_many(0..100).unwrap();
    queue.close();
    let all = || vec![7, 8, 9];
    let kept = [
        queue.put_many(all()).map_err(|error| match error {
            PutError::Closed(rest) => rest,
            other => panic!("{other:?}"),
        }),
        queue.try_put_many(all()).map_err(|error| match error {
            TryPutError::Closed(rest) => rest,
            other => panic!("{other:?}"),
        }),
        queue
            .put_many_timeout(all(), Duration::MAX)
            .map_err(|error| match error {
                TryPutError::Closed(rest) => rest,
                other => panic!("{other:?}"),
            }),
    ];
    assert_eq!(kept, [(); 3].map(|()| Err(all())));
    assert!(drained(&queue, 64).into_iter().eq(0..100));
    let gone = queue.get_many_timeout(5, Duration::MAX);
    assert!(matches!(gone, Err(TryGetError::Closed)));
    assert!(matches!(queue.try_get_many(5), Err(TryGetError::Closed)));
    assert!(matches!(queue.get_many(5), Err(GetError::Closed)));
}

// ---- sleepers

fn wakes_getters() {
    let queue = Queue::new().unwrap();
    for _ in 0..scaled(30) {
        std::thread::scope(|scope| {
            let getters = sleepers(scope, 5, || queue.get().unwrap());
            queue.put_many(0..5).unwrap();
            let mut got: Vec<i32> = getters.into_iter().map(|it| it.join().unwrap()).collect();
            got.sort_unstable();
            assert_eq!(got, [0, 1, 2, 3, 4]);
        });
    }
}

fn wakes_putters() {
    let queue = Queue::with_maxsize(5).unwrap();
    for _ in 0..scaled(30) {
        queue.put_many([0; 5]).unwrap();
        std::thread::scope(|scope| {
            let putters = sleepers(scope, 5, || queue.put(1).unwrap());
            let mut zeros = 0;
            while zeros < 5 {
                let batch = queue.get_many(5 - zeros).unwrap();
                zeros += batch.inspect(|it| assert!(matches!(it, Ok(0)))).count();
            }
            putters.into_iter().for_each(|it| it.join().unwrap());
        });
        assert_eq!(drained(&queue, 5), [1; 5]);
    }
}

/// Not for as many as it would take.
fn waits_for_one() {
    let queue = Queue::new().unwrap();
    for number in 0..scaled(30) {
        std::thread::scope(|scope| {
            let getter = sleeper(scope, || {
                let batch = queue.get_many(1000).unwrap();
                batch.map(Result::unwrap).collect::<Vec<u32>>()
            });
            queue.put(number).unwrap();
            assert_eq!(getter.join().unwrap(), [number]);
        });
    }
}
