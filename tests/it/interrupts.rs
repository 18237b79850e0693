//! Signals that are sent, and Ctrl-C in stages: each is heard once, by the one process that it was for, and never when nobody listens
//! any more.

use crate::kit::{fork_behind_our_back, kind, state_of};
use crate::runner::{Case, Gate, RemoteGate, case, program, program_command, scaled};
use crate::ways::{each, fine, run_by, start_by};
use multiproc::signal::{Interrupts, Signal, Stage, on_interrupt, send};
use multiproc::{ErrorKind, Pool, Process, Queue, StartMethod};
use nix::libc;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, raise, sigaction};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;
use std::os::unix::process::ExitStatusExt as _;
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};

pub(crate) fn tests() -> Vec<Case> {
    vec![
        case("interrupts::sent_by_number", sent),
        case("interrupts::sent_to_stop_and_go_on", sent_to_stop),
        case("interrupts::numbers_and_names", numbers_and_names),
        case("interrupts::stages", stages),
        case("interrupts::none_is_lost_during_a_call", none_is_lost),
        case("interrupts::given_back", given_back),
        case("interrupts::given_back_and_taken_again", taken_again),
        case("interrupts::several_listen", several),
        case("interrupts::a_call_that_panics", panics),
        case("interrupts::dropped_in_its_own_call", dropped_inside),
        case("interrupts::dropped_during_a_call", dropped_meanwhile),
        case("interrupts::children_do_not_listen", children),
        case("interrupts::children_listen_for_themselves", own_listeners),
        case("interrupts::copies_do_not_listen", copies),
        case("interrupts::a_captured_guard", captured_guard),
        case("interrupts::another_handler_meanwhile", other_handler),
        case("interrupts::a_pool_at_a_terminal", at_a_terminal),
        program("interrupts::drops_and_raises", drops_and_raises),
        program("interrupts::drains_at_its_terminal", drains_at_its_terminal),
    ]
}

/// What is heard, in order.
fn listen() -> (Interrupts, Receiver<Stage>) {
    let (tells, hears) = channel();
    let guard = on_interrupt(move |stage| tells.send(stage).unwrap()).unwrap();
    (guard, hears)
}

/// To this thread: it has come when this returns, and two never become one.
fn interrupt() {
    raise(nix::sys::signal::SIGINT).unwrap();
}

#[track_caller]
fn hears(heard: &Receiver<Stage>, expected: Stage) {
    assert_eq!(heard.recv().unwrap(), expected);
}

fn wait_here(here: RemoteGate, there: RemoteGate) {
    here.open(1);
    there.wait();
}

fn sent() {
    let signals = [
        Signal::INTERRUPT,
        Signal::TERMINATE,
        Signal::KILL,
        Signal::HANGUP,
        Signal::USER1,
        Signal::USER2,
        Signal::from_number(libc::SIGRTMIN()).unwrap(),
        Signal::from_number(libc::SIGRTMAX()).unwrap(),
    ];
    let (here, there) = (Gate::new(), Gate::new());
    for signal in signals {
        let child = start_by(
            StartMethod::ForkServer,
            wait_here,
            (here.remote(), there.remote()),
        );
        here.wait();
        send(child.pid().unwrap(), signal).unwrap();
        assert_eq!(child.join().unwrap(), -signal.number());
    }
}

/// Stopped, told to go on, and at an end.
fn sent_to_stop() {
    let (here, there) = (Gate::new(), Gate::new());
    let child = start_by(
        StartMethod::ForkServer,
        wait_here,
        (here.remote(), there.remote()),
    );
    here.wait();
    let pid = child.pid().unwrap();
    send(pid, Signal::STOP).unwrap();
    while state_of(Pid::from_raw(pid.cast_signed())) != Some('T') {
        std::thread::yield_now();
    }
    send(pid, Signal::CONTINUE).unwrap();
    there.open(1);
    fine(&child);
    // Its number is its own until the fork server has reaped it.
    let error = loop {
        match send(pid, Signal::CONTINUE) {
            Ok(()) => std::thread::yield_now(),
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), ErrorKind::Os);
}

