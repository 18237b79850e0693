//! What a program chooses for the processes that are this program started anew: the executable, and what a fork server does first.

use super::{client, start};
use crate::call::{self, Call, Callable};
use crate::error::{Error, ErrorKind, Result};
use crate::sys::atfork::Kept;
use std::path::{Path, PathBuf};

/// The choices of this process.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    executable: Option<PathBuf>,
    /// What the fork server calls before it serves.
    pub(super) preload: Option<Call>,
    /// How many idle children are kept ready.
    pub(super) spares: usize,
}

impl Settings {
    pub(super) fn executable(&self) -> &Path {
        let own = Path::new("/proc/self/exe");
        self.executable.as_deref().unwrap_or(own)
    }
}

/// A forked child has the same.
pub(super) static SETTINGS: Kept<Settings> = Kept::new(Settings {
    executable: None,
    preload: None,
    spares: 0,
});

/// Chooses the file that is run as fork server and for children of [`StartMethod::Spawn`](crate::StartMethod::Spawn): this program, at
/// another place.
///
/// The default is `/proc/self/exe`, which is this program even when its file was deleted or replaced. The file is looked at when a process is
/// started, and must hold this very program: another one is refused then
/// ([`ErrorKind::StartMethodUnavailable`]). A fork server that runs already goes on.
///
/// # Errors
/// [`ErrorKind::InvalidInput`] for an empty path.
///
/// # Examples
/// ```
/// multiproc::set_executable(std::env::current_exe().expect("this program has a file"))?;
/// let child = multiproc::spawn(|n: u32| n + 1, (1,))?;
/// assert_eq!(child.join()?, 2);
/// # Ok::<(), multiproc::Error>(())
/// ```
pub fn set_executable(path: impl AsRef<Path>) -> Result<()> {
    let path = path.as_ref();
    if path.as_os_str().is_empty() {
        let text = "an executable has a path";
        return Err(Error::new(ErrorKind::InvalidInput, text));
    }
    start::register_tables();
    SETTINGS.lock().executable = Some(path.to_owned());
    Ok(())
}

/// Lets the fork server call `function`, once, before it serves: what that builds in memory, all children have, copy-on-write.
///
/// It is Python's `set_forkserver_preload`, for tables that are expensive to build: fill a `static` with it. The function may make queues and
/// locks, which are freed with the last of the family that holds them, and leave files open, which are open in all children. It runs
/// before `main`, on the one thread of the server, and leaves no other behind.
///
/// # Errors
/// [`ErrorKind::Misuse`] when the fork server runs already. When the function panics, or leaves threads running, every start fails with
/// [`ErrorKind::StartMethodUnavailable`] and says so.
///
/// # Examples
/// ```
/// use std::sync::OnceLock;
///
/// static TABLE: OnceLock<Vec<u64>> = OnceLock::new();
///
/// multiproc::set_forkserver_preload(|| TABLE.set((0..1000).collect()).expect("called once"))?;
/// let child = multiproc::spawn(|| TABLE.get().map(|table| table.iter().sum::<u64>()), ())?;
/// assert_eq!(child.join()?, Some(499_500));
/// assert!(TABLE.get().is_none(), "it was built in the fork server, not here");
/// # Ok::<(), multiproc::Error>(())
/// ```
pub fn set_forkserver_preload<F: Callable<()>>(function: F) -> Result<()> {
    if client::is_connected() {
        let text = "the fork server runs already";
        return Err(Error::new(ErrorKind::Misuse, text));
    }
    start::register_tables();
    SETTINGS.lock().preload = Some(call::target::<F, ()>(function));
    Ok(())
}
