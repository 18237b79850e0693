//! Who is told of a panic in a thread; timers; and threads that the system refuses.

use crate::hostile::become_nobody;
use crate::kit::{await_alone, kind};
use crate::runner::{Case, case, program, program_command, scaled};
use crate::ways::{each, fine, start_by};
use multiproc::threading::{self, Event, ExceptHookArgs, Thread, Timer};
use multiproc::{ErrorKind, Queue, RemoteError};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, Barrier, mpsc};
use std::time::{Duration, Instant};

pub(crate) fn tests() -> Vec<Case> {
    vec![
        case("thread_hooks::told", told),
        case("thread_hooks::told_by_hand", told_by_hand),
        case("thread_hooks::values_are_not_told", values_are_not_told),
        case("thread_hooks::in_children", in_children),
        case("thread_hooks::others_wait_meanwhile", others_wait),
        case("thread_hooks::what_is_printed", what_is_printed),
        case("thread_hooks::children_name_the_thread", children_name_it),
        case("thread_hooks::of_other_threads", of_other_threads),
        case("thread_hooks::timer_fires", timer_fires),
        case("thread_hooks::timer_is_cancelled", timer_is_cancelled),
        case("thread_hooks::timer_race", timer_race),
        case("thread_hooks::absurd_timers", absurd_timers),
        case("thread_hooks::no_room_for_threads", no_room),
        program("thread_hooks::usual", usual),
        program("thread_hooks::in_every_child", panics_in_children),
        program("thread_hooks::custom", custom),
        program("thread_hooks::failing", failing),
        program("thread_hooks::taken_away", taken_away),
        program("thread_hooks::by_hand", by_hand),
        program("thread_hooks::limited", limited),
    ]
}

fn panicking(name: &str) -> Thread {
    let panics = || panic!("the panic of a thread");
    Thread::builder(panics).name(name).build()
}

fn run(thread: &Thread) {
    thread.start().unwrap();
    thread.join().unwrap();
}

/// On the thread itself, while it lives, with its name and what it said.
fn told() {
    let (says, hears) = mpsc::channel();
    threading::set_excepthook(move |args| {
        let thread = args.thread().unwrap().clone();
        assert!(thread == threading::current_thread() && thread.is_alive());
        assert_eq!(thread.panic().as_ref(), Some(args.panic()));
        says.send((thread, args.panic().clone())).unwrap();
    });
    let thread = panicking("unlucky");
    run(&thread);
    let (same, panic) = hears.recv().unwrap();
    assert_eq!(same, thread);
    assert_eq!(panic.message(), "the panic of a thread");
    assert_eq!(panic.thread(), Some("unlucky"));
    assert!(panic.file().unwrap().ends_with("thread_hooks.rs"));
    run(&Thread::new(|| ()));
    assert!(hears.try_recv().is_err());
    let odd = Thread::new(|| std::panic::panic_any(5));
    run(&odd);
    assert!(hears.recv().unwrap().1.message().contains("not text"));
    // What is caught in the thread is nobody's business.
    run(&Thread::new(|| {
        drop(std::panic::catch_unwind(|| panic!("caught")))
    }));
    assert!(hears.try_recv().is_err());
    threading::reset_excepthook();
    run(&panicking("unheard"));
    assert!(hears.recv().is_err(), "the hook is dropped");
}

fn told_by_hand() {
    let thread = panicking("unlucky");
    run(&thread);
    let panic: RemoteError = thread.panic().unwrap();
    let count = Arc::new(AtomicU32::new(0));
    let counts = Arc::clone(&count);
    threading::set_excepthook(move |args| {
        let named = u32::from(args.thread().is_some());
        counts.fetch_add(1 + 10 * named, SeqCst);
    });
    threading::excepthook(&ExceptHookArgs::new(None, &panic));
    threading::excepthook(&ExceptHookArgs::new(Some(&thread), &panic));
    assert_eq!(count.load(SeqCst), 12);
}

fn values_are_not_told() {
    threading::set_excepthook(|_| unreachable!("who joins is told"));
    let handle = threading::spawn(|| -> u32 { panic!("on purpose") }).unwrap();
    assert_eq!(kind(handle.join()), ErrorKind::Panicked);
}

fn tells_of_a_panic(told: Queue<String>) {
    threading::set_excepthook(move |args| told.put(args.panic().to_string()).unwrap());
    run(&panicking("unlucky"));
}

