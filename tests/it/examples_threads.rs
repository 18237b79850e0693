//! Examples of threads.

use super::examples::{in_order, lines, numbers, place};

pub(crate) const TESTS: [(&str, fn()); 7] = [
    ("examples::threads_or_processes", crate::backends::example),
    ("examples::thread_named", named),
    ("examples::threads_two_tasks", two_tasks),
    ("examples::threads_two_dancers", two_dancers),
    ("examples::threads_adding", adding),
    ("examples::thread_daemon", daemon),
    ("examples::thread_timer", timer),
];

fn named() {
    let expected = [
        "thread MainThread is running...",
        "hello world",
        "thread TestThread is running...",
        "hello test",
        "thread TestThread ended",
        "thread MainThread ended",
    ];
    assert_eq!(lines("thread_named", 1), expected);
}

/// Which task is first is a matter of time, and how long they take too.
fn two_tasks() {
    let lines = lines("threads_two_tasks", 50);
    assert_eq!(
        lines[..2],
        ["the main thread: MainThread", "waiting for both"]
    );
    for task in 1..=2 {
        let begin = format!("Thread-{task} (long_time_task): task {task}");
        in_order(&lines, &[&begin, "that took "]);
    }
    let result = |line: &&String| *line == "result: 1152921504606846976";
    assert_eq!(lines.iter().filter(result).count(), 2, "{lines:#?}");
    assert_eq!(lines.len(), 7);
}

/// Whoever is first is so three times.
fn two_dancers() {
    let lines = lines("threads_two_dancers", 5);
    assert!(lines[0].starts_with("<_MainThread(MainThread, started "));
    let dancer = [
        "<Thread(dance_thread, started ",
        "Zhang San (20) dances: 1",
        "Zhang San (20) dances: 2",
        "Zhang San (20) dances: 3",
    ];
    let singer = [
        "<Thread(sing_thread, started ",
        "somebody sings: 1",
        "somebody sings: 2",
        "somebody sings: 3",
    ];
    let expected = if lines[1].contains("dance_thread") {
        [dancer, singer]
    } else {
        [singer, dancer]
    };
    assert_eq!(lines.len(), 9);
    for (line, begin) in lines[1..].iter().zip(expected.concat()) {
        assert!(line.starts_with(begin), "{lines:#?}");
    }
}

/// How many are lost without a lock is a matter of time.
fn adding() {
    let lines = lines("threads_adding", 1);
    for number in 1..=5 {
        let begin = format!("thread Thread-{number} (calc) is running...");
        let end = format!("thread Thread-{number} (calc) ended.");
        in_order(&lines, &[&begin, &end, "with a lock: 50000"]);
    }
    in_order(
        &lines,
        &["in one instruction: 50000", "thread MainThread ended."],
    );
    let unguarded = numbers(&lines, "without a lock")[0];
    assert!((1..=50_000).contains(&unguarded), "{unguarded}");
}

fn daemon() {
    // A minute of the daemon's is longer than any machine needs for half a second of the other's.
    let lines = lines("thread_daemon", 500);
    in_order(&lines, &["the other strolls", "the other is back"]);
    place(&lines, "main has nothing more to do");
    assert!(
        !lines.contains(&"the daemon is back".to_owned()),
        "{lines:#?}"
    );
}

fn timer() {
    let expected = [
        "2 threads",
        "cancelled in time: true",
        "it rings",
        "and stops",
        "cancelled in time: false",
        "told: the spring broke",
        "left: 1",
    ];
    assert_eq!(lines("thread_timer", 50), expected);
}
