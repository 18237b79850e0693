//! Which program is started for servers and spawned children, and what is done in it before it serves.

use crate::examples::program as example;
use crate::hostile::copy_into;
use crate::kit::{fork_server, kill_and_wait};
use crate::runner::{Case, case};
use crate::surroundings::Folder;
use crate::ways::{WAYS, run_by};
use multiproc::{ErrorKind, Process, Queue, StartMethod, init, set_executable};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

pub(crate) fn tests() -> Vec<Case> {
    vec![
        case("executable::by_its_path", by_its_path).cold(),
        case("executable::a_copy", a_copy).cold(),
        case("executable::another_program", another_program)
            .cold()
            .deadline(Duration::from_secs(300)),
        case("executable::used_only_at_a_start", used_at_a_start).cold(),
        case("executable::init_again_and_late", init_again).cold(),
        case("executable::constructors_have_run", constructors_have_run),
    ]
}

fn own_path() -> PathBuf {
    std::env::current_exe().unwrap()
}

fn every_way_works() {
    for way in WAYS {
        let answers = Queue::new().unwrap();
        let square = |x: u64, answers: Queue<u64>| answers.put(x * x).unwrap();
        run_by(way, square, (7, answers.clone()));
        assert_eq!(answers.get().unwrap(), 49, "{way}");
    }
}

fn by_its_path() {
    let path = own_path();
    set_executable(path.to_str().unwrap()).unwrap();
    every_way_works();
    kill_and_wait(fork_server());
    set_executable(path.as_os_str()).unwrap();
    every_way_works();
    kill_and_wait(fork_server());
    set_executable(path.as_path()).unwrap();
    every_way_works();
    kill_and_wait(fork_server());
    set_executable(Path::new("/proc/self/exe")).unwrap();
    every_way_works();
}

fn tell_path(answers: Queue<PathBuf>) {
    answers.put(own_path()).unwrap();
}

/// The program that a process of that way runs, and the one that its child runs.
fn programs(way: StartMethod) -> [PathBuf; 2] {
    let answers = Queue::new().unwrap();
    let body = |way: StartMethod, answers: Queue<PathBuf>| {
        tell_path(answers.clone());
        run_by(way, tell_path, (answers,));
    };
    run_by(way, body, (way, answers.clone()));
    [answers.get().unwrap(), answers.get().unwrap()]
}

/// The same bytes elsewhere are the same program. Children of children run it too.
fn a_copy() {
    let folder = Folder::new();
    let copy = copy_into(&folder);
    set_executable(&copy).unwrap();
    for way in [StartMethod::ForkServer, StartMethod::Spawn] {
        assert_eq!(programs(way), [copy.clone(), copy.clone()], "{way}");
    }
    assert_eq!(programs(StartMethod::Fork), [own_path(), own_path()]);
}

/// Neither what ends at once, nor what is no program, nor a program that uses this crate too.
fn another_program() {
    let folder = Folder::new();
    let script = folder.0.join("script");
    std::fs::write(&script, "#!/bin/sh\nexit 9\n").unwrap();
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&script, executable).unwrap();
    let of_ours = example("process_start_and_join");
    let others: [&OsStr; 7] = [
        "/bin/true".as_ref(),
        script.as_os_str(),
        of_ours.as_os_str(),
        "/there/is/no/such/program".as_ref(),
        "/usr".as_ref(),
        "/proc/self/status".as_ref(),
        "".as_ref(),
    ];
    for other in others {
        if let Err(error) = set_executable(other) {
            // Only what can be seen without looking at files is refused at once.
            assert_eq!((other.len(), error.kind()), (0, ErrorKind::InvalidInput));
            continue;
        }
        for way in [StartMethod::ForkServer, StartMethod::Spawn] {
            let never = || unreachable!("another program runs it");
            let tried = Process::builder(never, ()).start_method(way).start();
            let error = tried.unwrap_err();
            assert_eq!(
                error.kind(),
                ErrorKind::StartMethodUnavailable,
                "{way}, {other:?}: {error}"
            );
        }
        run_by(StartMethod::Fork, || (), ());
    }
    set_executable(own_path()).unwrap();
    every_way_works();
}

/// A server that runs needs no executable; the next one does.
fn used_at_a_start() {
    run_by(StartMethod::ForkServer, || (), ());
    set_executable("/there/is/no/such/program").unwrap();
    run_by(StartMethod::ForkServer, || (), ());
    kill_and_wait(fork_server());
    let tried = Process::new(|| (), ()).start();
    assert_eq!(tried.unwrap_err().kind(), ErrorKind::StartMethodUnavailable);
    set_executable(own_path()).unwrap();
    every_way_works();
}

/// Harmless at once, twice, late, and in children.
fn init_again() {
    init();
    init();
    every_way_works();
    init();
    for way in WAYS {
        let body = |way: StartMethod| {
            init();
            run_by(way, init, ());
            init();
        };
        run_by(way, body, (way,));
    }
    every_way_works();
}

// ---- constructors

static EARLY: AtomicU32 = AtomicU32::new(0);
static PLAIN: AtomicU32 = AtomicU32::new(0);
static LATE: AtomicU32 = AtomicU32::new(0);

extern "C" fn early() {
    EARLY.fetch_add(1, Ordering::SeqCst);
}

extern "C" fn plain() {
    PLAIN.fetch_add(1, Ordering::SeqCst);
}

extern "C" fn late() {
    LATE.fetch_add(1, Ordering::SeqCst);
}

/// As C++ compiles statics with an early priority.
#[expect(unsafe_code, reason = "constructors are the subject")]
#[used]
#[unsafe(link_section = ".init_array.00150")]
static OF_EARLY: extern "C" fn() = early;

/// As C++ compiles other statics. This binary's objects are linked before the libraries that it uses.
#[expect(unsafe_code, reason = "constructors are the subject")]
#[used]
#[unsafe(link_section = ".init_array")]
static OF_PLAIN: extern "C" fn() = plain;

/// What a linker sorts behind others, where it sorts.
#[expect(unsafe_code, reason = "constructors are the subject")]
#[used]
#[unsafe(link_section = ".init_array.65535")]
static OF_LATE: extern "C" fn() = late;

fn count() -> [u32; 3] {
    [&EARLY, &PLAIN, &LATE].map(|number| number.load(Ordering::SeqCst))
}

/// Each has run once in every process, before anything of ours.
fn constructors_have_run() {
    assert_eq!(count(), [1; 3]);
    let body = |way: StartMethod, answers: Queue<[u32; 3]>| {
        answers.put(count()).unwrap();
        let tell = |answers: Queue<[u32; 3]>| answers.put(count()).unwrap();
        run_by(way, tell, (answers,));
    };
    for way in WAYS {
        for below in WAYS {
            let answers = Queue::new().unwrap();
            run_by(way, body, (below, answers.clone()));
            for who in ["child", "grandchild"] {
                assert_eq!(answers.get().unwrap(), [1; 3], "{way}, then {below}: {who}");
            }
        }
    }
}
