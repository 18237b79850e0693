//! The end of a pool's program, however it comes: no worker, no fork server and nothing that a worker started is left.

#![expect(
    clippy::print_stdout,
    reason = "programs tell who they started, tests how long it took"
)]

use crate::pool::{double, exists, hold, kind, until};
use crate::pool_death::{pid_of, sigkill};
use crate::runner::{Case, Gate, RemoteGate, case, program, program_command};
use multiproc::{ErrorKind, Pool, Queue, arena, current_process};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, getppid};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::mem::ManuallyDrop;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

pub(crate) fn tests() -> Vec<Case> {
    vec![
        case("pool_end::parent_killed", parent_killed),
        case("pool_end::pool_is_forgotten", pool_is_forgotten),
        case("pool_end::pool_is_static", pool_is_static),
        case("pool_end::exit_from_another_thread", exit_from_thread),
        case("pool_end::exit_while_threads_wait", exit_while_waiting),
        case("pool_end::exit_with_the_stubborn", exit_with_stubborn),
        case("pool_end::main_panics", main_panics),
        case("pool_end::terminate_kills_groups", terminate_kills_groups),
        case("pool_end::forked_behind_our_back", forked_behind_our_back),
        case("pool_end::forked_while_workers_die", forked_while_dying),
        case("pool_end::no_thread_for_the_supervisor", no_thread),
        case("pool_end::a_worker_has_no_pool", worker_has_no_pool),
    ]
}

pub(crate) fn programs() -> Vec<Case> {
    vec![
        program("pool_program::waits", waits),
        program("pool_program::forgets", forgets),
        program("pool_program::keeps", keeps),
        program("pool_program::exits_in_thread", exits_in_thread),
        program("pool_program::exits_while_waited", exits_while_waited),
        program("pool_program::stubborn", stubborn),
        program("pool_program::panics", panics),
    ]
}

/// How long anybody may take to follow its parent.
const WATCHDOG: Duration = Duration::from_secs(10);

static POOL: OnceLock<Pool> = OnceLock::new();

/// A program that was started, and whom it says to have started.
struct Family {
    child: Child,
    pids: Vec<u32>,
}

impl Family {
    fn start(name: &str) -> Family {
        let mut command = program_command(name);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        output.read_line(&mut line).unwrap();
        let pids: Vec<u32> = line
            .split_whitespace()
            .map(|word| word.parse().unwrap())
            .collect();
        assert!(pids.len() >= 3, "{line:?}");
        assert!(pids.iter().all(|&pid| exists(pid)));
        child.stdin.take().unwrap().write_all(b"!").unwrap();
        Family { child, pids }
    }

    /// All of them must go now.
    fn ends(&mut self, what: &str, code: Option<i32>) {
        let begin = Instant::now();
        let status = self.child.wait().unwrap();
        assert_eq!(status.code(), code, "{status}");
        let ended = begin.elapsed();
        while self.pids.iter().any(|&pid| exists(pid)) {
            assert!(begin.elapsed() < WATCHDOG, "left after {what}");
            std::thread::yield_now();
        }
        println!(
            "{what}: ended after {ended:?}, all gone after {:?}",
            begin.elapsed()
        );
    }
}

/// In a program: says who the fork server and the workers are, and waits until that was read.
fn introduce(pool: &Pool) {
    tell(pool);
    wait_for_a_word();
}

fn tell(pool: &Pool) {
    let server = pool.apply(|| getppid().as_raw(), ()).unwrap();
    let mut line = server.to_string();
    for pid in pool.worker_pids() {
        line += &format!(" {pid}");
    }
    println!("{line}");
    std::io::stdout().flush().unwrap();
}

fn wait_for_a_word() {
    // The end of the file, when the test is gone, is a word too.
    _ = std::io::stdin().read(&mut [0]).unwrap();
}

fn busy() {
    loop {
        std::hint::spin_loop();
    }
}

/// Neither a signal nor a stop keeps it here.
fn ignores_all(runs: RemoteGate, never: RemoteGate) {
    SigSet::all().thread_block().unwrap();
    runs.open(1);
    never.wait();
}

/// The pool was made by a thread that has ended; its workers are busy, deaf, stopped, and idle.
fn waits() {
    std::thread::spawn(|| {
        let pool = Pool::builder().workers(4).retries(1000).build().unwrap();
        POOL.set(pool).unwrap();
    })
    .join()
    .unwrap();
    let pool = POOL.get().unwrap();
    tell(pool);
    drop(pool.apply_async(busy, ()).unwrap());
    let (runs, never) = (Gate::new(), Gate::new());
    let gates = (runs.remote(), never.remote());
    drop(pool.apply_async(ignores_all, gates).unwrap());
    let told = Queue::new().unwrap();
    let stops = |told: Queue<u32>| {
        told.put(std::process::id()).unwrap();
        nix::sys::signal::raise(Signal::SIGSTOP).unwrap();
    };
    drop(pool.apply_async(stops, (told.clone(),)).unwrap());
    runs.wait();
    let stopped = told.get().unwrap();
    until(|| {
        let stat = std::fs::read_to_string(format!("/proc/{stopped}/stat")).unwrap();
        stat.contains(") T ")
    });
    println!("ready");
    wait_for_a_word();
}

