//! What lies in a batch: values of all sizes, handles, many producers and consumers.

use crate::kit::start;
use crate::queue_batches::drained;
use crate::runner::{Case, case, scaled};
use crate::ways::fine;
use multiproc::{Batch, Lock, Queue, arena};

pub(crate) fn tests() -> Vec<Case> {
    vec![
        case("queue_batch_values::of_all_sizes", of_all_sizes),
        case("queue_batch_values::handles_inside", handles_inside),
        case("queue_batch_values::handles_refused", handles_refused),
        case("queue_batch_values::dropped_unread", dropped_unread),
        case("queue_batch_values::outlives_its_queue", outlives_its_queue),
        case("queue_batch_values::kept_while_others_work", kept),
        case("queue_batch_values::many_to_many", many_to_many),
        case("queue_batch_values::many_to_many_of_few", few_places),
    ]
}

/// One that tells its number; some lie in the ring, some beside it.
fn of_number(number: usize) -> Vec<u8> {
    let length = match number % 70 {
        10 => 0,
        20 => 4096,
        30 => 4097,
        40 => 100_000,
        other => other,
    };
    vec![number.to_le_bytes()[0]; length]
}

fn of_all_sizes() {
    let before = arena::usage().unwrap();
    let count = scaled(700) as usize;
    let queue = Queue::new().unwrap();
    let puts = |queue: Queue<Vec<u8>>, count: usize| {
        queue.put_many((0..count).map(of_number)).unwrap();
    };
    for max in [1, 10, 64, 1000] {
        fine(&start(puts, (queue.clone(), count)));
        assert_eq!(queue.len(), count);
        for (number, value) in drained(&queue, max).into_iter().enumerate() {
            assert!(value == of_number(number), "{number}");
        }
    }
    drop(queue);
    assert_eq!(arena::usage().unwrap(), before);
}

/// A queue with its number inside.
type Nested = (usize, Queue<usize>, Option<Lock>);

fn nested(number: usize) -> Nested {
    let inner = Queue::new().unwrap();
    inner.put(number).unwrap();
    let lock = number.is_multiple_of(3).then(|| Lock::new().unwrap());
    (number, inner, lock)
}

fn handles_inside() {
    let before = arena::usage().unwrap();
    let queue = Queue::with_maxsize(50).unwrap();
    let count = scaled(300) as usize;
    let puts = |queue: Queue<Nested>, count: usize| {
        queue.put_many((0..count).map(nested)).unwrap();
    };
    let process = start(puts, (queue.clone(), count));
    let mut next = 0;
    while next < count {
        for value in queue.get_many(20).unwrap() {
            let (number, inner, lock) = value.unwrap();
            assert_eq!((number, inner.try_get().unwrap()), (next, next));
            assert_eq!(lock.is_some(), number % 3 == 0);
            next += 1;
        }
    }
    fine(&process);
    drop(queue);
    assert_eq!(arena::usage().unwrap(), before);
}

/// What is not put comes back whole, and nothing of it stays in flight.
fn handles_refused() {
    let before = arena::usage().unwrap();
    let queue = Queue::with_maxsize(10).unwrap();
    for _ in 0..20 {
        let error = queue.try_put_many((0..100).map(nested)).unwrap_err();
        let rest = error.into_inner();
        assert_eq!(rest.len(), 90);
        assert_eq!((rest[0].0, rest[0].1.get().unwrap()), (10, 10));
        assert_eq!(drained(&queue, 4).len(), 10);
        drop(rest);
        assert_eq!(arena::usage().unwrap().objects, before.objects + 1);
    }
    queue.try_put_many((0..100).map(nested)).unwrap_err();
    drop(queue);
    assert_eq!(arena::usage().unwrap(), before);
}

/// Nobody gets what lies in a batch that is dropped; what it keeps alive goes with it.
fn dropped_unread() {
    let before = arena::usage().unwrap();
    let queue = Queue::new().unwrap();
    for looked_at in [0, 1, 5] {
        queue.put_many((0..70).map(nested)).unwrap();
        let mut batch = queue.get_many(10).unwrap();
        let (taken, left) = (batch.len(), queue.len());
        batch.by_ref().take(looked_at).for_each(drop);
        drop(batch);
        assert_eq!((taken + left, queue.len()), (70, left));
        assert_eq!(drained(&queue, 100).len(), left);
        assert_eq!(arena::usage().unwrap().objects, before.objects + 1);
    }
    drop(queue);
    assert_eq!(arena::usage().unwrap(), before);
}

