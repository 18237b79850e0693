//! The table: a line per ratio, ours beside theirs, medians of ten alternating rounds.
#![expect(clippy::print_stdout, reason = "the table is the result")]

use super::mode::sized;
use std::time::Duration;

/// How a table line counts: in nanoseconds or microseconds for one, in millions a second, or in GiB a second.
#[derive(Clone, Copy)]
pub(crate) enum Unit {
    Nanoseconds,
    Microseconds,
    MillionsPerSecond,
    /// Of pieces that have so many bytes.
    GibibytesPerSecond(u32),
}

impl Unit {
    fn of(self, time: Duration, pieces: u64) -> f64 {
        let each = time.as_secs_f64() / u32::try_from(pieces).map_or(f64::NAN, f64::from);
        match self {
            Unit::Nanoseconds => each * 1e9,
            Unit::Microseconds => each * 1e6,
            Unit::MillionsPerSecond => 1e-6 / each,
            Unit::GibibytesPerSecond(bytes) => f64::from(bytes) / f64::from(1 << 30) / each,
        }
    }

    fn best(self, values: Vec<f64>) -> f64 {
        let values = values.into_iter();
        match self {
            Unit::Nanoseconds | Unit::Microseconds => values.fold(f64::INFINITY, f64::min),
            Unit::MillionsPerSecond | Unit::GibibytesPerSecond(_) => values.fold(0.0, f64::max),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Unit::Nanoseconds => "ns",
            Unit::Microseconds => "us",
            Unit::MillionsPerSecond => "M/s",
            Unit::GibibytesPerSecond(_) => "GiB/s",
        }
    }
}

pub(crate) fn head() {
    println!(
        "{:<62} {:>10} {:>10} {:>7}  unit",
        "what", "ours", "theirs", "ratio"
    );
}

/// Prints the line: each closure does so many pieces of work and says how long they took.
pub(crate) fn compare(
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

/// Prints a line of two numbers of bytes.
pub(crate) fn bytes(what: &str, ours: u64, theirs: u64) {
    println!("{what:<62} {ours:>10} {theirs:>10} {:>7}  bytes", "");
}

pub(crate) fn is_wanted(what: &str) -> bool {
    let arguments = std::env::args().skip(1);
    let words: Vec<String> = arguments.filter(|word| !word.starts_with('-')).collect();
    words.is_empty() || words.iter().any(|word| what.contains(word.as_str()))
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
