//! How a thread waits at a gate: it looks for a while, then it sleeps.

use crate::shm::lease::spins;
use crate::shm::{Keeper, WithinProcess};
use crate::sync::Gate;
use crate::sys::clock::Deadline;

/// The longest time between two looks, in pauses of the processor.
const MOST_PAUSES: u32 = 16;

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

/// What another CPU is about to do is seen long before a sleeper is awake; on a single one, looking keeps it from being done. Ever more seldom,
/// because a look takes the cache line away from the other side, who works in it; and without giving up the CPU, for on a busy machine
/// it would come back late.
fn look_for_a_while<R>(look: &mut impl FnMut() -> Option<R>) -> Option<R> {
    let mut spins = spins();
    let mut pauses = 1;
    loop {
        let found = look();
        if found.is_some() || spins == 0 {
            return found;
        }
        spins = spins.saturating_sub(pauses);
        for _ in 0..pauses {
            std::hint::spin_loop();
        }
        pauses = (2 * pauses).min(MOST_PAUSES);
    }
}
