//! Threads that end oddly: by `exit`, by panics on the way out, in destructors, in forks; and what is asked, printed and joined meanwhile.

use crate::kit::{Numbers, RemoteNumbers, fork_behind_our_back, kind};
use crate::runner::{Case, Gate, case, program, program_command, scaled};
use crate::ways::{each, fine, start_by};
use multiproc::threading::{self, Local, Thread};
use multiproc::{ErrorKind, at_exit};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid};
use std::cell::{Cell, RefCell};
use std::io::Write as _;
use std::panic::panic_any;
use std::process::Output;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, Barrier, OnceLock, mpsc};
use std::time::Duration;

pub(crate) fn tests() -> Vec<Case> {
    vec![
        case("thread_odd::exit_is_no_end", || {
            says("thread_odd::main_joins", 6, "main\n")
        }),
        case("thread_odd::a_parked_daemon", || {
            says("thread_odd::daemon_exits", 0, "joined\n")
        }),
        case("thread_odd::exit_in_a_destructor", exit_in_destructor),
        case("thread_odd::many_exit_at_once", many_exit_at_once),
        case("thread_odd::hook_that_panics_when_dropped", hook_panics),
        case("thread_odd::payload_of_payloads", payload_of_payloads),
        case("thread_odd::asked_late", asked_late),
        case("thread_odd::own_in_destructors", own_in_destructors),
        case("thread_odd::who_ends_a_child", who_ends_a_child),
        case("thread_odd::output", output_is_whole),
        case("thread_odd::initialiser_that_forks", initialiser_forks),
        case("thread_odd::values_are_copied", values_are_copied),
        case("thread_odd::values_fork_when_dropped", values_fork),
        case("thread_odd::forked_while_ending", forked_while_ending),
        case("thread_odd::hook_tells_as_usual", hook_tells_as_usual),
        program("thread_odd::forks_while_ending", forks_while_ending),
        program("thread_odd::has_a_hook", has_a_hook),
        case("thread_odd::fork_in_the_first_start", fork_in_first_start),
        program("thread_odd::main_joins", main_joins),
        program("thread_odd::daemon_exits", daemon_exits),
        program("thread_odd::destructor_exits", || destructor_exits(false)),
        program("thread_odd::destructor_exits_late", || {
            destructor_exits(true)
        }),
        program("thread_odd::many_exit", || many_exit(20)),
        program("thread_odd::without_descriptors", without_descriptors),
        program("thread_odd::asks_in_handlers", asks_in_handlers),
        program("thread_odd::prints_in_a_child", prints_in_child),
        program("thread_odd::prints_at_the_end", prints_at_the_end),
        program("thread_odd::first_start", first_start),
    ]
}

fn started(closure: impl FnOnce() + Send + 'static) -> Thread {
    Thread::builder(closure).daemon(false).start().unwrap()
}

#[expect(clippy::disallowed_methods, reason = "how a program ends is the test")]
fn exit(code: i32) -> ! {
    std::process::exit(code)
}

/// Returns when the main thread is done.
fn await_main() {
    threading::main_thread().join().unwrap();
}

fn wait_for_ever() {
    Gate::new().wait();
}

/// Forks behind the crate's back, and goes on: in the child, or in the parent when that has ended well.
fn forks() -> Side {
    #[expect(unsafe_code, reason = "a fork that the crate does not know of")]
    // SAFETY: other threads of this process wait for this one, or there are none.
    match unsafe { nix::unistd::fork() }.unwrap() {
        ForkResult::Child => Side::Child,
        ForkResult::Parent { child } => {
            ended_well(child);
            Side::Parent
        }
    }
}

#[derive(PartialEq)]
enum Side {
    Parent,
    Child,
}

#[track_caller]
fn says(name: &str, code: i32, expected: &str) {
    let output: Output = program_command(name).output().unwrap();
    let complained = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(output.status.code(), Some(code), "{name}: {complained}");
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        expected,
        "{name}"
    );
}

