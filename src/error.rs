//! Errors of every room: one type with a matchable [`ErrorKind`], and what happened in another process as data.

use std::fmt;
use std::io;

/// The result of most verbs of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Which kind of thing went wrong. More kinds may come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A system call failed; [`std::error::Error::source`] is its `io::Error`.
    Os,
    /// The arena, or one of its tables, is full, or `/dev/shm` is. Freeing something makes room again.
    NoSpace,
    /// The deadline came first.
    TimedOut,
    /// The other side said that nothing more will come, or will be taken.
    Closed,
    /// Nobody is left at the other end.
    Disconnected,
    /// A handle whose object is gone.
    StaleHandle,
    /// Shared memory holds what this crate never writes: a member of the family has gone mad.
    Corrupt,
    /// A process cannot be started this way here; the message says what to do.
    StartMethodUnavailable,
    /// An argument that makes no sense.
    InvalidInput,
    /// A call that breaks a rule of the object's life, as `join` before `start`.
    Misuse,
    /// A value could not be turned into bytes.
    Encode,
    /// Bytes could not be turned into a value.
    Decode,
    /// The function panicked in its process; see [`Error::remote`].
    Panicked,
    /// The process ended by `exit` and left no value; see [`Error::remote`].
    Exited,
    /// A signal killed the process before it had a value; see [`Error::remote`].
    Killed,
    /// The worker process that ran the task died; see [`Error::remote`].
    WorkerDied,
    /// The pool was terminated before the task was done.
    Terminated,
    /// A process has ended and nobody can say how: who would have known was killed.
    UnknownStatus,
    /// The lock's owner died while it held it, and nobody has said that the data was repaired.
    OwnerDied,
    /// Somebody else holds it at the moment.
    Busy,
    /// The barrier is broken: a party timed out, died, or gave up.
    BrokenBarrier,
    /// There is nothing of that name.
    NotFound,
    /// The name is taken.
    AlreadyExists,
    /// A message is longer than what was agreed to, or an item than its room.
    TooLong,
    /// The buffer is smaller than the message.
    BufferTooShort,
    /// The other side does not know the key, or this side does not know its.
    AuthenticationFailed,
}

impl ErrorKind {
    const fn words(self) -> &'static str {
        match self {
            Self::Os => "system call failed",
            Self::NoSpace => "no space left",
            Self::TimedOut => "timed out",
            Self::Closed => "closed",
            Self::Disconnected => "nobody is left at the other end",
            Self::StaleHandle => "the object of this handle is gone",
            Self::Corrupt => "shared memory is corrupt",
            Self::StartMethodUnavailable => "processes cannot be started this way",
            Self::InvalidInput => "invalid argument",
            Self::Misuse => "not allowed now",
            Self::Encode => "value cannot be encoded",
            Self::Decode => "bytes cannot be decoded",
            Self::Panicked => "panicked",
            Self::Exited => "exited without a value",
            Self::Killed => "killed by a signal",
            Self::WorkerDied => "worker died",
            Self::Terminated => "pool terminated",
            Self::UnknownStatus => "exit status unknown",
            Self::OwnerDied => "the owner of the lock died",
            Self::Busy => "busy",
            Self::BrokenBarrier => "the barrier is broken",
            Self::NotFound => "not found",
            Self::AlreadyExists => "the name is taken",
            Self::TooLong => "too long",
            Self::BufferTooShort => "buffer too short",
            Self::AuthenticationFailed => "authentication failed",
        }
    }
}

/// What went wrong: a [kind](ErrorKind), a word of context, and the system's own error where there is one.
///
/// ```
/// use multiproc::{ErrorKind, Pool};
///
/// let error = Pool::new(0).expect_err("a pool of nobody");
/// assert_eq!(error.kind(), ErrorKind::InvalidInput);
/// assert_eq!(error.to_string(), "invalid argument: a pool needs at least one worker");
/// ```
pub struct Error {
    kind: ErrorKind,
    /// Boxed, because a `Result` that is mostly fine should be small.
    detail: Option<Box<Detail>>,
}

#[derive(Debug)]
struct Detail {
    context: String,
    source: Option<Source>,
}

