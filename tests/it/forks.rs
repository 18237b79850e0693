//! Closures that are copied by a fork: what they may capture, what of the parent the child may touch, and what it must not
//! do twice.

use crate::kit::{Numbers, children, fork_behind_our_back, lives, say_and_wait, state_of};
use crate::runner::{Case, Gate, RemoteGate, case, program, program_command, scaled};
use crate::ways::{each, ended, fine, start_by};
use multiproc::{
    ErrorKind, Lock, Process, ProcessBuilder, Queue, StartMethod, active_children, at_fork,
    current_process, parent_process,
};
use nix::sys::wait::{WaitStatus, waitpid};
use std::cell::RefCell;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub(crate) fn tests() -> Vec<Case> {
    vec![
        case("forks::captures", captures),
        case("forks::panic_with_its_place", panic_with_its_place),
        case("forks::closure_is_dropped_after_the_end", closure_dropped),
        case("forks::closure_that_is_not_started", closure_not_started),
        case("forks::destructors", destructors),
        case("forks::destructor_of_a_capture_looks_around", looks_around),
        case(
            "forks::destructors_of_a_child_that_exits",
            destructors_at_exit,
        ),
        case("forks::first_println_never_hangs", first_println).deadline(Duration::from_secs(600)),
        case("forks::other_threads_allocate", other_threads_allocate),
        case("forks::from_a_thread_that_ends", from_a_thread),
        case("forks::locks_of_the_parent", locks_of_the_parent),
        case("forks::at_fork_order", at_fork_order),
        case("forks::at_fork_in_five_generations", five_generations),
        case("forks::foreign_fork_is_somebody_else", foreign_fork),
        case("forks::os_verbs", os_verbs),
        case("forks::os_fork_that_exits", os_fork_that_exits),
        case("forks::nested", nested),
        case("forks::output_held_by_who_forks", output_held),
        program("forks::chatters", chatters),
    ]
}

fn forked(closure: impl FnOnce() + Send + 'static) -> Process {
    let mut process = Process::fork(closure);
    assert_eq!(process.start_method(), StartMethod::Fork);
    process.start().unwrap();
    process
}

/// Whatever is `Send`: nothing is serialised, and a closure that gives itself away is called once.
fn captures() {
    let (sender, receiver) = std::sync::mpsc::channel::<String>();
    sender.send("in memory".to_owned()).unwrap();
    let (back, large) = (Queue::new().unwrap(), vec![1_u8; 64 << 20]);
    let (reader, writer) = std::io::pipe().unwrap();
    let unsendable: Box<dyn Fn(u32) -> u32 + Send> = Box::new(|n| n + 1);
    let theirs = back.clone();
    let process = forked(move || {
        let heard = receiver.recv().unwrap();
        let sum: u64 = large.iter().map(|byte| u64::from(*byte)).sum();
        drop((reader, large));
        theirs.put((heard, sum, unsendable(41))).unwrap();
        drop(writer);
    });
    assert_eq!(back.get().unwrap(), ("in memory".to_owned(), 64 << 20, 42));
    fine(&process);
    let named = ProcessBuilder::fork(|| assert_eq!(current_process().name(), "bob"));
    fine(&named.name("bob").daemon(true).start().unwrap());
}

/// The line of the panic in the closure below.
const STUMBLE: u32 = line!() + 5;

fn panic_with_its_place() {
    let word = "stone".to_owned();
    let process = forked(move || {
        panic!("over a {word}");
    });
    assert_eq!(process.join().unwrap(), 1);
    let panic = process.panic().unwrap();
    assert_eq!(panic.message(), "over a stone");
    assert_eq!(panic.line(), Some(STUMBLE));
    assert!(panic.file().unwrap().ends_with("tests/it/forks.rs"));
    assert_eq!(
        (panic.process(), Some(panic.pid())),
        (process.name(), process.pid())
    );
    assert_eq!(panic.exitcode(), Some(1));
    let odd = forked(|| std::panic::panic_any(5_u8));
    assert_eq!(odd.join().unwrap(), 1);
    assert!(odd.panic().is_some());
}

/// Not while the child may use what the closure names outside of memory; and not never.
fn closure_dropped() {
    let (shared, gate) = (Arc::new(5), Gate::new());
    let (theirs, remote) = (Arc::clone(&shared), gate.remote());
    let process = forked(move || {
        remote.wait();
        assert_eq!(*theirs, 5);
    });
    assert_eq!(Arc::strong_count(&shared), 2);
    gate.open(1);
    fine(&process);
    assert_eq!(Arc::strong_count(&shared), 1);

    // The same by `active_children` and by a later start, when nobody has a handle.
    for reap in [
        || drop(active_children()),
        || fine(&start_by(StartMethod::Fork, || (), ())),
    ] {
        let theirs = Arc::clone(&shared);
        drop(forked(move || assert_eq!(*theirs, 5)));
        while Arc::strong_count(&shared) > 1 {
            reap();
        }
    }
    let theirs = Arc::clone(&shared);
    let handle = multiproc::fork(move || *theirs).unwrap();
    assert_eq!(handle.join().unwrap(), 5);
    assert_eq!(Arc::strong_count(&shared), 1);
}

