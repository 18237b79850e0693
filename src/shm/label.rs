//! Labels: what has a name outlives whoever made it, so a file beside it says whose it is.
//!
//! Segments, named pipes and paths of sockets are *objects* here. Their owner is the process that made them, and keeps a label for each: a
//! small file in [`FOLDER`], made whole before it has a name. An object has its label before it has its own name, and loses it after:
//! so a kill at any instruction leaves nothing, or something with a label. Whoever proves that an owner is dead may remove
//! what its labels name ([`sweep`]): the fork server, whoever settles a dead member, the next program, `cleanup()`.
//!
//! Nobody else's object is ever removed: what a label names is told by device, inode and time of birth, and is moved aside, to a name that
//! only the label knows, and looked at once more before it goes. `docs/design/named.md` tells why.

mod record;

use self::record::{Kind, Owner, PREFIX, Record};
use super::arena::Arena;
use super::layout::NAMED;
use super::member::{self, Member};
use crate::error::{Error, ErrorKind, Result};
use crate::sys::atomic::{AcqRel, Acquire};
use crate::sys::file::{self, Identity};
use crate::sys::private::Private;
use crate::sys::{atfork, random};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// Where labels lie, and segments: memory that all processes of the machine share by name.
pub(crate) const FOLDER: &str = "/dev/shm";

/// The longest label, in bytes: two paths and a few numbers.
const LONGEST: u64 = 16 << 10;

/// What makes sure that somebody survives this process who can sweep behind it.
static KEEPER: OnceLock<fn() -> Result<()>> = OnceLock::new();

/// Tells how a fork server comes to be, which is the business of a room above.
pub(crate) fn set_keeper(keeper: fn() -> Result<()>) {
    let _once = KEEPER.set(keeper);
}

/// A name that this process owns. Dropped, the object is removed, then the label, but not by a forked copy.
#[derive(Debug)]
pub(crate) struct Label {
    record: Record,
    /// Its file; `None` where none could be made, or when all is done.
    file: Option<PathBuf>,
    /// The object is no longer ours, or is gone.
    done: bool,
    /// The fork that the owner came from: numbers of processes repeat in other namespaces.
    forked: u32,
}

/// Gives the file of a segment, which has no name yet, one in [`FOLDER`].
pub(crate) fn segment(segment: &File, name: &str) -> Result<Label> {
    let path = Path::new(FOLDER).join(name);
    let failed = |error| Error::os(format!("a label for {}", path.display()), error);
    let identity = segment.metadata().map_err(failed)?;
    let mut label = Label::new(Kind::Segment, &path).map_err(failed)?;
    label.record.object = Some(Identity::of(&identity));
    label.publish().map_err(|error| full(failed(error)))?;
    or_after_sweep(|| file::name(segment, &path)).map_err(|error| taken(error, &path))?;
    Ok(label)
}

/// Makes a named pipe.
pub(crate) fn fifo(path: &Path) -> Result<Label> {
    let failed = |error| Error::os(format!("the named pipe {}", path.display()), error);
    let mut label = Label::new(Kind::Fifo, path).map_err(failed)?;
    label.try_publish();
    file::make_fifo(&label.record.aside).map_err(failed)?;
    label.note_object(&label.record.aside.clone())?;
    let (aside, path) = (&label.record.aside, &label.record.path);
    or_after_sweep(|| file::rename(aside, path)).map_err(|error| taken(error, path))?;
    Ok(label)
}

/// Labels the path of a socket that is about to be bound; [`Label::bound`] says that it was.
pub(crate) fn socket(path: &Path) -> Result<Label> {
    let failed = |error| Error::os(format!("the socket {}", path.display()), error);
    let mut label = Label::new(Kind::Socket, path).map_err(failed)?;
    label.try_publish();
    Ok(label)
}

/// A name that is taken may be one that the dead have left: looked for at once, because a service that is started again wants its names
/// before its fork server has had the time to look.
pub(crate) fn or_after_sweep<T>(mut take: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    match take() {
        Err(error) if is_taken(&error) => {
            sweep_or_say(Sweeper::Other);
            take()
        }
        first => first,
    }
}

fn is_taken(error: &io::Error) -> bool {
    let kind = error.kind();
    [io::ErrorKind::AlreadyExists, io::ErrorKind::AddrInUse].contains(&kind)
}

