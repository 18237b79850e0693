//! The runner notices what it promises to notice. Each specimen is a test that must fail, run by itself.

use crate::runner::{Case, Gate, case, program, program_command, scaled, skip, test_command};
use multiproc::StartMethod;
use std::process::{Command, Output};
use std::time::Duration;

pub(crate) fn tests() -> Vec<Case> {
    vec![
        case("runner_checks::a_good_test_passes", good_test_passes),
        case(
            "runner_checks::a_hanging_test_is_killed",
            hanging_test_is_killed,
        ),
        case("runner_checks::a_panic_fails", panic_fails),
        case("runner_checks::an_early_exit_fails", early_exit_fails),
        case(
            "runner_checks::a_thread_left_is_found",
            thread_left_is_found,
        ),
        case(
            "runner_checks::a_descriptor_left_is_found",
            descriptor_left_is_found,
        ),
        case("runner_checks::a_child_left_is_found", child_left_is_found),
        case("runner_checks::processes_left_are_found", processes_left),
        case(
            "runner_checks::a_zombie_left_is_found",
            zombie_left_is_found,
        ),
        case(
            "runner_checks::an_orphan_in_another_session_is_found",
            orphan_is_found,
        ),
        case("runner_checks::a_file_left_is_found", file_left_is_found),
        case("runner_checks::a_skip_is_told", skip_is_told),
        case(
            "runner_checks::a_program_ends_with_code_0",
            program_ends_with_code_0,
        )
        .deadline(Duration::from_secs(61))
        .keeps_arena("it makes no object; this shows how to say it"),
    ]
}

/// Tests that must not pass, but two. Programs, so that they do not run by themselves.
pub(crate) fn specimens() -> Vec<Case> {
    vec![
        program("specimen::good", good),
        program("specimen::hanging", hanging),
        program("specimen::panicking", || panic!("on purpose")),
        program("specimen::exiting", exiting),
        program("specimen::thread", thread),
        program("specimen::descriptor", descriptor),
        program("specimen::child", child),
        program("specimen::by_forkserver", || {
            leaves(StartMethod::ForkServer)
        }),
        program("specimen::by_fork", || leaves(StartMethod::Fork)),
        program("specimen::by_spawn", || leaves(StartMethod::Spawn)),
        program("specimen::zombie", zombie),
        program("specimen::orphan", orphan),
        program("specimen::file", file),
        program("specimen::skipping", || skip("the moon is full")),
    ]
}

/// Runs a specimen as a test that may not linger. Only the one that hangs must not be given much time.
fn run(specimen: &str) -> Output {
    let mut command = test_command(specimen);
    command.env("MULTIPROC_TEST_GRACE", "1");
    if specimen == "specimen::hanging" {
        command.env("MULTIPROC_TEST_DEADLINE", "3");
    }
    command.output().unwrap()
}

/// The specimen must fail, and the words must be in the report.
fn fails(specimen: &str, words: &[&str]) {
    let output = run(specimen);
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(44), "{text}");
    for word in words {
        assert!(text.contains(word), "no {word:?} in the report:\n{text}");
    }
}

fn good_test_passes() {
    let output = run("specimen::good");
    assert_eq!(output.status.code(), Some(42), "{output:?}");
}

fn good() {
    let gate = Gate::new();
    gate.open(1);
    std::thread::scope(|scope| {
        scope.spawn(|| gate.wait());
    });
}

fn hanging_test_is_killed() {
    fails(
        "specimen::hanging",
        &["hung: not done after 3s", "(it-sleeper)", "wchan"],
    );
}

/// Two threads, one named, so that the report has something to tell.
fn hanging() {
    let gate = Gate::new();
    std::thread::scope(|scope| {
        let sleeper = std::thread::Builder::new().name("it-sleeper".to_owned());
        sleeper.spawn_scoped(scope, || gate.wait()).unwrap();
    });
}

fn panic_fails() {
    fails("specimen::panicking", &["on purpose", "the body panicked"]);
}

fn early_exit_fails() {
    fails(
        "specimen::exiting",
        &["the test's process ended with", "Exited"],
    );
}

#[expect(
    clippy::disallowed_methods,
    reason = "the specimen of a test that never reaches its end"
)]
fn exiting() {
    std::process::exit(0);
}

fn thread_left_is_found() {
    fails(
        "specimen::thread",
        &["the test leaks", "thread: ", "(left-behind)"],
    );
}

fn thread() {
    let left = std::thread::Builder::new().name("left-behind".to_owned());
    let handle = left.spawn(|| Gate::new().wait()).unwrap();
    drop(handle);
}

fn descriptor_left_is_found() {
    fails(
        "specimen::descriptor",
        &["1 more descriptor(s) of kind /dev/null"],
    );
}

fn descriptor() {
    Box::leak(Box::new(std::fs::File::open("/dev/null").unwrap()));
}

/// Processes of the crate's own are no exception, whichever way they came: only the fork server is.
fn processes_left() {
    for method in multiproc::all_start_methods() {
        fails(
            &format!("specimen::by_{method}"),
            &["the test leaks", "child of"],
        );
    }
}

fn leaves(method: StartMethod) {
    drop(crate::ways::start_by(method, || Gate::new().wait(), ()));
}

fn child_left_is_found() {
    fails("specimen::child", &["the test leaks", "(sleep)"]);
}

#[expect(
    clippy::zombie_processes,
    reason = "the specimen of a child that is not waited for"
)]
fn child() {
    Command::new("sleep").arg("1000").spawn().unwrap();
}

fn zombie_left_is_found() {
    fails("specimen::zombie", &["the test leaks", "in state Z"]);
}

#[expect(
    clippy::zombie_processes,
    reason = "the specimen of a child that is not waited for"
)]
fn zombie() {
    Command::new("true").spawn().unwrap();
}

fn orphan_is_found() {
    fails("specimen::orphan", &["processes are left", "(sleep)"]);
}

/// The shell ends at once and leaves a grandchild that is in nobody's session.
fn orphan() {
    let shell = Command::new("sh")
        .args(["-c", "setsid sleep 1000 &"])
        .status()
        .unwrap();
    assert!(shell.success());
}

/// In a folder of its own: in the common ones, the tests that run beside this one would be blamed too.
fn file_left_is_found() {
    let folder = std::env::temp_dir().join(format!("mp-specimen-{}", std::process::id()));
    std::fs::create_dir(&folder).unwrap();
    let mut command = test_command("specimen::file");
    let output = command
        .env("MULTIPROC_TEST_FOLDERS", &folder)
        .output()
        .unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(44), "{text}");
    assert!(
        text.contains(&format!("new file: {}/multiproc", folder.display())),
        "{text}"
    );
}

fn file() {
    let folder = std::env::var("MULTIPROC_TEST_FOLDERS").unwrap();
    std::fs::write(format!("{folder}/multiproc-left"), "").unwrap();
}

fn skip_is_told() {
    let output = run("specimen::skipping");
    assert_eq!(output.status.code(), Some(43), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("the moon is full"));
}

fn program_ends_with_code_0() {
    assert!(scaled(1) >= 1);
    assert!(
        program_command("specimen::good")
            .status()
            .unwrap()
            .success()
    );
}
