//! Pools of threads: this crate's, those of the crates `threadpool`, `rayon` and `rusty_pool`, and the least that can be called one.

use super::cpus;
use super::mode::sized;
use super::peer_pool::Peer;
use super::tasks::{self, WORKERS, next};
use criterion::{Criterion, Throughput};
use multiproc::{ThreadPool, ThreadResult};
use rayon::iter::{IndexedParallelIterator as _, IntoParallelIterator as _, ParallelIterator as _};
use std::hint::black_box;
use std::time::{Duration, Instant};

/// The crate `rayon`, its tasks given from outside. It waits for its own by doing others.
struct Rayon(rayon::ThreadPool);

impl Rayon {
    fn new() -> Self {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(WORKERS);
        Self(pool.build().expect("a pool"))
    }

    fn map(&self, count: u64) -> Vec<u64> {
        let items: Vec<u64> = (0..count).collect();
        let items = items.into_par_iter().with_max_len(1);
        self.0.install(|| items.map(next).collect())
    }
}

/// The crate `rusty_pool`.
fn rusty() -> rusty_pool::ThreadPool {
    rusty_pool::Builder::new()
        .core_size(WORKERS)
        .max_size(WORKERS)
        .build()
}

/// So long that workers have gone to sleep.
const COLD: Duration = Duration::from_millis(2);

/// Tasks of one group.
const COUNT: u64 = 1000;

struct Pools {
    ours: ThreadPool,
    peer: Peer,
    rayon: Rayon,
    rusty: rusty_pool::ThreadPool,
    least: tasks::ThreadPool,
}

impl Pools {
    fn apply(&self) {
        assert_eq!(self.ours.apply(next, (1,)).expect("a value"), 2);
    }

    fn rusty(&self) {
        let value = self.rusty.evaluate(|| next(1)).await_complete();
        assert_eq!(value, 2);
    }

    fn rayon(&self) {
        assert_eq!(self.rayon.0.install(|| next(black_box(1))), 2);
    }

    /// All are given, then all are taken.
    fn applies(&self) -> u64 {
        let give = |number| self.ours.apply_async(next, (number,)).expect("open");
        let results: Vec<_> = (0..COUNT).map(give).collect();
        let take = |result: ThreadResult<u64>| result.get().expect("a value");
        results.into_iter().map(take).sum()
    }

    fn imap(&self) -> u64 {
        let results = self.ours.imap(next, 0..COUNT).expect("open");
        results.map(|result| result.expect("a value")).sum()
    }
}

pub(crate) fn groups(criterion: &mut Criterion) {
    cpus::confine();
    let pools = Pools {
        ours: ThreadPool::new(WORKERS).expect("a pool"),
        peer: Peer::new(),
        rayon: Rayon::new(),
        rusty: rusty(),
        least: tasks::ThreadPool::new(),
    };
    hot(criterion, &pools);
    cold(criterion, &pools);
    many(criterion, &pools);
}

fn hot(criterion: &mut Criterion, pools: &Pools) {
    let mut group = criterion.benchmark_group("thread_pool/hot_apply");
    group.bench_function("ThreadPool", |bencher| bencher.iter(|| pools.apply()));
    group.bench_function("threadpool", |bencher| bencher.iter(|| pools.peer.apply(1)));
    group.bench_function("rayon", |bencher| bencher.iter(|| pools.rayon()));
    group.bench_function("rusty_pool", |bencher| bencher.iter(|| pools.rusty()));
    group.bench_function("threads_and_channel", |bencher| {
        bencher.iter(|| pools.least.applies(1));
    });
    group.finish();
}

fn cold(criterion: &mut Criterion, pools: &Pools) {
    let mut group = criterion.benchmark_group("thread_pool/cold_apply");
    group.sample_size(20);
    group.measurement_time(sized(Duration::from_secs(5), COLD * 50));
    let mut cold = |name: &str, apply: &dyn Fn()| {
        let one = |_| {
            std::thread::sleep(COLD);
            let begin = Instant::now();
            apply();
            begin.elapsed()
        };
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|rounds| (0..rounds).map(one).sum());
        });
    };
    cold("ThreadPool", &|| pools.apply());
    cold("threadpool", &|| assert_eq!(pools.peer.apply(1), 2));
    cold("rayon", &|| pools.rayon());
    cold("rusty_pool", &|| pools.rusty());
    cold("threads_and_channel", &|| pools.least.applies(1));
    group.finish();
}

fn many(criterion: &mut Criterion, pools: &Pools) {
    let mut group = criterion.benchmark_group("thread_pool/map_chunks_of_one");
    group
        .throughput(Throughput::Elements(COUNT))
        .sample_size(20);
    group.bench_function("ThreadPool", |bencher| {
        bencher.iter(|| pools.ours.map_chunked(next, 0..COUNT, 1).expect("values"));
    });
    group.bench_function("ThreadPool_imap", |bencher| bencher.iter(|| pools.imap()));
    group.bench_function("threadpool", |bencher| {
        bencher.iter(|| pools.peer.map(COUNT));
    });
    group.bench_function("rayon", |bencher| {
        bencher.iter(|| pools.rayon.map(COUNT));
    });
    group.finish();

    let mut group = criterion.benchmark_group("thread_pool/many_applies");
    group
        .throughput(Throughput::Elements(COUNT))
        .sample_size(20);
    group.bench_function("ThreadPool", |bencher| bencher.iter(|| pools.applies()));
    group.bench_function("threads_and_channel", |bencher| {
        bencher.iter(|| pools.least.batch(COUNT));
    });
    group.finish();
}