/// A full file system has its own kind.
fn full(error: Error) -> Error {
    let source = std::error::Error::source(&error).and_then(|source| source.downcast_ref());
    match source.map(io::Error::kind) {
        Some(io::ErrorKind::StorageFull) => error.with_kind(ErrorKind::NoSpace),
        _ => error,
    }
}

fn taken(error: io::Error, path: &Path) -> Error {
    let exists = error.kind() == io::ErrorKind::AlreadyExists;
    let error = Error::os(path.display().to_string(), error);
    if exists {
        error.with_kind(ErrorKind::AlreadyExists)
    } else {
        error
    }
}

impl Label {
    fn new(kind: Kind, path: &Path) -> io::Result<Self> {
        prepare();
        let path = std::path::absolute(path)?;
        let mut number = [0; 8];
        random::fill(&mut number)?;
        let number = u64::from_ne_bytes(number);
        // In the same folder: what is moved stays in its file system.
        let aside = path.with_file_name(format!(".{PREFIX}-{number:016x}"));
        let record = Record {
            kind,
            owner: Owner::this(),
            namespaces: namespaces_of(kind)?,
            object: None,
            path,
            aside,
        };
        Ok(Self {
            record,
            file: None,
            done: false,
            forked: atfork::generation(),
        })
    }

    /// Gives the label its file, whole from the first moment. If it has one already, the new one comes before that one goes.
    fn publish(&mut self) -> io::Result<()> {
        let mut file = file::create_unnamed(Path::new(FOLDER))?;
        file.write_all(&self.record.to_bytes())?;
        let mut number = [0; 8];
        random::fill(&mut number)?;
        let name = self
            .record
            .owner
            .file_name(file::user(), u64::from_ne_bytes(number));
        let path = Path::new(FOLDER).join(name);
        file::name(&file, &path)?;
        if let Some(old) = self.file.replace(path) {
            fs::remove_file(old)?;
        }
        Ok(())
    }

    /// The same for what does not lie in that folder, and does its work without.
    fn try_publish(&mut self) {
        if let Err(error) = self.publish() {
            let path = self.record.path.display();
            log::warn!("{path} will stay if this process is killed: no label in {FOLDER}: {error}");
        }
    }

    fn note_object(&mut self, path: &Path) -> Result<()> {
        let failed = |error| Error::os(path.display().to_string(), error);
        let object = Identity::at(path).map_err(failed)?;
        let gone = || failed(io::ErrorKind::NotFound.into());
        self.record.object = Some(object.ok_or_else(gone)?);
        self.try_publish();
        Ok(())
    }

    /// The socket was bound: from now on it is ours.
    pub(crate) fn bound(&mut self) -> Result<()> {
        self.note_object(&self.record.path.clone())
    }

    /// Does this process own what the label names? A forked copy does not.
    fn is_ours(&self) -> bool {
        let pid = crate::sys::process::getpid();
        !self.done && self.record.owner.pid == pid && self.forked == atfork::generation()
    }

    /// Removes the object, then the label; `false` when the object had gone. It is tried again at the end if that fails.
    fn remove(&mut self) -> io::Result<bool> {
        let removed = match self.record.object {
            // A socket that was not bound: what lies there, if anything does, was there before.
            None if self.record.kind == Kind::Socket => false,
            _ => self.record.remove_object()?,
        };
        self.give_up()?;
        Ok(removed)
    }

    /// Removes the label only: the object stays.
    fn give_up(&mut self) -> io::Result<()> {
        if let Some(file) = &self.file {
            fs::remove_file(file).or_else(absent_is_fine)?;
        }
        self.file = None;
        self.done = true;
        Ok(())
    }
}

impl Drop for Label {
    fn drop(&mut self) {
        if self.is_ours()
            && let Err(error) = self.remove()
        {
            let path = self.record.path.display();
            log::error!("{path} was not removed: {error}");
        }
    }
}

/// The label of an object's handle, if it has one: only in the process that made the object, and not in its forked copies.
#[derive(Debug)]
pub(crate) struct Owned {
    label: Private<Option<Label>>,
    /// In a forked copy the lock may be another thread's that is not there: it is not touched.
    forked: u32,
}

impl Owned {
    pub(crate) fn new(label: Option<Label>) -> Self {
        Self {
            label: Private::new(label),
            forked: atfork::generation(),
        }
    }

    fn with<T>(&self, work: impl FnOnce(&mut Label) -> T) -> Option<T> {
        if self.forked != atfork::generation() {
            return None;
        }
        let mut label = self.label.lock();
        label.as_mut().filter(|label| label.is_ours()).map(work)
    }

