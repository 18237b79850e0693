//! What threads are given and give: stacks, values, and a number that two add to.

use crate::kit::kind;
use crate::runner::{Case, case, scaled};
use multiproc::threading::{self, Event, Lock, Thread};
use multiproc::{ErrorKind, Run};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Barrier};

pub(crate) fn tests() -> Vec<Case> {
    vec![
        case("thread_values::stacks", stacks),
        case("thread_values::values", values),
        case("thread_values::dropped_values", dropped_values),
        case("thread_values::a_value_is_run", a_value_is_run),
        case("thread_values::start_race", start_race),
        case("thread_values::two_add_with_a_lock", two_add_with_a_lock),
        case("thread_values::two_add_without", two_add_without),
    ]
}

fn started(closure: impl FnOnce() + Send + 'static) -> Thread {
    Thread::builder(closure).start().unwrap()
}

fn stacks() {
    assert_eq!(threading::stack_size(), 0);
    for wrong in [1, 4096, (32 << 10) - 1] {
        assert_eq!(
            kind(threading::set_stack_size(wrong)),
            ErrorKind::InvalidInput
        );
        let thread = Thread::builder(|| ()).stack_size(wrong).build();
        assert_eq!(kind(thread.start()), ErrorKind::InvalidInput);
        assert_eq!(kind(thread.join()), ErrorKind::Misuse);
        assert_eq!(threading::active_count(), 1);
    }
    for size in [32 << 10, (32 << 10) + 1, 262_144, 0] {
        threading::set_stack_size(size).unwrap();
        assert_eq!(threading::stack_size(), size);
        let thread = started(|| ());
        thread.join().unwrap();
    }
    // More than there is: refused by the system, and not listed.
    let absurd = Thread::builder(|| ()).stack_size(usize::MAX / 4).build();
    assert_eq!(kind(absurd.start()), ErrorKind::Os);
    assert!(!absurd.is_alive() && threading::active_count() == 1);
    let deep = Thread::builder(|| {
        let room = std::hint::black_box([0_u8; 16 << 20]);
        assert_eq!(room.len(), 16 << 20);
    });
    let deep = deep.stack_size(64 << 20).start().unwrap();
    deep.join().unwrap();
    assert!(deep.panic().is_none());
}

fn values() {
    let captured = String::from("captured");
    let handle = threading::spawn(move || captured.len()).unwrap();
    let thread = handle.thread().clone();
    assert_eq!(handle.join().unwrap(), 8);
    assert!(!thread.is_alive());
    let go = Event::new().unwrap();
    let waits = go.clone();
    let handle = threading::spawn(move || waits.wait().unwrap()).unwrap();
    assert!(!handle.is_finished());
    go.set().unwrap();
    handle.thread().join().unwrap();
    assert!(handle.is_finished());
    assert!(format!("{handle:?}").contains("stopped"));
    handle.join().unwrap();
    let handle = threading::spawn(|| -> u32 { std::panic::panic_any(7_u64) }).unwrap();
    let thread = handle.thread().clone();
    assert_eq!(
        *handle.join_unwind().unwrap_err().downcast::<u64>().unwrap(),
        7
    );
    assert!(thread.panic().unwrap().message().contains("not text"));
    let handle = threading::spawn(|| -> u32 { panic!("on purpose") }).unwrap();
    let error = handle.join().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Panicked);
    let remote = error.remote().unwrap();
    assert_eq!(remote.message(), "on purpose");
    assert_eq!(remote.thread(), Some("Thread-4"));
    assert_eq!(
        (remote.process(), remote.pid()),
        ("MainProcess", std::process::id())
    );
    assert!(remote.file().unwrap().ends_with("thread_values.rs") && remote.line().is_some());
    assert!(
        error
            .to_string()
            .starts_with("thread Thread-4 of process MainProcess")
    );
}

struct PanicsWhenDropped(Arc<AtomicU32>);

impl Drop for PanicsWhenDropped {
    fn drop(&mut self) {
        self.0.fetch_add(1, SeqCst);
        panic!("on purpose, in a destructor");
    }
}

/// A value that nobody asks for is dropped by its thread, also one that panics at it.
fn dropped_values() {
    let dropped = Arc::new(AtomicU32::new(0));
    let value = PanicsWhenDropped(Arc::clone(&dropped));
    let go = Event::new().unwrap();
    let waits = go.clone();
    let handle = threading::spawn(move || {
        waits.wait().unwrap();
        value
    });
    let thread = handle.unwrap().thread().clone();
    go.set().unwrap();
    thread.join().unwrap();
    assert_eq!(dropped.load(SeqCst), 1);
    assert!(thread.panic().is_none());
    let value = PanicsWhenDropped(Arc::clone(&dropped));
    let thread = started(move || drop(value));
    thread.join().unwrap();
    assert_eq!(dropped.load(SeqCst), 2);
    assert!(thread.panic().is_some());
}

struct Adds(Arc<AtomicU32>);

impl Run for Adds {
    fn run(&mut self) {
        self.0.fetch_add(1, SeqCst);
    }
}

fn a_value_is_run() {
    let sum = Arc::new(AtomicU32::new(0));
    let thread = Thread::from_run(Adds(Arc::clone(&sum)));
    assert_eq!(thread.name(), "Adds-1");
    assert_eq!(format!("{thread:?}"), "<Adds(Adds-1, initial)>");
    thread.start().unwrap();
    thread.join().unwrap();
    assert_eq!(sum.load(SeqCst), 1);
    assert_eq!(Arc::strong_count(&sum), 1);
}

/// Many start one thread: one of them does.
fn start_race() {
    for _ in 0..scaled(100) {
        let (runs, line) = (Arc::new(AtomicU32::new(0)), Arc::new(Barrier::new(4)));
        let counts = Arc::clone(&runs);
        let target = Thread::new(move || _ = counts.fetch_add(1, SeqCst));
        let starters: Vec<_> = (0..4)
            .map(|_| {
                let (target, line) = (target.clone(), Arc::clone(&line));
                std::thread::spawn(move || {
                    line.wait();
                    let started = target.start();
                    // Whoever started it, it was started.
                    target.join().unwrap();
                    u32::from(started.is_ok())
                })
            })
            .collect();
        let started: u32 = starters.into_iter().map(|one| one.join().unwrap()).sum();
        assert_eq!((started, runs.load(SeqCst)), (1, 1));
    }
}

/// The notes' experiment, with the lock: exactly two million.
fn two_add_with_a_lock() {
    const EACH: u64 = 1_000_000;
    let (sum, lock) = (Arc::new(AtomicU64::new(0)), Lock::new().unwrap());
    let threads = [(); 2].map(|()| {
        let (sum, lock) = (Arc::clone(&sum), lock.clone());
        started(move || {
            for _ in 0..EACH {
                let _guard = lock.acquire().unwrap();
                sum.store(sum.load(SeqCst) + 1, SeqCst);
            }
        })
    });
    for thread in &threads {
        thread.join().unwrap();
    }
    assert_eq!(sum.load(SeqCst), 2 * EACH);
}

/// Without it, by arrangement: both load before either stores, and one count is lost.
fn two_add_without() {
    let (sum, both) = (Arc::new(AtomicU64::new(0)), Arc::new(Barrier::new(2)));
    let threads = [(); 2].map(|()| {
        let (sum, both) = (Arc::clone(&sum), Arc::clone(&both));
        started(move || {
            let seen = sum.load(SeqCst);
            both.wait();
            sum.store(seen + 1, SeqCst);
        })
    });
    for thread in &threads {
        thread.join().unwrap();
    }
    assert_eq!(sum.load(SeqCst), 1);
}
