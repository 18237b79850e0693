//! How a process ends and what is left of it to learn, under each start method: signals, values of a `JoinHandle`, `Run`,
//! and threads that are left.

use crate::kit::{Numbers, RemoteNumbers, fork_behind_our_back, leave, say_and_wait};
use crate::process::Fussy;
use crate::runner::{Case, Gate, RemoteGate, case};
use crate::ways::{builder, each, ended, fine, start_by};
use multiproc::{Error, ErrorKind, Process, Queue, Run, StartMethod, force_start_method};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use nix::sys::wait::{WaitStatus, waitpid};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

pub(crate) fn tests() -> Vec<Case> {
    vec![
        case("outcomes::kill_terminate_interrupt", signals),
        case("outcomes::interrupt_with_a_handler", interrupt_handled),
        case("outcomes::panic", panic_in_a_child),
        case("outcomes::values", values),
        case(
            "outcomes::values_that_cannot_travel",
            values_that_cannot_travel,
        ),
        case("outcomes::no_value", no_value),
        case("outcomes::value_that_a_fork_copies", value_copied),
        case(
            "outcomes::handles_finished_and_dropped",
            finished_and_dropped,
        ),
        case("outcomes::run", run),
        case("outcomes::run_that_is_named_and_fails", run_that_fails),
        case(
            "outcomes::arguments_are_dropped_at_the_start",
            arguments_are_dropped,
        ),
        case("outcomes::threads_of_a_child", threads_of_a_child),
        case("outcomes::deep_stacks", deep_stacks),
        case("outcomes::joined_by_many_threads", joined_by_many),
    ]
}

type Send = fn(&Process) -> multiproc::Result<()>;

const SIGNALS: [(Send, i32); 3] = [
    (Process::kill, -9),
    (Process::terminate, -15),
    (Process::interrupt, -2),
];

fn signals() {
    each(|method| {
        for (send, code) in SIGNALS {
            let (here, there) = (Gate::new(), Gate::new());
            let mut process =
                builder(method, say_and_wait, (here.remote(), there.remote())).build();
            assert_eq!(send(&process).unwrap_err().kind(), ErrorKind::Misuse);
            process.start().unwrap();
            here.wait();
            send(&process).unwrap();
            assert_eq!(process.join().unwrap(), code);
            assert_eq!(process.exitcode().unwrap(), Some(code));
            assert!(!process.is_alive() && process.panic().is_none());
            // Nobody is hit any more, and nothing changes.
            for (send, _) in SIGNALS {
                send(&process).unwrap();
            }
            assert_eq!(process.join().unwrap(), code);
        }
    });
}

extern "C" fn leaves_with_1(_signal: i32) {
    leave(1)
}

fn handle(signal: Signal, handler: SigHandler) {
    let action = SigAction::new(handler, SaFlags::empty(), SigSet::empty());
    #[expect(unsafe_code, reason = "a signal handler is the subject")]
    // SAFETY: the handlers here do nothing, or leave at once.
    unsafe { sigaction(signal, &action) }.unwrap();
}

fn interrupt_handled() {
    each(|method| {
        let (here, there) = (Gate::new(), Gate::new());
        let body = |here: RemoteGate, there: RemoteGate| {
            handle(Signal::SIGINT, SigHandler::Handler(leaves_with_1));
            say_and_wait(here, there);
        };
        let process = start_by(method, body, (here.remote(), there.remote()));
        here.wait();
        process.interrupt().unwrap();
        assert_eq!(process.join().unwrap(), 1);
    });
}

/// The line that [`stumbles`] panics in.
const STUMBLE: u32 = line!() + 3;

fn stumbles(word: String) -> u8 {
    panic!("over a {word}");
}

/// The same news by each way to hear of it.
fn panic_in_a_child() {
    each(|method| {
        let process = start_by(method, stumbles, ("stone".to_owned(),));
        assert_eq!(process.join().unwrap(), 1);
        force_start_method(Some(method));
        let handle = multiproc::spawn(stumbles, ("stone".to_owned(),)).unwrap();
        let (name, pid) = (handle.process().name().to_owned(), handle.process().pid());
        let error = handle.join().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Panicked);
        let told = error.remote().unwrap().clone();
        assert_eq!((told.process(), Some(told.pid())), (name.as_str(), pid));
        for told in [process.panic().unwrap(), told] {
            assert_eq!(told.message(), "over a stone");
            assert!(told.file().unwrap().ends_with("tests/it/outcomes.rs"));
            assert_eq!((told.line(), told.exitcode()), (Some(STUMBLE), Some(1)));
            assert!(told.to_string().contains("over a stone"));
        }
    });
    let handle = multiproc::fork(|| -> u8 { panic!("in a fork") }).unwrap();
    let error = handle.join().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Panicked);
    assert_eq!(error.remote().unwrap().message(), "in a fork");
}

