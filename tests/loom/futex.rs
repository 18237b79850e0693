//! A futex of loom's own means: who sleeps is in a list.

use crate::shm::Keeper;
use crate::sys::atomic::{AtomicU64, SeqCst};
use crate::sys::clock::Deadline;
use loom::sync::{Condvar, Mutex};
use std::time::Duration;

#[derive(Default)]
struct Sleepers {
    /// Address and number of each.
    asleep: Vec<(usize, u32)>,
    last: u32,
}

loom::lazy_static! {
    static ref SLEEPERS: Mutex<Sleepers> = Mutex::new(Sleepers::default());
    static ref WOKEN: Condvar = Condvar::new();
}

/// The home of this test: threads.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Threads;

fn address(word: &AtomicU64) -> usize {
    (&raw const *word).addr()
}

impl Keeper for Threads {
    type Internal = Self;

    fn slice(deadline: Deadline) -> Duration {
        deadline.slice(Duration::MAX)
    }

    fn sleep(word: &AtomicU64, expected: u64, _timeout: Duration) {
        let mut sleepers = SLEEPERS.lock().unwrap();
        // Under the lock, as the kernel compares.
        if word.load(SeqCst) as u32 != expected as u32 {
            return;
        }
        sleepers.last += 1;
        let me = (address(word), sleepers.last);
        sleepers.asleep.push(me);
        while sleepers.asleep.contains(&me) {
            sleepers = WOKEN.wait(sleepers).unwrap();
        }
    }

    fn wake(word: &AtomicU64, count: u32) -> u32 {
        let mut sleepers = SLEEPERS.lock().unwrap();
        let mut woken = 0;
        sleepers.asleep.retain(|&(at, _)| {
            let wakes = at == address(word) && woken < count;
            woken += u32::from(wakes);
            !wakes
        });
        if woken > 0 {
            WOKEN.notify_all();
        }
        woken
    }

    fn known_dead(_owner: u64) -> bool {
        false
    }

    fn proved_dead(_owner: u64) -> bool {
        false
    }
}
