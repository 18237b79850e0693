//! A process from start to end: exit codes, names, daemons, arguments, and what a child inherits.

use crate::kit::{Numbers, RemoteNumbers, leave, start};
use crate::runner::{Case, Gate, RemoteGate, case, program, program_command, scaled};
use multiproc::{ErrorKind, Process, Queue, current_process};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, SigmaskHow, Signal, raise, sigprocmask};
use serde::de::Error as _;
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeMap;
use std::io::Read as _;
use std::process::Stdio;
use std::time::Duration;

pub(crate) fn tests() -> Vec<Case> {
    vec![
        case("process::exit_codes", exit_codes),
        case("process::a_panic_is_code_1", a_panic_is_code_1),
        case("process::sigterm_blocked_in_parent", sigterm_blocked),
        case("process::terminated_right_after_start", terminated_at_once),
        case("process::join_again_and_with_timeout", join_again),
        case("process::names", names),
        case("process::daemons_have_no_children", daemons),
        case("process::misuse", misuse),
        case("process::arguments_that_do_not_serialise", not_serialised),
        case("process::arguments_that_do_not_decode", not_decoded),
        case("process::hundred_short_children", hundred_short),
        case("process::hundred_killed_children", hundred_killed),
        case("process::sentinel_can_be_polled", sentinel),
        case("process::stdin_is_at_its_end", stdin_at_end),
        case("process::descriptors_of_a_child", descriptors),
        case("process::no_mask_is_inherited", no_mask_is_inherited),
        case("process::parallel_starts", parallel_starts),
        case("process::output_is_written_once", output_once),
        case("process::end_of_the_parent", end_of_the_parent),
        case("process::dropped_handles_are_reaped", dropped_handles),
        program("process::prints", prints),
        program("process::ends_normally", ends_normally),
    ]
}

#[expect(clippy::disallowed_methods, reason = "how a process ends is the test")]
fn exit_codes() {
    let code = |mut process: Process| {
        process.start().unwrap();
        process.join().unwrap()
    };
    assert_eq!(code(Process::new(|| (), ())), 0);
    assert_eq!(code(Process::new(|| 5_u8, ())), 0);
    for (status, seen) in [(0, 0), (7, 7), (255, 255), (300, 44), (-1, 255)] {
        let exit = |status: i32| std::process::exit(status);
        assert_eq!(code(Process::new(exit, (status,))), seen);
        assert_eq!(code(Process::new(|code: i32| leave(code), (status,))), seen);
    }
    assert_eq!(code(Process::new(std::process::abort, ())), -6);
    for signal in [Signal::SIGKILL, Signal::SIGSEGV, Signal::SIGINT] {
        let end = |signal: i32| raise(Signal::try_from(signal).unwrap()).unwrap();
        assert_eq!(code(Process::new(end, (signal as i32,))), -(signal as i32));
    }
    let in_a_thread = || {
        let end = || std::process::exit(9);
        std::thread::spawn(end).join().unwrap();
    };
    assert_eq!(code(Process::new(in_a_thread, ())), 9);
}

/// The line that [`stumbles`] panics in.
const STUMBLE: u32 = line!() + 3;

fn stumbles(word: String) {
    panic!("over a {word}");
}

fn a_panic_is_code_1() {
    let process = start(stumbles, ("stone".to_owned(),));
    assert_eq!(process.join().unwrap(), 1);
    let panic = process.panic().unwrap();
    assert_eq!(panic.message(), "over a stone");
    assert_eq!(panic.line(), Some(STUMBLE));
    assert!(panic.file().unwrap().ends_with("tests/it/process.rs"));
    assert_eq!(panic.process(), process.name());
    assert_eq!(Some(panic.pid()), process.pid());
    assert_eq!(panic.exitcode(), Some(1));

    let odd = start(|| std::panic::panic_any(5_u8), ());
    assert_eq!(odd.join().unwrap(), 1);
    assert!(odd.panic().is_some());
    let fine = start(|| (), ());
    assert_eq!(fine.join().unwrap(), 0);
    assert!(fine.panic().is_none());
}

fn waits(gate: RemoteGate) {
    gate.wait();
}

fn sigterm_blocked() {
    let mut set = SigSet::empty();
    set.add(Signal::SIGTERM);
    sigprocmask(SigmaskHow::SIG_BLOCK, Some(&set), None).unwrap();
    let (here, there) = (Gate::new(), Gate::new());
    let process = start(crate::kit::say_and_wait, (here.remote(), there.remote()));
    here.wait();
    process.terminate().unwrap();
    assert_eq!(process.join().unwrap(), -15);
    process.terminate().unwrap();
    process.kill().unwrap();
    assert_eq!(process.join().unwrap(), -15);
}

