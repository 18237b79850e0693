//! Threads: what they are called, what is known of them, who may start and join them, and when they have ended.

use crate::kit::{await_alone, kind};
use crate::runner::{Case, case, scaled};
use multiproc::ErrorKind;
use multiproc::threading::{self, Event, Semaphore, Thread};
use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, mpsc};
use std::time::Duration;

pub(crate) fn tests() -> Vec<Case> {
    vec![
        case("thread::names", names),
        case("thread::name_of_the_system", name_of_the_system),
        case("thread::what_is_known", what_is_known),
        case("thread::many_at_once", many_at_once),
        case("thread::foreign_threads", foreign_threads),
        case("thread::foreign_at_the_very_end", foreign_at_the_very_end),
        case("thread::daemon_is_inherited", daemon_is_inherited),
        case("thread::representation", representation),
        case("thread::the_main_thread", the_main_thread),
        case("thread::misuse", misuse),
        case("thread::joined_by_many", joined_by_many),
        case("thread::join_with_a_time", join_with_a_time),
        case("thread::joined_ones_are_gone", joined_ones_are_gone),
        case("thread::join_waits_for_variables", join_waits_for_variables),
        case("thread::nothing_leaks", nothing_leaks),
        case("thread::started_by_a_thread", started_by_a_thread),
    ]
}

/// A thread that waits until the event is set.
fn waiter(go: &Event) -> Thread {
    let go = go.clone();
    Thread::new(move || go.wait().unwrap())
}

fn started(closure: impl FnOnce() + Send + 'static) -> Thread {
    Thread::builder(closure).start().unwrap()
}

fn work() {}

fn names() {
    assert_eq!(Thread::new(|| ()).name(), "Thread-1");
    assert_eq!(Thread::new(work).name(), "Thread-2 (work)");
    assert_eq!(Thread::with_args(work, ()).name(), "Thread-3 (work)");
    let captured = 5;
    let closure = move |more: i32| assert_eq!(captured + more, 7);
    let thread = Thread::with_args(closure, (2,));
    assert_eq!(thread.name(), "Thread-4");
    thread.start().unwrap();
    thread.join().unwrap();
    assert!(thread.panic().is_none());
    let named = Thread::builder(work).name("mine").build();
    assert_eq!(named.name(), "mine");
    named.set_name("yours");
    assert_eq!(named.clone().name(), "yours");
    assert_eq!(Thread::new(|| ()).name(), "Thread-5");
    let odd = Thread::builder(|| ()).name("with\0zero").start().unwrap();
    odd.join().unwrap();
    assert_eq!(odd.name(), "with\0zero");
    Thread::builder(|| ())
        .name("")
        .start()
        .unwrap()
        .join()
        .unwrap();
}

fn comm(thread: &Thread) -> String {
    let number = thread.native_id().unwrap();
    let name = std::fs::read_to_string(format!("/proc/self/task/{number}/comm"));
    name.unwrap().trim_end().to_owned()
}

fn name_of_the_system() {
    let go = Event::new().unwrap();
    let thread = waiter(&go);
    thread.set_name("ünïcödé-thread-name");
    thread.start().unwrap();
    // Fifteen bytes, and no half of a letter.
    assert_eq!(comm(&thread), "ünïcödé-thr");
    thread.set_name("other");
    assert_eq!(comm(&thread), "other");
    // The name of the main thread is the process's.
    let (main, own) = (threading::main_thread(), comm(&threading::main_thread()));
    main.set_name("director");
    assert_eq!(comm(&main), own);
    assert_eq!(threading::current_thread().name(), "director");
    go.set().unwrap();
    thread.join().unwrap();
    thread.set_name("late");
    assert_eq!(thread.name(), "late");
}