fn values() {
    each(|method| {
        force_start_method(Some(method));
        let spawned = multiproc::spawn(|a: u32, b: u32| a + b, (40, 2)).unwrap();
        assert_eq!(spawned.process().start_method(), method);
        assert_eq!(spawned.join().unwrap(), 42);
        multiproc::spawn(|| (), ()).unwrap().join().unwrap();
        let nested = || BTreeMap::from([("a".to_owned(), vec![None, Some(-1_i64)])]);
        assert_eq!(
            multiproc::spawn(nested, ()).unwrap().join().unwrap(),
            nested()
        );
        // A function's own failure is a value like any other.
        let fails = || Err::<u8, String>("no bananas".to_owned());
        assert_eq!(
            multiproc::spawn(fails, ()).unwrap().join().unwrap(),
            fails()
        );
        let large = |length: usize| vec![7_u8; length];
        let length = 5 << 20;
        assert!(multiproc::spawn(large, (length,)).unwrap().join().unwrap() == large(length));
        // An object that the child made outlives it.
        let makes = || {
            let queue = Queue::new().unwrap();
            queue.put("from the child".to_owned()).unwrap();
            queue
        };
        let queue: Queue<String> = multiproc::spawn(makes, ()).unwrap().join().unwrap();
        assert_eq!(queue.get().unwrap(), "from the child");
    });
    let (word, shared) = ("captured".to_owned(), Arc::new(vec![1, 2, 3]));
    let forked = multiproc::fork(move || (word.len(), shared.iter().sum::<i32>())).unwrap();
    assert_eq!(forked.process().start_method(), StartMethod::Fork);
    assert_eq!(forked.join().unwrap(), (8, 6));
}

fn fussy(encodes: bool, decodes: bool) -> Fussy {
    Fussy { encodes, decodes }
}

/// It is the value's fault, and nobody else is harmed.
fn values_that_cannot_travel() {
    each(|method| {
        force_start_method(Some(method));
        let kind = |encodes: bool, decodes: bool| {
            let handle = multiproc::spawn(fussy, (encodes, decodes)).unwrap();
            handle.join().map_err(|error: Error| error.kind())
        };
        assert_eq!(kind(false, true), Err(ErrorKind::Encode));
        assert_eq!(kind(true, false), Err(ErrorKind::Decode));
        assert_eq!(kind(true, true), Ok(fussy(true, true)));
    });
    let error = multiproc::fork(|| fussy(false, true)).unwrap().join();
    assert_eq!(error.unwrap_err().kind(), ErrorKind::Encode);
}

/// Ends without a value: each says how, an exit with 0 as well.
#[expect(clippy::disallowed_methods, reason = "how a process ends is the test")]
fn no_value() {
    let how = |result: multiproc::Result<u8>| {
        let error = result.unwrap_err();
        let remote = error.remote().expect("it says how it ended");
        (error.kind(), remote.exitcode())
    };
    each(|method| {
        force_start_method(Some(method));
        for (status, seen) in [(0, 0), (3, 3), (-1, 255)] {
            let exits = |status: i32| -> u8 { std::process::exit(status) };
            let joined = multiproc::spawn(exits, (status,)).unwrap().join();
            assert_eq!(how(joined), (ErrorKind::Exited, Some(seen)));
            let leaves = |status: i32| -> u8 { leave(status) };
            let joined = multiproc::spawn(leaves, (status,)).unwrap().join();
            assert_eq!(how(joined), (ErrorKind::Exited, Some(seen)));
        }
        let aborts = || -> u8 { std::process::abort() };
        let joined = multiproc::spawn(aborts, ()).unwrap().join();
        assert_eq!(how(joined), (ErrorKind::Killed, Some(-6)));
        for (send, code) in SIGNALS {
            let (here, there) = (Gate::new(), Gate::new());
            let waits = |here: RemoteGate, there: RemoteGate| -> u8 {
                say_and_wait(here, there);
                1
            };
            let handle = multiproc::spawn(waits, (here.remote(), there.remote())).unwrap();
            here.wait();
            send(handle.process()).unwrap();
            assert_eq!(how(handle.join()), (ErrorKind::Killed, Some(code)));
        }
    });
    let joined = multiproc::fork(|| -> u8 { std::process::exit(4) })
        .unwrap()
        .join();
    assert_eq!(how(joined), (ErrorKind::Exited, Some(4)));
}

/// A handle that nobody joins keeps nothing: that no object and no child stays is for the runner to see.
fn finished_and_dropped() {
    each(|method| {
        force_start_method(Some(method));
        let gate = Gate::new();
        let waits = |gate: RemoteGate| {
            gate.wait();
            vec![1_u8; 1 << 20]
        };
        let handle = multiproc::spawn(waits, (gate.remote(),)).unwrap();
        assert!(!handle.is_finished());
        drop(multiproc::spawn(waits, (gate.remote(),)).unwrap());
        gate.open(2);
        ended(handle.process());
        assert!(handle.is_finished());
        // Whoever asks the process first takes nothing from the handle.
        assert_eq!(handle.process().join().unwrap(), 0);
        assert_eq!(handle.join().unwrap().len(), 1 << 20);
        multiproc::active_children().iter().for_each(fine);
        assert!(multiproc::active_children().is_empty());
    });
}