fn closure_not_started() {
    let shared = Arc::new(());
    let theirs = Arc::clone(&shared);
    drop(Process::fork(move || drop(theirs)));
    assert_eq!(Arc::strong_count(&shared), 1);
    let theirs = Arc::clone(&shared);
    let process = ProcessBuilder::fork(move || drop(theirs)).start_method(StartMethod::Spawn);
    assert_eq!(process.start().unwrap_err().kind(), ErrorKind::Misuse);
    assert_eq!(Arc::strong_count(&shared), 1);
}

/// Adds one at its place when it goes, in whichever process.
struct Mark(Arc<Numbers>, usize);

impl Drop for Mark {
    fn drop(&mut self) {
        self.0.add(self.1, 1);
    }
}

thread_local! {
    static OF_THE_THREAD: RefCell<Option<Mark>> = const { RefCell::new(None) };
}

/// What the child made goes at its end, also by a panic; what it only has a copy of stays the parent's to destroy.
fn destructors() {
    let numbers = Arc::new(Numbers::new());
    for (round, panics) in [(1, false), (2, true)] {
        let parents = Mark(Arc::clone(&numbers), 0);
        let of_thread = Mark(Arc::clone(&numbers), 1);
        OF_THE_THREAD.set(Some(of_thread));
        let theirs = Arc::clone(&numbers);
        let process = forked(move || {
            let _local = Mark(theirs, 2);
            assert!(!panics, "on purpose");
        });
        assert_eq!(process.join().unwrap(), i32::from(panics));
        assert_eq!(numbers.get(2), round, "the child's own");
        assert_eq!((numbers.get(0), numbers.get(1)), (round - 1, round - 1));
        OF_THE_THREAD.set(None);
        drop(parents);
        assert_eq!((numbers.get(0), numbers.get(1)), (round, round));
    }
}

/// Asks about its family when it goes.
struct Curious(Arc<Numbers>);

impl Drop for Curious {
    fn drop(&mut self) {
        assert!(active_children().is_empty());
        fine(&start_by(StartMethod::ForkServer, || (), ()));
        self.0.add(0, 1);
    }
}

/// What was captured is destroyed when nobody waits for it to be over.
fn looks_around() {
    let numbers = Arc::new(Numbers::new());
    let curious = Curious(Arc::clone(&numbers));
    let process = forked(move || {
        let _theirs = std::mem::ManuallyDrop::new(curious);
    });
    fine(&process);
    assert_eq!(numbers.get(0), 1);
}

/// As everywhere in Rust: `exit` destroys nothing.
fn destructors_at_exit() {
    let numbers = Arc::new(Numbers::new());
    let parents = Mark(Arc::clone(&numbers), 0);
    let theirs = Arc::clone(&numbers);
    #[expect(clippy::disallowed_methods, reason = "how a process ends is the test")]
    let process = forked(move || {
        let _local = Mark(theirs, 1);
        std::process::exit(3);
    });
    assert_eq!(process.join().unwrap(), 3);
    assert_eq!((numbers.get(0), numbers.get(1)), (0, 0));
    drop(parents);
    assert_eq!(numbers.get(0), 1);
}

/// Three threads print without a pause while children are forked that print first of all. A child that found a stream
/// locked by a thread that it does not have would never end.
/// Standard error is not promised: whoever prints to one stream while it holds the other would stop us.
#[expect(clippy::print_stderr, reason = "both streams are the subject")]
fn chatters() {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for thread in 0..3 {
            let stop = &stop;
            scope.spawn(move || {
                while !stop.load(SeqCst) {
                    println!("thread {thread}");
                    eprintln!("thread {thread}");
                    print!("{thread}");
                }
            });
        }
        // What a start of another kind holds must not stand in the way of a fork that holds a stream, nor the other way round.
        scope.spawn(|| {
            let others = [StartMethod::ForkServer, StartMethod::Spawn];
            for method in others.into_iter().cycle() {
                println!("{method}");
                fine(&start_by(method, || println!("another child"), ()));
                if stop.load(SeqCst) {
                    break;
                }
            }
        });
        for number in 0..scaled(500) {
            let closure = forked(move || {
                println!("child {number}");
            });
            let sent = start_by(StartMethod::Fork, || println!("child"), ());
            fine(&closure);
            fine(&sent);
        }
        stop.store(true, SeqCst);
    });
}

