//! Python: `event = Event()`, `event.wait()` in some workers until somebody calls `event.set()`; `is_set`, `clear`, `wait(timeout)`.
//!
//! A semaphore that begins with nothing tells who is ready: whoever is says so with `release`.
#![expect(clippy::print_stdout, reason = "an example speaks")]

use multiproc::{Event, Process, Result, Semaphore, current_process};
use std::time::Duration;

fn run(ready: Semaphore, start: Event) {
    println!("{} waits", current_process().name());
    ready.release().expect("there is room for three");
    start.wait().expect("main lives");
    println!("{} runs", current_process().name());
}

fn main() -> Result<()> {
    let (ready, start) = (Semaphore::new(0)?, Event::new()?);
    let mut runners = Vec::new();
    for number in 1..=3 {
        let runner = Process::builder(run, (ready.clone(), start.clone()));
        runners.push(runner.name(format!("runner {number}")).start()?);
    }
    for _ in &runners {
        ready.acquire()?.forget();
    }
    let started = start.wait_timeout(Duration::from_millis(10))?;
    println!("all are ready, started: {started}");
    println!("go");
    start.set()?;
    for runner in &runners {
        runner.join()?;
    }
    println!("set: {}", start.is_set());
    start.clear()?;
    println!("set after clear: {}", start.is_set());
    Ok(())
}
