//! Examples of who may go on and who must wait, and of numbers that processes share.

use super::examples::{in_order, lines, numbers, place};

pub(crate) const TESTS: [(&str, fn()); 11] = [
    ("examples::value_and_array", value_and_array),
    ("examples::array_of_structs", structs),
    ("examples::value_counter", counter),
    ("examples::semaphore_limits", semaphore),
    ("examples::event_start_signal", event),
    ("examples::rlock_recursive", recursive),
    ("examples::lock_released_by_another", released),
    ("examples::condition_producer_consumer", condition),
    ("examples::barrier_phases", barrier),
    ("examples::bounded_semaphore", bounded),
    ("examples::rwlock_readers", readers),
];

fn value_and_array() {
    let expected = [
        "before: 10 and [1, 2, 3, 4, 5]",
        "after: 3.5 and [-1, -2, -3, -4, -5]",
        "the sum is -15",
        "at last: [-5, -4, -3, -2, -1]",
    ];
    assert_eq!(lines("value_and_array", 1), expected);
}

fn structs() {
    let lines = lines("array_of_structs", 1);
    let expected = [
        "2.25 36",
        "30.25 4",
        "the second: Point { x: 30.25, y: 4.0 }",
    ];
    assert_eq!(lines[..3], expected);
    assert!(lines[3].starts_with("the third: "), "{lines:#?}");
    assert_eq!(lines.len(), 4);
}

/// How many are lost without a lock is a matter of time.
fn counter() {
    let lines = lines("value_counter", 1);
    for number in 1..=5 {
        let begin = format!("process Process-{number} is running...");
        let end = format!("process Process-{number} ended.");
        in_order(&lines, &[&begin, &end, "with the value's lock: 50000"]);
    }
    place(&lines, "in one instruction: 50000");
    let unguarded = numbers(&lines, "without a lock")[0];
    assert!((1..=50_000).contains(&unguarded), "{unguarded}");
}

/// How many come before one leaves is a matter of time, but it is never more than two.
fn semaphore() {
    let lines = lines("semaphore_limits", 50);
    for name in ["egon", "alex", "wupeiqi", "yuanhao", "piao"] {
        in_order(
            &lines,
            &[&format!("{name} sits"), &format!("{name} leaves")],
        );
    }
    let most = numbers(&lines, "at the same time")[0];
    assert!((1..=2).contains(&most), "{lines:#?}");
    assert_eq!(lines.last().unwrap(), "free tables: 2");
}

fn event() {
    let lines = lines("event_start_signal", 50);
    for runner in ["runner 1", "runner 2", "runner 3"] {
        let waits = format!("{runner} waits");
        let order = [
            waits.as_str(),
            "all are ready, started: false",
            "go",
            &format!("{runner} runs"),
            "set: true",
            "set after clear: false",
        ];
        in_order(&lines, &order);
    }
    assert_eq!(lines.len(), 10, "{lines:#?}");
}

fn recursive() {
    let expected = [
        "level 1",
        "level 2",
        "level 3",
        "free for another process: false",
        "free after as many releases: true",
        "a Lock cannot be had twice",
    ];
    assert_eq!(lines("rlock_recursive", 20), expected);
}

fn released() {
    let expected = [
        "held by MainProcess, which is this process: true",
        "refused while a guard owns it: true",
        "still locked: true",
        "locked after the release: false",
        "refused once too often: true",
    ];
    assert_eq!(lines("lock_released_by_another", 1), expected);
}

/// All goods arrive, each once; who takes which is a matter of time.
fn condition() {
    let lines = lines("condition_producer_consumer", 1);
    let puts: Vec<String> = (1..=8).map(|goods| format!("put {goods}")).collect();
    let puts: Vec<&str> = puts.iter().map(String::as_str).collect();
    in_order(&lines, &puts);
    let takes = lines.iter().filter(|line| line.contains("takes"));
    let goods = takes.filter_map(|line| line.rsplit(' ').next()?.parse().ok());
    let mut goods: Vec<u32> = goods.collect();
    goods.sort_unstable();
    assert_eq!(goods, [1, 2, 3, 4, 5, 6, 7, 8]);
    in_order(&lines, &["egon goes home", "left in the store: 0"]);
    in_order(&lines, &["alex goes home", "left in the store: 0"]);
}

fn barrier() {
    let lines = lines("barrier_phases", 50);
    for name in ["egon", "alex", "piao"] {
        let (first, second) = (format!("{name} does part 1"), format!("{name} does part 2"));
        let order = [first.as_str(), "part 1 is done", &second, "part 2 is done"];
        in_order(&lines, &order);
    }
    let arrivals = lines.iter().filter(|line| *line == "three are here");
    assert_eq!(arrivals.count(), 4, "{lines:#?}");
    in_order(
        &lines,
        &[
            "part 2 is done",
            "alone: true, broken: true",
            "broken after reset: false",
        ],
    );
}

fn bounded() {
    let expected = [
        "free: 1 of 2",
        "free: 2, refused: true",
        "free while a child has one: 1",
        "it ended with -9",
        "both are ours, free: 0",
        "free: 2",
    ];
    assert_eq!(lines("bounded_semaphore", 1000), expected);
}

fn readers() {
    let expected = [
        "while nobody is there: read true, write true",
        "while we read: read true, write false",
        "while we write: read false, write false",
        "readers: 0, a writer: false",
    ];
    assert_eq!(lines("rwlock_readers", 1), expected);
}
