//! The cases.

use crate::algorithm::{
    BarrierWords, BoundedWords, ConditionWords, EventWords, RwLockWords, SemaphoreWords,
};
use crate::futex::Threads;
use crate::shm::{Lease, Taken};
use crate::sys::atomic::AtomicU32;
use crate::sys::clock::Deadline;
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;

pub(crate) const NEVER: Deadline = Deadline::NEVER;

/// Threads of the model, as owners.
fn me(number: u64) -> u64 {
    (number + 1) << 1
}

/// Runs `body` in so many threads, over what `make` makes, in all interleavings; then `end`.
fn threads<T: 'static>(
    count: u64,
    make: impl Fn() -> T + Sync + Send + 'static,
    body: impl Fn(&T, u64) + Copy + Sync + Send + 'static,
    end: impl Fn(&T) + Sync + Send + 'static,
) {
    preempted((count > 2).then_some(3), count, make, body, end);
}

/// The same in all interleavings with so many preemptions.
pub(crate) fn preempted<T: 'static>(
    times: Option<usize>,
    count: u64,
    make: impl Fn() -> T + Sync + Send + 'static,
    body: impl Fn(&T, u64) + Copy + Sync + Send + 'static,
    end: impl Fn(&T) + Sync + Send + 'static,
) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = times;
    model.max_branches = 20_000;
    model.check(move || {
        let shared = Arc::new(make());
        let start = |number| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || body(&shared, number))
        };
        let others: Vec<_> = (1..count).map(start).collect();
        body(&shared, 0);
        for other in others {
            other.join().unwrap();
        }
        end(&shared);
    });
}

/// Data that one at a time may touch: loom complains of two.
#[derive(Default)]
struct Guarded<W> {
    words: W,
    data: UnsafeCell<()>,
}

fn guarded<W: Default>() -> Guarded<W> {
    Guarded {
        words: W::default(),
        data: UnsafeCell::new(()),
    }
}

impl<W> Guarded<W> {
    fn touch(&self) {
        self.data.with_mut(|_| ());
    }

    fn look(&self) {
        self.data.with(|_| ());
    }
}

fn lease(count: u64) {
    let body = |shared: &Guarded<Lease>, number| {
        let taken = shared.words.take::<Threads>(me(number), NEVER);
        assert_eq!(taken, Some(Taken::Clean));
        shared.touch();
        shared.words.give::<Threads>();
    };
    threads(count, guarded::<Lease>, body, |shared| {
        assert!(!shared.words.is_taken());
    });
}

#[test]
fn lease_of_two() {
    lease(2);
}

#[test]
fn lease_of_three() {
    lease(3);
}

/// One gives the lock up, the others wait for it; one of them releases it for its owner, one leaves at once.
#[test]
fn lease_given_up() {
    let make = || {
        let shared = guarded::<Lease>();
        assert!(shared.words.try_take(me(7)));
        shared
    };
    let body = |shared: &Guarded<Lease>, number| {
        if number == 0 {
            shared.touch();
            shared.words.loosen();
            assert!(shared.words.give_loose::<Threads>());
        } else {
            let deadline = if number == 1 { NEVER } else { Deadline::now() };
            if shared.words.take::<Threads>(me(number), deadline).is_some() {
                shared.touch();
                shared.words.give_own::<Threads>(me(number));
            }
        }
    };
    threads(2, make, body, |_| ());
    threads(3, make, body, |shared| assert!(!shared.words.is_taken()));
}

fn semaphore_of(value: u32) -> impl Fn() -> Guarded<SemaphoreWords> {
    move || {
        let shared = guarded::<SemaphoreWords>();
        shared.words.set(value);
        shared
    }
}

fn semaphore(count: u64) {
    let body = |shared: &Guarded<SemaphoreWords>, _| {
        assert!(shared.words.acquire::<Threads>(NEVER));
        shared.touch();
        assert!(shared.words.release::<Threads>(1));
    };
    threads(count, semaphore_of(1), body, |shared| {
        assert_eq!(shared.words.value(), 1);
    });
}

#[test]
fn semaphore_of_two() {
    semaphore(2);
}

#[test]
fn semaphore_of_three() {
    semaphore(3);
}

