//! Waits that signals interrupt again and again: handlers run, and a wait becomes neither shorter nor longer.

use crate::kit::{asleep, elsewhere, kind};
use crate::runner::{Case, both_homes};
use multiproc::sync::{self, Home};
use multiproc::{Error, ErrorKind};
use nix::sys::signal::{SigHandler, Signal, signal};
use nix::unistd::gettid;
use std::mem::ManuallyDrop;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

pub(crate) fn tests() -> Vec<Case> {
    both_homes! {
        "struck::timed_waits" => timed_waits,
        "struck::patient_waits" => patient_waits,
    }
}

/// How often the handler has run.
pub(crate) static STRUCK: AtomicUsize = AtomicUsize::new(0);

extern "C" fn counts(_signal: i32) {
    STRUCK.fetch_add(1, SeqCst);
}

/// A thread that can be struck.
#[derive(Clone, Copy)]
struct Target(nix::libc::pthread_t);

/// The calling thread, prepared.
fn target() -> Target {
    #[expect(unsafe_code, reason = "a handler is the test")]
    // SAFETY: the handler adds to an atomic, because that is allowed in one.
    unsafe { signal(Signal::SIGUSR1, SigHandler::Handler(counts)) }.unwrap();
    #[expect(unsafe_code, reason = "nix does not name threads")]
    // SAFETY: it has no preconditions, because it asks for the calling thread.
    Target(unsafe { nix::libc::pthread_self() })
}

impl Target {
    fn strike(self) {
        #[expect(unsafe_code, reason = "a signal for one thread")]
        // SAFETY: the thread lives, because it is the main thread of a test whose scope the caller is in.
        let code = unsafe { nix::libc::pthread_kill(self.0, nix::libc::SIGUSR1) };
        assert_eq!(code, 0);
        std::thread::yield_now();
    }
}

/// Signals come more often than the time is long: if each began it anew, the wait would never end.
fn timed_waits<H: Home>() {
    let (lock, recursive) = (
        sync::Lock::<H>::new().unwrap(),
        sync::RLock::<H>::new().unwrap(),
    );
    let (semaphore, bounded) = (
        sync::Semaphore::<H>::new(0).unwrap(),
        sync::BoundedSemaphore::<H>::new(0).unwrap(),
    );
    let (shared, event) = (
        sync::RwLock::<H>::new().unwrap(),
        sync::Event::<H>::new().unwrap(),
    );
    let (condition, barrier) = (
        sync::Condition::<H>::new().unwrap(),
        sync::Barrier::<H>::new(2).unwrap(),
    );
    elsewhere(|| {
        lock.acquire().unwrap().forget();
        recursive.acquire().unwrap().forget();
        let _kept = ManuallyDrop::new(shared.write().unwrap());
    });
    let guard = condition.acquire().unwrap();
    let time = Duration::from_millis(70);
    let (busy, broken) = (ErrorKind::Busy, ErrorKind::BrokenBarrier);
    while_struck(|| {
        lasts(|| kind(lock.acquire_timeout(time).map_err(Error::from)) == busy);
        lasts(|| kind(recursive.acquire_timeout(time).map_err(Error::from)) == busy);
        lasts(|| kind(semaphore.acquire_timeout(time)) == busy);
        lasts(|| kind(bounded.acquire_timeout(time)) == busy);
        lasts(|| kind(shared.read_timeout(time).map_err(Error::from)) == busy);
        lasts(|| kind(shared.write_timeout(time).map_err(Error::from)) == busy);
        lasts(|| !event.wait_timeout(time).unwrap());
        lasts(|| !condition.wait_timeout(time).unwrap());
        lasts(|| !condition.wait_for_timeout(time, || false).unwrap());
        lasts(|| kind(barrier.wait_timeout(time)) == broken);
    });
    drop(guard);
    println!("struck {} times", STRUCK.load(SeqCst));
}

/// Calls `body` while another thread strikes this one.
pub(crate) fn while_struck(body: impl FnOnce()) {
    let (me, stop) = (target(), AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(SeqCst) {
                me.strike();
            }
        });
        while STRUCK.load(SeqCst) == 0 {
            std::thread::yield_now();
        }
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(body));
        stop.store(true, SeqCst);
        assert!(result.is_ok());
    });
}

/// It was as expected, and not too early.
#[track_caller]
pub(crate) fn lasts(as_expected: impl FnOnce() -> bool) {
    let before = Instant::now();
    assert!(as_expected());
    assert!(before.elapsed() >= Duration::from_millis(70), "too early");
}

/// Only what it waits for ends a wait without a time.
fn patient_waits<H: Home>() {
    let (lock, semaphore) = (
        sync::Lock::<H>::new().unwrap(),
        sync::Semaphore::<H>::new(0).unwrap(),
    );
    let (event, condition) = (
        sync::Event::<H>::new().unwrap(),
        sync::Condition::<H>::new().unwrap(),
    );
    let barrier = sync::Barrier::<H>::new(2).unwrap();
    lock.acquire().unwrap().forget();
    ends_by(|| drop(lock.acquire().unwrap()), || lock.release().unwrap());
    let gives = || semaphore.release().unwrap();
    ends_by(|| semaphore.acquire().unwrap().forget(), gives);
    ends_by(|| event.wait().unwrap(), || event.set().unwrap());
    let notified = || {
        let _guard = condition.acquire().unwrap();
        condition.wait().unwrap();
    };
    let notifies = || {
        let _guard = condition.acquire().unwrap();
        assert_eq!(condition.notify_all().unwrap(), 1);
    };
    ends_by(notified, notifies);
    let comes = || drop(barrier.wait().unwrap().to_string());
    ends_by(comes, comes);
}

/// This thread waits, is struck many times and still waits, and goes on after `gives`.
pub(crate) fn ends_by(waits: impl FnOnce(), gives: impl FnOnce() + Send) {
    let (me, thread, given) = (target(), gettid(), AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            asleep(thread);
            for _ in 0..200 {
                me.strike();
            }
            given.store(true, SeqCst);
            gives();
        });
        waits();
        assert!(given.load(SeqCst), "too early");
    });
}
