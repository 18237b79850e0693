//! Idle children that wait for a hand-over: nobody can tell a child that was one from a child that was forked for its start.

use crate::kit::{
    children, fork_behind_our_back, fork_server, kill_and_wait, leave, lives, pid_of, start,
    stop_and_wait,
};
use crate::runner::{
    Case, Gate, RemoteGate, case, program, program_command, scaled, wait_for_exit,
};
use crate::surroundings::{Surroundings, be_nice, remove_variable, set_variable};
use crate::ways::{WAYS, run_by, start_by};
use multiproc::{
    Process, Queue, StartMethod, active_children, arena, current_process, set_spare_children,
};
use nix::libc;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io::Read as _;
use std::process::Stdio;
use std::time::{Duration, Instant};

pub(crate) fn tests() -> Vec<Case> {
    vec![
        case("spares::are_there_and_go", are_there_and_go),
        case("spares::names_and_arguments", names_and_arguments),
        case("spares::surroundings_as_they_are_now", as_they_are_now),
        case("spares::conditions_are_met", conditions_are_met),
        case("spares::signals_end_them", signals_end_them),
        case("spares::killed_while_idle", killed_while_idle),
        case("spares::a_request_that_cannot_be_sent", request_not_sent),
        case("spares::the_server_is_killed", server_killed),
        case("spares::are_nobodys_children", nobodys_children),
        case("spares::a_storm_of_starts", storm),
        case("spares::a_fork_of_the_parent", fork_of_the_parent),
        case("spares::of_a_child", of_a_child),
        case("spares::join_timeout_while_another_starts", join_timeout),
        case("spares::go_with_the_program", go_with_the_program),
        case("spares::go_with_a_killed_program", go_with_a_killed_program),
        program("spares::ends", || settled(2)),
        program("spares::waits", waits_to_be_killed),
    ]
}

/// The way to the server is full of requests. A start fails then; the next one does not, and no spare child is forgotten.
fn request_not_sent() {
    run_by(StartMethod::ForkServer, || (), ());
    let before = (of_server(), arena::usage().unwrap());
    for entry in std::fs::read_dir("/proc/self/fd").unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let (fd, little): (i32, libc::c_int) = (name.parse().unwrap(), 1);
        #[expect(unsafe_code, reason = "an option of a socket by its number")]
        // SAFETY: the kernel reads one number; what is no socket refuses.
        unsafe {
            let (level, option) = (libc::SOL_SOCKET, libc::SO_SNDBUF);
            libc::setsockopt(fd, level, option, (&raw const little).cast(), 4);
        }
    }
    let server = fork_server();
    stop_and_wait(server);
    // As many as find room.
    assert!(set_spare_children(64).is_ok());
    // A spare is no use to a detached one, so that it has to ask.
    let detached = || Process::builder(|| (), ()).detach().start();
    detached().unwrap_err();
    kill(server, Signal::SIGCONT).unwrap();
    // Once it has taken a request, there is room for another.
    while of_server().len() <= before.0.len() {
        std::thread::yield_now();
    }
    assert_eq!(detached().unwrap().join().unwrap(), 0);
    set_spare_children(0).unwrap();
    while of_server().len() > before.0.len() {
        std::thread::yield_now();
    }
    assert_eq!((fork_server(), arena::usage().unwrap()), (server, before.1));
}

/// The children of the fork server that run.
fn of_server() -> Vec<Pid> {
    let server = fork_server();
    let path = format!("/proc/{server}/task/{server}/children");
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let pids = text
        .split_whitespace()
        .map(|pid| Pid::from_raw(pid.parse().unwrap()));
    pids.filter(|pid| lives(*pid)).collect()
}

/// The spares, as soon as there are `number` beside the children that we have.
fn spares(number: usize, own: &[&Process]) -> Vec<Pid> {
    let own: Vec<Pid> = own.iter().map(|process| pid_of(process)).collect();
    loop {
        let spares: Vec<Pid> = of_server()
            .into_iter()
            .filter(|pid| !own.contains(pid))
            .collect();
        if spares.len() == number {
            return spares;
        }
        std::thread::yield_now();
    }
}

