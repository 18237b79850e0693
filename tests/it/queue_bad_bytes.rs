//! Messages that cannot be read: the error says what it was and who put it, the message is gone, the others come.

use crate::kit::{fork_behind_our_back, start};
use crate::process::Fussy;
use crate::queue_bad_input::{Fragile, GOOD, UNREADABLE, panics, whole};
use crate::runner::{Case, case};
use crate::ways::{each, fine, start_by};
use multiproc::{
    Error, ErrorKind, GetError, JoinableQueue, Leased, Lock, Queue, TryGetError, arena,
};
use nix::sys::wait::{WaitStatus, waitpid};
use serde::de::DeserializeOwned;
use serde::ser::SerializeTuple as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt::Debug;
use std::time::Duration;

pub(crate) fn tests() -> Vec<Case> {
    vec![
        case("queue_bad_bytes::not_read", not_read),
        case("queue_bad_bytes::not_read_of_whom", not_read_of_whom),
        case("queue_bad_bytes::not_read_in_a_batch", not_read_in_a_batch),
        case(
            "queue_bad_bytes::not_read_by_an_iterator",
            not_read_by_an_iterator,
        ),
        case("queue_bad_bytes::too_few_and_too_many_bytes", few_and_many),
        case("queue_bad_bytes::panics_while_read", panics_while_read),
    ]
}

/// The error says what it was, and who put it.
#[track_caller]
fn says(error: &Error, by: u32) {
    assert_eq!(error.kind(), ErrorKind::Decode);
    let text = error.to_string();
    assert!(text.contains("Fussy"), "{text}");
    assert!(text.contains(&format!("put by process {by}")), "{text}");
}

#[track_caller]
fn failed<T: Debug>(got: Result<T, TryGetError>) -> Error {
    match got {
        Err(TryGetError::Failed(error)) => error,
        other => panic!("{other:?}"),
    }
}

fn not_read() {
    let me = std::process::id();
    let queue = Queue::with_maxsize(4).unwrap();
    for value in [UNREADABLE, UNREADABLE, UNREADABLE, GOOD] {
        queue.put(value).unwrap();
    }
    match queue.get() {
        Err(GetError::Failed(error)) => says(&error, me),
        other => panic!("{other:?}"),
    }
    assert_eq!(queue.len(), 3, "it is gone");
    says(&failed(queue.try_get()), me);
    says(&failed(queue.get_timeout(Duration::MAX)), me);
    assert_eq!(queue.get().unwrap(), GOOD);
    assert!(matches!(queue.try_get(), Err(TryGetError::Empty)));
    let (sender, receiver) = Queue::new().unwrap().split().unwrap();
    sender.send_many([UNREADABLE, GOOD]).unwrap();
    says(&failed(receiver.try_recv()), me);
    assert_eq!(receiver.recv().unwrap(), GOOD);
}

/// Small and large ones, with handles and without, of whoever put them: also of one that is dead, and of a fork behind our back.
fn not_read_of_whom() {
    type Message = (Vec<u8>, Option<Lock>, Fussy);
    let before = arena::usage().unwrap();
    let puts = |queue: Queue<Message>| {
        queue.put((Vec::new(), None, UNREADABLE)).unwrap();
        queue.put((vec![1; 9_000], None, UNREADABLE)).unwrap();
        let lock = Some(Lock::new().unwrap());
        queue.put((vec![2; 10], lock, UNREADABLE)).unwrap();
    };
    let queue = Queue::new().unwrap();
    let three_of = |by: u32| {
        for _ in 0..3 {
            says(&failed(queue.try_get()), by);
        }
        assert!(queue.is_empty());
    };
    each(|way| {
        let process = start_by(way, puts, (queue.clone(),));
        let by = process.pid().unwrap();
        fine(&process);
        drop(process);
        three_of(by);
    });
    let fork = fork_behind_our_back(|| puts(queue.clone()));
    assert_eq!(waitpid(fork, None).unwrap(), WaitStatus::Exited(fork, 0));
    three_of(fork.as_raw().cast_unsigned());
    std::thread::scope(|scope| scope.spawn(|| puts(queue.clone())).join().unwrap());
    three_of(std::process::id());
    drop(queue);
    assert_eq!(arena::usage().unwrap().objects, before.objects);
}

