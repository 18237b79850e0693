//! Examples of how processes come to be, of what they know of each other, and of how they end.

use super::examples::{in_order, lines, numbers, place};

pub(crate) const TESTS: [(&str, fn()); 17] = [
    ("examples::os_fork", os_fork),
    ("examples::process_globals", globals),
    ("examples::process_start_methods", start_methods),
    ("examples::process_attributes", attributes),
    ("examples::process_states", states),
    ("examples::process_rules", rules),
    ("examples::process_parent", parent),
    ("examples::processes_active_children", active_children),
    (
        "examples::process_terminate_at_the_end",
        terminate_at_the_end,
    ),
    ("examples::process_signals", signals),
    ("examples::process_with_conditions", conditions),
    ("examples::lock_owner_terminated", lock_owner),
    ("examples::socket_server", socket_server),
    ("examples::spawn_join_handle", join_handle),
    ("examples::fork_with_captures", captures),
    ("examples::process_survives_segfault", survives),
    ("examples::preload_and_spares", preload),
];

fn os_fork() {
    let lines = lines("os_fork", 1);
    let (parent, child) = (numbers(&lines, "I ("), numbers(&lines, "I am child"));
    assert_eq!(parent, [child[1], child[0]], "{lines:#?}");
    in_order(&lines, &["I (", "it ended with 0"]);
    in_order(&lines, &["I am child", "it ended with 0"]);
    assert_eq!(lines.len(), 3, "nothing is said twice: {lines:#?}");
}

fn globals() {
    let lines = lines("process_globals", 1);
    let number = |name: &str| numbers(&lines, &format!("{name}: number is"))[0];
    let main = number("MainProcess");
    assert_ne!(main, 0);
    assert_eq!(number("fork"), main);
    assert_eq!((number("forkserver"), number("spawn")), (0, 0));
}

fn start_methods() {
    let expected = [
        "there are forkserver, fork, spawn",
        "the default is spawn now",
        "refused: true",
        "child 1",
        "Process-1 by spawn ended with 0",
        "child 2",
        "Process-2 by fork ended with 0",
        "child 3",
        "Process-3 by forkserver ended with 0",
        "fork",
    ];
    assert_eq!(lines("process_start_methods", 1), expected);
}

fn attributes() {
    let expected = [
        "not started: reader, has a pid: false, alive: false, exitcode: None",
        "running: reader, has a pid: true, alive: true, exitcode: None",
        "ended: reader, has a pid: true, alive: false, exitcode: Some(0)",
        "daemon: true",
        "its key has 32 bytes",
        "it is ours: true",
    ];
    assert_eq!(lines("process_attributes", 1), expected);
}

fn states() {
    let expected = ["ready", "running", "blocked", "stopped", "blocked", "ended"];
    assert_eq!(lines("process_states", 1), expected);
}

fn rules() {
    let lines = lines("process_rules", 1);
    for start in [
        "join before start: not allowed now",
        "start twice: not allowed now",
    ] {
        place(&lines, start);
    }
    place(&lines, "join after close: closed");
    place(&lines, "start in a daemon: not allowed now");
    assert_eq!(lines.len(), 4, "{lines:#?}");
}

fn parent() {
    let lines = lines("process_parent", 1);
    let order = ["MainProcess (", "Process-1 (", "Process-1:1 ("];
    in_order(&lines, &order);
    place(&lines, "MainProcess (");
    assert!(lines[0].ends_with("is the first process"), "{lines:#?}");
    let last = |start| *numbers(&lines, start).last().unwrap();
    assert_eq!(last("Process-1 ("), numbers(&lines, "MainProcess")[0]);
    assert_eq!(last("Process-1:1 ("), numbers(&lines, "Process-1 (")[1]);
}

fn active_children() {
    let expected = [
        "active: []",
        r#"active: ["alex", "egon", "yuanhao"]"#,
        "active: []",
    ];
    assert_eq!(lines("processes_active_children", 1), expected);
}

/// With half a second for some of the steps. There would be no end of them.
fn terminate_at_the_end() {
    let lines = lines("process_terminate_at_the_end", 500);
    place(&lines, "main has nothing more to do");
}

fn signals() {
    let lines = lines("process_signals", 1000);
    let expected = [
        "interrupted: -2",
        "terminated: -15",
        "killed: -9",
        "sent SIGUSR1: -10",
    ];
    assert_eq!(lines, expected);
}

fn conditions() {
    let expected = [
        "in /",
        r#"GREETING is Some("hello")"#,
        "HOME is None",
        "a GiB is too much: true",
        "ended with 0",
    ];
    assert_eq!(lines("process_with_conditions", 1), expected);
}

/// With the full minute of sleep: the owner does not give the lock back.
fn lock_owner() {
    let expected = [
        "the owner ended with -15",
        "the owner died with the lock",
        "repaired, and ours: true",
        "locked: false",
    ];
    assert_eq!(lines("lock_owner_terminated", 1000), expected);
}

fn socket_server() {
    let lines = lines("socket_server", 1);
    for name in ["egon", "alex"] {
        let heard = |word: &str| format!("server heard {word} {name}");
        in_order(&lines, &[&heard("hello"), &heard("goodbye")]);
        let heard = |word: &str| format!("client heard {word} {}", name.to_uppercase());
        in_order(&lines, &[&heard("HELLO"), &heard("GOODBYE")]);
    }
    let ended = lines.iter().filter(|line| *line == "talk ended with 0");
    assert_eq!((ended.count(), lines.len()), (2, 10), "{lines:#?}");
}

fn join_handle() {
    let expected = [
        "in two processes: 499999500000",
        "in a thread: 499999500000",
        "a panic is an error: no more bananas",
        "finished: false",
        "Killed with Some(-9)",
    ];
    assert_eq!(lines("spawn_join_handle", 1), expected);
}

fn captures() {
    let half = (1_u64 << 20) / 2;
    let low = half * (half - 1) / 2;
    let expected = [
        format!("half a sum: {low}"),
        format!("half a sum: {}", low + half * half),
        r#"child: ["egon", "alex"]"#.to_owned(),
        r#"main: ["egon", "yuanhao"]"#.to_owned(),
    ];
    assert_eq!(lines("fork_with_captures", 1), expected);
}

/// With four seconds for those that end by themselves.
fn survives() {
    let expected = [
        "segfaults: killed by signal 11",
        "panics: code 1, no more bananas",
        "leaves: code 3",
        "never returns: too long, terminated",
        "never returns: killed by signal 15",
        "main lives",
    ];
    assert_eq!(lines("process_survives_segfault", 2000), expected);
}

fn preload() {
    let lines = lines("preload_and_spares", 1);
    let answers = ["9 says", "16 says", "25 says"].map(|start| numbers(&lines, start));
    let maker = answers[0][2];
    for answer in &answers {
        assert_eq!(answer[2], maker, "made once: {lines:#?}");
        assert_ne!(answer[1], maker, "by the server: {lines:#?}");
    }
    place(&lines, "main is");
    assert!(lines[3].ends_with("made none: true"), "{lines:#?}");
    assert_ne!(numbers(&lines, "main is")[0], maker);
}
