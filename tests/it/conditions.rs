//! What a builder changes for its child alone: folder, environment, niceness, mask, processors, limits, group.

use crate::kit::{Numbers, RemoteNumbers, pid_of, say_and_wait};
use crate::runner::{Case, Gate, case, scaled};
use crate::surroundings::{Folder, Surroundings, niceness, set_variable};
use crate::ways::WAYS;
use multiproc::{Process, ProcessBuilder, Queue, StartMethod};
use nix::sched::{CpuSet, sched_getaffinity};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::stat::{Mode, umask};
use nix::unistd::{Pid, getpgid, getpgrp};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

pub(crate) fn tests() -> Vec<Case> {
    vec![
        case("conditions::everything_at_once", everything),
        case("conditions::folder", folder),
        case("conditions::environment", environment),
        case("conditions::an_empty_environment", empty_environment),
        case("conditions::niceness", nicer),
        case("conditions::processors", processors),
        case("conditions::memory", memory),
        case("conditions::processor_time", processor_time),
        case("conditions::a_pool_on_one_cpu", pool_on_one_cpu),
        case("conditions::process_group", process_group),
        case("conditions::children_of_such_a_child", inherited),
        case("conditions::of_closures", of_closures),
        case(
            "conditions::while_a_thread_sets_variables",
            thread_sets_variables,
        ),
        case("conditions::of_a_forked_grandchild", of_a_grandchild),
        case("conditions::that_cannot_be_met", cannot_be_met),
        case("conditions::too_tight_to_live", too_tight),
    ]
}

fn tell(answers: Queue<Surroundings>) {
    answers.put(Surroundings::here()).unwrap();
}

/// What a child finds after `change`; the parent's own surroundings must be as before.
#[track_caller]
fn found(way: StartMethod, change: impl FnOnce(ProcessBuilder) -> ProcessBuilder) -> Surroundings {
    let answers = Queue::new().unwrap();
    let before = Surroundings::here();
    let builder = Process::builder(tell, (answers.clone(),)).start_method(way);
    let process = change(builder).start().unwrap();
    assert_eq!(process.join().unwrap(), 0, "{way}: {:?}", process.panic());
    assert_eq!(
        Surroundings::here(),
        before,
        "{way}: the parent was changed"
    );
    answers.get().unwrap()
}

/// The same surroundings with a difference in each.
fn everything() {
    let cpu = cpus()[0];
    for way in WAYS {
        let mut expected = Surroundings::here();
        let found = found(way, |builder| {
            let builder = builder.cwd("/usr").env("ADDED", "1").env_remove("PATH");
            let builder = builder.nice(2).umask(0o077).cpu_affinity([cpu]);
            builder.memory_limit(1 << 40).cpu_time_limit(1_000)
        });
        expected.folder = Some("/usr".into());
        expected.variables.insert("ADDED".into(), "1".into());
        expected.variables.remove(&OsString::from("PATH"));
        expected.niceness += 2;
        expected.status.insert("Umask".into(), "0077".into());
        expected
            .status
            .insert("Cpus_allowed_list".into(), cpu.to_string());
        let limits = |text: &str| -> Vec<String> {
            text.lines()
                .filter(|line| !changed_limit(line))
                .map(str::to_owned)
                .collect()
        };
        assert_eq!(limits(&found.limits), limits(&expected.limits), "{way}");
        let changed = found.limits.lines().filter(|line| changed_limit(line));
        let soft: Vec<_> = changed
            .map(|line| line.split_whitespace().rev().nth(2).unwrap())
            .collect();
        assert_eq!(soft, ["1000", "1099511627776"], "{way}:\n{}", found.limits);
        expected.limits.clone_from(&found.limits);
        assert_eq!(found, expected, "{way}");
    }
}

fn changed_limit(line: &str) -> bool {
    line.starts_with("Max cpu time") || line.starts_with("Max data size")
}

