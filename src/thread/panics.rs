//! Panics as data: the message, the file and the line.

use super::hook;
use crate::error::RemoteError;
use crate::shm::{member, name};
use crate::sys::atfork::{self, Forkable, Kept};
use crate::sys::atomic::{Acquire, AtomicBool, Release, SeqCst};
use crate::sys::thread_end::ThreadEnd;
use serde::{Deserialize, Serialize};
use std::any::Any;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::cell::{Cell, RefCell};
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;

/// What a panic said, and where.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Panic {
    pub(crate) message: String,
    pub(crate) place: Option<(String, u32)>,
    /// Where the environment asks for one (`RUST_BACKTRACE`).
    pub(crate) backtrace: Option<String>,
}

impl Panic {
    /// The panic of this thread that has just happened.
    pub(crate) fn now(message: String) -> Self {
        let Scene { place, backtrace } = take_scene();
        Self {
            message,
            place,
            backtrace,
        }
    }

    /// What went wrong where nothing panicked.
    pub(crate) fn without_place(message: String) -> Self {
        Self {
            message,
            place: None,
            backtrace: None,
        }
    }

    /// The same as an error of the process that it happened in.
    pub(crate) fn into_remote(
        self,
        process: String,
        pid: u32,
        exitcode: Option<i32>,
    ) -> RemoteError {
        RemoteError {
            process,
            thread: None,
            pid,
            message: self.message,
            place: self.place,
            backtrace: self.backtrace,
            exitcode,
        }
    }
}

impl Panic {
    /// The same as an error of a thread of this process.
    pub(crate) fn into_thread_error(self, thread: String) -> RemoteError {
        let known = member::known().and_then(name::look_up);
        let process = known.map_or_else(|| member::nobodys_name().to_owned(), |(name, _)| name);
        RemoteError {
            thread: Some(thread),
            ..self.into_remote(process, std::process::id(), None)
        }
    }
}

/// Where a panic happened, as its hook saw it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scene {
    pub(crate) place: Option<(String, u32)>,
    pub(crate) backtrace: Option<String>,
}

/// Tells of a panic in the place of the usual hook; says whether it has.
pub(crate) type Teller = fn(&Scene, &str) -> bool;

static TELLER: OnceLock<Teller> = OnceLock::new();

/// From now on `teller` is asked first, of panics that nobody catches.
pub(crate) fn set_teller(teller: Teller) {
    let _the_same = TELLER.set(teller);
}

/// Who tells of a panic.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Told {
    /// The hook of panics, at once.
    Here,
    /// Whoever catches it.
    There,
    /// The hook of threads when it is caught, if there is one.
    ByHook,
    /// The hook of threads, which was there when the panic was.
    LeftToHook,
}

thread_local! {
    /// Where the last panic of this thread happened. It has no destructor: who touched it first at the very end of a thread would leave
    /// behind what the C library notes of one.
    static SCENE: RefCell<ManuallyDrop<Scene>> = const { RefCell::new(ManuallyDrop::new(NOWHERE)) };
    /// Who will tell of a panic of this thread.
    static TOLD: Cell<Told> = const { Cell::new(Told::Here) };
}

const NOWHERE: Scene = Scene {
    place: None,
    backtrace: None,
};

/// Drops what nobody has taken.
static END: ThreadEnd = ThreadEnd::new(|| drop(take_scene()));

/// Notes where a panic happened.
fn note(scene: Scene) {
    drop(exchange(scene));
    let _not_dropped_else = END.arm();
}

fn take_scene() -> Scene {
    exchange(NOWHERE)
}

fn exchange(scene: Scene) -> Scene {
    ManuallyDrop::into_inner(SCENE.replace(ManuallyDrop::new(scene)))
}

/// Who has it changes the hook. A fork waits for that: it would copy the lock of the hook locked.
static INSTALLING: Kept<()> = Kept::new(());

