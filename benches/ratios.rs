//! Ours beside theirs, as ratios: medians of ten alternating rounds, both on the same two CPUs, results checked.
//!
//! One line of the table per ratio; with words as arguments, only those lines that have one of them. `--best` takes the best
//! of the ten instead: for a look at a machine that is busy, not for a promise. One line has no rival: it is a
//! start with a full heap beside a start with an empty one.

use multiproc::Pool;
use std::time::{Duration, Instant};

mod parts {
    pub(crate) mod bare;
    pub(crate) mod channels;
    pub(crate) mod clock;
    pub(crate) mod contest;
    pub(crate) mod cpus;
    pub(crate) mod crew;
    pub(crate) mod idle;
    pub(crate) mod memory;
    pub(crate) mod mode;
    pub(crate) mod ours;
    pub(crate) mod peer_pool;
    pub(crate) mod pinned;
    pub(crate) mod pipe_ratios;
    pub(crate) mod posix;
    pub(crate) mod queue_ratios;
    pub(crate) mod rivals;
    pub(crate) mod sem;
    pub(crate) mod stamps;
    pub(crate) mod starts;
    pub(crate) mod sync_ratios;
    pub(crate) mod table;
    pub(crate) mod tasks;
    pub(crate) mod thread_ratios;
    pub(crate) mod traffic;
    pub(crate) mod ways;
    pub(crate) mod wires;
}

use parts::mode::sized;
use parts::stamps::Spare;
use parts::starts::{
    Heap, command, fork_a_closure, fork_and_wait, spawn_and_join, start_and_join, thread_and_join,
};
use parts::table::{Unit, compare, is_wanted};
use parts::tasks::{ThreadPool, WORKERS, pool_applies, pool_batch};

const HEAP: usize = 1 << 30;

fn main() {
    parts::cpus::confine();
    parts::table::head();
    parts::crew::count_cpus();
    parts::sync_ratios::all();
    parts::queue_ratios::all();
    parts::thread_ratios::all();
    parts::pipe_ratios::all();
    pool();
    starts();
}

/// So that nobody makes what no line needs.
fn any_wanted(lines: &[&str]) -> bool {
    lines.iter().any(|line| is_wanted(line))
}

/// The time of `work`, repeated.
fn repeated(times: u64, mut work: impl FnMut()) -> Duration {
    let begin = Instant::now();
    for _ in 0..times {
        work();
    }
    begin.elapsed()
}

fn pool() {
    let lines = [
        "Pool no-op, two workers : threads and channel",
        "Pool hot apply : threads and channel",
    ];
    if !any_wanted(&lines) {
        return;
    }
    let (ours, theirs) = (Pool::new(WORKERS).expect("a pool"), ThreadPool::new());
    let batch = sized(1000, 10);
    compare(
        lines[0],
        (sized(100_000, 10), Unit::Microseconds),
        |tasks| repeated(tasks / batch, || pool_batch(&ours, batch)),
        |tasks| repeated(tasks / batch, || theirs.batch(batch)),
    );
    compare(
        lines[1],
        (sized(10_000, 10), Unit::Microseconds),
        |tasks| repeated(1, || pool_applies(&ours, tasks)),
        |tasks| repeated(1, || theirs.applies(tasks)),
    );
    ours.close();
    ours.join().expect("the workers end");
}

/// What is compared, and one start of each side.
type Pair = (&'static str, fn(), fn());

fn starts() {
    let pairs: [Pair; 5] = [
        (
            "start and join : fork and waitpid",
            start_and_join,
            fork_and_wait,
        ),
        (
            "Process::fork : fork and waitpid",
            fork_a_closure,
            fork_and_wait,
        ),
        (
            "start and join : Command /bin/true",
            start_and_join,
            command,
        ),
        (
            "StartMethod::Spawn : Command /bin/true",
            spawn_and_join,
            command,
        ),
        (
            "start and join : std::thread",
            start_and_join,
            thread_and_join,
        ),
    ];
    for (what, ours, theirs) in pairs {
        let size = (sized(200, 2), Unit::Microseconds);
        let (ours, theirs) = (
            |times| repeated(times, ours),
            |times| repeated(times, theirs),
        );
        compare(what, size, ours, theirs);
    }
    full_heap();
    with_a_spare();
}

/// With 1 GiB in small pages: beside a start without it, and beside a bare fork of all that.
fn full_heap() {
    let lines = [
        "start and join, 1 GiB heap : empty heap",
        "start and join : fork, both with 1 GiB heap",
    ];
    if !any_wanted(&lines) {
        return;
    }
    let bytes = sized(HEAP, 1 << 24);
    compare(
        lines[0],
        (sized(100, 2), Unit::Microseconds),
        |times| {
            let _heap = Heap::touched(bytes);
            repeated(times, start_and_join)
        },
        |times| repeated(times, start_and_join),
    );
    let _heap = Heap::touched(bytes);
    compare(
        lines[1],
        (sized(20, 2), Unit::Microseconds),
        |times| repeated(times, start_and_join),
        |times| repeated(times, fork_and_wait),
    );
}

/// Only until the function runs, when a child is ready for it.
fn with_a_spare() {
    let line = "start to function, spare : std::thread";
    if !is_wanted(line) {
        return;
    }
    let spare = Spare::new();
    compare(
        line,
        (sized(100, 2), Unit::Microseconds),
        |times| spare.starts(times),
        |times| spare.threads(times),
    );
}
