//! Queues: order, sizes, errors that give the value back, and handles inside messages.

use crate::kit::start;
use crate::process::Fussy;
use crate::runner::{Case, Gate, RemoteGate, case, scaled};
use multiproc::{Error, ErrorKind, GetError, PutError, Queue, TryGetError, TryPutError, arena};
use std::time::{Duration, Instant};

pub(crate) fn tests() -> Vec<Case> {
    vec![
        case("queue::first_in_first_out", first_in_first_out),
        case("queue::maxsize_is_exact", maxsize),
        case("queue::maxsize_holds_among_many", maxsize_among_many),
        case("queue::empty_and_full", empty_and_full),
        case("queue::close_drains", close_drains),
        case("queue::close_wakes_sleepers", close_wakes),
        case("queue::close_loses_nothing", close_loses_nothing),
        case("queue::decode_errors", decode_errors),
        case("queue::encode_errors", encode_errors),
        case("queue::sizes_of_messages", sizes),
        case("queue::grows_with_its_content", grows),
        case("queue::grows_while_it_is_read", grows_while_read),
        case("queue::many_producers_and_consumers", many_to_many),
        case("queue::join_before_draining", join_before_draining),
        case("queue::exit_right_after_put", exit_after_put),
        case("queue::waits_are_not_shortened", waits),
    ]
}

fn first_in_first_out() {
    let queue = Queue::new().unwrap();
    let count = scaled(20_000);
    let mut next = 0;
    for number in 0..count {
        queue.put((number, number.to_string())).unwrap();
        if number % 3 == 0 {
            assert_eq!(queue.get().unwrap(), (next, next.to_string()));
            next += 1;
        }
    }
    assert_eq!(queue.len(), (count - next) as usize);
    for number in next..count {
        assert_eq!(queue.get().unwrap(), (number, number.to_string()));
    }
    assert!(queue.is_empty());
}

fn maxsize() {
    for size in [1, 2, 7, 1000] {
        let queue = Queue::with_maxsize(size).unwrap();
        // Three times round, so that no place is a special one.
        for round in 0..3 {
            for number in 0..size {
                assert!(!queue.is_full());
                queue.try_put((round, number)).unwrap();
                assert_eq!(queue.len(), number + 1);
            }
            assert!(queue.is_full());
            match queue.try_put((99, 99)) {
                Err(TryPutError::Full((99, 99))) => {}
                other => panic!("{size} is {size}: {other:?}"),
            }
            for number in 0..size {
                assert_eq!(queue.try_get().unwrap(), (round, number));
            }
        }
    }
    let too_many = Queue::<u8>::with_maxsize(1 << 28).unwrap_err();
    assert_eq!(too_many.kind(), ErrorKind::InvalidInput);
}

fn maxsize_among_many() {
    let queue = Queue::with_maxsize(3).unwrap();
    let produce = |queue: Queue<u32>| {
        for number in 0..500 {
            queue.put(number).unwrap();
        }
    };
    let producers = [(); 3].map(|()| start(produce, (queue.clone(),)));
    for _ in 0..1500 {
        assert!(queue.len() <= 3, "{}", queue.len());
        queue.get().unwrap();
    }
    for producer in producers {
        assert_eq!(producer.join().unwrap(), 0);
    }
    assert!(queue.is_empty());
}

fn empty_and_full() {
    let queue = Queue::with_maxsize(1).unwrap();
    assert!(matches!(queue.try_get(), Err(TryGetError::Empty)));
    let late = queue.get_timeout(Duration::from_millis(1));
    assert!(matches!(late, Err(TryGetError::Empty)));
    queue.put("one".to_owned()).unwrap();
    let full = queue.put_timeout("two".to_owned(), Duration::from_millis(1));
    match full {
        Err(TryPutError::Full(two)) => assert_eq!(two, "two"),
        other => panic!("{other:?}"),
    }
    let full = queue.try_put("three".to_owned()).unwrap_err();
    assert_eq!(full.into_inner(), "three");
    assert_eq!(queue.get_timeout(Duration::MAX).unwrap(), "one");
    queue.put_timeout("four".to_owned(), Duration::MAX).unwrap();
    assert_eq!(queue.get().unwrap(), "four");
}

fn close_drains() {
    let queue = Queue::new().unwrap();
    queue.put(1).unwrap();
    queue.put(2).unwrap();
    let closes = |queue: Queue<i32>| queue.close();
    assert_eq!(start(closes, (queue.clone(),)).join().unwrap(), 0);
    assert!(matches!(queue.put(3), Err(PutError::Closed(3))));
    assert!(matches!(queue.try_put(3), Err(TryPutError::Closed(3))));
    assert_eq!(queue.get().unwrap(), 1);
    assert_eq!(queue.try_get().unwrap(), 2);
    assert!(matches!(queue.get(), Err(GetError::Closed)));
    assert!(matches!(queue.try_get(), Err(TryGetError::Closed)));
    let kinds = [
        Error::from(queue.get().unwrap_err()),
        Error::from(queue.put(4).unwrap_err()),
        Error::from(queue.get_timeout(Duration::ZERO).unwrap_err()),
    ];
    assert!(kinds.iter().all(|error| error.kind() == ErrorKind::Closed));
    queue.close();
}

