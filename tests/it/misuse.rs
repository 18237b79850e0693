//! Rules that are broken, under each start method: an error each time, and neither a hang nor a trace of what was refused.

use crate::kit::{children, fork_behind_our_back, pid_of};
use crate::process::Fussy;
use crate::runner::{Case, Gate, RemoteGate, case};
use crate::ways::{builder, each, ended, fine, named, start_by};
use multiproc::{
    ErrorKind, Process, ProcessBuilder, Queue, StartMethod, active_children, all_start_methods,
    arena, at_fork,
};
use nix::sys::wait::{WaitStatus, waitpid};
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

pub(crate) fn tests() -> Vec<Case> {
    vec![
        case("misuse::before_the_start", before_the_start),
        case("misuse::start_twice", start_twice),
        case("misuse::changes_after_the_start", changes_after_the_start),
        case("misuse::process_of_another", process_of_another),
        case(
            "misuse::process_of_a_foreign_forks_parent",
            of_a_foreign_forks_parent,
        ),
        case("misuse::made_here_and_started_elsewhere", started_elsewhere),
        case("misuse::arguments_that_do_not_serialise", not_serialised),
        case("misuse::arguments_that_do_not_decode", not_decoded),
        case("misuse::daemon_starts_a_child", daemon_starts),
        case("misuse::closure_that_would_be_sent", closure_sent),
        case("misuse::dies_before_its_target", dies_before_its_target),
        case("misuse::names_with_a_null", names_with_a_null),
        case("misuse::hooks_of_a_fork_in_the_child", hooks_in_the_child),
        case("misuse::hooks_of_a_fork_that_panic", hooks_that_panic),
    ]
}

#[track_caller]
fn refused<T: std::fmt::Debug>(result: multiproc::Result<T>) {
    assert_eq!(result.unwrap_err().kind(), ErrorKind::Misuse);
}

fn before_the_start() {
    each(|method| {
        let mut process = builder(method, || (), ()).build();
        refused(process.join());
        refused(process.join_timeout(Duration::ZERO));
        refused(process.sentinel().map(|_| ()));
        refused(process.terminate());
        refused(process.kill());
        refused(process.interrupt());
        assert_eq!(process.exitcode().unwrap(), None);
        assert!(!process.is_alive() && process.panic().is_none());
        // No harm done.
        process.start().unwrap();
        fine(&process);
    });
}

static RUNS: AtomicU32 = AtomicU32::new(0);

fn start_twice() {
    each(|method| {
        let gate = Gate::new();
        let mut process = start_by(method, RemoteGate::wait, (gate.remote(),));
        let pid = process.pid();
        refused(process.start());
        assert!(process.is_alive() && process.pid() == pid);
        assert_eq!(active_children().len(), 1);
        gate.open(1);
        fine(&process);
        refused(process.start());
        assert_eq!(process.exitcode().unwrap(), Some(0));
    });
    let mut closure = Process::fork(|| assert_eq!(RUNS.fetch_add(1, SeqCst), 0));
    closure.start().unwrap();
    refused(closure.start());
    fine(&closure);
    refused(closure.start());
}

fn changes_after_the_start() {
    each(|method| {
        let mut process = builder(method, || (), ()).name("bob").start().unwrap();
        let key = process.authkey();
        refused(process.set_daemon(true));
        refused(process.set_authkey(vec![1]));
        refused(process.set_name("late"));
        fine(&process);
        refused(process.set_daemon(true));
        refused(process.set_authkey(vec![1]));
        assert!(!process.daemon() && process.authkey() == key && process.name() == "bob");
    });
}

/// All that a process may not do with somebody else's child. It must not be hit by it, either.
fn all_refused(process: &mut Process) {
    refused(process.join());
    refused(process.join_timeout(Duration::ZERO));
    refused(process.exitcode());
    refused(process.state());
    refused(process.terminate());
    refused(process.kill());
    refused(process.interrupt());
    refused(process.close());
    assert!(!process.is_alive() && process.panic().is_none());
    assert!(active_children().is_empty());
    assert!(format!("{process:?}").contains("Process"));
}

fn process_of_another() {
    each(|method| {
        let gate = Gate::new();
        let process = start_by(method, RemoteGate::wait, (gate.remote(),));
        let shared = Arc::new(Mutex::new(process));
        let theirs = Arc::clone(&shared);
        let mut child = Process::fork(move || all_refused(&mut theirs.lock().unwrap()));
        child.start().unwrap();
        fine(&child);
        // The child's own end closed and waited for nothing of ours.
        let process = shared.lock().unwrap_or_else(PoisonError::into_inner);
        assert_eq!(process.join_timeout(Duration::ZERO).unwrap(), None);
        gate.open(1);
        fine(&process);
    });
}

