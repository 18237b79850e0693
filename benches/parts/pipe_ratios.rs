//! The lines about connections: ours beside the sockets that they are made of, and beside pipes.

use super::contest::made;
use super::crew::Timed;
use super::mode::sized;
use super::table::{Unit, compare, is_wanted};
use super::traffic::By::{self, Processes, ProcessesOnOneCpu};
use super::traffic::{Look, Way, after_pauses, freight, one_to_one, there_and_back};
use super::ways::Pipe;
use super::wires::{Wire, connection, sockets, values};

/// What is compared, how many pieces, and who takes part, to be made where the line is wanted.
type Line = (&'static str, (u64, Unit), fn() -> Timed, fn() -> Timed);

const NUMBERS: (u64, Unit) = (200_000, Unit::MillionsPerSecond);
const TRIPS: (u64, Unit) = (10_000, Unit::Microseconds);
const PAUSES: (u64, Unit) = (100, Unit::Microseconds);
const KIB_64: (usize, Look) = (64 << 10, Look::Ends);
const OF_64_KIB: (u64, Unit) = (8_000, Unit::GibibytesPerSecond(64 << 10));
const EACH: (u64, Unit) = (10_000, Unit::Nanoseconds);

pub(crate) fn all() {
    for (what, (pieces, unit), ours, theirs) in LATENCY.iter().chain(THROUGHPUT).copied() {
        if is_wanted(what) {
            compare(what, (sized(pieces, 16), unit), ours(), theirs());
        }
    }
}

/// Over one pair.
pub(crate) fn round_trips<E>(by: By, wire: Wire<E>) -> Timed
where
    Wire<E>: Way,
{
    let (there, back) = wire.both();
    there_and_back(by, there, back)
}

const LATENCY: &[Line] = &[
    (
        "Connection round trip, hot : socketpair",
        TRIPS,
        || round_trips(Processes, connection()),
        || round_trips(Processes, sockets()),
    ),
    (
        "Connection round trip, hot : pipes",
        TRIPS,
        || round_trips(Processes, connection()),
        || there_and_back(Processes, Pipe::new(), Pipe::new()),
    ),
    (
        "Connection round trip, one CPU : socketpair",
        TRIPS,
        || round_trips(ProcessesOnOneCpu, connection()),
        || round_trips(ProcessesOnOneCpu, sockets()),
    ),
    (
        "Connection round trip, one CPU : pipes",
        TRIPS,
        || round_trips(ProcessesOnOneCpu, connection()),
        || there_and_back(ProcessesOnOneCpu, Pipe::new(), Pipe::new()),
    ),
    (
        "Connection of u64 round trip, one CPU : socketpair",
        TRIPS,
        || round_trips(ProcessesOnOneCpu, values()),
        || round_trips(ProcessesOnOneCpu, sockets()),
    ),
    (
        "Connection one way, cold : socketpair",
        PAUSES,
        || after_pauses(Processes, connection()),
        || after_pauses(Processes, sockets()),
    ),
];

const THROUGHPUT: &[Line] = &[
    (
        "Connection 8 B : socketpair",
        NUMBERS,
        || one_to_one(Processes, connection()),
        || one_to_one(Processes, sockets()),
    ),
    (
        "Connection 8 B : pipe",
        NUMBERS,
        || one_to_one(Processes, connection()),
        || one_to_one(Processes, Pipe::new()),
    ),
    (
        "Connection of u64 : socketpair",
        NUMBERS,
        || one_to_one(Processes, values()),
        || one_to_one(Processes, sockets()),
    ),
    (
        "Connection 64 KiB : socketpair",
        OF_64_KIB,
        || freight(Processes, connection(), KIB_64),
        || freight(Processes, sockets(), KIB_64),
    ),
    (
        "Connection 64 KiB : pipe",
        OF_64_KIB,
        || freight(Processes, connection(), KIB_64),
        || freight(Processes, Pipe::new(), KIB_64),
    ),
    (
        "Connection pair made : socketpair",
        EACH,
        || made(connection),
        || made(sockets),
    ),
];
