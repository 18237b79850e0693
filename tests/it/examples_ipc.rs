//! Examples of pipes, connections, sockets and signals.

use super::examples::{in_order, lines, place};

pub(crate) const TESTS: [(&str, fn()); 1] = [("examples::interrupt_in_stages", in_stages)];

/// With tasks and a report of ten minutes in the second and third run. What is said between two presses is a matter of time.
fn in_stages() {
    let lines = lines("interrupt_in_stages", 1000);
    let runs = [1, 2, 3].map(|presses| place(&lines, &format!("pressed {presses}")));
    let [one, two, three] = runs;
    let (first, second, third) = (&lines[one..two], &lines[two..three], &lines[three..]);
    let expected = [
        "  Ctrl-C: Drain",
        "  4 tasks of 4 are done",
        "  the report is written",
        "  ended with 0",
    ];
    assert_eq!(first[1..], expected);
    let order = [
        "  Ctrl-C: Drain",
        "  Ctrl-C: Terminate",
        "  0 tasks of 4 are done",
        "  the report is written",
        "  ended with 0",
    ];
    assert_eq!(second[1..], order);
    let order = [
        "  Ctrl-C: Drain",
        "  Ctrl-C: Terminate",
        "  Ctrl-C: Kill",
        "  ended with -9",
    ];
    in_order(third, &order);
    assert!(!third.contains(&"  the report is written".to_owned()));
}