#[track_caller]
fn has_exited(thread: &Thread) {
    for error in [
        thread.join().unwrap_err(),
        thread.join_timeout(Duration::MAX).unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Misuse);
        assert!(error.to_string().contains("has called exit"), "{error}");
    }
    assert!(!thread.is_alive() && thread.panic().is_none());
}

/// Main is told while handlers run, and must not take it for success.
fn main_joins() {
    let (told, hears) = mpsc::channel();
    let hears = std::sync::Mutex::new(hears);
    at_exit(move || hears.lock().unwrap().recv().unwrap());
    let thread = started(|| exit(6));
    has_exited(&thread);
    println!("main");
    told.send(()).unwrap();
    wait_for_ever();
}

/// A daemon that calls `exit` second, and one to be waited for who joins it.
fn daemon_exits() {
    let daemon = || {
        await_main();
        exit(7)
    };
    let daemon = Thread::builder(daemon).daemon(true).start().unwrap();
    started(move || {
        has_exited(&daemon);
        println!("joined");
    });
}

struct Exits {
    go: mpsc::Receiver<()>,
    late: bool,
}

impl Drop for Exits {
    fn drop(&mut self) {
        self.go.recv().unwrap();
        if self.late {
            await_main();
        }
        exit(5);
    }
}

/// Its function is done, so it is not listed, and somebody who is waited for waits for its variables.
fn destructor_exits(late: bool) {
    thread_local!(static LAST: RefCell<Option<Exits>> = const { RefCell::new(None) });
    let (goes, go) = mpsc::channel();
    let exits = Exits { go, late };
    let thread = started(move || LAST.set(Some(exits)));
    started(move || {
        assert!(thread.join_timeout(Duration::MAX).unwrap());
        goes.send(()).unwrap();
        let error = thread.join().unwrap_err();
        assert!(error.to_string().contains("has called exit"), "{error}");
        println!("joined");
    });
    if !late {
        wait_for_ever();
    }
}

fn exit_in_destructor() {
    says("thread_odd::destructor_exits", 5, "joined\n");
    says("thread_odd::destructor_exits_late", 0, "joined\n");
}

fn many_exit(count: usize) {
    let line = Arc::new(Barrier::new(count));
    for _ in 0..count {
        let line = Arc::clone(&line);
        started(move || {
            line.wait();
            exit(8)
        });
    }
    loop {
        std::thread::park();
    }
}

fn without_descriptors() {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, 3, hard).unwrap();
    assert!(std::fs::File::open("/proc/self/stat").is_err());
    many_exit(3);
}

fn many_exit_at_once() {
    says("thread_odd::many_exit", 8, "");
    for _ in 0..scaled(5) {
        says("thread_odd::without_descriptors", 8, "");
    }
}

struct Loud;

impl Drop for Loud {
    fn drop(&mut self) {
        panic!("the hook is dropped");
    }
}

/// The thread has the last handle of a hook that was taken away meanwhile.
fn hook_panics() {
    each(|method| {
        fine(&start_by(method, has_a_loud_hook, ()));
    });
    has_a_loud_hook();
}

fn has_a_loud_hook() {
    let loud = Loud;
    threading::set_excepthook(move |_| {
        let _captured = &loud;
        threading::reset_excepthook();
    });
    let thread = started(|| panic!("on purpose"));
    thread.join().unwrap();
    assert_eq!(thread.panic().unwrap().message(), "on purpose");
    assert_eq!(threading::active_count(), 1);
}

struct Bomb(u32);

impl Drop for Bomb {
    fn drop(&mut self) {
        if self.0 > 0 {
            panic_any(Bomb(self.0 - 1));
        }
    }
}

fn payload_of_payloads() {
    for depth in [1, 2, 3] {
        let local = Local::new(move || Bomb(depth));
        started(move || local.with(|_| ())).join().unwrap();
        let thread = started(move || panic_any(Bomb(depth)));
        thread.join().unwrap();
        assert!(thread.panic().is_some());
        let spawned = threading::spawn(move || panic_any(Bomb(depth))).unwrap();
        assert_eq!(kind(spawned.join()), ErrorKind::Panicked);
    }
    assert_eq!(threading::active_count(), 1);
}

