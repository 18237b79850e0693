//! What the dead leave under a name is removed: by the keeper, by whoever joins them, by the next program, by `cleanup`.

#![expect(clippy::print_stdout, reason = "programs tell what they have made")]

use crate::kit::{
    close_everything, find_fork_server, fork_behind_our_back, fork_server, kill_and_wait, pid_of,
    start,
};
use crate::named_pipe::Folder;
use crate::runner::{
    Case, Gate, RemoteGate, case, program, program_command, scaled, skip, wait_for_exit,
};
use crate::shared_memory::{labels_of, names, path};
use multiproc::shared_memory::{ShareableList, SharedMemory};
use multiproc::{ErrorKind, NamedPipe, Process, Queue, RawValue, StartMethod, cleanup};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::mem::ManuallyDrop;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

pub(crate) fn tests() -> Vec<Case> {
    vec![
        program("labels_program::owns", owns),
        program("labels_program::exits", exits),
        program("labels_program::closes", closes),
        program("labels_program::starts", || drop(start(|| (), ()))),
        case("labels::child_is_killed", child_killed),
        case("labels::child_is_killed_and_nobody_asks", nobody_asks),
        case("labels::child_of_every_kind", every_kind),
        case("labels::child_forked_behind_our_back", behind_our_back),
        case("labels::program_is_killed", program_killed).cold(),
        case("labels::program_is_killed_with_its_child", with_its_child).cold(),
        case("labels::program_exits_with_handles", program_exits).cold(),
        case("labels::program_has_closed_everything", closed_everything).cold(),
        case("labels::keeper_is_interrupted", keeper_interrupted).cold(),
        case("labels::one_keeper_for_all", one_keeper),
        case("labels::keeper_is_killed", keeper_killed).cold(),
        case(
            "labels::keeper_is_killed_and_there_is_a_new_one",
            new_keeper,
        )
        .cold(),
        case("labels::keeper_and_program_are_killed", both_killed).cold(),
        case("labels::next_program_removes", next_program).cold(),
        case("labels::all_are_killed_at_once", all_killed).cold(),
        case("labels::another_has_the_name_by_now", taken_over).cold(),
        case("labels::killed_while_making", killed_while_making),
        case("labels::another_pid_namespace", another_namespace).cold(),
    ]
}

/// Returns when there are these names and no others, in `/dev/shm`.
#[track_caller]
pub(crate) fn until_only(expected: &BTreeSet<String>) {
    // The watchdog ends this.
    while names().difference(expected).next().is_some() {
        std::thread::yield_now();
    }
    assert_eq!(&names(), expected);
}

/// Makes one of each, tells the names, and sleeps until it is killed.
fn make_and_wait(folder: PathBuf, said: Queue<String>) {
    let memory = SharedMemory::create(100).unwrap();
    let list = ShareableList::create([1, 2]).unwrap();
    let pipe = NamedPipe::create(folder.join(format!("pipe-{}", std::process::id()))).unwrap();
    for name in [memory.name(), list.shm().name()] {
        said.put(name.to_owned()).unwrap();
        assert!(path(name).exists());
    }
    assert!(pipe.path().exists());
    Gate::new().wait();
}

/// A child that has made one of each.
fn maker(folder: &Folder, method: StartMethod) -> Process {
    let said = Queue::new().unwrap();
    let arguments = (folder.0.clone(), said.clone());
    let builder = Process::builder(make_and_wait, arguments);
    let child = builder.start_method(method).start().unwrap();
    assert!(said.get().is_ok() && said.get().is_ok());
    while labels_of(child.pid().unwrap()).len() < 3 || folder.files().is_empty() {
        std::thread::yield_now();
    }
    child
}

/// Whoever joins it removes it, or leaves it to the fork server that has it in hand.
fn child_killed() {
    let folder = Folder::new();
    let before = names();
    let child = maker(&folder, StartMethod::ForkServer);
    child.kill().unwrap();
    assert_eq!(child.join().unwrap(), -9);
    until_only(&before);
    assert_eq!(folder.files(), [""; 0]);
}