/// A signal sent before the child has made itself ready must not be lost.
fn terminated_at_once() {
    let gate = Gate::new();
    for _ in 0..scaled(200) {
        let process = start(waits, (gate.remote(),));
        process.terminate().unwrap();
        assert_eq!(process.join().unwrap(), -15);
    }
}

fn join_again() {
    let gate = Gate::new();
    let process = start(waits, (gate.remote(),));
    assert_eq!(process.join_timeout(Duration::ZERO).unwrap(), None);
    let short = Duration::from_millis(20);
    assert_eq!(process.join_timeout(short).unwrap(), None);
    assert_eq!(process.exitcode().unwrap(), None);
    assert!(process.is_alive());
    gate.open(1);
    assert_eq!(process.join().unwrap(), 0);
    assert!(!process.is_alive());
    assert_eq!(process.join().unwrap(), 0);
    assert_eq!(process.join_timeout(Duration::MAX).unwrap(), Some(0));
    assert_eq!(process.exitcode().unwrap(), Some(0));
}

fn tells_its_name(names: Queue<(String, u32, bool)>) {
    let me = current_process();
    let said = (me.name().to_owned(), me.pid(), me.daemon());
    names.put(said).unwrap();
    if me.name().matches(':').count() < 2 && me.name().starts_with("Process-") {
        let child = start(tells_its_name, (names,));
        assert_eq!(child.join().unwrap(), 0);
    }
}

fn names() {
    let heard = Queue::new().unwrap();
    // The runner's own first process was number 1.
    assert_eq!(current_process().name(), "MainProcess");
    let mut process = Process::new(tells_its_name, (heard.clone(),));
    assert_eq!((process.name(), process.daemon()), ("Process-2", false));
    assert_eq!(process.pid(), None);
    process.start().unwrap();
    assert_eq!(process.join().unwrap(), 0);
    let first: (String, u32, bool) = heard.get().unwrap();
    assert_eq!(first, ("Process-2".into(), process.pid().unwrap(), false));
    assert_eq!(heard.get().unwrap().0, "Process-2:1");
    assert_eq!(heard.get().unwrap().0, "Process-2:1:1");

    let mut named = Process::builder(tells_its_name, (heard.clone(),))
        .name("bob")
        .build();
    assert_eq!(named.name(), "bob");
    named.set_name("alice").unwrap();
    named.start().unwrap();
    assert_eq!(named.join().unwrap(), 0);
    assert_eq!(heard.get().unwrap().0, "alice");
}

fn daemon_tries(answers: Queue<(bool, Option<String>)>) {
    let tried = Process::new(|| (), ()).start();
    let kind = tried.err().map(|error| format!("{:?}", error.kind()));
    answers.put((current_process().daemon(), kind)).unwrap();
}

fn daemons() {
    let answers = Queue::new().unwrap();
    let daemon = Process::builder(daemon_tries, (answers.clone(),)).daemon(true);
    let daemon = daemon.start().unwrap();
    assert!(daemon.daemon());
    assert_eq!(daemon.join().unwrap(), 0);
    assert_eq!(answers.get().unwrap(), (true, Some("Misuse".to_owned())));
    let other = start(daemon_tries, (answers.clone(),));
    assert_eq!(other.join().unwrap(), 0);
    assert_eq!(answers.get().unwrap(), (false, None));
}

fn misuse() {
    let kind = |result: Result<(), multiproc::Error>| result.unwrap_err().kind();
    let mut process = Process::new(|| (), ());
    assert_eq!(process.join().unwrap_err().kind(), ErrorKind::Misuse);
    assert_eq!(process.sentinel().unwrap_err().kind(), ErrorKind::Misuse);
    assert_eq!(kind(process.terminate()), ErrorKind::Misuse);
    assert_eq!(kind(process.kill()), ErrorKind::Misuse);
    let none = process.join_timeout(Duration::ZERO);
    assert_eq!(none.unwrap_err().kind(), ErrorKind::Misuse);
    assert_eq!(process.exitcode().unwrap(), None);
    assert!(!process.is_alive() && process.panic().is_none());
    process.set_daemon(true).unwrap();
    process.set_daemon(false).unwrap();

    process.start().unwrap();
    assert_eq!(kind(process.start()), ErrorKind::Misuse);
    assert_eq!(kind(process.set_name("late")), ErrorKind::Misuse);
    assert_eq!(kind(process.set_daemon(true)), ErrorKind::Misuse);
    assert_eq!(process.join().unwrap(), 0);
    assert_eq!(kind(process.start()), ErrorKind::Misuse);
}

