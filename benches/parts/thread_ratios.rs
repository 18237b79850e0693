//! The lines about queues between threads: ours beside channels.

use super::channels::{crossbeam, flume, std, std_bounded};
use super::crew::Timed;
use super::mode::sized;
use super::table::{Unit, compare, is_wanted};
use super::traffic::By::Threads;
use super::traffic::{after_pauses, one_to_one, there_and_back, two_to_two};
use multiproc::queue::{Queue, SimpleQueue};

type Line = (&'static str, (u64, Unit), fn() -> Timed, fn() -> Timed);

const NUMBERS: (u64, Unit) = (1_000_000, Unit::MillionsPerSecond);
const TRIPS: (u64, Unit) = (20_000, Unit::Microseconds);
const PAUSES: (u64, Unit) = (100, Unit::Microseconds);

/// Places in what is bounded.
const PLACES: usize = 1024;

pub(crate) fn all() {
    for (what, (pieces, unit), ours, theirs) in LINES.iter().copied() {
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
