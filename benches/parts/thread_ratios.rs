//! The lines about threads: queues beside channels, values of threads, a pool beside a pool.

use super::channels::{crossbeam, flume, std, std_bounded};
use super::contest::alone;
use super::crew::Timed;
use super::mode::sized;
use super::peer_pool::Peer;
use super::table::{Unit, compare, is_wanted};
use super::tasks::{WORKERS, next};
use super::traffic::By::Threads;
use super::traffic::{after_pauses, one_to_one, there_and_back, two_to_two};
use ::std::sync::Arc;
use ::std::sync::atomic::AtomicU64;
use ::std::sync::atomic::Ordering::Relaxed;
use ::std::time::{Duration, Instant};
use multiproc::queue::{Queue, SimpleQueue};
use multiproc::{ThreadLocal, ThreadPool};

type Line = (&'static str, (u64, Unit), fn() -> Timed, fn() -> Timed);

const NUMBERS: (u64, Unit) = (1_000_000, Unit::MillionsPerSecond);
const TRIPS: (u64, Unit) = (20_000, Unit::Microseconds);
const PAUSES: (u64, Unit) = (100, Unit::Microseconds);

/// Places in what is bounded.
const PLACES: usize = 1024;

pub(crate) fn all() {
    let lines = [LINES, LOCALS, POOLS].into_iter().flatten();
    for (what, (pieces, unit), ours, theirs) in lines.copied() {
        if is_wanted(what) {
            compare(what, (sized(pieces, 16), unit), ours(), theirs());
        }
    }
}

fn bounded() -> Queue<u64> {
    Queue::with_maxsize(PLACES)
}

const LINES: &[Line] = &[
    (
        "queue::Queue 8 B one to one : crossbeam unbounded",
        NUMBERS,
        || one_to_one(Threads, Queue::new()),
        || one_to_one(Threads, crossbeam(None)),
    ),
    (
        "queue::Queue 8 B one to one, maxsize 1024 : crossbeam bounded",
        NUMBERS,
        || one_to_one(Threads, bounded()),
        || one_to_one(Threads, crossbeam(Some(PLACES))),
    ),
    (
        "queue::Queue 8 B two to two : crossbeam unbounded",
        NUMBERS,
        || two_to_two(Threads, Queue::new()),
        || two_to_two(Threads, crossbeam(None)),
    ),
    (
        "queue::Queue 8 B two to two, maxsize 1024 : crossbeam bounded",
        NUMBERS,
        || two_to_two(Threads, bounded()),
        || two_to_two(Threads, crossbeam(Some(PLACES))),
    ),
    (
        "queue::SimpleQueue 8 B one to one : crossbeam unbounded",
        NUMBERS,
        || one_to_one(Threads, SimpleQueue::new()),
        || one_to_one(Threads, crossbeam(None)),
    ),
    (
        "queue::SimpleQueue 8 B two to two : crossbeam unbounded",
        NUMBERS,
        || two_to_two(Threads, SimpleQueue::new()),
        || two_to_two(Threads, crossbeam(None)),
    ),
    (
        "queue::Queue 8 B one to one : std mpsc",
        NUMBERS,
        || one_to_one(Threads, Queue::new()),
        || one_to_one(Threads, std()),
    ),
    (
        "queue::Queue 8 B one to one, maxsize 1024 : std mpsc bounded",
        NUMBERS,
        || one_to_one(Threads, bounded()),
        || one_to_one(Threads, std_bounded(PLACES)),
    ),
    (
        "queue::Queue 8 B one to one : flume unbounded",
        NUMBERS,
        || one_to_one(Threads, Queue::new()),
        || one_to_one(Threads, flume(None)),
    ),
    (
        "queue::Queue round trip, hot : crossbeam unbounded",
        TRIPS,
        || there_and_back(Threads, Queue::new(), Queue::new()),
        || there_and_back(Threads, crossbeam(None), crossbeam(None)),
    ),
    (
        "queue::Queue after a pause : crossbeam unbounded",
        PAUSES,
        || after_pauses(Threads, Queue::new()),
        || after_pauses(Threads, crossbeam(None)),
    ),
];

const LOOKS: (u64, Unit) = (10_000_000, Unit::Nanoseconds);

const LOCALS: &[Line] = &[(
    "ThreadLocal with : thread_local get_or",
    LOOKS,
    || {
        let ours = ThreadLocal::<AtomicU64>::default();
        alone(move |number| look(number, |add| ours.with(add)))
    },
    || {
        let theirs = Arc::new(thread_local::ThreadLocal::<AtomicU64>::new());
        alone(move |number| look(number, |add| add(theirs.get_or_default())))
    },
)];

/// Counts in one's own number, and in the contest's.
fn look(number: &AtomicU64, mine: impl FnOnce(fn(&AtomicU64))) {
    mine(|mine| mine.store(mine.load(Relaxed) + 1, Relaxed));
    number.store(number.load(Relaxed) + 1, Relaxed);
}

const APPLIES: (u64, Unit) = (20_000, Unit::Microseconds);
const COLD: (u64, Unit) = (100, Unit::Microseconds);
const ITEMS: (u64, Unit) = (100_000, Unit::Microseconds);

/// So long that workers have gone to sleep.
const PAUSE: Duration = Duration::from_millis(2);

const POOLS: &[Line] = &[
    (
        "ThreadPool hot apply : threadpool",
        APPLIES,
        || repeated(ours(), Duration::ZERO),
        || repeated(theirs(), Duration::ZERO),
    ),
    (
        "ThreadPool apply after a pause : threadpool",
        COLD,
        || repeated(ours(), PAUSE),
        || repeated(theirs(), PAUSE),
    ),
    (
        "ThreadPool map in chunks of one : threadpool",
        ITEMS,
        || {
            let pool = pool();
            mapped(move |count| {
                let values = pool.map_chunked(next, 0..count, 1);
                values.expect("values")
            })
        },
        || {
            let pool = Peer::new();
            mapped(move |count| pool.map(count))
        },
    ),
];

fn pool() -> ThreadPool {
    ThreadPool::new(WORKERS).expect("a pool")
}

fn ours() -> impl Fn(u64) -> u64 {
    let pool = pool();
    move |number| pool.apply(next, (number,)).expect("a value")
}

fn theirs() -> impl Fn(u64) -> u64 {
    let pool = Peer::new();
    move |number| pool.apply(number)
}

/// One after the other; only what follows a pause is counted.
fn repeated(apply: impl Fn(u64) -> u64 + 'static, pause: Duration) -> Timed {
    Box::new(move |times| {
        let mut time = Duration::ZERO;
        for number in 0..times {
            if !pause.is_zero() {
                ::std::thread::sleep(pause);
            }
            let begin = Instant::now();
            assert_eq!(apply(number), number + 1);
            time += begin.elapsed();
        }
        time
    })
}

/// Groups of a thousand.
fn mapped(map: impl Fn(u64) -> Vec<u64> + 'static) -> Timed {
    Box::new(move |items| {
        let begin = Instant::now();
        for _ in 0..items / 1000 {
            assert!(map(1000).into_iter().eq(1..=1000));
        }
        begin.elapsed()
    })
}
