//! The house rules that no compiler checks: layers, atomics, unsafe code, size, panics, paths, documents.
//!
//! A checker takes files and returns complaints, so that each is itself tested on bad input (module `can_fail`).

use source::{File, cases, files, package, read, relative};
use std::collections::BTreeSet;

#[path = "tidy/can_fail.rs"]
mod can_fail;
#[path = "tidy/python.rs"]
mod python;
#[path = "tidy/source.rs"]
mod source;

/// The rooms of `src/`, lowest floor first. Rooms on one floor do not use each other.
const FLOORS: [&[&str]; 10] = [
    &["sys"],
    &["shm", "signal"],
    &["sync"],
    &["value"],
    &["ipc"],
    // Named pipes carry the frames of connections.
    &["named"],
    &["thread"],
    &["process"],
    &["manager", "pool", "futures"],
    &["dummy"],
];

/// The lowest floor that may turn values into bytes.
const LOWEST_ABOVE_WIRE: usize = 2;

/// What only re-exports: it may use every room, and no room may use it.
const FRONT: [&str; 3] = ["lib", "queue", "threading"];

/// Names of the crate root that rooms may use; all else is named by its room, or the layers could not be seen.
const ROOT_NAMES: [&str; 4] = ["Error", "ErrorKind", "RemoteError", "Result"];

/// Arrows that point up all the same: file, room it uses, reason.
const UPWARD: [(&str, &str, &str); 0] = [];

/// Where `unsafe_code` may be expected. To lengthen this list is a design change.
const UNSAFE: [&str; 15] = [
    "src/sys/",
    "src/shm/",
    "src/wire.rs",
    // Bytes of shared memory as values, and as slices under a lock.
    "src/value/bytes.rs",
    "src/call.rs",
    // The constructor before `main`, and the fork of a process with one thread.
    "src/process/hook.rs",
    "src/process/server.rs",
    // The fork of a process that may have many threads.
    "src/process/direct.rs",
    // Control words in the arena: `unsafe impl Shared`, nothing else.
    "src/sync/home.rs",
    "src/ipc/ring/mod.rs",
    "src/ipc/ring/end.rs",
    // The bytes of a block that is ours.
    "src/ipc/loan.rs",
    // A thread's own value by its address, without a lock.
    "src/thread/local.rs",
    "src/pool/dispatch.rs",
    "src/pool/table.rs",
];

/// The longest file, in lines.
const LONGEST: usize = 500;

// ---- the checkers

/// Arrows between rooms point down only.
fn layers(files: &[File], upward: &[(&str, &str, &str)]) -> Vec<String> {
    let mut complaints = Vec::new();
    let mut excused = BTreeSet::new();
    for file in files.iter().filter(|file| !FRONT.contains(&file.room())) {
        for target in crate_paths(&file.code()) {
            if ROOT_NAMES.contains(&target.as_str()) || may_use(file.room(), &target) {
                continue;
            }
            match upward
                .iter()
                .find(|(from, to, _)| *from == file.path && *to == target)
            {
                Some(exception) => _ = excused.insert(exception),
                None => complaints.push(format!("{}: may not use crate::{target}", file.path)),
            }
        }
    }
    let stale = upward
        .iter()
        .filter(|exception| !excused.contains(exception));
    complaints.extend(stale.map(|exception| format!("not needed any more: {exception:?}")));
    complaints
}

fn may_use(room: &str, target: &str) -> bool {
    let floor = |room: &str| FLOORS.iter().position(|rooms| rooms.contains(&room));
    match (room, target) {
        _ if room == target => true,
        (_, "error") => true,
        ("error", _) => false,
        // Handles travel in values.
        ("wire", _) => ["shm", "sys"].contains(&target),
        ("call", _) => ["wire", "shm", "sys"].contains(&target),
        (_, "wire" | "call") => floor(room).is_some_and(|floor| floor >= LOWEST_ABOVE_WIRE),
        // A room that is not in the plan has no floor, and gets no permission.
        _ => floor(room)
            .zip(floor(target))
            .is_some_and(|(from, to)| to < from),
    }
}

