//! How processes end, whichever way they were started: codes, panics, what stands in buffers, what runs at an exit, and what is
//! joined or terminated.

#![expect(
    clippy::disallowed_methods,
    reason = "how a process ends is the subject"
)]

use crate::kit::{Numbers, RemoteNumbers, leave};
use crate::runner::{Case, Gate, RemoteGate, case, program, program_command, scaled};
use crate::surroundings::Folder;
use crate::ways::{WAYS, ends_with, run_by, start_by};
use multiproc::{Process, StartMethod, current_process};
use nix::libc;
use std::fs::File;
use std::io::{PipeReader, Read as _};
use std::process::{Child, Stdio};

pub(crate) fn tests() -> Vec<Case> {
    vec![
        case("ends::codes", codes),
        case("ends::a_panic_is_told_whole", panics_are_told),
        case("ends::output_is_written_once", output_once),
        case("ends::output_of_c_is_written_once", output_of_c_once),
        case("ends::broken_output_changes_no_code", broken_output),
        case("ends::closed_output_changes_no_code", closed_output),
        case(
            "ends::children_are_joined_and_daemons_end",
            children_at_the_end,
        ),
        case(
            "ends::detached_children_of_a_killed_program",
            detached_of_a_killed,
        ),
        case("ends::exit_in_a_thread_meanwhile", exit_in_a_thread),
        case(
            "ends::exit_in_threads_of_a_child",
            exit_in_threads_of_a_child,
        ),
        case("ends::what_runs_at_an_exit", runs_at_exit),
        case(
            "ends::what_runs_at_the_exit_of_a_program",
            runs_at_the_programs_exit,
        ),
        program("ends::panics", many_panic),
        program("ends::prints", prints),
        program("ends::prints_by_c", prints_by_c),
        program("ends::has_children", has_children),
        program("ends::starts_detached", starts_detached),
        program("ends::exits_in_a_thread", exits_in_a_thread),
        program("ends::silent", silent),
        program("ends::silent_and_closed", || {
            close_streams();
            silent();
        }),
        program("ends::registers", registers),
    ]
}

fn codes() {
    let exit = |code: i32| std::process::exit(code);
    for way in WAYS {
        assert_eq!(ends_with(way, || 5_u8, ()), 0, "{way}");
        let pairs = [
            (0, 0),
            (7, 7),
            (255, 255),
            (256, 0),
            (300, 44),
            (-1, 255),
            (i32::MIN, 0),
        ];
        for (status, seen) in pairs {
            assert_eq!(
                ends_with(way, exit, (status,)),
                seen,
                "{way}: exit({status})"
            );
            let left = ends_with(way, |code: i32| leave(code), (status,));
            assert_eq!(left, seen, "{way}: _exit({status})");
        }
        let in_a_thread = || {
            let end = || std::process::exit(9);
            std::thread::spawn(end).join().unwrap();
        };
        assert_eq!(ends_with(way, in_a_thread, ()), 9, "{way}");
        assert_eq!(ends_with(way, std::process::abort, ()), -6, "{way}");
        assert_eq!(ends_with(way, || panic!("on purpose"), ()), 1, "{way}");
    }
}

// ---- panics

/// The line that [`stumbles`] panics in.
const STUMBLE: u32 = line!() + 4;

fn stumbles(ready: RemoteGate, go: RemoteGate, length: usize) {
    crate::kit::say_and_wait(ready, go);
    panic!("<{}>", "x".repeat(length));
}

/// Several at the same time, with short messages and with long ones.
fn many_panic() {
    let (ready, go) = (Gate::new(), Gate::new());
    let start = |(number, way): (usize, StartMethod)| {
        let arguments = (ready.remote(), go.remote(), number * 300);
        let named = Process::builder(stumbles, arguments).name(format!("faller {number}"));
        named.start_method(way).start().unwrap()
    };
    let ways = WAYS.into_iter().cycle().take(12).enumerate();
    let children: Vec<Process> = ways.map(start).collect();
    children.iter().for_each(|_| ready.wait());
    go.open(children.len());
    for child in children {
        assert_eq!(child.join().unwrap(), 1, "{child:?}");
        println!("{} {}", child.name(), child.pid().unwrap());
    }
}

