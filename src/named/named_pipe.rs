//! `NamedPipe`: a pipe that strangers find by its path.

use super::reader::NamedPipeReader;
use super::writer::NamedPipeWriter;
use crate::error::{Error, ErrorKind, Result};
use crate::shm::label::{self, Owned};
use crate::sys::clock::Deadline;
use crate::sys::companions;
use crate::sys::fifo::{self, Opens};
use crate::sys::file::{self, Identity};
use nix::poll::{PollFd, PollFlags};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::fs::{self, File, Metadata};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A reader that waits in its own `open` tells nobody that it is there: a writer looks for one that often.
const SLICE: Duration = Duration::from_millis(50);

/// A named pipe (FIFO): Python's `os.mkfifo` and `open`, with deadlines and without a path that stays.
///
/// Whoever makes it **owns** the path: it is removed when this handle is dropped, or, when its process is killed, by others, as the name of a
/// [`SharedMemory`](crate::shared_memory::SharedMemory#when-a-process-dies) is. Readers and writers that have opened it go on.
///
/// Both ends wait for each other when they are opened, with a deadline if that is wanted. Bytes, lines and messages go one way. Any program can be at the
/// other end (`open(path)` in Python, `cat` in a shell); messages have the frames of a Python `Connection`.
///
/// As an argument of a process, or in a message, the path travels: the receiver owns nothing. Give away `NamedPipe::open(pipe.path())`, and keep the owner's handle:
/// with that the path would go.
///
/// Inside a family a [`Queue`](crate::Queue) is better in everything but that it has no path.
///
/// **When a process dies** its end is closed by the kernel: a reader gets what was written and then the end of the stream (once the last writer
/// has gone), a writer is told at its next write. A process that dies in the middle of `create` or `drop` leaves nothing behind for good: its label
/// says what is to be removed.
///
/// # Examples
/// ```
/// use multiproc::NamedPipe;
///
/// fn writer(pipe: NamedPipe) {
///     let mut end = pipe.open_writer().expect("somebody reads");
///     end.write_line("hello").expect("somebody reads");
/// }
///
/// let folder = std::env::temp_dir();
/// let pipe = NamedPipe::create(folder.join(format!("greetings-{}", std::process::id())))?;
/// let process = multiproc::spawn(writer, (NamedPipe::open(pipe.path())?,))?;
/// let mut end = pipe.open_reader()?;
/// assert_eq!(end.read_line()?.as_deref(), Some("hello"));
/// assert_eq!(end.read_line()?, None);
/// process.join()?;
/// # Ok::<(), multiproc::Error>(())
/// ```
pub struct NamedPipe {
    path: PathBuf,
    identity: Identity,
    owned: Owned,
}

impl NamedPipe {
    /// Makes a named pipe for this user alone (mode 0600).
    ///
    /// # Errors
    /// [`ErrorKind::AlreadyExists`], whatever it is that has this path; [`ErrorKind::NotFound`] when there is no such folder;
    /// [`ErrorKind::InvalidInput`] for a path without a last part, or with a NUL in it; [`ErrorKind::Os`] otherwise.
    pub fn create(path: impl AsRef<Path>) -> Result<Self> {
        let path = whole(path.as_ref())?;
        let label = label::fifo(&path).map_err(with_kind)?;
        // Its owner has just made it; who has put another file there meanwhile gets no answer to this.
        let metadata = metadata(&path)?;
        Ok(Self {
            identity: Identity::of(&metadata),
            path,
            owned: Owned::new(Some(label)),
        })
    }

