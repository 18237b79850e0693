//! What a child finds around it: folder, environment, masks, niceness, processors and limits of the one who starts it, as
//! they are at that moment and not as they were when the fork server began.

use crate::kit::{fork_server, kill_and_wait};
use crate::runner::{Case, case};
use crate::ways::{WAYS, run_by, start_by};
use multiproc::{Queue, StartMethod};
use nix::libc;
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::stat::{Mode, umask};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ffi::{CStr, OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

pub(crate) fn tests() -> Vec<Case> {
    vec![
        case("surroundings::as_they_are_now", as_they_are_now),
        case("surroundings::of_the_thread_that_starts", of_a_thread),
        case("surroundings::of_two_members", of_two_members),
        case("surroundings::of_a_new_server", of_a_new_server),
        case("surroundings::no_variable_is_added", no_variable_is_added).cold(),
        case("surroundings::c_sees_the_variables", c_sees_them),
        case("surroundings::a_folder_that_moved", moved_folder),
        case("surroundings::a_folder_that_is_gone", folder_is_gone),
    ]
}

/// All that a child should find as its parent has it.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Surroundings {
    pub(crate) folder: Option<PathBuf>,
    pub(crate) variables: BTreeMap<OsString, OsString>,
    /// Lines of `/proc/thread-self/status`, by name.
    pub(crate) status: BTreeMap<String, String>,
    pub(crate) niceness: i32,
    /// Soft and hard limits, in the kernel's words.
    pub(crate) limits: String,
}

impl Surroundings {
    /// Of the thread that asks.
    pub(crate) fn here() -> Surroundings {
        let status = fs::read_to_string("/proc/thread-self/status").unwrap();
        let lines = status.lines().filter_map(|line| line.split_once(':'));
        let wanted = lines.filter(|(name, _)| ["Umask", "Cpus_allowed_list"].contains(name));
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.trim().to_owned());
        Surroundings {
            folder: std::env::current_dir().ok(),
            variables: std::env::vars_os().collect(),
            status: wanted.map(owned).collect(),
            niceness: niceness(),
            limits: fs::read_to_string("/proc/thread-self/limits").unwrap(),
        }
    }
}

/// Field 19 of `/proc/thread-self/stat`.
pub(crate) fn niceness() -> i32 {
    let stat = fs::read_to_string("/proc/thread-self/stat").unwrap();
    let fields = stat.rsplit_once(") ").unwrap().1.split(' ');
    fields
        .skip(16)
        .map(|field| field.parse().unwrap())
        .next()
        .unwrap()
}

/// Makes this thread nicer.
pub(crate) fn be_nice(niceness: i32) {
    #[expect(unsafe_code, reason = "nix has no niceness")]
    // SAFETY: setpriority takes three numbers.
    let result = unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, niceness) };
    assert_eq!(result, 0, "niceness {niceness}");
}

/// Sets a variable of this process's environment.
pub(crate) fn set_variable(name: &str, value: impl AsRef<OsStr>) {
    #[expect(unsafe_code, reason = "the environment is the subject")]
    // SAFETY: the tests that call it have one thread.
    unsafe {
        std::env::set_var(name, value)
    };
}

pub(crate) fn remove_variable(name: &str) {
    #[expect(unsafe_code, reason = "the environment is the subject")]
    // SAFETY: the tests that call it have one thread.
    unsafe {
        std::env::remove_var(name)
    };
}

fn allow_only(cpu: usize) {
    let mut set = CpuSet::new();
    set.set(cpu).unwrap();
    sched_setaffinity(Pid::from_raw(0), &set).unwrap();
}

fn allowed() -> Vec<usize> {
    let set = sched_getaffinity(Pid::from_raw(0)).unwrap();
    (0..CpuSet::count())
        .filter(|&cpu| set.is_set(cpu).unwrap())
        .collect()
}

fn lower(resource: Resource, soft: u64) {
    let (_, hard) = getrlimit(resource).unwrap();
    setrlimit(resource, soft, hard).unwrap();
}

/// Starts a child that tells what it finds.
fn found(way: StartMethod, answers: &Queue<Surroundings>) -> Surroundings {
    let tell = |answers: Queue<Surroundings>| answers.put(Surroundings::here()).unwrap();
    run_by(way, tell, (answers.clone(),));
    answers.get().unwrap()
}

