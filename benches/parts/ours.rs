//! A round of each primitive, between processes (`across`) and between threads (`within`): the same lines for both homes.

use super::contest::{Step, bump};
use super::crew::Work;
use super::memory::shared;
use multiproc::{RawValue, Value};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU64, AtomicUsize};

macro_rules! home {
    ($name:ident, $($path:ident)::+) => {
        pub(crate) mod $name {
            use super::{AtomicU64, AtomicUsize, Relaxed, Step, Work, bump, shared};
            use $($path)::+ as home;

            pub(crate) fn lock() -> impl Step {
                let lock = home::Lock::new().expect("a lock");
                move |number: &AtomicU64| {
                    let _guard = lock.acquire().expect("nobody died with it");
                    bump(number);
                }
            }

            pub(crate) fn rlock() -> impl Step {
                let lock = home::RLock::new().expect("a lock");
                move |number: &AtomicU64| {
                    let _guard = lock.acquire().expect("nobody died with it");
                    bump(number);
                }
            }

            /// Two levels.
            pub(crate) fn rlock_twice() -> impl Step {
                let lock = home::RLock::new().expect("a lock");
                move |number: &AtomicU64| {
                    let _outer = lock.acquire().expect("nobody died with it");
                    let _inner = lock.acquire().expect("nobody died with it");
                    bump(number);
                }
            }

            pub(crate) fn semaphore() -> impl Step {
                let semaphore = home::Semaphore::new(1).expect("a semaphore");
                move |number: &AtomicU64| {
                    let _permit = semaphore.acquire().expect("not stale");
                    bump(number);
                }
            }

            pub(crate) fn bounded() -> impl Step {
                let semaphore = home::BoundedSemaphore::new(1).expect("a semaphore");
                move |number: &AtomicU64| {
                    let _permit = semaphore.acquire().expect("not stale");
                    bump(number);
                }
            }

            pub(crate) fn read() -> impl Step {
                let lock = home::RwLock::new().expect("a lock");
                move |number: &AtomicU64| {
                    let _guard = lock.read().expect("nobody died with it");
                    // Readers are in there together.
                    number.fetch_add(1, Relaxed);
                }
            }

            pub(crate) fn write() -> impl Step {
                let lock = home::RwLock::new().expect("a lock");
                move |number: &AtomicU64| {
                    let _guard = lock.write().expect("nobody died with it");
                    bump(number);
                }
            }

            /// Nobody waits for it.
            pub(crate) fn set_and_clear() -> impl Step {
                let event = home::Event::new().expect("an event");
                move |number: &AtomicU64| {
                    event.set().expect("not stale");
                    event.clear().expect("not stale");
                    bump(number);
                }
            }

            /// Nobody waits for it.
            pub(crate) fn notify() -> impl Step {
                let condition = home::Condition::new().expect("a condition");
                move |number: &AtomicU64| {
                    let _guard = condition.acquire().expect("nobody died with it");
                    bump(number);
                    condition.notify(1).expect("the lock is ours");
                }
            }

            // ---- hand-overs between two: member 0 begins, and a round is over when it is its turn again

            pub(crate) fn event() -> impl Work {
                let event = || home::Event::new().expect("an event");
                let turns = [event(), event()];
                turns[0].set().expect("not stale");
                move |member: usize, rounds, number: &AtomicU64| {
                    for _ in 0..rounds {
                        turns[member].wait().expect("not stale");
                        turns[member].clear().expect("not stale");
                        bump(number);
                        turns[1 - member].set().expect("not stale");
                    }
                }
            }

            pub(crate) fn condition() -> impl Work {
                let condition = home::Condition::new().expect("a condition");
                let turn = shared(AtomicUsize::new(0));
                move |member: usize, rounds, number: &AtomicU64| {
                    for _ in 0..rounds {
                        let _guard = condition.acquire().expect("nobody died with it");
                        let own_turn = || turn.load(Relaxed) == member;
                        condition.wait_for(own_turn).expect("nobody died with it");
                        bump(number);
                        turn.store(1 - member, Relaxed);
                        condition.notify(1).expect("the lock is ours");
                    }
                }
            }

            pub(crate) fn semaphores() -> impl Work {
                let semaphore = |value| home::Semaphore::new(value).expect("a semaphore");
                let turns = [semaphore(1), semaphore(0)];
                move |member: usize, rounds, number: &AtomicU64| {
                    for _ in 0..rounds {
                        turns[member].acquire().expect("not stale").forget();
                        bump(number);
                        turns[1 - member].release().expect("there is room");
                    }
                }
            }

            /// They come together twice a round.
            pub(crate) fn barrier() -> impl Work {
                let barrier = home::Barrier::new(2).expect("a barrier");
                move |member, rounds, number: &AtomicU64| {
                    for _ in 0..rounds {
                        for turn in 0..2 {
                            if turn == member {
                                bump(number);
                            }
                            barrier.wait().expect("nobody broke it");
                        }
                    }
                }
            }
        }
    };
}

home!(across, multiproc);
home!(within, multiproc::threading);

pub(crate) fn value_update() -> impl Step {
    let value = Value::new(0_u64).expect("a value");
    move |number: &AtomicU64| {
        let add = |own: &mut u64| {
            *own += 1;
            bump(number);
        };
        value.update(add).expect("nobody died with it");
    }
}

pub(crate) fn raw_fetch_add() -> impl Step {
    let value = RawValue::new(0_u64).expect("a value");
    move |number: &AtomicU64| {
        value.fetch_add(1).expect("not stale");
        number.fetch_add(1, Relaxed);
    }
}
