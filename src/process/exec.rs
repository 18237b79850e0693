//! This program started anew: as a fork server, or for one child (the start method `Spawn`).
//!
//! The new process is told by its environment what it is to be ([`super::hook`]), has a socket to us and the arena, and says hello
//! before anything is asked of it: a program without our hook, or another program, does not.

use super::hook::{Errand, MARKER};
use super::running::Reaper;
use super::server::Request;
use super::settings::SETTINGS;
use super::start::Started;
use super::surroundings::Known;
use super::{client, hook, surroundings};
use crate::call::Call;
use crate::error::{Error, ErrorKind, Result};
use crate::shm::arena::Arena;
use crate::sys::clock::Deadline;
use crate::sys::{image, pidfd, socket, spawn};
use std::io;
use std::iter;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

/// An answer that takes longer will not come. Nothing is lost by waiting: a process that died is noticed at once.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// This program, started anew; it has said hello.
pub(super) struct Newborn {
    pub(super) pid: i32,
    pub(super) socket: OwnedFd,
    /// What it tells of where it is, if it is a fork server.
    pub(super) known: Known,
}

/// What a new process says first: that it has understood, which image it runs, and what went wrong.
pub(super) struct Hello<'a> {
    pub(super) number: u64,
    pub(super) trouble: &'a str,
}

/// The longest trouble that is told.
const TROUBLE: usize = 400;

impl Hello<'_> {
    /// Says it.
    pub(super) fn send(&self, socket: &OwnedFd) -> io::Result<()> {
        let mut bytes = self.number.to_ne_bytes().to_vec();
        bytes.extend(image::fingerprint().to_ne_bytes());
        let known = surroundings::baseline().map_or(Known::default(), |baseline| baseline.known);
        bytes.extend(known.variables.to_ne_bytes());
        bytes.extend(known.limits.to_ne_bytes());
        bytes.extend(self.trouble.bytes().take(TROUBLE));
        socket::send(socket.as_fd(), &bytes, &[])
    }
}

/// Starts this program anew and waits for its hello, or its death.
pub(super) fn start_anew(errand: impl FnOnce(u64, Option<Call>) -> Errand) -> Result<Newborn> {
    refuse()?;
    let arena = Arena::get()?;
    let (ours, theirs) = socket::pair().map_err(failed)?;
    let settings = SETTINGS.lock().clone();
    let number = u64::from(std::process::id()) << 32 | u64::from(crate::sys::thread::gettid());
    let value = errand(number, settings.preload).to_string();
    let pid = spawn::spawn_self(
        settings.executable(),
        (MARKER, &value),
        theirs.as_fd(),
        arena.fd(),
    )
    .map_err(failed)?;
    drop(theirs);
    match heard(&ours, number) {
        Ok(known) => Ok(Newborn {
            pid,
            socket: ours,
            known,
        }),
        Err(error) => {
            discard(pid);
            Err(error)
        }
    }
}

fn refuse() -> Result<()> {
    if spawn::is_privileged() {
        let text = "a program with raised rights (set-user-id, capabilities) is not started anew; \
                    StartMethod::Fork works";
        return unavailable(text);
    }
    if hook::was_meant() {
        let text = "this process was meant to be a fork server or a child, but the hook of this crate did not run before main; \
                    call multiproc::init() first thing in main";
        return unavailable(text);
    }
    Ok(())
}

const SILENT: &str = "this program, started anew, did not say hello; does a constructor of it end it, is this crate loaded as a plugin, \
                      or is the executable that was set another program?";

/// Did the other side say the right thing? The answer is what it tells of where it is.
fn heard(socket: &OwnedFd, number: u64) -> Result<Known> {
    let mut bytes = [0; 32 + TROUBLE];
    let packet = socket::recv_until(socket.as_fd(), &mut bytes, Deadline::after(PATIENCE));
    let said = &bytes[..packet.map_or(0, |packet| packet.length)];
    let word = |at: usize| {
        let word = said.get(at..at + 8)?.try_into().ok()?;
        Some(u64::from_ne_bytes(word))
    };
    let (Some(image), Some(variables), Some(limits)) = (word(8), word(16), word(24)) else {
        return unavailable(SILENT);
    };
    if word(0) != Some(number) {
        return unavailable(SILENT);
    }
    if image != image::fingerprint() {
        return unavailable("the executable that was set is not this program");
    }
    match String::from_utf8_lossy(&said[32..]) {
        trouble if trouble.is_empty() => Ok(Known { variables, limits }),
        trouble => unavailable(&trouble),
    }
}

fn failed(error: io::Error) -> Error {
    let text = "start this program anew (it needs its executable, room for one process and a few descriptors)";
    Error::os(text, error).with_kind(ErrorKind::StartMethodUnavailable)
}

pub(super) fn unavailable<T>(text: &str) -> Result<T> {
    Err(Error::new(ErrorKind::StartMethodUnavailable, text))
}

/// A process that does not do what it should: it may be running the program's `main`.
pub(super) fn discard(pid: i32) {
    let pid = nix::unistd::Pid::from_raw(pid);
    let _gone = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL);
    let _reaped = nix::sys::wait::waitpid(pid, None);
}

/// Starts a child of this process that is this program anew.
pub(super) fn start(request: Request, parcel: Option<BorrowedFd<'_>>) -> Result<Started> {
    let lifeline = client::lifeline()?;
    let Newborn { pid, socket, .. } = start_anew(|hello, _preload| Errand::Child { hello })?;
    request.member.note_child(pid);
    let fds = Vec::from_iter(iter::once(lifeline.as_fd()).chain(parcel));
    let asked = socket::send(socket.as_fd(), &request.to_bytes(), &fds);
    // One that is dead already could not be asked: that is its story, not an error of the start.
    let asked = asked.or_else(|error| match error.kind() {
        io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => Ok(()),
        _ => Err(error),
    });
    let held = asked.and_then(|()| pidfd::of_child(pid)).map_err(|error| {
        discard(pid);
        Error::os("ask a new process to be a child", error)
    })?;
    Ok(Started {
        pid,
        pidfd: held,
        reaper: Reaper::Us,
    })
}
