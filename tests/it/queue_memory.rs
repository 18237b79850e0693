//! Where messages lie: memory comes back after a burst, a full arena is an error for a while, and large ones are allowed.

use crate::queue_batches::drained;
use crate::queue_bytes::bytes_of;
use crate::runner::{Case, case, scale, scaled, skip};
use multiproc::arena::{set_size, usage};
use multiproc::{
    Error, ErrorKind, JoinableQueue, PutError, Queue, Receiver, Sender, SimpleQueue, TryPutError,
};
use std::time::Duration;

pub(crate) fn tests() -> Vec<Case> {
    let long = Duration::from_secs(300);
    vec![
        case("queue_memory::after_a_burst", after_a_burst),
        case("queue_memory::of_a_long_life", of_a_long_life),
        case("queue_memory::of_a_queue_that_is_never_empty", never_empty),
        case("queue_memory::of_ten_thousand_idle_ones", idle_ones),
        case("queue_memory::full_for_put", || full(&PUT)).cold(),
        case("queue_memory::full_for_put_many", || full(&PUT_MANY)).cold(),
        case("queue_memory::full_for_bytes", || full(&BYTES)).cold(),
        case("queue_memory::full_for_a_simple_queue", || full(&SIMPLE)).cold(),
        case("queue_memory::full_for_a_joinable_queue", || {
            full(&JOINABLE)
        })
        .cold(),
        case("queue_memory::full_for_ends", || full(&ENDS)).cold(),
        case("queue_memory::full_in_the_middle_of_a_batch", full_batch).cold(),
        case("queue_memory::full_for_a_split", full_split).cold(),
        case("queue_memory::too_large_for_the_arena", too_large).cold(),
        case("queue_memory::more_than_four_gigabytes", four_gigabytes)
            .cold()
            .deadline(long),
        case("queue_memory::a_quarter_of_the_machine", a_quarter)
            .cold()
            .deadline(long),
    ]
}

const MIB: usize = 1 << 20;
const GIB: usize = 1 << 30;

type Bytes = Queue<Vec<u8>>;

/// By whichever verb it is filled and drained.
fn after_a_burst() {
    const BURST: usize = 64 * MIB;
    let before = usage().unwrap();
    for length in [1000, 4000, 50_000, 3 * MIB] {
        let queue = Bytes::new().unwrap();
        let message = bytes_of(1, length);
        for round in 0..3 {
            let count = BURST / length;
            match round {
                0 => (0..count).for_each(|_| queue.put_bytes(&message).unwrap()),
                _ => queue.put_many((0..count).map(|_| message.clone())).unwrap(),
            }
            let full = usage().unwrap();
            assert!(full.bytes >= before.bytes + count * length, "{full:?}");
            match round {
                0 => (0..count).for_each(|_| assert_eq!(queue.get().unwrap().len(), length)),
                1 => (0..count).for_each(|_| assert_eq!(queue.get_loan().unwrap().len(), length)),
                _ => assert_eq!(drained(&queue, 1000).len(), count),
            }
            let empty = usage().unwrap();
            assert!(empty.bytes <= before.bytes + 8 * MIB, "{length}: {empty:?}");
        }
        drop(queue);
        assert_eq!(usage().unwrap(), before);
    }
}

/// Bursts and drains without end: what one leaves the next one uses.
fn of_a_long_life() {
    let before = usage().unwrap();
    let queue = Bytes::new().unwrap();
    for round in 0..scaled(60) as usize {
        let length = 1 + round * 977 % 9_000;
        let count = 1 + round * 7919 % 3_000;
        queue.put_many((0..count).map(|_| vec![1; length])).unwrap();
        assert_eq!(drained(&queue, 100).len(), count);
        let now = usage().unwrap();
        assert!(
            now.bytes <= before.bytes + 8 * MIB,
            "round {round}: {now:?}"
        );
    }
    drop(queue);
    assert_eq!(usage().unwrap(), before);
}

