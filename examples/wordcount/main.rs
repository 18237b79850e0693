//! Counts the words of all text files below a folder: first serially, then with a pool of processes, one task a
//! file, or several for a large one.
//!
//! ```text
//! wordcount [--workers N] [--chaos] [FOLDER]
//! ```
//!
//! Without a folder it is the package around the current one. `--chaos` kills a worker every 10 ms while the pool counts; the result
//! must not change. Exit codes: 0 both counts agree, 1 they differ or the pool failed, 2 the command line is wrong.

use multiproc::{AsyncResult, ErrorKind, Pool};
use std::collections::VecDeque;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

mod chaos;
mod count;
mod files;
mod options;
mod progress;
mod summary;

use count::{Counted, Total, count_piece, pieces};
use options::{Asked, Options};
use progress::Progress;

/// Tasks handed out and not yet collected, per worker: enough to keep it busy, few enough that results do not pile up.
const AHEAD: usize = 32;
/// How often a piece is begun anew when its worker is killed.
const RETRIES: u64 = 1000;

fn main() -> ExitCode {
    match options::parse(std::env::args_os().skip(1)) {
        Ok(Asked::Run(options)) => run(&options),
        Ok(Asked::Help) => {
            say(&mut std::io::stdout(), options::USAGE);
            ExitCode::SUCCESS
        }
        Err(cause) => fail(&cause, 2),
    }
}

fn run(options: &Options) -> ExitCode {
    let found = files::below(&options.folder);
    let (serial, serial_time) = serially(&found.files);
    let (pooled, stats, pool_time) = match in_pool(&found.files, options) {
        Ok(counted) => counted,
        Err(error) if error.kind() == ErrorKind::InvalidInput => {
            return fail(&format!("--workers {}: {error}", options.workers), 2);
        }
        Err(error) => return fail(&error.to_string(), 1),
    };
    let mut text = summary::counted(&pooled, &found);
    text += &summary::times(serial_time, pool_time, options.workers);
    if options.chaos {
        text += &summary::deaths(stats);
    }
    say(&mut std::io::stdout(), text.trim_end());
    match summary::difference(&serial, &pooled) {
        Some(difference) => fail(&difference, 1),
        None => ExitCode::SUCCESS,
    }
}

/// Counts file by file in this process.
fn serially(files: &[PathBuf]) -> (Total, Duration) {
    let begin = Instant::now();
    let mut progress = Progress::new("serially", files.len());
    let mut total = Total::default();
    for path in files {
        total.add(path, count_piece(name(path), 0, u64::MAX));
        progress.step();
    }
    (total, begin.elapsed())
}

/// Counts with a pool.
fn in_pool(
    files: &[PathBuf],
    options: &Options,
) -> multiproc::Result<(Total, multiproc::PoolStats, Duration)> {
    let begin = Instant::now();
    let retries = if options.chaos { RETRIES } else { 0 };
    let pool = Pool::builder()
        .workers(options.workers)
        .retries(retries)
        .build()?;
    let total = if options.chaos {
        chaos::around(&pool, || feed(&pool, files, options.workers))?
    } else {
        feed(&pool, files, options.workers)?
    };
    let time = begin.elapsed();
    pool.close();
    pool.join()?;
    Ok((total, pool.stats(), time))
}

/// Hands out the files and adds up what comes back, both in the order of `files`.
fn feed(pool: &Pool, files: &[PathBuf], workers: usize) -> multiproc::Result<Total> {
    let mut progress = Progress::new("in the pool", files.len());
    let mut total = Total::default();
    let mut waiting = VecDeque::new();
    let mut collect = |waiting: &mut VecDeque<(_, AsyncResult<Counted>)>, most: usize| {
        while waiting.len() > most {
            let Some((path, result)) = waiting.pop_front() else {
                break;
            };
            total.add(path, result.get()?);
        }
        Ok::<(), multiproc::Error>(())
    };
    for path in files {
        for piece in pieces(path) {
            let task = (name(path), piece.start, piece.end);
            waiting.push_back((path.as_path(), pool.apply_async(count_piece, task)?));
            collect(&mut waiting, workers.saturating_mul(AHEAD))?;
        }
        progress.step();
    }
    collect(&mut waiting, 0)?;
    Ok(total)
}

/// A path as it travels: as bytes, because it need not be UTF-8.
fn name(path: &Path) -> Vec<u8> {
    path.as_os_str().as_bytes().to_vec()
}

/// One line on stderr that names the cause.
fn fail(cause: &str, code: u8) -> ExitCode {
    say(&mut std::io::stderr(), &format!("wordcount: {cause}"));
    ExitCode::from(code)
}

/// Writes the text and a line end. A reader that has gone away, as `head` does, is no reason to panic.
fn say(stream: &mut impl Write, text: &str) {
    let written = writeln!(stream, "{text}").and_then(|()| stream.flush());
    drop(written);
}
