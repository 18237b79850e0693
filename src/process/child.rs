//! The life of a child, from the fork to `_exit`. It never returns into the frames of the server.

use super::call::Call;
use super::client;
use super::current::{self, Identity};
use super::exit;
use super::panics::{self, Panic};
use super::server::Request;
use super::start;
use crate::error::Result;
use crate::shm::arena::Arena;
use crate::shm::blocks::Block;
use crate::shm::{member, message};
use crate::sys::{lifeline, process, signal};
use crate::wire;
use nix::unistd::{Pid, setpgid};
use serde::{Deserialize, Serialize};
use std::os::fd::{BorrowedFd, OwnedFd};

/// The first part of a start message; the encoded arguments follow.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Order {
    pub(super) identity: Identity,
    pub(super) call: Call,
}

/// Lives the life of a child.
pub(super) fn live(control: OwnedFd, lifeline_end: BorrowedFd<'_>, request: Request) -> ! {
    let guard = match settle_in(lifeline_end, request) {
        Ok(guard) => guard,
        Err(_) => process::exit_now(1),
    };
    start::register_tables();
    client::adopt(control, guard);
    let code = match wire_order(request) {
        Ok((order, arguments)) => run(order, &arguments, request),
        Err(error) => fail(&error.to_string()),
    };
    exit::leave(code)
}

/// Signals, process group, lifeline, slot: what must be true before anything else runs.
fn settle_in(lifeline_end: BorrowedFd<'_>, request: Request) -> std::io::Result<OwnedFd> {
    signal::reset_as_child()?;
    setpgid(Pid::from_raw(0), Pid::from_raw(0))?;
    let guard = lifeline::arm(lifeline_end)?;
    let occupied = member::occupy(request.member);
    occupied.map_err(|error| std::io::Error::other(error.to_string()))?;
    Ok(guard)
}

/// The order and the encoded arguments. Their message stays in its block, which our slot owns, until they are decoded: were its
/// handles in flight with private memory, a kill would leak every object that the arguments name.
fn wire_order(request: Request) -> Result<(Order, Vec<u8>)> {
    let mut bytes = message::peek(request.message)?;
    let (order, rest) = wire::decode_first::<Order>(&bytes)?;
    let start = bytes.len() - rest.len();
    bytes.drain(..start);
    Ok((order, bytes))
}

/// The arguments are decoded: their message is over.
fn discard(message: Block) {
    if let Some(arena) = Arena::existing() {
        message::discard(arena, message);
    }
}

/// Runs the function; the answer is the exit code.
fn run(order: Order, arguments: &[u8], request: Request) -> i32 {
    let name = order.identity.name.clone();
    current::become_child(order.identity);
    exit::install_for_child();
    panics::install(name);
    let mut decoded = || discard(request.message);
    match panics::catch(false, || order.call.invoke(arguments, &mut decoded)) {
        Ok(Ok(_reply)) => 0,
        Ok(Err(error)) => fail(&format!("{}: {error}", order.call.name())),
        Err(panic) => {
            panic.record();
            1
        }
    }
}

/// The function could not be called at all.
#[expect(clippy::print_stderr, reason = "nobody else can tell")]
fn fail(text: &str) -> i32 {
    eprintln!(
        "process {} (pid {}): {text}",
        current::identity().name,
        std::process::id()
    );
    Panic {
        message: text.to_owned(),
        place: None,
    }
    .record();
    1
}
