//! Starts that fail a thousand times, programs with more or fewer rights than before, and executables that are gone.

use crate::kit::{children, fork_server, kill_and_wait, lives, state_of};
use crate::runner::{Case, Gate, RemoteGate, case, program, program_command, scaled, skip};
use crate::surroundings::Folder;
use crate::ways::{WAYS, run_by};
use multiproc::{ErrorKind, Process, Queue, StartMethod};
use nix::libc;
use nix::sys::resource::{Resource, getrlimit};
use nix::unistd::{Gid, Pid, Uid, chown, setgroups, setresgid, setresuid};
use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

pub(crate) fn tests() -> Vec<Case> {
    vec![
        case("hostile::thousand_failed_starts", failed_starts),
        case("hostile::rights_change", rights_change),
        case("hostile::another_root", another_root),
        case("hostile::a_program_with_more_rights", set_user_id),
        case("hostile::a_deleted_executable", deleted),
        case("hostile::a_replaced_executable", replaced),
        program("hostile::has_no_room", has_no_room),
        program("hostile::loses_rights", loses_rights),
        program("hostile::goes_to_jail", goes_to_jail),
        program("hostile::has_more_rights", has_more_rights),
        program("hostile::starts_later", starts_later),
    ]
}

/// A user that nobody is.
fn nobody() -> (Uid, Gid) {
    let number = 61_000 + std::process::id() % 1_000;
    (Uid::from_raw(number), Gid::from_raw(number))
}

/// Root is not bound by the number of processes.
pub(crate) fn become_nobody() {
    if !Uid::effective().is_root() {
        return;
    }
    let (user, group) = nobody();
    setgroups(&[group]).unwrap();
    setresgid(group, group, group).unwrap();
    // From here on most of /proc/self is root's, as in every program that has given up its rights.
    setresuid(user, user, user).unwrap();
}

/// Runs a program of this binary; its complaint is ours.
fn passes(name: &str) {
    let output = program_command(name).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{:?}: {said}", output.status);
}

fn failed_starts() {
    passes("hostile::has_no_room");
}

/// All of this process that a failed start may leave something in.
#[derive(Debug, PartialEq)]
struct Belongings {
    descriptors: Vec<PathBuf>,
    children: Vec<(Pid, Option<char>)>,
    arena: multiproc::arena::Usage,
    threads: usize,
}

fn belongings() -> Belongings {
    let folder = fs::read_dir("/proc/self/fd").unwrap();
    let links = folder.filter_map(|entry| fs::read_link(entry.unwrap().path()).ok());
    let mut descriptors: Vec<PathBuf> = links.collect();
    descriptors.sort();
    let threads = fs::read_dir("/proc/self/task").unwrap().count();
    let zombie = |pid: Pid| (pid, state_of(pid).filter(|&state| state == 'Z'));
    Belongings {
        descriptors,
        children: children().into_iter().map(zombie).collect(),
        arena: multiproc::arena::usage().unwrap(),
        threads,
    }
}

/// The soft limit of processes for `pid`, this one when 0. It binds only who starts one more.
fn limit_processes(pid: Pid, most: libc::rlim_t) {
    let (_, hard) = getrlimit(Resource::RLIMIT_NPROC).unwrap();
    let limit = libc::rlimit {
        rlim_cur: most.min(hard),
        rlim_max: hard,
    };
    let nobody = std::ptr::null_mut();
    #[expect(unsafe_code, reason = "nix cannot limit another process")]
    // SAFETY: the kernel reads the limit, which lives here, and writes nothing.
    let result =
        unsafe { libc::prlimit(pid.as_raw(), libc::RLIMIT_NPROC, &raw const limit, nobody) };
    assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
}

/// Starts that fail, with arguments and a handle that would leak.
fn fails_often(way: StartMethod, when: &str) {
    let queue = Queue::<u8>::new().unwrap();
    let never = |_: Queue<u8>, _: Vec<u8>| unreachable!("there was no room for it");
    let attempt = || {
        let arguments = (queue.clone(), vec![7; 5_000]);
        let tried = Process::builder(never, arguments).start_method(way).start();
        let error = tried.unwrap_err();
        let kinds = [ErrorKind::Os, ErrorKind::StartMethodUnavailable];
        assert!(kinds.contains(&error.kind()), "{way}, {when}: {error}");
    };
    // What the first failure makes and keeps is no leak.
    attempt();
    let before = belongings();
    for _ in 0..scaled(1_000) {
        attempt();
    }
    assert_eq!(belongings(), before, "{way}, {when}");
}