/// Serialises or decodes only when it is told to.
#[derive(Debug, PartialEq)]
pub(crate) struct Fussy {
    pub(crate) encodes: bool,
    pub(crate) decodes: bool,
}

impl Serialize for Fussy {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.encodes {
            true => self.decodes.serialize(serializer),
            false => Err(S::Error::custom("it will not be sent")),
        }
    }
}

impl<'de> Deserialize<'de> for Fussy {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match bool::deserialize(deserializer)? {
            decodes @ true => Ok(Fussy {
                encodes: true,
                decodes,
            }),
            false => Err(D::Error::custom("it will not be read")),
        }
    }
}

fn not_serialised() {
    let queue = Queue::<u8>::new().unwrap();
    let fussy = Fussy {
        encodes: false,
        decodes: true,
    };
    let never = |_queue: Queue<u8>, _fussy: Fussy| unreachable!("it was not sent");
    let mut process = Process::new(never, (queue, fussy));
    assert_eq!(process.start().unwrap_err().kind(), ErrorKind::Encode);
    assert_eq!(process.start().unwrap_err().kind(), ErrorKind::Misuse);
    assert_eq!(process.pid(), None);
    // That the queue in the arguments is freed is for the runner to see.
}

fn not_decoded() {
    let queue = Queue::<u8>::new().unwrap();
    let fussy = Fussy {
        encodes: true,
        decodes: false,
    };
    let never = |_queue: Queue<u8>, _fussy: Fussy| unreachable!("it does not decode");
    let process = start(never, (queue, fussy));
    assert_eq!(process.join().unwrap(), 1);
    let told = process.panic().unwrap();
    assert!(!told.message().contains("unreachable"), "{told}");
    assert!(told.message().contains("not_decoded"), "{told}");
}

#[expect(clippy::disallowed_methods, reason = "the exit code is the subject")]
fn hundred_short() {
    let exit = |code: i32| std::process::exit(code);
    let processes: Vec<Process> = (0..100).map(|code| start(exit, (code,))).collect();
    for (process, code) in processes.iter().zip(0..100) {
        assert_eq!(process.join().unwrap(), code);
    }
}

fn hundred_killed() {
    let gate = Gate::new();
    let processes: Vec<Process> = (0..100).map(|_| start(waits, (gate.remote(),))).collect();
    let signals = [Signal::SIGKILL, Signal::SIGTERM, Signal::SIGUSR1];
    for (process, signal) in processes.iter().zip(signals.into_iter().cycle()) {
        nix::sys::signal::kill(crate::kit::pid_of(process), signal).unwrap();
    }
    for (process, signal) in processes.iter().zip(signals.into_iter().cycle()) {
        assert_eq!(process.join().unwrap(), -(signal as i32));
    }
}

fn sentinel() {
    let gate = Gate::new();
    let process = start(waits, (gate.remote(),));
    let look = |timeout| {
        let mut fds = [PollFd::new(process.sentinel().unwrap(), PollFlags::POLLIN)];
        poll(&mut fds, timeout).unwrap()
    };
    assert_eq!(look(PollTimeout::ZERO), 0);
    gate.open(1);
    assert_eq!(look(PollTimeout::NONE), 1);
    assert!(!process.is_alive());
    assert_eq!(process.join().unwrap(), 0);
    assert_eq!(look(PollTimeout::ZERO), 1);
}

fn stdin_at_end() {
    let read = || {
        let mut bytes = Vec::new();
        std::io::stdin().read_to_end(&mut bytes).unwrap();
        assert!(bytes.is_empty());
    };
    assert_eq!(start(read, ()).join().unwrap(), 0);
}

/// What is open, by kind.
fn open_kinds() -> BTreeMap<String, u32> {
    let mut kinds = BTreeMap::new();
    for entry in std::fs::read_dir("/proc/self/fd").unwrap() {
        let entry = entry.unwrap();
        let target = std::fs::read_link(entry.path()).unwrap_or_default();
        let target = target.display().to_string();
        let kind = target.split(":[").next().unwrap().to_owned();
        let number: u32 = entry.file_name().to_str().unwrap().parse().unwrap();
        if number > 2 && !target.ends_with("/fd") {
            *kinds.entry(kind).or_insert(0) += 1;
        }
    }
    kinds
}