fn what_is_known() {
    let thread = Thread::new(|| ());
    assert_eq!((thread.ident(), thread.native_id()), (None, None));
    assert!(!thread.is_alive());
    let (told, hears) = mpsc::channel();
    let go = Event::new().unwrap();
    let waits = go.clone();
    let thread = started(move || {
        let here = threading::current_thread();
        told.send((here, threading::get_ident(), threading::get_native_id()))
            .unwrap();
        waits.wait().unwrap();
    });
    let (here, ident, number) = hears.recv().unwrap();
    assert_eq!(here, thread);
    assert_eq!(thread.ident(), Some(ident));
    assert_eq!(thread.native_id(), Some(number));
    assert!(ident != 0 && ident != threading::get_ident());
    assert!(thread.is_alive() && threading::enumerate().contains(&thread));
    assert_eq!(threading::active_count(), 2);
    go.set().unwrap();
    thread.join().unwrap();
    assert!(!thread.is_alive() && !threading::enumerate().contains(&thread));
    assert_eq!(thread.ident(), Some(ident));
    assert_eq!(threading::active_count(), 1);
}

/// CPython's test_various_ops: ten threads, three at once.
fn many_at_once() {
    for stack in [0, 256 << 10, 1 << 20] {
        threading::set_stack_size(stack).unwrap();
        let room = Semaphore::new(3).unwrap();
        let (running, most) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
        let threads: Vec<Thread> = (0..10)
            .map(|number| {
                let (room, running, most) = (room.clone(), running.clone(), most.clone());
                let body = move || {
                    let _place = room.acquire().unwrap();
                    most.fetch_max(running.fetch_add(1, SeqCst) + 1, SeqCst);
                    std::thread::yield_now();
                    running.fetch_sub(1, SeqCst);
                };
                let thread = Thread::builder(body).name(format!("thread {number}"));
                thread.start().unwrap()
            })
            .collect();
        let numbers: HashSet<u64> = threads
            .iter()
            .map(|thread| thread.ident().unwrap())
            .collect();
        assert!(!numbers.contains(&0));
        for thread in &threads {
            thread.join().unwrap();
            assert!(!thread.is_alive() && thread.panic().is_none());
        }
        assert!(most.load(SeqCst) <= 3);
        assert_eq!(running.load(SeqCst), 0);
        assert_eq!(threading::active_count(), 1);
    }
}

fn foreign_threads() {
    let foreign = std::thread::spawn(|| {
        let count = threading::active_count();
        let here = threading::current_thread();
        assert_eq!(threading::active_count(), count + 1);
        assert!(here.name().starts_with("Dummy-"), "{}", here.name());
        assert!(here.daemon() && here.is_alive());
        assert_eq!(here, threading::current_thread());
        assert!(threading::enumerate().contains(&here));
        assert_eq!(here.ident(), Some(threading::get_ident()));
        assert_eq!(kind(here.join()), ErrorKind::Misuse);
        assert_eq!(kind(here.start()), ErrorKind::Misuse);
        assert_eq!(kind(here.set_daemon(false)), ErrorKind::Misuse);
        here
    });
    let foreign = foreign.join().unwrap();
    assert!(!foreign.is_alive());
    assert_eq!(threading::enumerate(), [threading::main_thread()]);
    assert_eq!(
        kind(foreign.join_timeout(Duration::ZERO)),
        ErrorKind::Misuse
    );
    assert!(!format!("{foreign:?}").contains("started"));
}

thread_local! {
    static LAST: Asks = const { Asks };
}

/// Asks for its thread when the variables of that are dropped.
struct Asks;

impl Drop for Asks {
    fn drop(&mut self) {
        let here = threading::current_thread();
        assert!(here.is_alive() || here.panic().is_none());
        assert_eq!(here.ident(), Some(threading::get_ident()));
        let _joined = here.join().unwrap_err();
    }
}

/// Destructors of variables ask before and after our own variables are gone.
fn foreign_at_the_very_end() {
    for ask_first in [false, true] {
        let body = move || {
            if ask_first {
                LAST.with(|_| ());
            }
            let _here = threading::current_thread();
            LAST.with(|_| ());
        };
        std::thread::spawn(body).join().unwrap();
        started(body).join().unwrap();
        assert_eq!(threading::enumerate(), [threading::main_thread()]);
    }
}