/// Without a server; with a server that has no room itself; and the other two ways. All work again with room.
fn has_no_room() {
    become_nobody();
    let (soft, _) = getrlimit(Resource::RLIMIT_NPROC).unwrap();
    let me = Pid::from_raw(0);
    run_by(StartMethod::ForkServer, || (), ());
    let server = fork_server();
    limit_processes(server, 0);
    fails_often(StartMethod::ForkServer, "a server without room");
    limit_processes(server, soft);
    run_by(StartMethod::ForkServer, || (), ());

    for way in WAYS {
        if way == StartMethod::ForkServer {
            kill_and_wait(fork_server());
        }
        limit_processes(me, 0);
        fails_often(way, "no room");
        limit_processes(me, soft);
        run_by(way, || (), ());
    }
}

/// What a process may do, in the kernel's words.
fn rights() -> BTreeMap<String, String> {
    const NAMES: [&str; 11] = [
        "Uid",
        "Gid",
        "Groups",
        "CapInh",
        "CapPrm",
        "CapEff",
        "CapBnd",
        "CapAmb",
        "NoNewPrivs",
        "Seccomp",
        "Seccomp_filters",
    ];
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let lines = status.lines().filter_map(|line| line.split_once(':'));
    let wanted = lines.filter(|(name, _)| NAMES.contains(name));
    wanted
        .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
        .collect()
}

#[track_caller]
fn children_have_my_rights(when: &str) {
    let answers = Queue::new().unwrap();
    let here = rights();
    let tell = |answers: Queue<BTreeMap<String, String>>| answers.put(rights()).unwrap();
    for way in WAYS {
        run_by(way, tell, (answers.clone(),));
        assert_eq!(answers.get().unwrap(), here, "{way}, {when}");
    }
}

/// Lets everything through; what counts is that there is a filter.
fn filter_system_calls() {
    const ALLOW: u16 = 0x06;
    let mut code = [libc::sock_filter {
        code: ALLOW,
        jt: 0,
        jf: 0,
        k: libc::SECCOMP_RET_ALLOW,
    }];
    let filter = libc::sock_fprog {
        len: 1,
        filter: code.as_mut_ptr(),
    };
    #[expect(unsafe_code, reason = "nix has no filters of system calls")]
    // SAFETY: the kernel copies the program, which lives here.
    let result = unsafe {
        libc::prctl(
            libc::PR_SET_SECCOMP,
            libc::SECCOMP_MODE_FILTER,
            &raw const filter,
        )
    };
    assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
}

/// `CAP_SYS_BOOT`
const CAPABILITY: u32 = 22;

/// From the bounding set alone. An exec takes it from the other sets too, so that set is all that children can be asked for.
fn bound_a_capability() {
    #[expect(unsafe_code, reason = "nix has no capabilities")]
    // SAFETY: prctl takes numbers here.
    let dropped = unsafe { libc::prctl(libc::PR_CAPBSET_DROP, CAPABILITY, 0, 0, 0) };
    assert_eq!(dropped, 0);
    let answers = Queue::new().unwrap();
    let tell = |answers: Queue<BTreeMap<String, String>>| answers.put(rights()).unwrap();
    for way in WAYS {
        run_by(way, tell, (answers.clone(),));
        let child: BTreeMap<String, String> = answers.get().unwrap();
        assert_eq!(child["CapBnd"], rights()["CapBnd"], "{way}");
    }
}

/// From the other sets.
fn drop_a_capability() {
    let header = [0x2008_0522_u32, 0];
    // Effective, permitted, inheritable; for numbers up to 31, and for the others.
    let mut sets = [[0_u32; 3]; 2];
    #[expect(unsafe_code, reason = "nix has no capabilities")]
    // SAFETY: the kernel reads a version and a pid, and writes six numbers, as that version has it.
    let got = unsafe { libc::syscall(libc::SYS_capget, &raw const header, &raw mut sets) };
    for set in &mut sets[0] {
        *set &= !(1 << CAPABILITY);
    }
    #[expect(unsafe_code, reason = "nix has no capabilities")]
    // SAFETY: the kernel reads a version and a pid, and six numbers, as that version has it.
    let set = unsafe { libc::syscall(libc::SYS_capset, &raw const header, &raw const sets) };
    assert_eq!((got, set), (0, 0));
}

