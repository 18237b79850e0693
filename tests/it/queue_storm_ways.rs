//! The ways that the messages of a storm go: which queue, and by which verbs.

use multiproc::{GetError, JoinableQueue, Queue, Receiver, Sender};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A way from producers to consumers.
pub(crate) trait Way: 'static {
    /// What producers have, and what consumers have.
    type Puts: Clone + Serialize + DeserializeOwned + Send + 'static;
    type Gets: Clone + Serialize + DeserializeOwned + Send + 'static;

    /// The most messages in one verb, which is what one kill may lose.
    const BATCH: usize = 1;
    /// Does a consumer get the messages of one producer in their order?
    const ORDERED: bool = true;
    /// Is what a dead consumer had in its hands got again?
    const AGAIN: bool = false;
    /// Do the producers end by being killed?
    const KILLED: bool = false;

    fn make() -> (Self::Puts, Self::Gets);
    /// Puts so many, from 1 to [`BATCH`](Self::BATCH).
    fn put(puts: &Self::Puts, messages: Vec<Vec<u8>>);
    /// Gets some, and gives each to `works`; `false` when there will be no more.
    fn get(gets: &Self::Gets, works: &mut dyn FnMut(&[u8])) -> bool;
    /// No more will be put.
    fn close(puts: &Self::Puts);
    /// All is over.
    fn check(gets: &Self::Gets);
    /// Shall producers wait before they put more?
    fn is_crowded(_puts: &Self::Puts) -> bool {
        false
    }
}

type Bytes = Queue<Vec<u8>>;

/// The value, or that the queue is closed.
fn open<T>(result: Result<T, GetError>) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(GetError::Closed) => None,
        Err(error) => panic!("{error}"),
    }
}

/// Whoever looks a second time finds nothing either.
fn is_drained(queue: &Bytes) {
    assert_eq!(queue.len(), 0);
    assert!(matches!(queue.get(), Err(GetError::Closed)));
}

/// A small queue: everybody waits for everybody.
pub(crate) struct Bounded;

impl Way for Bounded {
    type Puts = Bytes;
    type Gets = Bytes;

    fn make() -> (Bytes, Bytes) {
        let queue = Queue::with_maxsize(20).unwrap();
        (queue.clone(), queue)
    }

    fn put(puts: &Bytes, messages: Vec<Vec<u8>>) {
        for message in messages {
            puts.put(message).unwrap();
        }
    }

    fn get(gets: &Bytes, works: &mut dyn FnMut(&[u8])) -> bool {
        open(gets.get()).map(|bytes| works(&bytes)).is_some()
    }

    fn close(puts: &Bytes) {
        puts.close();
    }

    fn check(gets: &Bytes) {
        is_drained(gets);
    }
}

/// A queue that grows and shrinks.
pub(crate) struct Unbounded;

impl Way for Unbounded {
    type Puts = Bytes;
    type Gets = Bytes;

    fn make() -> (Bytes, Bytes) {
        let queue = Queue::new().unwrap();
        (queue.clone(), queue)
    }

    fn put(puts: &Bytes, messages: Vec<Vec<u8>>) {
        Bounded::put(puts, messages);
    }

    fn get(gets: &Bytes, works: &mut dyn FnMut(&[u8])) -> bool {
        Bounded::get(gets, works)
    }

    fn close(puts: &Bytes) {
        puts.close();
    }

    fn check(gets: &Bytes) {
        is_drained(gets);
    }

    fn is_crowded(puts: &Bytes) -> bool {
        puts.len() > 1000
    }
}

/// Many at once, in a queue that takes several batches.
pub(crate) struct Batches;

impl Way for Batches {
    type Puts = Bytes;
    type Gets = Bytes;

    const BATCH: usize = 40;

    fn make() -> (Bytes, Bytes) {
        let queue = Queue::with_maxsize(100).unwrap();
        (queue.clone(), queue)
    }

    fn put(puts: &Bytes, messages: Vec<Vec<u8>>) {
        puts.put_many(messages).unwrap();
    }