/// Half a gigabyte goes through one that always holds a little.
fn never_empty() {
    let before = usage().unwrap();
    let queue = Bytes::new().unwrap();
    let message = vec![1; 2_000];
    queue.put_many(vec![message.clone(); 500]).unwrap();
    for _ in 0..scaled(2_500) {
        queue.put_many(vec![message.clone(); 100]).unwrap();
        let mut got = 0;
        while got < 100 {
            got += queue.get_many(100 - got).unwrap().len();
        }
        assert_eq!(queue.len(), 500);
    }
    let now = usage().unwrap();
    assert!(now.bytes <= before.bytes + 16 * MIB, "{now:?}");
    drop(queue);
    assert_eq!(usage().unwrap(), before);
}

fn idle_ones() {
    let before = usage().unwrap();
    let queues: Vec<Queue<usize>> = (0..10_000).map(|_| Queue::new().unwrap()).collect();
    let now = usage().unwrap();
    assert_eq!(now.objects, before.objects + 10_000);
    assert!(now.bytes <= before.bytes + 10_000 * (64 << 10), "{now:?}");
    // They are queues all the same.
    for (number, queue) in queues.iter().enumerate() {
        queue.put(number).unwrap();
    }
    for (number, queue) in queues.iter().enumerate() {
        assert_eq!(queue.get().unwrap(), number);
    }
    drop(queues);
    assert_eq!(usage().unwrap(), before);
    for _ in 0..10_000 {
        drop(Queue::<usize>::new().unwrap());
    }
    assert_eq!(usage().unwrap(), before);
}

// ---- a full arena

/// It went in, or not and why; some verbs give it back.
type Put = Result<(), (Option<Vec<u8>>, Error)>;

/// A way in, and a way out. What cannot go in comes back.
struct Verbs<Q> {
    make: fn() -> Q,
    put: fn(&Q, Vec<u8>) -> Put,
    get: fn(&Q) -> Vec<u8>,
}

fn back<T>(error: PutError<T>) -> (Option<T>, Error) {
    match error {
        PutError::Failed(back, error) => (Some(back), error),
        other => panic!("{other:?}"),
    }
}

fn try_back<T>(error: TryPutError<T>) -> (Option<T>, Error) {
    match error {
        TryPutError::Failed(back, error) => (Some(back), error),
        other => panic!("{other:?}"),
    }
}

const PUT: Verbs<Bytes> = Verbs {
    make: || Queue::new().unwrap(),
    put: |queue, bytes| match bytes.len() % 3 {
        0 => queue.put(bytes).map_err(back),
        1 => queue.try_put(bytes).map_err(try_back),
        _ => queue.put_timeout(bytes, Duration::MAX).map_err(try_back),
    },
    get: |queue| queue.get().unwrap(),
};

const PUT_MANY: Verbs<Bytes> = Verbs {
    make: || Queue::new().unwrap(),
    put: |queue, bytes| {
        let put = queue.put_many([bytes]).map_err(back);
        put.map_err(|(rest, error)| (rest.and_then(|mut rest| rest.pop()), error))
    },
    get: |queue| queue.get_many(1).unwrap().next().unwrap().unwrap(),
};

const BYTES: Verbs<Bytes> = Verbs {
    make: || Queue::new().unwrap(),
    put: |queue, bytes| {
        let put = match bytes.len() % 3 {
            0 => queue.put_bytes(&bytes).map_err(back),
            1 => queue.try_put_bytes(&bytes).map_err(try_back),
            _ => queue
                .put_bytes_timeout(&bytes, Duration::MAX)
                .map_err(try_back),
        };
        put.map_err(|(_, error)| (None, error))
    },
    get: |queue| queue.get_loan().unwrap().to_vec(),
};

const SIMPLE: Verbs<SimpleQueue<Vec<u8>>> = Verbs {
    make: || SimpleQueue::new().unwrap(),
    put: |queue, bytes| queue.put(bytes).map_err(back),
    get: |queue| queue.get().unwrap(),
};

const JOINABLE: Verbs<JoinableQueue<Vec<u8>>> = Verbs {
    make: || JoinableQueue::new().unwrap(),
    put: |queue, bytes| queue.put(bytes).map_err(back),
    get: |queue| queue.get().unwrap().task_done(),
};

type Pair<T> = (Sender<T>, Receiver<T>);

