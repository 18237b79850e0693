//! A line on the terminal that says how far the count is.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// How often the line is written anew.
const PERIOD: Duration = Duration::from_millis(50);

pub(crate) struct Progress {
    what: &'static str,
    done: usize,
    all: usize,
    /// When to write next; never where nobody looks.
    next: Option<Instant>,
}

impl Progress {
    pub(crate) fn new(what: &'static str, all: usize) -> Progress {
        let looked_at = std::io::stderr().is_terminal();
        Progress {
            what,
            done: 0,
            all,
            next: looked_at.then(Instant::now),
        }
    }

    /// One more file is counted.
    pub(crate) fn step(&mut self) {
        self.done += 1;
        if self.next.is_some_and(|next| next <= Instant::now()) {
            self.next = Some(Instant::now() + PERIOD);
            let Progress {
                what, done, all, ..
            } = self;
            write(&format!("\rcounting {what}: {done} of {all} files"));
        }
    }
}

impl Drop for Progress {
    /// Wipes the line.
    fn drop(&mut self) {
        if self.next.is_some() {
            write("\r\x1b[K");
        }
    }
}

fn write(text: &str) {
    let mut stderr = std::io::stderr();
    let written = stderr
        .write_all(text.as_bytes())
        .and_then(|()| stderr.flush());
    drop(written);
}