fn nobody_asks() {
    let folder = Folder::new();
    let before = names();
    let child = maker(&folder, StartMethod::ForkServer);
    child.kill().unwrap();
    until_only(&before);
    assert_eq!(folder.files(), [""; 0]);
    assert_eq!(child.join().unwrap(), -9);
}

fn every_kind() {
    let folder = Folder::new();
    let before = names();
    for method in [StartMethod::Fork, StartMethod::Spawn] {
        let child = maker(&folder, method);
        child.kill().unwrap();
        assert_eq!(child.join().unwrap(), -9);
        until_only(&before);
        assert_eq!(folder.files(), [""; 0], "{method:?}");
    }
}

/// Nobody of this crate knows of its death but its own fork server.
fn behind_our_back() {
    let before = names();
    let here = Gate::new();
    let there = here.remote();
    let child = fork_behind_our_back(|| {
        let _memory = ManuallyDrop::new(SharedMemory::create(8).unwrap());
        there.open(1);
        Gate::new().wait();
    });
    here.wait();
    assert_eq!(labels_of(child.as_raw().cast_unsigned()).len(), 1);
    kill(child, Signal::SIGKILL).unwrap();
    nix::sys::wait::waitpid(child, None).unwrap();
    until_only(&before);
}

// ---- programs of their own

/// One of each, and a child that has one of each too.
fn owns() {
    let folder = Folder(PathBuf::from(std::env::var_os("PIPES").unwrap()));
    let folder = ManuallyDrop::new(folder);
    let child = maker(&folder, StartMethod::ForkServer);
    let memory = SharedMemory::create(100).unwrap();
    let list = ShareableList::create(["a", "b"]).unwrap();
    let pipe = NamedPipe::create(folder.path("pipe")).unwrap();
    println!("{} {}", fork_server(), child.pid().unwrap());
    wait_for_word();
    // As a program that ends in its own good time.
    child.kill().unwrap();
    // Who would know how it ended may have been killed.
    let status = child.join().map_err(|error| error.kind());
    assert!(matches!(status, Ok(-9) | Err(ErrorKind::UnknownStatus)));
    drop((memory, list, pipe));
}

pub(crate) fn wait_for_word() {
    let mut word = String::new();
    std::io::stdin().read_line(&mut word).unwrap();
}

fn exits() {
    let folder = PathBuf::from(std::env::var_os("PIPES").unwrap());
    let _memory = SharedMemory::create(100).unwrap();
    let _pipe = NamedPipe::create(folder.join("pipe")).unwrap();
    println!("{} 0", fork_server());
    #[expect(clippy::disallowed_methods, reason = "an end without destructors")]
    std::process::exit(0)
}

fn closes() {
    let memory = ManuallyDrop::new(SharedMemory::create(100).unwrap());
    close_everything();
    println!("0 0");
    wait_for_word();
    memory.write(0, &[1]).unwrap();
    crate::kit::leave(0);
}

/// A program that was started, its fork server, its child.
pub(crate) struct Family {
    pub(crate) root: Child,
    pub(crate) server: Pid,
    pub(crate) child: Pid,
}

impl Family {
    pub(crate) fn start(name: &str, folder: &Folder) -> Self {
        let mut command = program_command(name);
        command.env("PIPES", &folder.0);
        Self::of(command)
    }

    fn of(mut command: Command) -> Self {
        let mut root = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(root.stdout.as_mut().unwrap())
            .read_line(&mut line)
            .unwrap();
        let mut pids = line
            .split_whitespace()
            .map(|pid| Pid::from_raw(pid.parse().unwrap()));
        let (server, child) = (pids.next().unwrap(), pids.next().unwrap());
        Self {
            root,
            server,
            child,
        }
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.root.id().cast_signed())
    }

    pub(crate) fn kill_root(&mut self) {
        self.root.kill().unwrap();
        self.root.wait().unwrap();
    }

    /// Nobody is left of it.
    pub(crate) fn is_over(&self) {
        for pid in [self.server, self.child]
            .into_iter()
            .filter(|pid| pid.as_raw() > 0)
        {
            wait_for_exit(pid);
        }
    }
}

