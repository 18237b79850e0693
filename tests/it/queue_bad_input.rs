//! Values that cannot be sent, sizes and times that make no sense: an error that says so, and a queue that goes on as if nothing had been.

use crate::process::Fussy;
use crate::queue_batches::drained;
use crate::runner::{Case, case};
use multiproc::{ErrorKind, JoinableQueue, Lock, PutError, Queue, TryGetError, TryPutError, arena};
use serde::ser::SerializeTuple as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt::Debug;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

pub(crate) fn tests() -> Vec<Case> {
    vec![
        case("queue_bad_input::not_written", not_written),
        case(
            "queue_bad_input::not_written_by_an_end",
            not_written_by_an_end,
        ),
        case(
            "queue_bad_input::not_written_in_a_batch",
            not_written_in_a_batch,
        ),
        case("queue_bad_input::not_written_in_full", not_written_in_full),
        case(
            "queue_bad_input::panics_while_written",
            panics_while_written,
        ),
        case("queue_bad_input::iterator_that_panics", iterator_panics),
        case(
            "queue_bad_input::nothing_is_a_message",
            nothing_is_a_message,
        ),
        case("queue_bad_input::sizes_of_queues", sizes_of_queues),
        case("queue_bad_input::no_time_and_all_time", no_time),
    ]
}

pub(crate) const GOOD: Fussy = Fussy {
    encodes: true,
    decodes: true,
};
const UNWRITABLE: Fussy = Fussy {
    encodes: false,
    decodes: true,
};
pub(crate) const UNREADABLE: Fussy = Fussy {
    encodes: true,
    decodes: false,
};

/// It failed for what it is, and here it is again.
#[track_caller]
fn came_back(error: TryPutError<Fussy>) {
    match error {
        TryPutError::Failed(back, error) => {
            assert_eq!(back, UNWRITABLE);
            assert_eq!(error.kind(), ErrorKind::Encode);
            assert!(error.to_string().contains("Fussy"), "{error}");
        }
        other => panic!("{other:?}"),
    }
}

fn from_patient<T>(error: PutError<T>) -> TryPutError<T> {
    match error {
        PutError::Closed(back) => TryPutError::Closed(back),
        PutError::Disconnected(back) => TryPutError::Disconnected(back),
        PutError::Failed(back, error) => TryPutError::Failed(back, error),
    }
}

fn not_written() {
    let before = arena::usage().unwrap();
    let queue = Queue::with_maxsize(2).unwrap();
    queue.put(GOOD).unwrap();
    for _ in 0..5 {
        came_back(from_patient(queue.put(UNWRITABLE).unwrap_err()));
        came_back(queue.try_put(UNWRITABLE).unwrap_err());
        came_back(queue.put_timeout(UNWRITABLE, Duration::MAX).unwrap_err());
        assert_eq!(queue.len(), 1);
    }
    // Its place is still there.
    queue.try_put(GOOD).unwrap();
    assert!(queue.is_full());
    assert_eq!(drained(&queue, 5), [GOOD, GOOD]);
    drop(queue);
    assert_eq!(arena::usage().unwrap(), before);
}

fn not_written_by_an_end() {
    let (sender, receiver) = Queue::with_maxsize(1).unwrap().split().unwrap();
    for _ in 0..5 {
        came_back(from_patient(sender.send(UNWRITABLE).unwrap_err()));
        came_back(sender.try_send(UNWRITABLE).unwrap_err());
        came_back(sender.send_timeout(UNWRITABLE, Duration::MAX).unwrap_err());
        let rest = sender.send_many([UNWRITABLE, GOOD]).unwrap_err();
        assert_eq!(rest.into_inner(), [UNWRITABLE, GOOD]);
    }
    sender.try_send(GOOD).unwrap();
    assert_eq!(receiver.recv().unwrap(), GOOD);
    assert!(matches!(receiver.try_recv(), Err(TryGetError::Empty)));
}