fn outlives_its_queue() {
    let before = arena::usage().unwrap();
    let ends: [fn(Queue<Nested>); 2] = [|queue| drop(queue), |queue| queue.shutdown(true)];
    for end in ends {
        let queue = Queue::new().unwrap();
        queue.put_many((0..20).map(nested)).unwrap();
        let mut batches: Vec<Batch<Nested>> = Vec::new();
        while !queue.is_empty() {
            batches.push(queue.get_many(5).unwrap());
        }
        end(queue);
        let values = batches.into_iter().flatten().map(Result::unwrap);
        for (next, (number, inner, _)) in values.enumerate() {
            assert_eq!((number, inner.get().unwrap()), (next, next));
        }
    }
    assert_eq!(arena::usage().unwrap(), before);
}

/// A batch is whole whatever happens to the queue after it was taken.
fn kept() {
    let queue = Queue::new().unwrap();
    let fill = || queue.put_many((0..200).map(of_number)).unwrap();
    fill();
    let mut batches = Vec::new();
    while !queue.is_empty() {
        batches.push(queue.get_many(30).unwrap());
    }
    for _ in 0..20 {
        fill();
        assert_eq!(drained(&queue, 64).len(), 200);
    }
    let values = batches.into_iter().flatten().map(Result::unwrap);
    for (number, value) in values.enumerate() {
        assert!(value == of_number(number), "{number}");
    }
}

/// Who put it, which one of his it is, and more.
type Numbered = (usize, usize, Vec<u8>);

const PRODUCERS: usize = 4;
const END: usize = usize::MAX;

/// By batches of changing size, and some one by one.
fn produces(queue: &Queue<Numbered>, who: usize, count: usize) {
    let mut next = 0;
    while next < count {
        let end = (next + (who + next) % 100).min(count);
        queue
            .put_many((next..end).map(|number| (who, number, of_number(number))))
            .unwrap();
        if end < count {
            queue.put((who, end, of_number(end))).unwrap();
        }
        next = end + 1;
    }
}

/// Until its end: how many it got of each. What each producer put comes in order, and whole.
fn consumes(queue: &Queue<Numbered>, max: usize) -> [usize; PRODUCERS] {
    let (mut next, mut got) = ([0; PRODUCERS], [0; PRODUCERS]);
    loop {
        for value in queue.get_many(max).unwrap() {
            let (who, number, bytes) = value.unwrap();
            if who == END {
                if number > 0 {
                    queue.put((END, number - 1, bytes)).unwrap();
                }
                return got;
            }
            assert!(number >= next[who], "{number} of {who} after {}", next[who]);
            assert!(bytes == of_number(number), "half a message");
            next[who] = number + 1;
            got[who] += 1;
        }
    }
}

/// Two processes and two threads at either end.
fn both_kinds(queue: &Queue<Numbered>) {
    let (count, sums) = (scaled(2_000) as usize, Queue::new().unwrap());
    let puts = |queue: Queue<Numbered>, who: usize, count: usize| produces(&queue, who, count);
    let gets = |queue: Queue<Numbered>, max: usize, sums: Queue<[usize; PRODUCERS]>| {
        sums.put(consumes(&queue, max)).unwrap();
    };
    let consumers = [1, 70].map(|max| start(gets, (queue.clone(), max, sums.clone())));
    let producers = [0, 1].map(|who| start(puts, (queue.clone(), who, count)));
    std::thread::scope(|scope| {
        for max in [7, usize::MAX] {
            let sums = sums.clone();
            scope.spawn(move || gets(queue.clone(), max, sums));
        }
        let threads = [2, 3].map(|who| scope.spawn(move || produces(queue, who, count)));
        let threads = threads.into_iter();
        threads.for_each(|thread| thread.join().unwrap());
        producers.iter().for_each(fine);
        // It goes from one consumer to the next.
        queue.put((END, 3, Vec::new())).unwrap();
    });
    consumers.iter().for_each(fine);
    let mut all = [0; PRODUCERS];
    for _ in 0..4 {
        let got = sums.get().unwrap();
        (0..PRODUCERS).for_each(|who| all[who] += got[who]);
    }
    assert_eq!(all, [count; PRODUCERS]);
    assert!(queue.is_empty());
}

fn many_to_many() {
    both_kinds(&Queue::new().unwrap());
}

fn few_places() {
    both_kinds(&Queue::with_maxsize(1).unwrap());
    both_kinds(&Queue::with_maxsize(100).unwrap());
}
