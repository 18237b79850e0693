//! The end of a named pipe to which is written.

use crate::error::{Error, ErrorKind, Result};
use crate::ipc::frame::Header;
use crate::sys::clock::Deadline;
use crate::sys::{companions, fifo};
use nix::poll::{PollFd, PollFlags};
use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

/// The end of a [`NamedPipe`](crate::NamedPipe) to which is written: bytes ([`io::Write`]), lines, or messages.
///
/// Several may write at once. A line or a message of at most 4,096 bytes, with its end or its length (4 bytes), is written in one piece; of longer
/// ones the pieces of several writers can come mixed.
///
/// **When the last reader dies** the next write is [`ErrorKind::Disconnected`] (for [`io::Write`] `BrokenPipe`), and never a signal; what it had not read is lost.
pub struct NamedPipeWriter {
    file: File,
    /// A part of a line or a message was written, and the rest was not: nobody can make sense of what would follow.
    broken: bool,
}

impl NamedPipeWriter {
    pub(super) fn new(file: File) -> Self {
        Self {
            file,
            broken: false,
        }
    }

    /// Writes a line, and its end behind it. Waits while the pipe is full.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] when it has an end of line inside; [`ErrorKind::Disconnected`] when nobody reads any more.
    pub fn write_line(&mut self, line: &str) -> Result<()> {
        self.line(line, Deadline::NEVER)
    }

    /// The same, until the time is over.
    ///
    /// # Errors
    /// [`ErrorKind::TimedOut`], and as [`write_line`](Self::write_line). If a part was written by then this end is of no more use: [`ErrorKind::Closed`]
    /// from then on.
    pub fn write_line_timeout(&mut self, line: &str, timeout: Duration) -> Result<()> {
        self.line(line, Deadline::after(timeout))
    }

    fn line(&mut self, line: &str, deadline: Deadline) -> Result<()> {
        if line.contains('\n') {
            let text = "a line that has an end of line inside";
            return Err(Error::new(ErrorKind::InvalidInput, text));
        }
        self.whole(&[line.as_bytes(), b"\n"], deadline)
    }

    /// Writes a message, which [`recv_bytes`](crate::NamedPipeReader::recv_bytes) gives back whole. Waits while the pipe is full.
    ///
    /// # Errors
    /// [`ErrorKind::Disconnected`] when nobody reads any more.
    pub fn send_bytes(&mut self, message: &[u8]) -> Result<()> {
        self.message(message, Deadline::NEVER)
    }

    /// The same, until the time is over.
    ///
    /// # Errors
    /// As [`write_line_timeout`](Self::write_line_timeout).
    pub fn send_bytes_timeout(&mut self, message: &[u8], timeout: Duration) -> Result<()> {
        self.message(message, Deadline::after(timeout))
    }

    fn message(&mut self, message: &[u8], deadline: Deadline) -> Result<()> {
        let header = Header::of(message.len() as u64);
        self.whole(&[header.as_bytes(), message], deadline)
    }

    /// Writes two parts; in one piece if they are short.
    fn whole(&mut self, [first, second]: &[&[u8]; 2], deadline: Deadline) -> Result<()> {
        if self.broken {
            let text = "only a part of the last line or message was written";
            return Err(Error::new(ErrorKind::Closed, text));
        }
        let mut written = 0;
        let together =
            (first.len() + second.len() <= fifo::ATOMIC).then(|| [*first, second].concat());
        let parts: &[&[u8]] = match &together {
            Some(together) => &[together],
            None => &[first, second],
        };
        for part in parts {
            let done = self.part(part, deadline, &mut written);
            done.map_err(|error| {
                self.broken = written > 0;
                failed(error)
            })?;
        }
        Ok(())
    }

    fn part(&self, mut part: &[u8], deadline: Deadline, written: &mut usize) -> io::Result<()> {
        while !part.is_empty() {
            let wrote = self.some(part, deadline)?;
            *written += wrote;
            part = &part[wrote..];
        }
        Ok(())
    }

    /// Writes at least one byte.
    fn some(&self, bytes: &[u8], deadline: Deadline) -> io::Result<usize> {
        loop {
            match fifo::write(self.file.as_fd(), bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                other => return other,
            }
            let mut fds = [PollFd::new(self.file.as_fd(), PollFlags::POLLOUT)];
            if !companions::poll_until(&mut fds, deadline)? {
                return Err(io::ErrorKind::TimedOut.into());
            }
        }
    }
}

/// Bytes, as many as there is room for; waits until there is some.
impl Write for NamedPipeWriter {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        if from.is_empty() {
            return Ok(0);
        }
        self.some(from, Deadline::NEVER)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Becomes writable when there is room, and when the last reader has gone.
impl AsFd for NamedPipeWriter {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl fmt::Debug for NamedPipeWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NamedPipeWriter").finish_non_exhaustive()
    }
}

fn failed(error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::TimedOut => ErrorKind::TimedOut.into(),
        io::ErrorKind::BrokenPipe => {
            Error::os("write to a named pipe", error).with_kind(ErrorKind::Disconnected)
        }
        _ => Error::os("write to a named pipe", error),
    }
}