fn program_killed() {
    let folder = Folder::new();
    let before = names();
    let mut family = Family::start("labels_program::owns", &folder);
    assert_eq!(labels_of(family.root.id()).len(), 3);
    family.kill_root();
    family.is_over();
    assert_eq!((names(), folder.files()), (before, vec![]));
}

/// The child first, or at once with its parent: the keeper stays until both are dead.
fn with_its_child() {
    let folder = Folder::new();
    let before = names();
    let mut family = Family::start("labels_program::owns", &folder);
    kill(family.child, Signal::SIGSTOP).unwrap();
    family.kill_root();
    family.is_over();
    assert_eq!((names(), folder.files()), (before, vec![]));
}

fn program_exits() {
    let folder = Folder::new();
    let before = names();
    let mut family = Family::start("labels_program::exits", &folder);
    assert!(family.root.wait().unwrap().success());
    family.is_over();
    assert_eq!((names(), folder.files()), (before, vec![]));
}

/// For its fork server it has gone, but it lives.
fn closed_everything() {
    let before = names();
    let mut family = Family::of(program_command("labels_program::closes"));
    let label = labels_of(family.root.id());
    assert_eq!((label.len(), cleanup().unwrap()), (1, 0));
    assert_eq!(labels_of(family.root.id()), label);
    drop(family.root.stdin.take());
    assert!(family.root.wait().unwrap().success());
    until_only(&before);
}

/// Everything goes as it would with a keeper, as long as the program ends by itself.
fn keeper_killed() {
    let folder = Folder::new();
    let before = names();
    let mut family = Family::start("labels_program::owns", &folder);
    kill_and_wait(family.server);
    assert_eq!(labels_of(family.root.id()).len(), 3);
    drop(family.root.stdin.take());
    assert!(family.root.wait().unwrap().success());
    assert_eq!((names(), folder.files()), (before, vec![]));
}

/// A terminal's keys and a polite request are not for it.
fn keeper_interrupted() {
    let folder = Folder::new();
    let before = names();
    let mut family = Family::start("labels_program::owns", &folder);
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        kill(family.server, signal).unwrap();
    }
    family.kill_root();
    family.is_over();
    assert_eq!((names(), folder.files()), (before, vec![]));
}

/// Children of the fork server have the same one.
fn one_keeper() {
    let before = names();
    let child = || {
        let _memory = SharedMemory::create(8).unwrap();
        assert!(find_fork_server().is_none());
        let grandchild = || {
            let _memory = SharedMemory::create(8).unwrap();
            assert!(find_fork_server().is_none());
        };
        assert_eq!(start(grandchild, ()).join().unwrap(), 0);
    };
    assert_eq!(start(child, ()).join().unwrap(), 0);
    assert_eq!(names(), before);
}

fn new_keeper() {
    let first = SharedMemory::create(8).unwrap();
    kill_and_wait(fork_server());
    assert!(find_fork_server().is_none());
    let second = SharedMemory::create(8).unwrap();
    assert!(find_fork_server().is_some());
    drop((first, second));
}

/// A family of which nobody is left, and which has left everything.
fn killed_family(folder: &Folder) -> Family {
    let before = names();
    let mut family = Family::start("labels_program::owns", folder);
    kill_and_wait(family.server);
    family.kill_root();
    family.is_over();
    // The pipes are elsewhere.
    assert_eq!(names().difference(&before).count(), 6 + 4);
    assert_eq!(folder.files().len(), 2);
    family
}

fn both_killed() {
    let folder = Folder::new();
    let before = names();
    killed_family(&folder);
    assert_eq!(cleanup().unwrap(), 6);
    assert_eq!((names(), folder.files()), (before, vec![]));
    assert_eq!(cleanup().unwrap(), 0);
}

fn next_program() {
    let folder = Folder::new();
    let before = names();
    killed_family(&folder);
    let program = program_command("labels_program::starts").status();
    assert!(program.unwrap().success());
    until_only(&before);
    assert_eq!(folder.files(), [""; 0]);
}

