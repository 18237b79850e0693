//! The helper between: an object that the fork server made, the signals that hit it, and who could talk to it.

use crate::kit::{fork_server, lives, say_and_wait};
use crate::runner::{Case, Gate, RemoteGate, case};
use crate::ways::{fine, start_by};
use multiproc::{Lock, StartMethod, all_start_methods, set_forkserver_preload};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::sync::OnceLock;

pub(crate) fn tests() -> Vec<Case> {
    vec![
        case("helper::preload_makes_a_lock", preload_makes_a_lock).cold(),
        case("helper::signals_of_the_terminal", signals_of_the_terminal),
        case("helper::nothing_is_named", nothing_is_named),
    ]
}

const BY_SERVER: StartMethod = StartMethod::ForkServer;

static LOCK: OnceLock<Lock> = OnceLock::new();

/// An object that the server made is one object in all its children.
fn preload_makes_a_lock() {
    set_forkserver_preload(|| {
        LOCK.set(Lock::new().unwrap()).unwrap();
    })
    .unwrap();
    let (here, there) = (Gate::new(), Gate::new());
    let holds = |here: RemoteGate, there: RemoteGate| {
        let guard = LOCK.get().unwrap().acquire().unwrap();
        say_and_wait(here, there);
        drop(guard);
    };
    let holder = start_by(BY_SERVER, holds, (here.remote(), there.remote()));
    here.wait();
    let is_locked = || assert!(LOCK.get().unwrap().locked());
    fine(&start_by(BY_SERVER, is_locked, ()));
    there.open(1);
    fine(&holder);
    let is_free = || drop(LOCK.get().unwrap().try_acquire().unwrap());
    fine(&start_by(BY_SERVER, is_free, ()));
}

/// Neither the server nor who runs is disturbed, and the server serves on.
fn signals_of_the_terminal() {
    let signals = [
        Signal::SIGINT,
        Signal::SIGQUIT,
        Signal::SIGHUP,
        Signal::SIGTERM,
        Signal::SIGTSTP,
    ];
    for signal in signals {
        let (here, there) = (Gate::new(), Gate::new());
        let child = start_by(BY_SERVER, say_and_wait, (here.remote(), there.remote()));
        here.wait();
        let server = fork_server();
        println!("{signal}");
        kill(server, signal).unwrap();
        fine(&start_by(BY_SERVER, || (), ()));
        assert_eq!(fork_server(), server, "{signal}");
        assert!(child.is_alive() && lives(server), "{signal}");
        there.open(1);
        fine(&child);
    }
}

/// The numbers of the sockets that a process has.
fn sockets(pid: Pid) -> Vec<String> {
    let entries = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    let target = |entry: std::io::Result<std::fs::DirEntry>| {
        let target = std::fs::read_link(entry.ok()?.path()).ok()?;
        let target = target.to_str()?.strip_prefix("socket:[")?.to_owned();
        Some(target.trim_end_matches(']').to_owned())
    };
    entries.filter_map(target).collect()
}

/// No socket has a path or an abstract name that another user could connect to.
fn nothing_is_named() {
    for method in all_start_methods() {
        fine(&start_by(method, || (), ()));
    }
    let me = nix::unistd::getpid();
    let ours = [sockets(me), sockets(fork_server())].concat();
    assert!(!ours.is_empty());
    let table = std::fs::read_to_string("/proc/net/unix").unwrap();
    // Num RefCount Protocol Flags Type St Inode [Path]
    for line in table.lines().skip(1) {
        let words: Vec<&str> = line.split_whitespace().collect();
        if ours.iter().any(|number| number == words[6]) {
            assert_eq!(words.len(), 7, "{line}");
        }
    }
}
