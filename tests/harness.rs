//! A plain `#[test]` just works: no `init` call, no attribute, no runner of its own.
//!
//! libtest runs these on several threads at once and captures what they print, so processes are started
//! while other threads hold the locks of the standard streams.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a process is started while others print: that is the test"
)]

use multiproc::{Lock, Pool, Process, Queue};

/// Enough lines that some are being printed whenever a process is started.
const LINES: usize = 200;

fn chatter(who: &str) {
    for line in 0..LINES {
        println!("{who}: line {line}");
        eprintln!("{who}: line {line} of the other stream");
    }
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
