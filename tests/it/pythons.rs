//! The Pythons of this machine, and programs in it that are the other end of something.

use crate::runner::skip;
use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};

/// A Python of which there are tests.
#[derive(Clone, Debug)]
pub(crate) struct Python {
    /// 11 is 3.11.
    pub(crate) minor: u32,
    pub(crate) path: PathBuf,
}

/// One of each version from 3.11 to 3.13 that is found; skips the test when there is none.
pub(crate) fn pythons() -> Vec<Python> {
    let mut found = BTreeMap::new();
    for path in candidates() {
        if let Some(minor) = minor_of(&path)
            && (11..=13).contains(&minor)
        {
            found.entry(minor).or_insert(Python { minor, path });
        }
    }
    if found.is_empty() {
        skip("no Python from 3.11 to 3.13 here");
    }
    found.into_values().collect()
}

fn candidates() -> Vec<PathBuf> {
    let home = std::env::var_os("HOME")
        .map(PathBuf::from)
        .unwrap_or_default();
    let versions = std::fs::read_dir(home.join(".pyenv/versions"))
        .into_iter()
        .flatten();
    let mut all: Vec<PathBuf> = versions
        .filter_map(|entry| Some(entry.ok()?.path().join("bin/python3")))
        .collect();
    all.sort();
    all.extend(["python3", "python3.11", "python3.12", "python3.13"].map(PathBuf::from));
    all
}

fn minor_of(path: &PathBuf) -> Option<u32> {
    let program = "import sys; print(sys.version_info[0], sys.version_info[1])";
    let output = Command::new(path).args(["-c", program]).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    text.trim().strip_prefix("3 ")?.parse().ok()
}

impl Python {
    /// Up to 3.11 it knows MD5 only.
    pub(crate) fn is_old(&self) -> bool {
        self.minor <= 11
    }

    /// Up to 3.12 its listeners take an empty key for none. Its clients know better.
    pub(crate) fn listens_with(&self, key: &[u8]) -> bool {
        self.minor >= 13 || !key.is_empty()
    }

    /// Runs a program with arguments; what it prints can be read line by line.
    pub(crate) fn run(&self, program: &str, arguments: &[&str]) -> Program {
        let mut child = Command::new(&self.path)
            .args(["-c", program])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let said = BufReader::new(child.stdout.take().unwrap());
        Program { child, said }
    }
}

/// A program that runs.
pub(crate) struct Program {
    child: Child,
    said: BufReader<ChildStdout>,
}

impl Program {
    /// The next line that it prints; empty at the end.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.said.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// Lets it go on, which waits for a line.
    pub(crate) fn go_on(&mut self) {
        self.child.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
    }

    /// It must end well.
    #[track_caller]
    pub(crate) fn ends(mut self) {
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}: {}", self.line());
    }

    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}
