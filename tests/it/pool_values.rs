//! What travels to a worker and back: values of every size, handles, panics, and what cannot be encoded or decoded.

use crate::pool::{double, hold, kind, panics};
use crate::runner::{Case, Gate, case, scaled};
use multiproc::{ErrorKind, Lock, Pool, Queue, arena, current_process};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};
use std::panic::{AssertUnwindSafe, catch_unwind};

pub(crate) fn tests() -> Vec<Case> {
    vec![
        case("pool_values::arguments_of_every_size", arguments_of_sizes),
        case("pool_values::results_of_every_size", results_of_sizes),
        case("pool_values::handles_as_arguments", handles_as_arguments),
        case("pool_values::handles_as_results", handles_as_results),
        case("pool_values::handles_in_flight", handles_in_flight),
        case("pool_values::handles_of_the_terminated", handles_terminated),
        case("pool_values::panic_tells_all", panic_tells_all),
        case("pool_values::panic_without_text", panic_without_text),
        case("pool_values::panic_with_a_long_text", panic_with_long_text),
        case("pool_values::arguments_that_do_not_encode", no_encode_here),
        case("pool_values::arguments_that_do_not_decode", no_decode_there),
        case("pool_values::results_that_do_not_encode", no_encode_there),
        case("pool_values::results_that_do_not_decode", no_decode_here),
        case("pool_values::panic_while_encoding", panic_while_encoding),
        case("pool_values::panic_while_decoding", panic_while_decoding),
        case("pool_values::small_arena_is_full", small_arena_is_full).cold(),
        case("pool_values::results_fill_the_arena", results_fill_arena).cold(),
        case("pool_values::panic_in_a_full_arena", panic_in_full_arena).cold(),
    ]
}

/// Around what lies in a cell (80 bytes of arguments, 112 of a result), around a block, and large.
const SIZES: [usize; 18] = [
    0, 1, 2, 78, 79, 80, 81, 82, 110, 111, 112, 113, 114, 127, 128, 129, 4096, 1_048_576,
];

/// Content that says where it stands.
fn pattern(length: usize) -> Vec<u8> {
    (0..=250).cycle().take(length).collect()
}

fn arguments_of_sizes() {
    let before = arena::usage().unwrap();
    let pool = Pool::new(1).unwrap();
    let check = |bytes: Vec<u8>| bytes == pattern(bytes.len()) && bytes.len() == bytes.capacity();
    for size in SIZES {
        assert!(pool.apply(check, (pattern(size),)).unwrap(), "{size}");
    }
    // The unit tuple, and what takes no byte at all.
    let nothing = |(): (), _: [u8; 0]| ();
    pool.apply(nothing, ((), [])).unwrap();
    drop(pool);
    assert_eq!(arena::usage().unwrap(), before);
}

fn results_of_sizes() {
    let before = arena::usage().unwrap();
    let pool = Pool::new(1).unwrap();
    for size in SIZES {
        assert!(
            pool.apply(pattern, (size,)).unwrap() == pattern(size),
            "{size}"
        );
    }
    let all: Vec<_> = SIZES
        .map(|size| pool.apply_async(pattern, (size,)).unwrap())
        .into();
    for (size, result) in SIZES.into_iter().zip(all) {
        assert!(result.get().unwrap() == pattern(size), "{size}");
    }
    drop(pool);
    assert_eq!(arena::usage().unwrap(), before);
}

#[derive(Serialize, Deserialize, Clone)]
struct Tools {
    lock: Lock,
    out: Queue<(u32, u64)>,
    note: String,
}

fn handles_as_arguments() {
    let pool = Pool::new(3).unwrap();
    let tools = Tools {
        lock: Lock::new().unwrap(),
        out: Queue::new().unwrap(),
        note: "n".repeat(200),
    };
    let work = |tools: Tools, n: u64| {
        let _held = tools.lock.acquire().unwrap();
        tools.out.put((1, n)).unwrap();
        tools.out.put((2, n)).unwrap();
        tools.note.len()
    };
    let results: Vec<_> = (0..200)
        .map(|n| pool.apply_async(work, (tools.clone(), n)).unwrap())
        .collect();
    for result in results {
        assert_eq!(result.get().unwrap(), 200);
    }
    for _ in 0..200 {
        let (first, second) = (tools.out.get().unwrap(), tools.out.get().unwrap());
        assert_eq!((first.0, second.0), (1, 2), "somebody was between");
        assert_eq!(first.1, second.1);
    }
}