fn of_a_foreign_forks_parent() {
    each(|method| {
        let gate = Gate::new();
        let mut process = start_by(method, RemoteGate::wait, (gate.remote(),));
        let fork = fork_behind_our_back(|| all_refused(&mut process));
        assert_eq!(waitpid(fork, None).unwrap(), WaitStatus::Exited(fork, 0));
        assert!(process.is_alive());
        gate.open(1);
        fine(&process);
    });
}

fn started_elsewhere() {
    each(|method| {
        let mut process = Some(builder(method, || (), ()).build());
        let mut theirs = process.take().unwrap();
        let mut child = Process::fork(move || {
            refused(theirs.start());
            assert_eq!(theirs.pid(), None);
            assert!(active_children().is_empty());
        });
        child.start().unwrap();
        fine(&child);
    });
}

/// As it was before: nobody runs, nobody is known, nothing is kept.
fn nothing_was_started(tried: multiproc::Result<()>, kind: ErrorKind, before: usize) {
    assert_eq!(tried.unwrap_err().kind(), kind);
    assert!(active_children().is_empty());
    assert_eq!(children().len(), before);
    assert_eq!(multiproc::arena::usage().unwrap().members, 1);
}

fn fussy(encodes: bool, decodes: bool) -> Fussy {
    Fussy { encodes, decodes }
}

/// Serialised under every method, so that a program does not work by chance under one.
fn not_serialised() {
    each(|method| {
        let before = children().len();
        let never = |_queue: Queue<u8>, _fussy: Fussy| {
            RUNS.fetch_add(1, SeqCst);
        };
        let queue = Queue::<u8>::new().unwrap();
        let mut process = builder(method, never, (queue, fussy(false, true))).build();
        nothing_was_started(process.start(), ErrorKind::Encode, before);
        assert_eq!(process.pid(), None);
        assert!(!process.is_alive());
        nothing_was_started(process.start(), ErrorKind::Misuse, before);
        refused(process.join());
        process.close().unwrap();
        // The next one is not disturbed.
        fine(&start_by(method, || assert_eq!(RUNS.load(SeqCst), 0), ()));
    });
}

fn not_decoded() {
    each(|method| {
        let never = |_queue: Queue<u8>, _fussy: Fussy| unreachable!("it does not decode");
        let queue = Queue::<u8>::new().unwrap();
        let process = start_by(method, never, (queue, fussy(true, false)));
        assert_eq!(process.join().unwrap(), 1);
        let told = process.panic().unwrap();
        assert!(!told.message().contains("unreachable"), "{told}");
    });
}

/// Every way is closed to it, and it is told why.
fn tries_all(answers: Queue<Vec<String>>) {
    let error = |error: multiproc::Error| format!("{:?}", error.kind());
    let mut found: Vec<String> = all_start_methods()
        .map(|method| builder(method, || (), ()).start())
        .map(|tried| tried.map_or_else(error, |_| "started".to_owned()))
        .to_vec();
    let closure = ProcessBuilder::fork(|| ()).start();
    found.push(closure.map_or_else(error, |_| "started".to_owned()));
    let spawned = multiproc::spawn(|| (), ());
    found.push(spawned.map_or_else(error, |_| "started".to_owned()));
    let forked = multiproc::fork(|| ());
    found.push(forked.map_or_else(error, |_| "started".to_owned()));
    assert!(!multiproc::current_process().daemon() || active_children().is_empty());
    answers.put(found).unwrap();
}

fn daemon_starts() {
    each(|method| {
        let answers = Queue::new().unwrap();
        let daemon = builder(method, tries_all, (answers.clone(),)).daemon(true);
        fine(&daemon.start().unwrap());
        assert_eq!(answers.get().unwrap(), ["Misuse"; 6]);
        fine(&start_by(method, tries_all, (answers.clone(),)));
        assert_eq!(answers.get().unwrap(), ["started"; 6]);
    });
}

