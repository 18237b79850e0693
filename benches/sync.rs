//! Who may go on and who must wait: each primitive alone, contended by two, handed over, and made; between processes and between
//! threads (`threading_`), beside parking_lot, std, and what the C library has for processes.

use criterion::{Criterion, criterion_group, criterion_main};
use multiproc::{
    Array, Barrier, BoundedSemaphore, Condition, Event, Lock, RLock, RawArray, RawValue, RwLock,
    Semaphore, Value, threading,
};

mod parts {
    pub(crate) mod clock;
    pub(crate) mod contest;
    pub(crate) mod cpus;
    pub(crate) mod crew;
    pub(crate) mod memory;
    pub(crate) mod ours;
    pub(crate) mod pinned;
    pub(crate) mod posix;
    pub(crate) mod rivals;
    pub(crate) mod sem;
}

use parts::contest::{alone, by_processes, by_two, by_two_threads, made, trips, trips_by_threads};
use parts::crew::Place::{Anywhere, Apart, OneCpu};
use parts::crew::Timed;
use parts::ours::{across, raw_fetch_add, value_update, within};
use parts::posix::RobustMutex;
use parts::rivals::{
    atomic, parking_lot_mutex, parking_lot_read, parking_lot_write, pipe_trips, robust,
    robust_number, robust_recursive, robust_twice, sem_t, sem_t_trips, spinning, std_barrier,
    std_mutex,
};

