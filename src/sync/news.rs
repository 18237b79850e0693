//! What a lock says beside its guard: that somebody else has it, or that its last owner died.

use crate::error::{Error, ErrorKind};
use std::fmt;

pub(crate) mod sealed {
    /// What a guard does with the news.
    pub trait Repair {
        /// What the lock protects is in order again.
        fn say_repaired(&self);
    }
}

/// The guards that can come with the news of a death. Sealed: they are this crate's.
pub trait Guard: sealed::Repair {}

impl<G: sealed::Repair> Guard for G {}

/// The lock is yours, and its last owner died with it: look at what it protects before you go on.
///
/// Dropped without [`repaired`](Self::repaired), the lock is given back and the next one to acquire it hears the news too.
#[derive(Debug)]
#[must_use = "say `repaired` to go on with the lock"]
pub struct OwnerDied<G: Guard> {
    guard: G,
}

impl<G: Guard> OwnerDied<G> {
    pub(crate) fn new(guard: G) -> Self {
        Self { guard }
    }

    /// Says that what the lock protects is in order again, and goes on as its owner.
    pub fn repaired(self) -> G {
        self.guard.say_repaired();
        self.guard
    }

    /// The guard; the next one hears the news too.
    pub(crate) fn unrepaired(self) -> G {
        self.guard
    }
}

/// Why a verb that waits did not simply answer with the guard.
#[derive(Debug)]
pub enum AcquireError<G: Guard> {
    /// You have the lock, and its last owner died.
    OwnerDied(OwnerDied<G>),
    /// The lock cannot be had: its object is gone, or this process cannot join the family.
    Failed(Error),
}

/// Why a verb that does not wait, or not for ever, did not simply answer with the guard.
#[derive(Debug)]
pub enum TryAcquireError<G: Guard> {
    /// Somebody else owns it.
    Busy,
    /// You have the lock, and its last owner died.
    OwnerDied(OwnerDied<G>),
    /// The lock cannot be had.
    Failed(Error),
}

impl<G: Guard> TryAcquireError<G> {
    /// For one that has waited for ever.
    pub(crate) fn patient(self) -> AcquireError<G> {
        match self {
            Self::OwnerDied(news) => AcquireError::OwnerDied(news),
            Self::Failed(error) => AcquireError::Failed(error),
            Self::Busy => AcquireError::Failed(ErrorKind::Busy.into()),
        }
    }
}

/// Puts another guard around the one that was had, with or without news.
pub(crate) fn with_guard<G: Guard, H: Guard>(
    taken: Result<G, TryAcquireError<G>>,
    around: impl FnOnce(G) -> Result<H, Error>,
) -> Result<H, TryAcquireError<H>> {
    let (guard, news) = match taken {
        Ok(guard) => (guard, false),
        Err(TryAcquireError::OwnerDied(news)) => (news.unrepaired(), true),
        Err(TryAcquireError::Busy) => return Err(TryAcquireError::Busy),
        Err(TryAcquireError::Failed(error)) => return Err(TryAcquireError::Failed(error)),
    };
    let guard = around(guard).map_err(TryAcquireError::Failed)?;
    if news {
        Err(TryAcquireError::OwnerDied(OwnerDied::new(guard)))
    } else {
        Ok(guard)
    }
}

impl<G: Guard> From<AcquireError<G>> for Error {
    fn from(error: AcquireError<G>) -> Self {
        match error {
            AcquireError::OwnerDied(_) => ErrorKind::OwnerDied.into(),
            AcquireError::Failed(error) => error,
        }
    }
}

impl<G: Guard> From<TryAcquireError<G>> for Error {
    fn from(error: TryAcquireError<G>) -> Self {
        match error {
            TryAcquireError::Busy => ErrorKind::Busy.into(),
            TryAcquireError::OwnerDied(_) => ErrorKind::OwnerDied.into(),
            TryAcquireError::Failed(error) => error,
        }
    }
}

impl<G: Guard> fmt::Display for AcquireError<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OwnerDied(_) => f.write_str("the owner of the lock died"),
            Self::Failed(error) => error.fmt(f),
        }
    }
}

impl<G: Guard> fmt::Display for TryAcquireError<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Busy => f.write_str("somebody else owns the lock"),
            Self::OwnerDied(_) => f.write_str("the owner of the lock died"),
            Self::Failed(error) => error.fmt(f),
        }
    }
}

impl<G: Guard + fmt::Debug> std::error::Error for AcquireError<G> {}
impl<G: Guard + fmt::Debug> std::error::Error for TryAcquireError<G> {}
