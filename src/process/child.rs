//! The life of a child, from its first instruction to `_exit`. It never returns into the frames of whoever forked it.

use super::client;
use super::current::{self, Identity};
use super::direct::Body;
use super::exit;
use super::hooks::Around;
use super::panics;
use super::report;
use super::server::{Belongings, Request};
use super::start::{self, Closure, Parcel};
use super::surroundings::Surroundings;
use crate::call::{self, Call};
use crate::error::{ErrorKind, Result};
use crate::shm::arena::Arena;
use crate::shm::blocks::Block;
use crate::shm::message::Cargo;
use crate::shm::{Member, member, message};
use crate::sys::signal::AllBlocked;
use crate::sys::{atfork, lifeline, process, signal, spawn, thread};
use crate::thread::{self as threads, Panic};
use crate::wire::{self, Bytes, descriptors};
use nix::unistd::{Pid, setpgid};
use serde::{Deserialize, Serialize};
use std::io;
use std::os::fd::{AsFd, OwnedFd};

/// The first part of a start message; the encoded arguments follow.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Order {
    pub(super) identity: Identity,
    /// What is called; a copied closure is not told here.
    pub(super) task: Option<Task>,
    /// For its parent; the child has no lifeline then, and need not be told.
    #[serde(skip)]
    pub(super) detached: bool,
    pub(super) surroundings: Surroundings,
}

/// What a child calls.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Task {
    pub(super) call: Call,
    /// Somebody waits for its value.
    pub(super) answers: bool,
}

/// Lives the life of a child of the fork server. A detached one is tied to nobody.
pub(super) fn live(fds: Belongings, request: Request) -> ! {
    atfork::begin_anew();
    let guard = signal::reset_as_child().and_then(|()| settle_in(fds.tie, request.member));
    let guard = or_leave(guard);
    client::adopt(fds.control);
    if !request.member.has_order() {
        rehearse(request.member);
    }
    carry_out(request.member, guard, fds.parcel)
}

/// Lives the life of a child that was forked from a process which may have threads.
pub(super) fn live_forked(
    lifeline_end: Option<&OwnedFd>,
    member: Member,
    body: Body<'_>,
    blocked: AllBlocked,
    around: &Around,
) -> ! {
    let guard = signal::put_away_handlers(blocked)
        .and_then(|()| spawn::standard_streams())
        .and_then(|()| settle_in(own_end(lifeline_end)?, member));
    let guard = or_leave(guard);
    member.note_start_time(process::getpid());
    // Still on the forking thread: what they call may look at its variables. And not before this process has its place: what uses the
    // arena would give it another one, which nobody ever settles.
    let hooked = panics::catch(false, || around.in_child());
    let code = match body {
        _ if hooked.is_err() => fail("a function registered by at_fork panicked"),
        Body::Message(block, parcel) => {
            let parcel = parcel.and_then(Parcel::take);
            obey(block, guard, parcel, Where::FreshThread)
        }
        Body::Copied(order, closure) => match become_ordered(order, guard) {
            Ok(()) => Where::FreshThread.run(|| run_copied(closure)),
            Err(text) => fail(&text),
        },
    };
    exit::leave(code)
}

/// In a fork server, before it forks: what each of its children would have to do again.
pub(super) fn prepare_for_all() {
    start::register_tables();
    panics::install();
    exit::install_for_children();
    // Variables of the thread that have destructors, and the buffer of standard output.
    let _nothing = panics::catch(false, io::stdout);
}

/// While there is no order yet: does once what an order will ask for, so that the memory which that touches is there.
fn rehearse(member: Member) {
    panics::install();
    let order = Order {
        identity: Identity::clone(&current::identity()),
        task: Some(Task {
            call: call::target::<_, ()>(|| ()),
            answers: false,
        }),
        detached: false,
        surroundings: Surroundings::default(),
    };
    let read = start::store(member, &order, &Bytes::new(), Cargo::default()).and_then(|block| {
        let read = read_order(block);
        discard(block);
        read
    });
    if let Ok((
        Order {
            task: Some(task), ..
        },
        arguments,
    )) = read
    {
        let _nothing = panics::catch(false, || task.call.invoke(&arguments, &mut || ()));
    }
}

/// Which thread runs the function.
enum Where {
    /// This one.
    Here,
    /// One that has none of the forking thread's variables.
    FreshThread,
}

impl Where {
    fn run(self, body: impl FnOnce() -> i32 + Send) -> i32 {
        let mut code = 1;
        let body = || {
            // Also one that the process did not begin with.
            threads::become_main();
            body()
        };
        match self {
            Self::Here => code = body(),
            // Where the forking thread holds the lock of standard output, which only it can give back, a fresh one could never print.
            Self::FreshThread => {
                thread::run_fresh(|| drop(io::stdout().lock()), || code = body());
                // What is called at the end is called here.
                threads::become_main();
            }
        }
        code
    }
}

