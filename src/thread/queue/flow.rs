//! The algorithm of the three queues: places, counts, the end, and who sleeps.
//!
//! Three counts only grow, and each lies on cache lines of its own:
//!
//! | count | grows when | and then |
//! |---|---|---|
//! | `puts` | a place is reserved, before the item is stored | – |
//! | `gets` | an item has left the store | a putter may have room |
//! | `dones` | `task_done` | at `puts`, those who join go on |
//!
//! So `puts - gets` is the size, and `puts - dones` what is unfinished. Bit 0 of the word of `puts` is the end: reserving is a
//! compare-and-swap of that word, so that the number of puts is final as soon as the bit is set. Whoever finds the store empty after the end
//! compares `gets` with it. If they are equal, nothing will ever come. If not, somebody is in the middle of `put` or `get`, for a few
//! instructions, and is waited for: so nothing is lost behind the end, and nothing comes after it was reported.
//!
//! `shutdown(true)` sets [`EMPTIED`] before it takes the first item out. Who takes an item looks at it afterwards, and if it is set
//! the item is thrown away too: so nobody takes what comes behind something that was taken out to be thrown away. (Somebody may have got
//! what comes behind an item that another getter has in hand at this moment, and throws away.)
//!
//! Sleepers: whoever finds nothing arrives at a [`Gate`], looks once more, and sleeps; whoever changes something does so by a
//! read-modify-write, and then notifies. One of the two sees the other. A put wakes one getter, a get one putter, all else
//! everybody. A thread that was woken looks once more before it gives up, and who is thrown out of `get` by a panic wakes another one
//! in its place.

use super::error::{TryGetError, TryPutError};
use super::order::Store;
use super::waiting::wait;
use crate::error::{Error, ErrorKind, Result};
use crate::shm::WithinProcess;
use crate::sync::Gate;
use crate::sys::atomic::{AcqRel, Acquire, AtomicU8, AtomicU64, Relaxed, SeqCst};
use crate::sys::clock::Deadline;
use crate::sys::thread::Backoff;
use crossbeam::utils::CachePadded;
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

/// In the word of `puts`: nothing can be put any more.
const SHUT: u64 = 1;
/// In the word of `puts`: one put.
const PUT: u64 = 2;

/// In `state`: [`SHUT`] is set, or is about to be. Getters look here, because putters never write here.
const ENDING: u8 = 1;
/// In `state`: what is in the queue is thrown away.
const EMPTIED: u8 = 2;

#[derive(Debug, Default)]
struct Puts {
    /// Bit 0 is [`SHUT`], the others count.
    word: AtomicU64,
    /// What `gets` was when a putter last looked at it, or less.
    gets_seen: AtomicU64,
}

#[derive(Debug, Default)]
struct Rules {
    /// 0 is any number.
    maxsize: AtomicU64,
    state: AtomicU8,
}

#[derive(Debug, Default)]
pub(super) struct Flow<S> {
    items: S,
    puts: CachePadded<Puts>,
    gets: CachePadded<AtomicU64>,
    dones: CachePadded<AtomicU64>,
    rules: CachePadded<Rules>,
    getters: CachePadded<Gate>,
    putters: CachePadded<Gate>,
    joiners: CachePadded<Gate>,
}

/// Why no place was reserved.
enum NoPlace {
    Full,
    Shut,
}

impl<S: Store> Flow<S> {
    pub(super) fn with_maxsize(maxsize: usize) -> Self {
        let flow = Self::default();
        flow.rules.maxsize.store(maxsize as u64, Relaxed);
        flow
    }

    pub(super) fn maxsize(&self) -> usize {
        saturate(self.rules.maxsize.load(Relaxed))
    }

    pub(super) fn set_maxsize(&self, maxsize: usize) {
        self.rules.maxsize.swap(maxsize as u64, SeqCst);
        self.putters.notify::<WithinProcess>(u32::MAX);
    }

    pub(super) fn is_shut(&self) -> bool {
        self.puts.word.load(Acquire) & SHUT != 0
    }

    pub(super) fn len(&self) -> usize {
        saturate(self.ahead_of(&self.gets))
    }

    pub(super) fn unfinished(&self) -> usize {
        saturate(self.ahead_of(&self.dones))
    }

    /// How far `puts` was ahead of `count`, at one instant.
    fn ahead_of(&self, count: &AtomicU64) -> u64 {
        let mut puts = self.puts.word.load(Acquire) / PUT;
        loop {
            let count = count.load(Acquire);
            let now = self.puts.word.load(Acquire) / PUT;
            if now == puts {
                return puts - count;
            }
            puts = now;
        }
    }

