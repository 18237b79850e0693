//! What is said at the end.

use crate::count::{FileTotal, Total};
use crate::files::Found;
use multiproc::PoolStats;
use std::fmt::Write;
use std::time::Duration;

/// Files, bytes, words, the most frequent ones, and what was not counted and why.
pub(crate) fn counted(total: &Total, found: &Found) -> String {
    let mut text = format!(
        "files {}\nbytes {}\nwords {}\n",
        total.files.len(),
        total.bytes(),
        total.all_words()
    );
    for (word, count) in total.most_frequent(20) {
        line(&mut text, format_args!("{count:>9}  {word}"));
    }
    let of_files = total.files.iter();
    let of_files = of_files.filter_map(|file| Some((&file.path, file.problem.as_ref()?)));
    let of_folders = found.problems.iter().map(|(path, problem)| (path, problem));
    let mut problems: Vec<_> = of_files.chain(of_folders).collect();
    problems.sort();
    for (path, problem) in problems {
        line(
            &mut text,
            format_args!("not all of {}: {problem}", path.display()),
        );
    }
    text
}

pub(crate) fn times(serial: Duration, pool: Duration, workers: usize) -> String {
    let (serial, pool) = (serial.as_secs_f64(), pool.as_secs_f64());
    format!("serially {serial:.3} s, with {workers} workers {pool:.3} s\n")
}

/// How many kills hit a worker, and how many of those hit one that was counting.
pub(crate) fn deaths(stats: PoolStats) -> String {
    let PoolStats {
        deaths,
        deaths_in_task,
        ..
    } = stats;
    format!("kills landed {deaths}, inside a task {deaths_in_task}\n")
}

/// Where the two counts differ, if they do.
pub(crate) fn difference(serial: &Total, pooled: &Total) -> Option<String> {
    if serial.words == pooled.words && serial.files == pooled.files {
        return None;
    }
    let mut pairs = serial.files.iter().zip(&pooled.files);
    let Some((one, other)) = pairs.find(|(one, other)| one != other) else {
        return Some("the two counts differ".to_owned());
    };
    let said = |file: &FileTotal| format!("{} words in {} bytes", file.words, file.bytes);
    Some(format!(
        "the two counts differ at {}: serially {}, in the pool {}",
        one.path.display(),
        said(one),
        said(other)
    ))
}

fn line(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    writeln!(text, "{arguments}").unwrap_or_default();
}
