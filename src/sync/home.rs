//! Where the words of a primitive live, and who may own them.
#![expect(unsafe_code, reason = "Shared is an unsafe trait")]
//!
//! # Safety
//! [`Shared`] is implemented for structures of nothing but atomics.

use super::algorithm::{
    BarrierWords, BoundedWords, ConditionWords, EventWords, RwLockWords, SemaphoreWords,
};
use super::barrier::{Kept, Sent};
use super::holder::Holder;
use super::lock::LockWords;
use super::rlock::RLockWords;
use crate::error::{ErrorKind, Result};
use crate::shm::layout::{Kind, Shared};
use crate::shm::lease::member_of;
use crate::shm::{AcrossProcesses, Handle, Keeper, Threads, WithinProcess, handle, member};
use crate::sys::atomic::{AtomicU32, AtomicU64};
use crate::sys::thread;
use serde::de::DeserializeOwned;
use serde::{Deserializer, Serialize, Serializer};
use std::fmt::{self, Debug};
use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

/// One of the homes of a primitive. Sealed: there are no others.
pub trait Home: sealed::Place + Copy + Debug {}

impl Home for AcrossProcesses {}
impl Home for WithinProcess {}
impl Home for Threads {}

/// A home whose primitives can be arguments of what [`Process::new`](crate::Process::new) calls, and messages.
#[diagnostic::on_unimplemented(
    message = "a primitive between threads cannot be sent to another process",
    note = "`multiproc::Lock` and its like can, those of `multiproc::threading` cannot"
)]
pub trait Travels: Home<Action = Sent> {}

impl Travels for AcrossProcesses {}
impl Travels for Threads {}

/// The control words of a primitive; all zero is their first state.
pub trait Words: Shared + Default + Debug + Send + Sync + 'static {
    /// What lies in the cell.
    const KIND: Kind;
}

macro_rules! words {
    ($($words:ty: $kind:ident,)*) => { $(
        // SAFETY: atomics only, because no other field is in any of these structures.
        unsafe impl Shared for $words {}

        impl Words for $words {
            const KIND: Kind = Kind::$kind;
        }
    )* };
}

words! {
    LockWords: Lock,
    RLockWords: RLock,
    SemaphoreWords: Semaphore,
    BoundedWords: BoundedSemaphore,
    ConditionWords: Condition,
    EventWords: Event,
    BarrierWords: Barrier,
    RwLockWords: RwLock,
}

pub(super) mod sealed {
    use super::{
        AtomicU32, AtomicU64, Debug, DeserializeOwned, Holder, Keeper, Result, Serialize, Words,
    };

    /// What a home does for a primitive.
    pub trait Place: Keeper + Sized + Send + Sync + 'static {
        /// A counted handle of words. Whether a primitive serialises is said by [`Travels`](super::Travels).
        type Of<W: Words>: Clone + Debug + Send + Sync + Serialize + DeserializeOwned;
        /// New words, zero.
        fn create<W: Words>() -> Result<Self::Of<W>>;
        /// The words behind a handle.
        fn words<W: Words>(of: &Self::Of<W>) -> &W;
        /// Are the words still those of this handle?
        fn check<W: Words>(of: &Self::Of<W>) -> Result<()>;
        /// More words, zero at first, where those of `W` were not enough; none before [`grow`](Self::grow).
        fn more<W: Words>(of: &Self::Of<W>) -> &[AtomicU64];
        /// Makes `count` more words, if there are none yet.
        fn grow<W: Words>(of: &Self::Of<W>, count: usize) -> Result<()>;
        /// How many processes with a handle have died.
        fn deaths<W: Words>(of: &Self::Of<W>) -> &AtomicU32;
        /// Makes this process one that may use words, for verbs that need no owner.
        fn join() -> Result<()>;
        /// This thread as an owner.
        fn me() -> Result<u64>;
        /// May this thread let go of what `me` took?
        fn may_give(me: u64) -> bool;
        /// Is `me` a thread of this process?
        fn same_process(me: u64) -> bool;
        /// One more thread of this process, or one less, is at a barrier.
        fn come_to_barrier(comes: bool);
        /// What the parties of a barrier do together.
        type Action: Clone + Debug + Default + Send + Sync + Serialize + DeserializeOwned;
        /// Does it.
        fn act(action: &Self::Action) -> Result<()>;
        /// Who an owner is.
        fn holder(owner: u64) -> Option<Holder>;
    }
}

impl sealed::Place for AcrossProcesses {
    type Of<W: Words> = Remote<W>;

    fn create<W: Words>() -> Result<Remote<W>> {
        Handle::create(W::KIND).map(|handle| Remote(handle, PhantomData))
    }

    #[inline]
    fn words<W: Words>(of: &Remote<W>) -> &W {
        of.0.cell().body()
    }

