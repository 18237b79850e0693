//! The environment of this process: its variables and its working directory.
#![expect(unsafe_code, reason = "the environment is the process's")]
//!
//! # Safety
//! The environment is changed only where one thread is, or where the others are a fork's memory of them.

use nix::libc;
use std::ffi::OsString;
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

unsafe extern "C" {
    /// What C's functions read, and `std`'s by them.
    static mut environ: *mut *mut libc::c_char;
}

/// Sets these variables, packed, and no others. Refused in a process with several threads: one of them might be reading.
///
/// Neither std's functions do it nor C's: each has a lock, which another thread may have held when this process was forked.
pub(crate) fn replace_variables(packed: &[u8]) -> io::Result<()> {
    if super::thread::count() != 1 {
        return Err(io::Error::other("this process has more than one thread"));
    }
    // They stay for ever, as those do that a program is started with.
    let texts = packed.to_vec().leak();
    let mut pointers: Vec<*mut libc::c_char> = texts
        .split_inclusive_mut(|&byte| byte == 0)
        .filter(|text| text.ends_with(&[0]) && text.iter().skip(1).any(|&byte| byte == b'='))
        .map(|text| text.as_mut_ptr().cast())
        .collect();
    pointers.push(std::ptr::null_mut());
    // SAFETY: this is the only thread, so nobody reads the environment meanwhile; it points to texts that end with zero.
    unsafe { environ = pointers.leak().as_mut_ptr() };
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
