//! Every example runs, ends by itself and says what it should.

use crate::runner::{Case, case};
use crate::{
    examples_ipc, examples_locals, examples_queue, examples_start, examples_sync, examples_threads,
};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

/// Where an example has to be built first, that takes its time.
const DEADLINE: Duration = Duration::from_secs(300);

const TESTS: [(&str, fn()); 14] = [
    ("examples::process_start_and_join", start_and_join),
    ("examples::process_with_arguments", with_arguments),
    ("examples::processes_in_parallel", in_parallel),
    ("examples::processes_without_join", without_join),
    ("examples::processes_join_all", join_all),
    ("examples::process_join_timeout", join_timeout),
    ("examples::process_terminate", terminate),
    ("examples::process_name_and_pid", name_and_pid),
    ("examples::process_daemon", daemon),
    ("examples::process_own_memory", own_memory),
    ("examples::lock_between_processes", lock),
    ("examples::pool_apply_async", pool_apply_async),
    ("examples::pool_map", pool_map),
    ("examples::all_are_listed_and_tested", all_are_tested),
];

fn all() -> impl Iterator<Item = (&'static str, fn())> {
    let start = examples_start::TESTS.into_iter();
    let others = examples_sync::TESTS
        .into_iter()
        .chain(examples_queue::TESTS)
        .chain(examples_ipc::TESTS)
        .chain(examples_threads::TESTS)
        .chain(examples_locals::TESTS);
    TESTS.into_iter().chain(start).chain(others)
}

pub(crate) fn tests() -> Vec<Case> {
    all()
        .map(|(name, body)| case(name, body).deadline(DEADLINE))
        .collect()
}

/// The program of an example. `cargo test` has built it; `cargo test --test it` has not, or has left an old one.
pub(crate) fn program(name: &str) -> PathBuf {
    let own = std::env::current_exe().unwrap();
    let profile = own.ancestors().nth(2).expect("target/PROFILE/deps/it");
    let program = profile.join("examples").join(name);
    let built = program.metadata().and_then(|metadata| metadata.modified());
    if built.map_or(true, |built| built < last_change()) {
        build(name, profile);
    }
    program
}

/// When a source was last written.
fn last_change() -> SystemTime {
    let mut last = SystemTime::UNIX_EPOCH;
    let mut folders = ["src", "examples"]
        .map(|name| package().join(name))
        .to_vec();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let entry = entry.unwrap();
            let metadata = entry.metadata().unwrap();
            if metadata.is_dir() {
                folders.push(entry.path());
            } else {
                last = last.max(metadata.modified().unwrap());
            }
        }
    }
    last
}

fn package() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn build(name: &str, profile: &Path) {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let folder = profile.file_name().and_then(|name| name.to_str());
    let profile_name = folder.filter(|name| *name != "debug").unwrap_or("dev");
    let built = Command::new(cargo)
        .current_dir(package())
        .args(["build", "--example", name, "--profile", profile_name])
        .arg("--target-dir")
        .arg(profile.parent().unwrap())
        .status();
    assert!(built.unwrap().success(), "cargo build --example {name}");
}

/// The lines that the example prints when its second lasts so many milliseconds. It must end with code 0.
pub(crate) fn lines(name: &str, second: u32) -> Vec<String> {
    let mut command = Command::new(program(name));
    command.env("MULTIPROC_EXAMPLE_SLEEP_MS", second.to_string());
    // Some panic on purpose, and a backtrace of a debug build takes its time.
    command.env("RUST_BACKTRACE", "0");
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(str::to_owned).collect()
}

/// Where the line is that starts so; there must be one only.
#[track_caller]
pub(crate) fn place(lines: &[String], start: &str) -> usize {
    let mut found = (0..lines.len()).filter(|place| lines[*place].starts_with(start));
    match (found.next(), found.next()) {
        (Some(place), None) => place,
        _ => panic!("not one line that starts with {start:?} in {lines:#?}"),
    }
}

/// There is one line for each start, in this order.
#[track_caller]
pub(crate) fn in_order(lines: &[String], starts: &[&str]) {
    let places: Vec<usize> = starts.iter().map(|start| place(lines, start)).collect();
    assert!(places.is_sorted(), "{starts:?} in {lines:#?}");
}

/// The numbers in the line that starts so.
#[track_caller]
pub(crate) fn numbers(lines: &[String], start: &str) -> Vec<u32> {
    let line = &lines[place(lines, start)];
    let words = line.split(|c: char| !c.is_ascii_digit());
    words.filter_map(|word| word.parse().ok()).collect()
}

fn start_and_join() {
    let lines = lines("process_start_and_join", 1);
    let order = [
        "parent, id",
        "the child will",
        "child test runs",
        "the child has",
    ];
    in_order(&lines, &order);
    assert_ne!(numbers(&lines, "parent"), numbers(&lines, "child test"));
}

fn with_arguments() {
    let lines = lines("process_with_arguments", 10);
    in_order(
        &lines,
        &[
            "MainProcess",
            "sing_process",
            "verse 1",
            "verse 2",
            "verse 3",
        ],
    );
    in_order(
        &lines,
        &["verse 3", "the singer ended with 0", "dance_process"],
    );
    in_order(
        &lines,
        &[
            "dance_process",
            "Zhang San (20) dances",
            "the dancer ended with -9",
        ],
    );
    let (singer, dancer) = (
        numbers(&lines, "sing_process"),
        numbers(&lines, "dance_process"),
    );
    assert_ne!(singer[0], dancer[0], "two processes");
    let main = numbers(&lines, "MainProcess")[0];
    assert_eq!((singer[1], dancer[1]), (main, main), "who started them");
}

