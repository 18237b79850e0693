//! Many children, many threads and many signals, under each start method.

use crate::kit::{find_fork_server, lives, pid_of, state_of};
use crate::runner::{Case, Gate, RemoteGate, case, scaled, wait_for_exit};
use crate::ways::{builder, each, fine, named, start_by};
use multiproc::{ErrorKind, Process, Queue, StartMethod};
use nix::errno::Errno;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, kill, sigaction};
use nix::unistd::Pid;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use std::time::{Duration, Instant};

pub(crate) fn tests() -> Vec<Case> {
    vec![
        case("many::hundred_short", hundred_short),
        case("many::hundred_terminated", hundred_terminated),
        case("many::joined_backwards", joined_backwards),
        case("many::parallel_starts", parallel_starts).cold(),
        case("many::parallel_starts_by_all_methods", all_in_parallel).cold(),
        case("many::servers_killed_under_starts", servers_killed),
        case("many::signals_in_starts", signals_in_starts),
        case("many::signals_in_a_join", signals_in_a_join),
        case("many::signals_in_a_join_with_timeout", signals_in_a_timeout),
        case("many::dropped_handles_are_reaped", dropped_handles),
        case("many::children_of_one_killed", children_of_one_killed),
    ]
}

#[expect(clippy::disallowed_methods, reason = "the exit code is the subject")]
fn exits(code: i32) {
    std::process::exit(code)
}

fn hundred(method: StartMethod) -> Vec<Process> {
    let codes = 0..100;
    codes.map(|code| start_by(method, exits, (code,))).collect()
}

fn hundred_short() {
    each(|method| {
        for (process, code) in hundred(method).iter().zip(0..) {
            assert_eq!(process.join().unwrap(), code);
        }
    });
}

fn joined_backwards() {
    each(|method| {
        let processes = hundred(method);
        for (process, code) in processes.iter().zip(0..100).rev() {
            assert_eq!(process.join().unwrap(), code);
        }
        for (process, code) in processes.iter().zip(0..) {
            assert_eq!(process.exitcode().unwrap(), Some(code));
        }
    });
}

fn hundred_terminated() {
    each(|method| {
        let gate = Gate::new();
        let start = |_| start_by(method, RemoteGate::wait, (gate.remote(),));
        let processes: Vec<Process> = (0..100).map(start).collect();
        for process in &processes {
            process.terminate().unwrap();
        }
        for process in &processes {
            assert_eq!(process.join().unwrap(), -15);
        }
    });
}

fn starts_and_joins(method: StartMethod) {
    for code in 0..10 {
        assert_eq!(start_by(method, exits, (code,)).join().unwrap(), code);
    }
}

/// The first use of a method is made by several threads at once.
fn parallel_starts() {
    each(|method| {
        std::thread::scope(|scope| {
            for _ in 0..6 {
                scope.spawn(|| starts_and_joins(method));
            }
        });
    });
}

/// A fork copies whatever the other threads were doing to start theirs.
fn all_in_parallel() {
    std::thread::scope(|scope| {
        for method in multiproc::all_start_methods() {
            for _ in 0..2 {
                scope.spawn(move || starts_and_joins(method));
            }
        }
    });
}

/// Starts until it is told to stop. Only what a dead server explains may go wrong, and only where there is one.
fn starts_until(stop: &AtomicBool, method: StartMethod) -> u32 {
    let mut known = 0;
    for code in (0..200).cycle() {
        if stop.load(SeqCst) {
            break;
        }
        let joined = builder(method, exits, (code,)).start();
        let joined = joined.and_then(|process| process.join());
        match joined {
            Ok(seen) => {
                assert_eq!(seen, code);
                known += 1;
            }
            Err(error) => {
                let excuses = [ErrorKind::StartMethodUnavailable, ErrorKind::UnknownStatus];
                assert!(excuses.contains(&error.kind()), "{method}: {error}");
                assert_eq!(method, StartMethod::ForkServer, "{error}");
            }
        }
    }
    known
}

/// One server after another is killed while threads start processes in all ways.
fn servers_killed() {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let methods = multiproc::all_start_methods().into_iter().cycle().take(6);
        let start = |method| {
            let stop = &stop;
            scope.spawn(move || starts_until(stop, method))
        };
        let threads: Vec<_> = methods.map(start).collect();
        for _ in 0..scaled(40) {
            let server = std::iter::repeat_with(find_fork_server).flatten().next();
            // Whoever asks it next may reap it at once.
            let killed = kill(server.unwrap(), Signal::SIGKILL);
            assert!([Ok(()), Err(Errno::ESRCH)].contains(&killed));
            wait_for_exit(server.unwrap());
        }
        stop.store(true, SeqCst);
        for thread in threads {
            assert!(thread.join().unwrap() > 0, "no start went well");
        }
    });
    each(|method| fine(&start_by(method, || (), ())));
}