#[track_caller]
fn every_way_finds_what_is_here(when: &str) {
    let answers = Queue::new().unwrap();
    let here = Surroundings::here();
    for way in WAYS {
        assert_eq!(found(way, &answers), here, "{way}, {when}");
    }
    assert_eq!(
        Surroundings::here(),
        here,
        "a start has changed its own parent, {when}"
    );
}

fn as_they_are_now() {
    set_variable("STAYS", "as it was");
    set_variable("GOES", "soon");
    every_way_finds_what_is_here("at first");

    std::env::set_current_dir("/usr").unwrap();
    set_variable("STAYS", "changed");
    remove_variable("GOES");
    set_variable("EMPTY", "");
    set_variable("BYTES", OsStr::from_bytes(b"\xff=\n\xfe"));
    umask(Mode::from_bits_truncate(0o137));
    be_nice(3);
    let cpus = allowed();
    allow_only(cpus[cpus.len() - 1]);
    lower(Resource::RLIMIT_NOFILE, 300);
    lower(Resource::RLIMIT_CORE, 0);
    every_way_finds_what_is_here("after a change of everything");

    std::env::set_current_dir("/").unwrap();
    set_variable("STAYS", "long ".repeat(20_000));
    umask(Mode::from_bits_truncate(0o022));
    be_nice(7);
    allow_only(cpus[0]);
    lower(Resource::RLIMIT_NOFILE, 400);
    let (_, hard) = getrlimit(Resource::RLIMIT_FSIZE).unwrap();
    // The limit that cannot be raised again must come last of all.
    setrlimit(Resource::RLIMIT_FSIZE, 1 << 30, hard.min(1 << 40)).unwrap();
    every_way_finds_what_is_here("after the second change");
}

/// Linux has niceness and processors by thread; a child gets those of the thread that starts it, as from a fork.
fn of_a_thread() {
    let cpus = allowed();
    let answers = Queue::new().unwrap();
    for way in WAYS {
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                be_nice(4);
                allow_only(cpus[0]);
                (found(way, &answers), Surroundings::here())
            });
            let (found, here) = thread.join().unwrap();
            assert_eq!(found, here, "{way}");
        });
        assert_eq!(
            found(way, &answers),
            Surroundings::here(),
            "{way}: not the thread's"
        );
    }
}

/// A child that went elsewhere, and a child of it by the same server.
fn goes_elsewhere(way: StartMethod, answers: Queue<Surroundings>) {
    std::env::set_current_dir("/usr").unwrap();
    set_variable("ONLY_THE_CHILDS", "1");
    umask(Mode::from_bits_truncate(0o177));
    be_nice(2);
    answers.put(Surroundings::here()).unwrap();
    let grandchild = found(way, &answers);
    answers.put(grandchild).unwrap();
}

fn of_two_members() {
    let answers = Queue::new().unwrap();
    for way in WAYS {
        let here = Surroundings::here();
        for below in WAYS {
            run_by(way, goes_elsewhere, (below, answers.clone()));
            let child: Surroundings = answers.get().unwrap();
            assert_eq!(child.folder.as_deref(), Some(Path::new("/usr")));
            assert_ne!(child, here);
            assert_eq!(answers.get().unwrap(), child, "{way}, then {below}");
            assert_eq!(found(below, &answers), here, "{way}, then {below}");
        }
    }
}

/// The next server begins in other surroundings than the first.
fn of_a_new_server() {
    std::env::set_current_dir("/usr").unwrap();
    be_nice(1);
    kill_and_wait(fork_server());
    every_way_finds_what_is_here("with a new server");
    std::env::set_current_dir("/").unwrap();
    be_nice(2);
    every_way_finds_what_is_here("after that");
}

/// What this crate tells its own servers and children is not for theirs. The first start makes the server.
fn no_variable_is_added() {
    every_way_finds_what_is_here("at the first start");
    let answers = Queue::new().unwrap();
    let program = |answers: Queue<Vec<u8>>| {
        let output = std::process::Command::new("/usr/bin/env")
            .arg("-0")
            .output()
            .unwrap();
        answers.put(output.stdout).unwrap();
    };
    let sorted = |bytes: &[u8]| -> Vec<Vec<u8>> {
        let mut lines: Vec<Vec<u8>> = bytes.split(|&byte| byte == 0).map(<[u8]>::to_vec).collect();
        lines.sort();
        lines
    };
    program(answers.clone());
    let here = sorted(&answers.get().unwrap());
    for way in WAYS {
        run_by(way, program, (answers.clone(),));
        assert_eq!(sorted(&answers.get().unwrap()), here, "{way}");
    }
}

