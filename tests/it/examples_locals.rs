//! Examples of values of threads, and of pools of threads.

use super::examples::{in_order, lines};

pub(crate) const TESTS: [(&str, fn()); 2] = [
    ("examples::thread_local_counters", counters),
    ("examples::thread_pool_map", pool_map),
];

/// Which thread is first is a matter of time.
fn counters() {
    let lines = lines("thread_local_counters", 1);
    for number in 1..=15 {
        let what = ["a variable of", "the dictionary for", "the local of"][(number - 1) / 5];
        let told = |line: &&String| {
            line.starts_with(&format!("{what} Thread-{number}")) && line.ends_with(": 10000")
        };
        assert_eq!(lines.iter().filter(told).count(), 1, "{number}: {lines:#?}");
    }
    let ends = [
        "thread MainThread is running...",
        "the local of the main thread: 0",
        "thread MainThread ended.",
    ];
    in_order(&lines, &ends);
    assert_eq!(lines.len(), 18);
}

fn pool_map() {
    let lines = lines("thread_pool_map", 50);
    let expected = [
        "2 to the 10th: 1024",
        "prices: [1, 3, 5]",
        "areas: [6, 20]",
        "squares: [1, 4, 9, 16, 25]",
        "0: 4",
        "1: 6",
        "2: 12",
        "3: Panicked",
        "workers that took part: at most 3",
        "tasks that they counted: 30",
    ];
    assert_eq!(lines, expected);
}
