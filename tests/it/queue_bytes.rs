//! Bytes without a codec, mixed with `put` and `get` of the same type; messages that are read where they lie.

use crate::kit::start;
use crate::queue_batches::drained;
use crate::runner::{Case, case, scaled};
use crate::sleepers::sleeper;
use crate::ways::{each, fine, start_by};
use multiproc::{GetError, PutError, Queue, TryGetError, TryPutError};
use std::time::{Duration, Instant};

pub(crate) fn tests() -> Vec<Case> {
    vec![
        case("queue_bytes::every_verb_to_every_other", every_verb),
        case("queue_bytes::of_changing_length", changing_length),
        case("queue_bytes::a_buffer_is_used_again", buffer_again),
        case("queue_bytes::a_buffer_when_nothing_comes", buffer_unused),
        case("queue_bytes::full_and_empty", full_and_empty),
        case("queue_bytes::timeouts", timeouts),
        case("queue_bytes::closed", closed),
        case("queue_bytes::sleepers_are_woken", sleepers_woken),
        case("queue_bytes::by_every_way", by_every_way),
        case("queue_bytes::many_to_many", many_to_many),
    ]
}

/// Bytes that tell the number.
pub(crate) fn bytes_of(number: usize, length: usize) -> Vec<u8> {
    let byte = |place: usize| ((number + place * 7) % 251).to_le_bytes()[0];
    (0..length).map(byte).collect()
}

/// Lengths on both sides of what makes a difference inside.
fn lengths() -> Vec<usize> {
    let around = |size: usize| [size - 1, size, size + 1];
    let mut lengths = vec![0, 1, 2, 1 << 20, 5 << 20];
    lengths.extend([8, 120, 128, 4096, 65_536].map(around).concat());
    lengths
}

type Bytes = Queue<Vec<u8>>;

const PUTS: [fn(&Bytes, &[u8]); 6] = [
    |queue, bytes| queue.put(bytes.to_vec()).unwrap(),
    |queue, bytes| queue.put_bytes(bytes).unwrap(),
    |queue, bytes| queue.try_put_bytes(bytes).unwrap(),
    |queue, bytes| queue.put_bytes_timeout(bytes, Duration::MAX).unwrap(),
    |queue, bytes| queue.put_many([bytes.to_vec()]).unwrap(),
    |queue, bytes| queue.put_bytes_timeout(bytes, Duration::ZERO).unwrap(),
];

const GETS: [fn(&Bytes) -> Vec<u8>; 9] = [
    |queue| queue.get().unwrap(),
    |queue| queue.try_get().unwrap(),
    |queue| got_into(|buffer| queue.get_into(buffer).unwrap()),
    |queue| got_into(|buffer| queue.try_get_into(buffer).unwrap()),
    |queue| got_into(|buffer| queue.get_into_timeout(buffer, Duration::MAX).unwrap()),
    |queue| queue.get_loan().unwrap().to_vec(),
    |queue| queue.try_get_loan().unwrap().as_ref().to_vec(),
    |queue| queue.get_loan_timeout(Duration::MAX).unwrap().to_vec(),
    |queue| queue.get_many(1).unwrap().next().unwrap().unwrap(),
];

/// What was in the buffer before must not be in it afterwards.
fn got_into(gets: impl FnOnce(&mut Vec<u8>) -> usize) -> Vec<u8> {
    let mut buffer = vec![0xee; 100];
    assert_eq!(gets(&mut buffer), buffer.len());
    buffer
}

fn every_verb() {
    let queue = Queue::new().unwrap();
    for (number, length) in lengths().into_iter().enumerate() {
        let bytes = bytes_of(number, length);
        for put in PUTS {
            for get in GETS {
                put(&queue, &bytes);
                assert_eq!(queue.len(), 1);
                assert!(get(&queue) == bytes, "{length} bytes");
            }
        }
    }
    assert!(queue.is_empty());
}