fn folder() {
    let folder = Folder::new();
    std::fs::create_dir(folder.0.join("below")).unwrap();
    std::env::set_current_dir(&folder.0).unwrap();
    let here = std::env::current_dir().unwrap();
    for way in WAYS {
        let relative = found(way, |builder| builder.cwd("below"));
        assert_eq!(relative.folder.unwrap(), here.join("below"), "{way}");
        let absolute = found(way, |builder| builder.cwd("below").cwd(Path::new("/usr")));
        assert_eq!(
            absolute.folder.unwrap(),
            Path::new("/usr"),
            "{way}: the last one counts"
        );
        let unchanged = found(way, |builder| builder);
        assert_eq!(unchanged.folder.unwrap(), here, "{way}");
    }
    std::env::set_current_dir("/").unwrap();
}

fn environment() {
    set_variable("KEPT", "kept");
    set_variable("REPLACED", "old");
    for way in WAYS {
        let mut expected: BTreeMap<OsString, OsString> = std::env::vars_os().collect();
        let variables = found(way, |builder| {
            let builder = builder
                .env("REPLACED", "new")
                .env("TWICE", "1")
                .env("TWICE", "2=3");
            let builder = builder
                .env("GOES", "1")
                .env_remove("GOES")
                .env_remove("NEVER_THERE");
            builder.env_remove("COMES").env("COMES", "")
        });
        for (name, value) in [("REPLACED", "new"), ("TWICE", "2=3"), ("COMES", "")] {
            expected.insert(name.into(), value.into());
        }
        assert_eq!(variables.variables, expected, "{way}");
    }
}

fn empty_environment() {
    set_variable("SECRET", "1");
    for way in WAYS {
        let variables = found(way, |builder| builder.env_clear().env("ONLY", "this")).variables;
        let only: BTreeMap<OsString, OsString> = [("ONLY".into(), "this".into())].into();
        assert_eq!(variables, only, "{way}");
        assert!(
            found(way, ProcessBuilder::env_clear).variables.is_empty(),
            "{way}"
        );
    }
}

/// Added to what the parent has; the kernel ends the scale at 19.
fn nicer() {
    for way in WAYS {
        let now = niceness();
        assert_eq!(
            found(way, |builder| builder.nice(3)).niceness,
            now + 3,
            "{way}"
        );
        assert_eq!(
            found(way, |builder| builder.nice(1_000)).niceness,
            19,
            "{way}"
        );
        assert_eq!(found(way, |builder| builder.nice(0)).niceness, now, "{way}");
    }
}

fn cpus() -> Vec<usize> {
    let set = sched_getaffinity(Pid::from_raw(0)).unwrap();
    let all = 0..CpuSet::count();
    all.filter(|&cpu| set.is_set(cpu).unwrap()).collect()
}

fn processors() {
    let all = cpus();
    for way in WAYS {
        for &cpu in &all {
            let status = found(way, |builder| builder.cpu_affinity([cpu])).status;
            assert_eq!(status["Cpus_allowed_list"], cpu.to_string(), "{way}");
        }
        let status = found(way, |builder| builder.cpu_affinity(all.clone())).status;
        assert_eq!(status, Surroundings::here().status, "{way}");
    }
}

/// More than the limit is refused and less is not.
fn memory() {
    const LIMIT: u64 = 256 << 20;
    let body = |most: usize| {
        let room = |bytes: usize| Vec::<u8>::new().try_reserve_exact(bytes).is_ok();
        assert!(room(most / 4) && !room(2 * most));
    };
    for way in WAYS {
        let most = usize::try_from(LIMIT).unwrap();
        let builder = Process::builder(body, (most,))
            .start_method(way)
            .memory_limit(LIMIT);
        let process = builder.start().unwrap();
        assert_eq!(process.join().unwrap(), 0, "{way}: {:?}", process.panic());
    }
}

/// A child that does not stop computing is ended by the kernel.
fn processor_time() {
    let (_, hard) = getrlimit(Resource::RLIMIT_CORE).unwrap();
    setrlimit(Resource::RLIMIT_CORE, 0, hard).unwrap();
    let busy = || {
        let mut number = 1_u64;
        loop {
            number = std::hint::black_box(number.wrapping_mul(3));
        }
    };
    let start = |way| {
        Process::builder(busy, ())
            .start_method(way)
            .cpu_time_limit(1)
    };
    let children = WAYS.map(|way| start(way).start().unwrap());
    for (process, way) in children.iter().zip(WAYS) {
        assert_eq!(process.join().unwrap(), -24, "{way}");
    }
}