/// Signals: one gives, the others wait; none is lost.
#[test]
fn semaphore_as_a_signal() {
    let body = |shared: &Guarded<SemaphoreWords>, number| match number {
        0 => {
            shared.touch();
            assert!(shared.words.release::<Threads>(1));
            assert!(shared.words.release::<Threads>(1));
        }
        _ => {
            assert!(shared.words.acquire::<Threads>(NEVER));
            shared.look();
        }
    };
    threads(2, semaphore_of(0), body, |shared| {
        assert_eq!(shared.words.value(), 1);
    });
    threads(3, semaphore_of(0), body, |shared| {
        assert_eq!(shared.words.value(), 0);
    });
}

/// Two at once, and one who does not wait.
#[test]
fn semaphore_releases_many() {
    let body = |shared: &Guarded<SemaphoreWords>, number| match number {
        0 => assert!(shared.words.release::<Threads>(2)),
        1 => assert!(shared.words.acquire::<Threads>(NEVER)),
        _ => {
            if shared.words.acquire::<Threads>(Deadline::now()) {
                assert!(shared.words.release::<Threads>(1));
            }
        }
    };
    threads(2, semaphore_of(0), body, |shared| {
        assert_eq!(shared.words.value(), 1);
    });
    threads(3, semaphore_of(0), body, |shared| {
        assert_eq!(shared.words.value(), 1);
    });
}

fn bounded(count: u64) {
    let make = || {
        let shared = guarded::<BoundedWords>();
        assert_eq!(shared.words.set(1), 0);
        shared
    };
    let body = |shared: &Guarded<BoundedWords>, number| {
        let permit = shared.words.acquire::<Threads>(&[], me(number), NEVER);
        let permit = permit.expect("it waits for ever");
        shared.touch();
        if number == 0 {
            shared.words.loosen(&[], permit, me(0));
            assert!(shared.words.release_loose::<Threads>(&[], me(0), 1));
        } else {
            shared.words.release::<Threads>(&[], permit, me(number));
        }
    };
    threads(count, make, body, |shared| {
        assert_eq!(shared.words.value::<Threads>(&[]), 1);
    });
}

#[test]
fn bounded_of_two() {
    bounded(2);
}

#[test]
fn bounded_of_three() {
    bounded(3);
}

/// Set and cleared at once, all the same.
#[test]
fn event() {
    let body = |shared: &Guarded<EventWords>, number| match number {
        0 => {
            shared.touch();
            shared.words.set::<Threads>();
        }
        _ => {
            assert!(shared.words.wait::<Threads>(NEVER));
            shared.look();
        }
    };
    threads(2, guarded::<EventWords>, body, |shared| {
        assert!(shared.words.is_set());
    });
    threads(3, guarded::<EventWords>, body, |_| ());
}

/// Two events: to and fro, with a clear right after the set.
#[test]
fn event_round_trip() {
    let make = || (guarded::<EventWords>(), EventWords::default());
    let body = |(there, back): &(Guarded<EventWords>, EventWords), number| {
        if number == 0 {
            there.touch();
            there.words.set::<Threads>();
            assert!(back.wait::<Threads>(NEVER));
            there.touch();
            there.words.clear();
        } else {
            assert!(there.words.wait::<Threads>(NEVER));
            there.touch();
            back.set::<Threads>();
        }
    };
    threads(2, make, body, |(there, _)| assert!(!there.words.is_set()));
}

fn write(shared: &Guarded<RwLockWords>, number: u64) {
    assert!(
        shared
            .words
            .write::<Threads>(|| &[], me(number), Some(NEVER))
    );
    shared.touch();
    shared.words.end_write::<Threads>();
}

fn read(shared: &Guarded<RwLockWords>, number: u64) {
    let deaths = AtomicU32::new(0);
    let cell = shared
        .words
        .read::<Threads>(&[], me(number), &deaths, Some(NEVER));
    let cell = cell.expect("it waits for ever");
    shared.look();
    shared.words.end_read::<Threads>(&[], cell);
}

#[test]
fn rwlock_writers() {
    threads(2, guarded::<RwLockWords>, write, |_| ());
    threads(3, guarded::<RwLockWords>, write, |_| ());
}

fn reader_and_writer(count: u64) {
    let body = |shared: &Guarded<RwLockWords>, number| {
        if number == 0 {
            write(shared, number);
        } else {
            read(shared, number);
        }
    };
    let end = |shared: &Guarded<RwLockWords>| {
        assert_eq!((shared.words.readers(&[]), shared.words.writer()), (0, 0));
    };
    threads(count, guarded::<RwLockWords>, body, end);
}

