//! Files: made whole before they have a name, moved only to names that are free, told apart for good.

use super::spawn::above_streams;
use nix::errno::Errno;
use nix::fcntl::{
    AT_FDCWD, AtFlags, FallocateFlags, Flock, FlockArg, OFlag, RenameFlags, fallocate, open,
    renameat2,
};
use nix::sys::resource::{Resource, getrlimit};
use nix::sys::stat::Mode;
use nix::sys::statvfs::fstatvfs;
use nix::unistd::linkat;
use std::fs::{self, File, Metadata, Permissions};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::time::UNIX_EPOCH;

/// Which file it is, whatever it is called. Numbers of inodes are used again; together with the time of birth they are not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) device: u64,
    pub(crate) inode: u64,
    /// Nanoseconds since 1970; 0 where the file system does not know.
    pub(crate) birth: u64,
}

impl Identity {
    pub(crate) fn of(metadata: &Metadata) -> Self {
        let birth = metadata.created().ok();
        let birth = birth.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        let birth = birth.and_then(|since| u64::try_from(since.as_nanos()).ok());
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            birth: birth.unwrap_or(0),
        }
    }

    /// That of the file which has this name, not of what a link points to; `None` when there is none.
    pub(crate) fn at(path: &Path) -> io::Result<Option<Self>> {
        match fs::symlink_metadata(path) {
            Ok(metadata) => Ok(Some(Self::of(&metadata))),
            Err(error) if is_absent(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Does the error say that there is nothing of that name?
pub(crate) fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

/// A file of this user's alone, in that folder's file system, which has no name: it is gone with its last descriptor.
pub(crate) fn create_unnamed(folder: &Path) -> io::Result<File> {
    let flags = OFlag::O_TMPFILE | OFlag::O_RDWR | OFlag::O_CLOEXEC;
    let file = File::from(above_streams(retried(|| {
        open(folder, flags, Mode::S_IRUSR | Mode::S_IWUSR)
    })?)?);
    // Whatever the mask has taken.
    file.set_permissions(Permissions::from_mode(0o600))?;
    Ok(file)
}

/// Opens a file without following a link, and without waiting, whatever it is.
pub(crate) fn open_plainly(path: &Path, writable: bool) -> io::Result<File> {
    let access = if writable {
        OFlag::O_RDWR
    } else {
        OFlag::O_RDONLY
    };
    let flags = access | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    let opened: OwnedFd = retried(|| open(path, flags, Mode::empty()))?;
    Ok(File::from(above_streams(opened)?))
}

/// Gives a file without a name one that nobody has.
pub(crate) fn name(file: &File, path: &Path) -> io::Result<()> {
    let own = format!("/proc/self/fd/{}", file.as_raw_fd());
    let follow = AtFlags::AT_SYMLINK_FOLLOW;
    Ok(linkat(AT_FDCWD, own.as_str(), AT_FDCWD, path, follow)?)
}

/// Gives a file another name that nobody has.
pub(crate) fn rename(from: &Path, to: &Path) -> io::Result<()> {
    let moved = renameat2(AT_FDCWD, from, AT_FDCWD, to, RenameFlags::RENAME_NOREPLACE);
    match moved {
        // A file system that cannot.
        Err(Errno::EINVAL | Errno::ENOSYS) => {
            linkat(AT_FDCWD, from, AT_FDCWD, to, AtFlags::empty())?;
            fs::remove_file(from)
        }
        other => Ok(other?),
    }
}

/// Takes room for so many bytes now, so that a full file system is an error here and not a signal later.
pub(crate) fn reserve(file: &File, size: u64) -> io::Result<()> {
    /// A signal undoes what a call has done: each makes some progress.
    const STEP: u64 = 64 << 20;
    let number = |bytes: u64| i64::try_from(bytes).map_err(|_| Errno::EFBIG);
    let mut done = 0;
    number(size)?;
    // The kernel would send a signal.
    if size > getrlimit(Resource::RLIMIT_FSIZE)?.0 {
        return Err(Errno::EFBIG.into());
    }
    // Else the machine would be filled first.
    let system = fstatvfs(file)?;
    let free = system
        .blocks_available()
        .saturating_mul(system.fragment_size());
    if system.blocks() > 0 && size > free {
        return Err(Errno::ENOSPC.into());
    }
    while done < size {
        let step = STEP.min(size - done);
        let (from, length) = (number(done)?, number(step)?);
        retried(|| fallocate(file, FallocateFlags::empty(), from, length))?;
        done += step;
    }
    Ok(())
}

/// Locks a file, if nobody has locked it. The lock ends with what is returned.
pub(crate) fn lock(file: File) -> Option<Flock<File>> {
    Flock::lock(file, FlockArg::LockExclusiveNonblock).ok()
}

/// A named pipe of this user's alone, under a name that nobody has.
pub(crate) fn make_fifo(path: &Path) -> io::Result<()> {
    nix::unistd::mkfifo(path, Mode::S_IRUSR | Mode::S_IWUSR)?;
    // Whatever the mask has taken.
    fs::set_permissions(path, Permissions::from_mode(0o600))
}

/// The user as whom this process makes files.
pub(crate) fn user() -> u32 {
    nix::unistd::geteuid().as_raw()
}

/// As whose process this one sees numbers of processes, the times of their starts, and paths. What the kernel has no namespaces of is 0.
pub(crate) fn namespaces() -> io::Result<[u64; 3]> {
    let number = |kind: &str| match fs::metadata(Path::new("/proc/self/ns").join(kind)) {
        Err(error) if is_absent(&error) => Ok(0),
        namespace => Ok::<u64, io::Error>(namespace?.ino()),
    };
    Ok([number("pid")?, number("time")?, number("mnt")?])
}

/// Is nobody behind a Unix socket of that name? To ask so disturbs nobody: a socket of another kind refuses with another word.
pub(crate) fn is_deserted(socket: &Path) -> bool {
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect};
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let ours = nix::sys::socket::socket(AddressFamily::Unix, SockType::Datagram, flags, None);
    let (Ok(ours), Ok(address)) = (ours, UnixAddr::new(socket)) else {
        return false;
    };
    connect(ours.as_raw_fd(), &address) == Err(Errno::ECONNREFUSED)
}

/// What a signal has interrupted is done again.
fn retried<T>(mut call: impl FnMut() -> nix::Result<T>) -> nix::Result<T> {
    loop {
        match call() {
            Err(Errno::EINTR) => {}
            other => return other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_told_apart() {
        let folder = std::env::temp_dir();
        let (one, other) = (create_unnamed(&folder), create_unnamed(&folder));
        let (one, other) = (one.expect("a file"), other.expect("a file"));
        let of = |file: &File| Identity::of(&file.metadata().expect("its metadata"));
        assert_eq!(of(&one), of(&one));
        assert_ne!(of(&one), of(&other));
    }
}