/// Lives the life of a child that is this program started anew.
pub(super) fn live_spawned(lifeline_end: &OwnedFd, parcel: Option<OwnedFd>, request: Request) -> ! {
    let tie = own_end((!request.detached).then_some(lifeline_end));
    let guard = or_leave(tie.and_then(|tie| settle_in(tie, request.member)));
    request.member.note_start_time(process::getpid());
    start::register_tables();
    carry_out(request.member, guard, parcel)
}

/// Waits for the order and carries it out.
fn carry_out(member: Member, guard: Option<OwnedFd>, parcel: Option<OwnedFd>) -> ! {
    match member.await_order(guard.is_some()) {
        Some(block) => exit::leave(obey(block, guard, parcel, Where::Here)),
        // Nothing has begun, so there is nothing to end. Nobody asks for the code, but it must not say that all is well.
        None => process::exit_now(1),
    }
}

/// A child that cannot begin has no place yet where it could leave a word for its parent.
fn or_leave<T>(begun: io::Result<T>) -> T {
    begun.unwrap_or_else(|error| {
        let pid = std::process::id();
        let text = format!("a child (pid {pid}) could not begin: {error}\n");
        crate::sys::exit::write_to_stderr(&text);
        process::exit_now(1)
    })
}

/// Process group, lifeline, slot: what must be true before anything else runs. Nothing ties a detached one to its parent, not even
/// for the moment until its order is read.
fn settle_in(tie: Option<OwnedFd>, member: Member) -> io::Result<Option<OwnedFd>> {
    setpgid(Pid::from_raw(0), Pid::from_raw(0))?;
    tie.as_ref().map(lifeline::arm).transpose()?;
    if member::occupy(member).is_err() {
        // Its place was given up: nobody wants it any more.
        process::exit_now(1);
    }
    Ok(tie)
}

fn own_end(lifeline_end: Option<&OwnedFd>) -> io::Result<Option<OwnedFd>> {
    lifeline_end
        .map(|end| lifeline::reopen(end.as_fd()))
        .transpose()
}

/// Reads the order in `block` and carries it out; the answer is the exit code.
fn obey(block: Block, guard: Option<OwnedFd>, parcel: Option<OwnedFd>, place: Where) -> i32 {
    let (order, arguments) = match read_order(block) {
        Ok(read) => read,
        Err(error) => return fail(&error.to_string()),
    };
    if let Err(text) = become_ordered(&order, guard) {
        return fail(&text);
    }
    let fds = parcel.map(|parcel| descriptors::unpack(parcel.as_fd()));
    let fds = match fds.transpose() {
        Ok(fds) => fds.unwrap_or_default(),
        Err(error) => return fail(&format!("the descriptors of the arguments: {error}")),
    };
    match order.task {
        Some(task) => place.run(|| run(task, &arguments, fds, block)),
        None => fail("an order without a function"),
    }
}

/// The order and the encoded arguments. Their message stays in its block, which our slot owns, until they are decoded: were its
/// handles in flight with private memory, a kill would leak every object that the arguments name.
fn read_order(message: Block) -> Result<(Order, Vec<u8>)> {
    let mut bytes = message::peek(message)?;
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

/// Becomes what the order says, and goes where it says. The error tells what was not possible.
fn become_ordered(order: &Order, guard: Option<OwnedFd>) -> Result<(), String> {
    if let Some(guard) = guard {
        client::keep_guard(guard);
    }
    current::become_child(order.identity.clone());
    exit::install_for_child();
    panics::install();
    order.surroundings.enter()
}

/// Runs the function; the answer is the exit code.
fn run(task: Task, arguments: &[u8], fds: Vec<OwnedFd>, message: Block) -> i32 {
    let mut decoded = || {
        descriptors::close_rest();
        discard(message);
    };
    let call = || task.call.invoke(arguments, &mut decoded);
    match panics::catch(false, || descriptors::unpacking(fds, call)) {
        Ok(Ok(reply)) if task.answers => leave(|| report::leave_value(reply)),
        Ok(Ok(_nothing)) => 0,
        Ok(Err(error)) => fail_with(error.kind(), &format!("{}: {error}", task.call.name())),
        Err(panic) => panicked(&panic),
    }
}

/// Runs the closure; the answer is the exit code.
fn run_copied(closure: Closure) -> i32 {
    match panics::catch(false, || closure.run()) {
        Ok(None) => 0,
        Ok(Some(reply)) => leave(|| report::leave_value(reply?)),
        Err(panic) => panicked(&panic),
    }
}

fn leave(value: impl FnOnce() -> Result<()>) -> i32 {
    match value() {
        Ok(()) => 0,
        Err(error) => fail_with(error.kind(), &format!("the value is lost: {error}")),
    }
}

fn panicked(panic: &Panic) -> i32 {
    report::leave_panic(panic);
    1
}

/// The function could not be called at all.
fn fail(text: &str) -> i32 {
    fail_with(ErrorKind::Panicked, text)
}

/// The function could not be called, or its value not be told.
fn fail_with(kind: ErrorKind, text: &str) -> i32 {
    let (name, pid) = (&current::identity().name, std::process::id());
    crate::sys::exit::write_to_stderr(&format!("process {name} (pid {pid}): {text}\n"));
    report::leave_failure(&Panic::without_place(text.to_owned()), kind);
    1
}
