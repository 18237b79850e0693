//! What runs once in the fork server before it serves: children have what it built, and it cannot spoil them.

use crate::kit::{fork_server, kill_and_wait};
use crate::runner::{Case, Gate, RemoteGate, case, program, program_command};
use crate::surroundings::Surroundings;
use crate::ways::{run_by, start_by};
use multiproc::{
    Callable, ErrorKind, Process, Queue, StartMethod, set_forkserver_preload, threading,
};
use nix::sys::signal::{
    SaFlags, SigAction, SigHandler, SigSet, SigmaskHow, Signal, sigaction, sigprocmask,
};
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock};

pub(crate) fn tests() -> Vec<Case> {
    vec![
        case("preload::children_have_what_it_built", children_have_it).cold(),
        case("preload::runs_again_in_the_next_server", runs_again).cold(),
        case("preload::little_room_for_descriptors", little_room).cold(),
        case("preload::output_is_exact", output_is_exact),
        case("preload::changes_of_surroundings_stay_there", changes_stay).cold(),
        case("preload::changes_of_signals_stay_there", signals_stay).cold(),
        case("preload::a_panic_is_told", panic_is_told).cold(),
        case("preload::a_thread_left_is_told", thread_is_told).cold(),
        case("preload::threads_that_have_ended_are_none", ended_threads).cold(),
        case("preload::an_exit_is_an_error", exit_is_an_error).cold(),
        case("preload::too_late", too_late).cold(),
        case("preload::files_stay_open", files_stay_open).cold(),
        program("preload::prints", prints),
    ]
}

const BY_SERVER: StartMethod = StartMethod::ForkServer;

static RUNS: AtomicU32 = AtomicU32::new(0);
static TABLE: Mutex<Vec<u64>> = Mutex::new(Vec::new());
static LOCK: OnceLock<threading::Lock> = OnceLock::new();

/// Builds what costs something, with locks as anybody has them.
fn builds() {
    RUNS.fetch_add(1, Ordering::SeqCst);
    let lock = LOCK.get_or_init(|| threading::Lock::new().unwrap());
    let guard = lock.acquire().unwrap();
    TABLE.lock().unwrap().extend([1, 2, 3]);
    drop(guard);
}

/// How often it ran, and what is there; the child adds something of its own.
fn tell(answers: Queue<(u32, Vec<u64>)>) {
    let guard = LOCK.get().map(|lock| lock.acquire().unwrap());
    let mut table = TABLE.lock().unwrap();
    answers
        .put((RUNS.load(Ordering::SeqCst), table.clone()))
        .unwrap();
    table.push(4);
    drop(guard);
}

fn children_have_it() {
    set_forkserver_preload(builds).unwrap();
    let answers = Queue::new().unwrap();
    for _ in 0..3 {
        run_by(BY_SERVER, tell, (answers.clone(),));
        assert_eq!(answers.get().unwrap(), (1, vec![1, 2, 3]));
    }
    let through_a_child = |answers: Queue<(u32, Vec<u64>)>| run_by(BY_SERVER, tell, (answers,));
    run_by(BY_SERVER, through_a_child, (answers.clone(),));
    assert_eq!(answers.get().unwrap(), (1, vec![1, 2, 3]));
    for way in [StartMethod::Fork, StartMethod::Spawn] {
        run_by(way, tell, (answers.clone(),));
        assert_eq!(
            answers.get().unwrap(),
            (0, Vec::new()),
            "{way} has a server's memory"
        );
    }
    assert_eq!(RUNS.load(Ordering::SeqCst), 0, "it ran in the parent");
}

/// Whatever a server has no room for, the descriptor of a child that runs already among it: it leaves no zombie.
fn little_room() {
    use nix::unistd::Pid;
    set_forkserver_preload(|| limit_descriptors(Pid::this(), 7)).unwrap();
    let mut failed = 0;
    for room in 7..20 {
        let tried = multiproc::spawn(|| (), ()).map(|child| child.join());
        failed += u32::from(tried.is_err());
        let server = fork_server();
        let children = format!("/proc/{server}/task/{server}/children");
        while !std::fs::read_to_string(&children).unwrap().is_empty() {
            std::thread::yield_now();
        }
        limit_descriptors(server, room + 1);
    }
    assert!((1..13).contains(&failed), "{failed}");
}

fn limit_descriptors(server: nix::unistd::Pid, room: u64) {
    use nix::libc;
    let limit = libc::rlimit {
        rlim_cur: room,
        rlim_max: 64,
    };
    let (limit, none) = (&raw const limit, std::ptr::null_mut());
    #[expect(unsafe_code, reason = "limits of another process")]
    // SAFETY: the kernel reads the structure and writes nothing.
    let set = unsafe { libc::prlimit(server.as_raw(), libc::RLIMIT_NOFILE, limit, none) };
    assert_eq!(set, 0);
}

/// Also in the server that a child starts when the family's is gone.
fn runs_again() {
    set_forkserver_preload(builds).unwrap();
    let answers = Queue::new().unwrap();
    for _ in 0..3 {
        run_by(BY_SERVER, tell, (answers.clone(),));
        assert_eq!(answers.get().unwrap(), (1, vec![1, 2, 3]));
        kill_and_wait(fork_server());
    }
    // Who starts the next one reaps the last.
    run_by(BY_SERVER, || (), ());
}

