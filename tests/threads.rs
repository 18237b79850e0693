//! The primitives between threads, with plain data under them: what Miri and ThreadSanitizer look at, who find every access that is not
//! ordered by them. An ordinary test as well.

use multiproc::threading::{
    Barrier, BoundedSemaphore, Condition, Event, Lock, RLock, RwLock, Semaphore,
};
use std::cell::UnsafeCell;
use std::thread;

/// Rounds of each thread: Miri takes its time.
const ROUNDS: u64 = if cfg!(miri) { 30 } else { 20_000 };

/// A number without any protection of its own.
struct Bare(UnsafeCell<u64>);

#[expect(unsafe_code, reason = "that it is protected is what is tested")]
// SAFETY: each test reaches the number only while it has the primitive that is tested, because that is what it is for.
unsafe impl Sync for Bare {}

impl Bare {
    fn new() -> Self {
        Self(UnsafeCell::new(0))
    }

    fn add(&self) {
        #[expect(unsafe_code, reason = "that it is protected is what is tested")]
        // SAFETY: nobody else has it, because the caller has the primitive that is tested.
        let number = unsafe { &mut *self.0.get() };
        *number += 1;
    }

    fn get(&self) -> u64 {
        #[expect(unsafe_code, reason = "that it is protected is what is tested")]
        // SAFETY: nobody writes it, because the caller has the primitive that is tested.
        let number = unsafe { &*self.0.get() };
        *number
    }
}

/// Lets `count` threads run `body` so many times, over a bare number that they add to.
fn run(count: u64, rounds: u64, body: impl Fn(&Bare, u64) + Sync) -> u64 {
    let bare = Bare::new();
    thread::scope(|scope| {
        for number in 0..count {
            let (bare, body) = (&bare, &body);
            scope.spawn(move || (0..rounds).for_each(|_| body(bare, number)));
        }
    });
    bare.get()
}

#[test]
fn lock() {
    let lock = Lock::new().unwrap();
    let sum = run(3, ROUNDS, |bare, number| {
        let guard = lock.acquire().unwrap();
        bare.add();
        if number == 0 {
            guard.forget();
            lock.release().unwrap();
        }
    });
    assert_eq!(sum, 3 * ROUNDS);
}

#[test]
fn rlock() {
    let lock = RLock::new().unwrap();
    let sum = run(3, ROUNDS, |bare, _| {
        let _outer = lock.acquire().unwrap();
        let _inner = lock.acquire().unwrap();
        bare.add();
    });
    assert_eq!(sum, 3 * ROUNDS);
}

#[test]
fn semaphore() {
    let semaphore = Semaphore::new(1).unwrap();
    let sum = run(3, ROUNDS, |bare, _| {
        let _permit = semaphore.acquire().unwrap();
        bare.add();
    });
    assert_eq!(sum, 3 * ROUNDS);
}

#[test]
fn bounded_semaphore() {
    let semaphore = BoundedSemaphore::new(1).unwrap();
    let sum = run(3, ROUNDS, |bare, number| {
        let permit = semaphore.acquire().unwrap();
        bare.add();
        if number == 0 {
            permit.forget();
            semaphore.release().unwrap();
        }
    });
    assert_eq!(sum, 3 * ROUNDS);
}

/// To and fro between two.
#[test]
fn event() {
    let turns = [Event::new().unwrap(), Event::new().unwrap()];
    turns[0].set().unwrap();
    let sum = run(2, ROUNDS, |bare, number| {
        let own = usize::from(number == 1);
        let other = 1 - own;
        turns[own].wait().unwrap();
        turns[own].clear().unwrap();
        bare.add();
        turns[other].set().unwrap();
    });
    assert_eq!(sum, 2 * ROUNDS);
}

#[test]
fn condition() {
    let condition = Condition::new().unwrap();
    let turn = Bare::new();
    let sum = run(2, ROUNDS, |bare, number| {
        let _guard = condition.acquire().unwrap();
        condition.wait_for(|| turn.get() % 2 == number).unwrap();
        bare.add();
        turn.add();
        assert!(condition.notify(1).unwrap() <= 1);
    });
    assert_eq!(sum, 2 * ROUNDS);
}

/// Whoever comes last adds before the others go on, and reads along with them.
#[test]
fn barrier() {
    let barrier = Barrier::new(3).unwrap();
    let sum = run(3, ROUNDS, |bare, _| {
        if barrier.wait().unwrap() == 2 {
            bare.add();
        }
        barrier.wait().unwrap();
        assert!(bare.get() > 0);
        barrier.wait().unwrap();
    });
    assert_eq!(sum, ROUNDS);
}

#[test]
fn rwlock() {
    let lock = RwLock::new().unwrap();
    let sum = run(3, ROUNDS, |bare, number| {
        if number == 0 {
            let _guard = lock.write().unwrap();
            bare.add();
        } else {
            let _guard = lock.read().unwrap();
            assert!(bare.get() <= ROUNDS);
        }
    });
    assert_eq!(sum, ROUNDS);
}
