//! How a test is run: which process plays which part, and what its exit codes mean.
//!
//! ```text
//! runner   cargo's child: command line, parallelism, report          (libtest-mimic)
//!   keeper   one per test: deadline, and finds and reaps orphans      keeper.rs
//!     root     the test's body as the main thread of a new session    root.rs
//!       ...      what the body starts: the fork server, processes, workers
//! ```
//!
//! All three are this binary; the first argument says which part it plays. The keeper is a *subreaper*: whatever
//! the test leaves behind becomes its child, whichever session it fled to, so "nothing is left" is simply
//! "no child is left", and a descendant is always charged to the test that started it. It also gives each test a folder for
//! temporary files, and where it can a `/dev/shm`, that no other test has ([`private`]).
//!
//! | variable | meaning | default |
//! |---|---|---|
//! | `MULTIPROC_TEST_DEADLINE` | seconds after which a test counts as hung, for tests without a longer one of their own | 60 |
//! | `MULTIPROC_TEST_GRACE` | seconds within which what a test has ended must be gone | 10 |
//! | `MULTIPROC_TEST_FOLDERS` | where no file with our name may appear | `/dev/shm:/tmp` |
//! | `MULTIPROC_SCALE` | how much work storms and loops do, a factor | 1.0 |

use std::fmt::Display;
use std::process::{Command, ExitCode};
use std::time::Duration;

mod captured;
mod gate;
mod keeper;
mod leaks;
mod pidfd;
mod private;
mod procfs;
mod root;

pub(crate) use gate::{Gate, RemoteGate};
pub(crate) use pidfd::wait_for_exit;
pub(crate) use private::has_private_shm;

/// First arguments that turn this binary into something other than the runner.
const KEEPER: &str = "--multiproc-keeper";
const ROOT: &str = "--multiproc-root";
const PROGRAM: &str = "--multiproc-program";

/// Exit codes of root and keeper. Neither 0 nor 1: a body that calls `exit` must not look like one that passed.
const PASSED: u8 = 42;
const SKIPPED: u8 = 43;
const FAILED: u8 = 44;

/// What a body throws to say that it cannot run here.
struct Skipped;

/// One test, or one helper program, by name.
#[derive(Clone, Copy)]
pub(crate) struct Case {
    name: &'static str,
    body: fn(),
    part: Part,
    cold: bool,
    /// The least time it gets, whatever the environment says.
    deadline: Duration,
    /// Why objects may stay in the arena.
    keeps_arena: Option<&'static str>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Test,
    Program,
}

/// A test named `module::what`, run in a process of its own.
pub(crate) const fn case(name: &'static str, body: fn()) -> Case {
    Case {
        name,
        body,
        part: Part::Test,
        cold: false,
        deadline: Duration::ZERO,
        keeps_arena: None,
    }
}

/// Tests of one body that is generic over the home: `"module::what" => body` is `module::what_across` and `module::what_within`.
macro_rules! both_homes {
    ($($name:literal => $body:ident,)*) => {
        vec![$(
            $crate::runner::case(
                concat!($name, "_across"),
                $body::<multiproc::sync::AcrossProcesses>,
            ),
            $crate::runner::case(
                concat!($name, "_within"),
                $body::<multiproc::sync::WithinProcess>,
            ),
        )*]
    };
}
pub(crate) use both_homes;

/// A helper program: never listed as a test, started by one with [`program_command`].
pub(crate) const fn program(name: &'static str, body: fn()) -> Case {
    Case {
        part: Part::Program,
        ..case(name, body)
    }
}

/// The command that runs that case as a test and says how it went: exit code 42 passed, 43 skipped, anything else failed.
pub(crate) fn test_command(name: &str) -> Command {
    let mut command = Command::new(own_binary());
    command.args([KEEPER, name]);
    command
}

/// The command that runs the [`program`] of that name: a family of its own, no check for leaks, exit code 0 when
/// the body returns.
pub(crate) fn program_command(name: &str) -> Command {
    let mut command = Command::new(own_binary());
    command.args([PROGRAM, name]);
    command
}

