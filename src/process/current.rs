//! Who this process is, in Python's words.

use super::logging;
use super::method::{self, StartMethod};
use crate::ipc::AuthKey;
use crate::shm::{Member, member, name};
use crate::sys::private::Private;
use serde::{Deserialize, Serialize};
use std::ffi::{CString, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

/// What a process is told of itself when it starts.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Identity {
    pub(super) name: String,
    pub(super) daemon: bool,
    /// The numbers of its forebears among their siblings, and its own: empty in the first process.
    pub(super) path: Vec<u32>,
    #[serde(with = "crate::ipc::authkey")]
    pub(super) authkey: AuthKey,
    /// The start method that its parent had chosen.
    pub(super) method: Option<StartMethod>,
    /// The level up to which its parent logs to standard error by our logger.
    pub(super) log_level: Option<u8>,
    /// Noted at the start.
    pub(super) parent: Option<Parent>,
}

/// The process that asked for this one.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Parent {
    pub(super) name: String,
    pub(super) pid: i32,
    pub(super) member: Member,
}

#[derive(Debug, Default)]
pub(super) struct Own {
    identity: Option<Arc<Identity>>,
    children: u32,
}

pub(super) static OWN: Private<Own> = Private::new(Own {
    identity: None,
    children: 0,
});

/// This process is what its parent says.
pub(super) fn become_child(identity: Identity) {
    method::force_start_method(identity.method);
    if let Some(level) = identity.log_level {
        logging::inherit(level);
    }
    name::note(&identity.name);
    OWN.lock().identity = Some(Arc::new(identity));
}

/// The name by which the system knows a process that runs this program: the last part of its first argument, as far as it has room.
pub(super) fn program_name() -> CString {
    let first = std::env::args_os().next().unwrap_or_default();
    let name = Path::new(&first).file_name();
    let bytes = name.map_or(b"multiproc".as_slice(), OsStr::as_bytes);
    CString::new(&bytes[..bytes.len().min(15)]).unwrap_or_default()
}

/// This process is a fork server: for messages of what it is asked to call.
pub(super) fn become_server() {
    OWN.lock().identity = Some(Arc::new(Identity {
        name: "ForkServer".to_owned(),
        ..nobodys_child()
    }));
}

/// Was this process started by this crate?
pub(super) fn is_child() -> bool {
    OWN.lock()
        .identity
        .as_ref()
        .is_some_and(|own| own.parent.is_some())
}

pub(super) fn identity() -> Arc<Identity> {
    if let Some(known) = &OWN.lock().identity {
        return Arc::clone(known);
    }
    let nobodys = Arc::new(nobodys_child());
    Arc::clone(OWN.lock().identity.get_or_insert(nobodys))
}

/// The first process of a family; or one that was forked behind our back, and has no name that a parent gave it.
fn nobodys_child() -> Identity {
    Identity {
        name: member::nobodys_name().to_owned(),
        daemon: false,
        path: Vec::new(),
        authkey: AuthKey::random(),
        method: None,
        log_level: None,
        parent: None,
    }
}

/// The path of the next child of this process.
pub(super) fn next_path() -> Vec<u32> {
    let mut path = identity().path.clone();
    let mut own = OWN.lock();
    own.children += 1;
    path.push(own.children);
    path
}

/// The process that runs this code; from [`current_process`].
#[derive(Clone, Debug)]
pub struct CurrentProcess {
    identity: Arc<Identity>,
}

impl CurrentProcess {
    /// The name its parent gave it; `"MainProcess"` in the first process of a family, `"ForeignProcess"` in one that something else
    /// than this crate has forked.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.identity.name
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        std::process::id()
    }

    /// The same as [`pid`](Self::pid).
    #[must_use]
    pub fn ident(&self) -> u32 {
        self.pid()
    }

    /// Is it terminated when its parent ends, and forbidden to have children?
    #[must_use]
    pub fn daemon(&self) -> bool {
        self.identity.daemon
    }

    /// The key that its children inherit.
    #[must_use]
    pub fn authkey(&self) -> AuthKey {
        self.identity.authkey.clone()
    }

    /// Gives this process another key, for itself and children that are made from now on.
    ///
    /// # Examples
    /// ```
    /// use multiproc::{AuthKey, current_process};
    ///
    /// current_process().set_authkey(b"known to both sides".as_slice());
    /// assert_eq!(current_process().authkey(), AuthKey::from(b"known to both sides".as_slice()));
    /// ```
    pub fn set_authkey(&self, key: impl Into<AuthKey>) {
        let key = key.into();
        let mut changed = Identity::clone(&identity());
        changed.authkey = key;
        OWN.lock().identity = Some(Arc::new(changed));
    }

    /// It runs this code, so it is.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        true
    }

    /// It has not ended, so there is none.
    #[must_use]
    pub fn exitcode(&self) -> Option<i32> {
        None
    }
}

/// The process that runs this code.
///
/// # Examples
/// ```
/// assert_eq!(multiproc::current_process().name(), "MainProcess");
/// ```
#[must_use]
pub fn current_process() -> CurrentProcess {
    CurrentProcess {
        identity: identity(),
    }
}
