//! A parent with odd habits about signals, children, terminals and streams: what it blocks, ignores, handles or holds is not its
//! children's.

use crate::ends::print_by_c;
use crate::kit::{pid_of, say_and_wait, state_of};
use crate::runner::{Case, Gate, RemoteGate, case, program, program_command, scaled};
use crate::ways::{WAYS, run_by, start_by};
use multiproc::{ErrorKind, Process, Queue, StartMethod};
use nix::libc;
use nix::sys::signal::{
    SaFlags, SigAction, SigHandler, SigSet, SigmaskHow, Signal, sigaction, sigprocmask,
};
use nix::sys::wait::{WaitPidFlag, waitpid};
use std::io::Read as _;
use std::process::Stdio;

pub(crate) fn tests() -> Vec<Case> {
    vec![
        case("signals::blocked_in_the_parent", blocked),
        case("signals::ignored_by_the_parent", ignored),
        case("signals::handled_by_the_parent", handled),
        case("signals::sent_before_the_child_is_ready", sent_at_once),
        case("signals::nothing_of_the_parents_is_left", nothing_is_left),
        case("signals::children_are_not_waited_for", nobody_waits),
        case("signals::somebody_else_reaps", somebody_else_reaps),
        case("signals::a_terminal_is_at_its_end", terminal),
        case("signals::threads_that_print_by_c", threads_print),
        case("signals::a_thread_reads_by_c", thread_reads),
        program("signals::at_a_terminal", at_a_terminal),
        program("signals::has_a_reader", has_a_reader),
        program("signals::prints_by_c_meanwhile", prints_meanwhile),
    ]
}

/// What ends a child when nobody has changed anything.
const DEADLY: [Signal; 5] = [
    Signal::SIGTERM,
    Signal::SIGINT,
    Signal::SIGHUP,
    Signal::SIGUSR1,
    Signal::SIGQUIT,
];

fn deadly() -> SigSet {
    DEADLY.into_iter().collect()
}

/// A child that has said that it runs.
fn waiting(way: StartMethod) -> (Process, Gate) {
    let (here, there) = (Gate::new(), Gate::new());
    let process = start_by(way, say_and_wait, (here.remote(), there.remote()));
    here.wait();
    (process, there)
}

#[track_caller]
fn signals_end_children(parent: &str) {
    for way in WAYS {
        let (process, _gate) = waiting(way);
        process.terminate().unwrap();
        assert_eq!(process.join().unwrap(), -15, "{way}, {parent}");
        let (process, _gate) = waiting(way);
        process.interrupt().unwrap();
        assert_eq!(process.join().unwrap(), -2, "{way}, {parent}");
        for signal in DEADLY {
            let (process, _gate) = waiting(way);
            nix::sys::signal::kill(pid_of(&process), signal).unwrap();
            let code = process.join().unwrap();
            assert_eq!(code, -(signal as i32), "{way}, {parent}");
        }
    }
}

/// Quits leave no core files.
fn no_core_files() {
    let (_, hard) =
        nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_CORE).unwrap();
    nix::sys::resource::setrlimit(nix::sys::resource::Resource::RLIMIT_CORE, 0, hard).unwrap();
}

fn block_all() {
    sigprocmask(SigmaskHow::SIG_BLOCK, Some(&deadly()), None).unwrap();
}

fn blocked() {
    no_core_files();
    block_all();
    signals_end_children("blocked");
}

fn set_all(handler: SigHandler) {
    let action = SigAction::new(handler, SaFlags::SA_RESTART, SigSet::all());
    for signal in DEADLY {
        #[expect(unsafe_code, reason = "the parent's handlers are the subject")]
        // SAFETY: the handler does nothing.
        unsafe { sigaction(signal, &action) }.unwrap();
    }
}

fn ignored() {
    no_core_files();
    set_all(SigHandler::SigIgn);
    signals_end_children("ignored");
}

extern "C" fn does_nothing(_signal: libc::c_int) {}

fn handled() {
    no_core_files();
    set_all(SigHandler::Handler(does_nothing));
    signals_end_children("handled");
}