/// What C's `getenv` finds.
fn c_variable(name: &CStr) -> Option<String> {
    #[expect(unsafe_code, reason = "C's view of the environment is the subject")]
    // SAFETY: the name ends with zero, and nobody changes the environment meanwhile.
    let value = unsafe { libc::getenv(name.as_ptr()) };
    if value.is_null() {
        return None;
    }
    #[expect(unsafe_code, reason = "C's view of the environment is the subject")]
    // SAFETY: it is not null, so it is a string that ends with zero.
    let value = unsafe { CStr::from_ptr(value) };
    Some(value.to_str().unwrap().to_owned())
}

fn c_sees_them() {
    set_variable("CHANGED", "before");
    set_variable("REMOVED", "before");
    // A server that knows these values.
    kill_and_wait(fork_server());
    every_way_finds_what_is_here("before");
    set_variable("ADDED", "1");
    set_variable("CHANGED", "2");
    remove_variable("REMOVED");
    let answers = Queue::new().unwrap();
    let asks_c = |answers: Queue<[Option<String>; 3]>| {
        let found = [c"ADDED", c"CHANGED", c"REMOVED"].map(c_variable);
        answers.put(found).unwrap();
    };
    for way in WAYS {
        run_by(way, asks_c, (answers.clone(),));
        let [added, changed, removed] = answers.get().unwrap();
        let found = (added.as_deref(), changed.as_deref(), removed);
        assert_eq!(found, (Some("1"), Some("2"), None), "{way}");
    }
}

/// A folder of our own, for as long as the value lives.
#[derive(Debug)]
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new() -> Folder {
        let template = std::env::temp_dir().join("surroundings-XXXXXX");
        Folder(nix::unistd::mkdtemp(&template).unwrap())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // A test may have moved or removed it.
        let _gone = fs::remove_dir_all(&self.0);
    }
}

fn moved_folder() {
    let folder = Folder::new();
    let (old, new) = (folder.0.join("old"), folder.0.join("new"));
    fs::create_dir(&old).unwrap();
    std::env::set_current_dir(&old).unwrap();
    every_way_finds_what_is_here("before it moved");
    fs::rename(&old, &new).unwrap();
    every_way_finds_what_is_here("after it moved");
    // Another folder of the old name is not ours.
    fs::create_dir(&old).unwrap();
    every_way_finds_what_is_here("with another in its place");
    // The path that the server began at, and not the folder.
    std::env::set_current_dir(&new).unwrap();
    kill_and_wait(fork_server());
    every_way_finds_what_is_here("with a server that began there");
    fs::rename(&new, folder.0.join("newer")).unwrap();
    fs::rename(&old, &new).unwrap();
    std::env::set_current_dir(&new).unwrap();
    every_way_finds_what_is_here("in another folder of that name");
    std::env::set_current_dir("/").unwrap();
}

/// Nobody has a folder: a child has none either, or is told so; it never hangs and never runs somewhere else.
fn folder_is_gone() {
    let folder = Folder::new();
    std::env::set_current_dir(&folder.0).unwrap();
    fs::remove_dir(&folder.0).unwrap();
    let answers = Queue::new().unwrap();
    let tell = |answers: Queue<Option<PathBuf>>| answers.put(std::env::current_dir().ok()).unwrap();
    for way in WAYS {
        let builder = multiproc::Process::builder(tell, (answers.clone(),));
        let started = builder.start_method(way).start();
        match started.map(|process| (process.join().unwrap(), process)) {
            Ok((0, _)) => assert_eq!(answers.get().unwrap(), None, "{way}"),
            Ok((code, process)) => assert!(process.panic().is_some(), "{way}: {code}, no word"),
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
    std::env::set_current_dir("/").unwrap();
    assert_eq!(start_by(WAYS[0], || (), ()).join().unwrap(), 0);
}