fn close_wakes() {
    let (queue, full) = (Queue::<u8>::new().unwrap(), Queue::with_maxsize(1).unwrap());
    full.put(0).unwrap();
    let here = Gate::new();
    let getter = |queue: Queue<u8>, here: RemoteGate| {
        here.open(1);
        assert!(matches!(queue.get(), Err(GetError::Closed)));
    };
    let putter = |queue: Queue<u8>, here: RemoteGate| {
        here.open(1);
        assert!(matches!(queue.put(1), Err(PutError::Closed(1))));
    };
    let getters = [(); 3].map(|()| start(getter, (queue.clone(), here.remote())));
    let putters = [(); 3].map(|()| start(putter, (full.clone(), here.remote())));
    (0..6).for_each(|_| here.wait());
    queue.close();
    full.close();
    for process in getters.into_iter().chain(putters) {
        assert_eq!(process.join().unwrap(), 0);
    }
    assert_eq!(full.get().unwrap(), 0);
    assert!(matches!(full.get(), Err(GetError::Closed)));
}

/// What was put is got, also what was put while somebody closed: who hears `Closed` has had everything.
fn close_loses_nothing() {
    for _ in 0..scaled(300) {
        let queue = Queue::new().unwrap();
        let puts = || {
            let mut put = 0;
            while queue.put(put).is_ok() {
                put += 1;
            }
            put
        };
        let gets = || {
            let mut got = 0;
            while queue.get().is_ok() {
                got += 1;
            }
            got
        };
        std::thread::scope(|scope| {
            let producers = [scope.spawn(puts), scope.spawn(puts)];
            let consumer = scope.spawn(gets);
            while queue.is_empty() {
                std::thread::yield_now();
            }
            queue.close();
            let put: u64 = producers.map(|thread| thread.join().unwrap()).iter().sum();
            assert_eq!(consumer.join().unwrap(), put);
        });
    }
}

fn fussy(encodes: bool, decodes: bool) -> Fussy {
    Fussy { encodes, decodes }
}

fn decode_errors() {
    let queue = Queue::new().unwrap();
    queue.put(fussy(true, false)).unwrap();
    queue.put(fussy(true, true)).unwrap();
    match queue.get() {
        Err(GetError::Failed(error)) => assert_eq!(error.kind(), ErrorKind::Decode),
        other => panic!("{other:?}"),
    }
    assert_eq!(queue.get().unwrap(), fussy(true, true));
    // Handles beside what does not decode are not lost for ever: the runner looks.
    let queue = Queue::new().unwrap();
    let inner = Queue::<u8>::new().unwrap();
    queue.put((inner, fussy(true, false))).unwrap();
    assert!(queue.try_get().is_err());
    assert!(matches!(queue.try_get(), Err(TryGetError::Empty)));
}