    // ---- putting

    pub(super) fn try_put(&self, item: S::Item) -> Result<(), TryPutError<S::Item>> {
        let place = self.reserve();
        self.fill(place, item)
    }

    /// Waits for a place until the deadline, which is asked for only if there is none.
    #[inline]
    pub(super) fn put(
        &self,
        item: S::Item,
        deadline: impl FnOnce() -> Deadline,
    ) -> Result<(), TryPutError<S::Item>> {
        let mut place = self.reserve();
        if let Err(NoPlace::Full) = place {
            place = self.wait_for_place(deadline());
        }
        self.fill(place, item)
    }

    #[inline]
    fn fill(&self, place: Result<(), NoPlace>, item: S::Item) -> Result<(), TryPutError<S::Item>> {
        match place {
            Ok(()) => {
                self.store(item);
                Ok(())
            }
            Err(NoPlace::Full) => Err(TryPutError::Full(item)),
            Err(NoPlace::Shut) => Err(TryPutError::ShutDown(item)),
        }
    }

    fn wait_for_place(&self, deadline: Deadline) -> Result<(), NoPlace> {
        let look = || match self.reserve() {
            Err(NoPlace::Full) => None,
            place => Some(place),
        };
        wait(&self.putters, deadline, look).unwrap_or(Err(NoPlace::Full))
    }

    #[inline]
    fn reserve(&self) -> Result<(), NoPlace> {
        let backoff = Backoff::new();
        let mut word = self.puts.word.load(Acquire);
        loop {
            if word & SHUT != 0 {
                return Err(NoPlace::Shut);
            }
            let maxsize = self.rules.maxsize.load(Relaxed);
            if maxsize != 0 && !self.has_room(word / PUT, maxsize) {
                return Err(NoPlace::Full);
            }
            let next = word + PUT;
            match self
                .puts
                .word
                .compare_exchange_weak(word, next, AcqRel, Acquire)
            {
                Ok(_) => return Ok(()),
                Err(now) => word = now,
            }
            backoff.spin();
        }
    }

    /// `puts` may be an old number, less than `gets` by now: then it looks like room, and the compare-and-swap says better.
    #[inline]
    fn has_room(&self, puts: u64, maxsize: u64) -> bool {
        let seen = self.puts.gets_seen.load(Relaxed);
        puts.saturating_sub(seen) < maxsize || {
            let gets = self.gets.load(Acquire);
            self.puts.gets_seen.store(gets, Relaxed);
            puts.saturating_sub(gets) < maxsize
        }
    }

    /// Stores an item whose place is reserved. If a comparison panics, the place is given back, and then the item is dropped: its
    /// destructor may use the queue.
    #[inline]
    fn store(&self, item: S::Item) {
        let mut item = Some(item);
        let unwinding = Finally(|| {
            self.leave();
            self.count_done();
        });
        self.items.push(&mut item);
        unwinding.cancel();
        self.getters.notify::<WithinProcess>(1);
    }

    // ---- getting

    pub(super) fn try_get(&self) -> Result<S::Item, TryGetError> {
        or_empty(self.look())
    }

    /// Waits for an item until the deadline, which is asked for only if there is none.
    #[inline]
    pub(super) fn get(&self, deadline: impl FnOnce() -> Deadline) -> Result<S::Item, TryGetError> {
        let found = self
            .look()
            .or_else(|| wait(&self.getters, deadline(), || self.look()));
        or_empty(found)
    }

    /// An item, or that none will ever come; `None` if there is none yet.
    #[inline]
    fn look(&self) -> Option<Result<S::Item, TryGetError>> {
        if let Some(item) = self.take() {
            if self.rules.state.load(Acquire) & EMPTIED == 0 {
                return Some(Ok(item));
            }
            self.throw_away(item);
            return Some(Err(TryGetError::ShutDown));
        }
        if self.rules.state.load(Acquire) & ENDING == 0 {
            return None;
        }
        self.look_at_the_end()
    }

    #[cold]
    fn look_at_the_end(&self) -> Option<Result<S::Item, TryGetError>> {
        if self.rules.state.load(Acquire) & EMPTIED != 0 {
            return Some(Err(TryGetError::ShutDown));
        }
        let word = self.puts.word.load(Acquire);
        if word & SHUT == 0 {
            return None;
        }
        let left = self.last_of(word / PUT, || self.take());
        Some(left.ok_or(TryGetError::ShutDown))
    }