fn parent_killed() {
    let mut command = program_command("pool_program::waits");
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let pids = lines.next().unwrap().unwrap();
    assert_eq!(lines.next().unwrap().unwrap(), "ready");
    let pids: Vec<u32> = pids
        .split_whitespace()
        .map(|word| word.parse().unwrap())
        .collect();
    assert_eq!(pids.len(), 5);
    assert!(pids.iter().all(|&pid| exists(pid)));
    sigkill(child.id());
    Family { child, pids }.ends("SIGKILL of the parent", None);
}

fn forgets() {
    let pool = ManuallyDrop::new(Pool::new(2).unwrap());
    introduce(&pool);
    let _lost = ManuallyDrop::new(pool.apply_async(busy, ()).unwrap());
}

fn pool_is_forgotten() {
    Family::start("pool_program::forgets").ends("a forgotten pool", Some(0));
}

fn keeps() {
    let pool = POOL.get_or_init(|| Pool::builder().workers(3).retries(9).build().unwrap());
    introduce(pool);
    for n in 0..1000 {
        drop(pool.apply_async(double, (n,)).unwrap());
    }
    drop(pool.apply_async(busy, ()).unwrap());
}

fn pool_is_static() {
    Family::start("pool_program::keeps").ends("a static pool", Some(0));
}

#[expect(
    clippy::disallowed_methods,
    reason = "the program's exit is the subject"
)]
fn exits_in_thread() {
    let pool = Pool::builder().workers(2).retries(9).build().unwrap();
    introduce(&pool);
    let (runs, never) = (Gate::new(), Gate::new());
    let gates = (runs.remote(), never.remote());
    std::thread::spawn(move || {
        runs.wait();
        std::process::exit(5);
    });
    drop(pool.apply(hold, gates));
    // At the end of this program the worker dies, and the main thread may get this far.
    loop {
        std::thread::park();
    }
}

fn exit_from_thread() {
    Family::start("pool_program::exits_in_thread").ends("exit in a thread", Some(5));
}

#[expect(
    clippy::disallowed_methods,
    reason = "the program's exit is the subject"
)]
fn exits_while_waited() {
    let pool = POOL.get_or_init(|| Pool::builder().workers(2).retries(9).build().unwrap());
    introduce(pool);
    let (runs, never) = (Gate::new(), Gate::new());
    let gates = (runs.remote(), never.remote());
    for _ in 0..2 {
        std::thread::spawn(move || pool.apply(hold, gates));
        runs.wait();
    }
    // These submit for as long as they live.
    for _ in 0..2 {
        std::thread::spawn(|| while pool.apply_async(double, (1,)).is_ok() {});
    }
    std::process::exit(6);
}

fn exit_while_waiting() {
    Family::start("pool_program::exits_while_waited").ends("exit while waited for", Some(6));
}

fn stubborn() {
    let pool = POOL.get_or_init(|| Pool::new(2).unwrap());
    introduce(pool);
    let (runs, never) = (Gate::new(), Gate::new());
    let gates = (runs.remote(), never.remote());
    drop(pool.apply_async(ignores_all, gates).unwrap());
    drop(pool.apply_async(hold, gates).unwrap());
    // Both: one that is stopped before it has its lifeline would not follow this program.
    runs.wait();
    runs.wait();
    for pid in pool.worker_pids() {
        kill(pid_of(pid), Signal::SIGSTOP).unwrap();
    }
}

fn exit_with_stubborn() {
    Family::start("pool_program::stubborn").ends("deaf and stopped workers", Some(0));
}

fn panics() {
    let pool = Pool::new(2).unwrap();
    introduce(&pool);
    drop(pool.apply_async(busy, ()).unwrap());
    panic!("the program's main thread, on purpose");
}

fn main_panics() {
    Family::start("pool_program::panics").ends("a panic of main", Some(101));
}

