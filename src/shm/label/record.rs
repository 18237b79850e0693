//! What a label says, and how what it names is removed.

use crate::sys::file::{self, Identity};
use crate::sys::process;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

/// How names of labels begin.
pub(super) const PREFIX: &str = "multiproc";

/// The first line of a label.
const FIRST: &str = "multiproc label 1";

/// What kind of object has the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Segment,
    Fifo,
    Socket,
}

const KINDS: [(Kind, &str); 3] = [
    (Kind::Segment, "segment"),
    (Kind::Fifo, "fifo"),
    (Kind::Socket, "socket"),
];

/// A process, told from all others that have had its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Owner {
    pub(super) pid: i32,
    start_time: u64,
}

impl Owner {
    pub(super) fn this() -> Self {
        let pid = process::getpid();
        // Unknown where /proc is another namespace's.
        let start_time = process::stat(pid).map_or(0, |stat| stat.start_time);
        Self { pid, start_time }
    }

    pub(super) fn is_dead(self) -> bool {
        process::proved_dead(self.pid, self.start_time)
    }

    /// The name of a label of this owner, who is that user.
    pub(super) fn file_name(self, user: u32, number: u64) -> String {
        let Self { pid, start_time } = self;
        format!("{PREFIX}-{user}-{pid}-{start_time}-{number:016x}")
    }

    /// The owner whose label has that name; `None` for every other file.
    pub(super) fn of_file(name: &str, user: u32) -> Option<Self> {
        let mut words = name.strip_prefix(PREFIX)?.strip_prefix('-')?.split('-');
        let mut word = || words.next();
        let (named, pid, start_time, number) = (word()?, word()?, word()?, word()?);
        let owner = Self {
            pid: pid.parse().ok()?,
            start_time: start_time.parse().ok()?,
        };
        let number = u64::from_str_radix(number, 16).ok()?;
        // Written in one way only.
        let whole = named.parse() == Ok(user) && owner.file_name(user, number) == name;
        (whole && owner.pid > 0).then_some(owner)
    }
}

/// What a label says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) kind: Kind,
    pub(super) owner: Owner,
    /// Where the owner's number and time mean it, and the paths the object.
    pub(super) namespaces: [u64; 3],
    /// Which file it is; not known before there is one.
    pub(super) object: Option<Identity>,
    /// Absolute.
    pub(super) path: PathBuf,
    /// A name in the same folder that nobody else would take: the object's before it has its own, and again before it is removed.
    pub(super) aside: PathBuf,
}

impl Record {
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let kind = KINDS.iter().find(|(kind, _)| *kind == self.kind);
        let kind = kind.map_or("", |(_, word)| word);
        let Owner { pid, start_time } = self.owner;
        let object = self.object.map_or("-".to_owned(), |object| {
            format!("{} {} {}", object.device, object.inode, object.birth)
        });
        let [pids, times, paths] = self.namespaces;
        let text = format!(
            "{FIRST}\n{kind}\nowner {pid} {start_time}\nnamespaces {pids} {times} {paths}\nobject {object}\n"
        );
        let mut bytes = text.into_bytes();
        for path in [&self.path, &self.aside] {
            bytes.extend(path.as_os_str().as_bytes());
            bytes.push(0);
        }
        bytes
    }

    /// `None` for everything that [`to_bytes`](Self::to_bytes) would not have written.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let mut lines = bytes.splitn(6, |&byte| byte == b'\n');
        let mut line = || std::str::from_utf8(lines.next()?).ok();
        let (first, kind, owner) = (line()?, line()?, line()?);
        let (namespaces, object) = (line()?, line()?);
        let mut namespaces = namespaces.strip_prefix("namespaces ")?.split(' ');
        let mut namespace = || namespaces.next()?.parse().ok();
        let mut owner = owner.strip_prefix("owner ")?.split(' ');
        let mut paths = lines.next()?.split(|&byte| byte == 0);
        let mut path = || Some(PathBuf::from(OsString::from_vec(paths.next()?.to_vec())));
        let record = Self {
            kind: KINDS.iter().find(|(_, word)| *word == kind)?.0,
            owner: Owner {
                pid: owner.next()?.parse().ok()?,
                start_time: owner.next()?.parse().ok()?,
            },
            namespaces: [namespace()?, namespace()?, namespace()?],
            object: parse_object(object.strip_prefix("object ")?)?,
            path: path()?,
            aside: path()?,
        };
        let paths_fit = record.path.is_absolute() && record.path.parent() == record.aside.parent();
        (first == FIRST && paths_fit && record.to_bytes() == bytes).then_some(record)
    }

    /// Can one who lives in those namespaces judge the owner, and see the object?
    pub(super) fn is_of(&self, [pids, times, paths]: [u64; 3]) -> bool {
        let seen = [0, paths].contains(&self.namespaces[2]);
        seen && self.namespaces[..2] == [pids, times]
    }

    /// Removes what the label names, if it is still there and still that.
    pub(super) fn remove_object(&self) -> io::Result<bool> {
        let Some(object) = self.object else {
            return self.remove_unknown();
        };
        // Somebody was killed who was at this.
        let is_it = |there: &fs::Metadata| Identity::of(there) == object;
        let before = remove_if(&self.aside, is_it)?;
        let found = self.set_aside(object)? && remove_if(&self.aside, is_it)?;
        Ok(before || found)
    }

    /// Moves the object aside: between a look and a removal by name somebody could have put another file there.
    fn set_aside(&self, object: Identity) -> io::Result<bool> {
        if !is_there(&self.path, object)? {
            return Ok(false);
        }
        match file::rename(&self.path, &self.aside) {
            Err(error) if file::is_absent(&error) => return Ok(false),
            moved => moved?,
        }
        if is_there(&self.aside, object)? {
            return Ok(true);
        }
        file::rename(&self.aside, &self.path)?;
        Ok(false)
    }

    /// The owner was killed before it had noted which file it is.
    fn remove_unknown(&self) -> io::Result<bool> {
        let ours = |there: &fs::Metadata| there.uid() == file::user();
        match self.kind {
            Kind::Segment => Ok(false),
            Kind::Fifo => remove_if(&self.aside, |there| {
                there.file_type().is_fifo() && ours(there)
            }),
            Kind::Socket => remove_if(&self.path, |there| {
                there.file_type().is_socket() && ours(there) && file::is_deserted(&self.path)
            }),
        }
    }
}

