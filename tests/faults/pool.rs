//! The pool: a worker leaves a result, takes the next hint, claims its cell, and begins; killed anywhere in between, each task has
//! exactly one outcome.

use crate::row::{Keep, Row, Scene, Victim, row};
use crate::survivor::PATIENCE;
use crate::tracee::{begins, ends};
use multiproc::{AsyncResult, Error, ErrorKind, Pool, PoolStats};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt::Debug;

pub(crate) fn rows() -> Vec<Row> {
    vec![
        row::<Retried<u64>>("pool::retried", "a small result, then the next task"),
        row::<Retried<Vec<u64>>>(
            "pool::retried_large",
            "a result in a block, then the next task",
        ),
        row::<Failed<u64>>(
            "pool::failed",
            "a small result, then the next task, no retries",
        ),
        row::<Failed<Vec<u64>>>("pool::failed_large", "a result in a block, no retries"),
    ]
}

/// Values of tasks, by a number.
trait Value: Serialize + DeserializeOwned + Debug + PartialEq + Send + 'static {
    fn of(number: u64) -> Self;
}

impl Value for u64 {
    fn of(number: u64) -> Self {
        number
    }
}

impl Value for Vec<u64> {
    fn of(number: u64) -> Self {
        (number..number + 150).collect()
    }
}

/// The section begins at the end of the first task, in the worker that is traced; elsewhere it is a task like another.
fn first<V: Value>(traced: u32) -> V {
    let value = V::of(1);
    if std::process::id() == traced {
        begins();
    }
    value
}

/// The section ends at the beginning of the second task.
fn second<V: Value>(traced: u32) -> V {
    if std::process::id() == traced {
        ends();
    }
    V::of(2)
}

/// A pool of one worker that has a task and the next one.
struct Two<V: Value> {
    pool: Pool,
    results: [AsyncResult<V>; 2],
}

impl<V: Value> Two<V> {
    fn new(retries: u64) -> Self {
        let pool = Pool::builder().workers(1).retries(retries).build().unwrap();
        // What is done once in a worker is not done in the section.
        assert_eq!(pool.apply(first::<V>, (0,)).unwrap(), V::of(1));
        let traced = pool.worker_pids()[0];
        let one = pool.apply_async(first::<V>, (traced,)).unwrap();
        let two = pool.apply_async(second::<V>, (traced,)).unwrap();
        Self {
            pool,
            results: [one, two],
        }
    }

    fn victim(&self) -> Victim {
        Victim::Other(self.pool.worker_pids()[0])
    }

    /// The outcomes of both tasks; the pool goes on.
    fn outcomes(self) -> ([Result<V, Error>; 2], PoolStats) {
        let [one, two] = self.results.map(|mut result| result.get_timeout(PATIENCE));
        assert_eq!(self.pool.apply(first::<V>, (0,)).unwrap(), V::of(1));
        let stats = self.pool.stats();
        assert_eq!(stats.deaths, 1, "{stats:?}");
        ([one, two], stats)
    }
}

struct Retried<V: Value>(Two<V>);

impl<V: Value> Scene for Retried<V> {
    fn prepare() -> Self {
        Self(Two::new(1))
    }

    fn victim(&self, _keep: &Keep) -> Victim {
        self.0.victim()
    }

    fn check(self, _left: bool) {
        let ([one, two], stats) = self.0.outcomes();
        assert_eq!(one.unwrap(), V::of(1));
        assert_eq!(two.unwrap(), V::of(2));
        assert_eq!(stats.retried, stats.deaths_in_task, "{stats:?}");
    }
}

struct Failed<V: Value>(Two<V>);

impl<V: Value> Scene for Failed<V> {
    fn prepare() -> Self {
        Self(Two::new(0))
    }

    fn victim(&self, _keep: &Keep) -> Victim {
        self.0.victim()
    }

    fn check(self, left: bool) {
        let (outcomes, stats) = self.0.outcomes();
        let mut failed = 0;
        for (outcome, number) in outcomes.into_iter().zip(1..) {
            match outcome {
                Ok(value) => assert_eq!(value, V::of(number)),
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::WorkerDied, "{error}");
                    assert!(!left || number == 2, "it was done: {error}");
                    failed += 1;
                }
            }
        }
        assert_eq!(failed, stats.deaths_in_task, "one task is one death");
    }
}
