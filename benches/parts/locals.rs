//! A thread's own value: this crate's, the crate `thread_local`'s, std's.

use criterion::Criterion;
use multiproc::threading::Local;
use std::cell::Cell;
use std::hint::black_box;
use thread_local::ThreadLocal;

thread_local! {
    /// With a destructor, as the values of the others have.
    static STD: Cell<Option<Box<u64>>> = const { Cell::new(None) };
    static STD_PLAIN: Cell<u64> = const { Cell::new(0) };
}

fn add(cell: &Cell<u64>) {
    cell.set(cell.get() + 1);
}

/// A thread that does it and ends.
fn once(body: impl FnOnce() + Send) {
    let joined = std::thread::scope(|scope| scope.spawn(body).join());
    joined.expect("it ends");
}

pub(crate) fn groups(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("local/with");
    let local = Local::new(|| Cell::new(0));
    group.bench_function("Local", |bencher| {
        bencher.iter(|| black_box(&local).with(add));
    });
    let local = ThreadLocal::new();
    group.bench_function("thread_local", |bencher| {
        bencher.iter(|| add(black_box(&local).get_or(|| Cell::new(0))));
    });
    group.bench_function("std", |bencher| bencher.iter(|| STD_PLAIN.with(add)));
    group.bench_function("std_with_destructor", |bencher| {
        bencher.iter(|| STD.with(|cell| black_box(cell).take()));
    });
    group.finish();

    // A thread that asks one time: the value is made, kept, found and dropped.
    let mut group = criterion.benchmark_group("local/thread");
    let local = Local::new(|| Cell::new(0));
    group.bench_function("Local", |bencher| {
        bencher.iter(|| once(|| local.with(add)));
    });
    let local = ThreadLocal::new();
    group.bench_function("thread_local", |bencher| {
        bencher.iter(|| once(|| add(local.get_or(|| Cell::new(0)))));
    });
    group.bench_function("no_value", |bencher| {
        bencher.iter(|| once(|| ()));
    });
    group.finish();
}
