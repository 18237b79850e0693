//! `futex(2)`: sleep on a 32-bit word, wake who sleeps there.
#![expect(unsafe_code, reason = "the futex call has no safe wrapper in nix")]
//!
//! # Safety
//! The kernel reads and compares four bytes at an address that a live `&AtomicU32` guarantees.

use super::atomic::AtomicU32;
use nix::libc;
use std::time::Duration;

/// Who may share the word: the private form is faster and reaches only threads of this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Words in memory shared with other processes.
    Shared,
    /// Words of this process alone.
    Private,
}

impl Scope {
    const fn flag(self) -> libc::c_int {
        match self {
            Self::Shared => 0,
            Self::Private => libc::FUTEX_PRIVATE_FLAG,
        }
    }
}

/// Sleeps while `word` holds `expected`, at most `timeout`. Returns for any reason: the caller looks again.
pub(crate) fn wait(word: &AtomicU32, expected: u32, timeout: Duration, scope: Scope) {
    let time = libc::timespec {
        tv_sec: libc::time_t::try_from(timeout.as_secs()).unwrap_or(libc::time_t::MAX),
        tv_nsec: timeout.subsec_nanos().into(),
    };
    // SAFETY: `word` and `time` outlive the call because they are borrowed for it, and the kernel only reads both.
    unsafe {
        libc::syscall(
            libc::SYS_futex,
            word.as_ptr(),
            libc::FUTEX_WAIT | scope.flag(),
            expected,
            &raw const time,
        );
    }
}

/// Wakes at most `count` sleepers of `word`; says how many.
pub(crate) fn wake(word: &AtomicU32, count: u32, scope: Scope) -> u32 {
    // SAFETY: waking reads nothing through the address, it only names the queue of sleepers.
    let woken = unsafe {
        libc::syscall(
            libc::SYS_futex,
            word.as_ptr(),
            libc::FUTEX_WAKE | scope.flag(),
            i32::try_from(count).unwrap_or(i32::MAX),
        )
    };
    u32::try_from(woken).unwrap_or(0)
}