/// From here on there are `number` spares.
fn settled(number: usize) {
    set_spare_children(number).unwrap();
    assert_eq!(start(|| (), ()).join().unwrap(), 0);
    spares(number, &[]);
}

/// As many as were asked for, again after each start, and none when nobody wants any.
fn are_there_and_go() {
    settled(2);
    let before = spares(2, &[]);
    let gate = Gate::new();
    let process = start(RemoteGate::wait, (gate.remote(),));
    assert!(before.contains(&pid_of(&process)), "no spare was used");
    spares(2, &[&process]);
    settled_beside(4, &process);
    settled_beside(1, &process);
    assert!(process.is_alive());
    settled_beside(0, &process);
    gate.open(1);
    assert_eq!(process.join().unwrap(), 0);
    let forked = start(|| (), ());
    assert_eq!(forked.join().unwrap(), 0);
    spares(0, &[]);
}

fn settled_beside(number: usize, process: &Process) {
    set_spare_children(number).unwrap();
    assert_eq!(start(|| (), ()).join().unwrap(), 0);
    spares(number, &[process]);
}

#[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
struct Told {
    name: String,
    pid: u32,
    group: i32,
    daemon: bool,
    words: Vec<String>,
}

fn tells(words: Vec<String>, answers: Queue<Told>) {
    let me = current_process();
    let told = Told {
        name: me.name().to_owned(),
        pid: me.pid(),
        group: nix::unistd::getpgrp().as_raw(),
        daemon: me.daemon(),
        words,
    };
    answers.put(told).unwrap();
}

/// What a child says of itself is the same with spares as without.
fn names_and_arguments() {
    let answers = Queue::new().unwrap();
    for number in [0, 2] {
        settled(number);
        for daemon in [false, true] {
            for round in 0..5 {
                let words = vec!["word".to_owned(); 1_000 * round];
                let builder = Process::builder(tells, (words.clone(), answers.clone()));
                let named = builder.name(format!("bob {round}")).daemon(daemon);
                let process = named.start().unwrap();
                assert_eq!(process.join().unwrap(), 0, "{:?}", process.panic());
                let told: Told = answers.get().unwrap();
                let pid = process.pid().unwrap();
                let name = format!("bob {round}");
                let group = pid.cast_signed();
                let expected = Told {
                    name,
                    pid,
                    group,
                    daemon,
                    words,
                };
                assert_eq!(told, expected, "{number} spares");
            }
        }
    }
    settled(0);
}

fn tell(answers: Queue<Surroundings>) {
    answers.put(Surroundings::here()).unwrap();
}

/// A spare was made in other surroundings.
fn as_they_are_now() {
    let answers = Queue::new().unwrap();
    let found = || {
        spares(2, &[]);
        run_by(StartMethod::ForkServer, tell, (answers.clone(),));
        answers.get().unwrap()
    };
    set_variable("GOES", "soon");
    settled(2);
    assert_eq!(found(), Surroundings::here());
    std::env::set_current_dir("/usr").unwrap();
    set_variable("COMES", "now");
    remove_variable("GOES");
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o137));
    be_nice(1);
    for _ in 0..4 {
        assert_eq!(found(), Surroundings::here());
    }
    std::env::set_current_dir("/").unwrap();
    assert_eq!(found(), Surroundings::here());
    settled(0);
}

