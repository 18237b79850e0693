//! What each test has for itself alone, because tests run side by side: a folder for temporary files, and, where that is allowed, a
//! `/dev/shm`. Whoever looks for what the dead have left under a name looks there.

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{getegid, geteuid};
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;

/// Memory that all processes of a machine share by name.
const SHARED: &str = "/dev/shm";

/// Says in the environment that this test has its own.
const MARK: &str = "MULTIPROC_TEST_PRIVATE";

/// Where a test may leave files, but should not.
pub(super) struct Places {
    /// It has a `/dev/shm` of its own.
    private: bool,
    /// For its temporary files.
    folder: PathBuf,
    /// What was where others write too.
    before: BTreeSet<String>,
}

impl Places {
    /// # Panics
    /// Panics when no folder can be made.
    pub(super) fn take() -> Self {
        let folder = std::env::temp_dir().join(format!("it-{}", std::process::id()));
        fs::create_dir(&folder).expect("a folder for temporary files");
        let private = take_shm();
        Self {
            private,
            folder,
            before: shared_files(private),
        }
    }

    /// For the environment of the test's own process.
    pub(super) fn variables(&self) -> [(&'static str, OsString); 2] {
        let private = if self.private { "1" } else { "0" };
        let folder = self.folder.clone().into_os_string();
        [(MARK, private.into()), ("TMPDIR", folder)]
    }

    /// Every file that there is now and was not before. What is in its folder goes.
    pub(super) fn left(&self) -> Vec<String> {
        let now = shared_files(self.private);
        let mut left: Vec<String> = now.difference(&self.before).cloned().collect();
        left.extend(files_in(&self.folder.display().to_string()));
        fs::remove_dir_all(&self.folder).ok();
        left
    }
}

/// Takes a `/dev/shm` for this process and its children; says whether that is possible.
fn take_shm() -> bool {
    let none: Option<&str> = None;
    let taken = take_mounts()
        .and_then(|()| mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none))
        .and_then(|()| {
            let flags = MsFlags::empty();
            mount(none, SHARED, Some("tmpfs"), flags, Some("mode=1777"))
        });
    taken.is_ok()
}

/// Mounts of its own: as root, or as one who is the same user in a namespace of users.
fn take_mounts() -> nix::Result<()> {
    if unshare(CloneFlags::CLONE_NEWNS).is_ok() {
        return Ok(());
    }
    let (user, group) = (geteuid(), getegid());
    unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNS)?;
    let write = |file: &str, text: &str| {
        let written = fs::write(format!("/proc/self/{file}"), text);
        written.map_err(|_| nix::errno::Errno::EPERM)
    };
    write("setgroups", "deny")?;
    write("uid_map", &format!("{user} {user} 1"))?;
    write("gid_map", &format!("{group} {group} 1"))
}

/// Has this test a `/dev/shm` of its own?
pub(crate) fn has_private_shm() -> bool {
    std::env::var(MARK).is_ok_and(|mark| mark == "1")
}

/// Where a crate like ours could leave something behind.
const FOLDERS: &str = "/dev/shm:/tmp";

/// Files that the crate or a test has made where all programs may write. What a test makes there under a name of its own must not have
/// the crate's in it.
fn shared_files(private: bool) -> BTreeSet<String> {
    let folders = std::env::var("MULTIPROC_TEST_FOLDERS");
    let folders = folders.as_deref().unwrap_or(FOLDERS);
    let files = folders.split(':').flat_map(files_in);
    files.filter(|path| is_ours(path, private)).collect()
}

fn files_in(folder: &str) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    let path = |entry: std::io::Result<fs::DirEntry>| Some(entry.ok()?.path());
    let paths = entries.filter_map(path);
    paths.map(|path| path.display().to_string()).collect()
}

/// Would a file of that path be of the crate's making, or of a test's?
fn is_ours(path: &str, private: bool) -> bool {
    let (folder, name) = path.rsplit_once('/').unwrap_or_default();
    let label = name
        .strip_prefix("multiproc-")
        .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    match folder {
        SHARED if private => true,
        // Of other tests, which have not been swept yet.
        SHARED if label || name.starts_with(".multiproc-") => false,
        _ => name.contains("multiproc"),
    }
}
