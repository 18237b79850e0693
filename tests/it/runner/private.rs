//! A `/dev/shm` for each test alone, where that is allowed: whoever looks for what the dead have left under a name looks there, and tests
//! run side by side.

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

/// Memory that all processes of a machine share by name.
const SHARED: &str = "/dev/shm";

/// Says in the environment that this test has its own.
const MARK: &str = "MULTIPROC_TEST_PRIVATE";

/// Takes a `/dev/shm` for this process and its children; says whether that is possible. They must have been started with it.
pub(super) fn take() -> bool {
    let none: Option<&str> = None;
    let taken = unshare(CloneFlags::CLONE_NEWNS)
        .and_then(|()| mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none))
        .and_then(|()| {
            mount(
                none,
                SHARED,
                Some("tmpfs"),
                MsFlags::empty(),
                Some("mode=1777"),
            )
        });
    taken.is_ok()
}

/// The environment variable for the test's own process.
pub(super) fn mark(taken: bool) -> (&'static str, &'static str) {
    (MARK, if taken { "1" } else { "0" })
}

/// Has this test a `/dev/shm` of its own?
pub(crate) fn has_private_shm() -> bool {
    std::env::var(MARK).is_ok_and(|mark| mark == "1")
}

/// Would a file of that path be of the crate's making, or of a test's?
pub(super) fn is_ours(path: &str, private: bool) -> bool {
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
