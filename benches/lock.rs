//! Locks: alone, and contended by two. Between processes and between threads it is the same algorithm.

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, criterion_group, criterion_main};
use multiproc::{Lock, Process, Queue, threading};
use std::sync::Barrier;
use std::time::{Duration, Instant};

mod parts {
    pub(crate) mod cpus;
    pub(crate) mod pinned;
}

use parts::pinned::on;

fn acquire_and_release(lock: &Lock) {
    drop(lock.acquire().expect("nobody died with it"));
}

fn uncontended(criterion: &mut Criterion) {
    parts::cpus::confine();
    let mut group = criterion.benchmark_group("lock/uncontended");
    let (ours, within) = (Lock::new(), threading::Lock::new());
    let (ours, within) = (ours.expect("a lock"), within.expect("a lock"));
    let (parking_lot, std) = (parking_lot::Mutex::new(()), std::sync::Mutex::new(()));
    on(0, || {
        group.bench_function("Lock", |bencher| {
            bencher.iter(|| acquire_and_release(&ours))
        });
        group.bench_function("threading_Lock", |bencher| {
            bencher.iter(|| drop(within.acquire().expect("nobody died with it")));
        });
        group.bench_function("parking_lot", |bencher| {
            bencher.iter(|| drop(parking_lot.lock()))
        });
        group.bench_function("std", |bencher| {
            bencher.iter(|| drop(std.lock().expect("not poisoned")));
        });
    });
    group.finish();
}

fn contended(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("lock/contended_by_two");
    between_processes(&mut group);
    let within = threading::Lock::new().expect("a lock");
    between_threads(&mut group, "threading_Lock", || {
        drop(within.acquire().expect("nobody died with it"));
    });
    let ours = Lock::new().expect("a lock");
    between_threads(&mut group, "Lock_in_threads", || acquire_and_release(&ours));
    let parking_lot = parking_lot::Mutex::new(());
    between_threads(&mut group, "parking_lot", || drop(parking_lot.lock()));
    let std = std::sync::Mutex::new(());
    between_threads(&mut group, "std", || {
        drop(std.lock().expect("not poisoned"))
    });
    group.finish();
}

/// Half of the rounds are done by each of two threads, on a CPU each.
fn between_threads(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, step: impl Fn() + Sync) {
    let half = |rounds: u64, which, ready: &Barrier| {
        on(which, || {
            ready.wait();
            let begin = Instant::now();
            (0..rounds.div_ceil(2)).for_each(|_| step());
            begin.elapsed()
        })
    };
    group.bench_function(name, |bencher| {
        bencher.iter_custom(|rounds| {
            let ready = Barrier::new(2);
            std::thread::scope(|scope| {
                let other = scope.spawn(|| half(rounds, 1, &ready));
                let own = half(rounds, 0, &ready);
                own.max(other.join().expect("the other ends"))
            })
        });
    });
}

/// The other party, in a process: says that it begins, does its rounds, says how long they took.
fn rounds_in_process(lock: Lock, orders: Queue<u64>, answers: Queue<Duration>) {
    on(1, || {
        while let Ok(rounds) = orders.get() {
            answers.put(Duration::ZERO).expect("somebody waits");
            let begin = Instant::now();
            (0..rounds).for_each(|_| acquire_and_release(&lock));
            answers.put(begin.elapsed()).expect("somebody waits");
        }
    });
}

fn between_processes(group: &mut BenchmarkGroup<'_, WallTime>) {
    let lock = Lock::new().expect("a lock");
    let (orders, answers) = (Queue::new(), Queue::new());
    let (orders, answers) = (orders.expect("a queue"), answers.expect("a queue"));
    let handles = (lock.clone(), orders.clone(), answers.clone());
    let mut process = Process::new(rounds_in_process, handles);
    process.start().expect("a process starts");
    group.bench_function("Lock", |bencher| {
        bencher.iter_custom(|rounds| {
            let rounds = rounds.div_ceil(2);
            orders.put(rounds).expect("open");
            answers.get().expect("it begins");
            let own = on(0, || {
                let begin = Instant::now();
                (0..rounds).for_each(|_| acquire_and_release(&lock));
                begin.elapsed()
            });
            own.max(answers.get().expect("it ends"))
        });
    });
    orders.close();
    assert_eq!(process.join().expect("it ends"), 0);
}

criterion_group!(benches, uncontended, contended);
criterion_main!(benches);
