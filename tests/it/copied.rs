//! Primitives of one process in a fork of it behind our back: the child has copies, and they are its own.

use crate::kit::{elsewhere, fork_behind_our_back, kind};
use crate::runner::{Case, case};
use crate::sleepers::sleeper;
use multiproc::ErrorKind;
use multiproc::threading::{
    Barrier, BoundedSemaphore, Condition, Event, Lock, RLock, RwLock, Semaphore,
};
use nix::sys::wait::{WaitStatus, waitpid};
use std::time::Duration;

pub(crate) fn tests() -> Vec<Case> {
    vec![
        case("copied::guards", guards),
        case("copied::given_up", given_up),
        case("copied::without_owners", without_owners),
        case("copied::held_by_another_thread", by_another_thread),
    ]
}

/// Runs it in a fork; what it asserts fails the test.
#[track_caller]
fn in_a_fork(body: impl FnOnce()) {
    let fork = fork_behind_our_back(body);
    assert_eq!(waitpid(fork, None).unwrap(), WaitStatus::Exited(fork, 0));
}

/// The child drops its copies of guards: its locks are free, and it can have them anew.
fn guards() {
    let (lock, recursive, shared) = (
        Lock::new().unwrap(),
        RLock::new().unwrap(),
        [(); 2].map(|()| RwLock::new().unwrap()),
    );
    let (semaphore, bounded) = (
        Semaphore::new(1).unwrap(),
        BoundedSemaphore::new(1).unwrap(),
    );
    let locks = || (lock.acquire().unwrap(), recursive.acquire().unwrap());
    let shares = || (shared[0].read().unwrap(), shared[1].write().unwrap());
    let permits = || (semaphore.acquire().unwrap(), bounded.acquire().unwrap());
    let mut copies = Some((locks(), shares(), permits()));
    let free = || {
        let none = lock.locked() || recursive.locked() || shared[1].locked();
        !none && (shared[0].readers(), semaphore.value(), bounded.value()) == (0, 1, 1)
    };
    in_a_fork(|| {
        assert!(lock.locked() && recursive.locked() && shared[0].readers() == 1);
        drop(copies.take());
        assert!(free());
        drop((locks(), shares(), permits()));
        elsewhere(|| drop((locks(), shares(), permits())));
        assert!(free());
    });
    assert!(lock.locked() && recursive.level() == 1 && shared[1].locked());
    assert_eq!(
        (shared[0].readers(), semaphore.value(), bounded.value()),
        (1, 0, 0)
    );
    drop(copies);
    assert!(free());
}

fn given_up() {
    let (lock, bounded) = (Lock::new().unwrap(), BoundedSemaphore::new(2).unwrap());
    lock.acquire().unwrap().forget();
    bounded.acquire().unwrap().forget();
    in_a_fork(|| {
        lock.release().unwrap();
        bounded.release().unwrap();
        assert_eq!(kind(lock.release()), ErrorKind::Misuse);
        assert_eq!(kind(bounded.release()), ErrorKind::Misuse);
        drop(lock.try_acquire().unwrap());
    });
    assert!(lock.locked());
    assert_eq!(bounded.value(), 1);
    lock.release().unwrap();
    bounded.release().unwrap();
}

/// What one sets, gives or breaks is not set, given or broken in the other.
fn without_owners() {
    let (event, semaphore) = (Event::new().unwrap(), Semaphore::new(1).unwrap());
    let (barrier, condition) = (Barrier::new(1).unwrap(), Condition::new().unwrap());
    in_a_fork(|| {
        event.set().unwrap();
        semaphore.release_many(5).unwrap();
        barrier.abort().unwrap();
        let guard = condition.acquire().unwrap();
        assert_eq!(condition.notify_all().unwrap(), 0);
        assert!(!condition.wait_timeout(Duration::from_millis(5)).unwrap());
        assert_eq!(
            (event.is_set(), semaphore.value(), barrier.broken()),
            (true, 6, true)
        );
        // It ends with the lock.
        guard.forget();
    });
    assert_eq!(
        (event.is_set(), semaphore.value(), barrier.broken()),
        (false, 1, false)
    );
    assert_eq!(barrier.wait().unwrap(), 0);
    drop(condition.try_acquire().unwrap());
}

/// Nobody lets go of it in the child, where that thread is not; a wait with a timeout comes to its end.
fn by_another_thread() {
    let (lock, stop) = (Lock::new().unwrap(), Event::new().unwrap());
    std::thread::scope(|scope| {
        let holder = sleeper(scope, || {
            let _guard = lock.acquire().unwrap();
            stop.wait().unwrap();
        });
        in_a_fork(|| {
            assert!(lock.locked());
            let late = lock.acquire_timeout(Duration::from_millis(120));
            assert!(late.is_err());
            assert_eq!(kind(lock.release()), ErrorKind::Misuse);
            // Python's answer: a new lock in the place of the old one.
            let lock = Lock::new().unwrap();
            drop(lock.acquire().unwrap());
        });
        stop.set().unwrap();
        holder.join().unwrap();
    });
    drop(lock.try_acquire().unwrap());
}
