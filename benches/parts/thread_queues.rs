//! Queues between threads beside channels: numbers from one to one, from two to two, there and back, after a pause, and by one
//! thread alone.

use super::channels::{crossbeam, flume, std, std_bounded};
use super::crew::{Timed, count_cpus};
use super::traffic::By::{Threads, ThreadsAnywhere};
use super::traffic::{Way, after_pauses, one_to_one, there_and_back, two_to_two};
use criterion::{Criterion, Throughput};
use multiproc::queue::{LifoQueue, PriorityQueue, Queue, SimpleQueue};
use std::time::Instant;

type Entry = (&'static str, fn() -> Timed);

/// Places in what is bounded.
const PLACES: usize = 1024;
const SOME: Option<usize> = Some(PLACES);

fn bounded() -> Queue<u64> {
    Queue::with_maxsize(PLACES)
}

const ONE_TO_ONE: &[Entry] = &[
    ("Queue", || one_to_one(Threads, Queue::new())),
    ("SimpleQueue", || one_to_one(Threads, SimpleQueue::new())),
    ("std", || one_to_one(Threads, std())),
    ("crossbeam", || one_to_one(Threads, crossbeam(None))),
    ("flume", || one_to_one(Threads, flume(None))),
];

const ONE_TO_ONE_BOUNDED: &[Entry] = &[
    ("Queue", || one_to_one(Threads, bounded())),
    ("std", || one_to_one(Threads, std_bounded(PLACES))),
    ("crossbeam", || one_to_one(Threads, crossbeam(SOME))),
    ("flume", || one_to_one(Threads, flume(SOME))),
];

const TWO_TO_TWO: &[Entry] = &[
    ("Queue", || two_to_two(Threads, Queue::new())),
    ("SimpleQueue", || two_to_two(Threads, SimpleQueue::new())),
    ("LifoQueue", || two_to_two(Threads, LifoQueue::new())),
    ("crossbeam", || two_to_two(Threads, crossbeam(None))),
    ("flume", || two_to_two(Threads, flume(None))),
];

const TWO_TO_TWO_BOUNDED: &[Entry] = &[
    ("Queue", || two_to_two(Threads, bounded())),
    ("LifoQueue", || {
        two_to_two(Threads, LifoQueue::with_maxsize(PLACES))
    }),
    ("PriorityQueue", || {
        two_to_two(Threads, PriorityQueue::with_maxsize(PLACES))
    }),
    ("crossbeam", || two_to_two(Threads, crossbeam(SOME))),
    ("flume", || two_to_two(Threads, flume(SOME))),
];

const TWO_TO_TWO_ANYWHERE: &[Entry] = &[
    ("Queue", || two_to_two(ThreadsAnywhere, bounded())),
    ("crossbeam", || two_to_two(ThreadsAnywhere, crossbeam(SOME))),
    ("flume", || two_to_two(ThreadsAnywhere, flume(SOME))),
];

const ROUND_TRIP: &[Entry] = &[
    ("Queue", || {
        there_and_back(Threads, Queue::new(), Queue::new())
    }),
    ("SimpleQueue", || {
        there_and_back(Threads, SimpleQueue::new(), SimpleQueue::new())
    }),
    ("std", || there_and_back(Threads, std(), std())),
    ("crossbeam", || {
        there_and_back(Threads, crossbeam(None), crossbeam(None))
    }),
    ("flume", || {
        there_and_back(Threads, flume(None), flume(None))
    }),
];

const COLD: &[Entry] = &[
    ("Queue", || after_pauses(Threads, Queue::new())),
    ("SimpleQueue", || after_pauses(Threads, SimpleQueue::new())),
    ("std", || after_pauses(Threads, std())),
    ("crossbeam", || after_pauses(Threads, crossbeam(None))),
    ("flume", || after_pauses(Threads, flume(None))),
];

const ALONE: &[Entry] = &[
    ("Queue", || alone(Queue::new())),
    ("Queue_maxsize", || alone(bounded())),
    ("SimpleQueue", || alone(SimpleQueue::new())),
    ("LifoQueue", || alone(LifoQueue::new())),
    ("PriorityQueue", || alone(PriorityQueue::new())),
    ("std", || alone(std())),
    ("crossbeam", || alone(crossbeam(None))),
    ("crossbeam_bounded", || alone(crossbeam(SOME))),
    ("flume", || alone(flume(None))),
];

/// One thread puts and gets, over ten that are there all the time.
fn alone(way: impl Way) -> Timed {
    (0..10).for_each(|number| way.put(number));
    Box::new(move |rounds| {
        let begin = Instant::now();
        for number in 0..rounds {
            way.put(number);
            way.get();
        }
        begin.elapsed()
    })
}

pub(crate) fn groups(criterion: &mut Criterion) {
    super::cpus::confine();
    count_cpus();
    let groups = [
        ("threads/one_to_one", ONE_TO_ONE),
        ("threads/one_to_one_bounded", ONE_TO_ONE_BOUNDED),
        ("threads/two_to_two", TWO_TO_TWO),
        ("threads/two_to_two_bounded", TWO_TO_TWO_BOUNDED),
        ("threads/two_to_two_anywhere", TWO_TO_TWO_ANYWHERE),
        ("threads/round_trip", ROUND_TRIP),
        ("threads/cold", COLD),
        ("threads/alone", ALONE),
    ];
    for (name, entries) in groups {
        let mut group = criterion.benchmark_group(name);
        group.throughput(Throughput::Elements(1)).sample_size(20);
        for (name, contestant) in entries {
            group.bench_function(*name, |bencher| {
                let timed = contestant();
                bencher.iter_custom(timed);
            });
        }
        group.finish();
    }
}