/// Nobody's message is cut by another's, into a pipe as into a file.
fn panics_are_told() {
    let folder = Folder::new();
    let path = folder.0.join("said");
    let mut into_file = program_command("ends::panics");
    let told = into_file
        .stderr(File::create(&path).unwrap())
        .output()
        .unwrap();
    assert!(
        told.status.success(),
        "{}",
        std::fs::read_to_string(&path).unwrap()
    );
    all_is_told(
        &String::from_utf8(told.stdout).unwrap(),
        &std::fs::read_to_string(&path).unwrap(),
    );

    let told = program_command("ends::panics").output().unwrap();
    all_is_told(
        &String::from_utf8(told.stdout).unwrap(),
        &String::from_utf8(told.stderr).unwrap(),
    );
}

fn all_is_told(processes: &str, said: &str) {
    assert_eq!(processes.lines().count(), 12);
    for (number, line) in processes.lines().enumerate() {
        let (name, pid) = line.rsplit_once(' ').unwrap();
        let message = format!("<{}>", "x".repeat(number * 300));
        let end = said
            .find(&message)
            .unwrap_or_else(|| panic!("{name}: not whole in\n{said}"));
        // What stands before it, back to the message before that.
        let begin = said[..end].rfind('>').map_or(0, |place| place + 1);
        let before = &said[begin..end];
        for part in [name, pid, &format!("tests/it/ends.rs:{STUMBLE}:")] {
            assert!(
                before.contains(part),
                "no {part} before the message: {before:?}"
            );
        }
    }
}

// ---- output

/// A part of a line stays in the buffer of whoever printed it until the end.
fn prints() {
    print!("[parent]");
    for way in WAYS {
        let child = |way: StartMethod| {
            print!("[child]");
            run_by(way, || print!("[grandchild]"), ());
        };
        run_by(way, child, (way,));
        let exits = || {
            print!("[exits]");
            std::process::exit(3);
        };
        assert_eq!(ends_with(way, exits, ()), 3);
    }
}

/// Each part once. A fork flushes its parent's buffers first, so the order is another matter.
fn each_part_once(program: &str) {
    let output = program_command(program).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    for (part, times) in [
        ("[grandchild]", 3),
        ("[child]", 3),
        ("[exits]", 3),
        ("[parent]", 1),
    ] {
        assert_eq!(text.matches(part).count(), times, "{part} in {text}");
    }
}

fn output_once() {
    each_part_once("ends::prints");
}

pub(crate) fn print_by_c(text: &std::ffi::CStr) {
    #[expect(unsafe_code, reason = "C's buffers are the subject")]
    // SAFETY: the format takes one string, which ends with zero.
    unsafe {
        libc::printf(c"%s".as_ptr(), text.as_ptr())
    };
}

fn prints_by_c() {
    print_by_c(c"[parent]");
    for way in WAYS {
        let child = |way: StartMethod| {
            print_by_c(c"[child]");
            run_by(way, || print_by_c(c"[grandchild]"), ());
        };
        run_by(way, child, (way,));
        let exits = || {
            print_by_c(c"[exits]");
            std::process::exit(3);
        };
        assert_eq!(ends_with(way, exits, ()), 3);
    }
}

fn output_of_c_once() {
    each_part_once("ends::prints_by_c");
}

/// Leaves something in both buffers, which cannot be written at the end.
fn mumbles() {
    print!("into the void");
    print_by_c(c"into the void");
}

/// The codes of children that cannot say anything, by every way; in the program's own code, because it cannot either.
fn silent() {
    mumbles();
    for way in WAYS {
        let exits = || {
            mumbles();
            std::process::exit(7);
        };
        let panics = || panic!("unheard");
        let codes = [
            ends_with(way, mumbles, ()),
            ends_with(way, exits, ()),
            ends_with(way, panics, ()),
        ];
        // The number of the part that went wrong is all that it can say.
        if let Some(wrong) = (0_u8..)
            .zip(codes.iter().zip([0, 7, 1]))
            .find(|(_, (code, right))| *code != right)
        {
            leave(90 + 10 * way as i32 + i32::from(wrong.0));
        }
    }
    std::process::exit(5);
}