/// Asks who it is when it is dropped, and once more in the destructor of another value that it makes.
struct Asks(Arc<dyn Fn() + Send + Sync>);

impl Drop for Asks {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// A thread made elsewhere asks for the first time when nobody will take it from the list any more.
fn asked_late() {
    let asked = Arc::new(AtomicU32::new(0));
    let counts = Arc::clone(&asked);
    let asks: Arc<dyn Fn() + Send + Sync> = Arc::new(move || {
        assert!(threading::current_thread().name().starts_with("Dummy-"));
        counts.fetch_add(1, SeqCst);
    });
    let local = Local::new(move || Asks(Arc::clone(&asks)));
    for _ in 0..10 {
        let local = local.clone();
        std::thread::spawn(move || local.with(|_| ()))
            .join()
            .unwrap();
    }
    assert_eq!(asked.load(SeqCst), 10);
    assert_eq!(threading::active_count(), 1);
}

/// One of this crate is known until its last destructor, also one that another destructor has made work for.
fn own_in_destructors() {
    static ASKED: AtomicU32 = AtomicU32::new(0);
    let asks: Arc<dyn Fn() + Send + Sync> = Arc::new(|| {
        let here = threading::current_thread();
        assert!(here.name() == "worker" && here == threading::current_thread());
        assert!(!Thread::new(|| ()).daemon());
        ASKED.fetch_add(1, SeqCst);
    });
    let inner = Arc::clone(&asks);
    let inner = Local::new(move || Asks(Arc::clone(&inner)));
    let lent = inner.clone();
    let outer = Arc::new(move || {
        asks();
        lent.with(|_| ());
    });
    let outer = Local::new(move || Asks(outer.clone()));
    let uses = outer.clone();
    let thread = Thread::builder(move || uses.with(|_| ())).name("worker");
    thread.start().unwrap().join().unwrap();
    assert_eq!(ASKED.load(SeqCst), 2);
    drop((inner, outer));
}

/// The variables of the thread that ends the program are gone by then.
fn asks_in_handlers() {
    at_exit(|| {
        let here = threading::current_thread();
        assert!(here == threading::current_thread());
        println!("{} {}", here.name(), Thread::new(|| ()).daemon());
    });
    let exits = Thread::builder(|| exit(0)).name("worker");
    exits.start().unwrap();
    wait_for_ever();
}

fn who_ends_a_child() {
    says("thread_odd::asks_in_handlers", 0, "worker false\n");
    each(|method| {
        let asks = |numbers: RemoteNumbers, exits: bool| {
            at_exit(move || {
                let here = threading::current_thread();
                let main = here == threading::main_thread();
                let same = here.ident() == Some(threading::get_ident());
                numbers.open().set(0, u64::from(main && same));
            });
            if exits {
                exit(0);
            }
        };
        for exits in [false, true] {
            let numbers = Numbers::new();
            fine(&start_by(method, asks, (numbers.remote(), exits)));
            assert_eq!(numbers.get(0), 1, "exits: {exits}");
        }
    });
}

fn ended_well(pid: Pid) {
    assert_eq!(waitpid(pid, None).unwrap(), WaitStatus::Exited(pid, 0));
}

/// A child that was forked in a thread, the function of which returns there.
fn prints_in_child() {
    let thread = started(|| {
        if forks() == Side::Child {
            print!("the text of a child");
        }
    });
    thread.join().unwrap();
}

/// Main returns while the thread has the lock of the output.
fn prints_at_the_end() {
    let (says, hears) = mpsc::channel();
    started(move || {
        let mut output = std::io::stdout().lock();
        says.send(()).unwrap();
        await_main();
        write!(output, "last words").unwrap();
    });
    hears.recv().unwrap();
}

fn output_is_whole() {
    says("thread_odd::prints_in_a_child", 0, "the text of a child");
    for _ in 0..scaled(5) {
        says("thread_odd::prints_at_the_end", 0, "last words");
    }
}

/// The value that an initialiser gave though it had asked for one itself is dropped, and that forks.
fn initialiser_forks() {
    static LOCAL: OnceLock<Local<Forks>> = OnceLock::new();
    static FIRST: AtomicBool = AtomicBool::new(true);
    thread_local!(static IN_CHILD: Cell<bool> = const { Cell::new(false) });
    struct Forks(bool);
    impl Drop for Forks {
        fn drop(&mut self) {
            if self.0 {
                IN_CHILD.set(forks() == Side::Child);
            }
        }
    }
    let init = || {
        let first = FIRST.swap(false, SeqCst);
        if first {
            LOCAL.get().unwrap().with(|inner| assert!(!inner.0));
        }
        Forks(first)
    };
    let local = LOCAL.get_or_init(|| Local::new(init));
    let ask = || local.with(|inner| !inner.0);
    let fine = std::panic::catch_unwind(std::panic::AssertUnwindSafe(ask));
    if IN_CHILD.get() {
        crate::kit::leave(i32::from(!fine.unwrap_or(false)));
    }
    assert!(fine.unwrap());
}

/// The thread had ended before the fork: both processes have its value.
fn values_are_copied() {
    let handle = threading::spawn(|| String::from("value")).unwrap();
    handle.thread().join().unwrap();
    let value = RefCell::new(Some(handle));
    let take = || value.take().unwrap().join().unwrap();
    ended_well(fork_behind_our_back(|| assert_eq!(take(), "value")));
    assert_eq!(take(), "value");
}

/// The first of some values that are dropped together forks: the others are the parent's.
fn values_fork() {
    static FORKED: AtomicBool = AtomicBool::new(false);
    struct Forks(Arc<Numbers>);
    impl Drop for Forks {
        fn drop(&mut self) {
            self.0.add(0, 1);
            if !FORKED.swap(true, SeqCst) {
                forks();
            }
        }
    }
    let numbers = Arc::new(Numbers::new());
    let make = || {
        let numbers = Arc::clone(&numbers);
        Local::new(move || Forks(Arc::clone(&numbers)))
    };
    let locals = [make(), make(), make()];
    let ends = locals.clone();
    let thread = started(move || {
        ends.iter().for_each(|local| local.with(|_| ()));
        drop(ends);
    });
    thread.join().unwrap();
    assert_eq!(numbers.get(0), 3);
}

/// The handler that waits for threads is being called in the parent: the child needs one of its own.
fn forks_while_ending() {
    started(|| {
        await_main();
        if forks() == Side::Child {
            started(|| {
                await_main();
                println!("thread of the child");
            });
        }
    });
}

fn forked_while_ending() {
    says("thread_odd::forks_while_ending", 0, "thread of the child\n");
}

fn has_a_hook() {
    threading::set_excepthook(|args| {
        println!("hook");
        threading::default_excepthook(args);
    });
    started(|| panic!("on purpose"));
}

fn hook_tells_as_usual() {
    let output = program_command("thread_odd::has_a_hook").output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "hook\n");
    let complained = String::from_utf8(output.stderr).unwrap();
    assert_eq!(complained.matches("on purpose").count(), 1, "{complained}");
}

/// Another thread is in the first start of the program when this one forks.
fn first_start() {
    let (go, round) = (Arc::new(Barrier::new(2)), std::process::id() % 16);
    let goes = Arc::clone(&go);
    let starts = || started(|| ()).join().unwrap();
    let other = std::thread::spawn(move || {
        goes.wait();
        starts();
    });
    go.wait();
    for _ in 0..round * 1000 {
        std::hint::spin_loop();
    }
    ended_well(fork_behind_our_back(starts));
    other.join().unwrap();
}

fn fork_in_first_start() {
    for _ in 0..scaled(60) {
        says("thread_odd::first_start", 0, "");
    }
}