/// A child that has not got rid of its parent's handlers yet must not swallow what is meant to end it.
fn sent_at_once() {
    let gate = Gate::new();
    let handlers = [
        SigHandler::SigDfl,
        SigHandler::SigIgn,
        SigHandler::Handler(does_nothing),
    ];
    for (round, handler) in handlers.into_iter().enumerate() {
        set_all(handler);
        for way in WAYS {
            for _ in 0..scaled(if way == StartMethod::Spawn { 5 } else { 40 }) {
                let process = start_by(way, RemoteGate::wait, (gate.remote(),));
                process.terminate().unwrap();
                assert_eq!(process.join().unwrap(), -15, "{way}, handler {round}");
                let process = start_by(way, RemoteGate::wait, (gate.remote(),));
                process.interrupt().unwrap();
                assert_eq!(process.join().unwrap(), -2, "{way}, handler {round}");
            }
        }
    }
}

/// Signals 32 and 33 are the C library's own.
const OURS: u64 = !(3 << 31);

/// Blocked, ignored and handled signals, a bit each. Of this thread: while one is made, the C library blocks all in its maker.
fn masks() -> [u64; 3] {
    let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
    ["SigBlk:", "SigIgn:", "SigCgt:"].map(|name| {
        let found = status.lines().find_map(|line| line.strip_prefix(name));
        u64::from_str_radix(found.unwrap().trim(), 16).unwrap() & OURS
    })
}

const fn bit(signal: Signal) -> u64 {
    1 << (signal as u32 - 1)
}

fn nothing_is_left() {
    let answers = Queue::new().unwrap();
    let tell = |answers: Queue<[u64; 3]>| answers.put(masks()).unwrap();
    let odd = |handler| {
        set_all(handler);
        sigprocmask(SigmaskHow::SIG_BLOCK, Some(&SigSet::all()), None).unwrap();
    };
    for handler in [SigHandler::SigIgn, SigHandler::Handler(does_nothing)] {
        odd(handler);
        let here = masks();
        for way in WAYS {
            run_by(way, tell, (answers.clone(),));
            let [blocked, ignored, handled] = answers.get().unwrap();
            assert_eq!(blocked, 0, "{way}");
            // As in every Rust program.
            assert_eq!(ignored, bit(Signal::SIGPIPE), "{way}");
            // The runtime's guards against overflows of a stack may stay.
            let guards = bit(Signal::SIGSEGV) | bit(Signal::SIGBUS);
            assert_eq!(handled & !guards, 0, "{way}");
        }
        assert_eq!(masks(), here, "a start has changed its own parent");
    }
}

#[expect(clippy::disallowed_methods, reason = "the exit code is the subject")]
fn codes_are_known(parent: &str) {
    for way in WAYS {
        let exits = |code: i32| std::process::exit(code);
        let process = start_by(way, exits, (7,));
        assert_eq!(process.join().unwrap(), 7, "{way}, {parent}");
        let (process, _gate) = waiting(way);
        process.kill().unwrap();
        // Before Linux 6.15 nobody can tell, where another has reaped it.
        match process.join() {
            Ok(code) => assert_eq!(code, -9, "{way}, {parent}"),
            Err(error) => assert_eq!(error.kind(), ErrorKind::UnknownStatus, "{way}, {parent}"),
        }
        assert!(!process.is_alive());
    }
}

/// With SIGCHLD ignored the kernel reaps children itself.
fn nobody_waits() {
    let flags = [SaFlags::empty(), SaFlags::SA_NOCLDWAIT];
    for (handler, flags) in [SigHandler::SigIgn, SigHandler::SigDfl]
        .into_iter()
        .zip(flags)
    {
        let action = SigAction::new(handler, flags, SigSet::empty());
        #[expect(unsafe_code, reason = "a parent that ignores SIGCHLD is the subject")]
        // SAFETY: ignoring runs no code.
        unsafe { sigaction(Signal::SIGCHLD, &action) }.unwrap();
        codes_are_known("no zombies");
    }
}

/// A thread of the program waits for any child, as a supervisor does, and takes what is not its own.
fn somebody_else_reaps() {
    let over = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(std::sync::atomic::Ordering::SeqCst) {
                _ = waitpid(None, Some(WaitPidFlag::WNOHANG));
                std::thread::yield_now();
            }
        });
        for _ in 0..scaled(10) {
            codes_are_known("a thief");
        }
        over.store(true, std::sync::atomic::Ordering::SeqCst);
    });
}