fn numbers_and_names() {
    for pid in [0, 1 << 31, u32::MAX, u32::MAX - 7] {
        // Each would mean a group, or all.
        assert_eq!(kind(send(pid, Signal::CONTINUE)), ErrorKind::InvalidInput);
    }
    for number in [i32::MIN, -9, -1, 0, libc::SIGRTMAX() + 1, 1000, i32::MAX] {
        assert_eq!(kind(Signal::from_number(number)), ErrorKind::InvalidInput);
    }
    for number in 1..=libc::SIGRTMAX() {
        assert_eq!(Signal::from_number(number).unwrap().number(), number);
    }
    assert_eq!(Signal::KILL.to_string(), "SIGKILL");
    assert_eq!(format!("{:?}", Signal::USER1), "SIGUSR1");
    let last = Signal::from_number(libc::SIGRTMAX()).unwrap();
    assert_eq!(last.to_string(), format!("signal {}", libc::SIGRTMAX()));
    assert!(Stage::Drain < Stage::Terminate && Stage::Terminate < Stage::Kill);
}

fn stages() {
    let (guard, heard) = listen();
    assert!(heard.try_recv().is_err());
    let expected = [Stage::Drain, Stage::Terminate, Stage::Kill, Stage::Kill];
    for stage in expected {
        send(std::process::id(), Signal::INTERRUPT).unwrap();
        hears(&heard, stage);
    }
    assert!(format!("{guard:?}").contains("Interrupts"));
    drop(guard);
    // The function has gone with the guard.
    assert!(heard.recv().is_err());
}

/// The first call waits until all have come.
fn none_is_lost() {
    let (gate, count) = (Arc::new(Gate::new()), 2 + scaled(500));
    let (opens, (tells, heard)) = (Arc::clone(&gate), channel());
    let f = move |stage| {
        if stage == Stage::Drain {
            gate.wait();
        }
        tells.send(stage).unwrap();
    };
    let guard = on_interrupt(f).unwrap();
    (0..count).for_each(|_| interrupt());
    opens.open(1);
    hears(&heard, Stage::Drain);
    hears(&heard, Stage::Terminate);
    (2..count).for_each(|_| hears(&heard, Stage::Kill));
    drop(guard);
    assert!(heard.recv().is_err(), "one more than there were");
}

/// A program, because it ends by it.
fn drops_and_raises() {
    let (guard, heard) = listen();
    interrupt();
    hears(&heard, Stage::Drain);
    drop(guard);
    interrupt();
}

extern "C" fn count_one(_signal: libc::c_int) {
    COUNTED.fetch_add(1, SeqCst);
}

static COUNTED: AtomicU32 = AtomicU32::new(0);

/// What was there before, as a number.
fn set(handler: SigHandler) -> usize {
    let action = SigAction::new(handler, SaFlags::SA_RESTART, SigSet::empty());
    #[expect(unsafe_code, reason = "what was there before is the subject")]
    // SAFETY: the handlers of these tests add to an atomic, or do nothing.
    let before = unsafe { sigaction(nix::sys::signal::SIGINT, &action) };
    number(before.unwrap().handler())
}

fn number(handler: SigHandler) -> usize {
    match handler {
        SigHandler::SigDfl => libc::SIG_DFL,
        SigHandler::SigIgn => libc::SIG_IGN,
        SigHandler::Handler(function) => function as *const () as usize,
        SigHandler::SigAction(function) => function as *const () as usize,
    }
}

#[track_caller]
fn is_as_before() {
    assert_eq!(set(SigHandler::SigDfl), libc::SIG_DFL);
}

