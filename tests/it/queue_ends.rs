//! The two ends of a queue that was split: what they do, and that each knows when nobody is left at the other.

use crate::runner::{Case, case, scaled};
use crate::sleepers::{sleeper, sleepers};
use multiproc::{
    Error, ErrorKind, GetError, PutError, Queue, Receiver, Sender, TryGetError, TryPutError, arena,
};
use std::time::{Duration, Instant};

pub(crate) fn tests() -> Vec<Case> {
    vec![
        case("queue_ends::every_verb", every_verb),
        case("queue_ends::batches", batches),
        case("queue_ends::timeouts", timeouts),
        case("queue_ends::last_sender_is_dropped", last_sender),
        case("queue_ends::last_receiver_is_dropped", last_receiver),
        case("queue_ends::sleepers_in_recv_are_told", recv_told),
        case("queue_ends::sleepers_in_send_are_told", send_told),
        case("queue_ends::gone_in_the_middle_of_a_batch", batch_told),
        case("queue_ends::iterators", iterators),
        case("queue_ends::handles_of_the_queue", queue_handles),
        case("queue_ends::closed_and_disconnected", closed_first),
        case("queue_ends::not_twice", not_twice),
        case("queue_ends::of_a_queue_in_use", in_use),
        case("queue_ends::threads_come_and_go", threads),
        case("queue_ends::kinds_of_errors", kinds),
        case("queue_ends::everything_is_freed", freed),
        case("queue_ends::many_pairs", many_pairs),
    ]
}

const SHORT: Duration = Duration::from_millis(1);

pub(crate) fn pair<T>() -> (Sender<T>, Receiver<T>) {
    Queue::new().unwrap().split().unwrap()
}

fn bounded<T>(size: usize) -> (Sender<T>, Receiver<T>) {
    Queue::with_maxsize(size).unwrap().split().unwrap()
}

fn every_verb() {
    let (sender, receiver) = bounded(2);
    assert!(sender.is_empty() && receiver.is_empty() && !sender.is_closed());
    assert!(matches!(receiver.try_recv(), Err(TryGetError::Empty)));
    sender.send("a".to_owned()).unwrap();
    assert_eq!((sender.len(), receiver.len()), (1, 1));
    sender.clone().try_send("b".to_owned()).unwrap();
    assert!(sender.is_full() && receiver.is_full());
    match sender.try_send("c".to_owned()) {
        Err(TryPutError::Full(back)) => assert_eq!(back, "c"),
        other => panic!("{other:?}"),
    }
    assert_eq!(receiver.recv().unwrap(), "a");
    sender.send_timeout("c".to_owned(), Duration::MAX).unwrap();
    assert_eq!(receiver.clone().try_recv().unwrap(), "b");
    assert_eq!(receiver.recv_timeout(Duration::MAX).unwrap(), "c");
    assert!(format!("{sender:?}").contains("Sender"));
    assert!(format!("{receiver:?}").contains("Receiver"));
    sender.close();
    assert!(sender.is_closed() && receiver.is_closed());
    assert!(matches!(
        sender.send("d".to_owned()),
        Err(PutError::Closed(_))
    ));
    assert!(matches!(receiver.recv(), Err(GetError::Closed)));
}

fn batches() {
    let (sender, receiver) = bounded(100);
    sender.send_many(0..50).unwrap();
    sender.try_send_many(50..70).unwrap();
    sender.send_many_timeout(70..90, Duration::MAX).unwrap();
    let rest = sender.try_send_many(90..110).unwrap_err().into_inner();
    assert!(rest.into_iter().eq(100..110));
    let mut got = Vec::new();
    while got.len() < 100 {
        let batch = match got.len() % 3 {
            0 => receiver.recv_many(7).unwrap(),
            1 => receiver.try_recv_many(7).unwrap(),
            _ => receiver.recv_many_timeout(7, Duration::MAX).unwrap(),
        };
        got.extend(batch.map(Result::unwrap));
    }
    assert!(got.into_iter().eq(0..100));
    assert_eq!(receiver.recv_many(0).unwrap().len(), 0);
}

fn timeouts() {
    let (sender, receiver) = bounded(1);
    for time in [0, 1, 30, 110].map(Duration::from_millis) {
        let before = Instant::now();
        let late = receiver.recv_timeout(time);
        assert!(matches!(late, Err(TryGetError::Empty)));
        assert!(before.elapsed() >= time, "too early");
        let before = Instant::now();
        let late = receiver.recv_many_timeout(2, time);
        assert!(matches!(late, Err(TryGetError::Empty)));
        assert!(before.elapsed() >= time, "too early");
        sender.send(1).unwrap();
        let before = Instant::now();
        let late = sender.send_timeout(2, time);
        assert!(matches!(late, Err(TryPutError::Full(2))));
        assert!(before.elapsed() >= time, "too early");
        assert_eq!(receiver.recv().unwrap(), 1);
    }
}

