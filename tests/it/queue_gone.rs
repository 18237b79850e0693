//! Processes that put and are gone, or stand still in the middle: what was put is there, whoever put it and by whichever verb.

use crate::kit::{kill_and_join, leave, pid_of, start, stop_and_wait};
use crate::runner::{Case, Gate, RemoteGate, case, scaled};
use crate::ways::{each, start_by};
use multiproc::{Queue, Receiver, Sender, TryPutError, arena};
use nix::sys::signal::{Signal, kill};
use std::time::Duration;

pub(crate) fn tests() -> Vec<Case> {
    vec![
        case("queue_gone::joined_before_it_is_drained", joined_first),
        case("queue_gone::at_once_after_many", at_once),
        case("queue_gone::with_a_loan", with_a_loan),
        case("queue_gone::with_a_batch", with_a_batch),
        case("queue_gone::stopped_in_put_many", stopped_producer),
        case("queue_gone::stopped_in_get_many", stopped_consumer),
    ]
}

type Bytes = Queue<Vec<u8>>;

/// How a process puts a message and a hundred small ones.
const VERBS: [fn(&Bytes, Vec<u8>); 4] = [
    |queue, large| {
        queue.put(large).unwrap();
        (0..100).for_each(|number| queue.put(vec![number]).unwrap());
    },
    |queue, large| {
        let all = std::iter::once(large).chain((0..100).map(|number| vec![number]));
        queue.put_many(all).unwrap();
    },
    |queue, large| {
        queue.put_bytes(&large).unwrap();
        (0..100).for_each(|number| queue.put_bytes(&[number]).unwrap());
    },
    |queue, large| {
        let (sender, _receiver) = queue.clone().split().unwrap();
        sender.send(large).unwrap();
        sender
            .send_many((0..100).map(|number| vec![number]))
            .unwrap();
        // Its last receiver is this one: the ends go with the process, and what was sent stays.
    },
];

fn puts(queue: Bytes, verb: usize, large: usize, leaves: bool) {
    VERBS[verb](&queue, vec![7; large]);
    if leaves {
        leave(0);
    }
}

/// All of it is there, in order.
#[track_caller]
fn drains(queue: &Bytes, large: usize) {
    assert_eq!(queue.len(), 101);
    assert!(queue.get().unwrap() == vec![7; large]);
    (0..100).for_each(|number| assert_eq!(queue.get().unwrap(), [number]));
    assert!(queue.try_get().is_err());
}

/// A megabyte, which no pipe would take.
fn joined_first() {
    let before = arena::usage().unwrap();
    each(|way| {
        for verb in 0..VERBS.len() {
            let queue = Queue::new().unwrap();
            let process = start_by(way, puts, (queue.clone(), verb, 1 << 20, false));
            assert_eq!(process.join().unwrap(), 0, "{:?}", process.panic());
            drains(&queue, 1 << 20);
        }
    });
    assert_eq!(arena::usage().unwrap(), before);
}

/// It ends in the instant in which the verb has returned, without any handler.
fn at_once() {
    each(|way| {
        for round in 0..scaled(20) as usize {
            let queue = Queue::new().unwrap();
            let verb = round % VERBS.len();
            let process = start_by(way, puts, (queue.clone(), verb, round * 400, true));
            assert_eq!(process.join().unwrap(), 0);
            drains(&queue, round * 400);
        }
    });
}

fn keeps<T>(_kept: T, here: RemoteGate) {
    here.open(1);
    Gate::new().wait();
}

/// A message that was lent to one who is killed is gone, and its memory is given back at once.
fn with_a_loan() {
    let borrows = |queue: Bytes, here: RemoteGate| keeps(queue.get_loan().unwrap(), here);
    each(|way| {
        let (queue, here) = (Queue::new().unwrap(), Gate::new());
        let empty = arena::usage().unwrap();
        queue.put_bytes(&[1; 1 << 20]).unwrap();
        let process = start_by(way, borrows, (queue.clone(), here.remote()));
        here.wait();
        assert!(queue.is_empty());
        assert!(arena::usage().unwrap().bytes >= empty.bytes + (1 << 20));
        kill_and_join(&process);
        assert_eq!(arena::usage().unwrap(), empty);
    });
}