#[test]
fn rwlock_reader_and_writer() {
    reader_and_writer(2);
}

#[test]
fn rwlock_readers_and_writer() {
    reader_and_writer(3);
}

/// A condition over a lease; the data is a number of goods.
#[derive(Default)]
struct Shelf {
    lock: Lease,
    condition: ConditionWords,
    goods: AtomicU32,
}

impl Shelf {
    fn take(&self, number: u64, deadline: Deadline) -> bool {
        use crate::sys::atomic::Relaxed;
        let me = me(number);
        self.lock.take::<Threads>(me, NEVER);
        while self.goods.load(Relaxed) == 0 {
            let place = self.condition.enter::<Threads>(&[], me).unwrap();
            self.lock.give::<Threads>();
            let notified = self.condition.wait::<Threads>(|| &[], place, me, deadline);
            self.lock.take::<Threads>(me, NEVER);
            if let Some(notified) = notified {
                self.condition.leave::<Threads>(&[], notified);
            } else if self.goods.load(Relaxed) == 0 {
                self.lock.give::<Threads>();
                return false;
            }
        }
        self.goods.fetch_sub(1, Relaxed);
        self.lock.give::<Threads>();
        true
    }

    fn put(&self, number: u64, goods: u32, notify: usize) {
        use crate::sys::atomic::Relaxed;
        self.lock.take::<Threads>(me(number), NEVER);
        self.goods.fetch_add(goods, Relaxed);
        self.condition.notify::<Threads>(&[], notify);
        self.lock.give::<Threads>();
    }
}

#[test]
fn condition() {
    let body = |shelf: &Shelf, number| match number {
        0 => shelf.put(0, 1, 1),
        _ => assert!(shelf.take(number, NEVER)),
    };
    threads(2, Shelf::default, body, |_| ());
    let body = |shelf: &Shelf, number| match number {
        0 => shelf.put(0, 2, usize::MAX),
        _ => assert!(shelf.take(number, NEVER)),
    };
    threads(3, Shelf::default, body, |_| ());
}

/// One who does not wait must not take a notification with it that another one needs.
#[test]
fn condition_with_a_timeout() {
    let body = |shelf: &Shelf, number| match number {
        0 => {
            shelf.put(0, 1, 1);
            shelf.put(0, 1, 1);
        }
        1 => assert!(shelf.take(1, NEVER)),
        _ => _ = shelf.take(2, Deadline::now()),
    };
    threads(3, Shelf::default, body, |_| ());
}

fn barrier(count: u64, rounds: u32) {
    let make = move || {
        let shared = guarded::<BarrierWords>();
        shared.words.set(u32::try_from(count).unwrap());
        (shared, rounds)
    };
    let body = |(shared, rounds): &(Guarded<BarrierWords>, u32), _| {
        let deaths = AtomicU32::new(0);
        for _ in 0..*rounds {
            let arrival = shared.words.arrive::<Threads>(&deaths, NEVER).unwrap();
            if arrival.is_last {
                shared.touch();
                assert!(shared.words.complete::<Threads>(arrival));
            } else {
                assert!(shared.words.wait::<Threads>(arrival, &deaths, NEVER));
            }
            shared.look();
        }
    };
    threads(count, make, body, |(shared, _)| {
        assert_eq!(shared.words.waiting(&AtomicU32::new(0)), 0);
    });
}

#[test]
fn barrier_of_two() {
    barrier(2, 1);
}

#[test]
fn barrier_of_three() {
    barrier(3, 1);
}

/// Broken while one waits: it is told, whenever it looks.
#[test]
fn barrier_broken() {
    let make = || {
        let barrier = BarrierWords::default();
        barrier.set(2);
        barrier
    };
    let body = |barrier: &BarrierWords, number| {
        let deaths = AtomicU32::new(0);
        if number == 0 {
            barrier.reset::<Threads>(true);
        } else if let Some(arrival) = barrier.arrive::<Threads>(&deaths, NEVER) {
            assert!(!barrier.wait::<Threads>(arrival, &deaths, NEVER));
        }
    };
    threads(2, make, body, |barrier| {
        assert!(barrier.broken(&AtomicU32::new(0)));
    });
}
