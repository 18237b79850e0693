//! Deadlines: a duration becomes a point on the monotonic clock once, at the public edge.

use std::time::{Duration, Instant};

/// The monotonic clock in hundredths of a second, the same in all processes; it wraps after more than a year.
pub(crate) fn hundredths() -> u32 {
    let time = nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC);
    let hundredths = time.map_or(0, |time| time.tv_sec() * 100 + time.tv_nsec() / 10_000_000);
    u32::try_from(hundredths & 0xffff_ffff).unwrap_or(0)
}

/// A point in time at which a wait gives up, or never.
#[derive(Clone, Copy, Debug)]
pub struct Deadline(When);

#[derive(Clone, Copy, Debug)]
enum When {
    Now,
    At(Instant),
    Never,
}

impl Deadline {
    /// Waits for ever.
    pub(crate) const NEVER: Self = Self(When::Never);

    /// Does not wait. Costs no look at the clock.
    pub(crate) const fn now() -> Self {
        Self(When::Now)
    }

    /// `timeout` from now; what overflows the clock is for ever.
    pub(crate) fn after(timeout: Duration) -> Self {
        Self(
            Instant::now()
                .checked_add(timeout)
                .map_or(When::Never, When::At),
        )
    }

    /// The same, but not before `least` from now.
    pub(crate) fn or_later(self, least: Duration) -> Self {
        let least = Instant::now() + least;
        match self.0 {
            When::Now => Self(When::At(least)),
            When::At(at) => Self(When::At(at.max(least))),
            When::Never => self,
        }
    }

    /// The same, but not after `most`.
    pub(crate) fn or_earlier(self, most: Instant) -> Self {
        match self.0 {
            When::Now => self,
            When::At(at) => Self(When::At(at.min(most))),
            When::Never => Self(When::At(most)),
        }
    }

    /// What is left, at most `slice`; zero when the deadline has passed.
    pub(crate) fn slice(self, slice: Duration) -> Duration {
        self.left().map_or(slice, |left| left.min(slice))
    }

    /// What is left, `None` for ever.
    pub(crate) fn left(self) -> Option<Duration> {
        match self.0 {
            When::Now => Some(Duration::ZERO),
            When::At(at) => Some(at.saturating_duration_since(Instant::now())),
            When::Never => None,
        }
    }

    pub(crate) fn passed(self) -> bool {
        match self.0 {
            When::Now => true,
            When::At(at) => Instant::now() >= at,
            When::Never => false,
        }
    }
}
