//! Who this process is, in Python's words.

use crate::sys::atfork::generation;
use crate::sys::private::Private;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// What a process is told of itself when it starts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Identity {
    pub(super) name: String,
    pub(super) daemon: bool,
    /// The numbers of its forebears among their siblings, and its own: empty in the first process.
    pub(super) path: Vec<u32>,
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
    OWN.lock().identity = Some(Arc::new(identity));
}

pub(super) fn identity() -> Arc<Identity> {
    let mut own = OWN.lock();
    let main = || {
        // A child that was forked behind our back has no name that a parent gave it.
        let name = if generation() == 0 {
            "MainProcess"
        } else {
            "ForeignProcess"
        };
        Arc::new(Identity {
            name: name.to_owned(),
            ..Identity::default()
        })
    };
    Arc::clone(own.identity.get_or_insert_with(main))
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
    /// The name its parent gave it; `"MainProcess"` in the first process of a family.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.identity.name
    }

    /// Its process id.
    #[must_use]
    #[doc(alias = "ident")]
    pub fn pid(&self) -> u32 {
        std::process::id()
    }

    /// Is it terminated when its parent ends, and forbidden to have children?
    #[must_use]
    pub fn daemon(&self) -> bool {
        self.identity.daemon
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

/// The number of CPUs of the machine that are on line, whatever this process may use of them; at least 1.
///
/// # Examples
/// ```
/// assert!(multiproc::cpu_count() >= 1);
/// ```
#[must_use]
pub fn cpu_count() -> usize {
    crate::sys::thread::online_cpus()
}
