//! The hook that turns this program into its own fork server, before `main`.
#![expect(unsafe_code, reason = "a constructor is registered with the loader")]
//!
//! The loader calls the constructors in `.init_array` of every program that links this crate. Ours looks for a marker in the
//! environment and returns at once when there is none, so that a program pays one look-up for it, and a handler for its forks. With
//! the marker it never returns: `main` does not run in the server.
//!
//! # Safety
//! A constructor runs while the process has one thread.

use super::exec::{Hello, PATIENCE};
use super::server::{self, Request};
use super::{child, client, current, start};
use crate::call::Call;
use crate::shm::arena::Arena;
use crate::shm::label;
use crate::sys::clock::Deadline;
use crate::sys::{image, process, signal, socket, spawn, thread};
use std::ffi::{c_char, c_int};
use std::fmt;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

/// The marker: what this process is to be.
pub(super) const MARKER: &str = "MULTIPROC_ERRAND";

/// What a program that was started anew is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Errand {
    /// A fork server, which first calls a function.
    Server { hello: u64, preload: Option<Call> },
    /// One child.
    Child { hello: u64 },
}

impl fmt::Display for Errand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Server { hello, preload } => {
                write!(f, "server {hello}")?;
                preload.map_or(Ok(()), |call| {
                    let [place, hash] = call.words();
                    write!(f, " {place} {hash}")
                })
            }
            Self::Child { hello } => write!(f, "child {hello}"),
        }
    }
}

impl Errand {
    fn parse(text: &str) -> Option<Self> {
        let mut words = text.split(' ');
        let kind = words.next()?;
        let numbers: Vec<u64> = words.map(|word| word.parse().ok()).collect::<Option<_>>()?;
        match (kind, numbers.as_slice()) {
            ("server", &[hello]) => Some(Self::Server {
                hello,
                preload: None,
            }),
            ("server", &[hello, place, hash]) => Some(Self::Server {
                hello,
                preload: Some(Call::from_words([place, hash])),
            }),
            ("child", &[hello]) => Some(Self::Child { hello }),
            _ => None,
        }
    }
}

/// Was this process started to be something else than what it is?
pub(super) fn was_meant() -> bool {
    std::env::var_os(MARKER).is_some()
}

/// The section holds pointers to functions of exactly this type, which the loader calls.
#[used]
#[cfg_attr(not(miri), unsafe(link_section = ".init_array"))]
static HOOK: image::Constructor = hook;

/// Named by whoever starts processes, so that the linker cannot leave this file out.
pub(super) fn keep() {
    std::hint::black_box(&HOOK);
}

extern "C" fn hook(argc: c_int, argv: *const *const c_char, envp: *const *const c_char) {
    // Before there is a second thread that could fork meanwhile.
    Arena::register();
    start::register_tables();
    crate::thread::register_locals();
    crate::thread::register_panics();
    label::set_keeper(client::keep);
    let Some(errand) = take_errand() else {
        return;
    };
    let later = image::constructors().iter().flatten();
    let ours = hook as image::Constructor as usize;
    for constructor in later
        .skip_while(|&&constructor| constructor as usize != ours)
        .skip(1)
    {
        // They would never run otherwise, and statics of other crates would be empty in every child.
        constructor(argc, argv, envp);
    }
    go(&errand)
}

/// The errand of this process, if it has one. The environment forgets it: programs that this one runs have none.
fn take_errand() -> Option<String> {
    if !was_meant() || spawn::is_privileged() {
        // Somebody would like a program with more rights to serve him: leave everything as it is, main may run.
        return None;
    }
    // SAFETY: constructors run before any thread can exist, and `init` has made sure that there is but one.
    unsafe { spawn::take_variable(MARKER) }
}

fn go(errand: &str) -> ! {
    let code = match serve(errand) {
        Ok(()) => 0,
        Err(_) => 1,
    };
    process::exit_now(code);
}

/// For hosts in which the hook does not run before `main`: call this first thing in `main`, before any thread is started.
///
/// Linked into an executable in the usual way, this crate needs no such call. A host that loads it as a plugin, or a linker that leaves
/// constructors out, does: a process that was started to be a fork server or a child becomes that here and does not return. In every other
/// process nothing happens, and in one that has more than one thread nothing either.
///
/// # Examples
/// ```
/// multiproc::init();
/// ```
pub fn init() {
    if was_meant()
        && thread::count() == 1
        && let Some(errand) = take_errand()
    {
        go(&errand);
    }
}

fn serve(errand: &str) -> io::Result<()> {
    let errand = Errand::parse(errand).ok_or(io::ErrorKind::InvalidInput)?;
    // SAFETY: this process was started with these two descriptors for this purpose, and nothing has run before.
    let control = unsafe { spawn::inherited(spawn::CONTROL_FD)? };
    if socket::peer_pid(control.as_fd())? != nix::unistd::getppid().as_raw() {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    // SAFETY: as above.
    let arena = unsafe { spawn::inherited(spawn::ARENA_FD)? };
    // SAFETY: no other descriptor has an owner yet.
    unsafe { spawn::close_all_but(&mut [3, 4]) };
    spawn::standard_streams()?;
    signal::ignore_as_runtime()?;
    let adopted = Arena::adopt(arena);
    adopted.map_err(|error| io::Error::other(error.to_string()))?;
    match errand {
        Errand::Server { hello, preload } => server::run(control, hello, preload),
        Errand::Child { hello } => be_child(control, hello),
    }
}

/// Says hello, is told who it is to be, and is that.
fn be_child(control: OwnedFd, number: u64) -> io::Result<()> {
    let hello = Hello {
        number,
        trouble: "",
    };
    hello.send(&control)?;
    let mut bytes = [0; Request::SIZE];
    let patience = Deadline::after(PATIENCE);
    let packet = socket::recv_until(control.as_fd(), &mut bytes, patience)?;
    let mut fds = packet.came.fds.into_iter();
    match fds.next() {
        Some(lifeline) if packet.length == Request::SIZE => {
            drop(control);
            // It is called "exe" so far, after the link that was started.
            let _no_harm = nix::sys::prctl::set_name(&current::program_name());
            child::live_spawned(&lifeline, fds.next(), Request::from_bytes(bytes))
        }
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errands_come_back() {
        let preload = Some(Call::from_words([u64::MAX, 7]));
        for errand in [
            Errand::Server {
                hello: 5,
                preload: None,
            },
            Errand::Server {
                hello: u64::MAX,
                preload,
            },
            Errand::Child { hello: 1 },
        ] {
            assert_eq!(Errand::parse(&errand.to_string()), Some(errand));
        }
        for wrong in [
            "",
            "server",
            "server x",
            "child 1 2",
            "server 1 2",
            "mother 1",
        ] {
            assert_eq!(Errand::parse(wrong), None, "{wrong:?}");
        }
    }
}
