//! Ours beside theirs, as ratios: medians of ten alternating rounds, both on the same two CPUs, results checked.
//!
//! One line of the table per ratio; with words as arguments, only those lines that have one of them. `--best` takes the best
//! of the ten instead: for a look at a machine that is busy, not for a promise. One line has no rival: it is a
//! start with a full heap beside a start with an empty one.
#![expect(clippy::print_stdout, reason = "the table is the result")]

use multiproc::Pool;
use std::time::{Duration, Instant};

mod parts {
    pub(crate) mod clock;
    pub(crate) mod contest;
    pub(crate) mod cpus;
    pub(crate) mod crew;
    pub(crate) mod mode;
    pub(crate) mod ours;
    pub(crate) mod pinned;
    pub(crate) mod posix;
    pub(crate) mod rivals;
    pub(crate) mod stamps;
    pub(crate) mod starts;
    pub(crate) mod sync_ratios;
    pub(crate) mod tasks;
    pub(crate) mod traffic;
}

use parts::mode::sized;
use parts::stamps::Spare;
use parts::starts::{
    Heap, command, fork_a_closure, fork_and_wait, spawn_and_join, start_and_join, thread_and_join,
};
use parts::tasks::{ThreadPool, WORKERS, pool_applies, pool_batch};
use parts::traffic::{Channels, OurQueue, Traffic, time};

const HEAP: usize = 1 << 30;

fn main() {
    parts::cpus::confine();
    println!(
        "{:<62} {:>10} {:>10} {:>7}  unit",
        "what", "ours", "theirs", "ratio"
    );
    parts::crew::count_cpus();
    parts::sync_ratios::all();
    queue();
    pool();
    starts();
}

/// How a table line counts: in nanoseconds or microseconds for one, or in millions a second.
#[derive(Clone, Copy)]
enum Unit {
    Nanoseconds,
    Microseconds,
    MillionsPerSecond,
}

impl Unit {
    fn of(self, time: Duration, pieces: u64) -> f64 {
        let each = time.as_secs_f64() / u32::try_from(pieces).map_or(f64::NAN, f64::from);
        match self {
            Unit::Nanoseconds => each * 1e9,
            Unit::Microseconds => each * 1e6,
            Unit::MillionsPerSecond => 1e-6 / each,
        }
    }

    fn best(self, values: Vec<f64>) -> f64 {
        let values = values.into_iter();
        match self {
            Unit::MillionsPerSecond => values.fold(0.0, f64::max),
            _ => values.fold(f64::INFINITY, f64::min),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Unit::Nanoseconds => "ns",
            Unit::Microseconds => "us",
            Unit::MillionsPerSecond => "M/s",
        }
    }
}

/// Prints the line: each closure does so many pieces of work and says how long they took.
fn compare(
    what: &str,
    (pieces, unit): (u64, Unit),
    mut ours: impl FnMut(u64) -> Duration,
    mut theirs: impl FnMut(u64) -> Duration,
) {
    if !is_wanted(what) {
        return;
    }
    // Once unmeasured: first uses, cold caches.
    ours(pieces.min(1000));
    theirs(pieces.min(1000));
    let mut rounds = Vec::new();
    for _ in 0..sized(10, 1) {
        let our_time = ours(pieces);
        rounds.push((unit.of(our_time, pieces), unit.of(theirs(pieces), pieces)));
    }
    let (all_ours, all_theirs) = rounds.iter().copied().unzip();
    let (ours, theirs, ratio) = if std::env::args().any(|word| word == "--best") {
        let (ours, theirs) = (unit.best(all_ours), unit.best(all_theirs));
        (ours, theirs, ours / theirs)
    } else {
        let ratios = rounds.iter().map(|(ours, theirs)| ours / theirs).collect();
        (median(all_ours), median(all_theirs), median(ratios))
    };
    let unit = unit.name();
    println!("{what:<62} {ours:>10.3} {theirs:>10.3} {ratio:>7.2}  {unit}");
}

fn is_wanted(what: &str) -> bool {
    let arguments = std::env::args().skip(1);
    let words: Vec<String> = arguments.filter(|word| !word.starts_with('-')).collect();
    words.is_empty() || words.iter().any(|word| what.contains(word.as_str()))
}

/// So that nobody makes what no line needs.
fn any_wanted(lines: &[&str]) -> bool {
    lines.iter().any(|line| is_wanted(line))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 {
        values[middle]
    } else {
        f64::midpoint(values[middle - 1], values[middle])
    }
}

/// The time of `work`, repeated.
fn repeated(times: u64, mut work: impl FnMut()) -> Duration {
    let begin = Instant::now();
    for _ in 0..times {
        work();
    }
    begin.elapsed()
}

fn queue() {
    let lines = [
        "Queue 8 B one to one : crossbeam bounded",
        "Queue round trip, hot : crossbeam bounded",
    ];
    if !any_wanted(&lines) {
        return;
    }
    let (mut ours, mut theirs) = (OurQueue::new(0), Channels::new());
    compare(
        lines[0],
        (sized(1_000_000, 10), Unit::MillionsPerSecond),
        |messages| time(messages, |messages| ours.one_way(messages)),
        |messages| time(messages, |messages| theirs.one_way(messages)),
    );
    compare(
        lines[1],
        (sized(20_000, 10), Unit::Microseconds),
        |messages| time(messages, |messages| ours.round_trips(messages)),
        |messages| time(messages, |messages| theirs.round_trips(messages)),
    );
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
