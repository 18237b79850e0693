//! The ways that the messages of a storm go: which queue, and by which verbs.

use multiproc::{GetError, Queue};
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

    fn make() -> (Self::Puts, Self::Gets);
    /// Puts so many, from 1 to [`BATCH`](Self::BATCH).
    fn put(puts: &Self::Puts, messages: Vec<Vec<u8>>);
    /// Gets some, and gives each to `works`; `false` when there will be no more.
    fn get(gets: &Self::Gets, works: &mut dyn FnMut(&[u8])) -> bool;
    /// No more will be put.
    fn close(puts: &Self::Puts);
    /// All is over.
    fn check(puts: &Self::Puts);
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
        Err(GetError::Closed | GetError::Disconnected) => None,
        Err(GetError::Failed(error)) => panic!("{error}"),
    }
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

    fn check(puts: &Bytes) {
        assert_eq!(puts.len(), 0);
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

    fn check(puts: &Bytes) {
        Bounded::check(puts);
    }

    fn is_crowded(puts: &Bytes) -> bool {
        puts.len() > 1000
    }
}
