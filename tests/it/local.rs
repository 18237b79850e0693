//! Values of threads: who makes them, who drops them, and what forks and exits leave alone. `tests/locals.rs` has what Miri looks at.

use crate::kit::{Numbers, fork_behind_our_back, start};
use crate::runner::{Case, case, program, program_command, scaled};
use multiproc::threading::Local;
use multiproc::{Process, ThreadLocal};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Barrier, OnceLock};
use std::thread;

pub(crate) fn tests() -> Vec<Case> {
    vec![
        case("local::verbs", verbs),
        case("local::initialiser_once_a_thread", once_a_thread),
        case("local::freed_with_their_threads", freed),
        case("local::isolated", isolated),
        case("local::forked_child_starts_without", forked),
        case("local::forked_while_lent", forked_while_lent),
        case("local::forked_in_the_initialiser", forked_in_initialiser),
        case("local::forked_by_a_thread", forked_by_a_thread),
        case("local::forked_while_others_make_and_drop", forked_in_storm),
        case("local::in_started_processes", in_processes),
        case("local::exit_while_lent", exit_while_lent),
        case("local::end_of_the_program", end_of_program),
        case("local::used_by_a_thread_local", used_by_thread_local),
        case("local::destructor_makes_another", makes_another),
        case("local::destructor_panics", destructor_panics),
        case("local::without_keys", without_keys),
        case("local::storm", storm),
        program("local::exits_in_with", exits_in_with),
        program("local::leaves_main_with_values", leaves_main),
    ]
}

/// Counts its drops in a number that forked processes share.
struct Noted(Arc<Numbers>, usize);

impl Drop for Noted {
    fn drop(&mut self) {
        self.0.add(self.1, 1);
    }
}

const MADE: usize = 0;
const DROPPED: usize = 1;

fn noted() -> (Local<Noted>, Arc<Numbers>) {
    let numbers = Arc::new(Numbers::new());
    let theirs = Arc::clone(&numbers);
    let local = Local::new(move || {
        theirs.add(MADE, 1);
        Noted(Arc::clone(&theirs), DROPPED)
    });
    (local, numbers)
}

fn made_and_dropped(numbers: &Numbers) -> (u64, u64) {
    (numbers.get(MADE), numbers.get(DROPPED))
}

/// A value that is counted while it lives.
struct Counted(Arc<AtomicUsize>, Box<u64>);

impl Drop for Counted {
    fn drop(&mut self) {
        assert_eq!(*self.1, 7);
        self.0.fetch_sub(1, SeqCst);
    }
}

fn counted(count: &Arc<AtomicUsize>) -> Local<Counted> {
    let count = Arc::clone(count);
    Local::new(move || {
        count.fetch_add(1, SeqCst);
        Counted(Arc::clone(&count), Box::new(7))
    })
}

fn joined(body: impl FnOnce() + Send + 'static) {
    thread::spawn(body).join().unwrap();
}

#[track_caller]
fn left_well(child: Pid) {
    let status = waitpid(child, None).unwrap();
    assert!(matches!(status, WaitStatus::Exited(_, 0)), "{status:?}");
}

fn verbs() {
    let cell = Local::new(|| Cell::new(1));
    cell.set(2);
    assert_eq!((cell.replace(3), cell.take()), (2, 3));
    assert_eq!(cell.get().get(), 0);

    let map: Local<RefCell<HashMap<&str, u32>>> = Local::default();
    let none = map.with_borrow_mut(|map| map.insert("x", 5));
    assert_eq!(none, None);
    assert_eq!(map.with_borrow(|map| map["x"]), 5);
    map.set(HashMap::from([("y", 6)]));
    assert_eq!(map.replace(HashMap::new()), HashMap::from([("y", 6)]));
    assert_eq!(map.take(), HashMap::new());

    let text: ThreadLocal<String> = Local::new(|| "text".to_owned());
    assert!(format!("{text:?}").contains("threads: 0"));
    assert_eq!(text.clone().get(), "text");
    assert!(format!("{text:?}").contains("threads: 1"), "{text:?}");
    // Values need not be shared between threads, and nothing need be in them.
    let empty = Local::new(|| ());
    empty.with(|()| ());
}

