//! The environment of this process: its variables and its working directory.
#![expect(unsafe_code, reason = "the environment is the process's")]
//!
//! # Safety
//! The environment is changed only where one thread is, or where the others are a fork's memory of them.

use nix::errno::Errno;
use nix::libc;
use std::ffi::{CString, OsString};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// The variables as `NAME=value`, each ended by a zero byte.
pub(crate) fn variables() -> Vec<u8> {
    pack(std::env::vars_os())
}

/// The same of these variables.
pub(crate) fn pack(variables: impl Iterator<Item = (OsString, OsString)>) -> Vec<u8> {
    let mut packed = Vec::with_capacity(4096);
    for (name, value) in variables {
        packed.extend(name.as_bytes());
        packed.push(b'=');
        packed.extend(value.as_bytes());
        packed.push(0);
    }
    packed
}

/// A number that changes with the variables.
pub(crate) fn fingerprint(variables: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    variables.hash(&mut hasher);
    hasher.finish()
}

/// Sets these variables, packed, and no others. Refused in a process with several threads: one of them might be reading.
pub(crate) fn replace_variables(packed: &[u8]) -> io::Result<()> {
    if super::thread::count() != 1 {
        return Err(io::Error::other("this process has more than one thread"));
    }
    // Not std's: its lock may have been held when this process was forked.
    // SAFETY: this is the only thread, so nobody reads the environment meanwhile.
    unsafe { libc::clearenv() };
    for variable in packed.split(|&byte| byte == 0) {
        let Some(end) = variable.iter().skip(1).position(|&byte| byte == b'=') else {
            continue;
        };
        let name = CString::new(&variable[..=end])?;
        let value = CString::new(&variable[end + 2..])?;
        // SAFETY: as above; both texts live for the call and are copied.
        Errno::result(unsafe { libc::setenv(name.as_ptr(), value.as_ptr(), 1) })?;
    }
    Ok(())
}

/// The working directory, as a path that is good while this process lives: one that was removed has no name of its own.
pub(crate) fn directory() -> Vec<u8> {
    let path = nix::unistd::getcwd();
    let path = path.unwrap_or_else(|_| format!("/proc/{}/cwd", std::process::id()).into());
    path.into_os_string().into_vec()
}

/// A directory whatever its name: device and inode.
pub(crate) type Place = (u64, u64);

/// Which directory the working directory is.
pub(crate) fn place() -> Option<Place> {
    let stat = nix::sys::stat::stat(".").ok()?;
    Some((stat.st_dev, stat.st_ino))
}

/// Which directory the root directory is.
pub(crate) fn root() -> Option<Place> {
    let stat = nix::sys::stat::stat("/").ok()?;
    Some((stat.st_dev, stat.st_ino))
}

/// Goes to a directory.
pub(crate) fn change_directory(path: &[u8]) -> io::Result<()> {
    Ok(nix::unistd::chdir(std::ffi::OsStr::from_bytes(path))?)
}

/// Sets the file mode creation mask.
pub(crate) fn set_umask(mask: u32) {
    let _before = nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(mask));
}
