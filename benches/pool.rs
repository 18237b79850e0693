//! Tasks that do next to nothing on two workers: many at once, one by one, beside threads behind a channel and a thread a task.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use multiproc::Pool;

mod parts {
    pub(crate) mod cpus;
    pub(crate) mod tasks;
}

use parts::tasks::{ThreadPool, WORKERS, next, pool_applies, pool_batch};

const BATCH: u64 = 1000;

fn thread_each(tasks: u64) {
    for number in 0..tasks {
        let thread = std::thread::spawn(move || next(number));
        assert_eq!(thread.join().expect("no panic"), number + 1);
    }
}

fn no_op_tasks(criterion: &mut Criterion) {
    parts::cpus::confine();
    let (pool, threads) = (Pool::new(WORKERS).expect("a pool"), ThreadPool::new());
    let mut group = criterion.benchmark_group("pool/no_op");
    group
        .throughput(Throughput::Elements(BATCH))
        .sample_size(20);
    group.bench_function("Pool", |bencher| bencher.iter(|| pool_batch(&pool, BATCH)));
    group.bench_function("threads_and_channel", |bencher| {
        bencher.iter(|| threads.batch(BATCH));
    });
    group.finish();

    let mut group = criterion.benchmark_group("pool/hot_apply");
    group.bench_function("Pool", |bencher| bencher.iter(|| pool_applies(&pool, 1)));
    group.bench_function("threads_and_channel", |bencher| {
        bencher.iter(|| threads.applies(1));
    });
    group.bench_function("thread_spawn", |bencher| bencher.iter(|| thread_each(1)));
    group.finish();
    pool.close();
    pool.join().expect("the workers end");
}

criterion_group!(benches, no_op_tasks);
criterion_main!(benches);
