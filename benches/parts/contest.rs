//! How the benches of primitives take times: one who works alone, and several who are in each other's way.

use super::crew::{Crew, Place, Timed, Work};
use super::pinned;
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

/// Adds one in two steps: whoever does this without the others being locked out loses some.
#[inline]
pub(crate) fn bump(number: &AtomicU64) {
    number.store(number.load(Relaxed) + 1, Relaxed);
}

/// A critical section, or what else is done once a round. It bumps the number that it is given.
pub(crate) trait Step: Fn(&AtomicU64) + Clone + Send + 'static {}

impl<F: Fn(&AtomicU64) + Clone + Send + 'static> Step for F {}

/// By this thread, on the first CPU.
pub(crate) fn alone(step: impl Step) -> Timed {
    Box::new(move |rounds| {
        let number = AtomicU64::new(0);
        let time = pinned::on(0, || {
            let begin = Instant::now();
            for _ in 0..rounds {
                step(&number);
            }
            begin.elapsed()
        });
        assert_eq!(number.load(Relaxed), rounds, "something was lost");
        time
    })
}

/// Shared between so many processes.
pub(crate) fn by_processes(size: usize, place: Place, step: impl Step) -> Timed {
    shared_by(size, Crew::processes(size, place, each(step)))
}

/// Shared between two processes, each on its own CPU.
pub(crate) fn by_two(step: impl Step) -> Timed {
    by_processes(2, Place::Apart, step)
}

/// Shared between two threads, each on its own CPU.
pub(crate) fn by_two_threads(step: impl Step) -> Timed {
    shared_by(2, Crew::threads(2, Place::Apart, each(step)))
}

/// Every member of a pair of processes takes part in each round.
pub(crate) fn trips(place: Place, work: impl Work) -> Timed {
    let crew = Crew::processes(2, place, work);
    Box::new(move |rounds| crew.run(rounds))
}

/// The same with threads.
pub(crate) fn trips_by_threads(work: impl Work) -> Timed {
    let crew = Crew::threads(2, Place::Apart, work);
    Box::new(move |rounds| crew.run(rounds))
}

/// Made and dropped, one after the other.
pub(crate) fn made<T>(make: impl Fn() -> T + 'static) -> Timed {
    Box::new(move |times| {
        pinned::on(0, || {
            let begin = Instant::now();
            for _ in 0..times {
                drop(black_box(make()));
            }
            begin.elapsed()
        })
    })
}

/// The members share so many rounds, or a few more.
fn shared_by(size: usize, crew: Crew) -> Timed {
    Box::new(move |rounds| crew.run(rounds.div_ceil(size as u64)))
}

/// All do the same.
fn each(step: impl Step) -> impl Work {
    move |_, rounds, number: &AtomicU64| {
        for _ in 0..rounds {
            step(number);
        }
    }
}
