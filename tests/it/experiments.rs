//! The experiment of every course on threads: two of them add to one number. What safe Rust does not even compile (without a lock, on a
//! global) is a test in the documentation of `threading`.

use crate::runner::{Case, case, scaled};
use multiproc::dummy::prelude::*;
use multiproc::threading::{Barrier, Lock, Thread};
use multiproc::{Backend, Processes, Threads, Value};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

pub(crate) fn tests() -> Vec<Case> {
    vec![
        case("experiments::a_count_is_lost", a_count_is_lost),
        case("experiments::no_count_is_lost", no_count_is_lost),
        case("experiments::everywhere_threads", everywhere::<Threads>),
        case("experiments::everywhere_processes", everywhere::<Processes>),
    ]
}

fn both(body: impl Fn() + Send + Sync + 'static) {
    let body = Arc::new(body);
    let threads = [0, 1].map(|_| {
        let body = Arc::clone(&body);
        Thread::new(move || body())
    });
    threads.iter().for_each(|thread| thread.start().unwrap());
    threads.iter().for_each(|thread| thread.join().unwrap());
    assert!(threads.iter().all(|thread| thread.panic().is_none()));
}

/// To add is to load and then to store. Both load before either stores.
fn a_count_is_lost() {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let barrier = Barrier::new(2).unwrap();
    both(move || {
        let seen = COUNT.load(Relaxed);
        barrier.wait().unwrap();
        COUNT.store(seen + 1, Relaxed);
    });
    assert_eq!(COUNT.load(Relaxed), 1);
}

/// The same under a lock.
fn no_count_is_lost() {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let lock = Lock::new().unwrap();
    both(move || {
        for _ in 0..1_000_000 {
            let _guard = lock.acquire().unwrap();
            COUNT.store(COUNT.load(Relaxed) + 1, Relaxed);
        }
    });
    assert_eq!(COUNT.load(Relaxed), 2_000_000);
}

fn adds<B: Backend>(lock: multiproc::sync::Lock<B>, count: Value<u64>, times: u32) {
    for _ in 0..times {
        let _guard = lock.acquire().unwrap();
        count.set(count.get().unwrap() + 1).unwrap();
    }
}

/// One text for both.
fn everywhere<B: Backend>() {
    let (lock, count) = (
        multiproc::sync::Lock::new().unwrap(),
        Value::new(0).unwrap(),
    );
    let times = scaled(20_000);
    let adders = [0, 1].map(|_| {
        let arguments = (lock.clone(), count.clone(), times);
        let mut adder = B::Process::new(adds::<B>, arguments);
        adder.start().unwrap();
        adder
    });
    for adder in adders {
        assert_eq!(adder.join().unwrap(), 0);
    }
    assert_eq!(count.get().unwrap(), 2 * u64::from(times));
}
