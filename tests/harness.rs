//! A plain `#[test]` just works: no `init` call, no attribute, no runner of its own.
//!
//! libtest runs these on several threads at once and captures what they print, so processes are started
//! while other threads hold the locks of the standard streams.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a process is started while others print: that is the test"
)]
#![expect(clippy::unwrap_used, reason = "a test reports a surprise by panicking")]

use multiproc::{Lock, Pool, Process, Queue, StartMethod};
use std::sync::atomic::{AtomicU32, Ordering};

/// Enough lines that some are being printed whenever a process is started.
const LINES: usize = 200;

fn chatter(who: &str) {
    for line in 0..LINES {
        println!("{who}: line {line}");
        eprintln!("{who}: line {line} of the other stream");
    }
}

/// `number` in a plain `cargo test`, more or fewer by `MULTIPROC_SCALE`, as in `tests/it`.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "float casts saturate"
)]
fn scaled(number: u32) -> u32 {
    let scale = std::env::var("MULTIPROC_SCALE").unwrap_or_else(|_| "1.0".to_owned());
    let scale: f64 = scale.parse().expect("MULTIPROC_SCALE is a number");
    ((f64::from(number) * scale) as u32).max(1)
}

fn square(x: u64) -> u64 {
    println!("a worker squares {x}");
    x * x
}

#[test]
fn processes_start_and_end() {
    for round in 0..5 {
        let mut process = Process::new(|code: i32| assert_eq!(code, 0), (0,));
        process.start().unwrap();
        chatter("processes_start_and_end");
        assert_eq!(process.join().unwrap(), 0, "round {round}");
    }
}

#[test]
fn a_panic_in_a_process_is_an_exit_code() {
    let mut process = Process::new(|| panic!("this message belongs to the test"), ());
    process.start().unwrap();
    chatter("a_panic_in_a_process_is_an_exit_code");
    assert_ne!(process.join().unwrap(), 0);
    let panic = process.panic().expect("it ended by a panic");
    assert_eq!(panic.message(), "this message belongs to the test");
}

#[test]
fn a_pool_maps() {
    let pool = Pool::new(2).unwrap();
    chatter("a_pool_maps");
    let squares = pool.map(square, 0..100).unwrap();
    assert_eq!(squares, (0..100).map(|x| x * x).collect::<Vec<u64>>());
    assert_eq!(pool.apply(square, (12,)).unwrap(), 144);
    pool.close();
    pool.join().unwrap();
}

#[test]
fn a_queue_carries_values_out_of_a_process() {
    let queue = Queue::new().unwrap();
    let produce = |queue: Queue<(u32, String)>| {
        for number in 0..100 {
            queue.put((number, format!("value {number}"))).unwrap();
        }
    };
    let mut producer = Process::new(produce, (queue.clone(),));
    producer.start().unwrap();
    chatter("a_queue_carries_values_out_of_a_process");
    for number in 0..100 {
        assert_eq!(queue.get().unwrap(), (number, format!("value {number}")));
    }
    assert_eq!(producer.join().unwrap(), 0);
    assert!(queue.is_empty());
}

#[test]
fn a_lock_excludes_processes_and_threads() {
    let (lock, queue) = (Lock::new().unwrap(), Queue::new().unwrap());
    let body = |lock: Lock, queue: Queue<String>| {
        for _ in 0..100 {
            let guard = lock.acquire().unwrap();
            queue.put("in".to_owned()).unwrap();
            queue.put("out".to_owned()).unwrap();
            drop(guard);
        }
    };
    let mut process = Process::new(body, (lock.clone(), queue.clone()));
    process.start().unwrap();
    body(lock, queue.clone());
    assert_eq!(process.join().unwrap(), 0);
    for _ in 0..200 {
        let pair = (queue.get().unwrap(), queue.get().unwrap());
        assert_eq!(
            pair,
            ("in".to_owned(), "out".to_owned()),
            "somebody was between"
        );
    }
}

/// Prints and allocates until nothing is left: whoever forks meanwhile copies locks that are held. libtest keeps what is printed,
/// so it is some for each start and not more.
fn disturbs(left: &AtomicU32) {
    let mut kept: Vec<String> = Vec::new();
    let mut seen = u32::MAX;
    while seen > 0 {
        let now = left.load(Ordering::SeqCst);
        if now != seen {
            println!("a disturbing line while {now} are left");
            eprint!("{}", ".".repeat(kept.len()));
            seen = now;
        }
        kept.push("x".repeat(kept.len() * 100));
        kept.truncate(40);
    }
}

/// Ends with the code, which it has got through memory of its own.
#[expect(clippy::disallowed_methods, reason = "the exit code is the answer")]
fn ends_with(words: Vec<String>) {
    let code = words.iter().map(String::len).sum::<usize>();
    std::process::exit(i32::try_from(code).unwrap());
}

/// So many starts from four threads, while two others print and allocate.
fn starts_beside_others(method: StartMethod, starts: u32) {
    let left = AtomicU32::new(starts);
    let take = || {
        let less = |left: u32| left.checked_sub(1);
        let taken = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less);
        taken.ok()
    };
    std::thread::scope(|scope| {
        let starter = || {
            while let Some(number) = take() {
                let length = usize::try_from(number % 200).unwrap();
                let words = vec!["w".to_owned(); length];
                let process = Process::builder(ends_with, (words,)).start_method(method);
                let code = process.start().unwrap().join().unwrap();
                assert_eq!(code, i32::try_from(length).unwrap(), "{method}");
            }
        };
        for _ in 0..4 {
            scope.spawn(starter);
        }
        for _ in 0..2 {
            scope.spawn(|| disturbs(&left));
        }
    });
}

#[test]
fn a_thousand_starts_by_the_server() {
    starts_beside_others(StartMethod::ForkServer, scaled(1_000));
}

#[test]
fn five_hundred_starts_by_fork() {
    starts_beside_others(StartMethod::Fork, scaled(500));
}

#[test]
fn a_hundred_starts_by_spawn() {
    starts_beside_others(StartMethod::Spawn, scaled(100));
}