#[derive(Debug)]
enum Source {
    Os(io::Error),
    Remote(RemoteError),
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, context: impl Into<String>) -> Self {
        Self::with_source(kind, context.into(), None)
    }

    fn with_source(kind: ErrorKind, context: String, source: Option<Source>) -> Self {
        let detail = Some(Box::new(Detail { context, source }));
        Self { kind, detail }
    }

    pub(crate) fn os(context: impl Into<String>, error: impl Into<io::Error>) -> Self {
        let source = Some(Source::Os(error.into()));
        Self::with_source(ErrorKind::Os, context.into(), source)
    }

    pub(crate) fn remote_error(kind: ErrorKind, remote: RemoteError) -> Self {
        Self::with_source(kind, String::new(), Some(Source::Remote(remote)))
    }

    pub(crate) fn with_kind(mut self, kind: ErrorKind) -> Self {
        self.kind = kind;
        self
    }

    /// The same, with more to say.
    pub(crate) fn and(mut self, more: &str) -> Self {
        if let Some(detail) = &mut self.detail {
            detail.context.push_str(more);
        }
        self
    }

    fn origin(&self) -> Option<&Source> {
        self.detail.as_ref()?.source.as_ref()
    }

    /// The kind, to match on.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// What happened in the other process, where the error is of that sort.
    #[must_use]
    pub fn remote(&self) -> Option<&RemoteError> {
        match self.origin() {
            Some(Source::Remote(remote)) => Some(remote),
            _ => None,
        }
    }
}

impl From<ErrorKind> for Error {
    fn from(kind: ErrorKind) -> Self {
        Self { kind, detail: None }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(remote) = self.remote() {
            return remote.fmt(f);
        }
        f.write_str(self.kind.words())?;
        let context = self
            .detail
            .as_ref()
            .map_or("", |detail| detail.context.as_str());
        if !context.is_empty() {
            write!(f, ": {context}")?;
        }
        if let Some(Source::Os(error)) = self.origin() {
            write!(f, ": {error}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}({self})", self.kind)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self.origin()? {
            Source::Os(error) => Some(error),
            Source::Remote(remote) => Some(remote),
        }
    }
}

/// What happened in another process, or thread: a panic with its place, or how the process ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteError {
    pub(crate) process: String,
    /// Where it happened to a thread.
    pub(crate) thread: Option<String>,
    pub(crate) pid: u32,
    pub(crate) message: String,
    pub(crate) place: Option<(String, u32)>,
    pub(crate) backtrace: Option<String>,
    pub(crate) exitcode: Option<i32>,
}

impl RemoteError {
    /// The panic's message, or a sentence on how the process ended.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The source file of the panic.
    #[must_use]
    pub fn file(&self) -> Option<&str> {
        self.place.as_ref().map(|(file, _)| file.as_str())
    }

    /// The line of the panic in [`file`](Self::file), from 1.
    #[must_use]
    pub fn line(&self) -> Option<u32> {
        self.place.as_ref().map(|&(_, line)| line)
    }

    /// The backtrace of the panic, where the process's environment asked for one (`RUST_BACKTRACE=1`).
    #[must_use]
    pub fn backtrace(&self) -> Option<&str> {
        self.backtrace.as_deref()
    }

    /// The name of the process, as `"PoolWorker-2"`.
    #[must_use]
    pub fn process(&self) -> &str {
        &self.process
    }

    /// The name of the thread, as `"Thread-1"`, where it was one that panicked and not a process.
    #[must_use]
    pub fn thread(&self) -> Option<&str> {
        self.thread.as_deref()
    }

    /// The process's number; it may belong to another process by now.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// How the process ended, if it did: the exit code, or minus the number of the signal.
    #[must_use]
    pub fn exitcode(&self) -> Option<i32> {
        self.exitcode
    }
}

impl fmt::Display for RemoteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(thread) = &self.thread {
            write!(f, "thread {thread} of ")?;
        }
        write!(f, "process {} (pid {})", self.process, self.pid)?;
        if let Some((file, line)) = &self.place {
            write!(f, " panicked at {file}:{line}")?;
        }
        write!(f, ": {}", self.message)
    }
}

impl std::error::Error for RemoteError {}