/// The first name after each `crate::`, also in `crate::{a::b, c}`.
fn crate_paths(code: &str) -> Vec<String> {
    let mut names = Vec::new();
    for (place, mark) in code.match_indices("crate::") {
        let after = code[place + mark.len()..].trim_start();
        let Some(group) = after.strip_prefix('{') else {
            names.push(first_name(after));
            continue;
        };
        names.extend(members(group).iter().map(|member| first_name(member)));
    }
    names.retain(|name| !name.is_empty());
    names
}

/// The parts of a `use` group, nested groups left in one piece.
fn members(group: &str) -> Vec<String> {
    let mut depth = 0;
    let mut parts = vec![String::new()];
    for c in group.chars() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            _ => {}
        }
        match (c, depth) {
            (',', 0) => parts.push(String::new()),
            _ => parts.last_mut().expect("never empty").push(c),
        }
    }
    parts
}

fn first_name(text: &str) -> String {
    text.trim_start()
        .chars()
        .take_while(|c| c.is_alphanumeric() || *c == '_')
        .collect()
}

/// Atomics come from `crate::sys`, the one seam where a model checker can put its own.
fn atomics(files: &[File]) -> Vec<String> {
    let imports_them = |code: &str| {
        let in_use = |statement: &str| {
            let statement = statement.trim_start();
            let foreign = ["std", "core", "crossbeam"].contains(&first_name(statement).as_str());
            foreign && words(statement).any(|word| word == "atomic")
        };
        let statements = code
            .split("use ")
            .skip(1)
            .filter_map(|rest| rest.split(';').next());
        let mut statements = statements;
        code.contains("sync::atomic") || statements.any(in_use)
    };
    files
        .iter()
        .filter(|file| file.room() != "sys" && imports_them(&file.code()))
        .map(|file| format!("{}: atomics come from crate::sys", file.path))
        .collect()
}

fn words(code: &str) -> impl Iterator<Item = &str> {
    code.split(|c: char| !c.is_alphanumeric() && c != '_')
}

/// Unsafe code only where the design has it.
fn unsafe_files(files: &[File]) -> Vec<String> {
    files
        .iter()
        .filter(|file| words(&file.code()).any(|word| word == "unsafe_code"))
        .filter(|file| !UNSAFE.iter().any(|allowed| file.path.starts_with(allowed)))
        .map(|file| format!("{}: no unsafe code here", file.path))
        .collect()
}

/// No file is longer than a reader's patience.
fn lengths(files: &[File]) -> Vec<String> {
    let lines = |file: &File| file.text.lines().count();
    let long = files.iter().filter(|file| lines(file) > LONGEST);
    long.map(|file| format!("{}: {} lines, more than {LONGEST}", file.path, lines(file)))
        .collect()
}

/// Neither a panic without a stated invariant nor unfinished work.
fn forbidden_words(files: &[File]) -> Vec<String> {
    let mut complaints = Vec::new();
    for file in files {
        for (number, line) in file.code().lines().enumerate() {
            for word in [".unwrap()", "todo!", "unimplemented!", "dbg!"] {
                if line.contains(word) {
                    complaints.push(format!("{}:{}: {word}", file.path, number + 1));
                }
            }
        }
    }
    complaints
}

/// No path that exists on one machine only: `checkout` is where this one lies.
fn machine_paths(files: &[File], checkout: &str) -> Vec<String> {
    // In two halves, or this file would complain about itself.
    let homes = [
        concat!("/ho", "me/"),
        concat!("/ro", "ot/"),
        concat!("/Us", "ers/"),
    ];
    // A checkout directly under `/` has too plain a name to look for.
    let checkout = Some(checkout).filter(|path| path.matches('/').count() > 1);
    let forbidden: Vec<&str> = homes.into_iter().chain(checkout).collect();
    let mut complaints = Vec::new();
    for file in files {
        let found = forbidden.iter().filter(|path| file.text.contains(**path));
        complaints.extend(found.map(|path| format!("{}: names {path}", file.path)));
    }
    complaints
}