    /// The named pipe of that path, which stays its owner's.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`]; [`ErrorKind::InvalidInput`] when it is something else.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = whole(path.as_ref())?;
        let metadata = metadata(&path)?;
        Ok(Self {
            identity: Identity::of(&metadata),
            path,
            owned: Owned::new(None),
        })
    }

    /// Where it is: an absolute path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Does this process own the path?
    #[must_use]
    pub fn is_owner(&self) -> bool {
        self.owned.is_ours()
    }

    /// Opens it for reading, and waits until somebody has opened it for writing.
    ///
    /// # Errors
    /// As [`open`](Self::open); [`ErrorKind::Os`] when this user may not.
    pub fn open_reader(&self) -> Result<NamedPipeReader> {
        self.reader(Deadline::NEVER)
    }

    /// The same, until the time is over.
    ///
    /// # Errors
    /// [`ErrorKind::TimedOut`], and as [`open_reader`](Self::open_reader).
    pub fn open_reader_timeout(&self, timeout: Duration) -> Result<NamedPipeReader> {
        self.reader(Deadline::after(timeout))
    }

    /// Opens it for writing, and waits until somebody has opened it for reading.
    ///
    /// # Errors
    /// As [`open_reader`](Self::open_reader).
    pub fn open_writer(&self) -> Result<NamedPipeWriter> {
        self.writer(Deadline::NEVER)
    }

    /// The same, until the time is over.
    ///
    /// # Errors
    /// [`ErrorKind::TimedOut`], and as [`open_writer`](Self::open_writer).
    pub fn open_writer_timeout(&self, timeout: Duration) -> Result<NamedPipeWriter> {
        self.writer(Deadline::after(timeout))
    }

    fn reader(&self, deadline: Deadline) -> Result<NamedPipeReader> {
        metadata(&self.path)?;
        let end = fifo::open_for_reading(&self.path).map_err(|error| failed(&self.path, error))?;
        let end = File::from(end);
        let mut reader = NamedPipeReader::new(end);
        // From now on every opening is seen: those before it are seen by the first look.
        let opens = Opens::of(&self.path);
        while !reader
            .has_had_writer()
            .map_err(|error| failed(&self.path, error))?
        {
            let mut fds = vec![PollFd::new(reader.as_fd(), PollFlags::POLLIN)];
            fds.extend(
                opens
                    .as_ref()
                    .map(|opens| PollFd::new(opens.as_fd(), PollFlags::POLLIN)),
            );
            let slice = slice_of(deadline, opens.is_none());
            let polled = companions::poll_until(&mut fds, slice);
            let ready = polled.map_err(|error| failed(&self.path, error))?;
            if let Some(opens) = &opens {
                opens.forget();
            }
            if !ready && deadline.passed() {
                return Err(self.nobody_came("for writing"));
            }
            // Nobody can come to a path that is gone.
            if !reader
                .has_had_writer()
                .map_err(|error| failed(&self.path, error))?
            {
                metadata(&self.path)?;
            }
        }
        Ok(reader)
    }

    fn writer(&self, deadline: Deadline) -> Result<NamedPipeWriter> {
        let opens = Opens::of(&self.path);
        loop {
            metadata(&self.path)?;
            let end = fifo::open_for_writing(&self.path);
            if let Some(end) = end.map_err(|error| failed(&self.path, error))? {
                return Ok(NamedPipeWriter::new(File::from(end)));
            }
            let fds = opens
                .as_ref()
                .map(|opens| PollFd::new(opens.as_fd(), PollFlags::POLLIN));
            let mut fds: Vec<PollFd<'_>> = fds.into_iter().collect();
            let polled = companions::poll_until(&mut fds, slice_of(deadline, true));
            let ready = polled.map_err(|error| failed(&self.path, error))?;
            if let Some(opens) = &opens {
                opens.forget();
            }
            if !ready && deadline.passed() {
                return Err(self.nobody_came("for reading"));
            }
        }
    }

    fn nobody_came(&self, what: &str) -> Error {
        let text = format!("nobody has opened {} {what}", self.path.display());
        Error::new(ErrorKind::TimedOut, text)
    }

    /// Removes the path, whoever owns it. Who has opened the pipe goes on.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when it is gone already, or when something else has the path by now.
    pub fn unlink(&self) -> Result<()> {
        let gone = || failed(&self.path, io::ErrorKind::NotFound.into());
        if let Some(removed) = self.owned.remove() {
            let removed = removed.map_err(|error| failed(&self.path, error))?;
            return removed.then_some(()).ok_or_else(gone);
        }
        let there = Identity::at(&self.path).map_err(|error| failed(&self.path, error))?;
        if there != Some(self.identity) {
            return Err(gone());
        }
        fs::remove_file(&self.path).map_err(|error| failed(&self.path, error))
    }

    /// Gives up the ownership: the path stays when this process ends, until somebody [unlinks](Self::unlink) it.
    ///
    /// # Errors
    /// [`ErrorKind::Misuse`] when this process does not own it.
    pub fn persist(&self) -> Result<()> {
        let Some(given_up) = self.owned.give_up() else {
            let text = format!("this process does not own {}", self.path.display());
            return Err(Error::new(ErrorKind::Misuse, text));
        };
        given_up.map_err(|error| failed(&self.path, error))
    }
}

/// How long to wait before the next look.
fn slice_of(deadline: Deadline, sliced: bool) -> Deadline {
    if sliced {
        Deadline::after(deadline.slice(SLICE))
    } else {
        deadline
    }
}

/// An absolute path that has a last part.
fn whole(path: &Path) -> Result<PathBuf> {
    let whole = std::path::absolute(path).ok();
    let nul = path.as_os_str().as_encoded_bytes().contains(&0);
    let whole = whole.filter(|whole| whole.file_name().is_some() && !nul);
    whole.ok_or_else(|| Error::new(ErrorKind::InvalidInput, "a path that no file can have"))
}

/// Those of a named pipe. What a link points to will do.
fn metadata(path: &Path) -> Result<Metadata> {
    let metadata = fs::metadata(path).map_err(|error| failed(path, error))?;
    if metadata.file_type().is_fifo() {
        return Ok(metadata);
    }
    let text = format!("{} is not a named pipe", path.display());
    Err(Error::new(ErrorKind::InvalidInput, text))
}

fn failed(path: &Path, error: io::Error) -> Error {
    with_kind(Error::os(
        format!("the named pipe {}", path.display()),
        error,
    ))
}

/// What is not there has its own kind.
fn with_kind(error: Error) -> Error {
    let source = std::error::Error::source(&error);
    let absent = source
        .and_then(|source| source.downcast_ref())
        .is_some_and(file::is_absent);
    if absent {
        error.with_kind(ErrorKind::NotFound)
    } else {
        error
    }
}

impl fmt::Debug for NamedPipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NamedPipe")
            .field("path", &self.path)
            .field("is_owner", &self.is_owner())
            .finish()
    }
}

impl Serialize for NamedPipe {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.path.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for NamedPipe {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let path = PathBuf::deserialize(deserializer)?;
        Self::open(path).map_err(serde::de::Error::custom)
    }
}
