//! The programs of this test: one that plays the table, and one for each row.

use crate::row::Row;
use crate::{drive, watch};
use nix::errno::Errno;
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::sys::prctl::set_child_subreaper;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use std::panic::catch_unwind;
use std::process::{Command, ExitCode};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// The argument of a program that plays one row; the row and its CPU follow.
const ROW: &str = "--row-of-faults";

/// Begins the line of a row that cannot run here.
const SKIPPED: &str = "SKIPPED faults: ";

/// What a skipped row unwinds with.
struct Skip;

/// Plays the part that the command line asks for.
pub(crate) fn main(rows: &[Row]) -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [ROW, name, cpu] => play(rows.iter().find(|row| row.name == name).unwrap(), cpu),
        ["--list", ..] => {
            rows.iter().for_each(|row| println!("{}: test", row.name));
            ExitCode::SUCCESS
        }
        ref words => {
            let wanted = |row: &&Row| {
                let mut filters = words
                    .iter()
                    .filter(|word| !word.starts_with('-'))
                    .peekable();
                filters.peek().is_none() || filters.any(|word| row.name.contains(word))
            };
            play_all(&rows.iter().filter(wanted).collect::<Vec<_>>())
        }
    }
}

/// Ends the row: it cannot run on this machine.
pub(crate) fn skip(why: &str) -> ! {
    println!("{SKIPPED}{why}");
    std::panic::resume_unwind(Box::new(Skip))
}

/// Tracer and tracee on one CPU: a step costs a tenth of what a wake-up across CPUs costs, and nothing spins.
fn play(row: &Row, cpu: &str) -> ExitCode {
    let mut one = CpuSet::new();
    one.set(cpu.parse().unwrap()).unwrap();
    sched_setaffinity(Pid::from_raw(0), &one).unwrap();
    watch::start();
    match catch_unwind(|| (row.run)(row.name)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(what) if what.is::<Skip>() => ExitCode::SUCCESS,
        Err(_) => {
            println!("  FAILED: {}", watch::doing());
            ExitCode::FAILURE
        }
    }
}

/// Every row, on all CPUs.
fn play_all(rows: &[&Row]) -> ExitCode {
    set_child_subreaper(true).unwrap();
    let allowed = sched_getaffinity(Pid::from_raw(0)).unwrap();
    let cpus = (0..CpuSet::count()).filter(|&cpu| allowed.is_set(cpu).unwrap());
    let (next, failed) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let skipped = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for cpu in cpus.take(8) {
            let (next, failed, skipped) = (&next, &failed, &skipped);
            scope.spawn(move || {
                while let Some(row) = rows.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if skipped.load(Ordering::Relaxed) {
                        return;
                    }
                    play_one(row, cpu, failed, skipped);
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    let left = left_behind();
    if let Some(left) = &left {
        println!("FAILED: left behind: {left}");
    }
    if skipped.load(Ordering::Relaxed) {
        return ExitCode::SUCCESS;
    }
    println!(
        "\nfaults: {} rows, {} failed {failed:?}",
        rows.len(),
        failed.len()
    );
    ExitCode::from(u8::from(!failed.is_empty() || left.is_some()))
}

fn play_one(row: &Row, cpu: usize, failed: &Mutex<Vec<&'static str>>, skipped: &AtomicBool) {
    if row.long && cfg!(debug_assertions) && drive::scale() < drive::FULL {
        println!("{}: left out of a plain run of a debug build\n", row.name);
        return;
    }
    let begin = Instant::now();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([ROW, row.name, &cpu.to_string()]);
    // A `rep movsb` is one step a byte, and each would be a state.
    let _same = command.env(
        "GLIBC_TUNABLES",
        "glibc.cpu.x86_rep_movsb_threshold=1073741824",
    );
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    if let Some(line) = said.lines().find(|line| line.starts_with(SKIPPED)) {
        if !skipped.swap(true, Ordering::Relaxed) {
            println!("{line}");
        }
        return;
    }
    let verdict = if output.status.success() {
        "ok"
    } else {
        "FAILED"
    };
    let (name, path, seconds) = (row.name, row.path, begin.elapsed().as_secs_f32());
    let complaints = match verdict {
        "ok" => String::new(),
        _ => format!(
            "  {}\n{}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        ),
    };
    println!("{name}: {path}: {verdict} in {seconds:.1} s\n{said}{complaints}");
    if verdict != "ok" {
        failed.lock().unwrap().push(name);
    }
}

/// What the rows have left behind comes to us; `None` when all of it ends by itself.
fn left_behind() -> Option<String> {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        match waitpid(Pid::from_raw(-1), Some(WaitPidFlag::WNOHANG)) {
            Err(Errno::ECHILD) => return None,
            Err(error) => return Some(error.to_string()),
            Ok(WaitStatus::StillAlive) if Instant::now() > deadline => {
                return Some("a process that still runs".to_owned());
            }
            Ok(WaitStatus::StillAlive) => std::thread::sleep(Duration::from_millis(5)),
            Ok(_) => {}
        }
    }
}