/// Every verb that gets.
#[track_caller]
pub(crate) fn senders_are_gone<T>(receiver: &Receiver<T>)
where
    T: serde::de::DeserializeOwned + std::fmt::Debug + 'static,
{
    assert!(receiver.is_closed() && receiver.is_empty());
    assert!(matches!(receiver.recv(), Err(GetError::Disconnected)));
    let tried = receiver.try_recv();
    assert!(matches!(tried, Err(TryGetError::Disconnected)));
    let late = receiver.recv_timeout(Duration::MAX);
    assert!(matches!(late, Err(TryGetError::Disconnected)));
    let many = receiver.recv_many(3);
    assert!(matches!(many, Err(GetError::Disconnected)));
    let tried = receiver.try_recv_many(3);
    assert!(matches!(tried, Err(TryGetError::Disconnected)));
    let late = receiver.recv_many_timeout(3, Duration::MAX);
    assert!(matches!(late, Err(TryGetError::Disconnected)));
    assert!(receiver.iter().next().is_none());
}

/// Every verb that puts, and the values come back.
#[track_caller]
pub(crate) fn receivers_are_gone(sender: &Sender<u32>) {
    assert!(sender.is_closed());
    assert!(matches!(sender.send(1), Err(PutError::Disconnected(1))));
    let tried = sender.try_send(1);
    assert!(matches!(tried, Err(TryPutError::Disconnected(1))));
    let late = sender.send_timeout(1, Duration::MAX);
    assert!(matches!(late, Err(TryPutError::Disconnected(1))));
    let many = sender.send_many([1, 2]);
    assert!(matches!(many, Err(PutError::Disconnected(back)) if back == [1, 2]));
    let tried = sender.try_send_many([1, 2]);
    assert!(matches!(tried, Err(TryPutError::Disconnected(back)) if back == [1, 2]));
    let late = sender.send_many_timeout([1, 2], Duration::MAX);
    assert!(matches!(late, Err(TryPutError::Disconnected(back)) if back == [1, 2]));
}

fn last_sender() {
    let (sender, receiver) = pair();
    let clones = [(); 3].map(|()| sender.clone());
    sender.send_many(0..10).unwrap();
    drop(sender);
    for clone in clones {
        assert!(!receiver.is_closed());
        clone.send(99).unwrap();
        drop(clone);
    }
    // What is inside is given first.
    assert!(receiver.is_closed() && receiver.len() == 13);
    for expected in (0..10).chain([99, 99, 99]) {
        assert_eq!(receiver.recv().unwrap(), expected);
    }
    senders_are_gone(&receiver);
    senders_are_gone(&receiver.clone());
}

fn last_receiver() {
    for size in [0, 1, 100] {
        let (sender, receiver) = bounded(size);
        let clone = receiver.clone();
        sender.send(7).unwrap();
        drop(receiver);
        assert!(!sender.is_closed());
        assert_eq!(clone.recv().unwrap(), 7);
        sender.send(8).unwrap();
        drop(clone);
        receivers_are_gone(&sender);
        receivers_are_gone(&sender.clone());
    }
}

fn recv_told() {
    for _ in 0..scaled(20) {
        let (sender, receiver) = pair::<u32>();
        let gone = || matches!(receiver.recv(), Err(GetError::Disconnected));
        std::thread::scope(|scope| {
            let some = sleepers(scope, 3, gone);
            let late = sleeper(scope, || {
                let late = receiver.recv_timeout(Duration::MAX);
                matches!(late, Err(TryGetError::Disconnected))
            });
            let many = sleeper(scope, || {
                matches!(receiver.recv_many(9), Err(GetError::Disconnected))
            });
            let iterates = sleeper(scope, || receiver.iter().next().is_none());
            drop(sender);
            let mut all = some.into_iter().chain([late, many, iterates]);
            assert!(all.all(|it| it.join().unwrap()));
        });
    }
}

