//! The life of a process under each start method, as CPython's `_TestProcess` has it: what is known of it before, during
//! and after, and what it knows of itself.

use crate::kit::{Numbers, RemoteNumbers, children, pid_of, state_of, stop_and_wait};
use crate::runner::{Case, Gate, RemoteGate, case};
use crate::ways::{builder, each, ended, fine, named, open_numbers, start_by};
use multiproc::{
    ErrorKind, Process, ProcessState, Queue, StartMethod, active_children, available_cpus,
    cpu_count, current_process, parent_process,
};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

pub(crate) fn tests() -> Vec<Case> {
    vec![
        case("life::the_first_process", the_first_process),
        case("life::from_start_to_end", from_start_to_end),
        case("life::states", states),
        case("life::arguments", arguments),
        case("life::started_by_a_destructor", started_by_a_destructor),
        case("life::names", names),
        case("life::main_thread", main_thread),
        case("life::name_for_the_system", name_for_the_system),
        case("life::close", close),
        case("life::close_before_the_start", close_before_the_start),
        case("life::close_gives_back", close_gives_back),
        case("life::debug", debug),
        case("life::cpu_counts", cpu_counts),
    ]
}

fn the_first_process() {
    let me = current_process();
    assert!(me.is_alive() && !me.daemon());
    assert_eq!(me.name(), "MainProcess");
    assert_eq!(me.pid(), std::process::id());
    assert_eq!(me.ident(), me.pid());
    assert_eq!(me.exitcode(), None);
    assert_eq!(me.authkey().as_bytes().len(), 32);
    assert!(parent_process().is_none());
    let shown = format!("{me:?}");
    assert!(shown.contains("MainProcess"), "{shown}");
}

/// What a child sees of itself.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Seen {
    arguments: (u32, Vec<String>),
    name: String,
    pids: [u32; 3],
    alive: bool,
    exitcode: Option<i32>,
    daemon: bool,
    authkey: Vec<u8>,
    parent: (String, u32),
}

fn looks(number: u32, words: Vec<String>, seen: Queue<Seen>, gate: RemoteGate) {
    let me = current_process();
    let parent = parent_process().unwrap();
    assert!(parent.is_alive());
    let said = Seen {
        arguments: (number, words),
        name: me.name().to_owned(),
        pids: [me.pid(), me.ident(), std::process::id()],
        alive: me.is_alive(),
        exitcode: me.exitcode(),
        daemon: me.daemon(),
        authkey: me.authkey().as_bytes().to_vec(),
        parent: (parent.name().to_owned(), parent.pid()),
    };
    seen.put(said).unwrap();
    gate.wait();
}

pub(crate) fn is_active(process: &Process) -> bool {
    let pids: Vec<Option<u32>> = active_children().iter().map(Process::pid).collect();
    pids.contains(&process.pid())
}

fn from_start_to_end() {
    each(|method| {
        let (seen, gate) = (Queue::new().unwrap(), Gate::new());
        let words = vec!["one".to_owned(), "two".to_owned()];
        let arguments = (7, words.clone(), seen.clone(), gate.remote());
        let mut process = builder(method, looks, arguments).name("worker").build();
        assert_eq!(process.start_method(), method);
        assert!(!process.is_alive() && !process.daemon());
        assert_eq!((process.pid(), process.ident()), (None, None));
        assert_eq!(process.exitcode().unwrap(), None);
        assert_eq!(process.state().unwrap(), ProcessState::Ready);
        assert_eq!(process.authkey(), current_process().authkey());
        assert!(active_children().is_empty());

        process.start().unwrap();
        let pid = process.pid().unwrap();
        let expected = Seen {
            arguments: (7, words),
            name: "worker".to_owned(),
            pids: [pid; 3],
            alive: true,
            exitcode: None,
            daemon: false,
            authkey: current_process().authkey().as_bytes().to_vec(),
            parent: ("MainProcess".to_owned(), std::process::id()),
        };
        assert_eq!(seen.get().unwrap(), expected);
        assert!(process.is_alive() && is_active(&process));
        assert_eq!(process.exitcode().unwrap(), None);
        assert_eq!(process.ident(), Some(pid));

        gate.open(1);
        fine(&process);
        assert_eq!(process.exitcode().unwrap(), Some(0));
        assert_eq!(process.state().unwrap(), ProcessState::Ended);
        assert!(!process.is_alive() && !is_active(&process));
        assert_eq!(process.pid(), Some(pid));
    });
}

fn spins_then_waits(here: RemoteGate, there: RemoteGate, numbers: RemoteNumbers) {
    let numbers = numbers.open();
    here.open(1);
    while numbers.get(0) == 0 {
        std::hint::spin_loop();
    }
    there.wait();
}

/// Waits until it is in that state: the kernel's word for a sleep is there a moment after the sleep.
fn reaches(process: &Process, state: ProcessState) {
    while process.state().unwrap() != state {
        assert!(process.is_alive());
        std::thread::yield_now();
    }
}

