//! The algorithm of the queues between threads, over a store that only counts: two indices, as those of a list of segments.

use crate::error::Result;
use crate::sys::atomic::{AcqRel, Acquire, AtomicU64, Relaxed, SeqCst};
use crate::waiting::{NEVER, preempted};
use error::{TryGetError, TryPutError};
use flow::Flow;
use loom::sync::atomic::fence;
use order::Store;

#[path = "../../src/thread/queue/error.rs"]
mod error;
#[path = "../../src/thread/queue/flow.rs"]
mod flow;
#[path = "../../src/thread/queue/waiting.rs"]
mod waiting;

mod order {
    /// As in the file of that name.
    pub(super) trait Store: Default {
        type Item;
        fn push(&self, item: &mut Option<Self::Item>);
        fn pop(&self) -> Option<Self::Item>;
        fn pop_any(&self) -> Option<Self::Item>;
    }
}

/// What is put and got.
#[derive(Debug)]
struct Token;

#[derive(Debug, Default)]
struct Tokens {
    head: AtomicU64,
    tail: AtomicU64,
}

impl Store for Tokens {
    type Item = Token;

    fn push(&self, item: &mut Option<Token>) {
        *item = None;
        self.tail.fetch_add(1, AcqRel);
    }

    fn pop(&self) -> Option<Token> {
        let mut head = self.head.load(Acquire);
        loop {
            fence(SeqCst);
            if self.tail.load(Relaxed) == head {
                return None;
            }
            match self.head.compare_exchange(head, head + 1, AcqRel, Acquire) {
                Ok(_) => {
                    self.tail.load(Acquire);
                    return Some(Token);
                }
                Err(now) => head = now,
            }
        }
    }

    fn pop_any(&self) -> Option<Token> {
        self.pop()
    }
}

type Tokened = Flow<Tokens>;

/// Runs `body` in so many threads: each step of a queue is many of an atomic, so with few preemptions.
fn threads(
    count: u64,
    make: impl Fn() -> (Tokened, [AtomicU64; 2]) + Sync + Send + 'static,
    body: impl Fn(&(Tokened, [AtomicU64; 2]), u64) + Copy + Sync + Send + 'static,
    end: impl Fn(&(Tokened, [AtomicU64; 2])) + Sync + Send + 'static,
) {
    preempted(Some(if count > 2 { 2 } else { 3 }), count, make, body, end);
}

fn of(maxsize: usize) -> impl Fn() -> (Tokened, [AtomicU64; 2]) {
    move || (Flow::with_maxsize(maxsize), Default::default())
}

fn put(flow: &Tokened) -> bool {
    match flow.put(Token, || NEVER) {
        Ok(()) => true,
        Err(TryPutError::ShutDown(Token)) => false,
        Err(TryPutError::Full(Token)) => panic!("it waits for ever"),
    }
}

fn get(flow: &Tokened) -> bool {
    match flow.get(|| NEVER) {
        Ok(Token) => true,
        Err(TryGetError::ShutDown) => false,
        Err(TryGetError::Empty) => panic!("it waits for ever"),
    }
}

fn done(done: Result<()>) {
    assert!(done.is_ok(), "it was got");
}

/// Some put and as many get, with little room or none.
#[test]
fn queue_put_and_get() {
    for maxsize in [0, 1] {
        let body = |(flow, _): &(Tokened, _), number| {
            for _ in 0..2 {
                let went = if number == 0 { put(flow) } else { get(flow) };
                assert!(went);
            }
        };
        threads(2, of(maxsize), body, |(flow, _)| assert_eq!(flow.len(), 0));
    }
}

/// Two sleepers for one place, or for one item each.
#[test]
fn queue_of_three() {
    let getters = |(flow, _): &(Tokened, _), number| {
        if number == 0 {
            assert!(put(flow) && put(flow));
        } else {
            assert!(get(flow));
        }
    };
    threads(3, of(0), getters, |(flow, _)| assert_eq!(flow.len(), 0));
    let putters = |(flow, _): &(Tokened, _), number| {
        if number == 0 {
            assert!(get(flow) && get(flow));
        } else {
            assert!(put(flow));
        }
    };
    threads(3, of(1), putters, |(flow, _)| assert_eq!(flow.len(), 0));
}

/// One puts, one gets until the end, one ends it: what was put was got, or thrown away.
fn shut(immediate: bool, maxsize: usize) {
    let body = move |(flow, [puts, gets]): &(Tokened, [AtomicU64; 2]), number| match number {
        0 => {
            while puts.load(Relaxed) < 2 && put(flow) {
                puts.fetch_add(1, SeqCst);
            }
        }
        1 => {
            while get(flow) {
                gets.fetch_add(1, SeqCst);
                done(flow.task_done());
            }
        }
        _ => {
            flow.shutdown(immediate);
            assert!(!immediate || flow.len() == 0);
        }
    };
    threads(3, of(maxsize), body, move |(flow, [puts, gets])| {
        let (puts, gets) = (puts.load(SeqCst), gets.load(SeqCst));
        assert!(if immediate {
            gets <= puts
        } else {
            gets == puts
        });
        assert_eq!((flow.len(), flow.unfinished()), (0, 0));
    });
}

#[test]
fn queue_shut() {
    shut(false, 0);
    shut(false, 1);
}

#[test]
fn queue_shut_at_once() {
    shut(true, 0);
    shut(true, 1);
}

#[test]
fn queue_join() {
    let body = |(flow, [work, _]): &(Tokened, [AtomicU64; 2]), number| {
        if number == 0 {
            assert!(put(flow) && put(flow));
            assert!(flow.join(|| NEVER));
            assert_eq!(work.load(Relaxed), 2);
        } else {
            for _ in 0..2 {
                assert!(get(flow));
                work.fetch_add(1, Relaxed);
                done(flow.task_done());
            }
            assert!(flow.join(|| NEVER));
        }
    };
    threads(2, of(0), body, |(flow, _)| {
        assert!(flow.task_done().is_err())
    });
}

/// Room for one who waits.
#[test]
fn queue_grows() {
    let body = |(flow, _): &(Tokened, _), number| {
        if number == 0 {
            assert!(put(flow) && put(flow));
        } else {
            flow.set_maxsize(2);
        }
    };
    threads(2, of(1), body, |(flow, _)| assert_eq!(flow.len(), 2));
}