    fn get(gets: &Bytes, works: &mut dyn FnMut(&[u8])) -> bool {
        let Some(batch) = open(gets.get_many(Self::BATCH)) else {
            return false;
        };
        assert!((1..=Self::BATCH).contains(&batch.len()));
        batch.for_each(|bytes| works(&bytes.unwrap()));
        true
    }

    fn close(puts: &Bytes) {
        puts.close();
    }

    fn check(gets: &Bytes) {
        is_drained(gets);
    }
}

/// Plain bytes: put from a slice, got into a buffer or lent.
pub(crate) struct Plain;

impl Way for Plain {
    type Puts = Bytes;
    type Gets = Bytes;

    fn make() -> (Bytes, Bytes) {
        Bounded::make()
    }

    fn put(puts: &Bytes, messages: Vec<Vec<u8>>) {
        for message in messages {
            puts.put_bytes(&message).unwrap();
        }
    }

    fn get(gets: &Bytes, works: &mut dyn FnMut(&[u8])) -> bool {
        if gets.len().is_multiple_of(2) {
            return open(gets.get_loan()).map(|loan| works(&loan)).is_some();
        }
        let mut buffer = Vec::new();
        let Some(length) = open(gets.get_into(&mut buffer)) else {
            return false;
        };
        assert_eq!(length, buffer.len());
        works(&buffer);
        true
    }

    fn close(puts: &Bytes) {
        puts.close();
    }

    fn check(gets: &Bytes) {
        is_drained(gets);
    }
}

/// On lease: nothing may be lost, and nothing done again but by whoever was killed before it said that it was done.
pub(crate) struct Leases;

impl Way for Leases {
    type Puts = JoinableQueue<Vec<u8>>;
    type Gets = JoinableQueue<Vec<u8>>;

    const ORDERED: bool = false;
    const AGAIN: bool = true;

    fn make() -> (Self::Puts, Self::Gets) {
        let queue = JoinableQueue::with_maxsize(50).unwrap();
        (queue.clone(), queue)
    }

    fn put(puts: &Self::Puts, messages: Vec<Vec<u8>>) {
        for message in messages {
            puts.put(message).unwrap();
        }
    }

    fn get(gets: &Self::Gets, works: &mut dyn FnMut(&[u8])) -> bool {
        open(gets.get())
            .map(|leased| {
                works(&leased);
                leased.task_done();
            })
            .is_some()
    }

    fn close(puts: &Self::Puts) {
        // The consumers do all that is left, also what was put back.
        puts.join().unwrap();
        assert_eq!(puts.unfinished(), 0);
        puts.close();
    }

    fn check(gets: &Self::Gets) {
        assert_eq!((gets.len(), gets.unfinished(), gets.failed()), (0, 0, 0));
        assert!(matches!(gets.get(), Err(GetError::Closed)));
    }
}

/// Two ends: when the last producer is dead, the consumers hear of it.
pub(crate) struct Ends;

impl Way for Ends {
    type Puts = Sender<Vec<u8>>;
    type Gets = Receiver<Vec<u8>>;

    const KILLED: bool = true;

    fn make() -> (Self::Puts, Self::Gets) {
        Queue::with_maxsize(30).unwrap().split().unwrap()
    }

    fn put(puts: &Self::Puts, messages: Vec<Vec<u8>>) {
        for message in messages {
            puts.send(message).unwrap();
        }
    }

    fn get(gets: &Self::Gets, works: &mut dyn FnMut(&[u8])) -> bool {
        match gets.recv() {
            Ok(bytes) => works(&bytes),
            Err(GetError::Disconnected) => return false,
            Err(error) => panic!("{error}"),
        }
        true
    }

    fn close(_puts: &Self::Puts) {
        unreachable!("they are killed")
    }

    fn check(gets: &Self::Gets) {
        assert_eq!(gets.len(), 0);
        assert!(matches!(gets.recv(), Err(GetError::Disconnected)));
    }
}