    #[inline]
    fn check<W: Words>(of: &Remote<W>) -> Result<()> {
        of.0.check()
    }

    #[inline]
    fn more<W: Words>(of: &Remote<W>) -> &[AtomicU64] {
        of.0.more()
    }

    fn grow<W: Words>(of: &Remote<W>, count: usize) -> Result<()> {
        of.0.grow(count)
    }

    fn deaths<W: Words>(of: &Remote<W>) -> &AtomicU32 {
        &of.0.cell().deaths
    }

    #[inline]
    fn join() -> Result<()> {
        member::join()
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

    fn come_to_barrier(comes: bool) {
        member::come_to_barrier(comes);
    }

    type Action = Sent;

    fn act(action: &Sent) -> Result<()> {
        action.act()
    }

    #[inline]
    fn same_process(me: u64) -> bool {
        member::me().is_ok_and(|now| member_of(now) == member_of(me))
    }

    fn holder(owner: u64) -> Option<Holder> {
        Holder::across(owner)
    }
}

/// Words of this process alone, with an action `$action` for barriers.
macro_rules! place_of_threads {
    ($home:ty, $action:ty) => {
        impl sealed::Place for $home {
            type Of<W: Words> = Kin<W>;

            fn create<W: Words>() -> Result<Kin<W>> {
                Ok(Default::default())
            }

            #[inline]
            fn words<W: Words>(of: &Kin<W>) -> &W {
                &of.words
            }

            #[inline]
            fn check<W: Words>(_of: &Kin<W>) -> Result<()> {
                Ok(())
            }

            #[inline]
            fn more<W: Words>(of: &Kin<W>) -> &[AtomicU64] {
                of.more.get().map_or(&[], |more| more)
            }

            fn grow<W: Words>(of: &Kin<W>, count: usize) -> Result<()> {
                let more = || (0..count).map(|_| AtomicU64::new(0)).collect();
                let _there = of.more.get_or_init(more);
                Ok(())
            }

            fn deaths<W: Words>(of: &Kin<W>) -> &AtomicU32 {
                &of.deaths
            }

            #[inline]
            fn join() -> Result<()> {
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

            fn come_to_barrier(_comes: bool) {}

            type Action = $action;

            fn act(action: &$action) -> Result<()> {
                action.act()
            }

            #[inline]
            fn same_process(_me: u64) -> bool {
                true
            }

            fn holder(owner: u64) -> Option<Holder> {
                Some(Holder::within(owner))
            }
        }
    };
}

place_of_threads!(WithinProcess, Kept);
place_of_threads!(Threads, Sent);

/// A handle of words in the arena.
pub struct Remote<W>(Handle, PhantomData<fn() -> W>);

impl<W> Remote<W> {
    /// Which object it is.
    pub(super) fn name(&self) -> u64 {
        self.0.name()
    }
}

impl<W> Clone for Remote<W> {
    fn clone(&self) -> Self {
        Self(self.0.clone(), PhantomData)
    }
}

impl<W> Debug for Remote<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<W> Serialize for Remote<W> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de, W: Words> serde::Deserialize<'de> for Remote<W> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let handle = handle::deserialize(deserializer, W::KIND)?;
        Ok(Self(handle, PhantomData))
    }
}

/// A handle of words that threads share. It serialises, as far as the types say, for programs that are written for processes as well;
/// to do it is an error.
#[derive(Debug, Default)]
pub struct Kin<W>(Arc<Local<W>>);

impl<W> Clone for Kin<W> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<W> Deref for Kin<W> {
    type Target = Local<W>;

    fn deref(&self) -> &Local<W> {
        &self.0
    }
}

/// What is said where a handle of threads is to be sent to a process.
pub(crate) const STAYS: &str = "what threads share cannot be sent to another process";

impl<W> Serialize for Kin<W> {
    fn serialize<S: Serializer>(&self, _serializer: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom(STAYS))
    }
}

impl<'de, W> serde::Deserialize<'de> for Kin<W> {
    fn deserialize<D: Deserializer<'de>>(_deserializer: D) -> Result<Self, D::Error> {
        Err(serde::de::Error::custom(STAYS))
    }
}

/// Words of this process alone.
#[derive(Debug, Default)]
pub struct Local<W> {
    words: W,
    more: OnceLock<Box<[AtomicU64]>>,
    /// Nobody dies without the others.
    deaths: AtomicU32,
}

/// Refuses an argument.
pub(super) fn invalid<T>(text: impl Into<String>) -> Result<T> {
    Err(crate::error::Error::new(ErrorKind::InvalidInput, text))
}

/// Refuses a call.
pub(super) fn misuse<T>(text: &str) -> Result<T> {
    Err(crate::error::Error::new(ErrorKind::Misuse, text))
}
