//! Everything that has one owner: whoever dies, the next one gets it, and hears of the death if the dead one owned it.
//!
//! The scenes are the same for each; [`Owned`] says what the verbs are called.

use crate::row::{Keep, Scene};
use crate::survivor::{Holder, News, PATIENCE, Waiter, acquires, started, warm};
use crate::tracee::section;
use multiproc::{Lock, Process};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::marker::PhantomData;
use std::time::Duration;

/// What can be owned, by the verbs of one side: a reader and a writer own the same object in different ways.
pub(crate) trait Owned:
    Clone + Serialize + DeserializeOwned + Send + Sync + 'static
{
    type Guard<'a>;
    /// The side that excludes this one: the survivor's.
    type Against: Owned;

    fn make() -> Self;
    fn against(&self) -> Self::Against;
    /// Waits for it; whoever died with it, it is said to be repaired.
    fn acquire(&self) -> (News, Self::Guard<'_>);
    /// `None` when the time is over.
    fn acquire_timeout(&self, timeout: Duration) -> Option<(News, Self::Guard<'_>)>;
    /// Does anybody own it in this way?
    fn is_owned(&self) -> bool;

    /// Does [`is_owned`](Self::is_owned) tell the very step? A writer that shows may still, or already, not be alone.
    const EXACT: bool = true;
}

/// What an [`Owned`] answers, from what the verb of the crate answered.
macro_rules! heard {
    ($result:expr, $error:ident) => {
        match $result {
            Ok(guard) => (News::None, guard),
            Err($error::OwnerDied(news)) => (News::OwnerDied, news.repaired()),
            Err(error) => panic!("it cannot be had: {error}"),
        }
    };
}

/// The same within a time.
macro_rules! heard_in_time {
    ($result:expr) => {
        match $result {
            Err(TryAcquireError::Busy) => None,
            other => Some(heard!(other, TryAcquireError)),
        }
    };
}

pub(crate) use {heard, heard_in_time};

/// Acquires it and gives it back.
pub(crate) fn acquire_once<O: Owned>(object: &O) -> News {
    let (news, _guard) = object.acquire_timeout(PATIENCE).expect("it can be had");
    news
}

/// A thread that waits for it, and says what it heard.
pub(crate) fn waiter<O: Owned>(object: &O) -> Waiter<News> {
    let object = object.clone();
    Waiter::asleep_in(move || object.acquire().0)
}

/// In the child: the section is one `acquire`.
fn acquires_in_section<O: Owned>(object: O, taken: Lock) {
    warm(&taken);
    let _guard = section(|| object.acquire());
}

/// In the child: the section is the release of what was acquired before.
fn releases_in_section<O: Owned>(object: O, taken: Lock) {
    warm(&taken);
    let guard = object.acquire();
    section(|| drop(guard));
}

/// The object, and whether the child was its owner when it was last looked at.
struct Held<O> {
    object: O,
    by_child: bool,
}

impl<O: Owned> Held<O> {
    fn new() -> Self {
        Self {
            object: O::make(),
            by_child: false,
        }
    }

    fn look(&mut self) {
        self.by_child = self.object.is_owned();
    }

    /// The survivor hears of the child's death if the child was the owner.
    fn check(self, left: bool) {
        let heard = acquires(&self.object.against());
        self.heard(heard, left);
    }

    fn heard(&self, heard: News, left: bool) {
        let told = heard == News::OwnerDied;
        assert!(!told || self.by_child, "nobody died with it");
        let sure = self.by_child && (O::EXACT || left);
        assert!(told || !sure, "nobody was told");
    }
}

pub(crate) struct AcquireFree<O>(Held<O>);

impl<O: Owned> Scene for AcquireFree<O> {
    fn prepare() -> Self {
        Self(Held::new())
    }

    fn start(&self, keep: &Keep) -> Process {
        started(acquires_in_section::<O>, &self.0.object, keep)
    }

    fn last_look(&mut self) {
        self.0.look();
    }

    fn check(self, left: bool) {
        assert!(!left || self.0.by_child);
        self.0.check(left);
    }
}

pub(crate) struct ReleaseFree<O>(Held<O>);

impl<O: Owned> Scene for ReleaseFree<O> {
    fn prepare() -> Self {
        Self(Held::new())
    }

    fn start(&self, keep: &Keep) -> Process {
        started(releases_in_section::<O>, &self.0.object, keep)
    }

    fn last_look(&mut self) {
        self.0.look();
    }

    fn check(self, left: bool) {
        assert!(!left || !self.0.by_child);
        self.0.check(left);
    }
}

/// A thread of the survivor is the owner, until the child sleeps.
struct Taken<O> {
    held: Held<O>,
    holder: Holder,
    released: bool,
}

impl<O: Owned> Taken<O> {
    fn new() -> Self {
        let held = Held::<O>::new();
        Self {
            holder: Holder::of(&held.object.against()),
            held,
            released: false,
        }
    }

    fn release(&mut self) {
        self.released = true;
        self.holder.release();
    }

    fn look(&mut self) {
        self.held.by_child = self.released && self.held.object.is_owned();
    }
}

pub(crate) struct AcquireTaken<O>(Taken<O>);

impl<O: Owned> Scene for AcquireTaken<O> {
    const SLEEPS: bool = true;

    fn prepare() -> Self {
        Self(Taken::new())
    }

    fn start(&self, keep: &Keep) -> Process {
        started(acquires_in_section::<O>, &self.0.held.object, keep)
    }

    fn asleep(&mut self) {
        self.0.release();
    }

    fn last_look(&mut self) {
        self.0.look();
    }

    fn check(mut self, left: bool) {
        assert!(!left || self.0.held.by_child);
        self.0.release();
        self.0.held.check(left);
    }
}

/// The child sleeps, then a thread of the survivor too; the release wakes the child, who was first.
pub(crate) struct AcquireAmongTwo<O> {
    taken: Taken<O>,
    other: Option<Waiter<News>>,
}

impl<O: Owned> Scene for AcquireAmongTwo<O> {
    const SLEEPS: bool = true;

    fn prepare() -> Self {
        Self {
            taken: Taken::new(),
            other: None,
        }
    }

    fn start(&self, keep: &Keep) -> Process {
        started(acquires_in_section::<O>, &self.taken.held.object, keep)
    }

    fn asleep(&mut self) {
        if self.other.is_none() {
            self.other = Some(waiter(&self.taken.held.object));
            self.taken.release();
        }
    }

    fn last_look(&mut self) {
        self.taken.released &= self.other.as_ref().is_none_or(Waiter::waits);
        self.taken.look();
    }

    fn check(mut self, left: bool) {
        self.taken.release();
        match self.other {
            // It was the next one, so the news was its own.
            Some(other) => self.taken.held.heard(other.result(), left),
            None => self.taken.held.check(left),
        }
    }
}

pub(crate) struct TimesOut<O>(Taken<O>);

impl<O: Owned> Scene for TimesOut<O> {
    fn prepare() -> Self {
        Self(Taken::new())
    }

    fn start(&self, keep: &Keep) -> Process {
        fn times_out<O: Owned>(object: O, taken: Lock) {
            warm(&taken);
            let busy = section(|| object.acquire_timeout(Duration::from_millis(80)).is_none());
            assert!(busy);
        }
        started(times_out::<O>, &self.0.held.object, keep)
    }

    fn check(mut self, left: bool) {
        self.0.release();
        self.0.held.check(left);
    }
}

pub(crate) struct ReleaseWithSleeper<O: Owned> {
    held: Held<O>,
    sleeper: Option<Waiter<News>>,
    kind: PhantomData<O::Against>,
}

impl<O: Owned> Scene for ReleaseWithSleeper<O> {
    fn prepare() -> Self {
        Self {
            held: Held::new(),
            sleeper: None,
            kind: PhantomData,
        }
    }

    fn start(&self, keep: &Keep) -> Process {
        started(releases_in_section::<O>, &self.held.object, keep)
    }

    fn entered(&mut self) {
        self.sleeper = Some(waiter(&self.held.object.against()));
    }

    fn last_look(&mut self) {
        let sleeps = self.sleeper.as_ref().is_some_and(Waiter::waits);
        self.held.by_child = sleeps && self.held.object.is_owned();
    }

    fn check(self, left: bool) {
        let heard = self.sleeper.unwrap().result();
        // Between the last look and the kill the sleeper may have taken what was free, never what was not.
        self.held.heard(heard, left);
        assert_eq!(acquires(&self.held.object.against()), News::None);
    }
}

/// The owner before the child died too.
pub(crate) struct TakeOver<O>(Held<O>);

impl<O: Owned> Scene for TakeOver<O> {
    fn prepare() -> Self {
        fn dies<O: Owned>(object: O) {
            let _guard = object.acquire();
            std::process::abort();
        }
        let held = Held::<O>::new();
        let arguments = (held.object.clone(),);
        let first = Process::builder(dies::<O>, arguments).start().unwrap();
        assert_eq!(first.join().unwrap(), -6);
        Self(held)
    }

    fn start(&self, keep: &Keep) -> Process {
        fn takes_over<O: Owned>(object: O, taken: Lock) {
            warm(&taken);
            let news = section(|| object.against().acquire().0);
            assert_eq!(news, News::OwnerDied);
        }
        started(takes_over::<O>, &self.0.object, keep)
    }

    fn last_look(&mut self) {
        let taken_over = self.0.object.against().is_owned();
        self.0.by_child = taken_over || self.0.object.is_owned();
    }

    fn check(self, left: bool) {
        let news = acquires(&self.0.object.against());
        // Whoever owned it, the first or the child, died with it, until the child had repaired and released it.
        let sure = self.0.by_child && O::EXACT && O::Against::EXACT;
        assert!(!sure || news == News::OwnerDied, "nobody was told");
        assert!(!left || news == News::None, "it was repaired");
    }
}