/// Each change meets a server that is used to the rights before it.
fn loses_rights() {
    children_have_my_rights("at first");
    if Uid::effective().is_root() {
        bound_a_capability();
        drop_a_capability();
        children_have_my_rights("with a capability less");
        setgroups(&[Gid::from_raw(7)]).unwrap();
        children_have_my_rights("in another group");
        become_nobody();
        children_have_my_rights("as another user");
    }
    nix::sys::prctl::set_no_new_privs().unwrap();
    children_have_my_rights("without new privileges");
    filter_system_calls();
    children_have_my_rights("with a filter");
    filter_system_calls();
    children_have_my_rights("with a second filter");
    let server = fork_server();
    run_by(StartMethod::ForkServer, || (), ());
    assert_eq!(
        fork_server(),
        server,
        "a new server although nothing has changed"
    );
    // The servers of earlier rights end when nobody needs them, and later starts reap them.
    let zombie = |pid: Pid| state_of(pid) == Some('Z');
    while children().into_iter().any(zombie) || children().len() > 1 {
        run_by(StartMethod::ForkServer, || (), ());
    }
}

fn rights_change() {
    passes("hostile::loses_rights");
}

/// The root folder, whatever its name.
fn root() -> (u64, u64) {
    let stat = nix::sys::stat::stat("/").unwrap();
    (stat.st_dev, stat.st_ino)
}

/// Goes into a root folder in which there is nothing, not even `/proc`. Whoever starts a process there is told that it cannot be,
/// or gets one that is there too: no child is outside.
fn goes_to_jail() {
    let jail = std::env::var(GATES).unwrap();
    let answers = Queue::new().unwrap();
    let tell = |answers: Queue<(u64, u64)>| answers.put(root()).unwrap();
    run_by(StartMethod::ForkServer, tell, (answers.clone(),));
    assert_eq!(answers.get().unwrap(), root());
    nix::unistd::chroot(jail.as_str()).unwrap();
    nix::unistd::chdir("/").unwrap();
    for way in WAYS {
        for _ in 0..2 {
            let builder = Process::builder(tell, (answers.clone(),)).start_method(way);
            match builder.start().map(|process| process.join().unwrap()) {
                Ok(0) => assert_eq!(answers.get().unwrap(), root(), "{way}: it is outside"),
                Ok(code) => println!("{way} {code}"),
                Err(error) => println!("{way} {:?}", error.kind()),
            }
            assert!(answers.is_empty(), "{way}");
        }
    }
}

fn another_root() {
    if !Uid::effective().is_root() {
        skip("only root can change its root folder");
    }
    let jail = Folder::new();
    let mut command = program_command("hostile::goes_to_jail");
    let output = command.env(GATES, &jail.0).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{:?}: {said}", output.status);
    let results = String::from_utf8(output.stdout).unwrap();
    let known = [
        "fork 1",
        "forkserver StartMethodUnavailable",
        "spawn StartMethodUnavailable",
    ];
    assert!(
        results.lines().all(|line| known.contains(&line)),
        "{results}"
    );
    // A child without `/proc` cannot be tied to its parent, and says so.
    let words = said.matches("could not begin").count();
    assert_eq!(words, results.matches("fork 1").count(), "{said}");
}

/// A copy of this program, in a folder where other users may run it.
pub(crate) fn copy_into(folder: &Folder) -> PathBuf {
    let copy = folder.0.join("program");
    fs::copy("/proc/self/exe", &copy).unwrap();
    fs::set_permissions(&folder.0, fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o755)).unwrap();
    copy
}

/// The copy as that program.
fn command_of(copy: &Path, name: &str) -> Command {
    let mut command = Command::new(copy);
    command.args(program_command(name).get_args());
    command
}

