//! Connections between processes beside the socket pair that they are made of, and beside the kernel's pipe: small messages there and
//! back, after a pause, one way, and many bytes at a time.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};

/// What `ratios` has too.
#[expect(dead_code, reason = "this program needs only some of it")]
mod parts {
    pub(crate) mod clock;
    pub(crate) mod cpus;
    pub(crate) mod crew;
    pub(crate) mod memory;
    pub(crate) mod sem;
    pub(crate) mod traffic;
    pub(crate) mod ways;
    pub(crate) mod wires;
}

use parts::crew::Timed;
use parts::traffic::By::{self, Processes, ProcessesOnOneCpu};
use parts::traffic::{Look, Way, after_pauses, freight, one_to_one, there_and_back};
use parts::ways::Pipe;
use parts::wires::{Wire, connection, sockets, values};

type Entry = (&'static str, fn() -> Timed);

fn round_trips<E>(by: By, wire: Wire<E>) -> Timed
where
    Wire<E>: Way,
{
    let (there, back) = wire.both();
    there_and_back(by, there, back)
}

const ROUND_TRIP: &[Entry] = &[
    ("Connection_bytes", || round_trips(Processes, connection())),
    ("Connection_values", || round_trips(Processes, values())),
    ("socketpair", || round_trips(Processes, sockets())),
    ("pipes", || {
        there_and_back(Processes, Pipe::new(), Pipe::new())
    }),
];

const ON_ONE_CPU: &[Entry] = &[
    ("Connection_bytes", || {
        round_trips(ProcessesOnOneCpu, connection())
    }),
    ("Connection_values", || {
        round_trips(ProcessesOnOneCpu, values())
    }),
    ("socketpair", || round_trips(ProcessesOnOneCpu, sockets())),
    ("pipes", || {
        there_and_back(ProcessesOnOneCpu, Pipe::new(), Pipe::new())
    }),
];

const COLD: &[Entry] = &[
    ("Connection_bytes", || after_pauses(Processes, connection())),
    ("socketpair", || after_pauses(Processes, sockets())),
    ("pipe", || after_pauses(Processes, Pipe::new())),
];

const OF_8_B: &[Entry] = &[
    ("Connection_bytes", || one_to_one(Processes, connection())),
    ("Connection_values", || one_to_one(Processes, values())),
    ("socketpair", || one_to_one(Processes, sockets())),
    ("pipe", || one_to_one(Processes, Pipe::new())),
];

const KIB_64: (usize, Look) = (64 << 10, Look::Ends);

const OF_64_KIB: &[Entry] = &[
    ("Connection_bytes", || {
        freight(Processes, connection(), KIB_64)
    }),
    ("socketpair", || freight(Processes, sockets(), KIB_64)),
    ("pipe", || freight(Processes, Pipe::new(), KIB_64)),
];

fn pipes(criterion: &mut Criterion) {
    parts::cpus::confine();
    parts::crew::count_cpus();
    let one = Throughput::Elements(1);
    let groups = [
        ("pipe/round_trip", ROUND_TRIP, one.clone()),
        ("pipe/round_trip_on_one_CPU", ON_ONE_CPU, one.clone()),
        ("pipe/cold", COLD, one.clone()),
        ("pipe/8_B", OF_8_B, one),
        ("pipe/64_KiB", OF_64_KIB, Throughput::Bytes(64 << 10)),
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

criterion_group!(benches, pipes);
criterion_main!(benches);
