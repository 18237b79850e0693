//! The end of a named pipe from which is read.

use crate::error::{Error, ErrorKind, Result};
use crate::ipc::frame::{Incoming, Refused};
use crate::sys::clock::Deadline;
use crate::sys::{companions, fifo};
use nix::poll::{PollFd, PollFlags};
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

/// The longest line or message, if nobody says otherwise: 1 GiB.
const MOST: u64 = 1 << 30;

/// Bytes that are asked for at once.
const PIECE: usize = 64 << 10;

/// The end of a [`NamedPipe`](crate::NamedPipe) from which is read: bytes ([`io::Read`]), lines, or messages, as the writer writes them. What has
/// come of a line or a message when the time is over is kept for the next call.
///
/// **When a writer dies** what it had written comes, then the end, if it was the last writer. Readers that die take with them what they had read and nobody
/// else gets.
pub struct NamedPipeReader {
    file: File,
    /// Bytes that were read and not asked for yet.
    ahead: Ahead,
    incoming: Incoming,
    max_message: u64,
}

/// Bytes that are used up from the front; what is left is moved only when more are read.
#[derive(Default)]
struct Ahead {
    bytes: Vec<u8>,
    used: usize,
}

impl Ahead {
    fn as_slice(&self) -> &[u8] {
        &self.bytes[self.used..]
    }

    fn use_up(&mut self, count: usize) {
        self.used += count;
    }

    /// Reads more, as much as one call gives.
    fn read_from(&mut self, file: &File) -> io::Result<usize> {
        self.bytes.drain(..std::mem::take(&mut self.used));
        let before = self.bytes.len();
        self.bytes.resize(before + PIECE, 0);
        let read = fifo::read(file.as_fd(), &mut self.bytes[before..]);
        self.bytes.truncate(before + *read.as_ref().unwrap_or(&0));
        read
    }
}

/// What there is to be read.
enum Came {
    Bytes,
    End,
}

impl NamedPipeReader {
    pub(super) fn new(file: File) -> Self {
        Self {
            file,
            ahead: Ahead::default(),
            incoming: Incoming::default(),
            max_message: MOST,
        }
    }

    /// Is there a writer, or was there one?
    pub(super) fn has_had_writer(&mut self) -> io::Result<bool> {
        match self.fill() {
            Ok(0) => Ok(fifo::writer_has_left(self.file.as_fd())),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(true),
            filled => filled.map(|_| true),
        }
    }

    /// Reads ahead what there is; 0 is the end.
    fn fill(&mut self) -> io::Result<usize> {
        self.ahead.read_from(&self.file)
    }

    /// Waits until there is more to be had than before.
    fn fill_until(&mut self, deadline: Deadline) -> io::Result<Came> {
        loop {
            match self.fill() {
                Ok(0) => return Ok(Came::End),
                Ok(_) => return Ok(Came::Bytes),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
            let mut fds = [PollFd::new(self.file.as_fd(), PollFlags::POLLIN)];
            if !companions::poll_until(&mut fds, deadline)? {
                return Err(io::ErrorKind::TimedOut.into());
            }
        }
    }

    /// A line, without its end; `None` when no more will come because the last writer has gone. What a writer has written last is a line also
    /// without its end. Two bytes that end a line (as on Windows) are one end and one byte of the line.
    ///
    /// # Errors
    /// [`ErrorKind::Decode`] when it is not UTF-8: the line is gone, the next one comes. [`ErrorKind::TooLong`] beyond
    /// [the longest message](Self::set_max_message).
    pub fn read_line(&mut self) -> Result<Option<String>> {
        self.line(Deadline::NEVER)
    }

    /// The same, until the time is over.
    ///
    /// # Errors
    /// [`ErrorKind::TimedOut`], and as [`read_line`](Self::read_line).
    pub fn read_line_timeout(&mut self, timeout: Duration) -> Result<Option<String>> {
        self.line(Deadline::after(timeout))
    }

    fn line(&mut self, deadline: Deadline) -> Result<Option<String>> {
        let mut searched = 0;
        let end = loop {
            let ahead = self.ahead.as_slice();
            let found = ahead[searched..].iter().position(|&byte| byte == b'\n');
            let known = found.map_or(ahead.len(), |place| searched + place);
            if known as u64 > self.max_message {
                return Err(too_long(known as u64));
            }
            if found.is_some() {
                break known + 1;
            }
            searched = known;
            match self.fill_until(deadline).map_err(failed)? {
                Came::Bytes => {}
                Came::End if searched == 0 => return Ok(None),
                Came::End => break searched,
            }
        };
        let mut line = self.ahead.as_slice()[..end].to_vec();
        self.ahead.use_up(end);
        if line.last() == Some(&b'\n') {
            line.pop();
        }
        let text = String::from_utf8(line);
        let wrong = |_| Error::new(ErrorKind::Decode, "a line that is not UTF-8");
        text.map(Some).map_err(wrong)
    }

    /// The lines, one after another, until the last writer has gone.
    pub fn lines(&mut self) -> NamedPipeLines<'_> {
        NamedPipeLines(self)
    }

