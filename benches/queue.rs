//! Queues between processes beside bounded channels between threads, the kernel's pipe, and rings in bare memory: small numbers
//! from one to one, from two to two, there and back, after a pause; and many bytes at a time.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use multiproc::{JoinableQueue, SimpleQueue};

mod parts {
    pub(crate) mod bare;
    pub(crate) mod clock;
    pub(crate) mod cpus;
    pub(crate) mod crew;
    pub(crate) mod memory;
    pub(crate) mod sem;
    pub(crate) mod traffic;
    pub(crate) mod ways;
}

use parts::bare::{Futex, Ring, Slots};
use parts::crew::Timed;
use parts::traffic::By::{
    Processes, ProcessesAnywhere, ProcessesOnOneCpu, Threads, ThreadsAnywhere,
};
use parts::traffic::{
    Look, after_pauses, freight, in_batches, one_to_one, there_and_back, two_to_two,
};
use parts::ways::{Bytes, CAPACITY, Crossbeam, Kanal, Loans, Pipe, Split, queue};

type Entry = (&'static str, fn() -> Timed);

const ONE_TO_ONE: &[Entry] = &[
    ("Queue_by_64", || in_batches(Processes, queue(0))),
    ("Queue_split", || one_to_one(Processes, Split::new())),
    ("SimpleQueue", || {
        one_to_one(Processes, SimpleQueue::new().expect("a queue"))
    }),
    ("JoinableQueue", || {
        one_to_one(Processes, JoinableQueue::new().expect("a queue"))
    }),
    ("Queue", || one_to_one(Processes, queue(0))),
    ("Queue_maxsize", || one_to_one(Processes, queue(CAPACITY))),
    ("crossbeam_unbounded", || {
        one_to_one(Threads, Crossbeam::unbounded())
    }),
    ("crossbeam_bounded", || {
        one_to_one(Threads, Crossbeam::new(CAPACITY))
    }),
    ("kanal_bounded", || {
        one_to_one(Threads, Kanal::new(CAPACITY))
    }),
    ("bare_ring", || one_to_one(Processes, Ring::new(false))),
    ("bare_ring_that_remembers", || {
        one_to_one(Processes, Ring::new(true))
    }),
    ("pipe", || one_to_one(Processes, Pipe::new())),
];

const TWO_TO_TWO: &[Entry] = &[
    ("Queue", || two_to_two(Processes, queue(0))),
    ("Queue_maxsize", || two_to_two(Processes, queue(CAPACITY))),
    ("crossbeam_bounded", || {
        two_to_two(Threads, Crossbeam::new(CAPACITY))
    }),
    ("kanal_bounded", || {
        two_to_two(Threads, Kanal::new(CAPACITY))
    }),
];

const TWO_TO_TWO_ANYWHERE: &[Entry] = &[
    ("Queue", || two_to_two(ProcessesAnywhere, queue(0))),
    ("crossbeam_bounded", || {
        two_to_two(ThreadsAnywhere, Crossbeam::new(CAPACITY))
    }),
];

const ROUND_TRIP: &[Entry] = &[
    ("Queue", || there_and_back(Processes, queue(0), queue(0))),
    ("crossbeam_bounded", || {
        there_and_back(Threads, Crossbeam::new(CAPACITY), Crossbeam::new(CAPACITY))
    }),
    ("bare_ring", || {
        there_and_back(Processes, Ring::new(false), Ring::new(false))
    }),
    ("pipes", || {
        there_and_back(Processes, Pipe::new(), Pipe::new())
    }),
];

const ON_ONE_CPU: &[Entry] = &[
    ("Queue", || {
        there_and_back(ProcessesOnOneCpu, queue(0), queue(0))
    }),
    ("pipes", || {
        there_and_back(ProcessesOnOneCpu, Pipe::new(), Pipe::new())
    }),
];

const COLD: &[Entry] = &[
    ("Queue", || after_pauses(Processes, queue(0))),
    ("bare_futex", || after_pauses(Processes, Futex::new())),
    ("crossbeam_bounded", || {
        after_pauses(Threads, Crossbeam::new(CAPACITY))
    }),
    ("pipe", || after_pauses(Processes, Pipe::new())),
];

const KIB_64: (usize, Look) = (64 << 10, Look::Ends);
const MIB: (usize, Look) = (1 << 20, Look::Ends);

const OF_64_KIB: &[Entry] = &[
    ("Queue_bytes", || {
        freight(Processes, Bytes(queue(16)), KIB_64)
    }),
    ("Queue_loans", || {
        freight(Processes, Loans(queue(16)), (KIB_64.0, Look::All))
    }),
    ("Queue_values", || freight(Processes, queue(16), KIB_64)),
    ("bare_slots", || {
        freight(Processes, Slots::new(16, KIB_64.0, true), KIB_64)
    }),
    ("bare_slots_in_place", || {
        freight(
            Processes,
            Slots::new(16, KIB_64.0, false),
            (KIB_64.0, Look::All),
        )
    }),
    ("crossbeam_bounded", || {
        freight(Threads, Crossbeam::new(16), KIB_64)
    }),
    ("pipe", || freight(Processes, Pipe::new(), KIB_64)),
];

const OF_1_MIB: &[Entry] = &[
    ("Queue_bytes", || freight(Processes, Bytes(queue(4)), MIB)),
    ("Queue_loans", || {
        freight(Processes, Loans(queue(4)), (MIB.0, Look::All))
    }),
    ("Queue_values", || freight(Processes, queue(4), MIB)),
    ("bare_slots", || {
        freight(Processes, Slots::new(4, MIB.0, true), MIB)
    }),
    ("crossbeam_bounded", || {
        freight(Threads, Crossbeam::new(4), MIB)
    }),
    ("pipe", || freight(Processes, Pipe::new(), MIB)),
];

fn queues(criterion: &mut Criterion) {
    parts::cpus::confine();
    parts::crew::count_cpus();
    let one = Throughput::Elements(1);
    let bytes = |(size, _)| Throughput::Bytes(size as u64);
    let groups = [
        ("queue/one_to_one", ONE_TO_ONE, one.clone()),
        ("queue/two_to_two", TWO_TO_TWO, one.clone()),
        (
            "queue/two_to_two_anywhere",
            TWO_TO_TWO_ANYWHERE,
            one.clone(),
        ),
        ("queue/round_trip", ROUND_TRIP, one.clone()),
        ("queue/round_trip_on_one_CPU", ON_ONE_CPU, one.clone()),
        ("queue/cold", COLD, one.clone()),
        ("queue/64_KiB", OF_64_KIB, bytes(KIB_64)),
        ("queue/1_MiB", OF_1_MIB, bytes(MIB)),
    ];
    for (name, entries, throughput) in groups {
        let mut group = criterion.benchmark_group(name);
        group.throughput(throughput).sample_size(20);
        for (name, contestant) in entries {
            group.bench_function(*name, |bencher| {
                let timed = contestant();
                bencher.iter_custom(timed);
            });
        }
        group.finish();
    }
}

criterion_group!(benches, queues);
criterion_main!(benches);
