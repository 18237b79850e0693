//! The end of the program: who is waited for, in which order, however it ends, and who is not.

use crate::kit::{Numbers, RemoteNumbers, say_and_wait};
use crate::runner::{Case, Gate, RemoteGate, case, program, program_command, scaled};
use crate::ways::{each, fine, start_by};
use multiproc::threading::{self, Event, Thread};
use multiproc::{ErrorKind, at_exit};
use std::process::Output;
use std::time::Duration;

pub(crate) fn tests() -> Vec<Case> {
    vec![
        case("thread_ends::before_all_else", before_all_else),
        case("thread_ends::exit_in_a_thread", exit_in_a_thread),
        case("thread_ends::exit_after_the_end", exit_after_the_end),
        case("thread_ends::two_exit", two_exit),
        case("thread_ends::started_at_the_end", started_at_the_end),
        case("thread_ends::daemons_are_left_alone", daemons_are_left),
        case("thread_ends::many_busy_daemons", many_busy_daemons),
        case("thread_ends::unjoined_values", unjoined_values),
        case("thread_ends::in_a_child", in_a_child),
        case("thread_ends::a_child_that_exits", a_child_that_exits),
        case("thread_ends::daemons_of_a_child", daemons_of_a_child),
        case("thread_ends::who_a_handler_is_called_by", who_is_here),
        program("thread_ends::returns", || speaks("returns")),
        program("thread_ends::exits", || speaks("exits")),
        program("thread_ends::panics", || speaks("panics")),
        program("thread_ends::has_processes", || speaks("has processes")),
        program("thread_ends::thread_exits", thread_exits),
        program("thread_ends::exits_late", exits_late),
        program("thread_ends::exits_twice", exits_twice),
        program("thread_ends::starts_at_the_end", starts_at_the_end),
        program("thread_ends::has_daemons", has_daemons),
        program("thread_ends::has_busy_daemons", has_busy_daemons),
        program("thread_ends::leaves_a_value", leaves_a_value),
        program("thread_ends::handlers_ask", handlers_ask),
    ]
}

fn output(name: &str) -> (Output, String, String) {
    let output = program_command(name).output().unwrap();
    let said = String::from_utf8(output.stdout.clone()).unwrap();
    let complained = String::from_utf8(output.stderr.clone()).unwrap();
    (output, said, complained)
}

#[track_caller]
fn says(name: &str, code: i32, expected: &str) {
    let (output, said, complained) = output(name);
    assert_eq!(output.status.code(), Some(code), "{name}: {complained}");
    assert_eq!(said, expected, "{name}: {complained}");
}

fn started(closure: impl FnOnce() + Send + 'static) -> Thread {
    Thread::builder(closure).start().unwrap()
}

#[expect(clippy::disallowed_methods, reason = "how a program ends is the test")]
fn exit(code: i32) -> ! {
    std::process::exit(code)
}

/// Returns when the main thread is done.
fn await_main() {
    threading::main_thread().join().unwrap();
    assert!(!threading::main_thread().is_alive());
}

fn speaks(how: &str) {
    if how == "has processes" {
        // Its handler is registered before that of threads.
        at_exit(|| println!("handler"));
        multiproc::spawn(|| (), ()).unwrap().join().unwrap();
    }
    started(|| {
        await_main();
        println!("thread");
    });
    if how != "has processes" {
        at_exit(|| println!("handler"));
    }
    println!("main");
    match how {
        "exits" => exit(5),
        "panics" => panic!("on purpose"),
        _ => {}
    }
}

/// First the threads, then the handlers, whichever was registered first, and however main ends.
fn before_all_else() {
    for (how, code) in [
        ("returns", 0),
        ("exits", 5),
        ("panics", 101),
        ("has_processes", 0),
    ] {
        says(
            &format!("thread_ends::{how}"),
            code,
            "main\nthread\nhandler\n",
        );
    }
}

/// The thread that ends the program is not waited for, also not by one that joins it; neither is main, which waits for ever.
fn thread_exits() {
    let exits = Thread::new(|| {
        at_exit(|| println!("handler"));
        exit(6)
    });
    let joined = exits.clone();
    let joins = threading::spawn(move || {
        joined.await_start();
        let error = joined.join().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Misuse);
        assert!(!joined.is_alive() && !threading::enumerate().contains(&joined));
        println!("joined");
    });
    let _joins = joins.unwrap();
    exits.start().unwrap();
    Gate::new().wait();
}

/// A join that may come before the start.
trait AwaitStart {
    fn await_start(&self);
}

impl AwaitStart for Thread {
    fn await_start(&self) {
        while self.ident().is_none() {
            std::thread::yield_now();
        }
    }
}

fn exit_in_a_thread() {
    for _ in 0..scaled(10) {
        says("thread_ends::thread_exits", 6, "joined\nhandler\n");
    }
}

/// std parks who calls `exit` second for ever. It will not end, and others that wait for it need not.
fn exits_late() {
    let late = started(|| {
        await_main();
        println!("late");
        exit(7)
    });
    let waits = move || {
        late.join().unwrap_err();
        println!("joined");
    };
    started(waits);
    at_exit(|| println!("handler"));
}

fn exit_after_the_end() {
    says("thread_ends::exits_late", 0, "late\njoined\nhandler\n");
}

/// Both in threads; main is in neither.
fn exits_twice() {
    let line = std::sync::Arc::new(std::sync::Barrier::new(3));
    for code in [8, 8] {
        let line = line.clone();
        started(move || {
            line.wait();
            exit(code)
        });
    }
    line.wait();
    at_exit(|| println!("handler"));
    Gate::new().wait();
}

