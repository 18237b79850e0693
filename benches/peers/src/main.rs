//! This crate's queue and connection beside what other crates have for messages between processes, and beside channels between threads:
//! by the same rules, and with the same code, as the table of `cargo bench --bench ratios`.
//!
//! With words as arguments, only the lines that have one of them; `--best` takes the best of the ten rounds instead of the
//! median, `--test` runs a little of everything once.

mod peers;

/// What `benches/ratios.rs` is made of.
#[expect(dead_code, reason = "this program needs only some of it")]
#[path = "../../parts"]
mod parts {
    pub(crate) mod clock;
    pub(crate) mod cpus;
    pub(crate) mod crew;
    pub(crate) mod memory;
    pub(crate) mod mode;
    pub(crate) mod sem;
    pub(crate) mod table;
    pub(crate) mod traffic;
    pub(crate) mod ways;
    pub(crate) mod wires;
}

use parts::crew::Timed;
use parts::mode::sized;
use parts::table::{Unit, compare, is_wanted};
use parts::traffic::By::{Processes, ProcessesOnOneCpu, Threads};
use parts::traffic::{By, Look, Way, freight, one_to_one, there_and_back};
use parts::ways::{Bytes, CAPACITY, Crossbeam, Kanal, Loans, queue};
use parts::wires::{Wire, connection, values};
use peers::{Blob, Crossmist, Iceoryx, IpcBytes, IpcChannel, Number, local_sockets};

