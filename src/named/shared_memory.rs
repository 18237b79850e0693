//! `SharedMemory`: a segment that processes find by its name, whoever started them.

use crate::error::{Error, ErrorKind, Result};
use crate::shm::label::{self, FOLDER, Owned};
use crate::sys::atomic::{AtomicU8, AtomicU16, AtomicU32, AtomicU64};
use crate::sys::file::{self, Identity};
use crate::sys::mapping::{Atomic, Mapping};
use crate::sys::random;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The longest name, in bytes.
const LONGEST_NAME: usize = 254;

/// Names that are tried before it is given up that one is free.
const TRIES: usize = 100;

/// Memory that processes share by name, also with Python programs: `multiprocessing.shared_memory.SharedMemory`.
///
/// Whoever makes a segment **owns** it: when its handle is dropped the name is removed, and when its process is killed, others remove it
/// (see [below](#when-a-process-dies)). Who opens it by name never owns it. The memory itself stays for as long as anybody has it open.
///
/// Everybody who has it open writes to it at any time, so there are no slices of it: bytes are copied in and out ([`read`](Self::read),
/// [`write`](Self::write)), and numbers are changed in place as atomics ([`atomic_u64`](Self::atomic_u64)). A copy is not one step: of what
/// others write meanwhile it may have a part (eight bytes that are aligned to eight are copied at once). A [`Lock`](crate::Lock) keeps members of
/// the family apart.
///
/// As an argument of a process, or in a message, the name travels: the receiver opens the segment, and owns nothing. The handle itself is dropped here, so give
/// away another one (`SharedMemory::open(memory.name())`) and keep the owner's: with that the name would go before it arrives.
///
/// To share memory inside a family [`Array`](crate::Array) and [`Value`](crate::Value) are simpler: they need no name.
///
/// # When a process dies
/// - *one that has opened it*: nothing happens.
/// - *the owner*: its fork server removes the name, or the process that joins the owner.
/// - *the owner and the fork server at once*: the name stays until the next program of this user has a fork server, or calls
///   [`cleanup`](crate::cleanup).
/// - In the middle of a `write`, part of the bytes are written.
///
/// # Somebody makes the file shorter
/// `ftruncate` is not among the verbs of this type, nor of Python's, and none of them changes a size. A program that does so all the same takes pages away from
/// everybody: whoever touches one of them is killed by SIGBUS. That is the system's answer; nothing wrong is ever read.
///
/// # Differences from Python
/// - The space is reserved when a segment is made: a full `/dev/shm` is [`ErrorKind::NoSpace`], where Python is killed by SIGBUS later.
/// - Who attaches does not become responsible. **A Python program up to 3.12 does**: its resource tracker removes every segment that the
///   program has attached to when the program ends, ours too. From 3.13 `SharedMemory(name, track=False)` prevents that, before it
///   `resource_tracker.unregister(shm._name, "shared_memory")` right after attaching.
/// - There is no `buf` that could be used after `close`, and `close` has no error.
///
/// # Examples
/// ```
/// use multiproc::shared_memory::SharedMemory;
/// use std::sync::atomic::Ordering;
///
/// let memory = SharedMemory::create(4096)?;
/// // In Python, at the same time: SharedMemory(name).buf[:5]
/// memory.write(0, b"hello")?;
///
/// fn child(memory: SharedMemory) {
///     let mut greeting = [0; 5];
///     memory.read(0, &mut greeting).expect("it is that long");
///     assert_eq!(&greeting, b"hello");
///     memory.atomic_u64(8).expect("aligned").fetch_add(1, Ordering::SeqCst);
/// }
/// let same = SharedMemory::open(memory.name())?;
/// multiproc::spawn(child, (same,))?.join()?;
/// assert_eq!(memory.atomic_u64(8)?.load(Ordering::SeqCst), 1);
/// # Ok::<(), multiproc::Error>(())
/// ```
pub struct SharedMemory {
    name: String,
    size: usize,
    identity: Identity,
    /// `None` when closed.
    mapping: Option<Mapping>,
    owned: Owned,
}

impl SharedMemory {
    /// Makes a segment of `size` bytes, all zero, under a name that nobody has: `psm_` and eight hexadecimal digits.
    ///
    /// # Errors
    /// As [`create_named`](Self::create_named).
    pub fn create(size: usize) -> Result<Self> {
        Self::create_filled(None, size, |_| Ok(()))
    }

    /// Makes a segment of `size` bytes, all zero, under this name. It is for this user alone (mode 0600).
    ///
    /// # Errors
    /// [`ErrorKind::AlreadyExists`]; [`ErrorKind::NoSpace`] when `/dev/shm` has no room for it, or for its label;
    /// [`ErrorKind::InvalidInput`] for a size of 0 and a name that is empty, `.` or `..`, longer than 254 bytes, or has a slash or a NUL in it. Nothing is left then.
    pub fn create_named(name: &str, size: usize) -> Result<Self> {
        Self::create_filled(Some(name), size, |_| Ok(()))
    }