/// Pipes that nobody reads.
fn broken_output() {
    let broken = || {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        writer
    };
    let mut command = program_command("ends::silent");
    let status = command.stdout(broken()).stderr(broken()).status().unwrap();
    assert_eq!(status.code(), Some(5), "{status:?}");
    let full = || File::options().write(true).open("/dev/full").unwrap();
    let status = command.stdout(full()).stderr(full()).status().unwrap();
    assert_eq!(status.code(), Some(5), "{status:?}");
}

fn close_streams() {
    for fd in 0..3 {
        nix::unistd::close(fd).unwrap();
    }
}

/// Closed in the child, and closed in the parent before it starts one.
fn closed_output() {
    for way in WAYS {
        let returns = || {
            close_streams();
            mumbles();
        };
        assert_eq!(ends_with(way, returns, ()), 0, "{way}");
        let exits = || {
            close_streams();
            mumbles();
            std::process::exit(7);
        };
        assert_eq!(ends_with(way, exits, ()), 7, "{way}");
        let panics = || {
            close_streams();
            panic!("unheard");
        };
        assert_eq!(ends_with(way, panics, ()), 1, "{way}");
    }
    let status = program_command("ends::silent_and_closed").status().unwrap();
    assert_eq!(status.code(), Some(5), "{status:?}");
}

// ---- the end of a program

const GATE: &str = "TEST_GATE";

/// A child that goes on when its parent's main function has returned, and a daemon that would for ever, of each way.
fn has_children() {
    let gate = RemoteGate::from_text(&std::env::var(GATE).unwrap());
    for way in WAYS {
        let daemon = Process::builder(|| Gate::new().wait(), ()).daemon(true);
        drop(daemon.start_method(way).start().unwrap());
        let child = |gate: RemoteGate| {
            gate.wait();
            println!("the child is done");
        };
        drop(start_by(way, child, (gate,)));
    }
    println!("the parent is done");
}

/// The program, once it has said this, and what it says afterwards.
fn said(name: &str, gate: &Gate, expected: &str) -> (Child, PipeReader) {
    let (reader, writer) = std::io::pipe().unwrap();
    let mut command = program_command(name);
    command.env(GATE, gate.remote().text()).stdout(writer);
    let parent = command.spawn().unwrap();
    drop(command);
    let mut first = vec![0; expected.len()];
    (&reader).read_exact(&mut first).unwrap();
    assert_eq!(String::from_utf8(first).unwrap(), expected);
    (parent, reader)
}

/// The end of the output comes when nobody has the pipe any more: no daemon either.
fn rest(mut output: PipeReader) -> String {
    let mut rest = String::new();
    output.read_to_string(&mut rest).unwrap();
    rest
}

fn children_at_the_end() {
    let gate = Gate::new();
    let (mut parent, output) = said("ends::has_children", &gate, "the parent is done\n");
    assert!(
        parent.try_wait().unwrap().is_none(),
        "it did not join its children"
    );
    gate.open(3);
    assert_eq!(rest(output), "the child is done\n".repeat(3));
    assert!(parent.wait().unwrap().success());
}

/// Starts detached children, which end by themselves, for as long as it lives.
fn starts_detached() {
    let way: usize = std::env::var(GATE).unwrap().parse().unwrap();
    loop {
        let builder = Process::builder(|| (), ()).start_method(WAYS[way]);
        drop(builder.detach().start().unwrap());
        println!("one more");
    }
}

/// A child that nothing ties to its parent ends all the same when that is killed before it has said what there is to do.
fn detached_of_a_killed() {
    for round in 0..scaled(30) as usize {
        let way = if round % 10 < 8 { 0 } else { 1 + round % 2 };
        let mut command = program_command("ends::starts_detached");
        let command = command.env(GATE, way.to_string()).stdout(Stdio::piped());
        let mut program = command.spawn().unwrap();
        let mut output = program.stdout.take().unwrap();
        let mut some = vec![0; "one more\n".len() * (5 + round)];
        output.read_exact(&mut some).unwrap();
        program.kill().unwrap();
        program.wait().unwrap();
        // The end of the output comes when nobody has the pipe any more.
        output.read_to_end(&mut some).unwrap();
    }
}

