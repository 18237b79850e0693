//! The lines about queues between processes: ours beside channels between threads, pipes, and bare memory.

use super::bare::{Futex, Ring, Slots};
use super::contest::made;
use super::crew::Timed;
use super::idle::{IDLE, beside_idle, kept, memory, used};
use super::mode::sized;
use super::table::{Unit, compare, is_wanted};
use super::traffic::By::{
    Processes, ProcessesAnywhere, ProcessesOnOneCpu, Threads, ThreadsAnywhere,
};
use super::traffic::{
    Look, after_pauses, freight, in_batches, one_to_one, there_and_back, two_to_two,
};
use super::ways::{Bytes, CAPACITY, Crossbeam, Kanal, Loans, Pipe, Split, queue};
use multiproc::{JoinableQueue, SimpleQueue};

/// What is compared, how many pieces, and who takes part, to be made where the line is wanted.
type Line = (&'static str, (u64, Unit), fn() -> Timed, fn() -> Timed);

const NUMBERS: (u64, Unit) = (1_000_000, Unit::MillionsPerSecond);
const FEWER_NUMBERS: (u64, Unit) = (200_000, Unit::MillionsPerSecond);
const TRIPS: (u64, Unit) = (20_000, Unit::Microseconds);
const PAUSES: (u64, Unit) = (100, Unit::Microseconds);

/// Many bytes at a time: how many, how many messages in a round, how many lie on the way at most.
const KIB_64: usize = 64 << 10;
const MIB: usize = 1 << 20;
const OF_64_KIB: (u64, Unit) = (4_000, Unit::GibibytesPerSecond(64 << 10));
const OF_1_MIB: (u64, Unit) = (250, Unit::GibibytesPerSecond(1 << 20));
const PLACES_OF_64_KIB: usize = 16;
const PLACES_OF_1_MIB: usize = 4;

pub(crate) fn all() {
    let tables = [ONE_TO_ONE, MANY, KINDS, LATENCY, BYTES, IN_PLACE, MADE];
    for (what, (pieces, unit), ours, theirs) in tables.into_iter().flatten().copied() {
        if is_wanted(what) {
            compare(what, (sized(pieces, 16), unit), ours(), theirs());
        }
    }
    memory();
}

const ONE_TO_ONE: &[Line] = &[
    (
        "Queue 8 B one to one : crossbeam bounded",
        NUMBERS,
        || one_to_one(Processes, queue(0)),
        || one_to_one(Threads, Crossbeam::new(CAPACITY)),
    ),
    (
        "Queue 8 B one to one, maxsize 1024 : crossbeam bounded",
        NUMBERS,
        || one_to_one(Processes, queue(CAPACITY)),
        || one_to_one(Threads, Crossbeam::new(CAPACITY)),
    ),
    (
        "Queue 8 B one to one : kanal bounded",
        NUMBERS,
        || one_to_one(Processes, queue(0)),
        || one_to_one(Threads, Kanal::new(CAPACITY)),
    ),
    (
        "Queue 8 B one to one : bare ring",
        NUMBERS,
        || one_to_one(Processes, queue(0)),
        || one_to_one(Processes, Ring::new(false)),
    ),
    (
        "Queue 8 B one to one : bare ring that remembers ends",
        NUMBERS,
        || one_to_one(Processes, queue(0)),
        || one_to_one(Processes, Ring::new(true)),
    ),
    (
        "Queue 8 B one to one : pipe",
        NUMBERS,
        || one_to_one(Processes, queue(0)),
        || one_to_one(Processes, Pipe::new()),
    ),
];

const MANY: &[Line] = &[
    (
        "Queue 8 B two to two : crossbeam bounded",
        NUMBERS,
        || two_to_two(Processes, queue(0)),
        || two_to_two(Threads, Crossbeam::new(CAPACITY)),
    ),
    (
        "Queue 8 B two to two, maxsize 1024 : crossbeam bounded",
        NUMBERS,
        || two_to_two(Processes, queue(CAPACITY)),
        || two_to_two(Threads, Crossbeam::new(CAPACITY)),
    ),
    (
        "Queue 8 B two to two, anywhere : crossbeam bounded",
        NUMBERS,
        || two_to_two(ProcessesAnywhere, queue(0)),
        || two_to_two(ThreadsAnywhere, Crossbeam::new(CAPACITY)),
    ),
    (
        "Queue 8 B one to one by 64 : crossbeam bounded",
        NUMBERS,
        || in_batches(Processes, queue(0)),
        || in_batches(Threads, Crossbeam::new(CAPACITY)),
    ),
    (
        "Queue 8 B one to one by 64 : Queue one by one",
        NUMBERS,
        || in_batches(Processes, queue(0)),
        || one_to_one(Processes, queue(0)),
    ),
];

/// The other kinds of queues.
const KINDS: &[Line] = &[
    (
        "Queue 8 B one to one, Sender to Receiver : Queue",
        NUMBERS,
        || one_to_one(Processes, Split::new()),
        || one_to_one(Processes, queue(0)),
    ),
    (
        "Queue 8 B one to one, SimpleQueue : Queue",
        NUMBERS,
        || one_to_one(Processes, SimpleQueue::new().expect("a queue")),
        || one_to_one(Processes, queue(0)),
    ),
    (
        "Queue 8 B one to one, JoinableQueue with task_done : Queue",
        FEWER_NUMBERS,
        || one_to_one(Processes, JoinableQueue::new().expect("a queue")),
        || one_to_one(Processes, queue(0)),
    ),
];

const LATENCY: &[Line] = &[
    (
        "Queue round trip, hot : crossbeam bounded",
        TRIPS,
        || there_and_back(Processes, queue(0), queue(0)),
        || there_and_back(Threads, Crossbeam::new(CAPACITY), Crossbeam::new(CAPACITY)),
    ),
    (
        "Queue round trip, hot : bare ring",
        TRIPS,
        || there_and_back(Processes, queue(0), queue(0)),
        || there_and_back(Processes, Ring::new(false), Ring::new(false)),
    ),
    (
        "Queue round trip, one CPU : pipes",
        TRIPS,
        || there_and_back(ProcessesOnOneCpu, queue(0), queue(0)),
        || there_and_back(ProcessesOnOneCpu, Pipe::new(), Pipe::new()),
    ),
    (
        "Queue one way, cold : bare futex",
        PAUSES,
        || after_pauses(Processes, queue(0)),
        || after_pauses(Processes, Futex::new()),
    ),
];

const SMALLER: (usize, Look) = (KIB_64, Look::Ends);
const LARGER: (usize, Look) = (MIB, Look::Ends);

const BYTES: &[Line] = &[
    (
        "Queue put_bytes get_into 64 KiB : bare slots",
        OF_64_KIB,
        || freight(Processes, Bytes(queue(PLACES_OF_64_KIB)), SMALLER),
        || {
            freight(
                Processes,
                Slots::new(PLACES_OF_64_KIB, KIB_64, true),
                SMALLER,
            )
        },
    ),
    (
        "Queue put_bytes get_into 1 MiB : bare slots",
        OF_1_MIB,
        || freight(Processes, Bytes(queue(PLACES_OF_1_MIB)), LARGER),
        || freight(Processes, Slots::new(PLACES_OF_1_MIB, MIB, true), LARGER),
    ),
    (
        "Queue put_bytes get_into 64 KiB : crossbeam bounded, clones",
        OF_64_KIB,
        || freight(Processes, Bytes(queue(PLACES_OF_64_KIB)), SMALLER),
        || freight(Threads, Crossbeam::new(PLACES_OF_64_KIB), SMALLER),
    ),
    (
        "Queue put_bytes get_into 1 MiB : crossbeam bounded, clones",
        OF_1_MIB,
        || freight(Processes, Bytes(queue(PLACES_OF_1_MIB)), LARGER),
        || freight(Threads, Crossbeam::new(PLACES_OF_1_MIB), LARGER),
    ),
    (
        "Queue Vec<u8> 64 KiB : pipe",
        OF_64_KIB,
        || freight(Processes, queue(PLACES_OF_64_KIB), SMALLER),
        || freight(Processes, Pipe::new(), SMALLER),
    ),
    (
        "Queue Vec<u8> 1 MiB : pipe",
        OF_1_MIB,
        || freight(Processes, queue(PLACES_OF_1_MIB), LARGER),
        || freight(Processes, Pipe::new(), LARGER),
    ),
    (
        "Queue Vec<u8> 64 KiB : crossbeam bounded, clones",
        OF_64_KIB,
        || freight(Processes, queue(PLACES_OF_64_KIB), SMALLER),
        || freight(Threads, Crossbeam::new(PLACES_OF_64_KIB), SMALLER),
    ),
    (
        "Queue Vec<u8> 1 MiB : crossbeam bounded, clones",
        OF_1_MIB,
        || freight(Processes, queue(PLACES_OF_1_MIB), LARGER),
        || freight(Threads, Crossbeam::new(PLACES_OF_1_MIB), LARGER),
    ),
];

/// Who gets them reads all of them.
const SMALLER_READ: (usize, Look) = (KIB_64, Look::All);
const LARGER_READ: (usize, Look) = (MIB, Look::All);

const IN_PLACE: &[Line] = &[
    (
        "Queue put_bytes get_loan 64 KiB, read : bare slots in place",
        OF_64_KIB,
        || freight(Processes, Loans(queue(PLACES_OF_64_KIB)), SMALLER_READ),
        || {
            freight(
                Processes,
                Slots::new(PLACES_OF_64_KIB, KIB_64, false),
                SMALLER_READ,
            )
        },
    ),
    (
        "Queue put_bytes get_loan 1 MiB, read : bare slots in place",
        OF_1_MIB,
        || freight(Processes, Loans(queue(PLACES_OF_1_MIB)), LARGER_READ),
        || {
            freight(
                Processes,
                Slots::new(PLACES_OF_1_MIB, MIB, false),
                LARGER_READ,
            )
        },
    ),
    (
        "Queue put_bytes get_loan 64 KiB, read : get_into",
        OF_64_KIB,
        || freight(Processes, Loans(queue(PLACES_OF_64_KIB)), SMALLER_READ),
        || freight(Processes, Bytes(queue(PLACES_OF_64_KIB)), SMALLER_READ),
    ),
    (
        "Queue put_bytes get_loan 1 MiB, read : get_into",
        OF_1_MIB,
        || freight(Processes, Loans(queue(PLACES_OF_1_MIB)), LARGER_READ),
        || freight(Processes, Bytes(queue(PLACES_OF_1_MIB)), LARGER_READ),
    ),
];

const MADE: &[Line] = &[
    (
        "Queue new : pipe",
        EACH,
        || made(|| queue::<u64>(0)),
        || made(Pipe::new),
    ),
    (
        "Queue new, and one number put and got : pipe",
        EACH,
        || made(|| used(queue(0))),
        || made(|| used(Pipe::new())),
    ),
    (
        "Queue new, so many at once : crossbeam unbounded",
        (IDLE, Unit::Nanoseconds),
        || kept(|| used(queue(0))),
        || kept(|| used(Crossbeam::unbounded())),
    ),
    (
        "Queue 8 B one to one, beside 10,000 idle ones : beside none",
        NUMBERS,
        || beside_idle(sized(IDLE, 16)),
        || one_to_one(Processes, queue(0)),
    ),
];

const EACH: (u64, Unit) = (10_000, Unit::Nanoseconds);