/// The others come, before and behind it.
fn not_read_in_a_batch() {
    let queue = Queue::new().unwrap();
    let puts = |queue: Queue<(Vec<u8>, Fussy)>, large: usize| {
        let value = |place: usize| {
            let bytes = vec![1; if place % 7 == 3 { large } else { place }];
            (bytes, if place % 5 == 2 { UNREADABLE } else { GOOD })
        };
        queue.put_many((0..100).map(value)).unwrap();
    };
    for large in [0, 5_000] {
        let process = start(puts, (queue.clone(), large));
        let by = process.pid().unwrap();
        fine(&process);
        let mut place = 0;
        while !queue.is_empty() {
            for item in queue.get_many(40).unwrap() {
                match item {
                    Ok((_, value)) => assert!(value == GOOD && place % 5 != 2),
                    Err(error) => {
                        assert_eq!(place % 5, 2);
                        says(&error, by);
                    }
                }
                place += 1;
            }
        }
        assert_eq!(place, 100);
    }
}

fn not_read_by_an_iterator() {
    let queue = Queue::new().unwrap();
    queue
        .put_many([GOOD, UNREADABLE, UNREADABLE, GOOD])
        .unwrap();
    queue.close();
    let read: Vec<bool> = queue.iter().map(|item| item.is_ok()).collect();
    assert_eq!(read, [true, false, false, true]);
    let queue = JoinableQueue::new().unwrap();
    queue
        .put_many([GOOD, UNREADABLE, UNREADABLE, GOOD])
        .unwrap();
    queue.close();
    let done = |item: Result<Leased<Fussy>, Error>| item.map(|it| it.task_done());
    let read: Vec<bool> = queue.iter().map(|item| done(item).is_ok()).collect();
    assert_eq!(read, [true, false, false, true]);
    queue.join().unwrap();
    assert_eq!(queue.failed(), 2);
}

/// Writes more than it reads, or less.
#[derive(Debug)]
struct Uneven<const WRITES: usize, const READS: usize>;

impl<const WRITES: usize, const READS: usize> Serialize for Uneven<WRITES, READS> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut parts = serializer.serialize_tuple(WRITES)?;
        (0..WRITES).try_for_each(|_| parts.serialize_element(&1_u8))?;
        parts.end()
    }
}

impl<'de, const WRITES: usize, const READS: usize> Deserialize<'de> for Uneven<WRITES, READS> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match READS {
            0 => <()>::deserialize(deserializer)?,
            1 => drop(<[u8; 1]>::deserialize(deserializer)?),
            _ => drop(<[u8; 20]>::deserialize(deserializer)?),
        }
        Ok(Uneven)
    }
}

fn few_and_many() {
    fn uneven<T: Serialize + DeserializeOwned + Debug + 'static>(make: fn() -> T) {
        let queue = Queue::new().unwrap();
        queue.put_many((0..3).map(|_| make())).unwrap();
        queue.put(make()).unwrap();
        for _ in 0..2 {
            let error = failed(queue.try_get());
            assert_eq!(error.kind(), ErrorKind::Decode);
            assert!(error.to_string().contains("Uneven"), "{error}");
        }
        for item in queue.get_many(2).unwrap() {
            assert_eq!(item.unwrap_err().kind(), ErrorKind::Decode);
        }
    }
    uneven(|| Uneven::<0, 1>);
    uneven(|| Uneven::<1, 0>);
    uneven(|| Uneven::<5, 1>);
    uneven(|| Uneven::<1, 20>);
    uneven(|| Uneven::<200, 20>);
    uneven(|| Uneven::<5_000, 20>);
}

fn panics_while_read() {
    let before = arena::usage().unwrap();
    let queue = Queue::new().unwrap();
    queue
        .put_many([Fragile::OnTheWayIn, whole(1), Fragile::OnTheWayIn, whole(5)])
        .unwrap();
    panics(|| queue.get());
    assert_eq!(queue.get().unwrap(), whole(1));
    panics(|| queue.iter().next());
    assert_eq!(queue.get().unwrap(), whole(5));
    queue
        .put_many([whole(1), Fragile::OnTheWayIn, whole(2)])
        .unwrap();
    let mut batch = queue.get_many(3).unwrap();
    assert_eq!(batch.next().unwrap().unwrap(), whole(1));
    panics(|| batch.next());
    assert_eq!(batch.next().unwrap().unwrap(), whole(2));
    assert!(batch.next().is_none());
    // As if its taker had died.
    let lends = JoinableQueue::builder().retries(2).build().unwrap();
    lends.put_many([Fragile::OnTheWayIn, whole(5)]).unwrap();
    (0..3).for_each(|_| panics(|| lends.get()));
    assert_eq!(lends.get().unwrap().task_done(), whole(5));
    lends.join().unwrap();
    assert_eq!(lends.failed(), 1);
    drop((queue, lends, batch));
    assert_eq!(arena::usage().unwrap(), before);
}