fn daemon_is_inherited() {
    let asks = || Thread::new(|| ()).daemon();
    assert!(!asks());
    for daemon in [false, true] {
        let handle = Arc::new(AtomicBool::new(!daemon));
        let told = Arc::clone(&handle);
        let thread = Thread::new(move || told.store(asks(), SeqCst));
        thread.set_daemon(daemon).unwrap();
        thread.start().unwrap();
        thread.join().unwrap();
        assert_eq!(handle.load(SeqCst), daemon);
    }
    // Threads made elsewhere are daemons.
    assert!(std::thread::spawn(asks).join().unwrap());
    let explicit = Thread::builder(|| ()).daemon(true).build();
    assert!(explicit.daemon());
}

fn representation() {
    let go = Event::new().unwrap();
    let thread = waiter(&go);
    assert_eq!(format!("{thread:?}"), "<Thread(Thread-1, initial)>");
    thread.set_daemon(true).unwrap();
    assert_eq!(format!("{thread:?}"), "<Thread(Thread-1, initial daemon)>");
    thread.start().unwrap();
    let ident = thread.ident().unwrap();
    assert_eq!(
        format!("{thread:?}"),
        format!("<Thread(Thread-1, started daemon {ident})>")
    );
    go.set().unwrap();
    thread.join().unwrap();
    assert_eq!(
        format!("{thread:?}"),
        format!("<Thread(Thread-1, stopped daemon {ident})>")
    );
    let main = format!("<_MainThread(MainThread, started {})>", std::process::id());
    assert_eq!(format!("{:?}", threading::main_thread()), main);
    let timer = threading::Timer::new(Duration::MAX, || ());
    assert_eq!(format!("{timer:?}"), "<Timer(Thread-2, initial)>");
    let builder = format!("{:?}", Thread::builder(|| ()).name("built"));
    assert!(builder.contains("built"), "{builder}");
}

fn the_main_thread() {
    let main = threading::main_thread();
    assert_eq!(main, threading::current_thread());
    assert_eq!(main.name(), "MainThread");
    assert!(main.is_alive() && !main.daemon());
    assert_eq!(main.native_id(), Some(std::process::id()));
    let asks = || (threading::main_thread(), threading::current_thread());
    let handle = threading::spawn(asks).unwrap();
    let (same, other) = handle.join().unwrap();
    assert!(same == main && other != main);
    assert_eq!(kind(main.join()), ErrorKind::Misuse);
    assert_eq!(kind(main.start()), ErrorKind::Misuse);
    assert_eq!(kind(main.set_daemon(true)), ErrorKind::Misuse);
    // Others may wait for it, and do not live to see it.
    let waits = threading::spawn(move || main.join_timeout(Duration::ZERO).unwrap());
    assert!(!waits.unwrap().join().unwrap());
}

fn misuse() {
    let thread = Thread::new(|| ());
    assert_eq!(kind(thread.join()), ErrorKind::Misuse);
    assert_eq!(kind(thread.join_timeout(Duration::MAX)), ErrorKind::Misuse);
    thread.start().unwrap();
    for _ in 0..2 {
        assert_eq!(kind(thread.start()), ErrorKind::Misuse);
        assert_eq!(kind(thread.set_daemon(true)), ErrorKind::Misuse);
        thread.join().unwrap();
    }
    let (told, hears) = mpsc::channel();
    let own = started(move || {
        let here = threading::current_thread();
        told.send((here.join(), here.join_timeout(Duration::ZERO), here.start()))
            .unwrap();
    });
    let (join, timed, start) = hears.recv().unwrap();
    assert_eq!(kind(join), ErrorKind::Misuse);
    assert_eq!(kind(timed), ErrorKind::Misuse);
    assert_eq!(kind(start), ErrorKind::Misuse);
    own.join().unwrap();
    own.join().unwrap();
    // While somebody else joins it.
    let go = Event::new().unwrap();
    let waits = go.clone();
    let handle = threading::spawn(move || {
        waits.wait().unwrap();
        kind(threading::current_thread().join())
    });
    let handle = handle.unwrap();
    let target = handle.thread().clone();
    let joins = threading::spawn(move || target.join().unwrap()).unwrap();
    go.set().unwrap();
    assert_eq!(handle.join().unwrap(), ErrorKind::Misuse);
    joins.join().unwrap();
}