/// The program has the terminal as its own, and children read from it at the same time.
fn terminal() {
    let terminal = nix::pty::openpty(None, None).unwrap();
    let mut command = program_command("signals::at_a_terminal");
    command
        .stdin(terminal.slave)
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit());
    // There is something to steal.
    nix::unistd::write(&terminal.master, b"typed\n").unwrap();
    let output = command.spawn().unwrap().wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "typed\n");
}

/// The child reads, and so does a thread's child beside it; the line is for the parent.
fn at_a_terminal() {
    nix::unistd::setsid().unwrap();
    #[expect(unsafe_code, reason = "nix cannot take a terminal")]
    // SAFETY: standard input is the terminal, and the session is new.
    let taken = unsafe { libc::ioctl(0, libc::TIOCSCTTY, 0) };
    assert_eq!(taken, 0);
    let read = || {
        let mut bytes = Vec::new();
        std::io::stdin().read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes, b"");
    };
    let children: Vec<Process> = WAYS.iter().map(|&way| start_by(way, read, ())).collect();
    for (process, way) in children.iter().zip(WAYS) {
        while process.is_alive() {
            // A background process that reads its terminal is stopped.
            assert!(
                !matches!(state_of(pid_of(process)), Some('T' | 't')),
                "{way} is stopped"
            );
            std::thread::yield_now();
        }
        assert_eq!(process.join().unwrap(), 0, "{way}: {:?}", process.panic());
    }
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).unwrap();
    print!("{line}");
}

/// Threads hold the locks of C's streams, and fill the buffers that every end flushes; one waits for input that never comes.
fn prints_meanwhile() {
    let print = || loop {
        print_by_c(c"x");
    };
    std::thread::spawn(print);
    std::thread::spawn(|| {
        #[expect(unsafe_code, reason = "C's streams are the subject")]
        // SAFETY: it takes nothing, and blocks with the lock of standard input.
        unsafe {
            libc::getchar()
        }
    });
    for way in WAYS {
        for _ in 0..scaled(if way == StartMethod::Spawn { 5 } else { 50 }) {
            run_by(way, || print_by_c(c"y"), ());
        }
    }
    // As a program ends that does not care: C's own end would wait for the thread that reads.
    crate::kit::leave(0);
}

fn threads_print() {
    let mut command = program_command("signals::prints_by_c_meanwhile");
    let mut program = command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    // It stays open while we wait for the program.
    let input = program.stdin.take();
    assert!(program.wait().unwrap().success());
    drop(input);
}

/// Waits for ever, with the lock of a stream of C's.
fn reads_by_c(reader: std::io::PipeReader) {
    let fd = std::os::fd::IntoRawFd::into_raw_fd(reader);
    #[expect(unsafe_code, reason = "C's streams are the subject")]
    // SAFETY: the descriptor is the stream's alone.
    let stream = unsafe { libc::fdopen(fd, c"r".as_ptr()) };
    #[expect(unsafe_code, reason = "C's streams are the subject")]
    // SAFETY: the stream was made and is never closed.
    unsafe {
        libc::fgetc(stream)
    };
}

/// Has a thread of this process come to a read of a pipe?
fn somebody_reads() -> bool {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let calls = tasks.map(|task| std::fs::read_to_string(task.unwrap().path().join("syscall")));
    let read = format!("{} ", libc::SYS_read);
    calls.flatten().any(|call| call.starts_with(&read))
}

/// A child ends although a thread of it waits for input, and has written what it has printed.
fn has_a_reader() {
    for way in WAYS {
        let body = || {
            print_by_c(c"[child]");
            let (reader, writer) = std::io::pipe().unwrap();
            std::thread::spawn(|| reads_by_c(reader));
            while !somebody_reads() {
                std::thread::yield_now();
            }
            // The thread waits until the end.
            let _open = std::mem::ManuallyDrop::new(writer);
        };
        run_by(way, body, ());
    }
}

fn thread_reads() {
    let output = program_command("signals::has_a_reader").output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text, "[child]".repeat(3));
}