fn send_told() {
    for _ in 0..scaled(20) {
        let (sender, receiver) = bounded(1);
        sender.send(0).unwrap();
        std::thread::scope(|scope| {
            let sends = || matches!(sender.send(1), Err(PutError::Disconnected(1)));
            let some = sleepers(scope, 3, sends);
            let late = sleeper(scope, || {
                let late = sender.send_timeout(2, Duration::MAX);
                matches!(late, Err(TryPutError::Disconnected(2)))
            });
            drop(receiver);
            let mut all = some.into_iter().chain([late]);
            assert!(all.all(|it| it.join().unwrap()));
        });
        receivers_are_gone(&sender);
    }
}

/// What came through and what comes back are together what there was.
fn batch_told() {
    for taken in [0, 1, 7] {
        let (sender, receiver) = bounded(5);
        std::thread::scope(|scope| {
            let sends = sleeper(scope, || sender.send_many(0..100_u32));
            for number in 0..taken {
                assert_eq!(receiver.recv().unwrap(), number);
            }
            while !receiver.is_full() {
                std::thread::yield_now();
            }
            drop(receiver);
            match sends.join().unwrap() {
                Err(PutError::Disconnected(rest)) => {
                    let first = rest[0];
                    assert_eq!(first, taken + 5);
                    assert!(rest.into_iter().eq(first..100));
                }
                other => panic!("{other:?}"),
            }
        });
    }
}

fn iterators() {
    let (sender, receiver) = pair();
    std::thread::scope(|scope| {
        let sums = |receiver: Receiver<u64>| -> u64 {
            let mut sum = 0;
            for number in &receiver {
                sum += number.unwrap();
            }
            sum
        };
        let sums = [(); 3].map(|()| {
            let receiver = receiver.clone();
            sleeper(scope, move || sums(receiver))
        });
        sender.send_many(1..=100).unwrap();
        let other = sender.clone();
        drop(sender);
        other.send_many(101..=1000).unwrap();
        drop(other);
        let sum: u64 = sums.map(|it| it.join().unwrap()).iter().sum();
        assert_eq!(sum, 500_500);
    });
    assert_eq!(receiver.iter().count(), 0);
}

/// Clones of the queue itself do not count, and are told the same.
fn queue_handles() {
    let queue = Queue::with_maxsize(2).unwrap();
    queue.put(1).unwrap();
    let (sender, receiver) = queue.clone().split().unwrap();
    queue.put(2).unwrap();
    assert_eq!((receiver.recv().unwrap(), queue.get().unwrap()), (1, 2));
    std::thread::scope(|scope| {
        let gets = sleeper(scope, || matches!(queue.get(), Err(GetError::Disconnected)));
        drop(sender);
        assert!(gets.join().unwrap());
    });
    assert!(matches!(queue.put(3), Err(PutError::Disconnected(3))));
    assert!(matches!(queue.try_get(), Err(TryGetError::Disconnected)));
    assert!(queue.is_closed());
    senders_are_gone(&receiver);

    let queue = Queue::with_maxsize(1).unwrap();
    let (sender, receiver) = queue.clone().split().unwrap();
    queue.put(1).unwrap();
    std::thread::scope(|scope| {
        let puts = sleeper(scope, || {
            matches!(queue.put(2), Err(PutError::Disconnected(2)))
        });
        drop(receiver);
        assert!(puts.join().unwrap());
    });
    receivers_are_gone(&sender);
    let refused = queue.put_many([3]);
    assert!(matches!(refused, Err(PutError::Disconnected(back)) if back == [3]));
    // The handle can still get what is inside.
    assert_eq!(drained_or_gone(&queue), [1]);
}

fn drained_or_gone(queue: &Queue<u32>) -> Vec<u32> {
    queue.iter().map(Result::unwrap).collect()
}

fn closed_first() {
    let (sender, receiver) = pair();
    sender.send(1).unwrap();
    receiver.close();
    assert!(matches!(sender.send(2), Err(PutError::Closed(2))));
    drop(sender);
    assert_eq!(receiver.recv().unwrap(), 1);
    assert!(matches!(receiver.recv(), Err(GetError::Closed)));
    let (sender, receiver) = pair();
    sender.close();
    drop(receiver);
    assert!(matches!(sender.send(2), Err(PutError::Closed(2))));
}

/// A second pair would be told of its ends by nobody. The first is not harmed by the attempt.
fn not_twice() {
    let before = arena::usage().unwrap();
    let queue = Queue::new().unwrap();
    let (sender, receiver) = queue.clone().split().unwrap();
    for _ in 0..3 {
        let error = queue.clone().split().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Misuse);
        sender.send(1).unwrap();
        assert_eq!(receiver.recv().unwrap(), 1);
        assert!(!sender.is_closed() && !receiver.is_closed());
    }
    drop(sender);
    senders_are_gone(&receiver);
    drop(receiver);
    // Nor when both ends are gone.
    assert_eq!(queue.split().unwrap_err().kind(), ErrorKind::Misuse);
    assert_eq!(arena::usage().unwrap(), before);
}