fn handles_as_results() {
    let before = arena::usage().unwrap();
    let pool = Pool::new(2).unwrap();
    let make = |n: u32| {
        let queue = Queue::<u32>::new().unwrap();
        queue.put(n).unwrap();
        queue.put(n + 1).unwrap();
        (Lock::new().unwrap(), vec![Some(queue), None])
    };
    let results: Vec<_> = (0..50)
        .map(|n| pool.apply_async(make, (n,)).unwrap())
        .collect();
    for (n, result) in (0..).zip(results) {
        let (lock, queues) = result.get().unwrap();
        assert!(lock.acquire().is_ok());
        let queue = queues[0].as_ref().unwrap();
        assert_eq!((queue.get().unwrap(), queue.get().unwrap()), (n, n + 1));
    }
    // Nobody takes these: the objects end with the results.
    let lost: Vec<_> = (0..50)
        .map(|n| pool.apply_async(make, (n,)).unwrap())
        .collect();
    lost.iter().for_each(|one| one.wait());
    drop(lost);
    drop(pool);
    assert_eq!(arena::usage().unwrap(), before);
}

/// The sender drops its handle before the worker has seen the task: the task alone keeps the object.
fn handles_in_flight() {
    let before = arena::usage().unwrap();
    let pool = Pool::new(1).unwrap();
    for _ in 0..scaled(10) {
        let (runs, go) = (Gate::new(), Gate::new());
        let gates = (runs.remote(), go.remote());
        let held = pool.apply_async(hold, gates).unwrap();
        runs.wait();
        let results: Vec<_> = (0..20)
            .map(|n| {
                let queue = Queue::<u32>::new().unwrap();
                queue.put(n).unwrap();
                pool.apply_async(|queue: Queue<u32>| queue, (queue,))
                    .unwrap()
            })
            .collect();
        go.open(1);
        held.get().unwrap();
        // A worker that is killed while it hands over a handle leaks the object: let them be done.
        results.iter().for_each(|one| one.wait());
        for (n, result) in (0..).zip(results) {
            if n % 2 == 0 {
                assert_eq!(result.get().unwrap().try_get().unwrap(), n);
            }
        }
    }
    drop(pool);
    assert_eq!(arena::usage().unwrap(), before);
}

/// Arguments of tasks that never ran, of one that was killed while it ran, and results that nobody has taken.
fn handles_terminated() {
    let before = arena::usage().unwrap();
    for _ in 0..scaled(5) {
        let pool = Pool::new(1).unwrap();
        let (runs, never) = (Gate::new(), Gate::new());
        let untaken = pool.apply_async(|| Queue::<u32>::new().unwrap(), ());
        let untaken = untaken.unwrap();
        untaken.wait();
        let stay = |_queue: Queue<u32>, runs, never| hold(runs, never);
        let (first, second) = (Queue::new().unwrap(), Queue::new().unwrap());
        let running = pool.apply_async(stay, (first, runs.remote(), never.remote()));
        let running = running.unwrap();
        let queued = pool.apply_async(stay, (second.clone(), runs.remote(), never.remote()));
        let queued = queued.unwrap();
        let dropped = pool.apply_async(stay, (second, runs.remote(), never.remote()));
        drop(dropped.unwrap());
        runs.wait();
        drop(pool);
        assert_eq!(kind(running.get()), ErrorKind::Terminated);
        assert_eq!(kind(queued.get()), ErrorKind::Terminated);
        drop(untaken);
        assert_eq!(arena::usage().unwrap(), before);
    }
}

/// Where [`falls`] panics.
const PANIC_LINE: u32 = line!() + 3;

fn falls(what: String) -> (String, u32) {
    panic!("no {what} in {}", current_process().name());
}

fn panic_tells_all() {
    let pool = Pool::new(1).unwrap();
    let (pid, name) = pool
        .apply(
            || (std::process::id(), current_process().name().to_owned()),
            (),
        )
        .unwrap();
    let error = pool.apply(falls, ("bread".to_owned(),)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Panicked);
    let remote = error.remote().unwrap();
    assert_eq!(remote.message(), format!("no bread in {name}"));
    assert!(
        remote.file().unwrap().ends_with("pool_values.rs"),
        "{remote:?}"
    );
    assert_eq!(remote.line(), Some(PANIC_LINE));
    assert_eq!(
        (remote.process(), remote.pid(), remote.exitcode()),
        (&*name, pid, None)
    );
    // The worker lives on.
    assert_eq!(pool.apply(std::process::id, ()).unwrap(), pid);
    assert_eq!(pool.worker_pids(), [pid]);
    assert_eq!(pool.stats().deaths, 0);
}