/// Wherever it stands: those before it are in the queue, it and those behind it come back.
fn not_written_in_a_batch() {
    let queue = Queue::new().unwrap();
    let lends = JoinableQueue::new().unwrap();
    for bad in [0, 1, 5, 62, 63, 64, 65, 127, 128, 129] {
        let values = || (0..130).map(move |place| if place == bad { UNWRITABLE } else { GOOD });
        let expected: Vec<Fussy> = values().skip(bad).collect();
        for error in [
            from_patient(queue.put_many(values()).unwrap_err()),
            queue.try_put_many(values()).unwrap_err(),
            queue.put_many_timeout(values(), Duration::MAX).unwrap_err(),
            from_patient(lends.put_many(values()).unwrap_err()),
        ] {
            match error {
                TryPutError::Failed(rest, error) => {
                    assert_eq!(error.kind(), ErrorKind::Encode);
                    assert!(rest == expected, "{bad}: {} came back", rest.len());
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(drained(&queue, 50).len(), 3 * bad);
        assert_eq!((lends.len(), lends.unfinished()), (bad, bad));
        (0..bad).for_each(|_| assert_eq!(lends.get().unwrap().task_done(), GOOD));
        lends.join().unwrap();
    }
    // In a full queue the first reason counts, and nothing is lost for either.
    let queue = Queue::with_maxsize(1).unwrap();
    let rest = queue.try_put_many([GOOD, GOOD, UNWRITABLE]).unwrap_err();
    assert_eq!(rest.into_inner(), [GOOD, UNWRITABLE]);
    assert_eq!(drained(&queue, 5), [GOOD]);
}

/// Fails after it has written much, and handles among it.
#[derive(Debug)]
struct FailsLate(Vec<Lock>);

impl Serialize for FailsLate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut parts = serializer.serialize_tuple(3)?;
        parts.serialize_element(&self.0)?;
        parts.serialize_element(&vec![7_u8; 100_000])?;
        parts.serialize_element(&UNWRITABLE)?;
        parts.end()
    }
}

fn not_written_in_full() {
    let before = arena::usage().unwrap();
    let queue = Queue::new().unwrap();
    for _ in 0..10 {
        let locks = vec![Lock::new().unwrap(); 10];
        let back = queue.put(FailsLate(locks)).unwrap_err().into_inner();
        assert!(!back.0[9].locked());
        let rest = queue.put_many([back, FailsLate(Vec::new())]).unwrap_err();
        assert_eq!(rest.into_inner().len(), 2);
        assert!(queue.is_empty());
    }
    drop(queue);
    assert_eq!(arena::usage().unwrap(), before);
}

/// Panics on the way out, or on the way in.
#[derive(Debug, PartialEq)]
pub(crate) enum Fragile {
    Whole(u32, Option<Lock2>),
    OnTheWayOut,
    OnTheWayIn,
}

/// A lock that can be compared: all are alike.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Lock2(Lock);

impl PartialEq for Lock2 {
    fn eq(&self, _: &Lock2) -> bool {
        true
    }
}

impl Serialize for Fragile {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Fragile::Whole(number, lock) => (true, number, lock).serialize(serializer),
            Fragile::OnTheWayOut => panic!("on the way out"),
            Fragile::OnTheWayIn => (false, 0, None::<Lock2>).serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Fragile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (whole, number, lock): (bool, _, _) = Deserialize::deserialize(deserializer)?;
        assert!(whole, "on the way in");
        Ok(Fragile::Whole(number, lock))
    }
}

pub(crate) fn whole(number: u32) -> Fragile {
    let lock = number
        .is_multiple_of(5)
        .then(|| Lock2(Lock::new().unwrap()));
    Fragile::Whole(number, lock)
}

#[track_caller]
pub(crate) fn panics<T>(body: impl FnOnce() -> T) {
    assert!(catch_unwind(AssertUnwindSafe(body)).is_err());
}

fn panics_while_written() {
    let before = arena::usage().unwrap();
    let queue = Queue::with_maxsize(1000).unwrap();
    for bad in [0, 1, 5, 10, 63, 64, 100] {
        panics(|| queue.put(Fragile::OnTheWayOut));
        panics(|| queue.try_put(Fragile::OnTheWayOut));
        let values = (0..bad).map(whole).chain([Fragile::OnTheWayOut]);
        panics(|| queue.put_many(values.chain((0..10).map(whole))));
        is_a_beginning(&queue, bad);
    }
    drop(queue);
    assert_eq!(arena::usage().unwrap(), before);
}