/// A name, and who takes part.
type Entry = (&'static str, fn() -> Timed);

const ALONE: &[Entry] = &[
    ("Lock", || alone(across::lock())),
    ("threading_Lock", || alone(within::lock())),
    ("parking_lot", || alone(parking_lot_mutex())),
    ("std", || alone(std_mutex())),
    ("pthread_robust", || alone(robust())),
    ("RLock", || alone(across::rlock())),
    ("RLock_two_levels", || alone(across::rlock_twice())),
    ("threading_RLock", || alone(within::rlock())),
    (
        "threading_RLock_two_levels",
        || alone(within::rlock_twice()),
    ),
    ("pthread_robust_recursive", || alone(robust_recursive())),
    ("pthread_robust_two_levels", || alone(robust_twice())),
    ("Semaphore", || alone(across::semaphore())),
    ("threading_Semaphore", || alone(within::semaphore())),
    ("BoundedSemaphore", || alone(across::bounded())),
    ("threading_BoundedSemaphore", || alone(within::bounded())),
    ("sem_t", || alone(sem_t())),
    ("RwLock_read", || alone(across::read())),
    ("threading_RwLock_read", || alone(within::read())),
    ("parking_lot_read", || alone(parking_lot_read())),
    ("RwLock_write", || alone(across::write())),
    ("threading_RwLock_write", || alone(within::write())),
    ("parking_lot_write", || alone(parking_lot_write())),
    ("Event_set_and_clear", || alone(across::set_and_clear())),
    ("threading_Event_set_and_clear", || {
        alone(within::set_and_clear())
    }),
    ("Condition_notify", || alone(across::notify())),
    ("threading_Condition_notify", || alone(within::notify())),
    ("Value_update", || alone(value_update())),
    ("pthread_robust_and_a_number", || alone(robust_number())),
    ("RawValue_fetch_add", || alone(raw_fetch_add())),
    ("AtomicU64_fetch_add", || alone(atomic())),
];

const BY_TWO: &[Entry] = &[
    ("Lock", || by_two(across::lock())),
    ("Lock_in_threads", || by_two_threads(across::lock())),
    ("threading_Lock", || by_two_threads(within::lock())),
    ("parking_lot_in_threads", || {
        by_two_threads(parking_lot_mutex())
    }),
    ("std_in_threads", || by_two_threads(std_mutex())),
    ("pthread_robust", || by_two(robust())),
    ("RLock", || by_two(across::rlock())),
    ("threading_RLock", || by_two_threads(within::rlock())),
    ("pthread_robust_recursive", || by_two(robust_recursive())),
    ("Semaphore", || by_two(across::semaphore())),
    (
        "threading_Semaphore",
        || by_two_threads(within::semaphore()),
    ),
    ("BoundedSemaphore", || by_two(across::bounded())),
    ("threading_BoundedSemaphore", || {
        by_two_threads(within::bounded())
    }),
    ("sem_t", || by_two(sem_t())),
    ("RwLock_read", || by_two(across::read())),
    ("threading_RwLock_read", || by_two_threads(within::read())),
    ("parking_lot_read_in_threads", || {
        by_two_threads(parking_lot_read())
    }),
    ("RwLock_write", || by_two(across::write())),
    ("threading_RwLock_write", || by_two_threads(within::write())),
    ("parking_lot_write_in_threads", || {
        by_two_threads(parking_lot_write())
    }),
    ("Value_update", || by_two(value_update())),
    ("pthread_robust_and_a_number", || by_two(robust_number())),
    ("RawValue_fetch_add", || by_two(raw_fetch_add())),
    ("AtomicU64_fetch_add", || by_two(atomic())),
];

/// Eight on two CPUs, and two on one.
const IN_A_CROWD: &[Entry] = &[
    ("Lock_by_eight", || {
        by_processes(8, Anywhere, across::lock())
    }),
    ("pthread_robust_by_eight", || {
        by_processes(8, Anywhere, robust())
    }),
    ("Lock_on_one_CPU", || {
        by_processes(2, OneCpu, across::lock())
    }),
    ("pthread_robust_on_one_CPU", || {
        by_processes(2, OneCpu, robust())
    }),
];

const ROUND_TRIP: &[Entry] = &[
    ("Event", || trips(Apart, across::event())),
    ("threading_Event", || trips_by_threads(within::event())),
    ("Condition", || trips(Apart, across::condition())),
    ("threading_Condition", || {
        trips_by_threads(within::condition())
    }),
    ("Semaphore", || trips(Apart, across::semaphores())),
    ("threading_Semaphore", || {
        trips_by_threads(within::semaphores())
    }),
    ("sem_t", || trips(Apart, sem_t_trips())),
    ("pipes", || trips(Apart, pipe_trips())),
    ("one_atomic_spinning", || trips(Apart, spinning())),
    ("Barrier_twice", || trips(Apart, across::barrier())),
    ("threading_Barrier_twice", || {
        trips_by_threads(within::barrier())
    }),
    ("std_Barrier_twice_in_threads", || {
        trips_by_threads(std_barrier())
    }),
];

const ROUND_TRIP_ON_ONE_CPU: &[Entry] = &[
    ("Event", || trips(OneCpu, across::event())),
    ("Condition", || trips(OneCpu, across::condition())),
    ("Semaphore", || trips(OneCpu, across::semaphores())),
    ("Barrier_twice", || trips(OneCpu, across::barrier())),
    ("sem_t", || trips(OneCpu, sem_t_trips())),
    ("pipes", || trips(OneCpu, pipe_trips())),
];

const NEW: &[Entry] = &[
    ("Lock", || made(Lock::new)),
    ("RLock", || made(RLock::new)),
    ("Semaphore", || made(|| Semaphore::new(1))),
    ("BoundedSemaphore", || made(|| BoundedSemaphore::new(1))),
    ("Condition", || made(Condition::new)),
    ("Event", || made(Event::new)),
    ("Barrier", || made(|| Barrier::new(2))),
    ("RwLock", || made(RwLock::new)),
    ("Value", || made(|| Value::new(0_u64))),
    ("Array_of_1000", || {
        made(|| Array::from_slice(&[0_u64; 1000]))
    }),
    ("RawValue", || made(|| RawValue::new(0_u64))),
    ("RawArray_of_1000", || {
        made(|| RawArray::from_slice(&[0_u64; 1000]))
    }),
    ("threading_Lock", || made(threading::Lock::new)),
    ("threading_RLock", || made(threading::RLock::new)),
    ("threading_Semaphore", || {
        made(|| threading::Semaphore::new(1))
    }),
    ("threading_BoundedSemaphore", || {
        made(|| threading::BoundedSemaphore::new(1))
    }),
    ("threading_Condition", || made(threading::Condition::new)),
    ("threading_Event", || made(threading::Event::new)),
    ("threading_Barrier", || made(|| threading::Barrier::new(2))),
    ("threading_RwLock", || made(threading::RwLock::new)),
    ("pthread_robust", || made(RobustMutex::make_and_destroy)),
];

fn sync(criterion: &mut Criterion) {
    parts::cpus::confine();
    parts::crew::count_cpus();
    let groups = [
        ("sync/alone", ALONE),
        ("sync/by_two", BY_TWO),
        ("sync/in_a_crowd", IN_A_CROWD),
        ("sync/round_trip", ROUND_TRIP),
        ("sync/round_trip_on_one_CPU", ROUND_TRIP_ON_ONE_CPU),
        ("sync/new", NEW),
    ];
    for (name, entries) in groups {
        let mut group = criterion.benchmark_group(name);
        group.sample_size(20);
        for (name, contestant) in entries {
            group.bench_function(*name, |bencher| {
                let timed = contestant();
                bencher.iter_custom(timed);
            });
        }
        group.finish();
    }
}

criterion_group!(benches, sync);
criterion_main!(benches);
