//! The fork server, its death, and the end of a family: nobody is left, and nobody is harmed who need not be.

use crate::kit::{
    Numbers, RemoteNumbers, children, fork_behind_our_back, fork_server, kill_and_wait, leave,
    lives, pid_of, say_and_wait, start, state_of,
};
use crate::runner::{
    Case, Gate, RemoteGate, case, program, program_command, scaled, wait_for_exit,
};
use multiproc::{ErrorKind, Process, ProcessBuilder, Queue};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::socket::{MsgFlags, send};
use nix::unistd::Pid;
use std::io::Read as _;
use std::process::{Child, ChildStdout, Stdio};
use std::time::{Duration, Instant};

pub(crate) fn tests() -> Vec<Case> {
    vec![
        case("family::server_killed", server_killed),
        case("family::server_killed_and_the_child_exits", orphan_exits),
        case(
            "family::server_killed_and_the_child_is_killed",
            orphan_killed,
        ),
        case("family::servers_leave_no_zombies", servers_leave_no_zombies),
        case("family::a_child_starts_its_own_server", childs_own_server),
        case("family::the_server_hangs_up", server_hangs_up),
        case(
            "family::forked_between_two_servers",
            forked_between_two_servers,
        ),
        case("family::parent_killed", parent_killed),
        case(
            "family::parent_killed_but_not_its_fork",
            parent_killed_but_not_its_fork,
        ),
        case("family::grandchildren_die_with_the_child", grandchildren),
        case("family::fork_of_a_child_starts_a_process", fork_of_a_child),
        case(
            "family::fork_of_the_parent_starts_a_process",
            fork_of_the_parent,
        ),
        case("family::no_room_for_a_server", no_room).cold(),
        case("family::little_room_for_descriptors", little_room),
        case("family::no_room_for_an_answer", no_room_for_an_answer),
        case("family::ends_with_open_descriptors_gone", closes_everything),
        program("family::mother", mother),
        program("family::mother_with_fork", mother_with_fork),
    ]
}

fn server_killed() {
    let (here, there) = (Gate::new(), Gate::new());
    let numbers = Numbers::new();
    let body = |here: RemoteGate, there: RemoteGate, numbers: RemoteNumbers| {
        say_and_wait(here, there);
        numbers.open().set(0, 7);
    };
    let gates = (here.remote(), there.remote(), numbers.remote());
    let child = start(body, gates);
    here.wait();
    let old = fork_server();
    kill_and_wait(old);
    let next = start(|| (), ());
    assert_eq!(next.join().unwrap(), 0);
    assert_ne!(fork_server(), old);
    assert!(child.is_alive());
    there.open(1);
    assert_eq!(child.join().unwrap(), 0);
    assert_eq!(numbers.get(0), 7, "the running child was harmed");
}

/// What the child said itself is known although nobody could reap it for us.
#[expect(clippy::disallowed_methods, reason = "the exit code is the subject")]
fn orphan_exits() {
    let (here, there) = (Gate::new(), Gate::new());
    let body = |here: RemoteGate, there: RemoteGate| {
        say_and_wait(here, there);
        std::process::exit(5);
    };
    let child = start(body, (here.remote(), there.remote()));
    here.wait();
    kill_and_wait(fork_server());
    there.open(1);
    assert_eq!(child.join().unwrap(), 5);
    assert_eq!(start(|| (), ()).join().unwrap(), 0);
}

fn orphan_killed() {
    let (here, there) = (Gate::new(), Gate::new());
    let child = start(say_and_wait, (here.remote(), there.remote()));
    here.wait();
    kill_and_wait(fork_server());
    assert!(child.is_alive());
    child.kill().unwrap();
    // The kernel tells the code from 6.15 on; before, nobody can.
    match child.join() {
        Ok(code) => assert_eq!(code, -9),
        Err(error) => assert_eq!(error.kind(), ErrorKind::UnknownStatus),
    }
    assert!(!child.is_alive());
    assert_eq!(start(|| (), ()).join().unwrap(), 0);
}