/// A line, and a part of one that stays in the buffer of standard output.
#[expect(clippy::print_stderr, reason = "it is written once too")]
fn prints() {
    let preload = || {
        println!("[preload]");
        print!("[half]");
        eprint!("[error]");
    };
    set_forkserver_preload(preload).unwrap();
    for _ in 0..3 {
        run_by(BY_SERVER, || print!("[child]"), ());
    }
    print!("[parent]");
}

/// Each part once: what the server printed is not in its children's buffers.
fn output_is_exact() {
    let output = program_command("preload::prints").output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text, "[preload]\n[half][child][child][child][parent]");
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "[error]");
}

/// Folder, environment, mask and signals of a child are its parent's and not its server's.
fn changes_stay() {
    let preload = || {
        std::env::set_current_dir("/usr").unwrap();
        crate::surroundings::set_variable("OF_THE_SERVER", "1");
        nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o777));
    };
    set_forkserver_preload(preload).unwrap();
    let answers = Queue::new().unwrap();
    let tell = |answers: Queue<Surroundings>| answers.put(Surroundings::here()).unwrap();
    run_by(BY_SERVER, tell, (answers.clone(),));
    assert_eq!(answers.get().unwrap(), Surroundings::here());
}

/// It ignores what ends children, also the news of their ends, and blocks or unblocks everything.
fn is_odd_about_signals(mask: &SigSet) {
    let deaf = SigAction::new(SigHandler::SigIgn, SaFlags::empty(), SigSet::empty());
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGCHLD] {
        #[expect(unsafe_code, reason = "a preload with odd habits is the subject")]
        // SAFETY: ignoring runs no code.
        unsafe { sigaction(signal, &deaf) }.unwrap();
    }
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(mask), None).unwrap();
}

#[track_caller]
fn children_end_by_signals(preload: impl Callable<()>) {
    set_forkserver_preload(preload).unwrap();
    let gate = Gate::new();
    let child = || start_by(BY_SERVER, RemoteGate::wait, (gate.remote(),));
    let children = [child(), child(), child()];
    children[0].terminate().unwrap();
    children[1].interrupt().unwrap();
    children[2].kill().unwrap();
    let codes = children.each_ref().map(|child| child.join().unwrap());
    assert_eq!(codes, [-15, -2, -9]);
    // The next one gets another function.
    kill_and_wait(fork_server());
}

fn signals_stay() {
    children_end_by_signals(|| is_odd_about_signals(&SigSet::all()));
    children_end_by_signals(|| is_odd_about_signals(&SigSet::empty()));
    children_end_by_signals(|| ());
    run_by(BY_SERVER, || (), ());
}

/// The start says why there is no server, each time; other ways work.
#[track_caller]
fn is_told(word: &str) {
    for _ in 0..2 {
        let error = Process::new(|| (), ()).start().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::StartMethodUnavailable, "{error}");
        assert!(error.to_string().contains(word), "no {word:?} in {error}");
    }
    run_by(StartMethod::Fork, || (), ());
    run_by(StartMethod::Spawn, || (), ());
}

fn panic_is_told() {
    set_forkserver_preload(|| panic!("no more bananas")).unwrap();
    is_told("no more bananas");
}

fn thread_is_told() {
    let leaves_one = || {
        std::thread::spawn(|| crate::runner::Gate::new().wait());
    };
    set_forkserver_preload(leaves_one).unwrap();
    is_told("thread");
}

fn ended_threads() {
    let body = || {
        let sum: u64 = std::thread::spawn(|| (1..=4).sum()).join().unwrap();
        TABLE.lock().unwrap().push(sum);
    };
    set_forkserver_preload(body).unwrap();
    let answers = Queue::new().unwrap();
    run_by(BY_SERVER, tell, (answers.clone(),));
    assert_eq!(answers.get().unwrap(), (0, vec![10]));
}

fn exit_is_an_error() {
    #[expect(
        clippy::disallowed_methods,
        reason = "an end in a preload is the subject"
    )]
    set_forkserver_preload(|| std::process::exit(0)).unwrap();
    is_told("");
}

fn too_late() {
    set_forkserver_preload(builds).unwrap();
    run_by(BY_SERVER, || (), ());
    let error = set_forkserver_preload(|| ()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Misuse, "{error}");
    let answers = Queue::new().unwrap();
    run_by(BY_SERVER, tell, (answers.clone(),));
    assert_eq!(answers.get().unwrap(), (1, vec![1, 2, 3]));
}

static IMAGE: OnceLock<File> = OnceLock::new();

/// A static may own one: its number must not become another file's in a child.
fn files_stay_open() {
    set_forkserver_preload(|| IMAGE.set(File::open("/proc/self/exe").unwrap()).unwrap()).unwrap();
    let read = |heads: Queue<[u8; 4]>| {
        let mut head = [0; 4];
        IMAGE.get().unwrap().read_exact_at(&mut head, 0).unwrap();
        heads.put(head).unwrap();
    };
    let heads = Queue::new().unwrap();
    for _ in 0..2 {
        run_by(BY_SERVER, read, (heads.clone(),));
        assert_eq!(&heads.get().unwrap(), b"\x7fELF");
    }
}