fn in_use() {
    let queue = Queue::with_maxsize(3).unwrap();
    queue.put_many(0..3).unwrap();
    std::thread::scope(|scope| {
        let waits = sleeper(scope, || queue.put(3).unwrap());
        let (sender, receiver) = queue.clone().split().unwrap();
        assert_eq!(receiver.recv().unwrap(), 0);
        waits.join().unwrap();
        assert!(sender.is_full());
        drop(sender);
        let rest: Result<Vec<u32>, Error> = receiver.iter().collect();
        assert_eq!(rest.unwrap(), [1, 2, 3]);
    });
    let closed = Queue::new().unwrap();
    closed.put(5).unwrap();
    closed.close();
    let (sender, receiver) = closed.split().unwrap();
    assert!(matches!(sender.send(6), Err(PutError::Closed(6))));
    assert_eq!(receiver.recv().unwrap(), 5);
    assert!(matches!(receiver.recv(), Err(GetError::Closed)));
}

/// Each with a handle of its own, until the last of them has ended.
fn threads() {
    for _ in 0..scaled(20) {
        let (sender, receiver) = bounded(10);
        std::thread::scope(|scope| {
            let counts = [(); 3].map(|()| {
                let receiver = receiver.clone();
                scope.spawn(move || receiver.iter().map(Result::unwrap).count())
            });
            drop(receiver);
            for _ in 0..5 {
                let sender = sender.clone();
                scope.spawn(move || (0..50).for_each(|number| sender.send(number).unwrap()));
            }
            drop(sender);
            let count: usize = counts.map(|it| it.join().unwrap()).iter().sum();
            assert_eq!(count, 250);
        });
    }
}

fn kinds() {
    let (sender, receiver) = pair::<u32>();
    drop(sender);
    let error = receiver.recv().unwrap_err();
    assert!(!error.to_string().contains("closed"), "{error}");
    assert_eq!(Error::from(error).kind(), ErrorKind::Disconnected);
    let error = receiver.try_recv().unwrap_err();
    assert_eq!(format!("{error:?}"), "Disconnected");
    assert_eq!(Error::from(error).kind(), ErrorKind::Disconnected);
    let (sender, receiver) = pair();
    drop(receiver);
    let error = sender.try_send(4).unwrap_err();
    assert!(format!("{error:?}").contains("Disconnected"));
    assert_eq!(error.into_inner(), 4);
    let error = sender.send(4).unwrap_err();
    assert!(!error.to_string().contains("closed"), "{error}");
    assert_eq!(Error::from(error).kind(), ErrorKind::Disconnected);
    let late = sender.send_timeout(4, SHORT).unwrap_err();
    assert_eq!(Error::from(late).kind(), ErrorKind::Disconnected);
}

/// Whichever end goes first, and also with messages inside.
fn freed() {
    let before = arena::usage().unwrap();
    for receiver_first in [false, true] {
        for count in [0, 1, 200] {
            let (sender, receiver) = pair();
            for number in 0..count {
                let inner = Queue::<u8>::new().unwrap();
                sender.send((inner, vec![number; number * 100])).unwrap();
            }
            if receiver_first {
                drop(receiver);
                drop(sender);
            } else {
                drop(sender);
                assert_eq!(receiver.len(), count);
                drop(receiver);
            }
            assert_eq!(arena::usage().unwrap(), before);
        }
    }
    // A handle of the queue keeps what is inside.
    let queue = Queue::new().unwrap();
    let (sender, receiver) = queue.clone().split().unwrap();
    sender.send_many(0..10).unwrap();
    drop((sender, receiver));
    assert_eq!(drained_or_gone(&queue), Vec::from_iter(0..10));
    drop(queue);
    assert_eq!(arena::usage().unwrap(), before);
}

fn many_pairs() {
    let before = arena::usage().unwrap();
    let pairs: Vec<_> = (0..scaled(300)).map(|_| pair()).collect();
    for (number, (sender, _)) in (0..).zip(&pairs) {
        sender.send(number).unwrap();
    }
    for (number, (sender, receiver)) in (0..).zip(pairs) {
        assert_eq!(receiver.recv().unwrap(), number);
        drop(sender);
        assert!(matches!(
            receiver.try_recv(),
            Err(TryGetError::Disconnected)
        ));
    }
    assert_eq!(arena::usage().unwrap(), before);
}