#[expect(clippy::zombie_processes, reason = "the pool kills it")]
fn starts_sleepers() -> Vec<u32> {
    let mut shell = Command::new("sh")
        .args(["-c", "sleep 1000 & echo $!; exec sleep 1000"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(shell.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    vec![shell.id(), line.trim().parse().unwrap()]
}

fn terminate_kills_groups() {
    for by_drop in [false, true] {
        let pool = Pool::new(2).unwrap();
        let sleepers = || {
            let pids = starts_sleepers();
            (std::process::id(), pids)
        };
        let (worker, pids) = pool.apply(sleepers, ()).unwrap();
        assert!(pids.iter().all(|&pid| exists(pid)));
        assert!(pool.worker_pids().contains(&worker));
        if by_drop {
            drop(pool);
        } else {
            pool.terminate();
        }
        // The keeper reaps them.
        until(|| !pids.iter().any(|&pid| exists(pid)));
    }
}

/// Runs `body` in a child that nobody told the crate of; it must not panic.
#[expect(unsafe_code, reason = "fork has a condition")]
#[expect(
    clippy::disallowed_methods,
    reason = "the fork behind the crate's back is the subject"
)]
fn in_forked_child(body: impl FnOnce()) {
    // SAFETY: sound for glibc, whose allocator and stdio survive a fork of a program with threads; nothing else is used but
    // this crate, whose promise this is.
    match unsafe { nix::unistd::fork() }.unwrap() {
        ForkResult::Child => {
            let passed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(body)).is_ok();
            // SAFETY: it does not return.
            unsafe { nix::libc::_exit(if passed { 0 } else { 1 }) }
        }
        ForkResult::Parent { child } => {
            assert_eq!(waitpid(child, None).unwrap(), WaitStatus::Exited(child, 0));
        }
    }
}

fn forked_behind_our_back() {
    let before = arena::usage().unwrap();
    let pool = Pool::new(2).unwrap();
    let (runs, go) = (Gate::new(), Gate::new());
    let mut held = pool
        .apply_async(hold, (runs.remote(), go.remote()))
        .unwrap();
    let done = pool.apply_async(double, (2,)).unwrap();
    done.wait();
    runs.wait();
    in_forked_child(|| {
        assert_eq!(kind(pool.apply(double, (1,))), ErrorKind::Misuse);
        assert_eq!(kind(pool.map(double, [1])), ErrorKind::Misuse);
        assert_eq!(kind(pool.join()), ErrorKind::Misuse);
        assert_eq!(kind(held.get_timeout(WATCHDOG)), ErrorKind::Misuse);
        assert!(!held.ready() && !held.wait_timeout(Duration::ZERO));
        held.wait();
        pool.close();
        pool.terminate();
        // A pool of its own works, and so do the ends of the copies.
        let own = Pool::new(1).unwrap();
        assert_eq!(own.apply(double, (4,)).unwrap(), 8);
        drop(own);
    });
    // Nothing of this pool was hurt by what the child did.
    assert_eq!(pool.stats().deaths, 0);
    assert_eq!(pool.apply(double, (5,)).unwrap(), 10);
    // In the child all of these are dropped, which must not end the workers, nor close what is ours.
    let pids = pool.worker_pids();
    let mut all = Some((pool, held, done));
    in_forked_child(|| drop(all.take()));
    let (pool, held, done) = all.unwrap();
    assert_eq!(pool.worker_pids(), pids);
    go.open(1);
    assert!(pids.contains(&held.get().unwrap()));
    assert_eq!(done.get().unwrap(), 4);
    assert_eq!(pool.map(double, 0..100).unwrap()[99], 198);
    drop(pool);
    assert_eq!(arena::usage().unwrap(), before);
}

fn forked_while_dying() {
    let pool = Pool::new(2).unwrap();
    for _ in 0..20 {
        for pid in pool.worker_pids() {
            _ = kill(pid_of(pid), Signal::SIGKILL);
        }
        // The supervisor is at work: what it holds in this moment, the child has a copy of.
        in_forked_child(|| {
            drop(pool.worker_pids());
            _ = pool.stats();
            drop(format!("{pool:?}"));
            assert_eq!(kind(pool.apply(double, (1,))), ErrorKind::Misuse);
        });
        assert_eq!(pool.apply(double, (3,)).unwrap(), 6);
    }
}

/// Workers that were started before the supervisor's thread could not be are ended: the runner would find them.
fn no_thread() {
    let before = arena::usage().unwrap();
    let status = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: u64 = status.split(' ').next().unwrap().parse().unwrap();
    let (soft, hard) = getrlimit(Resource::RLIMIT_AS).unwrap();
    // Room for some things, but not for a stack of 2 MiB.
    setrlimit(Resource::RLIMIT_AS, pages * 4096 + (1 << 20), hard).unwrap();
    let pool = Pool::new(3);
    setrlimit(Resource::RLIMIT_AS, soft, hard).unwrap();
    assert_eq!(kind(pool), ErrorKind::Os);
    assert_eq!(arena::usage().unwrap(), before);
}

/// Workers are daemons, which have no children.
fn worker_has_no_pool() {
    let pool = Pool::new(1).unwrap();
    let nested = || (current_process().daemon(), Pool::new(1).is_err());
    assert_eq!(pool.apply(nested, ()).unwrap(), (true, true));
    assert_eq!(pool.stats().deaths, 0);
}
