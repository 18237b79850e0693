//! What must be true in a child of *any* fork, also of one made behind our back: `pthread_atfork(3)`.
#![expect(unsafe_code, reason = "pthread_atfork has no safe wrapper")]
//!
//! # Safety
//! The handlers touch atomics and [`Private`] words and close descriptors; they allocate nothing and take no foreign lock.

use super::atomic::{AcqRel, Acquire, AtomicBool, AtomicPtr, AtomicU32, Relaxed, Release, SeqCst};
use super::private::{Private, PrivateGuard};
use nix::libc;
use std::cell::Cell;

/// Something of this process that a fork must not copy half changed.
pub(crate) trait Forkable: Sync {
    /// In the parent, before the fork.
    fn before(&self);
    /// In the parent, after it.
    fn after(&self);
    /// In the child: the same, and forget what was the parent's.
    fn child(&self);
}

/// A table that a forked child starts without.
impl<T: Send + Default> Forkable for Private<T> {
    fn before(&self) {
        self.acquire();
    }

    fn after(&self) {
        self.release();
    }

    fn child(&self) {
        // The parent's values stay where they are: dropping them here would run the parent's destructors.
        self.release();
        let old = std::mem::take(&mut *self.lock());
        let _parents = std::mem::ManuallyDrop::new(old);
    }
}

/// What a forked child keeps as it is.
#[derive(Debug)]
pub(crate) struct Kept<T>(Private<T>);

impl<T> Kept<T> {
    pub(crate) const fn new(data: T) -> Self {
        Self(Private::new(data))
    }

    pub(crate) fn lock(&self) -> PrivateGuard<'_, T> {
        self.0.lock()
    }
}

impl<T: Send> Forkable for Kept<T> {
    fn before(&self) {
        self.0.acquire();
    }

    fn after(&self) {
        self.0.release();
    }

    fn child(&self) {
        self.0.release();
    }
}

const PLACES: usize = 24;
static REGISTERED: [AtomicPtr<&'static dyn Forkable>; PLACES] =
    [const { AtomicPtr::new(std::ptr::null_mut()) }; PLACES];
static COUNT: AtomicU32 = AtomicU32::new(0);
static INSTALLED: AtomicBool = AtomicBool::new(false);
static GENERATION: AtomicU32 = AtomicU32::new(0);

/// Changes in every forked child: what was noted under another number belongs to a parent.
pub(crate) fn generation() -> u32 {
    GENERATION.load(Relaxed)
}

thread_local! {
    /// This thread forks for this crate.
    static OURS: Cell<bool> = const { Cell::new(false) };
}

/// Forks that this process, or those that it was forked from, made or were made by for somebody else than this crate.
static FOREIGN: AtomicU32 = AtomicU32::new(0);

/// Changes with every fork, on both its sides, in which both sides go on in the same functions: what was there before may be used by both.
pub(crate) fn foreign() -> u32 {
    FOREIGN.load(Relaxed)
}

/// Runs `fork`, after which the child does nothing of what its parent was about to do.
pub(crate) fn ours<R>(fork: impl FnOnce() -> R) -> R {
    OURS.set(true);
    let result = fork();
    OURS.set(false);
    result
}

/// Forks of this process that have begun, by whomever.
static FORKS: AtomicU32 = AtomicU32::new(0);

/// Has this process forked, or begun to? Who asks under the lock of a registered table knows that others will find it as it leaves it.
pub(crate) fn has_begun() -> bool {
    FORKS.load(SeqCst) > 0
}

/// In a child that has nothing of its parent's.
pub(crate) fn begin_anew() {
    FORKS.store(0, SeqCst);
}

fn count_foreign() {
    if !OURS.get() {
        FOREIGN.fetch_add(1, Relaxed);
    }
}

/// Registers `tables`, once a process image, in the order in which they may be locked.
pub(crate) fn register(tables: &[&'static &'static dyn Forkable]) {
    for &table in tables {
        let place = COUNT.fetch_add(1, AcqRel) as usize;
        assert!(place < PLACES, "a place for every forkable table");
        let pointer: *const &'static dyn Forkable = table;
        REGISTERED[place].store(pointer.cast_mut(), Release);
    }
    if INSTALLED.swap(true, AcqRel) {
        return;
    }
    // SAFETY: the three handlers are functions of this image that stay loaded and make async-signal-safe calls only.
    unsafe {
        libc::pthread_atfork(Some(before), Some(after), Some(child));
    }
}

/// The places whose tables [`before`] has taken, a bit each: one that is registered meanwhile must not be given back.
static TAKEN: AtomicU32 = AtomicU32::new(0);

fn table(place: usize) -> Option<&'static dyn Forkable> {
    let pointer = REGISTERED[place].load(Acquire);
    // SAFETY: a place holds null or a pointer made of a `&'static` by `register`.
    unsafe { pointer.as_ref() }.copied()
}

fn taken() -> impl Iterator<Item = &'static dyn Forkable> {
    let taken = TAKEN.load(Relaxed);
    let places = (0..PLACES)
        .rev()
        .filter(move |place| taken & 1 << place != 0);
    places.filter_map(table)
}

extern "C" fn before() {
    FORKS.fetch_add(1, SeqCst);
    let mut taken = 0;
    for place in 0..PLACES {
        if let Some(table) = table(place) {
            table.before();
            taken |= 1 << place;
        }
    }
    TAKEN.store(taken, Relaxed);
}

extern "C" fn after() {
    count_foreign();
    taken().for_each(Forkable::after);
}

extern "C" fn child() {
    count_foreign();
    GENERATION.fetch_add(1, Relaxed);
    // What it came with, its parent has too.
    FORKS.store(1, SeqCst);
    super::thread::forget();
    taken().for_each(Forkable::child);
}