static SIGNALS: AtomicU32 = AtomicU32::new(0);

extern "C" fn counts(_signal: i32) {
    SIGNALS.fetch_add(1, SeqCst);
}

/// Without `SA_RESTART`: every system call that sleeps hears of it.
fn count_signals() {
    count(Signal::SIGUSR1);
}

fn count(signal: Signal) {
    let action = SigAction::new(
        SigHandler::Handler(counts),
        SaFlags::empty(),
        SigSet::empty(),
    );
    #[expect(unsafe_code, reason = "a signal handler is the subject")]
    // SAFETY: the handler adds to an atomic.
    unsafe { sigaction(signal, &action) }.unwrap();
}

/// Sends a signal to a process each time that it is found asleep.
fn disturb(pid: i32, times: u32) {
    let pid = Pid::from_raw(pid);
    for _ in 0..times {
        while state_of(pid) != Some('S') {
            std::thread::yield_now();
        }
        kill(pid, Signal::SIGUSR1).unwrap();
    }
}

fn disturbs_then_leaves(pid: i32, times: u32) {
    disturb(pid, times);
    exits(5);
}

/// Sends as many as it can, until it is killed.
fn pelts(pid: i32) {
    while kill(Pid::from_raw(pid), Signal::SIGUSR1).is_ok() {}
}

/// A start is many system calls, and each may hear of a signal.
fn signals_in_starts() {
    count_signals();
    let me = std::process::id().cast_signed();
    let disturber = start_by(StartMethod::Spawn, pelts, (me,));
    each(|method| {
        let before = SIGNALS.load(SeqCst);
        for _ in 0..scaled(3) {
            starts_and_joins(method);
            multiproc::force_start_method(Some(method));
            let values = multiproc::spawn(|words: Vec<String>| words, (vec![String::new(); 99],));
            assert_eq!(values.unwrap().join().unwrap().len(), 99);
        }
        assert!(SIGNALS.load(SeqCst) > before, "no signal came");
    });
    disturber.kill().unwrap();
    assert_eq!(disturber.join().unwrap(), -9);
}

fn signals_in_a_join() {
    count_signals();
    let me = std::process::id().cast_signed();
    each(|method| {
        let before = SIGNALS.load(SeqCst);
        let process = start_by(method, disturbs_then_leaves, (me, 50));
        assert_eq!(process.join().unwrap(), 5);
        assert!(SIGNALS.load(SeqCst) > before, "no signal came");
    });
}

/// It goes on with the time that is left, neither shorter nor from the beginning.
fn signals_in_a_timeout() {
    count_signals();
    let me = std::process::id().cast_signed();
    each(|method| {
        let process = start_by(method, disturbs_then_leaves, (me, u32::MAX));
        let (begin, timeout) = (Instant::now(), Duration::from_millis(200));
        let before = SIGNALS.load(SeqCst);
        assert_eq!(process.join_timeout(timeout).unwrap(), None);
        assert!(begin.elapsed() >= timeout);
        assert!(SIGNALS.load(SeqCst) > before, "no signal came");
        process.kill().unwrap();
        assert_eq!(process.join().unwrap(), -9);
    });
}

/// Who drops a handle neither kills nor waits; later starts reap.
fn dropped_handles() {
    each(|method| {
        let gate = Gate::new();
        let dropped = [(); 10].map(|()| {
            let process = start_by(method, RemoteGate::wait, (gate.remote(),));
            pid_of(&process)
        });
        assert!(dropped.into_iter().all(|pid| state_of(pid).is_some()));
        gate.open(10);
        while dropped.into_iter().any(|pid| state_of(pid).is_some()) {
            fine(&start_by(method, || (), ()));
        }
    });
}

fn with_children(method: String, gate: RemoteGate, pids: Queue<u32>) {
    let start = |_| start_by(named(&method), RemoteGate::wait, (gate,));
    let children: Vec<Process> = (0..5).map(start).collect();
    for child in &children {
        pids.put(child.pid().unwrap()).unwrap();
    }
    children.iter().for_each(fine);
}

/// A kill reaches who is below, too.
fn children_of_one_killed() {
    each(|method| {
        let (gate, pids) = (Gate::new(), Queue::new().unwrap());
        let arguments = (method.to_string(), gate.remote(), pids.clone());
        let process = start_by(method, with_children, arguments);
        let below = [(); 5].map(|()| Pid::from_raw(pids.get().unwrap().cast_signed()));
        assert!(below.iter().all(|pid| lives(*pid)));
        process.kill().unwrap();
        assert_eq!(process.join().unwrap(), -9);
        below.into_iter().for_each(wait_for_exit);
    });
}