/// Python's subclass with an `__init__` that takes arguments: it is called in each thread that asks, with them.
fn once_a_thread() {
    let calls = Arc::new(AtomicUsize::new(0));
    let (theirs, argument) = (Arc::clone(&calls), "the argument".to_owned());
    let local = Local::new(move || (theirs.fetch_add(1, SeqCst), argument.clone()));
    assert_eq!(calls.load(SeqCst), 0);
    for number in 0..10 {
        let local = local.clone();
        joined(move || {
            assert_eq!(local.get(), (number, "the argument".to_owned()));
            assert_eq!(local.with(|value| value.0), number);
        });
    }
    assert_eq!(calls.load(SeqCst), 10);
}

fn freed() {
    for threads in [2, 50, 100] {
        let count = Arc::new(AtomicUsize::new(0));
        let local = counted(&count);
        let ready = Arc::new(Barrier::new(threads + 1));
        let threads: Vec<_> = (0..threads)
            .map(|_| {
                let (local, ready) = (local.clone(), Arc::clone(&ready));
                thread::spawn(move || {
                    local.with(|_| ());
                    ready.wait();
                })
            })
            .collect();
        ready.wait();
        threads
            .into_iter()
            .for_each(|thread| thread.join().unwrap());
        assert_eq!(count.load(SeqCst), 0);
    }
}

/// What a thread sets, no other sees.
fn isolated() {
    let local: Local<RefCell<Vec<usize>>> = Local::default();
    thread::scope(|scope| {
        for number in 0..10 {
            let local = local.clone();
            scope.spawn(move || {
                for round in 0..100 {
                    local.with_borrow_mut(|list| list.push(number));
                    assert_eq!(local.with_borrow(Vec::len), round + 1);
                    thread::yield_now();
                }
                assert!(local.take().into_iter().all(|n| n == number));
            });
        }
    });
    assert!(local.take().is_empty());
}

fn forked() {
    let (local, numbers) = noted();
    let number = Local::new(|| Cell::new(0));
    local.with(|_| number.set(5));
    // Values of another thread, which the child does not have.
    let (theirs, asked) = (local.clone(), Arc::new(Barrier::new(2)));
    let wait = Arc::clone(&asked);
    let other = thread::spawn(move || {
        theirs.with(|_| ());
        wait.wait();
        wait.wait();
    });
    asked.wait();
    let (copy, seen) = (local.clone(), Arc::clone(&numbers));
    let child = fork_behind_our_back(|| {
        assert_eq!(number.get().get(), 0);
        number.set(7);
        assert!(format!("{copy:?}").contains("threads: 0"));
        copy.with(|_| assert_eq!(made_and_dropped(&seen), (3, 0)));
        let in_thread = copy.clone();
        joined(move || in_thread.with(|_| ()));
        assert_eq!(made_and_dropped(&seen), (4, 1));
        assert_eq!(number.get().get(), 7);
    });
    left_well(child);
    asked.wait();
    other.join().unwrap();
    assert_eq!(made_and_dropped(&numbers), (4, 2));
    assert_eq!(number.get().get(), 5);
    drop((local, copy));
    assert_eq!(made_and_dropped(&numbers), (4, 3));
}

/// The child goes on in the function that has the parent's value.
fn forked_while_lent() {
    let local = Local::new(|| RefCell::new(vec![1]));
    local.with_borrow_mut(|outer| {
        let copy = local.clone();
        let child = fork_behind_our_back(|| {
            copy.with_borrow_mut(|fresh| {
                assert_eq!(*fresh, [1]);
                fresh.push(2);
            });
            outer.push(3);
            assert_eq!(*outer, [1, 3]);
            drop(copy);
        });
        left_well(child);
        outer.push(4);
    });
    assert_eq!(local.take(), [1, 4]);
    // The last handle goes while a copy of a parent's value is lent out.
    let last = RefCell::new(Some(noted()));
    let lent = last.borrow().as_ref().unwrap().0.clone();
    let child = lent.with(|value| {
        fork_behind_our_back(|| {
            let (local, numbers) = last.take().unwrap();
            drop(local);
            assert_eq!(made_and_dropped(&numbers), (1, 0));
            value.0.add(2, 1);
        })
    });
    left_well(child);
}