fn descriptors() {
    let answers = Queue::new().unwrap();
    let count = |answers: Queue<BTreeMap<String, u32>>| answers.put(open_kinds()).unwrap();
    assert_eq!(start(count, (answers.clone(),)).join().unwrap(), 0);
    let alone = answers.get().unwrap();
    assert!(alone.len() > 1, "{alone:?}");

    let gate = Gate::new();
    let siblings = [(); 10].map(|()| start(waits, (gate.remote(),)));
    // Without close-on-exec, as careless libraries open them.
    let careless = nix::fcntl::open(
        "/dev/zero",
        nix::fcntl::OFlag::O_RDONLY,
        nix::sys::stat::Mode::empty(),
    );
    assert_eq!(start(count, (answers.clone(),)).join().unwrap(), 0);
    assert_eq!(answers.get().unwrap(), alone);
    drop(careless);
    gate.open(siblings.len());
    for sibling in siblings {
        assert_eq!(sibling.join().unwrap(), 0);
    }
}

/// Signals 32 and 33 are the C library's own.
const ALL: u64 = !(3 << 31);

fn no_mask_is_inherited() {
    sigprocmask(SigmaskHow::SIG_BLOCK, Some(&SigSet::all()), None).unwrap();
    let masks = Queue::new().unwrap();
    let tell = |masks: Queue<Vec<u64>>| {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = |name: &str| {
            let found = status.lines().find_map(|line| line.strip_prefix(name));
            u64::from_str_radix(found.unwrap().trim(), 16).unwrap() & ALL
        };
        masks
            .put(["SigBlk:", "SigIgn:"].map(line).to_vec())
            .unwrap();
    };
    assert_eq!(start(tell, (masks.clone(),)).join().unwrap(), 0);
    let sigpipe = 1_u64 << (Signal::SIGPIPE as u32 - 1);
    assert_eq!(masks.get().unwrap(), [0, sigpipe]);
}

fn parallel_starts() {
    let numbers = Numbers::new();
    let remote = numbers.remote();
    let mark = |numbers: RemoteNumbers, index: usize| numbers.open().set(index, index as u64 + 1);
    std::thread::scope(|scope| {
        for thread in 0..8 {
            scope.spawn(move || {
                for round in 0..10 {
                    let process = start(mark, (remote, thread * 10 + round));
                    assert_eq!(process.join().unwrap(), 0);
                }
            });
        }
    });
    assert!((0..80).all(|index| numbers.get(index) == index as u64 + 1));
}

/// A part of a line stays in the buffer of whoever printed it until the end.
fn prints() {
    print!("[parent]");
    let child = || {
        print!("[child]");
        let grandchild = start(|| print!("[grandchild]"), ());
        assert_eq!(grandchild.join().unwrap(), 0);
    };
    assert_eq!(start(child, ()).join().unwrap(), 0);
    #[expect(clippy::disallowed_methods, reason = "exit flushes as a return does")]
    let exits = || {
        print!("[exits]");
        std::process::exit(3);
    };
    assert_eq!(start(exits, ()).join().unwrap(), 3);
}

fn output_once() {
    let output = program_command("process::prints").output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text, "[grandchild][child][exits][parent]");
}

const GATE: &str = "TEST_GATE";

fn ends_normally() {
    let gate = RemoteGate::from_text(&std::env::var(GATE).unwrap());
    let daemon = Process::builder(|| Gate::new().wait(), ()).daemon(true);
    let daemon = daemon.start().unwrap();
    let child = |gate: RemoteGate| {
        gate.wait();
        println!("the child is done");
    };
    let child = start(child, (gate,));
    println!(
        "the parent is done {}",
        daemon.is_alive() && child.is_alive()
    );
}

/// The child goes on only after its parent's main function has returned.
fn end_of_the_parent() {
    let gate = Gate::new();
    let mut command = program_command("process::ends_normally");
    let command = command.env(GATE, gate.remote().text());
    let mut parent = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut output = parent.stdout.take().unwrap();
    let expected = "the parent is done true\n";
    let mut first = vec![0; expected.len()];
    output.read_exact(&mut first).unwrap();
    assert_eq!(String::from_utf8(first).unwrap(), expected);
    gate.open(1);
    let mut rest = String::new();
    // The end is there when nobody has the pipe any more: the daemon neither.
    output.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "the child is done\n");
    assert!(parent.wait().unwrap().success());
}

/// Who drops a handle neither kills nor waits; a later start reaps.
fn dropped_handles() {
    let numbers = Numbers::new();
    let (here, there) = (Gate::new(), Gate::new());
    let body = |here: RemoteGate, there: RemoteGate, numbers: RemoteNumbers| {
        there.wait();
        numbers.open().set(0, 1);
        here.open(1);
    };
    drop(start(
        body,
        (here.remote(), there.remote(), numbers.remote()),
    ));
    there.open(1);
    here.wait();
    assert_eq!(numbers.get(0), 1);
    let members = || multiproc::arena::usage().unwrap().members;
    while members() > 1 {
        assert_eq!(start(|| (), ()).join().unwrap(), 0);
    }
}
