//! Ends of parents: exit handlers, children that outlive them, and children that must not.

use crate::kit::{Numbers, RemoteNumbers, lives, say_and_wait};
use crate::runner::{
    Case, Gate, RemoteGate, case, program, program_command, scaled, wait_for_exit,
};
use crate::ways::{builder, each, fine, named, start_by};
use multiproc::{Process, Queue, StartMethod, all_start_methods, at_exit, parent_process};
use nix::unistd::Pid;
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, ChildStdout, Stdio};
use std::time::Duration;

pub(crate) fn tests() -> Vec<Case> {
    vec![
        case("exits::handlers_of_a_child", handlers_of_a_child),
        case("exits::handlers_registered_meanwhile", registered_meanwhile),
        case("exits::handlers_start_processes", handlers_start_processes),
        case(
            "exits::a_child_waits_for_its_children",
            waits_for_its_children,
        ),
        case(
            "exits::handlers_of_the_parent_are_not_the_childs",
            not_the_childs,
        ),
        case(
            "exits::handlers_come_before_the_children",
            before_the_children,
        ),
        case("exits::detached_outlives_its_parent", detached_outlives),
        case("exits::detached_is_joined", detached_is_joined),
        case(
            "exits::killed_while_it_starts_detached_ones",
            killed_while_it_starts,
        ),
        program("exits::starts_detached_ones", starts_detached_ones),
        case("exits::grandchild_sees_its_killed_parent", grandchild_sees),
        case("exits::parent_killed", parent_killed),
        program("exits::has_handlers", has_handlers),
        program("exits::leaves_a_detached", leaves_a_detached),
        program("exits::mother", mother),
    ]
}

const METHOD: &str = "TEST_METHOD";
const GATES: [&str; 3] = ["TEST_GATE_1", "TEST_GATE_2", "TEST_GATE_3"];
const KILLED: &str = "TEST_IS_KILLED";

fn method() -> StartMethod {
    named(&std::env::var(METHOD).unwrap())
}

fn gate(number: usize) -> RemoteGate {
    RemoteGate::from_text(&std::env::var(GATES[number]).unwrap())
}

/// A family of its own, its gates, and the first line that it says.
struct Family {
    program: Child,
    output: BufReader<ChildStdout>,
    gates: [Gate; 3],
}