    /// Makes a segment that is filled before anybody can find it.
    pub(super) fn create_filled(
        name: Option<&str>,
        size: usize,
        fill: impl FnOnce(&Mapping) -> Result<()>,
    ) -> Result<Self> {
        match name {
            Some(name) => Self::create_under(std::iter::once(Ok(name.to_owned())), size, fill),
            None => Self::create_under((0..TRIES).map(|_| random_name()), size, fill),
        }
    }

    /// Under the first of these names that is free.
    fn create_under(
        names: impl Iterator<Item = Result<String>>,
        size: usize,
        fill: impl FnOnce(&Mapping) -> Result<()>,
    ) -> Result<Self> {
        let mut names = names.peekable();
        if let Some(Ok(name)) = names.peek() {
            check(name)?;
        }
        let (file, mapping) = make(size)?;
        fill(&mapping)?;
        let metadata = file.metadata();
        let identity = metadata.map_err(|error| Error::os("a new segment", error))?;
        let mut last = ErrorKind::AlreadyExists.into();
        for name in names {
            let name = name?;
            match label::segment(&file, &name) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => last = error,
                Err(error) => return Err(error),
                Ok(label) => {
                    return Ok(Self {
                        name,
                        size,
                        identity: Identity::of(&identity),
                        mapping: Some(mapping),
                        owned: Owned::new(Some(label)),
                    });
                }
            }
        }
        Err(last)
    }

    /// Opens the segment of this name, with the size that it has. It stays its owner's.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`]; [`ErrorKind::InvalidInput`] for a name that none can have, and for something that is no segment, or has no bytes
    /// (one that Python is about to make); [`ErrorKind::Os`] when it is another user's.
    pub fn open(name: &str) -> Result<Self> {
        check(name)?;
        let path = path_of(name);
        let file = file::open_plainly(&path, true).map_err(|error| absent(name, error))?;
        let failed = |error| Error::os(format!("the segment {name}"), error);
        let metadata = file.metadata().map_err(failed)?;
        // Whoever owns it may cut it at any time, and a process that looks at bytes which are no longer there is killed.
        if metadata.uid() != file::user() {
            let denied = io::ErrorKind::PermissionDenied;
            return Err(failed(denied.into()).and(", which belongs to another user"));
        }
        if !metadata.is_file() {
            return Err(invalid(format!("{name} is not a segment of memory")));
        }
        let size = usize::try_from(metadata.len()).map_err(|_| ErrorKind::NoSpace)?;
        if size == 0 {
            return Err(invalid(format!("the segment {name} has no bytes")));
        }
        let mapping = Mapping::new(&file, size).map_err(failed)?;
        Ok(Self {
            name: name.to_owned(),
            size,
            identity: Identity::of(&metadata),
            mapping: Some(mapping),
            owned: Owned::new(None),
        })
    }

    /// The name by which others [open](Self::open) it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How many bytes it has: exactly as many as were asked for.
    #[must_use]
    pub fn size(&self) -> usize {
        self.size
    }

    /// Does this process own the name?
    #[must_use]
    pub fn is_owner(&self) -> bool {
        self.owned.is_ours()
    }

    pub(super) fn mapping(&self) -> Result<&Mapping> {
        let closed = || Error::new(ErrorKind::Closed, format!("the segment {}", self.name));
        self.mapping.as_ref().ok_or_else(closed)
    }

    /// Copies the bytes from `offset` on.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] when they do not all lie inside; [`ErrorKind::Closed`].
    pub fn read(&self, offset: usize, to: &mut [u8]) -> Result<()> {
        let done = self.mapping()?.read(offset, to);
        done.ok_or_else(|| self.outside(offset, to.len()))
    }

    /// Writes bytes from `offset` on.
    ///
    /// # Errors
    /// As [`read`](Self::read); nothing is written then.
    pub fn write(&self, offset: usize, from: &[u8]) -> Result<()> {
        let done = self.mapping()?.write(offset, from);
        done.ok_or_else(|| self.outside(offset, from.len()))
    }

    /// The byte at `offset`, to be read and changed by many at once.
    ///
    /// # Errors
    /// As [`atomic_u64`](Self::atomic_u64).
    pub fn atomic_u8(&self, offset: usize) -> Result<&AtomicU8> {
        self.atomic(offset)
    }

    /// Two bytes at `offset`; see [`atomic_u64`](Self::atomic_u64).
    ///
    /// # Errors
    /// As [`atomic_u64`](Self::atomic_u64).
    pub fn atomic_u16(&self, offset: usize) -> Result<&AtomicU16> {
        self.atomic(offset)
    }

    /// Four bytes at `offset`; see [`atomic_u64`](Self::atomic_u64).
    ///
    /// # Errors
    /// As [`atomic_u64`](Self::atomic_u64).
    pub fn atomic_u32(&self, offset: usize) -> Result<&AtomicU32> {
        self.atomic(offset)
    }

    /// Eight bytes at `offset` as a number in the byte order of the machine, to be read and changed by many at once.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] when it does not lie wholly inside, or when the offset is not a multiple of its size;
    /// [`ErrorKind::Closed`].
    pub fn atomic_u64(&self, offset: usize) -> Result<&AtomicU64> {
        self.atomic(offset)
    }

    fn atomic<A: Atomic>(&self, offset: usize) -> Result<&A> {
        let place = self.mapping()?.at(offset);
        place.ok_or_else(|| match offset.is_multiple_of(size_of::<A>()) {
            true => self.outside(offset, size_of::<A>()),
            false => invalid(format!(
                "offset {offset} is not a multiple of {}",
                size_of::<A>()
            )),
        })
    }

    fn outside(&self, offset: usize, length: usize) -> Error {
        invalid(format!("{length} bytes from {offset} on, of {}", self.size))
    }

    /// Gives the memory back, as far as this handle is concerned; nothing happens the second time. The name stays, if this is its owner: until the handle is
    /// dropped.
    pub fn close(&mut self) {
        self.mapping = None;
    }

    /// Removes the name, whoever owns it. Who has the segment open keeps it, and nobody else can find it any more.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when it is gone already, or when the name is another segment's by now.
    pub fn unlink(&self) -> Result<()> {
        let failed = |error| Error::os(format!("remove the segment {}", self.name), error);
        let gone = || Error::new(ErrorKind::NotFound, format!("the segment {}", self.name));
        if let Some(removed) = self.owned.remove() {
            return removed.map_err(failed)?.then_some(()).ok_or_else(gone);
        }
        let path = path_of(&self.name);
        if Identity::at(&path).map_err(failed)? != Some(self.identity) {
            return Err(gone());
        }
        fs::remove_file(&path).map_err(|error| absent(&self.name, error))
    }

    /// Gives up the ownership: the segment stays when this process ends, until somebody [unlinks](Self::unlink) it.
    ///
    /// # Errors
    /// [`ErrorKind::Misuse`] when this process does not own it.
    pub fn persist(&self) -> Result<()> {
        let Some(given_up) = self.owned.give_up() else {
            let text = format!("this process does not own the segment {}", self.name);
            return Err(Error::new(ErrorKind::Misuse, text));
        };
        given_up.map_err(|error| Error::os("remove a label", error))
    }
}

