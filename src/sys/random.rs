//! `getrandom(2)`: numbers that nobody can guess.
#![expect(unsafe_code, reason = "getrandom has no wrapper in nix")]
//!
//! # Safety
//! The kernel writes to a borrowed buffer, at most as much as fits.

use nix::errno::Errno;
use nix::libc;

/// Fills `bytes`. The kernel's pool is ready long before any program of a user runs.
pub(crate) fn fill(mut bytes: &mut [u8]) -> nix::Result<()> {
    while !bytes.is_empty() {
        // SAFETY: the buffer is borrowed for the call, and its length goes along.
        let filled = unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), 0) };
        match Errno::result(filled) {
            Err(Errno::EINTR) => {}
            other => {
                let filled = usize::try_from(other?).unwrap_or(0);
                bytes = &mut bytes[filled..];
            }
        }
    }
    Ok(())
}