impl Family {
    fn start(name: &str, method: StartMethod, killed: bool) -> Family {
        let gates = [(); 3].map(|()| Gate::new());
        let mut command = program_command(name);
        for (name, gate) in GATES.iter().zip(&gates) {
            command.env(name, gate.remote().text());
        }
        command.envs(killed.then_some((KILLED, "1")));
        let command = command
            .env(METHOD, method.to_string())
            .stdout(Stdio::piped());
        let mut program = command.spawn().unwrap();
        let output = BufReader::new(program.stdout.take().unwrap());
        Family {
            program,
            output,
            gates,
        }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// What is said until nobody of the family has the pipe any more.
    fn rest(&mut self) -> String {
        let mut rest = String::new();
        self.output.read_to_string(&mut rest).unwrap();
        rest
    }
}

/// What a child registers, and how it ends then.
fn registers(said: Queue<u32>, how: String) {
    for number in 1..=4 {
        let said = said.clone();
        at_exit(move || {
            assert_ne!(number, 3, "this one is no good");
            said.put(number).unwrap();
        });
    }
    #[expect(clippy::disallowed_methods, reason = "how a process ends is the test")]
    match how.as_str() {
        "returns" => {}
        "exits" => std::process::exit(4),
        "exits in a thread" => {
            let exit = || std::process::exit(4);
            std::thread::spawn(exit).join().unwrap();
        }
        "leaves" => crate::kit::leave(4),
        _ => std::process::abort(),
    }
}

/// The last first; one that panics takes no other with it and changes no exit code; a hard end runs none.
fn handlers_of_a_child() {
    each(|method| {
        for (how, code, run) in [
            ("returns", 0, vec![4, 2, 1]),
            ("exits", 4, vec![4, 2, 1]),
            ("exits in a thread", 4, vec![4, 2, 1]),
            ("leaves", 4, vec![]),
            ("aborts", -6, vec![]),
        ] {
            let said = Queue::new().unwrap();
            let process = start_by(method, registers, (said.clone(), how.to_owned()));
            assert_eq!(process.join().unwrap(), code, "{how}");
            let heard: Vec<u32> = std::iter::from_fn(|| said.try_get().ok()).collect();
            assert_eq!(heard, run, "{how}");
        }
    });
}

/// Threads register while the process ends.
fn registered_meanwhile() {
    each(|method| {
        for _ in 0..scaled(20) {
            let numbers = Numbers::new();
            let body = |numbers: RemoteNumbers| {
                at_exit(move || numbers.open().set(0, 1));
                for _ in 0..3 {
                    std::thread::spawn(|| {
                        for _ in 0..10_000 {
                            at_exit(|| ());
                        }
                    });
                }
            };
            fine(&start_by(method, body, (numbers.remote(),)));
            assert_eq!(numbers.get(0), 1);
        }
    });
}

fn starts_at_its_end(said: Queue<String>) {
    at_exit(move || {
        for method in all_start_methods() {
            let say = |said: Queue<String>, method: String| said.put(method).unwrap();
            fine(&start_by(method, say, (said.clone(), method.to_string())));
        }
    });
}

/// The end of a process has begun, and it may still do what it could.
fn handlers_start_processes() {
    each(|method| {
        let said = Queue::new().unwrap();
        fine(&start_by(method, starts_at_its_end, (said.clone(),)));
        for method in all_start_methods() {
            assert_eq!(said.try_get().unwrap(), method.to_string());
        }
    });
}

fn leaves_children(method: String, here: RemoteGate, there: RemoteGate, panics: bool) {
    let (method, ready) = (named(&method), Gate::new());
    let daemon = builder(method, waits_for_ever, (ready.remote(),)).daemon(true);
    drop(daemon.start().unwrap());
    // Before it runs it could be terminated, too, but nobody would see that it was there.
    ready.wait();
    drop(start_by(method, say_and_wait, (here, there)));
    at_exit(move || here.open(1));
    assert!(!panics, "on purpose");
}

/// Its function has returned, or panicked: a child is there until its own children are, but for daemons.
fn waits_for_its_children() {
    each(|method| {
        for panics in [false, true] {
            let (here, there) = (Gate::new(), Gate::new());
            let gates = (here.remote(), there.remote());
            let arguments = (method.to_string(), gates.0, gates.1, panics);
            let process = start_by(method, leaves_children, arguments);
            // Its child, and the end of its function.
            here.wait();
            here.wait();
            let short = Duration::from_millis(30);
            assert_eq!(process.join_timeout(short).unwrap(), None);
            there.open(1);
            assert_eq!(process.join().unwrap(), i32::from(panics));
        }
    });
}

/// Whoever registered it runs it, also when a child has a copy of it.
fn not_the_childs() {
    let numbers = Numbers::new();
    let remote = numbers.remote();
    let me = std::process::id();
    at_exit(move || assert_eq!(std::process::id(), me));
    at_exit(move || remote.open().add(0, 1));
    each(|method| {
        fine(&start_by(method, || (), ()));
        #[expect(clippy::disallowed_methods, reason = "how a process ends is the test")]
        let exits = start_by(method, || std::process::exit(2), ());
        assert_eq!(exits.join().unwrap(), 2);
        let own = |numbers: RemoteNumbers| at_exit(move || numbers.open().add(1, 1));
        fine(&start_by(method, own, (numbers.remote(),)));
    });
    assert_eq!((numbers.get(0), numbers.get(1)), (0, 3));
}

/// The daemon still runs when the handlers do, and what a child waits for may come from a handler.
fn has_handlers() {
    let daemon = builder(method(), || Gate::new().wait(), ()).daemon(true);
    let daemon = daemon.start().unwrap();
    let child = |gate: RemoteGate| {
        gate.wait();
        println!("child");
    };
    let child = start_by(method(), child, (gate(0),));
    at_exit(move || {
        println!("first {}", child.is_alive());
        gate(0).open(1);
    });
    at_exit(move || println!("second {}", daemon.is_alive()));
    println!("main");
}

fn before_the_children() {
    each(|method| {
        let mut family = Family::start("exits::has_handlers", method, false);
        assert_eq!(family.rest(), "main\nsecond true\nfirst true\nchild\n");
        assert!(family.program.wait().unwrap().success());
    });
}

fn works_detached(method: String, here: RemoteGate, there: RemoteGate, done: RemoteGate) {
    say_and_wait(here, there);
    assert!(!parent_process().unwrap().is_alive());
    for _ in 0..2 {
        fine(&start_by(named(&method), || (), ()));
    }
    done.open(1);
}

fn leaves_a_detached() {
    let arguments = (method().to_string(), gate(0), gate(1), gate(2));
    let process = builder(method(), works_detached, arguments).detach();
    let process = process.start().unwrap();
    println!("{}", process.pid().unwrap());
    if std::env::var(KILLED).is_ok() {
        Gate::new().wait();
    }
}

/// Neither a normal end of its parent, which does not wait for it, nor a sudden one is its own.
fn detached_outlives() {
    each(|method| {
        for killed in [false, true] {
            let mut family = Family::start("exits::leaves_a_detached", method, killed);
            let pid = Pid::from_raw(family.line().parse().unwrap());
            let [here, there, done] = &family.gates;
            here.wait();
            if killed {
                family.program.kill().unwrap();
            }
            assert_eq!(family.program.wait().unwrap().success(), !killed);
            assert!(lives(pid), "killed: {killed}");
            there.open(1);
            done.wait();
            wait_for_exit(pid);
            assert_eq!(family.rest(), "");
        }
    });
}

/// While its parent lives it is a process like others.
fn detached_is_joined() {
    each(|method| {
        let process = builder(method, || panic!("on purpose"), ()).detach();
        let process = process.start().unwrap();
        assert_eq!(process.join().unwrap(), 1);
        assert_eq!(process.panic().unwrap().message(), "on purpose");
        let gate = Gate::new();
        let process = builder(method, RemoteGate::wait, (gate.remote(),)).detach();
        let process = process.start().unwrap();
        assert!(process.is_alive());
        process.terminate().unwrap();
        assert_eq!(process.join().unwrap(), -15);
    });
}

fn watches_its_parent(told: Queue<(u32, u32, bool)>) {
    let parent = parent_process().unwrap();
    let tell = || {
        let said = (std::process::id(), parent.pid(), parent.is_alive());
        told.put(said).unwrap();
    };
    tell();
    parent.join().unwrap();
    assert!(parent.join_timeout(Duration::ZERO).unwrap());
    tell();
}

fn has_a_watcher(told: Queue<(u32, u32, bool)>, method: String) {
    let watcher = builder(named(&method), watches_its_parent, (told,)).detach();
    let watcher = watcher.start().unwrap();
    assert!(watcher.is_alive());
    Gate::new().wait();
}

/// It hears of the end of its parent, though its grandparent lives and, with a fork server, is the one who had it started.
fn grandchild_sees() {
    each(|method| {
        let told = Queue::new().unwrap();
        let middle = start_by(method, has_a_watcher, (told.clone(), method.to_string()));
        let first = told.get().unwrap();
        assert_eq!((first.1, first.2), (middle.pid().unwrap(), true));
        assert!(told.is_empty());
        middle.kill().unwrap();
        assert_eq!(middle.join().unwrap(), -9);
        assert_eq!(told.get().unwrap(), (first.0, first.1, false));
        wait_for_exit(Pid::from_raw(first.0.cast_signed()));
    });
}

fn with_a_child(method: String, here: RemoteGate) {
    let child = start_by(named(&method), waits_for_ever, (here,));
    here.open(1);
    assert_eq!(child.join().unwrap(), 0);
}

fn waits_for_ever(here: RemoteGate) {
    here.open(1);
    Gate::new().wait();
}

/// Children of a thread that has ended since: one, a daemon, one with a child, and a closure.
fn mother() {
    let starter = std::thread::spawn(|| {
        let daemon = builder(method(), waits_for_ever, (gate(0),)).daemon(true);
        let here = gate(0);
        let mut closure = Process::fork(move || waits_for_ever(here));
        closure.start().unwrap();
        [
            start_by(method(), waits_for_ever, (here,)),
            daemon.start().unwrap(),
            start_by(method(), with_a_child, (method().to_string(), here)),
            closure,
        ]
    });
    let children = starter.join().unwrap();
    for _ in 0..5 {
        gate(0).wait();
    }
    assert!(children.iter().all(Process::is_alive));
    println!("ready");
    Gate::new().wait();
}

fn parent_killed() {
    each(|method| {
        let mut family = Family::start("exits::mother", method, true);
        assert_eq!(family.line(), "ready");
        family.program.kill().unwrap();
        family.program.wait().unwrap();
        assert_eq!(family.rest(), "");
    });
}

fn starts_detached_ones() {
    loop {
        let child = Process::builder(|| (), ()).detach().start().unwrap();
        assert_eq!(child.join().unwrap(), 0);
        println!();
    }
}

/// Wherever it is in a start: a detached child that was never told what to do does not wait for that for ever. Everybody of such a
/// family holds its output.
fn killed_while_it_starts() {
    for round in 0..scaled(40) {
        let mut parent = program_command("exits::starts_detached_ones")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = parent.stdout.take().unwrap();
        output.read_exact(&mut [0]).unwrap();
        std::thread::sleep(Duration::from_micros(u64::from(round) * 37));
        parent.kill().unwrap();
        parent.wait().unwrap();
        output.read_to_end(&mut Vec::new()).unwrap();
    }
}