fn joined_by_many() {
    let go = Event::new().unwrap();
    let target = waiter(&go);
    target.start().unwrap();
    let joiners: Vec<_> = (0..8)
        .map(|number| {
            let target = target.clone();
            threading::spawn(move || {
                match number % 2 {
                    0 => target.join().unwrap(),
                    _ => assert!(target.join_timeout(Duration::MAX).unwrap()),
                }
                assert!(!target.is_alive());
                assert!(!threading::enumerate().contains(&target));
            })
        })
        .collect();
    go.set().unwrap();
    for joiner in joiners {
        joiner.unwrap().join().unwrap();
    }
    target.join().unwrap();
}

fn join_with_a_time() {
    let go = Event::new().unwrap();
    let thread = waiter(&go);
    thread.start().unwrap();
    for time in [
        Duration::ZERO,
        Duration::from_nanos(1),
        Duration::from_millis(20),
    ] {
        assert!(!thread.join_timeout(time).unwrap());
        assert!(thread.is_alive());
    }
    go.set().unwrap();
    assert!(thread.join_timeout(Duration::MAX).unwrap());
    assert!(thread.join_timeout(Duration::ZERO).unwrap());
}

/// CPython's test_enumerate_after_join. In the system it is gone as `pthread_join` says it; its number is, a little later.
fn joined_ones_are_gone() {
    for _ in 0..scaled(300) {
        let thread = started(|| ());
        thread.join().unwrap();
        assert!(!threading::enumerate().contains(&thread));
        await_alone();
    }
}

struct Told(Arc<AtomicU32>);

impl Drop for Told {
    fn drop(&mut self) {
        for _ in 0..100 {
            std::thread::yield_now();
        }
        self.0.fetch_add(1, SeqCst);
    }
}

thread_local! {
    static VARIABLE: std::cell::RefCell<Option<Told>> = const { std::cell::RefCell::new(None) };
}

fn join_waits_for_variables() {
    let dropped = Arc::new(AtomicU32::new(0));
    for round in 0..scaled(100) {
        let told = Told(Arc::clone(&dropped));
        let thread = started(move || {
            VARIABLE
                .with(|place| place.replace(Some(told)))
                .map_or((), drop)
        });
        thread.join().unwrap();
        assert_eq!(dropped.load(SeqCst), round + 1);
    }
}

/// The captures go with the function, not with the handle; and a thread that nobody joins leaves nothing.
fn nothing_leaks() {
    let counted = Arc::new(());
    let capture = Arc::clone(&counted);
    let thread = started(move || drop(capture));
    thread.join().unwrap();
    assert_eq!(Arc::strong_count(&counted), 1);
    let capture = Arc::clone(&counted);
    drop(Thread::new(move || drop(capture)));
    assert_eq!(Arc::strong_count(&counted), 1);
    let capture = Arc::clone(&counted);
    let panics = started(move || {
        let _capture = capture;
        std::panic::resume_unwind(Box::new("silent"))
    });
    panics.join().unwrap();
    assert_eq!(Arc::strong_count(&counted), 1);
    let maps = || {
        std::fs::read_to_string("/proc/self/maps")
            .unwrap()
            .lines()
            .count()
    };
    let unjoined = || {
        let (told, hears) = mpsc::channel::<()>();
        drop(started(move || drop(told)));
        hears.recv().unwrap_err();
        while threading::active_count() > 1 {
            std::thread::yield_now();
        }
    };
    (0..20).for_each(|_| unjoined());
    let before = maps();
    (0..scaled(500)).for_each(|_| unjoined());
    assert!(maps() < before + 100, "stacks of threads stay");
}

fn started_by_a_thread() {
    let (told, hears) = mpsc::channel();
    let outer = started(move || {
        let told = told.clone();
        let inner = started(move || told.send(threading::active_count()).unwrap());
        inner.join().unwrap();
    });
    assert_eq!(hears.recv().unwrap(), 3);
    outer.join().unwrap();
}