fn first_println() {
    let mut command = program_command("forks::chatters");
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
    assert!(status.unwrap().success());
}

/// The same for the allocator and the environment, which the C library and std guard.
fn other_threads_allocate() {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for size in [16_usize, 1 << 12, 1 << 20] {
            let stop = &stop;
            scope.spawn(move || {
                while !stop.load(SeqCst) {
                    std::hint::black_box(vec![1_u8; size]);
                    std::hint::black_box(std::env::var("PATH").ok());
                }
            });
        }
        for _ in 0..scaled(200) {
            let process = forked(|| {
                let sizes = [16_usize, 1 << 12, 1 << 20];
                let all = sizes.map(|size| vec![1_u8; size].len());
                assert_eq!(all, sizes);
                assert!(std::env::var("PATH").is_ok());
                let thread = std::thread::spawn(|| vec![2_u8; 64].len());
                assert_eq!(thread.join().unwrap(), 64);
            });
            fine(&process);
        }
        stop.store(true, SeqCst);
    });
}

/// The child of a thread that has ended since is not killed for it.
fn from_a_thread() {
    let (here, there) = (Gate::new(), Gate::new());
    let (ours, theirs) = (here.remote(), there.remote());
    let starter = std::thread::spawn(move || {
        forked(move || {
            say_and_wait(ours, theirs);
        })
    });
    let process = starter.join().unwrap();
    here.wait();
    // The thread is gone from the kernel's sight, too.
    while std::fs::read_dir("/proc/self/task").unwrap().count() > 1 {
        std::thread::yield_now();
    }
    assert!(process.is_alive());
    there.open(1);
    fine(&process);
}

/// A guard that was held at the fork is the parent's: the child sees a lock that somebody else has.
fn locks_of_the_parent() {
    let lock = Lock::new().unwrap();
    let guard = lock.acquire().unwrap();
    let theirs = lock.clone();
    let process = forked(move || {
        assert!(theirs.locked() && theirs.try_acquire().is_err());
        let short = Duration::from_millis(20);
        assert!(theirs.acquire_timeout(short).is_err());
    });
    fine(&process);
    drop(guard);
    let theirs = lock.clone();
    fine(&forked(move || drop(theirs.try_acquire().unwrap())));
    drop(lock.try_acquire().unwrap());
}

static HOOKS: Mutex<Vec<&str>> = Mutex::new(Vec::new());

fn hook(name: &'static str) -> impl Fn() + Send + Sync + 'static {
    move || HOOKS.lock().unwrap().push(name)
}

fn hooks() -> Vec<&'static str> {
    std::mem::take(&mut HOOKS.lock().unwrap())
}

/// As `os.register_at_fork`: before in reverse order, the others in order; for copies of this process only.
fn at_fork_order() {
    at_fork(hook("before 1"), hook("parent 1"), hook("child 1"));
    at_fork(hook("before 2"), hook("parent 2"), hook("child 2"));
    at_fork(hook("before 3"), hook("parent 3"), hook("child 3"));
    let before = ["before 3", "before 2", "before 1"];
    let child = [before, ["child 1", "child 2", "child 3"]].concat();
    let parent = [before, ["parent 1", "parent 2", "parent 3"]].concat();
    let expected = child.clone();
    fine(&forked(move || assert_eq!(hooks(), expected)));
    assert_eq!(hooks(), parent);
    let body = |expected: Vec<String>| assert_eq!(hooks(), expected);
    let expected: Vec<String> = child.iter().map(ToString::to_string).collect();
    fine(&start_by(StartMethod::Fork, body, (expected,)));
    assert_eq!(hooks(), parent);
    for method in [StartMethod::ForkServer, StartMethod::Spawn] {
        fine(&start_by(method, || assert!(hooks().is_empty()), ()));
        assert!(hooks().is_empty(), "{method}");
    }
}

static FORKS: AtomicU32 = AtomicU32::new(0);

fn generation(depth: u32) {
    // Once for each fork up to here, however many generations had copied the registry.
    assert_eq!(FORKS.swap(0, SeqCst), if depth == 0 { 0 } else { 2 });
    if depth < 5 {
        fine(&forked(move || generation(depth + 1)));
        assert_eq!(FORKS.swap(0, SeqCst), 2);
    }
}

/// CPython's `TestForkAwareThreadLock`: a registry that grew with each generation would run its hooks twice.
fn five_generations() {
    let count = || _ = FORKS.fetch_add(1, SeqCst);
    at_fork(count, count, count);
    generation(0);
}

