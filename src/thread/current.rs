//! Which thread is this one, and which others are there?

use super::handle::Thread;
use super::object::{Kind, Object};
use super::table;
use crate::sys::thread_end::ThreadEnd;
use crate::sys::{atfork, thread};
use std::cell::{Cell, RefCell};
use std::mem::ManuallyDrop;

thread_local! {
    /// This thread's handle, once somebody has asked for it. It has no destructor, so it is there in all others', and in the handlers of `exit`.
    static HERE: RefCell<ManuallyDrop<Option<Here>>> = const { RefCell::new(ManuallyDrop::new(None)) };
    /// How often [`END`] has been here.
    static ENDS: Cell<u32> = const { Cell::new(0) };
    /// The thread-local variables of this thread are gone.
    static LATE: Cell<bool> = const { Cell::new(false) };
    /// The key of this thread's object, if this crate has made it: also when the variables of the thread are gone.
    static KEY: Cell<u64> = const { Cell::new(0) };
}

struct Here {
    thread: Thread,
    /// After a fork this thread is another one.
    generation: u32,
}

/// Where a thread that this crate has made tells that it is over, and another leaves the list.
static END: ThreadEnd = ThreadEnd::new(end);

/// In which round of the C library, which has four: values of `Local`, and those that their destructors make, may ask who they are. One that
/// was not made here may have asked late.
const LAST_OF_OWN: u32 = 3;
const LAST_OF_FOREIGN: u32 = 2;

fn end() {
    note_end();
    let foreign = known().is_some_and(|here| here.object.kind == Kind::Foreign);
    let last = if foreign {
        LAST_OF_FOREIGN
    } else {
        LAST_OF_OWN
    };
    ENDS.set(ENDS.get() + 1);
    if ENDS.get() < last && END.arm() {
        return;
    }
    let Some(Here { thread, generation }) = replace(None) else {
        return;
    };
    let object = &thread.object;
    if generation != atfork::generation() || object.kind == Kind::Main {
        return;
    }
    let _listed = table::with(|table| table.others.remove(&object.key));
    object.be_over();
}

/// The variables of this thread are gone. Who is not listed by now will not be: nobody might take it from the list again.
pub(super) fn note_end() {
    LATE.set(true);
}

fn replace(here: Option<Here>) -> Option<Here> {
    ManuallyDrop::into_inner(HERE.replace(ManuallyDrop::new(here)))
}

/// Says whether the end of the thread will be told.
fn remember(thread: &Thread) -> bool {
    let here = Here {
        thread: thread.clone(),
        generation: atfork::generation(),
    };
    // What was there before is dropped when nobody looks at the variable any more.
    drop(replace(Some(here)));
    END.arm()
}

fn known() -> Option<Thread> {
    HERE.with_borrow(|here| {
        let here = here.as_ref()?;
        (here.generation == atfork::generation()).then(|| here.thread.clone())
    })
}

/// This thread, if this crate has made it: also after its function.
pub(super) fn made_here() -> Option<Thread> {
    known().filter(|here| is_made_here(&here.object))
}

/// This thread, which is about to run its function, is the one of `thread`. Says whether that will be [over](Object::be_over).
pub(super) fn become_thread(thread: &Thread) -> bool {
    KEY.set(thread.object.key);
    remember(thread)
}

/// This thread is the main one from now on, though another may have been before.
pub(crate) fn become_main() {
    let number = thread::gettid();
    let main = table::with(|table| {
        let main = table.main().clone();
        main.object.move_to(number);
        main
    });
    remember(&main);
}

/// Is `object` this very thread, and made by this crate?
pub(super) fn is_made_here(object: &Object) -> bool {
    KEY.get() == object.key && object.is_ours()
}

/// Is `object` this very thread?
pub(super) fn is_here(object: &Object) -> bool {
    let first = || object.kind == Kind::Main && object.is_ours() && is_first();
    let known = || known().is_some_and(|here| here.object.key == object.key);
    is_made_here(object) || known() || first()
}

/// Is this thread the one that the process began with?
fn is_first() -> bool {
    thread::gettid() == std::process::id()
}

/// The thread that calls this, made by whomever.
///
/// One that this crate has not made gets a handle of the name `"Dummy-5"`, which is a daemon, cannot be joined, and is listed by
/// [`enumerate`] until the thread has ended; one that asks for the first time when its thread-local variables are gone is not listed. In a
/// forked child the thread that forked is the main one. A thread stays what it is in the functions that `exit` calls in it.
///
/// # Examples
/// ```
/// use multiproc::threading::{self, Thread};
///
/// assert_eq!(threading::current_thread().name(), "MainThread");
/// let thread = Thread::new(|| assert!(threading::current_thread().name().starts_with("Thread-")));
/// thread.start()?;
/// thread.join()?;
/// assert!(thread.panic().is_none());
/// # Ok::<(), multiproc::Error>(())
/// ```
#[must_use]
pub fn current_thread() -> Thread {
    if let Some(thread) = known() {
        return thread;
    }
    if is_first() {
        let main = main_thread();
        remember(&main);
        return main;
    }
    let foreign = Object::running(Kind::Foreign, table::next_name("Dummy"), thread::gettid());
    let foreign = Thread::of(foreign);
    if !LATE.get() && remember(&foreign) {
        let listed = foreign.clone();
        table::with(|table| table.others.insert(listed.object.key, listed));
    }
    foreign
}

/// The daemon flag that a thread inherits which is made here.
pub(super) fn is_daemon() -> bool {
    known().map_or_else(|| !is_first(), |here| here.daemon())
}

/// The thread that the process began with, called `"MainThread"`; in a forked child the one that forked, or that runs its function.
///
/// It is alive until the program has begun to end, in whatever thread that is.
#[must_use]
pub fn main_thread() -> Thread {
    table::with(|table| table.main().clone())
}

/// All threads that live: the main one, those that were started, and those made elsewhere that have called [`current_thread`].
///
/// # Examples
/// ```
/// use multiproc::threading;
///
/// assert!(threading::enumerate().contains(&threading::main_thread()));
/// ```
#[must_use]
pub fn enumerate() -> Vec<Thread> {
    table::with(|table| {
        let main = table.main().clone();
        let mut all = vec![main];
        all.extend(table.others.values().cloned());
        all
    })
}

/// How many threads [`enumerate`] lists.
#[must_use]
pub fn active_count() -> usize {
    table::with(|table| table.others.len() + 1)
}

/// A number of this thread that no other thread which it can see has while it lives; never 0.
///
/// It is the same as [`get_native_id`], where Python has an address here.
#[must_use]
pub fn get_ident() -> u64 {
    u64::from(thread::gettid())
}

/// The kernel's number of this thread, as `top -H` shows it.
#[must_use]
pub fn get_native_id() -> u32 {
    thread::gettid()
}

/// The name of the thread that calls this, for a message about it, if this crate has made it and nobody else asks for names meanwhile.
pub(crate) fn name_for_message() -> Option<String> {
    let key = KEY.get();
    let name = table::try_with(|table| {
        let thread = table.others.get(&key)?;
        Some(thread.object.rest.lock().name.clone())
    });
    name.flatten()
}