fn conditions_are_met() {
    settled(2);
    let answers = Queue::new().unwrap();
    let mut expected = Surroundings::here();
    expected.folder = Some("/usr".into());
    expected.variables.insert("ADDED".into(), "1".into());
    expected.niceness += 1;
    for _ in 0..4 {
        spares(2, &[]);
        let builder = Process::builder(tell, (answers.clone(),));
        let process = builder
            .cwd("/usr")
            .env("ADDED", "1")
            .nice(1)
            .start()
            .unwrap();
        assert_eq!(process.join().unwrap(), 0, "{:?}", process.panic());
        assert_eq!(answers.get().unwrap(), expected);
    }
    // A spare that could not be used is none the less gone or good.
    let bad = Process::builder(|| unreachable!("it has no folder"), ()).cwd("/there/is/none");
    if let Ok(process) = bad.start() {
        assert_eq!(process.join().unwrap(), 1);
    }
    for _ in 0..4 {
        run_by(StartMethod::ForkServer, || (), ());
    }
    settled(0);
}

fn signals_end_them() {
    settled(2);
    let gate = Gate::new();
    for _ in 0..scaled(30) {
        let process = start(RemoteGate::wait, (gate.remote(),));
        process.terminate().unwrap();
        assert_eq!(process.join().unwrap(), -15);
        let process = start(RemoteGate::wait, (gate.remote(),));
        process.interrupt().unwrap();
        assert_eq!(process.join().unwrap(), -2);
        let process = start(RemoteGate::wait, (gate.remote(),));
        process.kill().unwrap();
        assert_eq!(process.join().unwrap(), -9);
    }
    settled(0);
}

/// One or all, at rest or at the moment of a start: a start works, or says that it did not.
fn killed_while_idle() {
    settled(2);
    for round in 0..scaled(20) {
        let idle = spares(2, &[]);
        match round % 4 {
            0 => kill_and_wait(idle[0]),
            1 => idle.iter().for_each(|pid| kill_and_wait(*pid)),
            2 => idle
                .iter()
                .for_each(|pid| kill(*pid, Signal::SIGKILL).unwrap()),
            _ => {
                idle.iter().for_each(|pid| stop_and_wait(*pid));
                idle.iter().for_each(|pid| kill_and_wait(*pid));
            }
        }
        let exit = || leave(7);
        let mut process = Process::new(exit, ());
        match process.start() {
            // It was handed over to one that died of the signal before it could read that.
            Ok(()) if round % 4 == 2 => assert!([7, -9].contains(&process.join().unwrap())),
            Ok(()) => assert_eq!(process.join().unwrap(), 7, "{round}"),
            Err(error) => assert!(round % 4 == 2, "{round}: {error}"),
        }
        idle.into_iter().for_each(wait_for_exit);
        assert_eq!(start(exit, ()).join().unwrap(), 7);
    }
    settled(0);
}

/// Its spares may be used up yet; what runs is not harmed, and there are spares again by the next server.
fn server_killed() {
    settled(2);
    for _ in 0..scaled(5) {
        let gate = Gate::new();
        let child = start(RemoteGate::wait, (gate.remote(),));
        let idle = spares(2, &[&child]);
        let server = fork_server();
        kill_and_wait(server);
        assert!(child.is_alive(), "the running child was harmed");
        // It says itself how it ends: nobody could reap it for us.
        #[expect(clippy::disallowed_methods, reason = "the exit code is the subject")]
        let exits = || std::process::exit(7);
        for _ in 0..3 {
            assert_eq!(start(exits, ()).join().unwrap(), 7);
        }
        idle.into_iter().for_each(wait_for_exit);
        assert_ne!(fork_server(), server);
        spares(2, &[]);
        gate.open(1);
        assert_eq!(child.join().unwrap(), 0);
    }
    settled(0);
}

/// They are in no list, and hold nothing.
fn nobodys_children() {
    let before = arena::usage().unwrap();
    settled(3);
    assert!(active_children().is_empty());
    assert_eq!(arena::usage().unwrap().objects, before.objects);
    let gate = Gate::new();
    let process = start(RemoteGate::wait, (gate.remote(),));
    spares(3, &[&process]);
    let active = active_children();
    assert_eq!(active.len(), 1);
    assert_eq!(active[0].pid(), process.pid());
    let count = |answers: Queue<usize>| answers.put(active_children().len()).unwrap();
    let answers = Queue::new().unwrap();
    run_by(StartMethod::ForkServer, count, (answers.clone(),));
    assert_eq!(answers.get().unwrap(), 0);
    gate.open(1);
    assert_eq!(process.join().unwrap(), 0);
    settled(0);
}