/// Text is the only payload that travels.
struct Grumpy;

impl Drop for Grumpy {
    fn drop(&mut self) {
        panic!("the payload's destructor panics too");
    }
}

fn number() {
    std::panic::panic_any(7_u64);
}

fn grumpy() {
    std::panic::panic_any(Grumpy);
}

fn quiet() {
    std::panic::resume_unwind(Box::new("quiet"));
}

fn panic_without_text() {
    let pool = Pool::new(1).unwrap();
    let pid = pool.apply(std::process::id, ()).unwrap();
    let error = pool.apply(number, ()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Panicked);
    assert!(!error.remote().unwrap().message().is_empty());
    assert!(error.remote().unwrap().line().is_some());
    assert_eq!(kind(pool.apply(grumpy, ())), ErrorKind::Panicked);
    // No hook runs for this one: its place is unknown, and not that of the one before.
    let error = pool.apply(quiet, ()).unwrap_err();
    let remote = error.remote().unwrap();
    assert_eq!(
        (remote.message(), remote.file(), remote.line()),
        ("quiet", None, None)
    );
    assert_eq!(pool.apply(std::process::id, ()).unwrap(), pid);
}

fn panic_with_long_text() {
    let before = arena::usage().unwrap();
    let pool = Pool::new(1).unwrap();
    for size in SIZES {
        let error = pool.apply(panics, ("x".repeat(size),)).unwrap_err();
        assert_eq!(error.remote().unwrap().message().len(), size);
    }
    assert_eq!(pool.stats().deaths, 0);
    drop(pool);
    assert_eq!(arena::usage().unwrap(), before);
}

/// A value with a fault, and a handle beside it that must not be lost.
#[derive(Debug)]
struct Faulty {
    fault: Fault,
    queue: Queue<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Fault {
    None,
    Encode,
    EncodeByPanic,
    DecodeInWorker,
    DecodeAtHome,
    DecodeAtHomeByPanic,
}

impl Faulty {
    fn new(fault: Fault) -> Faulty {
        let queue = Queue::new().unwrap();
        Faulty { fault, queue }
    }
}

impl Serialize for Faulty {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.fault {
            Fault::Encode => Err(ser::Error::custom("cannot be written")),
            Fault::EncodeByPanic => panic!("written in panic"),
            fault => (fault, &self.queue).serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Faulty {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (fault, queue) = Deserialize::deserialize(deserializer)?;
        let at_home = current_process().name() == "MainProcess";
        match fault {
            Fault::DecodeAtHomeByPanic if at_home => panic!("read in panic"),
            Fault::DecodeAtHome if at_home => Err(de::Error::custom("cannot be read here")),
            Fault::DecodeInWorker if !at_home => Err(de::Error::custom("cannot be read there")),
            _ => Ok(Faulty { fault, queue }),
        }
    }
}

/// Gives `act` a pool with one worker, which must live on, and looks for what is left in the arena.
fn only_that_task(act: impl FnOnce(&Pool)) {
    let before = arena::usage().unwrap();
    let pool = Pool::new(1).unwrap();
    let pid = pool.apply(std::process::id, ()).unwrap();
    let good = pool.apply_async(double, (1,)).unwrap();
    act(&pool);
    assert_eq!(good.get().unwrap(), 2);
    let unharmed = pool.apply(Faulty::new, (Fault::None,)).unwrap();
    assert_eq!(unharmed.fault, Fault::None);
    drop(unharmed);
    assert_eq!(pool.apply(std::process::id, ()).unwrap(), pid);
    assert_eq!(pool.stats().deaths, 0);
    // What the failed task had is given back at once, not with the pool.
    assert_eq!(arena::usage().unwrap().objects, before.objects + 1);
    drop(pool);
    assert_eq!(arena::usage().unwrap(), before);
}

fn takes(faulty: Faulty) -> bool {
    faulty.queue.is_empty()
}

fn no_encode_here() {
    only_that_task(|pool| {
        let result = pool.apply_async(takes, (Faulty::new(Fault::Encode),));
        assert_eq!(kind(result), ErrorKind::Encode);
        let second = |_: Queue<u32>, faulty: Faulty| takes(faulty);
        let result = pool.apply_async(second, (Queue::new().unwrap(), Faulty::new(Fault::Encode)));
        assert_eq!(kind(result), ErrorKind::Encode);
        let some = [Fault::Encode, Fault::None].map(Faulty::new);
        assert_eq!(kind(pool.map(takes, some)), ErrorKind::Encode);
    });
}

fn no_decode_there() {
    only_that_task(|pool| {
        let error = pool
            .apply(takes, (Faulty::new(Fault::DecodeInWorker),))
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Decode);
        assert!(error.remote().is_some(), "{error}");
    });
}

fn no_encode_there() {
    only_that_task(|pool| {
        let error = pool.apply(Faulty::new, (Fault::Encode,)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Encode);
        assert!(error.remote().is_some(), "{error}");
    });
}

fn no_decode_here() {
    only_that_task(|pool| {
        let result = pool
            .apply_async(Faulty::new, (Fault::DecodeAtHome,))
            .unwrap();
        result.wait();
        assert!(result.successful().unwrap());
        let error = result.get().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Decode);
    });
}