/// Tells what it may start. The marker in its environment, which anybody may set, has no effect: `main` runs.
fn has_more_rights() {
    for way in WAYS {
        let tried = Process::builder(|| (), ()).start_method(way).start();
        match tried {
            Ok(process) => println!("{way} ended with {}", process.join().unwrap()),
            Err(error) => println!("{way} {:?}", error.kind()),
        }
    }
}

fn set_user_id() {
    let folder = Folder::new();
    let copy = copy_into(&folder);
    if !Uid::effective().is_root() {
        skip("only root can make a program of another user");
    }
    let no_new_privileges = rights()["NoNewPrivs"] != "0";
    let flags = nix::sys::statvfs::statvfs(&folder.0).unwrap().flags();
    if no_new_privileges || flags.contains(nix::sys::statvfs::FsFlags::ST_NOSUID) {
        skip("set-user-id has no effect here");
    }
    let (owner, group) = nobody();
    chown(&copy, Some(owner), Some(group)).unwrap();
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o4755)).unwrap();
    let expected = "forkserver StartMethodUnavailable\nspawn StartMethodUnavailable\n";
    for marker in [None, Some("server 7"), Some("child 7")] {
        let mut command = command_of(&copy, "hostile::has_more_rights");
        command.uid(65_534).gid(65_534).current_dir("/");
        if let Some(marker) = marker {
            command.env("MULTIPROC_ERRAND", marker);
        }
        let output = command.output().unwrap();
        assert!(output.status.success(), "{marker:?}: {output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        let (forked, others): (Vec<_>, Vec<_>) =
            text.lines().partition(|line| line.starts_with("fork "));
        assert_eq!(others, expected.lines().collect::<Vec<_>>(), "{marker:?}");
        // A fork asks nobody for anything: it may work, and nothing but an exit code of 0 is right then.
        assert!(
            ["fork ended with 0", "fork StartMethodUnavailable"].contains(&forked[0]),
            "{forked:?}"
        );
    }
}

const GATES: &str = "TEST_GATES";

/// Starts processes when its executable is not where it was any more: first with the server that it has, if it has
/// one, then with a new one.
fn starts_later() {
    let text = std::env::var(GATES).unwrap();
    let (warm, gates) = text.split_once(':').unwrap();
    let (here, there) = gates.split_once(':').unwrap();
    if warm == "warm" {
        run_by(StartMethod::ForkServer, || (), ());
    }
    RemoteGate::from_text(here).open(1);
    RemoteGate::from_text(there).wait();
    for _ in 0..2 {
        for way in WAYS {
            let square = |x: u64, answers: Queue<u64>| answers.put(x * x).unwrap();
            let answers = Queue::new().unwrap();
            run_by(way, square, (7, answers.clone()));
            assert_eq!(answers.get().unwrap(), 49, "{way}");
        }
        let server = fork_server();
        assert!(lives(server));
        kill_and_wait(server);
    }
    // Nor does a child of a child need the file.
    for way in WAYS {
        let parent = |way: StartMethod| run_by(way, || (), ());
        for below in WAYS {
            run_by(way, parent, (below,));
        }
    }
}

fn with_a_copy(change: impl Fn(&Path)) {
    for warm in ["warm", "cold"] {
        let folder = Folder::new();
        let copy = copy_into(&folder);
        let (here, there) = (Gate::new(), Gate::new());
        let gates = format!("{warm}:{}:{}", here.remote().text(), there.remote().text());
        let mut command = command_of(&copy, "hostile::starts_later");
        let mut program = command
            .env(GATES, gates)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        here.wait();
        change(&copy);
        there.open(1);
        let mut said = String::new();
        program
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut said)
            .unwrap();
        assert!(program.wait().unwrap().success(), "{warm}: {said}");
    }
}

fn deleted() {
    with_a_copy(|copy| fs::remove_file(copy).unwrap());
}

/// By another program, as an update does it: whoever starts the path now gets that.
fn replaced() {
    with_a_copy(|copy| {
        let next = copy.with_extension("next");
        let mut file = fs::File::create(&next).unwrap();
        file.write_all(b"#!/bin/sh\nexit 9\n").unwrap();
        drop(file);
        fs::set_permissions(&next, fs::Permissions::from_mode(0o755)).unwrap();
        fs::rename(&next, copy).unwrap();
    });
}