fn given_back() {
    let status = program_command("interrupts::drops_and_raises").status();
    assert_eq!(status.unwrap().signal(), Some(2));
    set(SigHandler::SigIgn);
    for _ in 0..3 {
        let (guard, heard) = listen();
        interrupt();
        hears(&heard, Stage::Drain);
        drop(guard);
        interrupt();
    }
    let own = SigHandler::Handler(count_one);
    assert_eq!(set(own), libc::SIG_IGN);
    drop(listen());
    let before = COUNTED.load(SeqCst);
    interrupt();
    assert_eq!(COUNTED.load(SeqCst), before + 1);
    assert_eq!(set(SigHandler::SigDfl), number(own));
}

fn taken_again() {
    for _ in 0..scaled(100) {
        let (guard, heard) = listen();
        for stage in [Stage::Drain, Stage::Terminate] {
            interrupt();
            hears(&heard, stage);
        }
        drop(guard);
        is_as_before();
    }
}

fn several() {
    let (first, first_hears) = listen();
    interrupt();
    let (second, second_hears) = listen();
    interrupt();
    hears(&first_hears, Stage::Drain);
    hears(&first_hears, Stage::Terminate);
    hears(&second_hears, Stage::Drain);
    drop(first);
    interrupt();
    hears(&second_hears, Stage::Terminate);
    assert!(first_hears.recv().is_err());
    drop(second);
    is_as_before();
}

fn panics() {
    let (tells, heard) = channel();
    let f = move |stage| {
        tells.send(stage).unwrap();
        assert_eq!(stage, Stage::Kill, "a panic of this test");
    };
    let guard = on_interrupt(f).unwrap();
    for stage in [Stage::Drain, Stage::Terminate, Stage::Kill] {
        interrupt();
        hears(&heard, stage);
    }
    drop(guard);
}

fn dropped_inside() {
    let place: Arc<Mutex<Option<Interrupts>>> = Arc::default();
    let (own, (tells, heard)) = (Arc::clone(&place), channel());
    let f = move |stage| {
        drop(own.lock().unwrap().take());
        tells.send(stage).unwrap();
    };
    let mut slot = place.lock().unwrap();
    *slot = Some(on_interrupt(f).unwrap());
    interrupt();
    interrupt();
    drop(slot);
    hears(&heard, Stage::Drain);
    assert!(heard.recv().is_err(), "called after it was dropped");
    is_as_before();
}

fn dropped_meanwhile() {
    let (begun, ends) = (Arc::new(Gate::new()), Arc::new(Gate::new()));
    let (says, waits) = (Arc::clone(&begun), Arc::clone(&ends));
    let (tells, heard) = channel();
    let f = move |stage| {
        says.open(1);
        waits.wait();
        tells.send(stage).unwrap();
    };
    let guard = on_interrupt(f).unwrap();
    interrupt();
    begun.wait();
    interrupt();
    drop(guard);
    // SIGINT is what it was although the call goes on.
    is_as_before();
    ends.open(1);
    hears(&heard, Stage::Drain);
    assert!(heard.recv().is_err(), "the second call began");
}

fn children() {
    let (guard, heard) = listen();
    let (here, there) = (Gate::new(), Gate::new());
    each(|way| {
        let child = start_by(way, wait_here, (here.remote(), there.remote()));
        here.wait();
        child.interrupt().unwrap();
        assert_eq!(child.join().unwrap(), -2);
    });
    assert!(heard.try_recv().is_err());
    interrupt();
    hears(&heard, Stage::Drain);
    drop(guard);
}

fn listens_for_itself(stages: Queue<u32>) {
    for _ in 0..2 {
        let (guard, heard) = listen();
        for (number, stage) in (1..).zip([Stage::Drain, Stage::Terminate]) {
            stages.put(number).unwrap();
            hears(&heard, stage);
        }
        drop(guard);
    }
    interrupt();
}