/// Every test that a document names in backticks, as `module::test`, exists. A function of the crate is written with
/// its parentheses.
fn named_tests(document: &File, tests: &[File]) -> Vec<String> {
    let known: BTreeSet<String> = tests.iter().flat_map(test_names).collect();
    let named = document
        .text
        .split('`')
        .skip(1)
        .step_by(2)
        .filter(|text| looks_like_a_test(text));
    let missing = named.filter(|name| {
        let segments: Vec<&str> = name.rsplit("::").collect();
        !known.contains(*name) && !known.contains(&format!("{}::{}", segments[1], segments[0]))
    });
    missing
        .map(|name| format!("{}: there is no test {name}", document.path))
        .collect()
}

fn looks_like_a_test(text: &str) -> bool {
    let snake = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    text.contains("::")
        && text
            .split("::")
            .all(|part| !part.is_empty() && part.chars().all(snake))
}

/// `lock::smoke` for `fn smoke` in `lock.rs`, and every name in a table of cases.
fn test_names(file: &File) -> Vec<String> {
    let mut path = file
        .path
        .strip_suffix(".rs")
        .unwrap_or(&file.path)
        .rsplit('/');
    let module = path
        .find(|part| !["main", "mod"].contains(part))
        .unwrap_or_default();
    let functions = file.text.split("fn ").skip(1).map(first_name);
    let mut names: Vec<String> = functions.map(|name| format!("{module}::{name}")).collect();
    names.extend(cases(&file.text));
    names
}

// ---- the rules, on this package

const RUST: [&str; 1] = [".rs"];

#[track_caller]
fn none(complaints: &[String]) {
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

#[test]
fn layers_point_down() {
    none(&layers(&files(&["src"], &RUST), &UPWARD));
}

#[test]
fn atomics_come_from_sys() {
    none(&atomics(&files(&["src"], &RUST)));
}

#[test]
fn unsafe_code_is_where_the_design_has_it() {
    none(&unsafe_files(&files(&["src"], &RUST)));
}

#[test]
fn files_are_short() {
    none(&lengths(&files(
        &["src", "tests", "benches", "examples"],
        &RUST,
    )));
}

#[test]
fn no_unwrap_and_nothing_unfinished() {
    none(&forbidden_words(&files(&["src"], &RUST)));
}

#[test]
fn no_path_of_one_machine() {
    let folders = ["src", "tests", "benches", "examples", "docs", "ci", ".ci"];
    let mut all = files(
        &folders,
        &[".rs", ".md", ".sh", ".txt", ".tsv", ".py", ".toml", "/run"],
    );
    let singles = [
        "README.md",
        "CHANGELOG.md",
        "ARCHITECTURE.md",
        "Cargo.toml",
        "clippy.toml",
    ];
    let singles = singles
        .iter()
        .map(|name| package().join(name))
        .filter(|path| path.exists());
    all.extend(singles.map(|path| File::new(relative(&path), &read(&path))));
    none(&machine_paths(&all, env!("CARGO_MANIFEST_DIR")));
}

#[test]
fn documents_name_tests_that_exist() {
    let document = |path: &str| File::new(path, &read(&package().join(path)));
    assert!(!document("docs/python-mapping.md").text.trim().is_empty());
    let tests = files(&["tests"], &RUST);
    none(&named_tests(&document("docs/guarantees.md"), &tests));
}

#[test]
fn cases_of_python_have_tests() {
    let path = "tests/python_cases.tsv";
    let table = File::new(path, &read(&package().join(path)));
    let tests = files(&["tests"], &RUST);
    none(&python::python_cases(python::EXPECTED, &table, &tests));
}