/// Each server is killed while it is in use, and the next one asked for before the old one can be reaped.
fn servers_leave_no_zombies() {
    for _ in 0..scaled(30) {
        let server = fork_server();
        nix::sys::signal::kill(server, nix::sys::signal::Signal::SIGKILL).unwrap();
        loop {
            match Process::builder(|| (), ()).start() {
                Ok(process) => break assert_eq!(process.join().unwrap(), 0),
                // It was on its way to die.
                Err(error) => assert_eq!(error.kind(), ErrorKind::StartMethodUnavailable),
            }
        }
    }
    // Zombies in our name are for the runner to find.
}

fn childs_own_server() {
    let (here, there) = (Gate::new(), Gate::new());
    let body = |here: RemoteGate, there: RemoteGate| {
        say_and_wait(here, there);
        assert_eq!(start(|| (), ()).join().unwrap(), 0);
    };
    let child = start(body, (here.remote(), there.remote()));
    here.wait();
    kill_and_wait(fork_server());
    there.open(1);
    let code = child.join().unwrap();
    assert_eq!(code, 0, "{:?}", child.panic());
    assert_eq!(start(|| (), ()).join().unwrap(), 0);
}

/// A program of its own family, which has said that it is ready.
fn ready(name: &str) -> (Child, ChildStdout) {
    let mut command = program_command(name);
    let mut program = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut output = program.stdout.take().unwrap();
    let mut line = [0; 6];
    output.read_exact(&mut line).unwrap();
    assert_eq!(&line, b"ready\n");
    (program, output)
}

/// The end of the output comes when nobody of the family has the pipe any more.
fn nobody_is_left(mut program: Child, mut output: ChildStdout) {
    program.kill().unwrap();
    program.wait().unwrap();
    let mut rest = Vec::new();
    output.read_to_end(&mut rest).unwrap();
    assert_eq!(rest, b"");
}

fn with_grandchild(here: RemoteGate) {
    let grandchild = start(waits_for_ever, (here,));
    here.open(1);
    grandchild.join().unwrap();
}

fn waits_for_ever(here: RemoteGate) {
    here.open(1);
    Gate::new().wait();
}

/// Children of a thread that has ended since, one of them with a child.
fn mother() {
    let gate = Gate::new();
    let here = gate.remote();
    let starter = std::thread::spawn(move || {
        let first = start(waits_for_ever, (here,));
        let daemon = Process::builder(waits_for_ever, (here,)).daemon(true);
        (
            first,
            daemon.start().unwrap(),
            start(with_grandchild, (here,)),
        )
    });
    let children = starter.join().unwrap();
    for _ in 0..4 {
        gate.wait();
    }
    println!("ready");
    assert!(children.2.join().is_err());
}

fn parent_killed() {
    let (program, output) = ready("family::mother");
    nobody_is_left(program, output);
}

/// A child of an earlier server, a child of this one, and a fork that outlives us and holds copies of all that we have.
fn mother_with_fork() {
    let gate = Gate::new();
    let first = start(waits_for_ever, (gate.remote(),));
    gate.wait();
    kill_and_wait(fork_server());
    let second = start(waits_for_ever, (gate.remote(),));
    gate.wait();
    let me = std::process::id().cast_signed();
    fork_behind_our_back(move || {
        // As the shell does it: nothing of the parent's output is kept.
        for fd in 0..3 {
            nix::unistd::close(fd).unwrap();
        }
        wait_for_exit(Pid::from_raw(me));
        for child in [pid_of(&first), pid_of(&second)] {
            wait_for_exit(child);
        }
    });
    println!("ready");
    Gate::new().wait();
}

fn parent_killed_but_not_its_fork() {
    let (program, output) = ready("family::mother_with_fork");
    nobody_is_left(program, output);
}

fn grandchildren() {
    let (gate, pids) = (Gate::new(), Queue::new().unwrap());
    let body = |gate: RemoteGate, pids: Queue<i32>| {
        let children = [(); 3].map(|()| start(waits_for_ever, (gate,)));
        for child in &children {
            pids.put(pid_of(child).as_raw()).unwrap();
        }
        Gate::new().wait();
    };
    let child = start(body, (gate.remote(), pids.clone()));
    let family = [(); 3].map(|()| {
        gate.wait();
        Pid::from_raw(pids.get().unwrap())
    });
    assert!(family.iter().all(|pid| lives(*pid)));
    child.kill().unwrap();
    assert_eq!(child.join().unwrap(), -9);
    family.into_iter().for_each(wait_for_exit);
}