fn closure_sent() {
    let before = children().len();
    for method in [StartMethod::Spawn, StartMethod::ForkServer] {
        let captured = Arc::new(5);
        let closure = ProcessBuilder::fork(move || assert_eq!(*captured, 5));
        let mut process = closure.start_method(method).build();
        nothing_was_started(process.start(), ErrorKind::Misuse, before);
        assert_eq!(process.pid(), None);
        // The default is no choice: a closure is copied whatever it says.
        multiproc::force_start_method(Some(method));
        let captured = Arc::new(5);
        fine(
            &ProcessBuilder::fork(move || assert_eq!(*captured, 5))
                .start()
                .unwrap(),
        );
    }
    let explicit = ProcessBuilder::fork(|| ()).start_method(StartMethod::Fork);
    fine(&explicit.start().unwrap());
}

/// Its parent must not wait for ever to get rid of its arguments, more of them than a pipe holds.
fn never_runs(_large: Vec<u8>) {
    RUNS.fetch_add(1, SeqCst);
    panic!("the target ran");
}

fn dies_before_its_target() {
    type Doom = fn(ProcessBuilder) -> ProcessBuilder;
    let dooms: [(&str, Doom); 2] = [
        ("nowhere", |process| process.cwd("/nowhere/at/all")),
        ("no file", |process| process.cwd("/dev/null")),
    ];
    each(|method| {
        for (what, doom) in dooms {
            let large = vec![7_u8; 3 << 20];
            let process = doom(builder(method, never_runs, (large,)));
            match process.start() {
                Ok(process) => {
                    let code = process.join().unwrap();
                    assert_ne!(code, 0, "{what}");
                    let told = process.panic().map(|panic| panic.message().to_owned());
                    println!("{what}: started, ended with {code}: {told:?}");
                    assert!(!told.unwrap_or_default().contains("the target ran"));
                }
                Err(error) => println!("{what}: {error}"),
            }
            assert!(active_children().is_empty());
            fine(&start_by(method, || (), ()));
        }
        // A memory limit that leaves nothing: the child may die at any step.
        let process = builder(method, never_runs, (vec![7_u8; 3 << 20],)).memory_limit(1);
        if let Ok(process) = process.start() {
            ended(&process);
            assert_ne!(process.join().unwrap(), 0);
        }
        fine(&start_by(method, || (), ()));
    });
}

/// A name is only a label. That the kernel's own label ends at a null is no reason to refuse it.
fn names_with_a_null() {
    each(|method| {
        let body = |method: String| {
            assert_eq!(multiproc::current_process().name(), "a\0b");
            fine(&start_by(named(&method), || (), ()));
        };
        let process = builder(method, body, (method.to_string(),)).name("a\0b");
        let process = process.start().unwrap();
        fine(&process);
        assert!(!crate::kit::lives(pid_of(&process)));
    });
}

static LETTERS: Mutex<Option<Queue<u32>>> = Mutex::new(None);

/// What a hook of a fork does in the child belongs to the child, and goes with it.
fn hooks_in_the_child() {
    let write = || {
        if let Some(letters) = &*LETTERS.lock().unwrap() {
            letters.put(1).unwrap();
        }
    };
    at_fork(|| (), || (), write);
    let letters = Queue::new().unwrap();
    *LETTERS.lock().unwrap() = Some(letters.clone());
    let seats = |told: Queue<usize>| told.put(arena::usage().unwrap().members).unwrap();
    let (told, here) = (Queue::new().unwrap(), arena::usage().unwrap().members);
    let theirs = told.clone();
    let process = ProcessBuilder::fork(move || seats(theirs)).start().unwrap();
    assert_eq!(process.join().unwrap(), 0);
    assert_eq!((letters.get().unwrap(), told.get().unwrap()), (1, here + 1));
    *LETTERS.lock().unwrap() = None;
}

static ANGRY: AtomicU32 = AtomicU32::new(0);

/// It panics in whoever forks, and then there is no child, no zombie, and no place for one.
fn hooks_that_panic() {
    at_fork(
        || assert_ne!(ANGRY.load(SeqCst), 1),
        || assert_ne!(ANGRY.load(SeqCst), 2),
        || (),
    );
    assert_eq!(
        ProcessBuilder::fork(|| ()).start().unwrap().join().unwrap(),
        0
    );
    let (known, before) = (children(), arena::usage().unwrap());
    for time in [1, 2] {
        ANGRY.store(time, SeqCst);
        let start =
            || drop(ProcessBuilder::fork(|| std::thread::sleep(Duration::from_secs(60))).start());
        std::panic::catch_unwind(start).unwrap_err();
        assert_eq!(children(), known);
        assert_eq!(arena::usage().unwrap(), before);
    }
    ANGRY.store(0, SeqCst);
}