const ENDS: Verbs<Pair<Vec<u8>>> = Verbs {
    make: || Queue::new().unwrap().split().unwrap(),
    put: |(sender, _), bytes| sender.send(bytes).map_err(back),
    get: |(_, receiver)| receiver.recv().unwrap(),
};

/// Until it is full, then in and out at the edge, then out; and again, with as much room as before.
fn full<Q>(verbs: &Verbs<Q>) {
    set_size(2 * MIB).unwrap();
    drop((verbs.make)());
    let before = usage().unwrap();
    for length in [10, 1000, 4096, 20_000, 100_001] {
        let queue = (verbs.make)();
        let mut counts = Vec::new();
        for _ in 0..3 {
            let mut next = 0;
            let (given, error) = loop {
                match (verbs.put)(&queue, bytes_of(next, length)) {
                    Ok(()) => next += 1,
                    Err(failed) => break failed,
                }
            };
            assert_eq!(error.kind(), ErrorKind::NoSpace, "{error}");
            assert!(given.is_none_or(|given| given == bytes_of(next, length)));
            counts.push(next);
            for number in 0..next {
                assert!((verbs.get)(&queue) == bytes_of(number, length), "{number}");
                // Freed memory is room again, at the latest when half of it is free.
                if number == next / 2 {
                    (verbs.put)(&queue, bytes_of(next, length)).unwrap();
                }
            }
            assert!((verbs.get)(&queue) == bytes_of(next, length));
        }
        let least = counts.iter().min().unwrap();
        assert!(*least >= 200_000 / (length + 100), "{length}: {counts:?}");
        // Where the ends stand decides on a few.
        assert!(counts.iter().all(|count| count / 2 <= *least), "{counts:?}");
        drop(queue);
        assert_eq!(usage().unwrap(), before);
    }
}

/// Those that found room are there, the others come back.
fn full_batch() {
    set_size(2 * MIB).unwrap();
    for length in [10, 1000, 20_000] {
        let queue = Bytes::new().unwrap();
        for _ in 0..3 {
            let count = 4 * MIB / (length + 8);
            let values = (0..count).map(|number| bytes_of(number, length));
            let (rest, error) = back(queue.put_many(values).unwrap_err());
            assert_eq!(error.kind(), ErrorKind::NoSpace, "{error}");
            let there = drained(&queue, 100);
            assert!(!there.is_empty(), "{length}");
            let all = there.into_iter().chain(rest.unwrap());
            let mut count_all = 0;
            for (number, value) in all.enumerate() {
                assert!(value == bytes_of(number, length), "{number}");
                count_all += 1;
            }
            assert_eq!(count_all, count);
        }
    }
}

/// A split that finds no room leaves a queue that is whole, and can be split later.
fn full_split() {
    set_size(MIB).unwrap();
    let queue = Queue::new().unwrap();
    let before = usage().unwrap();
    let others: Vec<Queue<u8>> = std::iter::from_fn(|| Queue::new().ok()).collect();
    let small = SimpleQueue::<Vec<u8>>::new();
    assert_eq!(small.unwrap_err().kind(), ErrorKind::NoSpace);
    let mut others = others;
    let mut ends = loop {
        match queue.clone().split() {
            Ok(ends) => break Some(ends),
            Err(error) => assert_eq!(error.kind(), ErrorKind::NoSpace),
        }
        queue.put(1).unwrap();
        assert_eq!(queue.get().unwrap(), 1);
        drop(others.pop().unwrap());
    };
    let (sender, receiver) = ends.take().unwrap();
    sender.send(2).unwrap();
    drop(sender);
    assert_eq!(receiver.recv().unwrap(), 2);
    assert!(receiver.recv().is_err());
    drop((others, receiver));
    assert_eq!(usage().unwrap(), before);
}

// ---- large messages