fn encode_errors() {
    let queue = Queue::with_maxsize(2).unwrap();
    let inner = Queue::<u8>::new().unwrap();
    queue.put((inner.clone(), fussy(true, true))).unwrap();
    match queue.put((inner.clone(), fussy(false, true))) {
        Err(PutError::Failed((_, back), error)) => {
            assert_eq!(back, fussy(false, true));
            assert_eq!(error.kind(), ErrorKind::Encode);
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(queue.len(), 1);
    queue.put((inner, fussy(true, true))).unwrap();
    assert!(queue.is_full());
    assert_eq!(queue.get().unwrap().1, fussy(true, true));
    assert_eq!(queue.get().unwrap().1, fussy(true, true));
}

fn sizes() {
    let queue = Queue::new().unwrap();
    let echo = |queue: Queue<Vec<u8>>, back: Queue<Vec<u8>>| {
        while let Ok(bytes) = queue.get() {
            back.put(bytes).unwrap();
        }
    };
    let back = Queue::new().unwrap();
    let process = start(echo, (queue.clone(), back.clone()));
    let around = |size: usize| [size - 1, size, size + 1];
    let mut lengths = vec![0, 1, 1 << 20, 5 << 20];
    lengths.extend([120, 128, 4096, 65536].map(around).concat());
    for length in lengths {
        let bytes: Vec<u8> = (0..length)
            .map(|n| u8::try_from(n % 251).unwrap())
            .collect();
        queue.put(bytes.clone()).unwrap();
        assert!(back.get().unwrap() == bytes, "{length} bytes");
    }
    queue.close();
    assert_eq!(process.join().unwrap(), 0);

    // Truly nothing.
    let nothing = Queue::new().unwrap();
    (0..100).for_each(|_| nothing.put(()).unwrap());
    assert_eq!(nothing.len(), 100);
    (0..100).for_each(|_| nothing.get().unwrap());
    assert!(matches!(nothing.try_get(), Err(TryGetError::Empty)));
}

/// A message whose content tells its number, of changing length.
fn message(number: usize) -> Vec<u32> {
    vec![u32::try_from(number).unwrap(); number * 7 % 900]
}

fn grows() {
    let before = arena::usage().unwrap();
    let queue = Queue::new().unwrap();
    let count = scaled(5000) as usize;
    // The ends stand somewhere in the middle when it grows.
    for number in 0..50 {
        queue.put(message(number)).unwrap();
        assert_eq!(queue.get().unwrap(), message(number));
    }
    for number in 0..count {
        queue.put(message(number)).unwrap();
    }
    assert_eq!(queue.len(), count);
    for number in 0..count {
        assert_eq!(queue.get().unwrap(), message(number));
    }
    drop(queue);
    assert_eq!(arena::usage().unwrap(), before);
}

fn grows_while_read() {
    let queue = Queue::new().unwrap();
    let count = scaled(20_000) as usize;
    let produce = |queue: Queue<Vec<u32>>, count: usize| {
        (0..count).for_each(|number| queue.put(message(number)).unwrap());
    };
    let producer = start(produce, (queue.clone(), count));
    for number in 0..count {
        assert_eq!(queue.get().unwrap(), message(number));
    }
    assert_eq!(producer.join().unwrap(), 0);
}

fn many_to_many() {
    const PRODUCERS: usize = 3;
    const CONSUMERS: usize = 3;
    let each = u64::from(scaled(5000));
    let (queue, sums) = (Queue::with_maxsize(64).unwrap(), Queue::new().unwrap());
    let produce = |queue: Queue<(usize, u64)>, who: usize, each: u64| {
        (1..=each).for_each(|number| queue.put((who, number)).unwrap());
    };
    let consume = |queue: Queue<(usize, u64)>, sums: Queue<[u64; 2]>| {
        let (mut last, mut sum, mut count) = ([0; PRODUCERS], 0, 0);
        while let Ok((who, number)) = queue.get() {
            assert!(number > last[who], "{number} of {who} after {}", last[who]);
            last[who] = number;
            (sum, count) = (sum + number, count + 1);
        }
        sums.put([sum, count]).unwrap();
    };
    let consumers: Vec<_> = (0..CONSUMERS)
        .map(|_| start(consume, (queue.clone(), sums.clone())))
        .collect();
    let producers: Vec<_> = (0..PRODUCERS)
        .map(|who| start(produce, (queue.clone(), who, each)))
        .collect();
    for producer in producers {
        assert_eq!(producer.join().unwrap(), 0);
    }
    queue.close();
    for consumer in consumers {
        assert_eq!(consumer.join().unwrap(), 0);
    }
    let add = |a: [u64; 2], b: [u64; 2]| [a[0] + b[0], a[1] + b[1]];
    let all = (0..CONSUMERS).fold([0; 2], |all, _| add(all, sums.get().unwrap()));
    let producers = PRODUCERS as u64;
    assert_eq!(all, [producers * each * (each + 1) / 2, producers * each]);
}

fn join_before_draining() {
    let queue = Queue::new().unwrap();
    let body = |queue: Queue<Vec<u8>>| {
        queue.put(vec![7; 1 << 20]).unwrap();
        (0..100).for_each(|_| queue.put(vec![8; 10_000]).unwrap());
    };
    assert_eq!(start(body, (queue.clone(),)).join().unwrap(), 0);
    assert_eq!(queue.len(), 101);
    assert!(queue.get().unwrap() == vec![7; 1 << 20]);
    (0..100).for_each(|_| assert!(queue.get().unwrap() == vec![8; 10_000]));
}

fn exit_after_put() {
    let queue = Queue::new().unwrap();
    let body = |queue: Queue<u32>, number: u32| {
        queue.put(number).unwrap();
        crate::kit::leave(0);
    };
    for number in 0..scaled(30) {
        let process = start(body, (queue.clone(), number));
        assert_eq!(queue.get().unwrap(), number);
        assert_eq!(process.join().unwrap(), 0);
    }
}

fn waits() {
    let queue = Queue::with_maxsize(1).unwrap();
    for time in [0, 1, 30, 110] {
        let time = Duration::from_millis(time);
        let before = Instant::now();
        assert!(matches!(queue.get_timeout(time), Err(TryGetError::Empty)));
        assert!(before.elapsed() >= time, "too early");
        queue.put(1).unwrap();
        let before = Instant::now();
        assert!(matches!(
            queue.put_timeout(2, time),
            Err(TryPutError::Full(2))
        ));
        assert!(before.elapsed() >= time, "too early");
        queue.get().unwrap();
    }
}