/// A file of that size that has no name yet, and its memory.
fn make(size: usize) -> Result<(File, Mapping)> {
    if size == 0 {
        return Err(invalid("a segment has at least one byte"));
    }
    let failed = |error: io::Error| {
        use io::ErrorKind::{FileTooLarge, OutOfMemory, QuotaExceeded, StorageFull};
        let full = [FileTooLarge, OutOfMemory, QuotaExceeded, StorageFull].contains(&error.kind());
        let error = Error::os(format!("{size} bytes in {FOLDER}"), error);
        if full {
            error.with_kind(ErrorKind::NoSpace)
        } else {
            error
        }
    };
    let file = file::create_unnamed(Path::new(FOLDER)).map_err(failed)?;
    file::reserve(&file, size as u64).map_err(failed)?;
    let mapping = Mapping::new(&file, size).map_err(failed)?;
    Ok((file, mapping))
}

fn random_name() -> Result<String> {
    let mut bytes = [0; 4];
    random::fill(&mut bytes).map_err(|error| Error::os("a random name", error))?;
    Ok(format!("psm_{:08x}", u32::from_ne_bytes(bytes)))
}

fn path_of(name: &str) -> PathBuf {
    Path::new(FOLDER).join(name)
}

fn check(name: &str) -> Result<()> {
    let wrong = match name {
        "" => "the name of a segment is empty",
        "." | ".." => "the name of a segment is that of a folder",
        _ if name.contains(['/', '\0']) => "the name of a segment has a slash or a NUL in it",
        _ if name.len() > LONGEST_NAME => "the name of a segment is longer than 254 bytes",
        _ => return Ok(()),
    };
    Err(invalid(wrong))
}

fn invalid(text: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidInput, text)
}

fn absent(name: &str, error: io::Error) -> Error {
    let absent = file::is_absent(&error);
    let error = Error::os(format!("the segment {name}"), error);
    if absent {
        error.with_kind(ErrorKind::NotFound)
    } else {
        error
    }
}

impl fmt::Debug for SharedMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedMemory")
            .field("name", &self.name)
            .field("size", &self.size)
            .field("is_owner", &self.is_owner())
            .finish()
    }
}

impl Serialize for SharedMemory {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.name.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for SharedMemory {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        Self::open(&name).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_name_is_tried_when_one_is_taken() {
        let taken = SharedMemory::create(1).expect("a segment");
        let free = random_name().expect("a name");
        let names = [taken.name(), taken.name(), &free].map(|name| Ok(name.to_owned()));
        let made = SharedMemory::create_under(names.into_iter(), 8, |_| Ok(()));
        assert_eq!(made.expect("a segment").name(), free);
        let names = [Ok(taken.name().to_owned())];
        let made = SharedMemory::create_under(names.into_iter(), 8, |_| Ok(()));
        assert_eq!(made.expect_err("taken").kind(), ErrorKind::AlreadyExists);
    }
}
