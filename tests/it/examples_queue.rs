//! Examples of queues.

use super::examples::{in_order, lines};

pub(crate) const TESTS: [(&str, fn()); 9] = [
    ("examples::queue_between_processes", between_processes),
    ("examples::queue_reader_terminated", reader_terminated),
    ("examples::queue_maxsize", maxsize),
    ("examples::queue_join_task_done", join_task_done),
    ("examples::queue_split_disconnected", split_disconnected),
    ("examples::queue_batches", batches),
    ("examples::queue_bytes_in_place", bytes_in_place),
    ("examples::simple_queue", simple),
    ("examples::queue_shutdown", shutdown),
];

fn between_processes() {
    let lines = lines("queue_between_processes", 5);
    in_order(
        &lines,
        &[
            "write 1",
            "write 2",
            "write 3",
            "write 4",
            "writer ends: Ok(())",
        ],
    );
    in_order(
        &lines,
        &[
            "read 1",
            "read 2",
            "read 3",
            "read 4",
            "reader ends: Ok(())",
            "done",
        ],
    );
}

/// What the reader gets are the first of the values; how many it gets before its end is a matter of time.
fn reader_terminated() {
    let lines = lines("queue_reader_terminated", 200);
    in_order(
        &lines,
        &["put A", "put B", "put C", "reader ended with -15"],
    );
    let got = lines.iter().filter_map(|line| line.strip_prefix("got "));
    assert!(
        ["A", "B", "C"].starts_with(&got.collect::<Vec<_>>()),
        "{lines:#?}"
    );
}

/// When main is told that there was room is a matter of time, but not before the first is read.
fn maxsize() {
    let lines = lines("queue_maxsize", 50);
    let fills = ["full: false", "full: false", "full: false"];
    assert_eq!(lines[..3], fills, "{lines:#?}");
    let order = [
        "full: true, items: 3",
        "no room for 4",
        "read 1",
        "read 2",
        "read 3",
        "read 4",
        "nothing is left",
    ];
    in_order(&lines, &order);
    in_order(
        &lines,
        &[
            "no room for 4",
            "there was room for 4 at last",
            "nothing is left",
        ],
    );
}

/// With a pause of ten minutes for the worker that is killed. Who does which task is a matter of time.
fn join_task_done() {
    let lines = lines("queue_join_task_done", 1000);
    let is_stuck = |line: &&String| line.ends_with("is stuck with task 3");
    assert_eq!(lines.iter().filter(is_stuck).count(), 1, "{lines:#?}");
    for task in 1..=6 {
        let times = u32::from(task == 3);
        let done = format!("task {task} is done, taken before: {times}");
        in_order(&lines, &[&done, "unfinished: 0, failed: 0"]);
    }
    in_order(
        &lines,
        &["that worker ended with -15", "task 3 is done", "unfinished"],
    );
    let home = lines.iter().filter(|line| line.ends_with("goes home"));
    assert_eq!(home.count(), 2, "{lines:#?}");
    assert_eq!(lines.len(), 11, "{lines:#?}");
}

/// With a pause of ten minutes for the producer that is killed.
fn split_disconnected() {
    let lines = lines("queue_split_disconnected", 1000);
    for name in ["egon", "alex"] {
        let got = [1, 2, 3].map(|number| format!("got {name} {number}"));
        let [first, second, third] = got.each_ref().map(String::as_str);
        in_order(&lines, &[first, second, third, "all producers are gone"]);
    }
    in_order(&lines, &["got piao 1", "all producers are gone"]);
    let ends = &lines[lines.len() - 5..];
    let expected = [
        "all producers are gone",
        "one ended with 0",
        "one ended with 0",
        "one ended with -9",
        "nobody will read \"hello\"",
    ];
    assert_eq!(ends, expected);
    assert_eq!(lines.len(), 12, "{lines:#?}");
}

fn batches() {
    let expected = [
        "10000 numbers, their sum is 50005000",
        "no batch of more than 100: true",
        "3 are in it, no room for [\"d\", \"e\"]",
    ];
    assert_eq!(lines("queue_batches", 1), expected);
}

fn bytes_in_place() {
    let expected = [
        "5 bytes: \"first\"",
        "6 bytes: \"second\"",
        "0 bytes: \"\"",
        "1048576 bytes, their sum is 1048576",
        "1048576 bytes, their sum is 2097152",
        "as a value: [7, 7, 7]",
    ];
    assert_eq!(lines("queue_bytes_in_place", 1), expected);
}

fn simple() {
    let expected = [
        "the square of 1 is 1",
        "the square of 2 is 4",
        "the square of 3 is 9",
        "empty: true",
        "no more numbers",
        "put after close: Err(Closed(..))",
        "get after close: Err(Closed)",
        "empty after close: Err(Closed)",
    ];
    assert_eq!(lines("simple_queue", 1), expected);
}

fn shutdown() {
    let expected = [
        "too late for 4",
        "egon got 1",
        "egon got 2",
        "egon got 3",
        "egon: closed true",
        "closed: true, items: 0",
        "alex: closed true",
        "piao: closed true",
    ];
    assert_eq!(lines("queue_shutdown", 1), expected);
}