    /// Does this process own what the label names?
    pub(crate) fn is_ours(&self) -> bool {
        self.with(|_| ()).is_some()
    }

    /// [`Label::remove`]; `None` when this process does not own it.
    pub(crate) fn remove(&self) -> Option<io::Result<bool>> {
        self.with(Label::remove)
    }

    /// [`Label::give_up`]; `None` when this process does not own it.
    pub(crate) fn give_up(&self) -> Option<io::Result<()>> {
        self.with(Label::give_up)
    }
}

fn absent_is_fine(error: io::Error) -> io::Result<()> {
    if file::is_absent(&error) {
        Ok(())
    } else {
        Err(error)
    }
}

/// Before this process makes something with a name: whoever settles it knows of that, and somebody survives it.
fn prepare() {
    let flagged = member::own().and_then(|own| {
        let arena = Arena::get()?;
        let slot = own.slot(arena).ok_or(ErrorKind::StaleHandle)?;
        slot.flags.fetch_or(NAMED, AcqRel);
        Ok(())
    });
    let kept = flagged.and_then(|()| KEEPER.get().map_or(Ok(()), |keeper| keeper()));
    if let Err(error) = kept {
        log::warn!("named objects of a killed process stay until the next program starts: {error}");
    }
}

/// Has the member made named things?
pub(crate) fn is_named(member: Member) -> bool {
    let slot = Arena::existing().and_then(|arena| member.slot(arena));
    slot.is_some_and(|slot| slot.flags.load(Acquire) & NAMED != 0)
}

/// Has a process labels?
pub(crate) fn has_labels(pid: i32) -> bool {
    let user = file::user();
    names().is_ok_and(|mut names| {
        names.any(|name| Owner::of_file(&name, user).is_some_and(|owner| owner.pid == pid))
    })
}

/// Who sweeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sweeper {
    Other,
    /// A process that is about to end, and leaves nothing of its own either.
    Leaving,
}

/// Removes what owners of this user have left that are proved dead; says how many objects it was. What cannot be judged or removed
/// keeps its label. Never waits.
pub(crate) fn sweep(who: Sweeper) -> io::Result<usize> {
    let (user, namespaces, this) = (file::user(), file::namespaces()?, Owner::this());
    let mut removed = 0;
    let mut living = None;
    for name in names()? {
        let Some(owner) = Owner::of_file(&name, user) else {
            continue;
        };
        if living == Some(owner) {
            continue;
        }
        let over = if owner == this {
            who == Sweeper::Leaving
        } else {
            owner.is_dead()
        };
        if over {
            removed += usize::from(take_away(&name, owner, namespaces).unwrap_or(false));
        } else {
            living = Some(owner);
        }
    }
    Ok(removed)
}

/// The same, where nobody can be told how it went.
pub(crate) fn sweep_or_say(who: Sweeper) {
    if let Err(error) = sweep(who) {
        log::warn!("what dead processes have left in {FOLDER} stays for now: {error}");
    }
}

/// A segment lies where its label does: whoever sees the one sees the other.
fn namespaces_of(kind: Kind) -> io::Result<[u64; 3]> {
    let [pids, times, paths] = file::namespaces()?;
    let paths = if kind == Kind::Segment { 0 } else { paths };
    Ok([pids, times, paths])
}

/// The names of files where labels are.
fn names() -> io::Result<impl Iterator<Item = String>> {
    let entries = match fs::read_dir(FOLDER) {
        Err(error) if file::is_absent(&error) => None,
        entries => Some(entries?),
    };
    let entries = entries.into_iter().flatten();
    Ok(entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()))
}

/// Removes what a label names whose owner is dead, and the label. One sweeper at a time does; the others leave it to him.
fn take_away(name: &str, owner: Owner, namespaces: [u64; 3]) -> io::Result<bool> {
    let path = Path::new(FOLDER).join(name);
    let file = file::open_plainly(&path, false)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() || metadata.uid() != file::user() {
        return Ok(false);
    }
    let mut bytes = Vec::new();
    (&file).take(LONGEST).read_to_end(&mut bytes)?;
    let record =
        Record::parse(&bytes).filter(|record| record.owner == owner && record.is_of(namespaces));
    let (Some(record), Some(file)) = (record, file::lock(file)) else {
        return Ok(false);
    };
    if file.metadata()?.nlink() == 0 {
        return Ok(false);
    }
    let removed = record.remove_object()?;
    fs::remove_file(&path)?;
    Ok(removed)
}