/// A fork keeps the hook, other children set their own.
fn in_children() {
    each(|method| {
        let told = Queue::new().unwrap();
        fine(&start_by(method, tells_of_a_panic, (told.clone(),)));
        let text = told.get().unwrap();
        assert!(
            text.starts_with("thread unlucky of process Process-"),
            "{text}"
        );
    });
    let told = Queue::new().unwrap();
    let hears = told.clone();
    threading::set_excepthook(move |args| told.put(args.panic().message().to_owned()).unwrap());
    let mut process = multiproc::Process::fork(|| run(&panicking("copied")));
    process.start().unwrap();
    fine(&process);
    assert_eq!(hears.get().unwrap(), "the panic of a thread");
    threading::reset_excepthook();
}

/// A thread panics while others wait for it: all of them go on.
fn others_wait() {
    threading::set_excepthook(|_| ());
    let go = Event::new().unwrap();
    let waits = go.clone();
    let unlucky = Thread::new(move || {
        waits.wait().unwrap();
        panic!("on purpose");
    });
    unlucky.start().unwrap();
    let joiners = [(); 4].map(|()| {
        let unlucky = unlucky.clone();
        threading::spawn(move || {
            unlucky.join().unwrap();
            unlucky.panic().unwrap().message().to_owned()
        })
    });
    go.set().unwrap();
    for joiner in joiners {
        assert_eq!(joiner.unwrap().join().unwrap(), "on purpose");
    }
}

fn usual() {
    run(&panicking("unlucky"));
}

fn custom() {
    threading::set_excepthook(|args| println!("hook: {}", args.panic().message()));
    run(&panicking("unlucky"));
}

fn failing() {
    threading::set_excepthook(|_| panic!("the panic of the hook"));
    run(&panicking("unlucky"));
    println!("still here");
}

/// The hook that was there when it panicked is not when it ends.
fn taken_away() {
    struct Resets;
    impl Drop for Resets {
        fn drop(&mut self) {
            threading::reset_excepthook();
        }
    }
    threading::set_excepthook(|_| unreachable!("it was taken away"));
    let panics = || {
        let _resets = Resets;
        panic!("the panic of a thread");
    };
    run(&Thread::builder(panics).name("unlucky").build());
}

fn by_hand() {
    let handle = threading::spawn(|| std::panic::resume_unwind(Box::new("silent")));
    let error: Result<(), _> = handle.unwrap().join();
    let error = error.unwrap_err();
    threading::excepthook(&ExceptHookArgs::new(None, error.remote().unwrap()));
}

/// Each panic once, with the name of its thread.
fn what_is_printed() {
    let (whose, its) = ("unlucky", "the panic of a thread");
    for (name, said, parts) in [
        ("usual", "", vec![whose, its]),
        ("custom", "hook: the panic of a thread\n", vec![]),
        (
            "failing",
            "still here\n",
            vec![whose, its, "the panic of the hook"],
        ),
        ("taken_away", "", vec![whose, its]),
        (
            "by_hand",
            "",
            vec!["thread Thread-1 of process MainProcess", "silent"],
        ),
    ] {
        let mut command = program_command(&format!("thread_hooks::{name}"));
        let output = command.env("RUST_BACKTRACE", "0").output().unwrap();
        assert!(output.status.success(), "{name}: {output:?}");
        assert_eq!(String::from_utf8(output.stdout).unwrap(), said, "{name}");
        let complaint = String::from_utf8(output.stderr).unwrap();
        for part in &parts {
            assert!(complaint.contains(part), "{name}: {complaint}");
        }
        let times = complaint.matches(its).count();
        assert!(times < 2, "{name}: told {times} times: {complaint}");
        assert_eq!(
            complaint.is_empty(),
            parts.is_empty(),
            "{name}: {complaint}"
        );
    }
}

fn panics_in_children() {
    each(|method| fine(&start_by(method, usual, ())));
}

/// The usual message of a child says which thread it was.
fn children_name_it() {
    let mut command = program_command("thread_hooks::in_every_child");
    let output = command.env("RUST_BACKTRACE", "0").output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let complaint = String::from_utf8(output.stderr).unwrap();
    let named = complaint.matches("thread unlucky: panicked at").count();
    assert_eq!(named, 3, "{complaint}");
}

/// Threads that this crate has not made are not told of.
fn of_other_threads() {
    threading::set_excepthook(|_| unreachable!("it is not ours"));
    let other = std::thread::spawn(|| {
        let _known = threading::current_thread();
        panic!("on purpose");
    });
    other.join().unwrap_err();
}