/// Those before the bad one may be there, in order and nothing else; and the queue works.
#[track_caller]
fn is_a_beginning(queue: &Queue<Fragile>, most: u32) {
    let there = drained(queue, 500);
    assert!(there.len() <= most as usize, "{}", there.len());
    for (number, value) in (0..).zip(there) {
        assert_eq!(value, whole(number));
    }
    queue.put(whole(7)).unwrap();
    assert_eq!(queue.get().unwrap(), whole(7));
}

fn iterator_panics() {
    let before = arena::usage().unwrap();
    let queue = Queue::with_maxsize(1000).unwrap();
    for bad in [0, 1, 63, 64, 65, 200] {
        let values = || {
            (0..).map(|number| {
                assert!(number < bad, "on purpose");
                whole(number)
            })
        };
        panics(|| queue.put_many(values()));
        is_a_beginning(&queue, bad);
        panics(|| queue.try_put_many(values()));
        is_a_beginning(&queue, bad);
    }
    // While it gives back what was not put, too.
    queue.close();
    panics(|| queue.put_many((0..).inspect(|n| assert!(*n < 70)).map(whole)));
    drop(queue);
    assert_eq!(arena::usage().unwrap(), before);
}

// ---- sizes and times

/// Messages of no bytes are counted, kept in order, and waited for.
fn nothing_is_a_message() {
    let queue = Queue::with_maxsize(70).unwrap();
    queue.put_many([(); 70]).unwrap();
    assert!(queue.is_full());
    assert!(matches!(queue.try_put(()), Err(TryPutError::Full(()))));
    assert_eq!(drained(&queue, 9).len(), 70);
    let bytes = Queue::new().unwrap();
    bytes.put_bytes(&[]).unwrap();
    bytes.put_many([vec![], vec![1], vec![]]).unwrap();
    bytes.put(Vec::new()).unwrap();
    assert_eq!(bytes.len(), 5);
    assert!(bytes.get_loan().unwrap().is_empty());
    let rest: [Vec<u8>; 4] = [vec![], vec![1], vec![], vec![]];
    assert_eq!(drained(&bytes, 9), rest);
    let lends = JoinableQueue::new().unwrap();
    lends.put_many([(); 10]).unwrap();
    (0..10).for_each(|_| lends.get().unwrap().task_done());
    lends.join().unwrap();
}

fn sizes_of_queues() {
    for absurd in [1 << 28, 1 << 31, 1 << 40, usize::MAX] {
        let error = Queue::<u8>::with_maxsize(absurd).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{absurd}");
        let error = JoinableQueue::<u8>::with_maxsize(absurd).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{absurd}");
    }
    for size in [0, 1, 2, (1 << 28) - 1] {
        let queue = Queue::with_maxsize(size).unwrap();
        assert_eq!(queue.maxsize(), size);
        queue.put(7).unwrap();
        assert_eq!(queue.is_full(), size == 1);
        assert_eq!(queue.get().unwrap(), 7);
    }
    assert_eq!(Queue::<u8>::new().unwrap().maxsize(), 0);
}

fn no_time() {
    let (no_time, all_time) = (Duration::ZERO, Duration::MAX);
    let queue = Queue::with_maxsize(1).unwrap();
    for nothing in [no_time, Duration::from_nanos(1)] {
        let empty = queue.get_timeout(nothing);
        assert!(matches!(empty, Err(TryGetError::Empty)));
        let empty = queue.get_many_timeout(2, nothing);
        assert!(matches!(empty, Err(TryGetError::Empty)));
        queue.put_timeout(1, all_time).unwrap();
        let full = queue.put_timeout(2, nothing);
        assert!(matches!(full, Err(TryPutError::Full(2))));
        assert_eq!(queue.get_timeout(all_time).unwrap(), 1);
        // What is there, and what there is room for, needs no time.
        queue.put_timeout(3, no_time).unwrap();
        assert_eq!(queue.get_timeout(no_time).unwrap(), 3);
        queue.put_many_timeout([4], no_time).unwrap();
        assert_eq!(queue.get_many_timeout(5, no_time).unwrap().len(), 1);
    }
}