/// The main thread is at its end and joins a child when another thread calls `exit` too.
fn exits_in_a_thread() {
    let gate = RemoteGate::from_text(&std::env::var(GATE).unwrap());
    for way in WAYS {
        drop(start_by(way, RemoteGate::wait, (gate,)));
    }
    // The main thread leaves `main` at the same time: both join the children.
    std::thread::spawn(|| {
        println!("now");
        std::process::exit(3);
    });
}

fn exit_in_a_thread() {
    for _ in 0..scaled(5) {
        let gate = Gate::new();
        let (mut parent, output) = said("ends::exits_in_a_thread", &gate, "now\n");
        gate.open(3);
        assert_eq!(rest(output), "");
        let code = parent.wait().unwrap().code();
        assert!([Some(0), Some(3)].contains(&code), "{code:?}");
    }
}

/// Four threads end the process while its function returns, and it has a child of its own to join.
fn exit_in_threads_of_a_child() {
    let body = |way: StartMethod| {
        drop(start_by(way, || (), ()));
        for _ in 0..4 {
            std::thread::spawn(|| std::process::exit(5));
        }
    };
    for way in WAYS {
        for _ in 0..scaled(if way == StartMethod::Spawn { 5 } else { 20 }) {
            let code = ends_with(way, body, (way,));
            assert!([0, 5].contains(&code), "{way}: {code}");
        }
    }
}

// ---- at_exit

/// Notes in which order things ran: a decimal digit each.
fn note(numbers: RemoteNumbers, digit: u64) {
    let numbers = numbers.open();
    numbers.set(0, numbers.get(0) * 10 + digit);
}

fn registers_two(numbers: RemoteNumbers, code: Option<i32>) {
    multiproc::at_exit(move || note(numbers, 1));
    multiproc::at_exit(|| panic!("a handler that fails"));
    multiproc::at_exit(move || note(numbers, 2));
    if let Some(code) = code {
        std::process::exit(code);
    }
    note(numbers, 3);
}

/// On a return and on `exit`, the last one first; one that panics harms nobody.
fn runs_at_exit() {
    let numbers = Numbers::new();
    let remote = numbers.remote();
    // The parent's own is not the children's.
    let alive = std::process::id();
    multiproc::at_exit(move || assert_eq!(std::process::id(), alive, "run in another process"));
    multiproc::at_exit(move || {
        if std::process::id() != alive {
            remote.open().set(1, 1);
        }
    });
    for way in WAYS {
        numbers.set(0, 0);
        assert_eq!(ends_with(way, registers_two, (remote, None)), 0, "{way}");
        assert_eq!(numbers.get(0), 321, "{way}: after a return");
        numbers.set(0, 0);
        assert_eq!(ends_with(way, registers_two, (remote, Some(6))), 6, "{way}");
        assert_eq!(numbers.get(0), 21, "{way}: after exit");
        assert_eq!(numbers.get(1), 0, "{way}: the parent's has run in a child");
    }
}

/// Before daemons are terminated and children are joined: they live when it runs.
fn registers() {
    let (gate, never) = (Gate::new(), Gate::new());
    for way in WAYS {
        let daemon = Process::builder(RemoteGate::wait, (never.remote(),)).daemon(true);
        let daemon = daemon.start_method(way).start().unwrap();
        multiproc::at_exit(move || {
            let me = current_process();
            println!("{} {way} {}", me.name(), daemon.is_alive());
        });
    }
    let last = start_by(WAYS[0], RemoteGate::wait, (gate.remote(),));
    multiproc::at_exit(move || {
        assert!(last.is_alive());
        gate.open(1);
        drop(never);
    });
}

fn runs_at_the_programs_exit() {
    let output = program_command("ends::registers").output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let line = |way: &StartMethod| format!("MainProcess {way} true\n");
    let expected: String = WAYS.iter().rev().map(line).collect();
    assert_eq!(text, expected);
}