/// More starts at once than there are spares.
fn storm() {
    settled(2);
    std::thread::scope(|scope| {
        for thread in 0..8 {
            scope.spawn(move || {
                for round in 0..i32::try_from(scaled(10)).unwrap() {
                    let code = (thread * 31 + round) % 200;
                    assert_eq!(
                        start(|code: i32| leave(code), (code,)).join().unwrap(),
                        code
                    );
                }
            });
        }
    });
    settled(0);
}

/// The fork has no claim on its parent's spares, and its death harms none.
fn fork_of_the_parent() {
    settled(2);
    let idle = spares(2, &[]);
    let answers = Queue::new().unwrap();
    let fork = fork_behind_our_back(|| {
        let child = start(|| leave(7), ());
        answers.put(child.pid().unwrap()).unwrap();
        assert_eq!(child.join().unwrap(), 7);
    });
    let of_fork: u32 = answers.get().unwrap();
    assert!(
        !idle.contains(&Pid::from_raw(of_fork.cast_signed())),
        "the parent's spare"
    );
    let status = nix::sys::wait::waitpid(fork, None).unwrap();
    assert_eq!(status, nix::sys::wait::WaitStatus::Exited(fork, 0));
    assert_eq!(spares(2, &[]).len(), 2);
    assert_eq!(start(|| leave(8), ()).join().unwrap(), 8);
    for way in WAYS {
        let body = || assert_eq!(start(|| leave(9), ()).join().unwrap(), 9);
        run_by(way, body, ());
    }
    settled(0);
}

/// A child starts its own by the same server.
fn of_a_child() {
    settled(2);
    for way in WAYS {
        let body = |way: StartMethod| {
            for code in 0..5 {
                let process = start_by(way, |code: i32| leave(code), (code,));
                assert_eq!(process.join().unwrap(), code);
            }
        };
        run_by(StartMethod::ForkServer, body, (way,));
        run_by(way, body, (StartMethod::ForkServer,));
    }
    settled(0);
}

/// The end of the output comes when nobody of the family has the pipe any more.
fn go_with_the_program() {
    let output = program_command("spares::ends").output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

fn waits_to_be_killed() {
    settled(2);
    println!("ready");
    Gate::new().wait();
}

fn go_with_a_killed_program() {
    let mut command = program_command("spares::waits");
    let mut program = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut output = program.stdout.take().unwrap();
    let mut line = [0; 6];
    output.read_exact(&mut line).unwrap();
    assert_eq!(&line, b"ready\n");
    program.kill().unwrap();
    program.wait().unwrap();
    let mut rest = String::new();
    output.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "");
    assert!(children().len() <= 1, "more than the fork server");
}

/// A thread waits for a fork server that is stopped; another one joins, and its timeout holds.
fn join_timeout() {
    let gate = Gate::new();
    let waits = start(|gate: RemoteGate| gate.wait(), (gate.remote(),));
    set_spare_children(1).unwrap();
    let server = fork_server();
    stop_and_wait(server);
    // A spare is no use to a detached one.
    let starts = std::thread::spawn(|| Process::builder(|| (), ()).detach().start().unwrap());
    std::thread::sleep(Duration::from_millis(300));
    let begin = Instant::now();
    let joined = waits.join_timeout(Duration::from_millis(50));
    let took = begin.elapsed();
    kill(server, Signal::SIGCONT).unwrap();
    assert_eq!(joined.unwrap(), None);
    assert!(took < Duration::from_secs(10), "{took:?}");
    assert_eq!(starts.join().unwrap().join().unwrap(), 0);
    gate.open(1);
    assert_eq!(waits.join().unwrap(), 0);
    set_spare_children(0).unwrap();
}