/// Its own group, or its parent's.
fn process_group() {
    for way in WAYS {
        let (here, there) = (Gate::new(), Gate::new());
        let child = |own: Option<bool>| {
            let gates = (here.remote(), there.remote());
            let builder = Process::builder(say_and_wait, gates).start_method(way);
            let builder = match own {
                Some(own) => builder.new_process_group(own),
                None => builder,
            };
            builder.start().unwrap()
        };
        let children = [child(None), child(Some(true)), child(Some(false))];
        children.iter().for_each(|_| here.wait());
        let pids = children.each_ref().map(pid_of);
        let groups = pids.map(|pid| getpgid(Some(pid)).unwrap());
        assert_eq!(groups, [pids[0], pids[1], getpgrp()], "{way}");
        there.open(3);
        assert!(children.iter().all(|child| child.join().unwrap() == 0));
    }
}

/// A child of the child has what the child has.
fn inherited() {
    let body = |way: StartMethod, answers: Queue<Surroundings>| {
        tell(answers.clone());
        crate::ways::run_by(way, tell, (answers,));
    };
    for way in WAYS {
        for below in WAYS {
            let answers = Queue::<Surroundings>::new().unwrap();
            let builder = Process::builder(body, (below, answers.clone())).start_method(way);
            let builder = builder.cwd("/usr").env("ADDED", "1").umask(0o077).nice(1);
            let builder = builder.cpu_affinity([cpus()[0]]).cpu_time_limit(500);
            let process = builder.start().unwrap();
            assert_eq!(process.join().unwrap(), 0, "{way}: {:?}", process.panic());
            let (child, grandchild) = (answers.get().unwrap(), answers.get().unwrap());
            assert_eq!(child.folder, Some(PathBuf::from("/usr")));
            assert_eq!(grandchild, child, "{way}, then {below}");
        }
    }
}

/// A closure with captures, in a parent with threads of its own.
fn of_closures() {
    let answers = Queue::new().unwrap();
    let gate = Gate::new();
    std::thread::scope(|scope| {
        scope.spawn(|| gate.wait());
        let mut expected = Surroundings::here();
        let captured = answers.clone();
        let builder = ProcessBuilder::fork(move || tell(captured));
        let builder = builder.cwd("/usr").env("ADDED", "1").umask(0o077).nice(1);
        let process = builder.cpu_affinity([cpus()[0]]).start().unwrap();
        assert_eq!(process.join().unwrap(), 0, "{:?}", process.panic());
        expected.folder = Some("/usr".into());
        expected.variables.insert("ADDED".into(), "1".into());
        expected.niceness += 1;
        expected.status.insert("Umask".into(), "0077".into());
        expected
            .status
            .insert("Cpus_allowed_list".into(), cpus()[0].to_string());
        assert_eq!(answers.get().unwrap(), expected);
        let lost = ProcessBuilder::fork(|| unreachable!("it has no folder"));
        if let Ok(process) = lost.cwd("/there/is/no/such/folder").start() {
            assert_eq!(process.join().unwrap(), 1);
            assert!(
                process
                    .panic()
                    .unwrap()
                    .message()
                    .contains("/there/is/no/such/folder")
            );
        }
        gate.open(1);
    });
}

/// A fork copies locks that threads hold, the C library's lock of the environment too.
fn thread_sets_variables() {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for round in 0_u32.. {
                set_variable("CHANGES", round.to_string());
                if over.load(Ordering::SeqCst) {
                    return;
                }
                // It is free now and then, or nobody else could start anything.
                std::thread::yield_now();
            }
        });
        for way in WAYS {
            let rounds = scaled(if way == StartMethod::Spawn { 3 } else { 30 });
            for _ in 0..rounds {
                let builder = Process::builder(|| (), ())
                    .env("ADDED", "1")
                    .start_method(way);
                assert_eq!(builder.start().unwrap().join().unwrap(), 0, "{way}");
                // Whoever panics asks for the variables of backtraces.
                let panics = || panic!("on purpose");
                let builder = Process::builder(panics, ()).start_method(way);
                assert_eq!(builder.start().unwrap().join().unwrap(), 1, "{way}");
            }
        }
        over.store(true, Ordering::SeqCst);
    });
}