fn changing_length() {
    let (queue, mut buffer) = (Queue::with_maxsize(10).unwrap(), Vec::new());
    let puts = |queue: Bytes, count: usize| {
        let lengths = lengths();
        for number in 0..count {
            let length = lengths[number % lengths.len()].min(70_000);
            PUTS[number % 2](&queue, &bytes_of(number, length));
        }
    };
    let (count, lengths) = (scaled(1_000) as usize, lengths());
    let process = start(puts, (queue.clone(), count));
    for number in 0..count {
        let bytes = bytes_of(number, lengths[number % lengths.len()].min(70_000));
        match number % 3 {
            0 => assert!(*queue.get_loan().unwrap() == *bytes, "{number}"),
            1 => assert!(queue.get().unwrap() == bytes, "{number}"),
            _ => {
                assert_eq!(queue.get_into(&mut buffer).unwrap(), bytes.len());
                assert!(buffer == bytes, "{number}");
            }
        }
    }
    fine(&process);
}

/// Its content is replaced, its memory kept.
fn buffer_again() {
    let queue = Queue::new().unwrap();
    let mut buffer = Vec::with_capacity(1 << 20);
    let place = buffer.as_ptr();
    for length in [5, 100_000, 0, 4096, 4097, 1 << 20, 1] {
        let bytes = bytes_of(length, length);
        queue.put_bytes(&bytes).unwrap();
        assert_eq!(queue.get_into(&mut buffer).unwrap(), length);
        assert!(buffer == bytes, "{length} bytes");
        assert_eq!(buffer.as_ptr(), place, "{length} bytes");
    }
    let mut none = Vec::new();
    queue.put_bytes(b"grows").unwrap();
    assert_eq!(queue.try_get_into(&mut none).unwrap(), 5);
    assert_eq!(none, b"grows");
}

fn buffer_unused() {
    let queue = Bytes::new().unwrap();
    let mut buffer = b"kept".to_vec();
    let empty = queue.try_get_into(&mut buffer);
    assert!(matches!(empty, Err(TryGetError::Empty)));
    let late = queue.get_into_timeout(&mut buffer, Duration::from_millis(1));
    assert!(matches!(late, Err(TryGetError::Empty)));
    queue.close();
    let closed = queue.get_into(&mut buffer);
    assert!(matches!(closed, Err(GetError::Closed)));
    // It holds what it held, or nothing; never something else.
    assert!(buffer == b"kept" || buffer.is_empty());
}

fn full_and_empty() {
    let queue = Queue::with_maxsize(2).unwrap();
    for length in [0, 5, 100_000] {
        let bytes = bytes_of(1, length);
        assert!(matches!(queue.try_get_loan(), Err(TryGetError::Empty)));
        queue.put_bytes(&bytes).unwrap();
        queue.try_put_bytes(&bytes).unwrap();
        assert!(queue.is_full());
        let full = queue.try_put_bytes(&bytes);
        assert!(matches!(full, Err(TryPutError::Full(()))));
        assert!(queue.try_put(bytes.clone()).unwrap_err().into_inner() == bytes);
        // A loan is not in the queue any more.
        let loan = queue.get_loan().unwrap();
        assert!(!queue.is_full());
        queue.put_bytes(&bytes).unwrap();
        assert!(queue.is_full() && *loan == *bytes);
        assert_eq!(drained(&queue, 5), [bytes.clone(), bytes]);
    }
}

fn timeouts() {
    let queue = Queue::with_maxsize(1).unwrap();
    for time in [0, 1, 30, 110].map(Duration::from_millis) {
        let before = Instant::now();
        let none = queue.get_loan_timeout(time);
        assert!(matches!(none, Err(TryGetError::Empty)));
        assert!(before.elapsed() >= time, "too early");
        queue.put_bytes(&[1; 5000]).unwrap();
        let before = Instant::now();
        let full = queue.put_bytes_timeout(&[2; 5000], time);
        assert!(matches!(full, Err(TryPutError::Full(()))));
        assert!(before.elapsed() >= time, "too early");
        assert_eq!(queue.get().unwrap(), [1; 5000]);
    }
}

fn closed() {
    let queue = Queue::new().unwrap();
    queue.put_bytes(&[3; 5000]).unwrap();
    queue.close();
    for bytes in [&b""[..], b"short", &[1; 5000]] {
        assert!(matches!(queue.put_bytes(bytes), Err(PutError::Closed(()))));
        let tried = queue.try_put_bytes(bytes);
        assert!(matches!(tried, Err(TryPutError::Closed(()))));
        let late = queue.put_bytes_timeout(bytes, Duration::MAX);
        assert!(matches!(late, Err(TryPutError::Closed(()))));
    }
    assert_eq!(*queue.get_loan().unwrap(), [3; 5000]);
    assert!(matches!(queue.get_loan(), Err(GetError::Closed)));
    assert!(matches!(queue.try_get_loan(), Err(TryGetError::Closed)));
    let late = queue.get_loan_timeout(Duration::MAX);
    assert!(matches!(late, Err(TryGetError::Closed)));
}

