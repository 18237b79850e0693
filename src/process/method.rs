//! How children come to be: the start methods, and which one is the default.

use crate::error::{Error, ErrorKind, Result};
use crate::sys::atomic::{Acquire, AtomicU32, SeqCst};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// How a child comes to be.
///
/// | | the child is | it costs | it has |
/// |---|---|---|---|
/// | `ForkServer` | forked from a server with one thread and none of this process's state | the same however large this process is | nothing but its arguments, and what a [preload](crate::set_forkserver_preload) built |
/// | `Fork` | forked from this very process | more with each touched page of this process | a copy of all memory, and of one thread; locks that other threads hold stay locked in it |
/// | `Spawn` | this program, started anew | the start of a program | nothing but its arguments |
///
/// Under all three a function that is sent ([`Process::new`](crate::Process::new)) has its arguments serialised, and handles of queues
/// and locks work alike.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum StartMethod {
    /// By the family's fork server: the default.
    #[default]
    ForkServer,
    /// By `fork(2)` of this process.
    Fork,
    /// By starting this program anew.
    Spawn,
}

impl StartMethod {
    const ALL: [Self; 3] = [Self::ForkServer, Self::Fork, Self::Spawn];

    /// Python's name: `"forkserver"`, `"fork"`, `"spawn"`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ForkServer => "forkserver",
            Self::Fork => "fork",
            Self::Spawn => "spawn",
        }
    }
}

impl fmt::Display for StartMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for StartMethod {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        let named = Self::ALL.into_iter().find(|method| method.as_str() == name);
        named.ok_or_else(|| {
            let text = format!("no start method has the name {name:?}");
            Error::new(ErrorKind::InvalidInput, text)
        })
    }
}

/// The default that was chosen: the place in [`StartMethod::ALL`] + 1; 0 for none.
static CHOSEN: AtomicU32 = AtomicU32::new(0);

fn number(method: StartMethod) -> u32 {
    method as u32 + 1
}

/// What was chosen, if anything was.
pub(crate) fn chosen() -> Option<StartMethod> {
    let place = (CHOSEN.load(Acquire) as usize).checked_sub(1)?;
    StartMethod::ALL.get(place).copied()
}

/// Chooses the start method of this process, once.
///
/// It holds for processes and pools that do not name one; children see the same one. Libraries leave the choice to the program
/// and use a [`Context`](crate::Context).
///
/// # Errors
/// [`ErrorKind::Misuse`] when it was chosen before, or was asked for.
///
/// # Examples
/// ```
/// use multiproc::{StartMethod, set_start_method, start_method};
///
/// set_start_method(StartMethod::Spawn)?;
/// assert_eq!(start_method(), StartMethod::Spawn);
/// assert!(set_start_method(StartMethod::Fork).is_err());
/// # Ok::<(), multiproc::Error>(())
/// ```
pub fn set_start_method(method: StartMethod) -> Result<()> {
    let first = CHOSEN.compare_exchange(0, number(method), SeqCst, SeqCst);
    first.map(drop).map_err(|_| {
        let text = "the start method has been chosen already";
        Error::new(ErrorKind::Misuse, text)
    })
}

/// Chooses the start method whatever was chosen before; `None` leaves it open again. Python's `force=True`.
///
/// # Examples
/// ```
/// multiproc::force_start_method(Some(multiproc::StartMethod::Fork));
/// multiproc::force_start_method(None);
/// assert!(multiproc::set_start_method(multiproc::StartMethod::Spawn).is_ok());
/// ```
pub fn force_start_method(method: Option<StartMethod>) {
    CHOSEN.store(method.map_or(0, number), SeqCst);
}

/// The start method of this process. Asking fixes it, as in Python: an answer must not become false.
///
/// # Examples
/// ```
/// assert_eq!(multiproc::start_method().as_str(), "forkserver");
/// assert!(multiproc::set_start_method(multiproc::StartMethod::Fork).is_err());
/// ```
#[must_use]
pub fn start_method() -> StartMethod {
    let default = StartMethod::default();
    let _chosen_before = CHOSEN.compare_exchange(0, number(default), SeqCst, SeqCst);
    chosen().unwrap_or(default)
}

/// All start methods of this platform, the default first.
///
/// # Examples
/// ```
/// let names = multiproc::all_start_methods().map(|method| method.to_string());
/// assert_eq!(names, ["forkserver", "fork", "spawn"]);
/// ```
#[must_use]
pub fn all_start_methods() -> [StartMethod; 3] {
    StartMethod::ALL
}