/// Python's subclass with a `run` of its own.
#[derive(Debug, Serialize, Deserialize)]
struct Piao {
    guests: Vec<String>,
    answers: Queue<(String, Vec<String>)>,
    fails: bool,
}

impl Run for Piao {
    fn run(&mut self) {
        assert!(!self.fails, "no guests today");
        self.guests.push("the host".to_owned());
        let me = multiproc::current_process().name().to_owned();
        self.answers.put((me, self.guests.clone())).unwrap();
    }
}

fn piao(fails: bool) -> (Piao, Queue<(String, Vec<String>)>) {
    let answers = Queue::new().unwrap();
    let piao = Piao {
        guests: vec!["one".to_owned()],
        answers: answers.clone(),
        fails,
    };
    (piao, answers)
}

fn run() {
    each(|method| {
        force_start_method(Some(method));
        let (value, answers) = piao(false);
        let mut process = Process::from_run(value);
        let name = process.name().to_owned();
        let number = name.strip_prefix("Piao-").unwrap();
        assert!(number.parse::<u32>().unwrap() > 1, "{name}");
        process.start().unwrap();
        fine(&process);
        let guests = ["one", "the host"].map(str::to_owned).to_vec();
        assert_eq!(answers.get().unwrap(), (name, guests));
        assert!(answers.is_empty(), "it ran twice");
    });
}

fn run_that_fails() {
    each(|method| {
        let (value, answers) = piao(true);
        let process = multiproc::ProcessBuilder::from_run(value);
        let process = process.name("bob").start_method(method).start().unwrap();
        assert_eq!((process.name(), process.start_method()), ("bob", method));
        assert_eq!(process.join().unwrap(), 1);
        assert_eq!(process.panic().unwrap().message(), "no guests today");
        assert!(answers.is_empty());
    });
}

/// An argument that knows how many there are of it.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Counted {
    #[serde(skip)]
    here: Arc<()>,
}

/// The parent keeps neither function nor arguments once they have been sent.
fn arguments_are_dropped() {
    each(|method| {
        let gate = Gate::new();
        let counted = Counted::default();
        let here = Arc::clone(&counted.here);
        let body = |_counted: Counted, gate: RemoteGate| gate.wait();
        let mut process = builder(method, body, (counted, gate.remote())).build();
        assert_eq!(Arc::strong_count(&here), 2);
        process.start().unwrap();
        assert_eq!(Arc::strong_count(&here), 1);
        gate.open(1);
        fine(&process);

        let counted = Counted { here };
        let here = Arc::clone(&counted.here);
        drop(builder(method, body, (counted, gate.remote())).build());
        assert_eq!(Arc::strong_count(&here), 1);
    });
}

/// As in every Rust program: a thread that was joined has done its work, one that was not does not keep the process.
fn threads_of_a_child() {
    each(|method| {
        let numbers = Numbers::new();
        let body = |numbers: RemoteNumbers| {
            std::thread::spawn(|| Gate::new().wait());
            let works = std::thread::spawn(move || numbers.open().set(0, 1));
            works.join().unwrap();
        };
        fine(&start_by(method, body, (numbers.remote(),)));
        assert_eq!(numbers.get(0), 1);
    });
}

/// Needs about so many kilobytes of stack.
fn dive(kilobytes: u32) -> u8 {
    let here = std::hint::black_box([1_u8; 1024]);
    match kilobytes {
        0 => here[0],
        _ => std::hint::black_box(dive(kilobytes - 1)).max(here[1]),
    }
}

/// A child has the stack of a main thread, and its end is an end and no harm.
fn deep_stacks() {
    each(|method| {
        let some = |kilobytes: u32| assert_eq!(dive(kilobytes), 1);
        fine(&start_by(method, some, (2_500,)));
        let code = start_by(method, some, (u32::MAX,)).join().unwrap();
        assert!([-6, -11].contains(&code), "{code}");
    });
}

/// All hear the same, and none hears nothing.
fn joined_by_many() {
    each(|method| {
        for _ in 0..10 {
            let gate = Gate::new();
            let body = |gate: RemoteGate| {
                gate.wait();
                leave(6);
            };
            let process = start_by(method, body, (gate.remote(),));
            std::thread::scope(|scope| {
                let join = || assert_eq!(process.join().unwrap(), 6);
                let threads = [(); 4].map(|()| scope.spawn(join));
                gate.open(1);
                for thread in threads {
                    thread.join().unwrap();
                }
            });
            assert_eq!(process.exitcode().unwrap(), Some(6));
        }
    });
}

/// The queue in it lives by the value alone, of which a forked process drops its copy.
fn value_copied() {
    let letters = multiproc::spawn(
        || {
            let letters = Queue::new().unwrap();
            letters.put(7).unwrap();
            letters
        },
        (),
    );
    let letters = letters.unwrap();
    while !letters.is_finished() {
        std::thread::yield_now();
    }
    let mut letters = Some(letters);
    let child = fork_behind_our_back(|| drop(letters.take()));
    assert_eq!(waitpid(child, None).unwrap(), WaitStatus::Exited(child, 0));
    let letters: Queue<u32> = letters.unwrap().join().unwrap();
    assert_eq!(letters.get().unwrap(), 7);
}