/// An error, or an end with code 1 and a word; the function does not run, and nobody waits for ever.
#[track_caller]
fn refused(way: StartMethod, what: &str, change: impl FnOnce(ProcessBuilder) -> ProcessBuilder) {
    let numbers = Numbers::new();
    let body = |numbers: RemoteNumbers| numbers.open().set(0, 1);
    let builder = Process::builder(body, (numbers.remote(),)).start_method(way);
    match change(builder).start() {
        Err(error) => assert!(!error.to_string().is_empty(), "{way}, {what}"),
        Ok(process) => {
            assert_eq!(process.join().unwrap(), 1, "{way}, {what}");
            let told = process.panic().expect("a word about it");
            assert!(!told.message().is_empty(), "{way}, {what}");
        }
    }
    assert_eq!(numbers.get(0), 0, "{way}, {what}: it has run all the same");
}

fn cannot_be_met() {
    let before = Surroundings::here();
    for way in WAYS {
        refused(way, "no folder", |builder| {
            builder.cwd("/there/is/no/such/folder")
        });
        refused(way, "a file as folder", |builder| {
            builder.cwd("/proc/self/status")
        });
        refused(way, "no processor", |builder| builder.cpu_affinity([1_000]));
        refused(way, "far processor", |builder| {
            builder.cpu_affinity([usize::MAX])
        });
        refused(way, "none of the processors", |builder| {
            builder.cpu_affinity([])
        });
        refused(way, "a variable without a name", |builder| {
            builder.env("", "1")
        });
        refused(way, "a variable with =", |builder| builder.env("A=B", "1"));
        refused(way, "a variable with zero", |builder| {
            builder.env("A\0B", "1")
        });
        refused(way, "a value with zero", |builder| {
            builder.env("A", "1\x002")
        });
        refused(way, "a folder with zero", |builder| builder.cwd("/usr\0"));
    }
    assert_eq!(Surroundings::here(), before);
    for way in WAYS {
        crate::ways::run_by(way, || (), ());
    }
}

/// No memory at all: whatever becomes of the child, its parent hears of it.
fn too_tight() {
    for way in WAYS {
        // Used, or an optimised build asks for no memory.
        let needs_memory = || drop(std::hint::black_box(vec![1_u8; 1 << 20]));
        let builder = Process::builder(needs_memory, ()).start_method(way);
        let tried = builder.memory_limit(0).start();
        if let Ok(process) = tried {
            assert_ne!(process.join().unwrap(), 0, "{way}");
        }
    }
}

/// What a forked grandchild is to have is not compared with what its grandparent's fork server had.
fn of_a_grandchild() {
    let here = umask_here();
    let (told, mask) = (Queue::new().unwrap(), here.bits());
    let child = |told: Queue<u32>, mask: u32| {
        assert_eq!(umask_here().bits(), 0o077);
        let tell = move || told.put(umask_here().bits()).unwrap();
        let grandchild = ProcessBuilder::fork(tell).umask(mask).start().unwrap();
        assert_eq!(grandchild.join().unwrap(), 0);
    };
    let child =
        ProcessBuilder::new(child, (told.clone(), mask)).start_method(StartMethod::ForkServer);
    assert_eq!(child.umask(0o077).start().unwrap().join().unwrap(), 0);
    assert_eq!(told.get().unwrap(), mask);
}

fn umask_here() -> Mode {
    let mask = umask(Mode::empty());
    umask(mask);
    mask
}

/// What its parent knows of CPUs is not what a child has, which is confined to one of them.
fn pool_on_one_cpu() {
    let this = Pid::from_raw(0);
    let mine = sched_getaffinity(this).unwrap();
    let one = (0..CpuSet::count()).find(|&cpu| mine.is_set(cpu).unwrap());
    let all = multiproc::Pool::builder().build().unwrap();
    assert_eq!(all.worker_pids().len(), multiproc::available_cpus());
    for way in WAYS {
        let alone = || {
            let pool = multiproc::Pool::builder().build().unwrap();
            assert_eq!(pool.worker_pids().len(), 1);
        };
        let builder = Process::builder(alone, ()).start_method(way);
        let process = builder.cpu_affinity(one).start().unwrap();
        assert_eq!(process.join().unwrap(), 0, "{way}");
    }
}