/// A batch was taken: it goes with its taker, and the rest is there.
fn with_a_batch() {
    let takes = |queue: Queue<u64>, here: RemoteGate| {
        let batch = queue.get_many(5).unwrap();
        assert_eq!(batch.len(), 5);
        keeps(batch, here);
    };
    each(|way| {
        let (queue, here) = (Queue::new().unwrap(), Gate::new());
        queue.put_many(0..8).unwrap();
        let process = start_by(way, takes, (queue.clone(), here.remote()));
        here.wait();
        kill_and_join(&process);
        let rest: Vec<_> = queue.get_many(9).unwrap().map(Result::unwrap).collect();
        assert_eq!(rest, [5, 6, 7]);
    });
}

/// One that is stopped may hold an end: others are told in time, and go on when it does.
fn stopped_producer() {
    let (sender, receiver) = Queue::with_maxsize(30).unwrap().split().unwrap();
    let body = |sender: Sender<(u32, u64)>| {
        for batch in 0.. {
            let numbers = (batch * 20..batch * 20 + 20).map(|number| (0, number));
            sender.send_many(numbers).unwrap();
        }
    };
    let producer = start(body, (sender.clone(),));
    let (mut next, mut own) = ([0; 2], 0_u64);
    let mut note = |receiver: &Receiver<(u32, u64)>| {
        while let Ok(batch) = receiver.try_recv_many(7) {
            for item in batch {
                let (who, number) = item.unwrap();
                assert_eq!(number, next[who as usize], "of {who}");
                next[who as usize] += 1;
            }
        }
        next
    };
    for _ in 0..scaled(50) {
        stop_and_wait(pid_of(&producer));
        let ours = (own..own + 3).map(|number| (1, number));
        own += match sender.send_many_timeout(ours, Duration::from_millis(1)) {
            Ok(()) => 3,
            Err(TryPutError::Full(rest)) => 3 - rest.len() as u64,
            Err(other) => panic!("{other}"),
        };
        note(&receiver);
        kill(pid_of(&producer), Signal::SIGCONT).unwrap();
    }
    kill_and_join(&producer);
    assert_eq!(note(&receiver)[1], own);
    // Whatever it held is nobody's now.
    sender
        .send_many((own..own + 20).map(|number| (1, number)))
        .unwrap();
    assert_eq!(note(&receiver)[1], own + 20);
}

fn stopped_consumer() {
    let (queue, back) = (Queue::with_maxsize(30).unwrap(), Queue::new().unwrap());
    let body = |queue: Queue<u64>, back: Queue<u64>| {
        while let Ok(batch) = queue.get_many(9) {
            back.put_many(batch.map(Result::unwrap)).unwrap();
        }
    };
    let consumer = start(body, (queue.clone(), back.clone()));
    let (mut put, mut got) = (0, Vec::new());
    for _ in 0..scaled(50) {
        stop_and_wait(pid_of(&consumer));
        put += match queue.try_put_many(put..put + 20) {
            Ok(()) => 20,
            Err(TryPutError::Full(rest)) => 20 - rest.len() as u64,
            Err(other) => panic!("{other}"),
        };
        if let Ok(batch) = queue.try_get_many(4) {
            got.extend(batch.map(Result::unwrap));
        }
        kill(pid_of(&consumer), Signal::SIGCONT).unwrap();
    }
    queue.close();
    assert_eq!(consumer.join().unwrap(), 0);
    while let Ok(batch) = back.try_get_many(100) {
        got.extend(batch.map(Result::unwrap));
    }
    got.sort_unstable();
    assert!(got.into_iter().eq(0..put));
}