/// A peer, and how it carries the messages.
type Peer = (&'static str, fn() -> Timed);

/// What is carried, how many pieces, by this crate, by others.
type Lines = (&'static str, (u64, Unit), fn() -> Timed, &'static [Peer]);

const KIB_64: (usize, Look) = (64 << 10, Look::Ends);
const MIB: (usize, Look) = (1 << 20, Look::Ends);

const MILLIONS: (u64, Unit) = (300_000, Unit::MillionsPerSecond);
const TRIPS: (u64, Unit) = (20_000, Unit::Microseconds);
const KIBIBYTES: (u64, Unit) = (4_000, Unit::GibibytesPerSecond(64 << 10));
const MEBIBYTES: (u64, Unit) = (250, Unit::GibibytesPerSecond(1 << 20));

const ALL: [Lines; 11] = [
    (
        "8 B one way",
        MILLIONS,
        || one_to_one(Processes, queue(0)),
        ONE_WAY,
    ),
    (
        "round trip, hot",
        TRIPS,
        || there_and_back(Processes, queue(0), queue(0)),
        ROUND_TRIP,
    ),
    (
        "64 KiB",
        KIBIBYTES,
        || freight(Processes, Bytes(queue(16)), KIB_64),
        OF_64_KIB,
    ),
    (
        "1 MiB",
        MEBIBYTES,
        || freight(Processes, Bytes(queue(4)), MIB),
        OF_1_MIB,
    ),
    (
        "64 KiB in place",
        KIBIBYTES,
        || freight(Processes, Loans(queue(16)), KIB_64),
        &[("iceoryx2", || {
            freight(Processes, Iceoryx::<[u8]>::new(16, KIB_64.0), KIB_64)
        })],
    ),
    (
        "1 MiB in place",
        MEBIBYTES,
        || freight(Processes, Loans(queue(4)), MIB),
        &[("iceoryx2", || {
            freight(Processes, Iceoryx::<[u8]>::new(4, MIB.0), MIB)
        })],
    ),
    (
        "Connection 8 B",
        MILLIONS,
        || one_to_one(Processes, values()),
        BY_VALUE,
    ),
    (
        "Connection 8 B, bytes",
        MILLIONS,
        || one_to_one(Processes, connection()),
        &[("interprocess", || one_to_one(Processes, local_sockets()))],
    ),
    (
        "Connection round trip, hot",
        TRIPS,
        || round_trips(Processes, values()),
        ROUND_TRIP_OF_CONNECTIONS,
    ),
    (
        "Connection round trip, one CPU",
        TRIPS,
        || round_trips(ProcessesOnOneCpu, values()),
        ROUND_TRIP_ON_ONE_CPU,
    ),
    (
        "Connection 64 KiB",
        KIBIBYTES,
        || freight(Processes, connection(), KIB_64),
        CONNECTIONS_OF_64_KIB,
    ),
];

/// Both ways over one pair.
fn round_trips<E>(by: By, wire: Wire<E>) -> Timed
where
    Wire<E>: Way,
{
    let (there, back) = wire.both();
    there_and_back(by, there, back)
}

const BY_VALUE: &[Peer] = &[
    ("ipc-channel", || one_to_one(Processes, IpcChannel::new())),
    ("crossmist", || {
        one_to_one(Processes, Crossmist::<Number>::new())
    }),
];

const ROUND_TRIP_OF_CONNECTIONS: &[Peer] = &[
    ("ipc-channel", || {
        there_and_back(Processes, IpcChannel::new(), IpcChannel::new())
    }),
    ("crossmist", || {
        let way = Crossmist::<Number>::new;
        there_and_back(Processes, way(), way())
    }),
    ("interprocess", || round_trips(Processes, local_sockets())),
];

const ROUND_TRIP_ON_ONE_CPU: &[Peer] = &[
    ("ipc-channel", || {
        there_and_back(ProcessesOnOneCpu, IpcChannel::new(), IpcChannel::new())
    }),
    ("crossmist", || {
        let way = Crossmist::<Number>::new;
        there_and_back(ProcessesOnOneCpu, way(), way())
    }),
    ("interprocess", || {
        round_trips(ProcessesOnOneCpu, local_sockets())
    }),
];

const CONNECTIONS_OF_64_KIB: &[Peer] = &[
    ("ipc-channel, bytes", || {
        freight(Processes, IpcBytes::new(), KIB_64)
    }),
    ("crossmist", || {
        freight(Processes, Crossmist::<Blob>::new(), KIB_64)
    }),
    ("interprocess", || {
        freight(Processes, local_sockets(), KIB_64)
    }),
];

fn main() {
    parts::cpus::confine();
    parts::table::head();
    parts::crew::count_cpus();
    for (what, (pieces, unit), ours, peers) in ALL {
        for (name, theirs) in peers {
            let line = format!("{what} : {name}");
            if is_wanted(&line) {
                compare(&line, (sized(pieces, 16), unit), ours(), theirs());
            }
        }
    }
}

const ONE_WAY: &[Peer] = &[
    ("ipc-channel", || one_to_one(Processes, IpcChannel::new())),
    ("crossmist", || {
        one_to_one(Processes, Crossmist::<Number>::new())
    }),
    ("iceoryx2", || {
        one_to_one(Processes, Iceoryx::<u64>::new(CAPACITY, 1))
    }),
    ("kanal, threads", || {
        one_to_one(Threads, Kanal::new(CAPACITY))
    }),
    ("crossbeam, threads", || {
        one_to_one(Threads, Crossbeam::new(CAPACITY))
    }),
];

const ROUND_TRIP: &[Peer] = &[
    ("ipc-channel", || {
        there_and_back(Processes, IpcChannel::new(), IpcChannel::new())
    }),
    ("crossmist", || {
        there_and_back(
            Processes,
            Crossmist::<Number>::new(),
            Crossmist::<Number>::new(),
        )
    }),
    ("iceoryx2", || {
        let way = || Iceoryx::<u64>::new(CAPACITY, 1);
        there_and_back(Processes, way(), way())
    }),
    ("kanal, threads", || {
        there_and_back(Threads, Kanal::new(CAPACITY), Kanal::new(CAPACITY))
    }),
    ("crossbeam, threads", || {
        there_and_back(Threads, Crossbeam::new(CAPACITY), Crossbeam::new(CAPACITY))
    }),
];

const OF_64_KIB: &[Peer] = &[
    ("ipc-channel, bytes", || {
        freight(Processes, IpcBytes::new(), KIB_64)
    }),
    ("crossmist", || {
        freight(Processes, Crossmist::<Blob>::new(), KIB_64)
    }),
    ("kanal, threads", || {
        freight(Threads, Kanal::new(16), KIB_64)
    }),
    ("crossbeam, threads", || {
        freight(Threads, Crossbeam::new(16), KIB_64)
    }),
];

const OF_1_MIB: &[Peer] = &[
    ("ipc-channel, bytes", || {
        freight(Processes, IpcBytes::new(), MIB)
    }),
    ("crossmist", || {
        freight(Processes, Crossmist::<Blob>::new(), MIB)
    }),
    ("kanal, threads", || freight(Threads, Kanal::new(4), MIB)),
    ("crossbeam, threads", || {
        freight(Threads, Crossbeam::new(4), MIB)
    }),
];