fn panic_while_encoding() {
    only_that_task(|pool| {
        let given = || pool.apply_async(takes, (Faulty::new(Fault::EncodeByPanic),));
        assert!(catch_unwind(AssertUnwindSafe(given)).is_err());
        let error = pool
            .apply(Faulty::new, (Fault::EncodeByPanic,))
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Panicked);
        assert_eq!(error.remote().unwrap().message(), "written in panic");
    });
}

/// The panic passes through `get`; the task's cell must not be lost, nor what its arguments carried.
fn panic_while_decoding() {
    only_that_task(|pool| {
        let returns = |_: Queue<u32>, fault: Fault| Faulty::new(fault);
        let arguments = (Queue::new().unwrap(), Fault::DecodeAtHomeByPanic);
        let result = pool.apply_async(returns, arguments).unwrap();
        assert!(catch_unwind(AssertUnwindSafe(|| result.get())).is_err());
    });
}

fn small_arena_is_full() {
    arena::set_size(1 << 20).unwrap();
    let pool = Pool::new(1).unwrap();
    for round in 0..3 {
        let (runs, go) = (Gate::new(), Gate::new());
        let gates = (runs.remote(), go.remote());
        let held = pool.apply_async(hold, gates).unwrap();
        runs.wait();
        let mut results = Vec::new();
        let error = loop {
            match pool.apply_async(|bytes: Vec<u8>| bytes.len(), (vec![round; 10_000],)) {
                Ok(result) => results.push(result),
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), ErrorKind::NoSpace);
        assert!(results.len() > 10, "{}", results.len());
        go.open(1);
        held.get().unwrap();
        for result in results {
            assert_eq!(result.get().unwrap(), 10_000);
        }
    }
    assert_eq!(pool.stats().deaths, 0);
}

/// Results that nobody takes fill it: the task that has no room for its result fails, not its worker.
fn results_fill_arena() {
    arena::set_size(1 << 20).unwrap();
    let pool = Pool::new(1).unwrap();
    for _ in 0..3 {
        let results: Vec<_> = (0..40)
            .map(|_| pool.apply_async(pattern, (60_000,)).unwrap())
            .collect();
        results.iter().for_each(|one| one.wait());
        let (mut good, mut full) = (0, 0);
        for result in results {
            match result.get() {
                Ok(bytes) => {
                    assert!(bytes == pattern(60_000));
                    good += 1;
                }
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::NoSpace, "{error:?}");
                    full += 1;
                }
            }
        }
        assert!(good > 0 && full > 0, "{good} results, {full} failures");
        assert!(pool.apply(pattern, (60_000,)).unwrap() == pattern(60_000));
    }
    assert_eq!(pool.stats().deaths, 0);
}

fn long() {
    panic!("{}", "long story ".repeat(20));
}

/// A panic is an outcome also when there is no room to tell it at length, and the worker lives on.
fn panic_in_full_arena() {
    arena::set_size(1 << 20).unwrap();
    let pool = Pool::new(1).unwrap();
    let pid = pool.apply(std::process::id, ()).unwrap();
    let ballast = Queue::new().unwrap();
    let hold_all = || {
        for size in [100_000, 10_000, 1_000, 100] {
            while ballast.put(vec![0_u8; size]).is_ok() {}
        }
    };
    hold_all();
    // What is left of the smallest blocks goes to results that nobody takes.
    let results: Vec<_> = (0..60)
        .map(|_| pool.apply_async(long, ()).unwrap())
        .collect();
    for result in &results {
        result.wait();
        assert!(!result.successful().unwrap());
    }
    for result in results {
        assert_eq!(kind(result.get()), ErrorKind::Panicked);
    }
    assert_eq!(pool.stats().deaths, 0);
    assert_eq!(pool.apply(std::process::id, ()).unwrap(), pid);
}
