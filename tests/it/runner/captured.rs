//! The runner's side of one test: starts its keeper, catches what it says, judges how it ended.

use super::{Case, KEEPER, PASSED, SKIPPED, own_binary};
use libtest_mimic::{Completion, Failed};
use nix::sys::memfd::{MFdFlags, memfd_create};
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::process::{Command, Stdio};
use std::sync::Mutex;

/// What stands before the reason in the line of a test that skips itself.
pub(super) const SKIP_MARK: &str = "multiproc-skips-this-test: ";

/// As much of a failing test's output as is shown.
const SHOWN: usize = 256 * 1024;

/// Name and reason of each test skipped so far.
static SKIPS: Mutex<Vec<(String, String)>> = Mutex::new(Vec::new());

/// Runs `case` in its processes.
///
/// # Errors
/// The test failed; the message is what it and its keeper printed.
pub(super) fn run(case: &Case, capture: bool) -> Result<Completion, Failed> {
    let mut output = capture.then(output_file).transpose()?;
    let mut keeper = Command::new(own_binary());
    keeper.args([KEEPER, case.name]).stdin(Stdio::null());
    if let Some(file) = &output {
        keeper.stdout(file.try_clone()?).stderr(file.try_clone()?);
    }
    let status = keeper.status()?;
    let text = output.as_mut().map_or(Ok(String::new()), read_back)?;
    match status.code() {
        Some(code) if code == i32::from(PASSED) => Ok(Completion::Completed),
        Some(code) if code == i32::from(SKIPPED) => Ok(skipped(case, &text)),
        _ => Err(Failed::from(text)),
    }
}

/// One line for each skipped test, in a form that a script can read.
pub(super) fn print_skipped() {
    for (name, reason) in SKIPS.lock().expect("no holder panics").iter() {
        println!("SKIPPED {name}: {reason}");
    }
}

fn skipped(case: &Case, text: &str) -> Completion {
    let reason = text
        .lines()
        .find_map(|line| line.strip_prefix(SKIP_MARK))
        .unwrap_or("see above");
    SKIPS
        .lock()
        .expect("no holder panics")
        .push((case.name.to_owned(), reason.to_owned()));
    Completion::ignored_with(reason)
}

/// A file in memory rather than a pipe: a descendant that outlives the test cannot keep the reader waiting, and no
/// writer ever waits for a reader.
fn output_file() -> Result<File, nix::Error> {
    memfd_create(c"test-output", MFdFlags::MFD_CLOEXEC).map(File::from)
}

fn read_back(file: &mut File) -> std::io::Result<String> {
    file.seek(SeekFrom::Start(0))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    let tail = &bytes[bytes.len().saturating_sub(SHOWN)..];
    Ok(String::from_utf8_lossy(tail).into_owned())
}
