//! The path of a Unix socket, which outlives the socket unless somebody removes it.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A path that is removed in the end, if it is still the same file, and by the process that made it.
#[derive(Debug)]
pub(crate) struct SocketFile {
    path: PathBuf,
    identity: (u64, u64),
    process: u32,
}

impl SocketFile {
    /// That of a socket which was just bound. `None` when somebody has removed it already.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        // The folder may be another one when it is removed.
        let path = std::path::absolute(path).ok()?;
        let identity = identity(&path)?;
        let process = std::process::id();
        Some(Self {
            path,
            identity,
            process,
        })
    }
}

/// Device and inode.
fn identity(path: &Path) -> Option<(u64, u64)> {
    let found = fs::symlink_metadata(path).ok()?;
    Some((found.dev(), found.ino()))
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let ours = self.process == std::process::id();
        if ours && identity(&self.path) == Some(self.identity) {
            let _removed_by_others = fs::remove_file(&self.path);
        }
    }
}