/// A foreign fork is a process of its own: its children die with it, though its parent lives.
fn starts_behind_our_back(here: RemoteGate, pids: &Queue<i32>) -> Pid {
    fork_behind_our_back(|| {
        let process = start(waits_for_ever, (here,));
        pids.put(pid_of(&process).as_raw()).unwrap();
        Gate::new().wait();
    })
}

fn fork_of_a_child() {
    let (gate, pids, done) = (Gate::new(), Queue::new().unwrap(), Gate::new());
    let body = |here: RemoteGate, pids: Queue<i32>, done: RemoteGate| {
        let fork = starts_behind_our_back(here, &pids);
        pids.put(fork.as_raw()).unwrap();
        done.wait();
    };
    let child = start(body, (gate.remote(), pids.clone(), done.remote()));
    let mut both = [pids.get().unwrap(), pids.get().unwrap()].map(Pid::from_raw);
    gate.wait();
    // The fork is the child's child.
    both.sort_by_key(|pid| parent_of(*pid) != pid_of(&child));
    let [fork, grandchild] = both;
    assert!(child.is_alive() && lives(grandchild));
    kill_and_wait(fork);
    wait_for_exit(grandchild);
    assert!(child.is_alive());
    done.open(1);
    assert_eq!(child.join().unwrap(), 0);
}

fn parent_of(pid: Pid) -> Pid {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("PPid:"));
    Pid::from_raw(line.unwrap().trim().parse().unwrap())
}

fn fork_of_the_parent() {
    let (gate, pids) = (Gate::new(), Queue::new().unwrap());
    let fork = starts_behind_our_back(gate.remote(), &pids);
    let grandchild = Pid::from_raw(pids.get().unwrap());
    gate.wait();
    assert_eq!(start(|| (), ()).join().unwrap(), 0);
    kill_and_wait(fork);
    wait_for_exit(grandchild);
    nix::sys::wait::waitpid(fork, None).unwrap();
}

fn limit_descriptors(most: u64) {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, most, hard).unwrap();
}

fn no_room() {
    let queue = Queue::<u8>::new().unwrap();
    let (soft, _) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    limit_descriptors(3);
    let tried = Process::new(|_: Queue<u8>| (), (queue.clone(),)).start();
    limit_descriptors(soft);
    let error = tried.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StartMethodUnavailable, "{error}");
    let works = start(|queue: Queue<u8>| queue.put(5).unwrap(), (queue.clone(),));
    assert_eq!(works.join().unwrap(), 0);
    assert_eq!(queue.get().unwrap(), 5);
}

/// With room for one descriptor more each time, until a start succeeds: what failed has not run, and leaves nothing.
fn little_room() {
    let numbers = Numbers::new();
    let ran = |numbers: RemoteNumbers| numbers.open().add(0, 1);
    kill_and_wait(fork_server());
    let (soft, _) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    let mut failed = 0;
    for most in 3.. {
        limit_descriptors(most);
        let tried = Process::builder(ran, (numbers.remote(),)).start();
        limit_descriptors(soft);
        let members = multiproc::arena::usage().unwrap().members;
        match tried {
            Ok(process) => {
                assert_eq!(process.join().unwrap(), 0, "{most}: {:?}", process.panic());
                break;
            }
            Err(error) => {
                failed += 1;
                let kinds = [ErrorKind::StartMethodUnavailable, ErrorKind::Os];
                assert!(kinds.contains(&error.kind()), "{most}: {error}");
                assert_eq!(members, 1, "{most}: a member is left");
            }
        }
    }
    assert!(failed > 3);
    // A child that nobody has a handle of would still be on its way: the server forks in order.
    assert_eq!(start(ran, (numbers.remote(),)).join().unwrap(), 0);
    assert_eq!(numbers.get(0), 2, "a start that failed has run");
    let zombies = || children().into_iter().any(|pid| state_of(pid) == Some('Z'));
    assert!(!zombies(), "a server was not reaped");
}