    /// Takes an item out of the store; it counts as got.
    #[inline]
    fn take(&self) -> Option<S::Item> {
        // Whoever is thrown out by a comparison may have had the only wake-up for an item, which is there still.
        let unwinding = Finally(|| self.getters.notify::<WithinProcess>(1));
        let item = self.items.pop();
        unwinding.cancel();
        if item.is_some() {
            self.leave();
        }
        item
    }

    /// The same without a comparison, in any order.
    fn take_any(&self) -> Option<S::Item> {
        let item = self.items.pop_any();
        if item.is_some() {
            self.leave();
        }
        item
    }

    /// Takes an item by `take` where no more than `puts` can come: `None` says that all have gone.
    fn last_of(&self, puts: u64, take: impl Fn() -> Option<S::Item>) -> Option<S::Item> {
        let backoff = Backoff::new();
        loop {
            let item = take();
            if item.is_some() || self.gets.load(Acquire) == puts {
                return item;
            }
            // Somebody is in the middle of `put` or of `get`.
            backoff.snooze();
        }
    }

    /// A place is free again.
    #[inline]
    fn leave(&self) {
        self.gets.fetch_add(1, SeqCst);
        self.putters.notify::<WithinProcess>(1);
    }

    // ---- what is done

    pub(super) fn task_done(&self) -> Result<()> {
        if self.count_done() {
            return Ok(());
        }
        let text = "task_done() for more tasks than were put";
        Err(Error::new(ErrorKind::Misuse, text))
    }

    /// `false` if everything that was ever put is done already.
    fn count_done(&self) -> bool {
        let mut done = self.dones.load(Acquire);
        loop {
            let puts = self.puts.word.load(Acquire) / PUT;
            if done >= puts {
                return false;
            }
            match self
                .dones
                .compare_exchange_weak(done, done + 1, SeqCst, Acquire)
            {
                Ok(_) => {
                    // Of all who count, one comes to `puts`; if that has grown since, nobody may go on anyway.
                    if done + 1 == puts {
                        self.joiners.notify::<WithinProcess>(u32::MAX);
                    }
                    return true;
                }
                Err(now) => done = now,
            }
        }
    }

    pub(super) fn join(&self, deadline: impl FnOnce() -> Deadline) -> bool {
        let look = || (self.ahead_of(&self.dones) == 0).then_some(());
        look()
            .or_else(|| wait(&self.joiners, deadline(), look))
            .is_some()
    }

    // ---- the end

    pub(super) fn shutdown(&self, immediate: bool) {
        self.rules.state.fetch_or(ENDING, SeqCst);
        let word = self.puts.word.fetch_or(SHUT, SeqCst);
        if immediate {
            self.rules.state.fetch_or(EMPTIED, SeqCst);
        }
        self.getters.notify::<WithinProcess>(u32::MAX);
        self.putters.notify::<WithinProcess>(u32::MAX);
        if immediate {
            self.empty(word / PUT);
        }
    }

    /// Throws away what is left of `puts`. A destructor that panics keeps nothing from being dropped.
    fn empty(&self, puts: u64) {
        // All are taken out before the first is dropped: destructors that do the same find nothing.
        let left = || self.last_of(puts, || self.take_any());
        let items: Vec<S::Item> = std::iter::from_fn(left).collect();
        let mut panic = None;
        for item in items {
            let dropped = catch_unwind(AssertUnwindSafe(|| self.throw_away(item)));
            panic = panic.or(dropped.err());
        }
        if let Some(payload) = panic {
            resume_unwind(payload);
        }
    }

    /// Drops an item that nobody gets, which is done then.
    fn throw_away(&self, item: S::Item) {
        let _then = Finally(|| {
            self.count_done();
        });
        drop(item);
    }
}

fn or_empty<T>(found: Option<Result<T, TryGetError>>) -> Result<T, TryGetError> {
    found.unwrap_or(Err(TryGetError::Empty))
}

fn saturate(count: u64) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

/// How long to wait from now on, for those who wait.
pub(super) fn after(timeout: Duration) -> impl FnOnce() -> Deadline {
    move || Deadline::after(timeout)
}

/// Calls its function when it is dropped, by a panic too.
struct Finally<F: FnMut()>(F);

impl<F: FnMut()> Finally<F> {
    /// There was no panic.
    #[inline]
    fn cancel(self) {
        // Not dropped: that is the call.
        let _kept = ManuallyDrop::new(self);
    }
}

impl<F: FnMut()> Drop for Finally<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}
