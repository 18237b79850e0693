//! The pool of threads that ours is measured against.

use super::tasks::{WORKERS, next};
use std::sync::mpsc;

/// The crate `threadpool`, with a channel for each result or for all.
pub(crate) struct Peer(threadpool::ThreadPool);

impl Peer {
    pub(crate) fn new() -> Self {
        Self(threadpool::ThreadPool::new(WORKERS))
    }

    pub(crate) fn apply(&self, number: u64) -> u64 {
        let (answer, result) = mpsc::channel();
        let task = move || answer.send(next(number)).expect("somebody waits");
        self.0.execute(task);
        result.recv().expect("an answer")
    }

    /// In chunks of one, the results in order.
    pub(crate) fn map(&self, count: u64) -> Vec<u64> {
        let (answer, results) = mpsc::channel();
        for number in 0..count {
            let answer = answer.clone();
            let task = move || answer.send((number, next(number))).expect("somebody waits");
            self.0.execute(task);
        }
        drop(answer);
        let mut values = vec![0; usize::try_from(count).expect("few")];
        for (number, value) in results {
            values[usize::try_from(number).expect("few")] = value;
        }
        values
    }
}
