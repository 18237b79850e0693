//! Threads that begin, end, are joined, named and cancelled: small, for Miri and `ThreadSanitizer`, and for plain `#[test]`.

use multiproc::ErrorKind;
use multiproc::threading::{self, Event, Thread, Timer};
use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

/// How often a small thing is done.
const ROUNDS: u32 = if cfg!(miri) { 4 } else { 200 };

fn started(closure: impl FnOnce() + Send + 'static) -> Thread {
    Thread::builder(closure).start().expect("there is room")
}

/// What a thread wrote is seen by whoever joined it, by any of the ways: relaxed atomics suffice.
#[test]
fn joined_by_many() {
    for _ in 0..ROUNDS {
        let written = Arc::new(AtomicU32::new(0));
        let writes = Arc::clone(&written);
        let target = started(move || writes.store(1, Relaxed));
        let joiners = [0, 1, 2].map(|way| {
            let (target, written) = (target.clone(), Arc::clone(&written));
            threading::spawn(move || {
                match way {
                    0 => target.join().expect("it was started"),
                    1 => assert!(target.join_timeout(Duration::MAX).expect("it was started")),
                    _ => {
                        while target.is_alive() {
                            std::thread::yield_now();
                        }
                    }
                }
                assert!(!threading::enumerate().contains(&target));
                written.load(Relaxed)
            })
        });
        for joiner in joiners {
            let joiner = joiner.expect("there is room");
            assert_eq!(joiner.join().expect("no panic"), 1);
        }
    }
}

struct Counts(Arc<AtomicU32>);

impl Drop for Counts {
    fn drop(&mut self) {
        self.0.store(self.0.load(Relaxed) + 1, Relaxed);
    }
}

thread_local! {
    static VARIABLE: Cell<Option<Counts>> = const { Cell::new(None) };
}

/// The variables of a joined thread are dropped, and that is seen too.
#[test]
fn variables_are_dropped() {
    let count = Arc::new(AtomicU32::new(0));
    for round in 1..=ROUNDS {
        let counts = Counts(Arc::clone(&count));
        let thread = started(|| VARIABLE.set(Some(counts)));
        thread.join().expect("it was started");
        assert_eq!(count.load(Relaxed), round);
    }
}

#[test]
fn values_and_panics() {
    for round in 0..ROUNDS {
        let value = threading::spawn(move || vec![round]).expect("there is room");
        assert_eq!(value.join().expect("no panic"), [round]);
        let dropped = threading::spawn(|| vec![1]).expect("there is room");
        drop(dropped);
        let panics = threading::spawn(|| std::panic::resume_unwind(Box::new("on purpose")));
        let panics: Result<(), _> = panics.expect("there is room").join();
        assert_eq!(panics.expect_err("a panic").kind(), ErrorKind::Panicked);
    }
}

#[test]
fn one_of_many_starts_it() {
    for _ in 0..ROUNDS {
        let thread = Thread::new(|| ());
        let starters = [(); 3].map(|()| {
            let thread = thread.clone();
            std::thread::spawn(move || thread.start().is_ok())
        });
        let started = starters.map(|one| one.join().expect("no panic"));
        assert_eq!(started.iter().filter(|&&started| started).count(), 1);
        thread.join().expect("it was started");
    }
}

#[test]
fn named_while_it_runs() {
    let go = Event::new().expect("threads have room");
    let waits = go.clone();
    let thread = started(move || {
        waits.wait().expect("it is there");
        let _name = threading::current_thread().name();
    });
    for round in 0..ROUNDS {
        thread.set_name(format!("round {round}"));
        assert_eq!(thread.name(), format!("round {round}"));
    }
    go.set().expect("it is there");
    thread.join().expect("it was started");
}

#[test]
fn timers() {
    for round in 0..ROUNDS {
        let count = Arc::new(AtomicU32::new(0));
        let counts = Counts(Arc::clone(&count));
        let wait = Duration::from_micros(u64::from(round % 7) * 20);
        let timer = Timer::new(wait, move || drop(counts));
        timer.start().expect("there is room");
        let cancelled = timer.cancel();
        timer.join().expect("it was started");
        // Called or not, what it has captured is gone.
        assert_eq!(count.load(Relaxed), 1);
        assert!(timer.is_finished() && timer.cancel() == cancelled);
    }
}

#[test]
fn foreign_ones_come_and_go() {
    for _ in 0..ROUNDS {
        let foreign = std::thread::spawn(threading::current_thread);
        let foreign = foreign.join().expect("no panic");
        assert!(!foreign.is_alive() && foreign.name().starts_with("Dummy-"));
        assert!(!threading::enumerate().contains(&foreign));
    }
}
