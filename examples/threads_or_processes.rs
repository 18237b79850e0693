//! One program on threads or on processes: `threads_or_processes --threads` or `--processes`; both, one after the other, without a flag.
//!
//! Python: `multiprocessing.dummy` in the place of `multiprocessing`; `Pool.map`, `Process`, `Queue`, `Lock`, `Value`.
//!
//! The same functions count primes three ways: by a pool, by workers that take numbers from a queue, and by adders that share a
//! number under a lock. Only the time differs.

#![expect(clippy::print_stdout, reason = "the result is what it prints")]
#![expect(clippy::print_stderr, reason = "times are no result")]

use multiproc::dummy::prelude::*;
use multiproc::sync::Lock;
use multiproc::{Backend, Processes, Result, Threads, Value};
use std::process::ExitCode;
use std::time::Instant;

/// Numbers are looked at in ranges of this length.
const RANGE: u64 = 5_000;

fn is_prime(n: u64) -> bool {
    n > 1
        && (2..)
            .take_while(|d| d * d <= n)
            .all(|d| !n.is_multiple_of(d))
}

fn primes_from(start: u64) -> u64 {
    (start..start + RANGE).filter(|n| is_prime(*n)).count() as u64
}

fn worker<B: Backend>(starts: B::Queue<u64>, counts: B::Queue<u64>) {
    while let Ok(start) = starts.get() {
        counts
            .put(primes_from(start))
            .expect("somebody adds them up");
    }
}

fn adder<B: Backend>(lock: Lock<B>, sum: Value<u64>, start: u64) {
    let count = primes_from(start);
    let _guard = lock.acquire().expect("nobody dies");
    sum.set(sum.get().expect("a number") + count)
        .expect("a number");
}

fn by_pool<B: Backend>(starts: &[u64]) -> Result<u64> {
    let pool = B::Pool::new(2)?;
    let counts = pool.map(primes_from, starts.iter().copied())?;
    pool.close();
    pool.join()?;
    Ok(counts.iter().sum())
}

fn by_queue<B: Backend>(starts: &[u64]) -> Result<u64> {
    let (tasks, counts) = (B::Queue::new()?, B::Queue::new()?);
    let mut workers = Vec::new();
    for _ in 0..2 {
        let mut process = B::Process::new(worker::<B>, (tasks.clone(), counts.clone()));
        process.start()?;
        workers.push(process);
    }
    for start in starts {
        tasks.put(*start)?;
    }
    tasks.close();
    let mut sum = 0;
    for _ in starts {
        sum += counts.get()?;
    }
    for process in workers {
        assert_eq!(process.join()?, 0);
    }
    Ok(sum)
}

fn by_lock<B: Backend>(starts: &[u64]) -> Result<u64> {
    let (lock, sum) = (Lock::<B>::new()?, Value::new(0)?);
    let mut adders = Vec::new();
    for start in starts {
        let arguments = (lock.clone(), sum.clone(), *start);
        adders.push(B::spawn(adder::<B>, arguments)?);
    }
    for adder in adders {
        adder.join()?;
    }
    sum.get()
}

type Way = fn(&[u64]) -> Result<u64>;

fn program<B: Backend>() -> Result<()> {
    let starts: Vec<u64> = (0..8).map(|n| n * RANGE).collect();
    let ways: [(&str, Way); 3] = [
        ("pool", by_pool::<B>),
        ("queue", by_queue::<B>),
        ("lock", by_lock::<B>),
    ];
    for (name, way) in ways {
        let begin = Instant::now();
        let primes = way(&starts)?;
        eprintln!("{name} on {}: {:?}", B::NAME, begin.elapsed());
        println!("{name} on {}: {primes} primes", B::NAME);
    }
    Ok(())
}

fn main() -> Result<ExitCode> {
    match std::env::args().nth(1).as_deref() {
        Some("--threads") => program::<Threads>()?,
        Some("--processes") => program::<Processes>()?,
        None => program::<Threads>().and_then(|()| program::<Processes>())?,
        Some(other) => {
            eprintln!("{other}: say --threads or --processes");
            return Ok(ExitCode::from(2));
        }
    }
    Ok(ExitCode::SUCCESS)
}
