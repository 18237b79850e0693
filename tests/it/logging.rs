//! Log messages of all processes on standard error: what they look like, and that children write them too.

use crate::kit::leave;
use crate::runner::{Case, case, program, program_command};
use crate::ways::{WAYS, run_by, start_by};
use log::{LevelFilter, Log, Metadata, Record};
use multiproc::{
    ErrorKind, Process, StartMethod, current_process, log_to_stderr, os, set_forkserver_preload,
    set_spare_children,
};
use nix::sys::resource::{Resource, setrlimit};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

pub(crate) fn tests() -> Vec<Case> {
    vec![
        case("logging::format", format_of_lines),
        case("logging::lines_are_whole", lines_are_whole),
        case("logging::the_level_can_be_changed", level_changes),
        case("logging::another_logger_stays", another_logger),
        case("logging::while_a_thread_forks", while_a_thread_forks).cold(),
        case("logging::nobody_listens", nobody_listens),
        program("logging::says", says),
        program("logging::says_much", says_much),
        program("logging::changes", changes),
        program("logging::has_another", has_another),
    ]
}

/// Told from what the crate says itself.
const MARK: &str = "<test>";

fn says_something(levels: &str) {
    log::error!("{MARK} error {levels}");
    log::warn!("{MARK} warning {levels}");
    log::info!("{MARK} information {levels}");
    log::debug!("{MARK} debug {levels}");
    log::trace!("{MARK} trace {levels}");
}

fn child_says(way: StartMethod, depth: u32) {
    says_something(&way.to_string());
    if depth > 0 {
        run_by(way, child_says, (way, depth - 1));
    }
}

fn says() {
    log_to_stderr(LevelFilter::Info).unwrap();
    says_something("parent");
    for way in WAYS {
        let named = Process::builder(child_says, (way, 1)).name(format!("a {way}"));
        let process = named.start_method(way).start().unwrap();
        assert_eq!(process.join().unwrap(), 0);
    }
}

/// Level and name before the text; less important ones are left out, in children of children too.
fn format_of_lines() {
    let output = program_command("logging::says").output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stderr).unwrap();
    let lines: Vec<&str> = text.lines().filter(|line| line.contains(MARK)).collect();
    let mut expected = Vec::new();
    let mut three = |name: &str, who: &str| {
        for (level, word) in [
            ("ERROR", "error"),
            ("WARN", "warning"),
            ("INFO", "information"),
        ] {
            expected.push(format!("[{level}/{name}] {MARK} {word} {who}"));
        }
    };
    three("MainProcess", "parent");
    for (way, number) in WAYS.iter().zip(1..) {
        three(&format!("a {way}"), &way.to_string());
        three(&format!("Process-{number}:1"), &way.to_string());
    }
    assert_eq!(lines, expected);
}

const LINES: usize = 100;

fn says_often(length: usize) {
    for line in 0..LINES {
        log::info!("{MARK}{line} {}{MARK}", "x".repeat(length));
    }
}

fn says_much() {
    log_to_stderr(LevelFilter::Info).unwrap();
    let lengths = WAYS.into_iter().cycle().zip([1, 20, 300, 700, 900, 1_500]);
    let children: Vec<Process> = lengths
        .map(|(way, length)| start_by(way, says_often, (length,)))
        .collect();
    for child in children {
        assert_eq!(child.join().unwrap(), 0);
    }
}

/// Lines of processes that write at the same time do not cut each other, in a file.
fn lines_are_whole() {
    let folder = crate::surroundings::Folder::new();
    let path = folder.0.join("log");
    let mut command = program_command("logging::says_much");
    let file = std::fs::File::create(&path).unwrap();
    assert!(command.stderr(file).status().unwrap().success());
    let text = std::fs::read_to_string(&path).unwrap();
    let lines = text.lines().filter(|line| line.contains(MARK));
    let whole = |line: &&str| {
        let name = line.strip_prefix("[INFO/Process-");
        name.is_some() && line.ends_with(MARK) && line.matches(MARK).count() == 2
    };
    assert!(lines.clone().all(|line| whole(&line)), "{text}");
    assert_eq!(lines.count(), 6 * LINES);
}

/// The level is this process's: what a child does to its own is not its parent's.
fn changes() {
    let says = |word: &str| log::info!("{MARK} {word}");
    log_to_stderr(LevelFilter::Error).unwrap();
    says("hidden");
    log_to_stderr(LevelFilter::Info).unwrap();
    says("parent");
    for way in WAYS {
        let body = || {
            log::info!("{MARK} child");
            log_to_stderr(LevelFilter::Off).unwrap();
            log::info!("{MARK} hidden");
        };
        run_by(way, body, ());
        says("parent");
    }
}

fn level_changes() {
    let output = program_command("logging::changes").output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stderr).unwrap();
    let words = text.lines().filter_map(|line| line.split_once(MARK));
    let words: Vec<&str> = words.map(|(_, word)| word.trim()).collect();
    let expected = [
        "parent", "child", "parent", "child", "parent", "child", "parent",
    ];
    assert_eq!(words, expected);
}

struct Deaf;

impl log::Log for Deaf {
    fn enabled(&self, _metadata: &log::Metadata<'_>) -> bool {
        false
    }
    fn log(&self, _record: &log::Record<'_>) {}
    fn flush(&self) {}
}

/// A program with a logger of its own: children work as ever, and have ours only if they ask for it themselves.
fn has_another() {
    log::set_logger(&Deaf).unwrap();
    let error = log_to_stderr(LevelFilter::Info).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Misuse, "{error}");
    for way in WAYS {
        run_by(
            way,
            || log::error!("{} of {MARK}", current_process().name()),
            (),
        );
    }
}

fn another_logger() {
    let output = program_command("logging::has_another").output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
}

/// A message that nobody can read ends nobody.
fn nobody_listens() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = program_command("logging::says");
    assert!(command.stderr(writer).status().unwrap().success());
    let full = std::fs::File::options()
        .write(true)
        .open("/dev/full")
        .unwrap();
    assert!(command.stderr(full).status().unwrap().success());
}

/// A logger that writes to standard output, whose lock a fork holds.
struct ToOutput;

static LOGGING: AtomicBool = AtomicBool::new(false);

impl Log for ToOutput {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        LOGGING.store(true, SeqCst);
        std::thread::sleep(Duration::from_millis(200));
        println!("{}", record.args());
    }

    fn flush(&self) {}
}

static TO_OUTPUT: ToOutput = ToOutput;

/// Spare children that cannot be started are told to the program's logger, and nobody who forks has to wait for that.
fn while_a_thread_forks() {
    log::set_logger(&TO_OUTPUT).unwrap();
    log::set_max_level(LevelFilter::Warn);
    let little_room = || setrlimit(Resource::RLIMIT_NOFILE, 24, 24).unwrap();
    set_forkserver_preload(little_room).unwrap();
    let asks = std::thread::spawn(|| {
        set_spare_children(20).unwrap();
        run_by(StartMethod::ForkServer, || (), ());
        set_spare_children(0).unwrap();
    });
    while !LOGGING.load(SeqCst) {
        assert!(!asks.is_finished(), "nothing was logged");
        std::thread::yield_now();
    }
    #[expect(unsafe_code, reason = "a fork of two threads")]
    // SAFETY: the child does nothing but end.
    match unsafe { os::fork() }.unwrap() {
        os::Fork::Child => leave(0),
        os::Fork::Parent { child } => assert_eq!(os::waitpid(child).unwrap(), 0),
    }
    asks.join().unwrap();
}
