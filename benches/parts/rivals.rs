//! What the primitives are compared with: a round of each.

use super::contest::{Step, bump};
use super::crew::Work;
use super::memory::shared;
use super::posix::RobustMutex;
use super::sem::PosixSemaphore;
use std::io::{PipeReader, PipeWriter, Read, Write, pipe};
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::sync::{Arc, Barrier, Mutex};

pub(crate) fn parking_lot_mutex() -> impl Step {
    let mutex = Arc::new(parking_lot::Mutex::new(()));
    move |number: &AtomicU64| {
        let _guard = mutex.lock();
        bump(number);
    }
}

pub(crate) fn std_mutex() -> impl Step {
    let mutex = Arc::new(Mutex::new(()));
    move |number: &AtomicU64| {
        let _guard = mutex.lock().expect("not poisoned");
        bump(number);
    }
}

pub(crate) fn robust() -> impl Step {
    let mutex = RobustMutex::plain();
    move |number: &AtomicU64| mutex.with(|| bump(number))
}

pub(crate) fn robust_recursive() -> impl Step {
    let mutex = RobustMutex::recursive();
    move |number: &AtomicU64| mutex.with(|| bump(number))
}

/// Two levels.
pub(crate) fn robust_twice() -> impl Step {
    let mutex = RobustMutex::recursive();
    move |number: &AtomicU64| mutex.with(|| mutex.with(|| bump(number)))
}

/// A mutex and the number that it guards, side by side.
pub(crate) fn robust_number() -> impl Step {
    let (mutex, own) = (RobustMutex::plain(), shared(AtomicU64::new(0)));
    move |number: &AtomicU64| {
        mutex.with(|| {
            bump(own);
            bump(number);
        });
    }
}

pub(crate) fn sem_t() -> impl Step {
    let semaphore = PosixSemaphore::new(1);
    move |number: &AtomicU64| {
        semaphore.wait();
        bump(number);
        semaphore.post();
    }
}

pub(crate) fn parking_lot_read() -> impl Step {
    let lock = Arc::new(parking_lot::RwLock::new(()));
    move |number: &AtomicU64| {
        let _guard = lock.read();
        // Readers are in there together.
        number.fetch_add(1, Relaxed);
    }
}

pub(crate) fn parking_lot_write() -> impl Step {
    let lock = Arc::new(parking_lot::RwLock::new(()));
    move |number: &AtomicU64| {
        let _guard = lock.write();
        bump(number);
    }
}

/// An atomic in memory that is shared.
pub(crate) fn atomic() -> impl Step {
    let own = shared(AtomicU64::new(0));
    move |number: &AtomicU64| {
        own.fetch_add(1, Relaxed);
        number.fetch_add(1, Relaxed);
    }
}

// ---- hand-overs between two: member 0 begins, and a round is over when it is its turn again

/// Each looks at one word until it is its turn. Nothing can be faster.
pub(crate) fn spinning() -> impl Work {
    let turn = shared(AtomicUsize::new(0));
    move |member, rounds, number: &AtomicU64| {
        for _ in 0..rounds {
            while turn.load(Acquire) != member {
                std::hint::spin_loop();
            }
            bump(number);
            turn.store(1 - member, Release);
        }
    }
}

pub(crate) fn sem_t_trips() -> impl Work {
    let turns = [PosixSemaphore::new(1), PosixSemaphore::new(0)];
    move |member: usize, rounds, number: &AtomicU64| {
        for _ in 0..rounds {
            turns[member].wait();
            bump(number);
            turns[1 - member].post();
        }
    }
}

pub(crate) fn pipe_trips() -> impl Work {
    let pipes: [(PipeReader, PipeWriter); 2] = [pipe().expect("a pipe"), pipe().expect("a pipe")];
    let pipes = Arc::new(pipes);
    (&pipes[0].1).write_all(&[0]).expect("it has room");
    move |member: usize, rounds, number: &AtomicU64| {
        let (mut own, mut other) = (&pipes[member].0, &pipes[1 - member].1);
        for _ in 0..rounds {
            own.read_exact(&mut [0]).expect("it is open");
            bump(number);
            other.write_all(&[0]).expect("it is open");
        }
    }
}

/// They come together twice a round.
pub(crate) fn std_barrier() -> impl Work {
    let barrier = Arc::new(Barrier::new(2));
    move |member, rounds, number: &AtomicU64| {
        for _ in 0..rounds {
            for turn in 0..2 {
                if turn == member {
                    bump(number);
                }
                barrier.wait();
            }
        }
    }
}
