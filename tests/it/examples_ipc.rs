//! Examples of pipes, connections, sockets and signals.

use super::examples::{in_order, lines, place, program};
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};

pub(crate) const TESTS: [(&str, fn()); 7] = [
    ("examples::interrupt_in_stages", in_stages),
    ("examples::echo_server", echo_server),
    ("examples::echo_client", echo_client),
    ("examples::pipe_between_processes", between_processes),
    ("examples::connection_wait", connection_wait),
    ("examples::shared_memory_by_name", shared_memory),
    ("examples::named_pipe", named_pipe),
];

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

fn echo_server() {
    let lines = lines("echo_server", 1);
    for name in ["egon", "alex"] {
        let heard = |word: &str| format!("server heard {word} {name}");
        in_order(&lines, &[&heard("hello"), &heard("goodbye")]);
        let heard = |word: &str| format!("client heard {word} {}", name.to_uppercase());
        in_order(&lines, &[&heard("HELLO"), &heard("GOODBYE")]);
    }
    let ended = lines.iter().filter(|line| *line == "talk ended with 0");
    assert_eq!((ended.count(), lines.len()), (2, 10), "{lines:#?}");
}

/// Alone, and with a server that is another program.
fn echo_client() {
    let expected = ["HELLO FROM A CLIENT", "the server ended with 0"];
    assert_eq!(lines("echo_client", 1), expected);

    let mut command = Command::new(program("echo_server"));
    let mut server = command.arg("2").stdout(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(server.stdout.take().unwrap()).lines();
    let first = said.next().unwrap().unwrap();
    let port = first.strip_prefix("listening at port ").unwrap();
    for input in ["one\n\n  two \nthree", ""] {
        let mut command = Command::new(program("echo_client"));
        let command = command.arg(port).stdin(Stdio::piped());
        let mut client = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut stdin = client.stdin.take().unwrap();
        stdin.write_all(input.as_bytes()).unwrap();
        drop(stdin);
        let output = client.wait_with_output().unwrap();
        let answers = if input.is_empty() {
            ""
        } else {
            "ONE\nTWO\nTHREE\n"
        };
        assert_eq!(String::from_utf8(output.stdout).unwrap(), answers);
        assert!(output.status.success());
    }
    let rest: Vec<String> = said.map(Result::unwrap).collect();
    let heard = ["one", "two", "three"].map(|word| format!("server heard {word}"));
    let ended = "talk ended with 0".to_owned();
    assert_eq!(rest, [&heard[..], &[ended.clone(), ended]].concat());
    assert!(server.wait().unwrap().success());
}

fn between_processes() {
    let expected = [
        "0 is zero",
        "2 is two",
        "7 is many",
        "the translator ended with 0",
        "heard step 1",
        "heard step 2",
        "heard step 3",
        "that was all, it ended with 0",
        "something to receive: true",
        "bytes: world",
        "something to receive: false",
        "nothing in time: true",
        "killed: true",
        "it ended with -9",
    ];
    assert_eq!(lines("pipe_between_processes", 1), expected);
}

/// Who of them is first is a matter of time.
fn connection_wait() {
    let lines = lines("connection_wait", 20);
    for name in ["egon", "alex", "piao"] {
        let said = [0, 1, 2].map(|number| format!("{number} of {name}"));
        let [first, second, third] = said.each_ref().map(String::as_str);
        in_order(&lines, &[first, second, third, "one is at its end, 0 left"]);
    }
    let ends = [2, 1, 0].map(|left| format!("one is at its end, {left} left"));
    in_order(&lines, &ends.each_ref().map(String::as_str));
    let last = ["ready: [1]", "in time: []"];
    assert_eq!(lines[lines.len() - 2..], last);
    assert_eq!(lines.len(), 14);
}

fn shared_memory() {
    let expected = [
        "the visitor reads: hello",
        "main reads: HELLO",
        "visits: 1",
        "item: Str(\"egon\")",
        "item: Int(43)",
        "item: Str(\"größer\")",
        "item: Bool(true)",
        "found again: false",
        "still there: HELLO",
        "owned by a child: true",
        "and gone with it",
    ];
    assert_eq!(lines("shared_memory_by_name", 1), expected);
}

fn named_pipe() {
    let expected = [
        "nobody writes: Some(TimedOut)",
        "read step 1",
        "read step 2",
        "read step 3",
        "a message of 100000 bytes",
        "a message: that was all",
        "the writer has gone: true",
        "read from a shell",
        "the path is still there: false",
    ];
    assert_eq!(lines("named_pipe", 1), expected);
}