/// A fork behind our back has nothing of its parent's but memory: it is told apart, and may begin anew.
fn foreign_fork() {
    each(|method| {
        let gate = Gate::new();
        let process = start_by(method, RemoteGate::wait, (gate.remote(),));
        let fork = fork_behind_our_back(|| {
            let me = current_process();
            assert_eq!(
                (me.pid(), me.ident()),
                (std::process::id(), std::process::id())
            );
            assert!(me.is_alive() && me.name() != "MainProcess");
            assert!(active_children().is_empty());
            assert_eq!(process.join().unwrap_err().kind(), ErrorKind::Misuse);
            assert_eq!(process.kill().unwrap_err().kind(), ErrorKind::Misuse);
            let told = Queue::new().unwrap();
            let tell = |told: Queue<u32>| told.put(parent_process().unwrap().pid()).unwrap();
            for method in multiproc::all_start_methods() {
                fine(&start_by(method, tell, (told.clone(),)));
                assert_eq!(told.get().unwrap(), std::process::id());
            }
        });
        assert_eq!(waitpid(fork, None).unwrap(), WaitStatus::Exited(fork, 0));
        assert!(process.is_alive());
        gate.open(1);
        fine(&process);
    });
}

fn os_verbs() {
    use multiproc::os;
    assert_eq!(os::getpid(), std::process::id());
    assert_eq!(os::getppid(), std::os::unix::process::parent_id());
    let fork = |body: fn() -> i32| {
        #[expect(unsafe_code, reason = "a fork that the crate makes for us")]
        // SAFETY: this process has one thread.
        let side = unsafe { os::fork() }.unwrap();
        match side {
            os::Fork::Parent { child } => child,
            os::Fork::Child => crate::kit::leave(body()),
        }
    };
    let child = fork(|| {
        assert_eq!(current_process().pid(), os::getpid());
        fine(&start_by(StartMethod::ForkServer, || (), ()));
        300
    });
    assert_eq!(os::waitpid(child).unwrap(), 44);
    assert_eq!(os::waitpid(child).unwrap_err().kind(), ErrorKind::Os);
    let child = fork(|| {
        Gate::new().wait();
        0
    });
    os::kill(child, 15).unwrap();
    assert_eq!(os::waitpid(child).unwrap(), -15);
    assert_eq!(os::kill(child, 15).unwrap_err().kind(), ErrorKind::Os);
    assert!(children().into_iter().all(|pid| state_of(pid) != Some('Z')));
}

/// The end of a fork is nobody else's: our children, exit handlers and buffers are ours.
fn os_fork_that_exits() {
    use multiproc::os;
    let (numbers, gate) = (Numbers::new(), Gate::new());
    let (remote, me) = (numbers.remote(), std::process::id());
    multiproc::at_exit(move || {
        if std::process::id() != me {
            remote.open().add(0, 1);
        }
    });
    each(|method| {
        let daemon = Process::builder(RemoteGate::wait, (gate.remote(),)).daemon(true);
        let daemon = daemon.start_method(method).start().unwrap();
        let other = start_by(method, RemoteGate::wait, (gate.remote(),));
        #[expect(unsafe_code, reason = "a fork that the crate makes for us")]
        // SAFETY: this process has one thread.
        let side = unsafe { os::fork() }.unwrap();
        let child = match side {
            os::Fork::Parent { child } => child,
            #[expect(clippy::disallowed_methods, reason = "how a process ends is the test")]
            os::Fork::Child => std::process::exit(7),
        };
        assert_eq!(os::waitpid(child).unwrap(), 7);
        assert!(daemon.is_alive() && other.is_alive());
        assert_eq!(numbers.get(0), 0);
        gate.open(2);
        fine(&daemon);
        fine(&other);
    });
}

/// Each generation captures what the one before it had.
fn nested() {
    let told = Queue::new().unwrap();
    let theirs = told.clone();
    let process = forked(move || {
        let path = vec![current_process().name().to_owned()];
        let child = forked(move || {
            let mut path = path.clone();
            path.push(current_process().name().to_owned());
            let grandchild = forked(move || {
                path.push(current_process().name().to_owned());
                theirs.put(path).unwrap();
            });
            fine(&grandchild);
        });
        fine(&child);
    });
    fine(&process);
    let name = process.name();
    let expected = [name.to_owned(), format!("{name}:1"), format!("{name}:1:1")];
    assert_eq!(told.get().unwrap(), expected);
    let gate = Gate::new();
    let remote = gate.remote();
    let waits = forked(move || remote.wait());
    gate.open(1);
    ended(&waits);
    assert!(!lives(crate::kit::pid_of(&waits)));
    fine(&waits);
}

/// Its lock is the forking thread's, and is copied locked.
fn output_held() {
    let output = std::io::stdout().lock();
    let process = forked(|| println!("said while the parent holds its output"));
    let code = process.join_timeout(Duration::from_secs(10)).unwrap();
    drop(output);
    assert_eq!(code, Some(0));
}
