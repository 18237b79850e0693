//! Who holds a lock.

use crate::shm::keeper::member_and_thread;
use crate::shm::{member, name};

/// Who holds a lock, as far as the family knows: from [`Lock::holder`](super::Lock::holder) and its like. It may have let go by now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    name: String,
    pid: u32,
    tid: u32,
}

impl Holder {
    /// `None` for somebody who is not in the family any more.
    pub(super) fn across(owner: u64) -> Option<Self> {
        let (member, tid) = member_and_thread(owner);
        let (name, pid) = name::look_up(member)?;
        Some(Self { name, pid, tid })
    }

    pub(super) fn within(owner: u64) -> Self {
        let (_, tid) = member_and_thread(owner);
        let own = member::known().and_then(name::look_up);
        let nobody = || (member::nobodys_name().to_owned(), 0);
        let name = own.unwrap_or_else(nobody).0;
        let pid = std::process::id();
        Self { name, pid, tid }
    }

    /// The name of its process, as `"Process-1"`; what is longer than 64 bytes is cut off.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// The kernel's number of its thread.
    #[must_use]
    pub fn tid(&self) -> u32 {
        self.tid
    }
}