impl Case {
    /// The body makes the first use of the crate; otherwise a process has already been started and joined, so that
    /// the arena and the fork server exist before the body begins.
    pub(crate) const fn cold(self) -> Case {
        Case { cold: true, ..self }
    }

    /// This test needs more time than others.
    pub(crate) const fn deadline(self, deadline: Duration) -> Case {
        Case { deadline, ..self }
    }

    /// Objects may stay in the arena, because of `why` (a kill in the middle of a hand-over may leak one).
    pub(crate) const fn keeps_arena(self, why: &'static str) -> Case {
        Case {
            keeps_arena: Some(why),
            ..self
        }
    }
}

/// Ends the test as skipped. Call it on the test's main thread: it unwinds.
pub(crate) fn skip(reason: impl Display) -> ! {
    root::say(&format!("{}{reason}", captured::SKIP_MARK));
    std::panic::resume_unwind(Box::new(Skipped))
}

/// The factor by which storms and loops are larger than in a plain `cargo test`.
///
/// # Panics
/// Panics when `MULTIPROC_SCALE` is not a positive number.
pub(crate) fn scale() -> f64 {
    let text = std::env::var("MULTIPROC_SCALE").unwrap_or_else(|_| "1.0".to_owned());
    let scale: f64 = text.parse().expect("MULTIPROC_SCALE is a number");
    assert!(
        scale > 0.0 && scale.is_finite(),
        "MULTIPROC_SCALE is {text}, not a positive number"
    );
    scale
}

/// `small` rounds in a plain `cargo test`, more or fewer by [`scale`], at least one.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "float casts saturate"
)]
pub(crate) fn scaled(small: u32) -> u32 {
    ((f64::from(small) * scale()) as u32).max(1)
}

/// Plays the part that the command line asks for.
///
/// # Panics
/// Panics when two cases have one name.
pub(crate) fn main(cases: fn() -> Vec<Case>) -> ExitCode {
    let cases = cases();
    let words: Vec<String> = std::env::args().skip(1).take(2).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [KEEPER, name] => keeper::main(find(&cases, name)),
        [ROOT, name] => root::main(find(&cases, name)),
        [PROGRAM, name] => {
            (find(&cases, name).body)();
            ExitCode::SUCCESS
        }
        _ => run_all(cases),
    }
}

fn find<'a>(cases: &'a [Case], name: &str) -> &'a Case {
    cases
        .iter()
        .find(|case| case.name == name)
        .expect("the caller took the name from this table")
}

fn run_all(cases: Vec<Case>) -> ExitCode {
    let mut names: Vec<_> = cases.iter().map(|case| case.name).collect();
    names.sort_unstable();
    let twice = names.windows(2).find(|pair| pair[0] == pair[1]);
    assert!(twice.is_none(), "two cases have one name: {twice:?}");

    let arguments = libtest_mimic::Arguments::from_args();
    let capture = !arguments.nocapture;
    let tests = cases
        .into_iter()
        .filter(|case| case.part == Part::Test)
        .map(|case| {
            libtest_mimic::Trial::ignorable_test(case.name, move || captured::run(&case, capture))
        })
        .collect();
    let conclusion = libtest_mimic::run(&arguments, tests);
    captured::print_skipped();
    conclusion.exit_code()
}

/// How long we wait for what should be on its way out: enough for a loaded machine, and only ever spent in full by
/// a failing test.
fn grace() -> Duration {
    seconds("MULTIPROC_TEST_GRACE", 10)
}

fn seconds(variable: &str, default: u64) -> Duration {
    let seconds = std::env::var(variable).map_or(default, |text| {
        text.parse()
            .unwrap_or_else(|_| panic!("{variable} is {text}, not a number of seconds"))
    });
    Duration::from_secs(seconds)
}

fn own_binary() -> std::path::PathBuf {
    std::env::current_exe().expect("/proc/self/exe can be read")
}