/// Without room for the descriptor of a child that is started already: it is an error, and no child is left.
fn no_room_for_an_answer() {
    let queue = Queue::<u8>::new().unwrap();
    let (soft, _) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    for _ in 0..scaled(20) {
        limit_descriptors(3);
        let tried = Process::builder(|_: Queue<u8>| Gate::new().wait(), (queue.clone(),)).start();
        limit_descriptors(soft);
        assert_eq!(tried.unwrap_err().kind(), ErrorKind::Os);
        assert_eq!(start(|| (), ()).join().unwrap(), 0);
    }
    let server = fork_server();
    let path = format!("/proc/{server}/task/{server}/children");
    while !std::fs::read_to_string(&path).unwrap().is_empty() {
        std::thread::yield_now();
    }
}

/// A child without any descriptor can still be killed and joined.
fn closes_everything() {
    let gate = Gate::new();
    let body = |gate: RemoteGate| {
        gate.open(1);
        crate::kit::close_everything();
        leave(6);
    };
    let child = start(body, (gate.remote(),));
    gate.wait();
    assert_eq!(child.join().unwrap(), 6);
    assert_eq!(start(|| (), ()).join().unwrap(), 0);
}

/// A request without sense on the socket that somebody has to the fork server: it hangs up on us, and lives on for a grandchild that
/// outlives its parent. The next start has another server and waits for nobody.
fn server_hangs_up() {
    let gate = Gate::new();
    let outlived = |gate: RemoteGate| {
        let waits = ProcessBuilder::new(|gate: RemoteGate| gate.wait(), (gate,));
        waits.detach().start().unwrap();
    };
    assert_eq!(start(outlived, (gate.remote(),)).join().unwrap(), 0);
    let old = fork_server();
    for entry in std::fs::read_dir("/proc/self/fd").unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let _no_socket = send(name.parse().unwrap(), b"nonsense", MsgFlags::empty());
    }
    let next = std::thread::spawn(|| {
        loop {
            match Process::builder(|| (), ()).start() {
                Ok(process) => break process.join().unwrap(),
                // Asked before the server had read the nonsense: nobody knows whether such a child runs.
                Err(error) => assert_eq!(error.kind(), ErrorKind::StartMethodUnavailable),
            }
        }
    });
    let begin = Instant::now();
    while !next.is_finished() && begin.elapsed() < Duration::from_secs(20) {
        std::thread::sleep(Duration::from_millis(5));
    }
    let waited = !next.is_finished();
    gate.open(1);
    assert_eq!(next.join().unwrap(), 0);
    assert!(!waited, "the start waited for a server that others need");
    wait_for_exit(old);
    assert_ne!(fork_server(), old);
    assert_eq!(start(|| (), ()).join().unwrap(), 0);
}

/// Each of the two servers has a socket to us, and none to a process that we fork.
fn forked_between_two_servers() {
    let gate = Gate::new();
    let waits = || Process::new(|gate: RemoteGate| gate.wait(), (gate.remote(),));
    let (mut first, mut second) = (waits(), waits());
    first.start().unwrap();
    let former = fork_server();
    let sockets = || {
        let fds = std::fs::read_dir("/proc/self/fd").unwrap();
        let links = fds.filter_map(|fd| std::fs::read_link(fd.unwrap().path()).ok());
        links
            .filter(|link| link.to_string_lossy().starts_with("socket:"))
            .count()
    };
    let others = sockets() - 1;
    nix::sys::prctl::set_no_new_privs().unwrap();
    second.start().unwrap();
    assert_eq!(sockets(), others + 2);
    let counts = Queue::new().unwrap();
    let theirs = counts.clone();
    let mut forked = Process::fork(move || theirs.put(sockets()).unwrap());
    forked.start().unwrap();
    assert_eq!(forked.join().unwrap(), 0);
    assert_eq!(counts.get().unwrap(), others);
    gate.open(2);
    assert_eq!(first.join().unwrap(), 0);
    assert_eq!(second.join().unwrap(), 0);
    drop(first);
    while lives(former) {
        std::thread::yield_now();
    }
    // The next start reaps it.
    assert_eq!(start(|| (), ()).join().unwrap(), 0);
    assert_eq!(state_of(former), None);
}
