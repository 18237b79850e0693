//! Values that do something while they are written, read or dropped: a queue can be used in there, also the same one.

use crate::runner::{Case, case};
use multiproc::Queue;
use serde::de::Error as _;
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub(crate) fn tests() -> Vec<Case> {
    vec![
        case("queue_reentrant::dropped_once", dropped_once),
        case("queue_reentrant::put_by_a_destructor", put_by_a_destructor),
        case("queue_reentrant::got_while_decoding", got_while_decoding),
        case("queue_reentrant::put_while_encoding", put_while_encoding),
    ]
}

/// Counts how often it was dropped.
#[derive(Debug)]
struct Counted(Arc<AtomicU32>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_add(1, SeqCst);
    }
}

impl Serialize for Counted {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_unit()
    }
}

/// By `put`, or by whoever got it back; not by both, and not by neither.
fn dropped_once() {
    let drops = Arc::new(AtomicU32::new(0));
    let value = || Counted(Arc::clone(&drops));
    let queue = Queue::with_maxsize(1).unwrap();
    queue.put(value()).unwrap();
    assert_eq!(drops.load(SeqCst), 1);
    let back = queue.try_put(value()).unwrap_err().into_inner();
    let late = queue.put_timeout(value(), Duration::from_millis(1));
    assert_eq!(drops.load(SeqCst), 1);
    drop(late);
    assert_eq!(drops.load(SeqCst), 2);
    queue.close();
    let back = queue.put(back).unwrap_err().into_inner();
    assert_eq!(drops.load(SeqCst), 2);
    drop(back);
    assert_eq!(drops.load(SeqCst), 3);
}

/// Puts its number into the queue that it is put into, at the end of its life.
struct Farewell(u32, Queue<u32>);

impl Drop for Farewell {
    fn drop(&mut self) {
        self.1.put(self.0).unwrap();
    }
}

/// A queue is usable inside of whatever a value does: in the destructor of one that was put, got, or given back.
fn put_by_a_destructor() {
    let log = Queue::new().unwrap();
    let queue = Queue::with_maxsize(1).unwrap();
    let farewell = |number| Leaves(Farewell(number, log.clone()));
    queue.put(farewell(1)).unwrap();
    assert!(queue.try_put(farewell(2)).is_err());
    assert_eq!(log.get().unwrap(), 1);
    assert_eq!(log.get().unwrap(), 2);
    // Into the very same one, too.
    let same = Queue::<u32>::new().unwrap();
    drop(Farewell(3, same.clone()));
    assert_eq!(same.get().unwrap(), 3);
}

/// Nothing but its destructor.
struct Leaves(#[expect(dead_code, reason = "its destructor is what it is for")] Farewell);

impl Serialize for Leaves {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_unit()
    }
}

/// The queue that the types below use while they are turned into bytes or made of them.
static SAME: Mutex<Option<Queue<Reentrant>>> = Mutex::new(None);

fn same() -> Queue<Reentrant> {
    SAME.lock().unwrap().clone().unwrap()
}

/// A new one, which is that queue for as long as `body` runs.
fn with_queue(body: impl FnOnce(&Queue<Reentrant>)) {
    *SAME.lock().unwrap() = Some(Queue::new().unwrap());
    body(&same());
    *SAME.lock().unwrap() = None;
}

/// When it is written, a smaller one is put into the same queue; when it is read, one more is got from there.
#[derive(Debug, PartialEq)]
struct Reentrant(u8, Option<Box<Reentrant>>);

impl Serialize for Reentrant {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0 == PUTS {
            same().put(Reentrant(1, None)).map_err(S::Error::custom)?;
        }
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Reentrant {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = u8::deserialize(deserializer)?;
        let more = || same().get().map(Box::new);
        let more = (number == GETS).then(more).transpose();
        Ok(Reentrant(number, more.map_err(D::Error::custom)?))
    }
}

const PUTS: u8 = 100;
const GETS: u8 = 101;

fn put_while_encoding() {
    with_queue(|queue| {
        for _ in 0..50 {
            queue.put(Reentrant(PUTS, None)).unwrap();
        }
        for _ in 0..50 {
            assert_eq!(queue.get().unwrap(), Reentrant(1, None));
            assert_eq!(queue.get().unwrap(), Reentrant(PUTS, None));
        }
    });
}

fn got_while_decoding() {
    with_queue(|queue| {
        for number in [GETS, GETS, 1, 2, 3] {
            queue.put(Reentrant(number, None)).unwrap();
        }
        let innermost = Some(Box::new(Reentrant(1, None)));
        let inner = Some(Box::new(Reentrant(GETS, innermost)));
        assert_eq!(queue.get().unwrap(), Reentrant(GETS, inner));
        assert_eq!(queue.get().unwrap(), Reentrant(2, None));
        assert_eq!(queue.get().unwrap(), Reentrant(3, None));
    });
}
