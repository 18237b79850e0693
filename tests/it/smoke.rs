//! A process starts, ends, and its end is known: code, signal, panic message and place.

use crate::runner::{Case, Gate, RemoteGate, case};
use multiproc::Process;

pub(crate) fn tests() -> Vec<Case> {
    vec![
        case("smoke::start_and_join", start_and_join),
        case("smoke::first_use_in_the_body", start_and_join).cold(),
        case("smoke::exit_code", exit_code),
        case("smoke::killed_while_it_waits", killed_while_it_waits),
        case("smoke::panic_message_and_place", panic_message_and_place),
    ]
}

fn start_and_join() {
    let gate = Gate::new();
    let mut process = Process::new(RemoteGate::wait, (gate.remote(),));
    process.start().unwrap();
    assert!(process.is_alive());
    assert_eq!(process.exitcode().unwrap(), None);
    gate.open(1);
    assert_eq!(process.join().unwrap(), 0);
    assert_eq!(process.exitcode().unwrap(), Some(0));
}

#[expect(
    clippy::disallowed_methods,
    reason = "the exit code of a child is the subject"
)]
fn exit_code() {
    let mut process = Process::new(|code: i32| std::process::exit(code), (7,));
    process.start().unwrap();
    assert_eq!(process.join().unwrap(), 7);
}

fn killed_while_it_waits() {
    let (here, there) = (Gate::new(), Gate::new());
    let body = |here: RemoteGate, there: RemoteGate| {
        here.open(1);
        there.wait();
    };
    let mut process = Process::new(body, (here.remote(), there.remote()));
    process.start().unwrap();
    here.wait();
    process.kill().unwrap();
    assert_eq!(process.join().unwrap(), -9);
}

/// Where [`falls`] panics.
const PANIC_LINE: u32 = line!() + 3;

fn falls(what: String) {
    panic!("no {what} today");
}

fn panic_message_and_place() {
    let mut process = Process::new(falls, ("bread".to_owned(),));
    process.start().unwrap();
    assert_ne!(process.join().unwrap(), 0);
    let panic = process.panic().expect("it ended by a panic");
    assert_eq!(panic.message(), "no bread today");
    assert!(panic.file().unwrap().ends_with("smoke.rs"), "{panic:?}");
    assert_eq!(panic.line(), Some(PANIC_LINE));
}