/// The lower bound of the naps in turn is certain; how long the others take is printed only.
#[expect(clippy::print_stdout, reason = "measured times and kills are printed")]
fn in_parallel() {
    let lines = lines("processes_in_parallel", 50);
    in_order(
        &lines,
        &[
            "parent",
            "task 1",
            "task 2",
            "in turn",
            "waiting",
            "side by side",
        ],
    );
    let process = |start| numbers(&lines, start)[1];
    assert_eq!(process("task 1"), process("task 2"));
    assert_ne!(process("task 3"), process("task 4"));
    let results = lines
        .iter()
        .filter(|line| *line == "result 1152921504606846976");
    assert_eq!(results.count(), 4);
    let seconds = |start| {
        let words = lines[place(&lines, start)].rsplit(' ');
        words
            .skip(1)
            .find_map(|word| word.parse::<f64>().ok())
            .unwrap()
    };
    assert!(seconds("in turn") >= 0.2 && seconds("side by side") >= 0.1);
    println!(
        "in turn {}, side by side {}",
        seconds("in turn"),
        seconds("side by side")
    );
}

/// Each of the four comes back after it has gone.
fn four_strolled(lines: &[String]) {
    for name in ["egon", "alex", "wupeiqi", "yuanhao"] {
        in_order(
            lines,
            &[&format!("{name} strolls"), &format!("{name} is back")],
        );
    }
    assert_eq!(lines.len(), 9, "{lines:#?}");
}

fn without_join() {
    let lines = lines("processes_without_join", 200);
    four_strolled(&lines);
    place(&lines, "main has nothing more to do");
}

fn join_all() {
    let lines = lines("processes_join_all", 20);
    four_strolled(&lines);
    assert_eq!(lines.last().unwrap(), "all are back");
}

fn join_timeout() {
    let lines = lines("process_join_timeout", 200);
    in_order(&lines, &["egon strolls", "egon is back"]);
    // On a machine that stands still for a while the child may be done first.
    assert!(
        lines
            .iter()
            .any(|line| line.starts_with("main goes on") || line == "ended with 0")
    );
}

/// With the full minute of sleep: the child ends because it is terminated.
fn terminate() {
    let lines = lines("process_terminate", 1000);
    in_order(
        &lines,
        &[
            "alive after the start: true",
            "ended with -15",
            "alive after the end: false",
        ],
    );
    assert!(!lines.contains(&"egon is back".to_owned()), "{lines:#?}");
}

fn name_and_pid() {
    let lines = lines("process_name_and_pid", 10);
    in_order(
        &lines,
        &["Piao-1 is not started: None", "Piao-1 is started: Some("],
    );
    in_order(&lines, &["Piao-1 strolls", "Piao-1 is back"]);
    assert_eq!(
        numbers(&lines, "Piao-1 is started")[1],
        numbers(&lines, "Piao-1 strolls")[1]
    );
}

/// With half a second for the daemon to begin, and a minute that it does not get.
fn daemon() {
    let lines = lines("process_daemon", 1000);
    place(&lines, "main has nothing more to do");
    assert!(!lines.contains(&"egon is back".to_owned()), "{lines:#?}");
}

fn own_memory() {
    assert_eq!(lines("process_own_memory", 1), ["child: 200", "main: 100"]);
}

/// Whoever has the lock is not interrupted.
fn lock() {
    let lines = lines("lock_between_processes", 50);
    for (owner, what) in [("dance_process", "step"), ("sing_process", "verse")] {
        let begin = place(&lines, &format!("{owner} has the lock"));
        let expected = [1, 2, 3].map(|number| format!("{what} {number}"));
        assert_eq!(lines[begin + 1..begin + 4], expected, "{lines:#?}");
    }
    assert_eq!(lines.last().unwrap(), "free again: true");
}

fn pool_apply_async() {
    let lines = lines("pool_apply_async", 20);
    for task in 0..5 {
        let (begun, gave) = (
            format!("task {task} in"),
            format!("task {task} gave {}", task * task),
        );
        in_order(&lines, &[&begun, &gave, "in all"]);
    }
    let results = [
        "waiting",
        "task 0 gave",
        "task 1 gave",
        "task 2 gave",
        "task 3 gave",
        "task 4 gave",
    ];
    in_order(&lines, &results);
    let workers = (0..5).map(|task| numbers(&lines, &format!("task {task} in"))[1]);
    assert!(workers.collect::<std::collections::BTreeSet<_>>().len() <= 4);
}

fn pool_map() {
    assert_eq!(lines("pool_map", 1), ["[1, 4, 9]", "seven 7"]);
}

/// No example without a test here and a line in the list of examples.
fn all_are_tested() {
    let folder = package().join("examples");
    let list = std::fs::read_to_string(folder.join("README.md")).unwrap();
    let tested: Vec<&str> = all().map(|(name, _)| name).collect();
    let mut examples = 0;
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|ending| ending == "rs") {
            let name = path.file_stem().unwrap().to_str().unwrap();
            let test = format!("examples::{name}");
            assert!(tested.contains(&test.as_str()), "no test {test}");
            assert!(list.contains(&format!("`{name}`")), "{name} is not listed");
            examples += 1;
        }
    }
    assert_eq!(examples + 1, tested.len());
}
