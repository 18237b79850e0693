//! A process from its start to its joined end, beside `fork` and `waitpid`: with an empty heap, and with 1 GiB in small pages.

use criterion::{Criterion, criterion_group, criterion_main};

mod parts {
    pub(crate) mod cpus;
    pub(crate) mod mode;
    pub(crate) mod starts;
}

use parts::mode::sized;
use parts::starts::{Heap, fork_and_wait, start_and_join};

fn both(criterion: &mut Criterion, heap: &str) {
    let mut group = criterion.benchmark_group(format!("process_start/{heap}"));
    group.sample_size(20);
    group.bench_function("Process", |bencher| bencher.iter(start_and_join));
    group.bench_function("fork_waitpid", |bencher| bencher.iter(fork_and_wait));
    group.finish();
}

fn process_start(criterion: &mut Criterion) {
    parts::cpus::confine();
    both(criterion, "empty_heap");
    let heap = Heap::touched(sized(1 << 30, 1 << 24));
    both(criterion, "1_gib_heap");
    drop(heap);
}

criterion_group!(benches, process_start);
criterion_main!(benches);