fn all_killed() {
    let folder = Folder::new();
    let before = names();
    let mut family = Family::start("labels_program::owns", &folder);
    let all = [family.server, family.child, family.pid()];
    for pid in all {
        kill(pid, Signal::SIGSTOP).unwrap();
    }
    for pid in all {
        // A stopped child that loses the fork server gets SIGHUP, and may have died of that.
        kill(pid, Signal::SIGKILL).ok();
    }
    family.root.wait().unwrap();
    family.is_over();
    assert_eq!(cleanup().unwrap(), 6);
    assert_eq!((names(), folder.files()), (before, vec![]));
}

/// All that bears the names of the dead belongs to somebody else.
fn taken_over() {
    let folder = Folder::new();
    let before = names();
    killed_family(&folder);
    let mine: Vec<PathBuf> = names()
        .into_iter()
        .filter(|name| name.starts_with("psm_"))
        .map(|name| path(&name))
        .chain(folder.files().into_iter().map(|name| folder.path(&name)))
        .collect();
    assert_eq!(mine.len(), 6);
    for (path, pipe) in mine.iter().zip([false, true].iter().cycle()) {
        fs::remove_file(path).unwrap();
        if *pipe {
            nix::unistd::mkfifo(path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        } else {
            fs::write(path, b"mine").unwrap();
        }
    }
    assert_eq!(cleanup().unwrap(), 0);
    for path in mine {
        assert!(path.exists(), "{}", path.display());
        fs::remove_file(path).unwrap();
    }
    assert_eq!(names(), before);
}

/// Killed at any moment of making and removing.
fn killed_while_making() {
    let folder = Folder::new();
    let before = names();
    let child = |folder: PathBuf, rounds: RawValue<u64>, ready: RemoteGate| {
        ready.open(1);
        loop {
            let memory = SharedMemory::create(100).unwrap();
            let list = ShareableList::create([1, 2]).unwrap();
            let pipe = NamedPipe::create(folder.join("pipe")).unwrap();
            rounds.fetch_add(1).unwrap();
            drop((memory, list, pipe));
        }
    };
    let mut inside = 0;
    for round in 0..u64::from(scaled(40)) {
        let (rounds, ready) = (RawValue::new(0_u64).unwrap(), Gate::new());
        let child = start(child, (folder.0.clone(), rounds.clone(), ready.remote()));
        ready.wait();
        let more = round % 7;
        while rounds.load().unwrap() < more {
            std::hint::spin_loop();
        }
        for _ in 0..round * 977 % 10_000 {
            std::hint::spin_loop();
        }
        let pid = pid_of(&child);
        kill(pid, Signal::SIGSTOP).unwrap();
        inside += u32::from(!labels_of(pid.as_raw().cast_unsigned()).is_empty());
        child.kill().unwrap();
        assert_eq!(child.join().unwrap(), -9);
        until_only(&before);
        assert_eq!(folder.files(), [""; 0]);
    }
    assert!(inside > 0, "no kill landed while there was something");
}

/// The numbers of its processes mean others here.
fn another_namespace() {
    let folder = Folder::new();
    let before = names();
    let inner = program_command("labels_program::owns");
    let mut command = Command::new("unshare");
    command.args(["--fork", "--pid", "--mount-proc", "--kill-child"]);
    command
        .arg(inner.get_program())
        .args(inner.get_args())
        .env("PIPES", &folder.0);
    if !Command::new("unshare")
        .args(["--fork", "--pid", "--mount-proc", "true"])
        .status()
        .is_ok_and(|status| status.success())
    {
        skip("there is no unshare here that may make a namespace");
    }
    let mut family = Family::of(command);
    let mut there = names();
    assert_eq!(there.difference(&before).count(), 10);
    assert_eq!(cleanup().unwrap(), 0);
    assert_eq!(names(), there);
    // Its own keeper removes it, or, if that is killed with the rest of its namespace, nobody: it would be judged by its own kind only.
    drop(family.root.stdin.take());
    let mut rest = String::new();
    family
        .root
        .stdout
        .take()
        .unwrap()
        .read_to_string(&mut rest)
        .unwrap();
    assert!(family.root.wait().unwrap().success());
    there = names();
    assert_eq!((there, folder.files()), (before, vec![]));
}