fn own_listeners() {
    let (guard, heard) = listen();
    each(|way| {
        let stages = Queue::new().unwrap();
        let child = start_by(way, listens_for_itself, (stages.clone(),));
        for number in [1, 2, 1, 2] {
            assert_eq!(stages.get().unwrap(), number);
            child.interrupt().unwrap();
        }
        assert_eq!(child.join().unwrap(), -2, "{:?}", child.panic());
    });
    assert!(heard.try_recv().is_err());
    drop(guard);
}

/// Forks that the crate does not know of have the handler, and nobody who listens: they end as if they had none.
fn copies() {
    let (guard, heard) = listen();
    for _ in 0..scaled(10) {
        let child = fork_behind_our_back(|| {
            interrupt();
        });
        let status = waitpid(child, None).unwrap();
        let ended = WaitStatus::Signaled(child, nix::sys::signal::SIGINT, false);
        assert_eq!(status, ended);
        assert!(heard.try_recv().is_err());
    }
    interrupt();
    hears(&heard, Stage::Drain);
    drop(guard);
}

fn captured_guard() {
    let (guard, heard) = listen();
    let mut child = Process::fork(move || {
        drop(guard);
        let (guard, heard) = listen();
        interrupt();
        hears(&heard, Stage::Drain);
        drop(guard);
    });
    child.start().unwrap();
    fine(&child);
    // The kept closure of a child that has ended is dropped, and the guard with it.
    drop(child);
    assert!(heard.recv().is_err());
}

/// Whoever has set a handler while a guard was there keeps it.
fn other_handler() {
    let (guard, _heard) = listen();
    let own = SigHandler::Handler(count_one);
    set(own);
    drop(guard);
    assert_eq!(set(SigHandler::SigDfl), number(own));
    let (guard, heard) = listen();
    interrupt();
    hears(&heard, Stage::Drain);
    drop(guard);
}

/// The key reaches the program and no worker: what was begun is finished.
fn at_a_terminal() {
    let terminal = nix::pty::openpty(None, None).unwrap();
    let mut command = program_command("interrupts::drains_at_its_terminal");
    command.stdin(terminal.slave).stdout(Stdio::piped());
    let mut program = command.spawn().unwrap();
    let mut text = std::io::BufReader::new(program.stdout.take().unwrap());
    let mut line = String::new();
    std::io::BufRead::read_line(&mut text, &mut line).unwrap();
    assert_eq!(line, "busy\n");
    nix::unistd::write(&terminal.master, b"\x03").unwrap();
    let mut rest = String::new();
    std::io::Read::read_to_string(&mut text, &mut rest).unwrap();
    assert_eq!(rest, "Drain: [1, 4, 9]\n");
    assert!(program.wait().unwrap().success());
}

fn squares_when_it_may(here: RemoteGate, there: RemoteGate, number: u32) -> u32 {
    wait_here(here, there);
    number * number
}

fn drains_at_its_terminal() {
    nix::unistd::setsid().unwrap();
    #[expect(unsafe_code, reason = "nix cannot take a terminal")]
    // SAFETY: standard input is the terminal, and the session is new.
    let taken = unsafe { libc::ioctl(0, libc::TIOCSCTTY, 0) };
    assert_eq!(taken, 0);
    let (here, there) = (Gate::new(), Gate::new());
    let pool = Pool::new(3).unwrap();
    let (guard, heard) = listen();
    let task = |number| {
        let arguments = (here.remote(), there.remote(), number);
        pool.apply_async(squares_when_it_may, arguments).unwrap()
    };
    let results = [1, 2, 3].map(task);
    (0..3).for_each(|_| here.wait());
    println!("busy");
    let stage = heard.recv().unwrap();
    pool.close();
    there.open(3);
    pool.join().unwrap();
    let values = results.map(|result| result.get().unwrap());
    println!("{stage:?}: {values:?}");
    assert_eq!(pool.stats().deaths, 0);
    drop(guard);
    run_by(StartMethod::ForkServer, || (), ());
}
