//! The lines about who may go on and who must wait: ours beside parking_lot, std, and the C library's objects for processes.

use super::contest::{alone, by_processes, by_two, by_two_threads, made, trips, trips_by_threads};
use super::crew::Place::{Anywhere, Apart, OneCpu};
use super::crew::Timed;
use super::mode::sized;
use super::ours::{across, raw_fetch_add, value_update, within};
use super::posix::RobustMutex;
use super::rivals::{
    atomic, parking_lot_mutex, parking_lot_read, parking_lot_write, pipe_trips, robust,
    robust_number, robust_recursive, robust_twice, sem_t, sem_t_trips, spinning, std_barrier,
    std_mutex,
};
use super::table::{Unit, compare, is_wanted};
use multiproc::{
    Array, Barrier, BoundedSemaphore, Condition, Event, Lock, RLock, RawArray, RawValue, RwLock,
    Semaphore, Value, threading,
};

/// What is compared, how many rounds, and who takes part, to be made where the line is wanted.
type Line = (&'static str, (u64, Unit), fn() -> Timed, fn() -> Timed);

const ALONE: (u64, Unit) = (2_000_000, Unit::Nanoseconds);
const TOGETHER: (u64, Unit) = (1_000_000, Unit::Nanoseconds);
const TRIPS: (u64, Unit) = (20_000, Unit::Microseconds);
const MADE: (u64, Unit) = (20_000, Unit::Nanoseconds);

pub(crate) fn all() {
    let tables = [
        LOCKS,
        RECURSIVE_LOCKS,
        SEMAPHORES,
        READ_WRITE_LOCKS,
        NOBODY_WAITS,
        ROUND_TRIPS,
        ON_ONE_CPU,
        VALUES,
        CREATION,
    ];
    for (what, (rounds, unit), ours, theirs) in tables.into_iter().flatten().copied() {
        if is_wanted(what) {
            compare(what, (sized(rounds, 16), unit), ours(), theirs());
        }
    }
}

const LOCKS: &[Line] = &[
    (
        "sync Lock uncontended : parking_lot",
        ALONE,
        || alone(across::lock()),
        || alone(parking_lot_mutex()),
    ),
    (
        "sync threading::Lock uncontended : parking_lot",
        ALONE,
        || alone(within::lock()),
        || alone(parking_lot_mutex()),
    ),
    (
        "sync Lock uncontended : pthread robust",
        ALONE,
        || alone(across::lock()),
        || alone(robust()),
    ),
    (
        "sync Lock by two processes : std by threads",
        TOGETHER,
        || by_two(across::lock()),
        || by_two_threads(std_mutex()),
    ),
    (
        "sync Lock by two processes : pthread robust",
        TOGETHER,
        || by_two(across::lock()),
        || by_two(robust()),
    ),
    (
        "sync Lock by two processes : sem_t",
        TOGETHER,
        || by_two(across::lock()),
        || by_two(sem_t()),
    ),
    (
        "sync threading::Lock by two : std",
        TOGETHER,
        || by_two_threads(within::lock()),
        || by_two_threads(std_mutex()),
    ),
    (
        "sync threading::Lock by two : parking_lot",
        TOGETHER,
        || by_two_threads(within::lock()),
        || by_two_threads(parking_lot_mutex()),
    ),
    (
        "sync Lock by eight on two CPUs : pthread robust",
        TOGETHER,
        || by_processes(8, Anywhere, across::lock()),
        || by_processes(8, Anywhere, robust()),
    ),
    (
        "sync Lock by two on one CPU : pthread robust",
        TOGETHER,
        || by_processes(2, OneCpu, across::lock()),
        || by_processes(2, OneCpu, robust()),
    ),
];

const RECURSIVE_LOCKS: &[Line] = &[
    (
        "sync RLock uncontended : pthread robust recursive",
        ALONE,
        || alone(across::rlock()),
        || alone(robust_recursive()),
    ),
    (
        "sync RLock two levels : pthread robust recursive",
        ALONE,
        || alone(across::rlock_twice()),
        || alone(robust_twice()),
    ),
    (
        "sync threading::RLock uncontended : pthread robust recursive",
        ALONE,
        || alone(within::rlock()),
        || alone(robust_recursive()),
    ),
    (
        "sync threading::RLock two levels : pthread robust recursive",
        ALONE,
        || alone(within::rlock_twice()),
        || alone(robust_twice()),
    ),
    (
        "sync RLock by two processes : pthread robust recursive",
        TOGETHER,
        || by_two(across::rlock()),
        || by_two(robust_recursive()),
    ),
    (
        "sync threading::RLock by two : std::sync::Mutex",
        TOGETHER,
        || by_two_threads(within::rlock()),
        || by_two_threads(std_mutex()),
    ),
];

const SEMAPHORES: &[Line] = &[
    (
        "sync Semaphore uncontended : sem_t",
        ALONE,
        || alone(across::semaphore()),
        || alone(sem_t()),
    ),
    (
        "sync threading::Semaphore uncontended : sem_t",
        ALONE,
        || alone(within::semaphore()),
        || alone(sem_t()),
    ),
    (
        "sync Semaphore by two processes : sem_t",
        TOGETHER,
        || by_two(across::semaphore()),
        || by_two(sem_t()),
    ),
    (
        "sync threading::Semaphore by two : sem_t",
        TOGETHER,
        || by_two_threads(within::semaphore()),
        || by_two_threads(sem_t()),
    ),
    (
        "sync BoundedSemaphore uncontended : sem_t",
        ALONE,
        || alone(across::bounded()),
        || alone(sem_t()),
    ),
    (
        "sync threading::BoundedSemaphore uncontended : sem_t",
        ALONE,
        || alone(within::bounded()),
        || alone(sem_t()),
    ),
    (
        "sync BoundedSemaphore by two processes : sem_t",
        TOGETHER,
        || by_two(across::bounded()),
        || by_two(sem_t()),
    ),
];

const READ_WRITE_LOCKS: &[Line] = &[
    (
        "sync RwLock read uncontended : parking_lot",
        ALONE,
        || alone(across::read()),
        || alone(parking_lot_read()),
    ),
    (
        "sync threading::RwLock read uncontended : parking_lot",
        ALONE,
        || alone(within::read()),
        || alone(parking_lot_read()),
    ),
    (
        "sync RwLock write uncontended : parking_lot",
        ALONE,
        || alone(across::write()),
        || alone(parking_lot_write()),
    ),
    (
        "sync threading::RwLock write uncontended : parking_lot",
        ALONE,
        || alone(within::write()),
        || alone(parking_lot_write()),
    ),
    (
        "sync RwLock read by two processes : parking_lot by threads",
        TOGETHER,
        || by_two(across::read()),
        || by_two_threads(parking_lot_read()),
    ),
    (
        "sync RwLock write by two processes : parking_lot by threads",
        TOGETHER,
        || by_two(across::write()),
        || by_two_threads(parking_lot_write()),
    ),
];

/// What a signal costs where nobody waits for one.
const NOBODY_WAITS: &[Line] = &[
    (
        "sync Event set and clear, nobody waits : sem_t",
        ALONE,
        || alone(across::set_and_clear()),
        || alone(sem_t()),
    ),
    (
        "sync threading::Event set and clear, nobody waits : sem_t",
        ALONE,
        || alone(within::set_and_clear()),
        || alone(sem_t()),
    ),
    (
        "sync Condition notify, nobody waits : pthread robust",
        ALONE,
        || alone(across::notify()),
        || alone(robust()),
    ),
    (
        "sync threading::Condition notify, nobody waits : pthread robust",
        ALONE,
        || alone(within::notify()),
        || alone(robust()),
    ),
];

/// There and back between two who are both awake.
const ROUND_TRIPS: &[Line] = &[
    (
        "sync Event round trip, hot : one atomic, spinning",
        TRIPS,
        || trips(Apart, across::event()),
        || trips(Apart, spinning()),
    ),
    (
        "sync Condition round trip, hot : one atomic, spinning",
        TRIPS,
        || trips(Apart, across::condition()),
        || trips(Apart, spinning()),
    ),
    (
        "sync Semaphore round trip, hot : one atomic, spinning",
        TRIPS,
        || trips(Apart, across::semaphores()),
        || trips(Apart, spinning()),
    ),
    (
        "sync threading::Event round trip, hot : one atomic, spinning",
        TRIPS,
        || trips_by_threads(within::event()),
        || trips_by_threads(spinning()),
    ),
    (
        "sync threading::Condition round trip, hot : one atomic, spinning",
        TRIPS,
        || trips_by_threads(within::condition()),
        || trips_by_threads(spinning()),
    ),
    (
        "sync threading::Semaphore round trip, hot : one atomic, spinning",
        TRIPS,
        || trips_by_threads(within::semaphores()),
        || trips_by_threads(spinning()),
    ),
    (
        "sync Barrier of two, twice : std by threads",
        TRIPS,
        || trips(Apart, across::barrier()),
        || trips_by_threads(std_barrier()),
    ),
    (
        "sync threading::Barrier of two, twice : std",
        TRIPS,
        || trips_by_threads(within::barrier()),
        || trips_by_threads(std_barrier()),
    ),
];

/// There and back between two of whom only one can be awake.
const ON_ONE_CPU: &[Line] = &[
    (
        "sync Semaphore round trip, one CPU : sem_t",
        TRIPS,
        || trips(OneCpu, across::semaphores()),
        || trips(OneCpu, sem_t_trips()),
    ),
    (
        "sync Event round trip, one CPU : sem_t",
        TRIPS,
        || trips(OneCpu, across::event()),
        || trips(OneCpu, sem_t_trips()),
    ),
    (
        "sync Event round trip, one CPU : pipes",
        TRIPS,
        || trips(OneCpu, across::event()),
        || trips(OneCpu, pipe_trips()),
    ),
    (
        "sync Condition round trip, one CPU : sem_t",
        TRIPS,
        || trips(OneCpu, across::condition()),
        || trips(OneCpu, sem_t_trips()),
    ),
    (
        "sync Condition round trip, one CPU : pipes",
        TRIPS,
        || trips(OneCpu, across::condition()),
        || trips(OneCpu, pipe_trips()),
    ),
    (
        "sync Barrier of two, twice, one CPU : sem_t",
        TRIPS,
        || trips(OneCpu, across::barrier()),
        || trips(OneCpu, sem_t_trips()),
    ),
];

const VALUES: &[Line] = &[
    (
        "sync Value::update uncontended : pthread robust and a number",
        ALONE,
        || alone(value_update()),
        || alone(robust_number()),
    ),
    (
        "sync Value::update by two processes : the same",
        TOGETHER,
        || by_two(value_update()),
        || by_two(robust_number()),
    ),
    (
        "sync RawValue::fetch_add uncontended : AtomicU64",
        ALONE,
        || alone(raw_fetch_add()),
        || alone(atomic()),
    ),
    (
        "sync RawValue::fetch_add by two processes : AtomicU64",
        TOGETHER,
        || by_two(raw_fetch_add()),
        || by_two(atomic()),
    ),
];

/// Made and dropped.
const CREATION: &[Line] = &[
    (
        "sync new Lock : pthread_mutex_init",
        MADE,
        || made(Lock::new),
        || made(RobustMutex::make_and_destroy),
    ),
    (
        "sync new RLock : pthread_mutex_init",
        MADE,
        || made(RLock::new),
        || made(RobustMutex::make_and_destroy),
    ),
    (
        "sync new Semaphore : pthread_mutex_init",
        MADE,
        || made(|| Semaphore::new(1)),
        || made(RobustMutex::make_and_destroy),
    ),
    (
        "sync new BoundedSemaphore : pthread_mutex_init",
        MADE,
        || made(|| BoundedSemaphore::new(1)),
        || made(RobustMutex::make_and_destroy),
    ),
    (
        "sync new Condition : pthread_mutex_init",
        MADE,
        || made(Condition::new),
        || made(RobustMutex::make_and_destroy),
    ),
    (
        "sync new Event : pthread_mutex_init",
        MADE,
        || made(Event::new),
        || made(RobustMutex::make_and_destroy),
    ),
    (
        "sync new Barrier : pthread_mutex_init",
        MADE,
        || made(|| Barrier::new(2)),
        || made(RobustMutex::make_and_destroy),
    ),
    (
        "sync new RwLock : pthread_mutex_init",
        MADE,
        || made(RwLock::new),
        || made(RobustMutex::make_and_destroy),
    ),
    (
        "sync new Value : pthread_mutex_init",
        MADE,
        || made(|| Value::new(0_u64)),
        || made(RobustMutex::make_and_destroy),
    ),
    (
        "sync new Array of 1000 : pthread_mutex_init",
        MADE,
        || made(|| Array::from_slice(&[0_u64; 1000])),
        || made(RobustMutex::make_and_destroy),
    ),
    (
        "sync new RawValue : pthread_mutex_init",
        MADE,
        || made(|| RawValue::new(0_u64)),
        || made(RobustMutex::make_and_destroy),
    ),
    (
        "sync new RawArray of 1000 : pthread_mutex_init",
        MADE,
        || made(|| RawArray::from_slice(&[0_u64; 1000])),
        || made(RobustMutex::make_and_destroy),
    ),
    (
        "sync new threading::Lock : pthread_mutex_init",
        MADE,
        || made(threading::Lock::new),
        || made(RobustMutex::make_and_destroy),
    ),
    (
        "sync new threading::Condition : pthread_mutex_init",
        MADE,
        || made(threading::Condition::new),
        || made(RobustMutex::make_and_destroy),
    ),
];
