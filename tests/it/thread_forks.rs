//! Forks of programs with threads: who is there afterwards, and what a copied handle says.

use crate::kit::{Numbers, RemoteNumbers, fork_behind_our_back, leave};
use crate::runner::{Case, Gate, case, program, program_command, scaled};
use crate::ways::{each, fine, start_by};
use multiproc::threading::{self, Event, JoinHandle, Thread};
use multiproc::{ErrorKind, Process, os};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Barrier};
use std::time::Duration;

pub(crate) fn tests() -> Vec<Case> {
    vec![
        case("thread_forks::who_is_there", who_is_there),
        case("thread_forks::copied_handles", copied_handles),
        case("thread_forks::forked_in_a_thread", forked_in_a_thread),
        case("thread_forks::main_of_every_child", main_of_every_child),
        case("thread_forks::many_fork_at_once", many_fork_at_once),
        case("thread_forks::while_threads_come_and_go", while_they_come),
        case("thread_forks::child_waits_for_its_threads", child_waits),
        case(
            "thread_forks::function_returns_in_the_child",
            returns_in_child,
        ),
        case("thread_forks::grandchildren", grandchildren),
        case("thread_forks::in_a_foreign_thread", in_a_foreign_thread),
        program("thread_forks::forks_and_waits", forks_and_waits),
        program("thread_forks::forks_in_a_thread", forks_in_a_thread),
    ]
}

fn started(closure: impl FnOnce() + Send + 'static) -> Thread {
    Thread::builder(closure).start().unwrap()
}

fn ended_well(pid: Pid) {
    assert_eq!(waitpid(pid, None).unwrap(), WaitStatus::Exited(pid, 0));
}

/// What must hold in a child right after a fork, in whatever thread that was.
fn is_alone() {
    let main = threading::main_thread();
    assert_eq!(threading::enumerate(), std::slice::from_ref(&main));
    assert_eq!(threading::active_count(), 1);
    assert_eq!(threading::current_thread(), main);
    assert_eq!(main.name(), "MainThread");
    assert_eq!(main.ident(), Some(threading::get_ident()));
    assert!(main.is_alive() && !main.daemon());
    assert_eq!(main.join().unwrap_err().kind(), ErrorKind::Misuse);
    // And it can have threads again.
    let value = threading::spawn(threading::active_count).unwrap();
    assert_eq!(value.join().unwrap(), 2);
    assert_eq!(threading::active_count(), 1);
}

fn who_is_there() {
    let go = Event::new().unwrap();
    let waits = go.clone();
    let other = started(move || waits.wait().unwrap());
    ended_well(fork_behind_our_back(is_alone));
    let before = threading::enumerate();
    let child = fork_behind_our_back(move || {
        is_alone();
        assert!(before.iter().all(|thread| !thread.is_alive()));
        let main = threading::main_thread();
        assert!(!before.contains(&main));
    });
    ended_well(child);
    assert_eq!(threading::active_count(), 2);
    go.set().unwrap();
    other.join().unwrap();
}

/// In the child: one that ran, one that had ended and was not joined, and one that was not started.
fn looks_at_copies((runs, unjoined, ready): (Thread, Thread, Thread), value: JoinHandle<()>) {
    for thread in [&runs, &unjoined] {
        assert!(!thread.is_alive());
        assert!(thread.join_timeout(Duration::ZERO).unwrap());
        thread.join().unwrap();
        assert_eq!(thread.start().unwrap_err().kind(), ErrorKind::Misuse);
        assert!(format!("{thread:?}").contains("stopped"), "{thread:?}");
    }
    runs.set_name("renamed");
    assert_eq!(runs.name(), "renamed");
    assert!(value.is_finished());
    assert_eq!(value.join().unwrap_err().kind(), ErrorKind::Misuse);
    // Stacks of the vanished may be used again by others now.
    let others: Vec<Thread> = (0..8).map(|_| started(|| ())).collect();
    drop((runs, unjoined));
    ready.start().unwrap();
    ready.join().unwrap();
    for other in others {
        other.join().unwrap();
    }
}

/// They say that it has ended, and give it back without touching what is not there.
fn copied_handles() {
    let go = Event::new().unwrap();
    let waits = go.clone();
    let runs = started(move || waits.wait().unwrap());
    let done = started(|| ());
    done.join().unwrap();
    let unjoined = started(|| ());
    let waits = go.clone();
    let value = threading::spawn(move || waits.wait().unwrap()).unwrap();
    let ran = Arc::new(AtomicBool::new(false));
    let runs_here = Arc::clone(&ran);
    let ready = Thread::new(move || runs_here.store(true, SeqCst));
    let copies = (runs.clone(), unjoined.clone(), ready.clone());
    let child = fork_behind_our_back(move || {
        looks_at_copies(copies, value);
        assert!(ran.load(SeqCst));
    });
    ended_well(child);
    assert_eq!(runs.name(), "Thread-1");
    go.set().unwrap();
    runs.join().unwrap();
    unjoined.join().unwrap();
    assert!(!ready.is_alive());
    ready.start().unwrap();
    ready.join().unwrap();
}

/// CPython's TestForkInThread: the child has its own end, the thread of the parent goes on.
fn forked_in_a_thread() {
    for _ in 0..scaled(20) {
        let forks = threading::spawn(|| {
            let here = threading::current_thread();
            let mine = here.clone();
            let child = fork_behind_our_back(move || {
                is_alone();
                // The name that it had is that of a thread which is not there.
                assert!(!mine.is_alive() && mine.join().is_ok());
                leave(17);
            });
            let status = waitpid(child, None).unwrap();
            assert_eq!(status, WaitStatus::Exited(child, 17));
            assert!(here.is_alive() && here == threading::current_thread());
        });
        forks.unwrap().join().unwrap();
    }
}

