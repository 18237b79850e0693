//! One producer process, one consumer process: small numbers one way and there and back, and 64 KiB at a time; beside a bounded
//! channel between threads and the kernel's pipe between processes.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use multiproc::{Process, Queue};
use std::time::Instant;

mod parts {
    pub(crate) mod cpus;
    pub(crate) mod pinned;
    pub(crate) mod pipe;
    pub(crate) mod traffic;
}

use parts::pinned::on;
use parts::pipe::Pipes;
use parts::traffic::{CAPACITY, Channels, OurQueue, Traffic, time};

const LARGE: usize = 64 * 1024;

fn small(criterion: &mut Criterion) {
    parts::cpus::confine();
    numbers(criterion, "Queue", || Box::new(OurQueue::new(0)));
    numbers(criterion, "Queue_maxsize", || {
        Box::new(OurQueue::new(CAPACITY))
    });
    numbers(criterion, "crossbeam_bounded", || Box::new(Channels::new()));
    numbers(criterion, "pipe", || Box::new(Pipes::new()));
}

fn numbers(criterion: &mut Criterion, name: &str, way: impl Fn() -> Box<dyn Traffic>) {
    let mut way = way();
    let mut group = criterion.benchmark_group("queue/8_bytes");
    group.throughput(Throughput::Elements(1)).sample_size(20);
    group.bench_function(BenchmarkId::new("one_way", name), |bencher| {
        bencher.iter_custom(|messages| time(messages, |messages| way.one_way(messages)));
    });
    group.bench_function(BenchmarkId::new("round_trip", name), |bencher| {
        bencher.iter_custom(|messages| time(messages, |messages| way.round_trips(messages)));
    });
    group.finish();
}

/// Takes so many payloads and answers how many bytes of the right content they had.
fn weigh(payloads: Queue<Vec<u8>>, orders: Queue<u64>, weights: Queue<usize>) {
    on(1, || {
        while let Ok(messages) = orders.get() {
            let mut weight = 0;
            for _ in 0..messages {
                let payload = payloads.get().expect("a payload is sent");
                assert_eq!((payload.first(), payload.last()), (Some(&7), Some(&9)));
                weight += payload.len();
            }
            weights.put(weight).expect("somebody waits");
        }
    });
}

fn large(criterion: &mut Criterion) {
    let new_queue = || Queue::with_maxsize(64).expect("a queue");
    let (payloads, orders) = (new_queue(), Queue::new().expect("a queue"));
    let weights = Queue::new().expect("a queue");
    let handles = (payloads.clone(), orders.clone(), weights.clone());
    let mut consumer = Process::new(weigh, handles);
    consumer.start().expect("a process starts");
    let mut payload = vec![8; LARGE];
    (payload[0], payload[LARGE - 1]) = (7, 9);
    let mut group = criterion.benchmark_group("queue/64_kib");
    group
        .throughput(Throughput::Bytes(LARGE as u64))
        .sample_size(20);
    group.bench_function("Queue", |bencher| {
        bencher.iter_custom(|messages| {
            on(0, || {
                let begin = Instant::now();
                orders.put(messages).expect("open");
                for _ in 0..messages {
                    payloads.put(payload.clone()).expect("open");
                }
                let weight = weights.get().expect("the weight comes");
                assert_eq!(weight as u64, messages * LARGE as u64);
                begin.elapsed()
            })
        });
    });
    group.finish();
    orders.close();
    assert_eq!(consumer.join().expect("the consumer ends"), 0);
}

fn large_between_threads(criterion: &mut Criterion) {
    let mut payload = vec![8_u8; LARGE];
    (payload[0], payload[LARGE - 1]) = (7, 9);
    let mut group = criterion.benchmark_group("queue/64_kib");
    group
        .throughput(Throughput::Bytes(LARGE as u64))
        .sample_size(20);
    group.bench_function("crossbeam_bounded", |bencher| {
        bencher.iter_custom(|messages| {
            let (payloads, coming) = crossbeam::channel::bounded::<Vec<u8>>(64);
            let weigh = move || coming.iter().map(|payload| payload.len()).sum::<usize>();
            let consumer = std::thread::spawn(move || on(1, weigh));
            on(0, || {
                let begin = Instant::now();
                for _ in 0..messages {
                    payloads.send(payload.clone()).expect("open");
                }
                drop(payloads);
                let weight = consumer.join().expect("the consumer ends");
                assert_eq!(weight as u64, messages * LARGE as u64);
                begin.elapsed()
            })
        });
    });
    group.finish();
}

criterion_group!(benches, small, large, large_between_threads);
criterion_main!(benches);