    /// A message that was written by [`send_bytes`](crate::NamedPipeWriter::send_bytes), or by `Connection.send_bytes` of a Python program.
    ///
    /// # Errors
    /// [`ErrorKind::Disconnected`] when the last writer has gone, also when that was in the middle of a message, which is lost then.
    /// [`ErrorKind::TooLong`] beyond [the longest message](Self::set_max_message), and [`ErrorKind::Decode`] for a length that is none: after these
    /// nobody knows where the next message begins, and no more are received.
    pub fn recv_bytes(&mut self) -> Result<Vec<u8>> {
        self.message(Deadline::NEVER)
    }

    /// The same, until the time is over.
    ///
    /// # Errors
    /// [`ErrorKind::TimedOut`], and as [`recv_bytes`](Self::recv_bytes).
    pub fn recv_bytes_timeout(&mut self, timeout: Duration) -> Result<Vec<u8>> {
        self.message(Deadline::after(timeout))
    }

    fn message(&mut self, deadline: Deadline) -> Result<Vec<u8>> {
        loop {
            let place = self.incoming.wants(self.max_message).map_err(refused)?;
            if place.is_empty() {
                return Ok(self.incoming.take());
            }
            if self.ahead.as_slice().is_empty() {
                if let Came::End = self.fill_until(deadline).map_err(failed)? {
                    return Err(self.ended());
                }
                continue;
            }
            let ahead = self.ahead.as_slice();
            let length = place.len().min(ahead.len());
            place[..length].copy_from_slice(&ahead[..length]);
            self.ahead.use_up(length);
            self.incoming.came(length);
        }
    }

    /// The last writer has gone. The next one begins with a whole message.
    fn ended(&mut self) -> Error {
        let text = if self.incoming.is_empty() {
            "the last writer has gone"
        } else {
            "the last writer has gone in the middle of a message"
        };
        self.incoming = Incoming::default();
        Error::new(ErrorKind::Disconnected, text)
    }

    /// Refuses lines and messages of more bytes than this; 1 GiB if nothing is said.
    pub fn set_max_message(&mut self, bytes: u64) {
        self.max_message = bytes;
    }

    /// The longest line or message that is received, in bytes.
    #[must_use]
    pub fn max_message(&self) -> u64 {
        self.max_message
    }
}

/// Bytes as they come. Waits until there are some; 0 when the last writer has gone.
impl Read for NamedPipeReader {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        if to.is_empty() {
            return Ok(0);
        }
        if self.ahead.as_slice().is_empty()
            && let Came::End = self.fill_until(Deadline::NEVER)?
        {
            return Ok(0);
        }
        let ahead = self.ahead.as_slice();
        let length = to.len().min(ahead.len());
        to[..length].copy_from_slice(&ahead[..length]);
        self.ahead.use_up(length);
        Ok(length)
    }
}

/// Readable when there is something to read, or the last writer has gone. What was read ahead, behind a line for example, is not seen by this.
impl AsFd for NamedPipeReader {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl fmt::Debug for NamedPipeReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NamedPipeReader").finish_non_exhaustive()
    }
}

/// The lines of a [`NamedPipeReader`].
#[derive(Debug)]
pub struct NamedPipeLines<'a>(&'a mut NamedPipeReader);

impl Iterator for NamedPipeLines<'_> {
    type Item = Result<String>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.read_line().transpose()
    }
}

fn failed(error: io::Error) -> Error {
    if error.kind() == io::ErrorKind::TimedOut {
        return ErrorKind::TimedOut.into();
    }
    Error::os("read from a named pipe", error)
}

fn refused(refused: Refused) -> Error {
    match refused {
        Refused::TooLong(bytes) => too_long(bytes),
        Refused::NoLength(number) => {
            let text = format!("a message of {number} bytes is announced");
            Error::new(ErrorKind::Decode, text)
        }
    }
}

fn too_long(bytes: u64) -> Error {
    Error::new(ErrorKind::TooLong, format!("{bytes} bytes or more"))
}
