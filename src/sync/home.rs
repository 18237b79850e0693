//! Where the words of a primitive live, and who may own them.

use crate::error::Result;
use crate::shm::layout::{Kind, Shared};
use crate::shm::{AcrossProcesses, Handle, Keeper, Lease, Taken, WithinProcess, handle, member};
use crate::sys::atomic::AtomicU32;
use crate::sys::clock::Deadline;
use crate::sys::thread;
use serde::{Deserializer, Serialize, Serializer};
use std::fmt::Debug;
use std::sync::Arc;

/// One of the two homes of a primitive. Sealed: there are no others.
pub trait Home: sealed::Place + Debug {}

impl Home for AcrossProcesses {}
impl Home for WithinProcess {}

/// The words of a lock.
#[repr(C, align(64))]
#[derive(Debug, Default)]
pub struct LockWords {
    pub(super) lease: Lease,
    /// 1 from the death of an owner until somebody says that the data is repaired. Written by the owner.
    pub(super) inconsistent: AtomicU32,
}

#[expect(unsafe_code, reason = "Shared is an unsafe trait")]
// SAFETY: atomics only.
unsafe impl Shared for LockWords {}

pub(super) mod sealed {
    use super::{Debug, LockWords, Result};

    /// What a home does for a lock.
    pub trait Place: Sized + 'static {
        /// A counted handle of the words.
        type Words: Clone + Debug + Send + Sync;
        /// New words, zero.
        fn create() -> Result<Self::Words>;
        /// The words behind a handle.
        fn words(of: &Self::Words) -> &LockWords;
        /// Are the words still those of this handle?
        fn check(of: &Self::Words) -> Result<()>;
        /// This thread as an owner.
        fn me() -> Result<u64>;
        /// May this thread let go of what `me` took?
        fn may_give(me: u64) -> bool;
        /// Takes the lease: `Some(true)` when its owner had died, `None` at the deadline.
        fn take(words: &LockWords, me: u64, deadline: super::DeadlineOrNow) -> Option<bool>;
        /// Lets go of the lease.
        fn give(words: &LockWords);
    }
}

/// How long to wait for a lease.
#[derive(Clone, Copy, Debug)]
pub struct DeadlineOrNow(pub(super) Option<Deadline>);

fn take<K: Keeper>(words: &LockWords, me: u64, deadline: DeadlineOrNow) -> Option<bool> {
    let taken = match deadline.0 {
        Some(deadline) => words.lease.take::<K>(me, deadline),
        None => words.lease.take_now::<K>(me),
    };
    taken.map(|taken| taken == Taken::OwnerDied)
}

impl sealed::Place for AcrossProcesses {
    type Words = LockHandle;

    fn create() -> Result<LockHandle> {
        Handle::create(Kind::Lock).map(LockHandle)
    }

    #[inline]
    fn words(of: &LockHandle) -> &LockWords {
        of.0.cell().body()
    }

    #[inline]
    fn check(of: &LockHandle) -> Result<()> {
        of.0.check()
    }

    #[inline]
    fn me() -> Result<u64> {
        member::me()
    }

    /// A child that was forked behind our back has the guard in its memory, but not the lock.
    #[inline]
    fn may_give(me: u64) -> bool {
        member::me().is_ok_and(|now| now == me)
    }

    #[inline]
    fn take(words: &LockWords, me: u64, deadline: DeadlineOrNow) -> Option<bool> {
        take::<Self>(words, me, deadline)
    }

    #[inline]
    fn give(words: &LockWords) {
        words.lease.give::<Self>();
    }
}

impl sealed::Place for WithinProcess {
    type Words = Arc<LockWords>;

    fn create() -> Result<Arc<LockWords>> {
        Ok(Arc::default())
    }

    #[inline]
    fn words(of: &Arc<LockWords>) -> &LockWords {
        of
    }

    #[inline]
    fn check(_of: &Arc<LockWords>) -> Result<()> {
        Ok(())
    }

    #[inline]
    fn me() -> Result<u64> {
        Ok(u64::from(thread::gettid()) << 1)
    }

    #[inline]
    fn may_give(_me: u64) -> bool {
        true
    }

    #[inline]
    fn take(words: &LockWords, me: u64, deadline: DeadlineOrNow) -> Option<bool> {
        take::<Self>(words, me, deadline)
    }

    #[inline]
    fn give(words: &LockWords) {
        words.lease.give::<Self>();
    }
}

/// A handle of the words of a lock in the arena.
#[derive(Clone, Debug)]
pub struct LockHandle(Handle);

impl Serialize for LockHandle {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> serde::Deserialize<'de> for LockHandle {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        handle::deserialize(deserializer, Kind::Lock).map(Self)
    }
}
