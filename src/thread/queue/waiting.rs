//! How a thread waits at a gate: it looks for a while, then it sleeps.

use crate::shm::{Keeper, WithinProcess};
use crate::sync::Gate;
use crate::sys::clock::Deadline;
use crate::sys::thread;
use crossbeam::utils::Backoff;

/// Waits until `look` finds something; `None` when the deadline has come first.
///
/// After each sleep it looks once more, whatever ended the sleep: a wake-up that was meant for one thread is never thrown away.
#[cold]
pub(super) fn wait<R>(
    gate: &Gate,
    deadline: Deadline,
    mut look: impl FnMut() -> Option<R>,
) -> Option<R> {
    loop {
        let slice = WithinProcess::slice(deadline);
        if slice.is_zero() {
            return look();
        }
        let found = look_for_a_while(&mut look);
        if found.is_some() {
            return found;
        }
        let ticket = gate.arrive();
        let found = look();
        if found.is_some() {
            return found;
        }
        gate.sleep::<WithinProcess>(ticket, slice);
    }
}

/// What another CPU is about to do is seen long before a sleeper is awake. On a single one, looking keeps it from being done.
fn look_for_a_while<R>(look: &mut impl FnMut() -> Option<R>) -> Option<R> {
    let backoff = Backoff::new();
    loop {
        let found = look();
        if found.is_some() || backoff.is_completed() || thread::cpus() == 1 {
            return found;
        }
        backoff.snooze();
    }
}
