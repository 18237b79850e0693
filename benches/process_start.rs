//! A process from its start to its joined end, by each start method, beside `fork` and `waitpid`, a `Command` and a thread: with an
//! empty heap, and with 1 GiB in small pages. Then only the time until the function runs, with a spare child.

use criterion::{Criterion, criterion_group, criterion_main};

mod parts {
    pub(crate) mod clock;
    pub(crate) mod cpus;
    pub(crate) mod mode;
    pub(crate) mod stamps;
    pub(crate) mod starts;
}

use parts::mode::sized;
use parts::stamps::Spare;
use parts::starts::{
    Heap, command, fork_a_closure, fork_and_wait, spawn_and_join, start_and_join, thread_and_join,
};

fn all(criterion: &mut Criterion, heap: &str) {
    let mut group = criterion.benchmark_group(format!("process_start/{heap}"));
    group.sample_size(20);
    group.bench_function("Process", |bencher| bencher.iter(start_and_join));
    group.bench_function("Process_fork", |bencher| bencher.iter(fork_a_closure));
    group.bench_function("Process_spawn", |bencher| bencher.iter(spawn_and_join));
    group.bench_function("fork_waitpid", |bencher| bencher.iter(fork_and_wait));
    group.bench_function("Command", |bencher| bencher.iter(command));
    group.bench_function("thread", |bencher| bencher.iter(thread_and_join));
    group.finish();
}

fn with_a_spare(criterion: &mut Criterion) {
    let spare = Spare::new();
    let mut group = criterion.benchmark_group("process_start/until_it_runs");
    group.sample_size(20);
    group.bench_function("spare_child", |bencher| {
        bencher.iter_custom(|times| spare.starts(times));
    });
    group.bench_function("thread", |bencher| {
        bencher.iter_custom(|times| spare.threads(times));
    });
    group.finish();
}

fn process_start(criterion: &mut Criterion) {
    parts::cpus::confine();
    all(criterion, "empty_heap");
    let heap = Heap::touched(sized(1 << 30, 1 << 24));
    all(criterion, "1_gib_heap");
    drop(heap);
    with_a_spare(criterion);
}

criterion_group!(benches, process_start);
criterion_main!(benches);