/// Whichever thread runs the function of a child is its main one.
fn main_of_every_child() {
    each(|method| {
        fine(&start_by(method, is_alone, ()));
        let of_a_thread = threading::spawn(move || fine(&start_by(method, is_alone, ())));
        of_a_thread.unwrap().join().unwrap();
    });
    let mut closure = Process::fork(is_alone);
    closure.start().unwrap();
    fine(&closure);
}

fn fork_with_threads() -> u32 {
    #[expect(unsafe_code, reason = "a fork that the crate makes for us")]
    // SAFETY: the child uses nothing but this crate's threads, whose locks it finds free.
    let side = unsafe { os::fork() }.unwrap();
    match side {
        os::Fork::Parent { child } => child,
        os::Fork::Child => {
            let value = threading::spawn(threading::active_count).unwrap();
            leave(i32::from(value.join().unwrap() != 2));
        }
    }
}

/// CPython's test_reinit_tls_after_fork; each child starts a thread of its own.
fn many_fork_at_once() {
    let line = Arc::new(Barrier::new(16));
    let threads = [(); 16].map(|()| {
        let line = Arc::clone(&line);
        threading::spawn(move || {
            line.wait();
            for _ in 0..scaled(4) {
                assert_eq!(os::waitpid(fork_with_threads()).unwrap(), 0);
            }
        })
    });
    for thread in threads {
        thread.unwrap().join().unwrap();
    }
}

/// In every moment of a thread's life.
fn while_they_come() {
    let stop = Arc::new(AtomicBool::new(false));
    let makers = [(); 3].map(|()| {
        let stop = Arc::clone(&stop);
        threading::spawn(move || {
            while !stop.load(SeqCst) {
                let thread = started(|| ());
                thread.set_name("renamed");
                thread.join().unwrap();
                drop(std::thread::spawn(threading::current_thread).join());
            }
        })
    });
    for _ in 0..scaled(100) {
        ended_well(fork_behind_our_back(is_alone));
    }
    stop.store(true, SeqCst);
    for maker in makers {
        maker.unwrap().join().unwrap();
    }
}

/// CPython's ThreadJoinOnShutdown.test_2: both come to the end of main, each with its thread.
fn forks_and_waits() {
    let before = std::process::id();
    #[expect(unsafe_code, reason = "a fork that the crate makes for us")]
    // SAFETY: this process has one thread.
    let side = unsafe { os::fork() }.unwrap();
    if let os::Fork::Parent { child } = side {
        assert_eq!(os::waitpid(child).unwrap(), 0);
    }
    let who = if std::process::id() == before {
        "parent"
    } else {
        "child"
    };
    started(move || {
        threading::main_thread().join().unwrap();
        println!("thread of {who}");
    });
    println!("main of {who}");
}

fn child_waits() {
    let output = program_command("thread_forks::forks_and_waits")
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8(output.stdout).unwrap();
    let expected = "main of child\nthread of child\nmain of parent\nthread of parent\n";
    assert_eq!(said, expected);
}

/// CPython's test_3: in the child the thread that forked is main, and when its function returns, others are waited for.
fn forks_in_a_thread() {
    let forks = threading::spawn(|| {
        let me = std::process::id();
        #[expect(unsafe_code, reason = "a fork that the crate makes for us")]
        // SAFETY: the child uses nothing but this crate's threads and output, whose locks it finds free.
        let side = unsafe { os::fork() }.unwrap();
        match side {
            os::Fork::Parent { child } => assert_eq!(os::waitpid(child).unwrap(), 0),
            os::Fork::Child => {
                started(move || {
                    threading::main_thread().join().unwrap();
                    assert_ne!(std::process::id(), me);
                    println!("thread of child");
                });
                println!("main of child");
            }
        }
        println!("function is done");
    });
    forks.unwrap().join().unwrap();
    println!("main of parent");
}

fn returns_in_child() {
    let output = program_command("thread_forks::forks_in_a_thread")
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8(output.stdout).unwrap();
    let child = "main of child\nfunction is done\nthread of child\n";
    assert_eq!(said, format!("{child}function is done\nmain of parent\n"));
}

fn grandchildren() {
    let child = fork_behind_our_back(|| {
        let inner = threading::spawn(|| ended_well(fork_behind_our_back(is_alone)));
        inner.unwrap().join().unwrap();
        let has_threads = |numbers: RemoteNumbers| {
            started(move || numbers.open().set(0, 1));
        };
        let numbers = Numbers::new();
        each(|method| {
            numbers.set(0, 0);
            fine(&start_by(method, has_threads, (numbers.remote(),)));
            assert_eq!(numbers.get(0), 1);
        });
        is_alone();
    });
    ended_well(child);
}

/// One that this crate has not made is main in the child, and a foreign one in the parent as before.
fn in_a_foreign_thread() {
    let gate = Gate::new();
    let remote = gate.remote();
    let foreign = std::thread::spawn(move || {
        let here = threading::current_thread();
        let copy = here.clone();
        let child = fork_behind_our_back(move || {
            is_alone();
            assert!(!copy.is_alive());
        });
        ended_well(child);
        assert_eq!(here, threading::current_thread());
        assert!(threading::enumerate().contains(&here));
        remote.open(1);
    });
    gate.wait();
    foreign.join().unwrap();
    assert_eq!(threading::active_count(), 1);
}
