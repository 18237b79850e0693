//! Handing over between processes and threads without sleeping: one side waits at a gate, another opens it.
//!
//! Only std's pipes, none of the crate's own means: a test must not trust what it tests.

use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::io::{PipeReader, PipeWriter, Read as _, Write as _, pipe};
use std::os::fd::{AsRawFd as _, RawFd};

/// A gate that lets through as many as it was opened for, earlier or later.
///
/// Who waits at a gate that is never opened waits until the test's deadline.
#[derive(Debug)]
pub(crate) struct Gate {
    reader: PipeReader,
    writer: PipeWriter,
}

impl Gate {
    /// A closed gate.
    ///
    /// # Panics
    /// Panics when no pipe can be made.
    pub(crate) fn new() -> Gate {
        let (reader, writer) = pipe().expect("a pipe can be made");
        Gate { reader, writer }
    }

    /// Lets `passers` through.
    ///
    /// # Panics
    /// Panics when the pipe breaks.
    pub(crate) fn open(&self, passers: usize) {
        (&self.writer)
            .write_all(&vec![1; passers])
            .expect("a gate holds both ends of its pipe");
    }

    /// Waits to be let through.
    ///
    /// # Panics
    /// Panics when the pipe breaks.
    pub(crate) fn wait(&self) {
        (&self.reader)
            .read_exact(&mut [0])
            .expect("a gate holds both ends of its pipe");
    }

    /// The same gate for another process of this user. It works for as long as this one exists.
    pub(crate) fn remote(&self) -> RemoteGate {
        let (reader, writer) = (self.reader.as_raw_fd(), self.writer.as_raw_fd());
        RemoteGate {
            pid: std::process::id(),
            reader,
            writer,
        }
    }
}

/// The address of a [`Gate`]: plain numbers, so it can be an argument of a process or lie in a message.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct RemoteGate {
    pid: u32,
    reader: RawFd,
    writer: RawFd,
}

impl RemoteGate {
    /// Lets `passers` through.
    ///
    /// # Panics
    /// Panics when the gate is gone.
    pub(crate) fn open(self, passers: usize) {
        let mut pipe = self.pipe(OpenOptions::new().write(true), self.writer);
        pipe.write_all(&vec![1; passers])
            .expect("the gate still exists");
    }

    /// Waits to be let through.
    ///
    /// # Panics
    /// Panics when the gate is gone, also when it goes while we wait.
    pub(crate) fn wait(self) {
        let mut pipe = self.pipe(OpenOptions::new().read(true), self.reader);
        pipe.read_exact(&mut [0]).expect("the gate still exists");
    }

    /// This address as text, for a program's environment.
    pub(crate) fn text(self) -> String {
        format!("{} {} {}", self.pid, self.reader, self.writer)
    }

    /// The address that [`text`](Self::text) wrote.
    ///
    /// # Panics
    /// Panics when it is another text.
    pub(crate) fn from_text(text: &str) -> RemoteGate {
        let mut words = text.split(' ').map(|word| word.parse::<i32>());
        let mut next = || words.next().expect("three words").expect("a number");
        RemoteGate {
            pid: next().cast_unsigned(),
            reader: next(),
            writer: next(),
        }
    }

    /// Opening a pipe of another process by its place in `/proc` needs no inheritance and no name.
    fn pipe(self, how: &OpenOptions, fd: RawFd) -> File {
        how.open(format!("/proc/{}/fd/{fd}", self.pid))
            .expect("the gate exists")
    }
}