fn forked_in_initialiser() {
    let numbers = Arc::new(Numbers::new());
    let theirs = Arc::clone(&numbers);
    let local = Local::new(move || {
        theirs.add(MADE, 1);
        if theirs.get(MADE) == 1 {
            let again = Arc::clone(&theirs);
            let other = Local::new(move || again.add(2, 1));
            let child = fork_behind_our_back(|| other.get());
            left_well(child);
        }
        std::process::id()
    });
    assert_eq!(local.get(), std::process::id());
    assert_eq!((numbers.get(MADE), numbers.get(2)), (1, 1));
    let mut child = Process::fork(move || assert_eq!(local.get(), std::process::id()));
    child.start().unwrap();
    assert_eq!(child.join().unwrap(), 0);
}

fn forked_by_a_thread() {
    let (local, numbers) = noted();
    for _ in 0..scaled(5) {
        let (theirs, seen) = (local.clone(), Arc::clone(&numbers));
        let before = made_and_dropped(&numbers);
        joined(move || {
            theirs.with(|_| ());
            let inner = theirs.clone();
            let mut child = Process::fork(move || inner.with(|_| ()));
            child.start().unwrap();
            assert_eq!(child.join().unwrap(), 0);
            let made = made_and_dropped(&seen).0;
            assert_eq!(made, before.0 + 2);
        });
        let after = made_and_dropped(&numbers);
        // The child's own value may be dropped with its thread, or not where that one has ended the process.
        assert!(
            (1..=2).contains(&(after.1 - before.1)),
            "{before:?} {after:?}"
        );
    }
}

/// No child inherits half a change, or a lock that nobody holds.
fn forked_in_storm() {
    let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let busy: Vec<_> = (0..2)
        .map(|_| {
            let stop = Arc::clone(&stop);
            thread::spawn(move || {
                while !stop.load(SeqCst) {
                    let local = Local::new(|| Cell::new(1));
                    let theirs = local.clone();
                    joined(move || theirs.set(2));
                    assert_eq!(local.take(), 1);
                }
            })
        })
        .collect();
    let local = Local::new(std::process::id);
    for _ in 0..scaled(100) {
        local.with(|_| ());
        let child = fork_behind_our_back(|| {
            assert_eq!(local.get(), std::process::id());
            let own = Local::new(|| 3);
            assert_eq!(own.get(), 3);
        });
        left_well(child);
        assert_eq!(local.get(), std::process::id());
    }
    stop.store(true, SeqCst);
    busy.into_iter().for_each(|thread| thread.join().unwrap());
}

fn in_processes() {
    let process = start(
        |n: u32| {
            let local = Local::new(move || Cell::new(n));
            local.set(local.get().get() + 1);
            assert_eq!(local.take(), 6);
        },
        (5,),
    );
    assert_eq!(process.join().unwrap(), 0);
}

/// `exit` runs destructors of thread-locals; another thread is looking at the value.
fn exit_while_lent() {
    let output = program_command("local::exits_in_with").output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    assert!(output.stdout.is_empty(), "{output:?}");
}

struct Loud(AtomicUsize);

impl Drop for Loud {
    fn drop(&mut self) {
        self.0.store(0, SeqCst);
        println!("dropped");
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "that it ends here is what is tested"
)]
fn exits_in_with() {
    let local = Local::new(|| Loud(AtomicUsize::new(1)));
    let thread = thread::spawn(move || {
        local.with(|value| {
            thread::scope(|scope| {
                for _ in 0..2 {
                    scope.spawn(|| {
                        while value.0.load(SeqCst) > 0 {
                            value.0.fetch_add(1, SeqCst);
                        }
                        println!("the value has gone");
                    });
                }
                while value.0.load(SeqCst) < 1000 {
                    std::hint::spin_loop();
                }
                std::process::exit(3);
            });
        });
    });
    drop(thread.join());
}

/// The main thread ends with the program, and so do its values.
fn end_of_program() {
    let output = program_command("local::leaves_main_with_values")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(
        output.stdout.is_empty() && output.stderr.is_empty(),
        "{output:?}"
    );
}

fn leaves_main() {
    static LOCAL: OnceLock<Local<Loud>> = OnceLock::new();
    let local = LOCAL.get_or_init(|| Local::new(|| Loud(AtomicUsize::new(1))));
    local.with(|value| assert_eq!(value.0.load(SeqCst), 1));
}