fn two_exit() {
    for _ in 0..scaled(5) {
        let (output, said, complained) = output("thread_ends::exits_twice");
        assert_eq!(output.status.code(), Some(8), "{complained}");
        // Whether main was in time to register it is not said.
        assert!(["", "handler\n"].contains(&said.as_str()), "{said}");
    }
}

/// While others are waited for, more may be started; when nobody is waited for any more, only daemons.
fn starts_at_the_end() {
    started(|| {
        await_main();
        println!("first");
        started(|| {
            println!("second");
            started(|| println!("third"));
        });
    });
    at_exit(|| {
        let late = Thread::new(|| ());
        assert!(!late.daemon());
        let error = late.start().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Misuse);
        assert_eq!(threading::active_count(), 1);
        let error = threading::spawn(|| ()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Misuse);
        late.set_daemon(true).unwrap();
        late.start().unwrap();
        late.join().unwrap();
        println!("daemon");
    });
}

fn started_at_the_end() {
    says(
        "thread_ends::starts_at_the_end",
        0,
        "first\nsecond\nthird\ndaemon\n",
    );
}

fn has_daemons() {
    let event = Event::new().unwrap();
    let waits = move || event.wait().unwrap();
    Thread::builder(waits).daemon(true).start().unwrap();
    // A thread that nobody knows is none of ours either.
    std::thread::spawn(|| {
        let _foreign = threading::current_thread();
        Gate::new().wait();
    });
    println!("main");
}

fn daemons_are_left() {
    says("thread_ends::has_daemons", 0, "main\n");
}

/// CPython's test_4_daemon_threads.
fn has_busy_daemons() {
    for _ in 0..40 {
        let busy = || {
            loop {
                let text = std::fs::read_to_string("/proc/self/stat").unwrap();
                let here = threading::current_thread();
                std::hint::black_box((text, here.name(), threading::enumerate()));
            }
        };
        Thread::builder(busy).daemon(true).start().unwrap();
    }
}

fn many_busy_daemons() {
    for _ in 0..scaled(5) {
        let (output, said, complained) = output("thread_ends::has_busy_daemons");
        assert!(output.status.success(), "{:?}: {complained}", output.status);
        assert_eq!((said.as_str(), complained.as_str()), ("", ""));
    }
}

fn leaves_a_value() {
    let handle = threading::spawn(|| {
        await_main();
        println!("thread");
        5
    });
    drop(handle.unwrap());
    println!("main");
}

fn unjoined_values() {
    says("thread_ends::leaves_a_value", 0, "main\nthread\n");
}

fn leaves_threads(here: RemoteGate, there: RemoteGate, numbers: RemoteNumbers) {
    started(move || {
        await_main();
        say_and_wait(here, there);
        started(move || numbers.open().set(0, 1));
    });
    at_exit(move || numbers.open().set(1, 1 + numbers.open().get(0)));
}

/// CPython's test_wait_for_threads and ThreadJoinOnShutdown, by all ways: the child is there until its threads are.
fn in_a_child() {
    each(|method| {
        let (here, there, numbers) = (Gate::new(), Gate::new(), Numbers::new());
        let arguments = (here.remote(), there.remote(), numbers.remote());
        let process = start_by(method, leaves_threads, arguments);
        here.wait();
        let short = Duration::from_millis(30);
        assert_eq!(process.join_timeout(short).unwrap(), None);
        there.open(1);
        fine(&process);
        assert_eq!((numbers.get(0), numbers.get(1)), (1, 2));
    });
}

fn exits_in_a_child(how: String, numbers: RemoteNumbers) {
    started(move || {
        await_main();
        numbers.open().set(0, 1);
    });
    match how.as_str() {
        "main" => exit(4),
        "thread" => {
            started(|| exit(4));
            Gate::new().wait();
        }
        "late" => {
            // The function of the process has returned, which is its end, and waits for this thread.
            started(|| {
                await_main();
                exit(4)
            });
        }
        _ => panic!("on purpose"),
    }
}

fn a_child_that_exits() {
    each(|method| {
        for (how, code) in [("main", 4), ("thread", 4), ("late", 0), ("panic", 1)] {
            let numbers = Numbers::new();
            let arguments = (how.to_owned(), numbers.remote());
            let process = start_by(method, exits_in_a_child, arguments);
            assert_eq!(process.join().unwrap(), code, "{how}");
            assert_eq!(numbers.get(0), 1, "{how}");
        }
    });
}

fn daemons_of_a_child() {
    each(|method| {
        let has_daemons = || {
            let waits = || Gate::new().wait();
            Thread::builder(waits).daemon(true).start().unwrap();
        };
        fine(&start_by(method, has_daemons, ()));
    });
}

fn handlers_ask() {
    at_exit(|| println!("{}", threading::current_thread().name()));
    let exits = || exit(0);
    Thread::builder(exits).name("leaver").start().unwrap();
    Gate::new().wait();
}

/// In a handler, when the variables of the thread are gone, it is still the same thread.
fn who_is_here() {
    says("thread_ends::handlers_ask", 0, "leaver\n");
    each(|method| {
        let numbers = Numbers::new();
        let asks = |numbers: RemoteNumbers, exits: bool| {
            at_exit(move || {
                let main = threading::current_thread() == threading::main_thread();
                numbers.open().set(0, u64::from(main));
            });
            if exits {
                exit(0);
            }
        };
        for exits in [false, true] {
            numbers.set(0, 9);
            fine(&start_by(method, asks, (numbers.remote(), exits)));
            assert_eq!(numbers.get(0), 1, "exits: {exits}");
        }
    });
}