/// Once a process image: before `main` where the hook runs, so that no fork can come before it.
pub(crate) fn register_panics() {
    static REGISTERED: AtomicBool = AtomicBool::new(false);
    static FORKABLE: &dyn Forkable = &INSTALLING;
    if !REGISTERED.swap(true, SeqCst) {
        atfork::register(&[&FORKABLE]);
    }
}

/// Once a process image: notes where panics happen.
pub(crate) fn install() {
    static INSTALLED: AtomicBool = AtomicBool::new(false);
    // A thread that panics may not change the hook. A process that it starts is told of by the usual one.
    if INSTALLED.load(Acquire) || std::thread::panicking() {
        return;
    }
    register_panics();
    let _installing = INSTALLING.lock();
    if INSTALLED.load(Acquire) {
        return;
    }
    // Whether one is wanted is asked of the environment once, and kept. In a forked child the lock of that may be held for ever.
    let _asked = Backtrace::capture();
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        let place = info
            .location()
            .map(|place| (place.file().to_owned(), place.line()));
        let backtrace = Backtrace::capture();
        let captured = backtrace.status() == BacktraceStatus::Captured;
        let backtrace = captured.then(|| backtrace.to_string());
        let scene = Scene { place, backtrace };
        note(scene.clone());
        match TOLD.get() {
            Told::There | Told::LeftToHook => return,
            Told::ByHook if hook::is_set() => return TOLD.set(Told::LeftToHook),
            _ => {}
        }
        let teller = TELLER.get();
        if !teller.is_some_and(|tells| tells(&scene, &text(info.payload()))) {
            usual(info);
        }
    }));
    INSTALLED.store(true, Release);
}

fn text(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(ToString::to_string);
    let text = text.or_else(|| payload.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "a panic with a payload that is not text".to_owned())
}

/// Runs `body`; a panic becomes a value. `quiet`: it travels to somebody who will tell, so nothing is printed.
pub(crate) fn catch<R>(quiet: bool, body: impl FnOnce() -> R) -> Result<R, Panic> {
    let told = if quiet { Told::There } else { Told::Here };
    let (result, _told) = catch_as(told, body);
    result.map_err(|(panic, payload)| {
        discard(payload);
        panic
    })
}

/// The same for what a hook of threads will hear of; says also whether nobody was told yet, because there was such a hook.
pub(super) fn catch_for_hook<R>(body: impl FnOnce() -> R) -> Result<R, (Panic, bool)> {
    let (result, told) = catch_as(Told::ByHook, body);
    result.map_err(|(panic, payload)| {
        discard(payload);
        (panic, told == Told::LeftToHook)
    })
}

/// The same with the payload, for one who goes on with it.
pub(super) fn catch_whole<R>(body: impl FnOnce() -> R) -> Result<R, (Panic, Payload)> {
    catch_as(Told::Here, body).0
}

/// What a panic carries.
pub(super) type Payload = Box<dyn Any + Send>;

fn catch_as<R>(told: Told, body: impl FnOnce() -> R) -> (Result<R, (Panic, Payload)>, Told) {
    let unwinds = cfg!(panic = "unwind");
    let outer = TOLD.replace(if unwinds { told } else { Told::Here });
    // The place of an earlier panic, as of a payload's destructor, is not that of one without a place.
    let _earlier = take_scene();
    let result = catch_unwind(AssertUnwindSafe(body));
    let told = TOLD.replace(outer);
    let result = result.map_err(|payload| (Panic::now(text(payload.as_ref())), payload));
    (result, told)
}

/// A payload whose destructor panics must not end us here.
pub(super) fn discard(payload: Payload) {
    if let Err(another) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        let _never_dropped = ManuallyDrop::new(another);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_a_value() {
        assert_eq!(catch(false, || 5).expect("no panic"), 5);
        let panic = catch(false, || panic!("number {}", 7)).expect_err("a panic");
        assert_eq!(panic.message, "number 7");
        let panic = catch(false, || std::panic::panic_any(7)).expect_err("a panic");
        assert!(panic.message.contains("not text"));
    }
}