fn timer_fires() {
    let (says, hears) = mpsc::channel();
    let wait = Duration::from_millis(20);
    let timer = Timer::new(wait, move || says.send(Instant::now()).unwrap());
    assert_eq!(timer.interval(), wait);
    assert!(!timer.is_alive() && !timer.is_finished());
    assert_eq!(kind(timer.join()), ErrorKind::Misuse);
    let begin = Instant::now();
    timer.start().unwrap();
    assert!(hears.recv().unwrap() >= begin + wait);
    timer.join().unwrap();
    assert!(timer.is_finished() && !timer.cancel());
    assert_eq!(kind(timer.start()), ErrorKind::Misuse);
    let panics = Timer::new(Duration::ZERO, || panic!("on purpose"));
    panics.start().unwrap();
    panics.join().unwrap();
    assert!(panics.panic().is_some() && !panics.cancel());
}

/// Before the start, while it waits, and twice; the function is dropped without having been called.
fn timer_is_cancelled() {
    for before in [true, false] {
        let counted = Arc::new(());
        let capture = Arc::clone(&counted);
        let timer = Timer::new(Duration::from_secs(3600), move || drop(capture));
        if before {
            assert!(timer.cancel());
        }
        timer.start().unwrap();
        assert!(before || timer.is_alive());
        assert!(timer.clone().cancel() && timer.cancel());
        timer.join().unwrap();
        assert!(timer.is_finished() && timer.panic().is_none());
        assert_eq!(Arc::strong_count(&counted), 1);
    }
}

/// Either it was cancelled or it was called, and `cancel` says which.
fn timer_race() {
    for round in 0..scaled(300) {
        let (calls, line) = (Arc::new(AtomicU32::new(0)), Arc::new(Barrier::new(2)));
        let counts = Arc::clone(&calls);
        let wait = Duration::from_micros(u64::from(round % 50) * 4);
        let timer = Timer::new(wait, move || _ = counts.fetch_add(1, SeqCst));
        let (other, both) = (timer.clone(), Arc::clone(&line));
        let canceller = std::thread::spawn(move || {
            both.wait();
            other.cancel()
        });
        line.wait();
        timer.start().unwrap();
        let cancelled = canceller.join().unwrap();
        timer.join().unwrap();
        assert_eq!(calls.load(SeqCst), u32::from(!cancelled));
    }
}

fn absurd_timers() {
    let at_once = Timer::new(Duration::ZERO, || ());
    at_once.start().unwrap();
    at_once.join().unwrap();
    let never = Timer::new(Duration::MAX, || unreachable!("for ever is over"));
    never.start().unwrap();
    assert!(!never.join_timeout(Duration::from_millis(20)).unwrap());
    assert!(never.cancel());
    never.join().unwrap();
    never.set_daemon(true).unwrap_err();
    drop(Timer::new(Duration::ZERO, || {
        unreachable!("it was not started")
    }));
}

/// As many threads as a user may have; the next is refused, not listed, and can be started when there is room.
fn limited() {
    become_nobody();
    let (_, hard) = getrlimit(Resource::RLIMIT_NPROC).unwrap();
    setrlimit(Resource::RLIMIT_NPROC, 20.min(hard), hard).unwrap();
    let go = Event::new().unwrap();
    let mut threads = Vec::new();
    let refused = loop {
        let waits = go.clone();
        let thread = Thread::new(move || waits.wait().unwrap());
        match thread.start() {
            Ok(()) => threads.push(thread),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Os, "{error}");
                break thread;
            }
        }
    };
    assert!(threads.len() < 20);
    for _ in 0..3 {
        assert_eq!(kind(refused.start()), ErrorKind::Os);
        assert_eq!(kind(threading::spawn(|| ())), ErrorKind::Os);
        assert!(!refused.is_alive() && !threading::enumerate().contains(&refused));
        assert_eq!(kind(refused.join()), ErrorKind::Misuse);
        assert_eq!(threading::active_count(), threads.len() + 1);
    }
    refused.set_name("patient");
    go.set().unwrap();
    for thread in threads {
        thread.join().unwrap();
    }
    await_alone();
    refused.start().unwrap();
    refused.join().unwrap();
    assert_eq!(threading::active_count(), 1);
}

fn no_room() {
    let output = program_command("thread_hooks::limited").output().unwrap();
    assert!(output.status.success(), "{output:?}");
}