fn states() {
    each(|method| {
        let (here, there, numbers) = (Gate::new(), Gate::new(), Numbers::new());
        let arguments = (here.remote(), there.remote(), numbers.remote());
        let process = start_by(method, spins_then_waits, arguments);
        here.wait();
        reaches(&process, ProcessState::Running);
        stop_and_wait(pid_of(&process));
        reaches(&process, ProcessState::Stopped);
        // Stopped is alive.
        assert_eq!(process.join_timeout(Duration::ZERO).unwrap(), None);
        numbers.set(0, 1);
        kill(pid_of(&process), Signal::SIGCONT).unwrap();
        reaches(&process, ProcessState::Blocked);
        process.kill().unwrap();
        ended(&process);
        assert_eq!(process.state().unwrap(), ProcessState::Ended);
        assert_eq!(process.join().unwrap(), -9);
    });
    let all = [
        (ProcessState::Ready, "ready"),
        (ProcessState::Running, "running"),
        (ProcessState::Blocked, "blocked"),
        (ProcessState::Stopped, "stopped"),
        (ProcessState::Ended, "ended"),
    ];
    for (state, word) in all {
        assert_eq!(state.to_string(), word);
    }
}

type Nested = BTreeMap<String, Vec<Option<(i64, char)>>>;

fn arguments() {
    each(|method| {
        let nested: Nested = BTreeMap::from([
            (String::new(), vec![]),
            (
                "zwölf".to_owned(),
                vec![None, Some((i64::MIN, '\u{1f980}'))],
            ),
        ]);
        // Larger than a pipe and than a page.
        let large = vec![0xa5_u8; 3 << 20];
        let back = Queue::new().unwrap();
        let echo =
            |nested: Nested, large: Vec<u8>, unit: (), back: Queue<(Nested, Vec<u8>, ())>| {
                back.put((nested, large, unit)).unwrap();
            };
        let process = start_by(
            method,
            echo,
            (nested.clone(), large.clone(), (), back.clone()),
        );
        assert!(back.get().unwrap() == (nested, large, ()));
        fine(&process);
        fine(&start_by(method, || (), ()));
        let eight = |a: u8, b: u16, c: u32, d: u64, e: i8, f: i16, g: f64, h: bool| {
            assert_eq!((a, b, c, d), (1, 2, 3, 4));
            assert_eq!((e, f, g, h), (-5, -6, 0.5, true));
        };
        fine(&start_by(method, eight, (1, 2, 3, 4, -5, -6, 0.5, true)));
    });
}

fn says_its_name(names: Queue<String>, method: String) {
    let me = current_process();
    names.put(me.name().to_owned()).unwrap();
    if me.name().matches(':').count() < 2 && me.name().starts_with("Process-") {
        for _ in 0..2 {
            fine(&start_by(
                named(&method),
                says_its_name,
                (names.clone(), method.clone()),
            ));
        }
    }
}

fn names() {
    let names = Queue::new().unwrap();
    let heard = || names.get().unwrap();
    each(|method| {
        let arguments = || (names.clone(), method.to_string());
        let process = start_by(method, says_its_name, arguments());
        let name = process.name().to_owned();
        let number = name.strip_prefix("Process-").unwrap();
        assert!(number.parse::<u32>().unwrap() > 1, "{name}");
        fine(&process);
        for tail in ["", ":1", ":1:1", ":1:2", ":2", ":2:1", ":2:2"] {
            assert_eq!(heard(), format!("{name}{tail}"));
        }
        // A name is a label: any text, and more than one may have it.
        for name in ["", "twice", "twice", "zwölf\n\0", &"x".repeat(10_000)] {
            let process = builder(method, says_its_name, arguments()).name(name);
            let process = process.start().unwrap();
            assert_eq!(process.name(), name);
            fine(&process);
            assert_eq!(heard(), name);
        }
        let mut process = builder(method, says_its_name, arguments()).build();
        process.set_name("alice").unwrap();
        process.start().unwrap();
        fine(&process);
        assert_eq!(heard(), "alice");
    });
}

fn main_thread() {
    each(|method| {
        let (threads, mine) = (Queue::new().unwrap(), nix::unistd::gettid());
        let tell = |threads: Queue<(i32, i32)>| {
            let ids = (
                nix::unistd::gettid().as_raw(),
                nix::unistd::getpid().as_raw(),
            );
            threads.put(ids).unwrap();
        };
        let process = start_by(method, tell, (threads.clone(),));
        fine(&process);
        let (thread, pid) = threads.get().unwrap();
        assert_ne!(thread, mine.as_raw());
        assert_eq!(pid, pid_of(&process).as_raw());
        // A copy of us runs the function in a thread that has none of our thread-locals.
        assert_eq!(thread == pid, method != StartMethod::Fork);
    });
}

fn kind<T: std::fmt::Debug>(result: multiproc::Result<T>) -> ErrorKind {
    result.unwrap_err().kind()
}