/// Four gigabytes of zeros, which are no memory until somebody writes there: nobody does.
fn too_large() {
    set_size(MIB).unwrap();
    let queue = Bytes::new().unwrap();
    let before = usage().unwrap();
    let zeros = vec![0; 4 * GIB];
    for length in [2 * MIB, 4 * GIB - 1, 4 * GIB] {
        let (_, error) = back(queue.put_bytes(&zeros[..length]).unwrap_err());
        assert_eq!(error.kind(), ErrorKind::NoSpace, "{length}: {error}");
        let (_, error) = try_back(queue.try_put_bytes(&zeros[..length]).unwrap_err());
        assert_eq!(error.kind(), ErrorKind::NoSpace, "{length}: {error}");
        queue.put_bytes(b"small").unwrap();
        assert_eq!(*queue.get_loan().unwrap(), *b"small");
    }
    let (zeros, error) = back(queue.put(zeros).unwrap_err());
    assert_eq!(error.kind(), ErrorKind::NoSpace, "{error}");
    assert_eq!(zeros.unwrap().len(), 4 * GIB);
    let large = vec![7; 2 * MIB];
    let (rest, error) = back(queue.put_many([vec![1], large, vec![2]]).unwrap_err());
    assert_eq!(error.kind(), ErrorKind::NoSpace, "{error}");
    assert!(rest.unwrap() == [vec![7; 2 * MIB], vec![2]]);
    assert_eq!(queue.get().unwrap(), [1]);
    assert!(queue.is_empty());
    assert_eq!(usage().unwrap(), before);
}

/// The memory of the machine in gigabytes, as its kernel tells it.
fn gigabytes() -> usize {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap();
    let line = text.lines().find(|line| line.starts_with("MemAvailable:"));
    let number = line.unwrap().split_whitespace().nth(1).unwrap();
    number.parse::<usize>().unwrap() >> 20
}

/// Tests that fill memory run where they were asked for, and there is some.
fn needs_memory() {
    if scale() < 3.0 || gigabytes() < 20 {
        skip("needs 20 GiB of memory, and MULTIPROC_SCALE of 3 or more");
    }
}

fn four_gigabytes() {
    needs_memory();
    let before = usage().unwrap();
    let queue = Bytes::new().unwrap();
    let mut bytes = vec![0; 4 * GIB + 1];
    let marks = [0, 1, GIB, 2 * GIB + 5, 4 * GIB - 1, 4 * GIB];
    for (number, mark) in (1..).zip(marks) {
        bytes[mark] = number;
    }
    queue.put_bytes(&bytes).unwrap();
    assert_eq!(queue.len(), 1);
    let loan_or_copy = |whole: &[u8]| {
        assert_eq!(whole.len(), 4 * GIB + 1);
        assert!(
            marks
                .iter()
                .zip(1..)
                .all(|(mark, number)| whole[*mark] == number)
        );
        assert_eq!((whole[2], whole[3 * GIB], whole[4 * GIB - 2]), (0, 0, 0));
    };
    let loan = queue.get_loan().unwrap();
    loan_or_copy(&loan);
    drop(loan);
    queue.put_bytes(&bytes).unwrap();
    queue.put_bytes(b"behind").unwrap();
    drop(bytes);
    let mut buffer = Vec::new();
    assert_eq!(queue.get_into(&mut buffer).unwrap(), 4 * GIB + 1);
    loan_or_copy(&buffer);
    assert_eq!(queue.get().unwrap(), b"behind");
    drop(queue);
    assert_eq!(usage().unwrap(), before);
}

/// What it holds at most; then whoever puts waits until somebody reads.
fn a_quarter() {
    needs_memory();
    let queue = Bytes::new().unwrap();
    let message = vec![1; GIB / 4 - 1000];
    let mut put = 0;
    let short = Duration::from_millis(50);
    while queue.put_bytes_timeout(&message, short).is_ok() {
        put += 1;
    }
    let full = queue.try_put_bytes(&message);
    assert!(matches!(full, Err(TryPutError::Full(()))), "{full:?}");
    assert!((8..=64).contains(&put), "{put}");
    assert_eq!(queue.get_loan().unwrap().len(), message.len());
    queue.put_bytes(&message).unwrap();
    std::thread::scope(|scope| {
        let puts = crate::sleepers::sleeper(scope, || queue.put_bytes(&message).unwrap());
        assert_eq!(queue.get_loan().unwrap().len(), message.len());
        puts.join().unwrap();
    });
    queue.shutdown(true);
}