fn sleepers_woken() {
    let queue = Queue::with_maxsize(1).unwrap();
    for number in 0..scaled(20) as usize {
        let bytes = bytes_of(number, number * 500);
        std::thread::scope(|scope| {
            let into = sleeper(scope, || got_into(|buffer| queue.get_into(buffer).unwrap()));
            queue.put(bytes.clone()).unwrap();
            assert!(into.join().unwrap() == bytes);
            let loan = sleeper(scope, || queue.get_loan().unwrap().to_vec());
            queue.put_bytes(&bytes).unwrap();
            assert!(loan.join().unwrap() == bytes);
            queue.put_bytes(b"first").unwrap();
            let putter = sleeper(scope, || queue.put_bytes(&bytes).unwrap());
            assert_eq!(*queue.get_loan().unwrap(), *b"first");
            putter.join().unwrap();
            assert!(queue.get().unwrap() == bytes);
        });
    }
}

fn by_every_way() {
    let echo = |there: Bytes, back: Bytes| {
        let mut buffer = Vec::new();
        while there.get_into(&mut buffer).is_ok() {
            back.put_bytes(&buffer).unwrap();
        }
    };
    each(|way| {
        let (there, back) = (Queue::new().unwrap(), Queue::new().unwrap());
        let process = start_by(way, echo, (there.clone(), back.clone()));
        for length in [0, 10, 4096, 50_000] {
            let bytes = bytes_of(length, length);
            there.put_bytes(&bytes).unwrap();
            assert!(*back.get_loan().unwrap() == *bytes);
        }
        there.close();
        fine(&process);
    });
}

/// The number of the message in its first bytes, and the rest made of it; its length jumps about.
fn signed(number: usize) -> Vec<u8> {
    let length = if number % 50 == 7 {
        20_000
    } else {
        number % 150
    };
    let mut bytes = number.to_le_bytes().to_vec();
    bytes.extend(bytes_of(number, length));
    bytes
}

fn number_of(bytes: &[u8]) -> usize {
    let number = usize::from_le_bytes(bytes[..8].try_into().unwrap());
    assert!(bytes == signed(number), "half a message");
    number
}

/// Producers by both verbs and consumers by all; two processes and two threads at either end.
fn many_to_many() {
    let count = scaled(2_000) as usize;
    let (queue, sums) = (Queue::with_maxsize(64).unwrap(), Queue::new().unwrap());
    let puts = |queue: Bytes, who: usize, count: usize| {
        for number in 0..count {
            PUTS[(number + who) % 2](&queue, &signed(number * 4 + who));
        }
    };
    let gets = |queue: Bytes, sums: Queue<[usize; 2]>| {
        let (mut sum, mut got, mut buffer) = (0, 0, Vec::new());
        loop {
            let number = match got % 3 {
                0 => queue.get_loan().map(|loan| number_of(&loan)),
                1 => queue.get_into(&mut buffer).map(|_| number_of(&buffer)),
                _ => queue.get().map(|bytes| number_of(&bytes)),
            };
            let Ok(number) = number else { break };
            (sum, got) = (sum + number, got + 1);
        }
        sums.put([sum, got]).unwrap();
    };
    let consumers = [(); 2].map(|()| start(gets, (queue.clone(), sums.clone())));
    let producers = [0, 1].map(|who| start(puts, (queue.clone(), who, count)));
    std::thread::scope(|scope| {
        let threads = [2, 3].map(|who| (queue.clone(), who));
        let threads = threads.map(|(queue, who)| scope.spawn(move || puts(queue, who, count)));
        for _ in 0..2 {
            let ends = (queue.clone(), sums.clone());
            scope.spawn(move || gets(ends.0, ends.1));
        }
        threads.into_iter().for_each(|it| it.join().unwrap());
        producers.iter().for_each(fine);
        queue.close();
    });
    consumers.iter().for_each(fine);
    let add = |all: [usize; 2], one: [usize; 2]| [all[0] + one[0], all[1] + one[1]];
    let all = (0..4).fold([0; 2], |all, _| add(all, sums.get().unwrap()));
    assert_eq!(all, [(0..count * 4).sum::<usize>(), count * 4]);
}