/// The destructor of a `thread_local!` finds the value that the thread had.
fn used_by_thread_local() {
    static SEEN: AtomicUsize = AtomicUsize::new(0);
    struct Last(Local<Cell<usize>>);
    impl Drop for Last {
        fn drop(&mut self) {
            SEEN.store(self.0.get().get(), SeqCst);
        }
    }
    thread_local!(static LAST: RefCell<Option<Last>> = const { RefCell::new(None) });
    let local = Local::new(|| Cell::new(1));
    let theirs = local.clone();
    joined(move || {
        LAST.set(Some(Last(theirs.clone())));
        theirs.set(42);
    });
    assert_eq!(SEEN.load(SeqCst), 42);
}

/// However often: the thread ends, and the rest goes with the last handle.
fn makes_another() {
    struct Again(Arc<OnceLock<Local<Again>>>, Arc<AtomicUsize>);
    impl Drop for Again {
        fn drop(&mut self) {
            self.1.fetch_sub(1, SeqCst);
            if let Some(local) = self.0.get() {
                local.with(|_| ());
            }
        }
    }
    let (own, count) = (Arc::new(OnceLock::new()), Arc::new(AtomicUsize::new(0)));
    let theirs = (Arc::clone(&own), Arc::clone(&count));
    let local = own.get_or_init(|| {
        Local::new(move || {
            theirs.1.fetch_add(1, SeqCst);
            Again(Arc::clone(&theirs.0), Arc::clone(&theirs.1))
        })
    });
    for _ in 0..3 {
        let local = local.clone();
        joined(move || local.with(|_| ()));
    }
    // One is left of each thread, and no thread hangs.
    assert!(count.load(SeqCst) <= 3);
    let plain = Local::new(|| Cell::new(1));
    joined(move || plain.set(2));
}

fn destructor_panics() {
    struct Angry(Local<Noted>, bool);
    impl Drop for Angry {
        fn drop(&mut self) {
            self.0.with(|_| ());
            assert!(!self.1, "a destructor that panics");
        }
    }
    let (inner, numbers) = noted();
    let kept = inner.clone();
    let calls = AtomicUsize::new(0);
    let local = Local::new(move || Angry(inner.clone(), calls.fetch_add(1, SeqCst) == 0));
    for round in 1..=2 {
        let (local, kept) = (local.clone(), kept.clone());
        joined(move || {
            local.with(|_| ());
            kept.with(|_| ());
        });
        assert_eq!(numbers.get(DROPPED), numbers.get(MADE), "round {round}");
    }
}

/// The C library has so many keys and no more: then the last handle drops what ended threads have left.
fn without_keys() {
    // The standard library takes those that it needs.
    joined(|| println!("a thread"));
    let mut key = 0;
    #[expect(unsafe_code, reason = "all keys are used up")]
    // SAFETY: the call writes a number to `key`.
    while unsafe { nix::libc::pthread_key_create(&raw mut key, None) } == 0 {}
    let (local, numbers) = noted();
    for _ in 0..3 {
        let local = local.clone();
        joined(move || local.with(|_| ()));
    }
    assert_eq!(made_and_dropped(&numbers), (3, 0));
    drop(local);
    assert_eq!(made_and_dropped(&numbers), (3, 3));
}

/// Threads, handles and values come and go; every value is dropped once.
fn storm() {
    let count = Arc::new(AtomicUsize::new(0));
    let makers: Vec<_> = (0..4)
        .map(|_| {
            let count = Arc::clone(&count);
            thread::spawn(move || {
                for _ in 0..scaled(200) {
                    let locals: Vec<_> = (0..20).map(|_| counted(&count)).collect();
                    let theirs = locals.clone();
                    let user = thread::spawn(move || {
                        theirs
                            .iter()
                            .rev()
                            .for_each(|local| local.with(|v| assert_eq!(*v.1, 7)));
                    });
                    locals
                        .iter()
                        .for_each(|local| local.with(|v| assert_eq!(*v.1, 7)));
                    drop(locals);
                    user.join().unwrap();
                }
            })
        })
        .collect();
    makers.into_iter().for_each(|maker| maker.join().unwrap());
    assert_eq!(count.load(SeqCst), 0);
}
