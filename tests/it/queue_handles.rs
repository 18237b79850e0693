//! Handles inside messages: they arrive, they keep their objects alive, and they are freed with what carries them.

use crate::kit::start;
use crate::runner::{Case, case};
use multiproc::{Lock, Queue, arena};
use serde::ser::Error as _;
use serde::{Deserialize, Serialize, Serializer};

pub(crate) fn tests() -> Vec<Case> {
    vec![
        case("queue_handles::panic_in_serialize", panic_in_serialize),
        case("queue_handles::put_inside_serialize", put_inside_serialize),
        case("queue_handles::handles_in_messages", handles),
        case(
            "queue_handles::handle_outlives_its_sender",
            outlives_its_sender,
        ),
        case(
            "queue_handles::freed_with_handles_inside",
            freed_with_handles,
        ),
        case("queue_handles::queue_inside_itself", inside_itself)
            .keeps_arena("a cycle of handles is nobody's to free"),
    ]
}

/// Panics when it is serialised.
#[derive(Debug, Deserialize)]
struct Bomb;

impl Serialize for Bomb {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        panic!("on purpose")
    }
}

/// A panic on the way out keeps nothing in flight, and no rule out of force.
fn panic_in_serialize() {
    let before = arena::usage().unwrap();
    let queue = Queue::new().unwrap();
    let inner = Queue::<u8>::new().unwrap();
    let put = std::panic::AssertUnwindSafe(|| queue.put((inner, Bomb)));
    assert!(std::panic::catch_unwind(put).is_err());
    let lock = Lock::new().unwrap();
    assert!(
        postcard::to_allocvec(&lock).is_err(),
        "outside of a message"
    );
    assert!(queue.is_empty());
    drop((queue, lock));
    assert_eq!(arena::usage().unwrap(), before);
}

/// Puts something into another queue while it is serialised, as a value that logs would.
#[derive(Debug)]
struct Chatty(Queue<u8>);

impl Serialize for Chatty {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.put(1).map_err(|_| S::Error::custom("full"))?;
        self.0.get().map_err(|_| S::Error::custom("empty"))?;
        serializer.serialize_unit()
    }
}

impl<'de> Deserialize<'de> for Chatty {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <()>::deserialize(deserializer)?;
        Queue::new().map(Chatty).map_err(serde::de::Error::custom)
    }
}

fn put_inside_serialize() {
    let queue = Queue::new().unwrap();
    let inner = Queue::new().unwrap();
    inner.put(42).unwrap();
    let chatty = Chatty(Queue::new().unwrap());
    queue.put((inner, chatty)).unwrap();
    let (inner, _chatty): (Queue<u8>, Chatty) = queue.get().unwrap();
    assert_eq!(inner.get().unwrap(), 42);
}

#[derive(Debug, Serialize, Deserialize)]
struct Parcel {
    name: String,
    lock: Lock,
    answers: Vec<Queue<u64>>,
}

fn handles() {
    let (parcels, lock) = (Queue::new().unwrap(), Lock::new().unwrap());
    let answers = vec![Queue::new().unwrap(), Queue::new().unwrap()];
    let serve = |parcels: Queue<Parcel>| {
        let parcel = parcels.get().unwrap();
        let busy = parcel.lock.try_acquire().is_err();
        parcel.answers[0].put(u64::from(busy)).unwrap();
        let _guard = parcel.lock.acquire().unwrap();
        parcel.answers[1].put(parcel.name.len() as u64).unwrap();
    };
    let process = start(serve, (parcels.clone(),));
    let guard = lock.acquire().unwrap();
    let parcel = Parcel {
        name: "seven".to_owned(),
        lock: lock.clone(),
        answers: answers.clone(),
    };
    parcels.put(parcel).unwrap();
    assert_eq!(answers[0].get().unwrap(), 1);
    drop(guard);
    assert_eq!(answers[1].get().unwrap(), 5);
    assert_eq!(process.join().unwrap(), 0);
}

fn outlives_its_sender() {
    let carrier = Queue::new().unwrap();
    let send = |carrier: Queue<Queue<u64>>| {
        let inner = Queue::new().unwrap();
        (0..100).for_each(|number| inner.put(number).unwrap());
        carrier.put(inner).unwrap();
    };
    assert_eq!(start(send, (carrier.clone(),)).join().unwrap(), 0);
    let objects = || arena::usage().unwrap().objects;
    assert_eq!(objects(), 2);
    let inner = carrier.get().unwrap();
    assert_eq!(objects(), 2);
    (0..100).for_each(|number| assert_eq!(inner.get().unwrap(), number));
    drop(inner);
    assert_eq!(objects(), 1);
}

fn freed_with_handles() {
    let before = arena::usage().unwrap();
    let outer = Queue::new().unwrap();
    for _ in 0..100 {
        let middle = Queue::new().unwrap();
        let lock = Lock::new().unwrap();
        middle
            .put((lock.clone(), Queue::<u8>::new().unwrap()))
            .unwrap();
        outer.put((middle, lock)).unwrap();
    }
    assert_eq!(arena::usage().unwrap().objects, before.objects + 301);
    drop(outer);
    assert_eq!(arena::usage().unwrap(), before);
}

#[derive(Debug, Serialize, Deserialize)]
struct Itself(Queue<Itself>);

fn inside_itself() {
    let queue = Queue::new().unwrap();
    queue.put(Itself(queue.clone())).unwrap();
    let Itself(same) = queue.get().unwrap();
    same.put(Itself(queue.clone())).unwrap();
    assert_eq!(queue.len(), 1);
}