fn all_is_closed(process: &mut Process) {
    let closed = ErrorKind::Closed;
    assert_eq!(kind(process.start()), closed);
    assert_eq!(kind(process.join()), closed);
    assert_eq!(kind(process.join_timeout(Duration::ZERO)), closed);
    assert_eq!(kind(process.exitcode()), closed);
    assert_eq!(kind(process.state()), closed);
    assert_eq!(kind(process.terminate()), closed);
    assert_eq!(kind(process.kill()), closed);
    assert_eq!(kind(process.interrupt()), closed);
    assert_eq!(kind(process.sentinel()), closed);
    assert_eq!(kind(process.set_name("x")), closed);
    assert_eq!(kind(process.set_daemon(true)), closed);
    assert_eq!(kind(process.set_authkey(vec![1])), closed);
    assert!(!process.is_alive() && process.pid().is_none());
    assert!(process.panic().is_none() && process.ident().is_none());
    // What is only a label stays.
    assert!(format!("{process:?}").contains(process.name()));
    process.close().unwrap();
}

fn close() {
    each(|method| {
        let gate = Gate::new();
        let mut process = start_by(method, RemoteGate::wait, (gate.remote(),));
        assert_eq!(kind(process.close()), ErrorKind::Misuse);
        assert!(process.is_alive(), "a close that failed did harm");
        gate.open(1);
        fine(&process);
        process.close().unwrap();
        all_is_closed(&mut process);

        // It has ended, and nobody has asked yet.
        let mut process = start_by(method, || panic!("on purpose"), ());
        ended(&process);
        process.close().unwrap();
        all_is_closed(&mut process);
        assert!(active_children().is_empty());
    });
}

fn close_before_the_start() {
    each(|method| {
        let mut process = builder(method, || (), ()).build();
        process.close().unwrap();
        all_is_closed(&mut process);
        assert!(children().iter().all(|pid| state_of(*pid) != Some('Z')));
    });
}

fn close_gives_back() {
    each(|method| {
        fine(&start_by(method, || (), ()));
        let before = open_numbers();
        let mut kept: Vec<Process> = (0..20).map(|_| start_by(method, || (), ())).collect();
        for process in &mut kept {
            fine(process);
            process.close().unwrap();
        }
        assert_eq!(open_numbers(), before);
        assert!(kept.iter().all(|process| process.pid().is_none()));
    });
}

fn debug() {
    each(|method| {
        let gate = Gate::new();
        let process = builder(method, RemoteGate::wait, (gate.remote(),));
        let mut process = process.name("bob").daemon(true).build();
        let key = format!("{:?}", process.authkey().as_bytes());
        let has = |process: &Process, words: &[&str]| {
            let shown = format!("{process:?} {process:#?}");
            for word in words {
                assert!(shown.contains(word), "{word}: {shown}");
            }
            assert!(!shown.contains(&key), "{shown}");
        };
        has(&process, &["bob", "daemon"]);
        process.start().unwrap();
        let (pid, parent) = (process.pid().unwrap(), std::process::id());
        has(
            &process,
            &["bob", "daemon", &pid.to_string(), &parent.to_string()],
        );
        process.kill().unwrap();
        process.join().unwrap();
        has(&process, &["bob", "daemon", &pid.to_string(), "-SIGKILL"]);
    });
}

/// The machine's CPUs are one number, those that this process may use another.
fn cpu_counts() {
    let (all, mine) = (cpu_count(), available_cpus());
    assert!((1..=all).contains(&mine), "{mine} of {all}");
    let this = Pid::from_raw(0);
    let whole = sched_getaffinity(this).unwrap();
    let mut one = CpuSet::new();
    let first = (0..CpuSet::count()).find(|cpu| whole.is_set(*cpu).unwrap());
    one.set(first.unwrap()).unwrap();
    sched_setaffinity(this, &one).unwrap();
    assert_eq!((cpu_count(), available_cpus()), (all, 1));
    sched_setaffinity(this, &whole).unwrap();
    assert_eq!((cpu_count(), available_cpus()), (all, mine));
}

struct Starts(StartMethod);

impl Drop for Starts {
    fn drop(&mut self) {
        fine(&start_by(self.0, || (), ()));
    }
}

/// While a panic unwinds its thread.
fn started_by_a_destructor() {
    each(|method| {
        let unwound = std::panic::catch_unwind(|| {
            let _starts = Starts(method);
            panic!("the first and only one");
        });
        unwound.unwrap_err();
    });
}

/// As `ps` shows it: a child is this program, however it came to be.
fn name_for_the_system() {
    let name = || std::fs::read_to_string("/proc/self/comm").unwrap();
    let own = name();
    each(|method| {
        let names = Queue::new().unwrap();
        let tell = |names: Queue<String>| {
            let name = std::fs::read_to_string("/proc/self/comm").unwrap();
            names.put(name).unwrap();
        };
        fine(&start_by(method, tell, (names.clone(),)));
        assert_eq!(names.get().unwrap(), own);
    });
}