fn parse_object(text: &str) -> Option<Option<Identity>> {
    if text == "-" {
        return Some(None);
    }
    let mut numbers = text.split(' ').map(|number| number.parse().ok());
    let mut number = || numbers.next()?;
    Some(Some(Identity {
        device: number()?,
        inode: number()?,
        birth: number()?,
    }))
}

/// Has that object this name?
fn is_there(path: &Path, object: Identity) -> io::Result<bool> {
    let there = fs::symlink_metadata(path).map(|there| Identity::of(&there) == object);
    there.or_else(nothing_is)
}

/// Removes a file if it is the right one; `false` when it is not, or there is none.
fn remove_if(path: &Path, right: impl FnOnce(&fs::Metadata) -> bool) -> io::Result<bool> {
    let removed = fs::symlink_metadata(path).and_then(|there| {
        let right = right(&there);
        if right {
            fs::remove_file(path)?;
        }
        Ok(right)
    });
    removed.or_else(nothing_is)
}

/// There is nothing of that name, or nothing can have it.
fn nothing_is(error: io::Error) -> io::Result<bool> {
    let none = file::is_absent(&error) || error.kind() == io::ErrorKind::InvalidFilename;
    if none { Ok(false) } else { Err(error) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(object: Option<Identity>, path: &[u8]) -> Record {
        let path = PathBuf::from(OsString::from_vec(path.to_vec()));
        Record {
            kind: Kind::Fifo,
            owner: Owner {
                pid: 7,
                start_time: 9,
            },
            namespaces: [11, 12, 13],
            object,
            aside: path.with_file_name(".aside"),
            path,
        }
    }

    #[test]
    fn records_come_back() {
        let object = Identity {
            device: 1,
            inode: u64::MAX,
            birth: 3,
        };
        for object in [None, Some(object)] {
            for path in [b"/a/b".as_slice(), b"/a\nb/\xff \n"] {
                let record = record(object, path);
                let bytes = record.to_bytes();
                assert_eq!(Record::parse(&bytes), Some(record));
                // Neither less nor more.
                assert!((0..bytes.len()).all(|end| Record::parse(&bytes[..end]).is_none()));
                assert_eq!(Record::parse(&[&bytes[..], b"x"].concat()), None);
            }
        }
    }

    #[test]
    fn names_of_labels_come_back() {
        let owner = Owner {
            pid: 7,
            start_time: 9,
        };
        let name = owner.file_name(5, 0xabc);
        assert_eq!(Owner::of_file(&name, 5), Some(owner));
        assert_eq!(Owner::of_file(&name, 6), None);
        for wrong in [
            "",
            "multiproc",
            "multiproc-5-7-9",
            "multiproc-5-7-9-abc",
            "multiproc-5-7-9-0000000000000abc-1",
            "multiproc-5-07-9-0000000000000abc",
            "multiproc-5-+7-9-0000000000000abc",
            "multiproc-5--7-9-0000000000000abc",
            "multiproc-5-0-9-0000000000000abc",
        ] {
            assert_eq!(Owner::of_file(wrong, 5), None, "{wrong}");
        }
    }
}
