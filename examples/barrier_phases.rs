//! Python: `barrier = Barrier(3, action)`, `barrier.wait()` in three workers: nobody begins the next part before all have done this
//! one; `wait(timeout)`, `broken`, and `reset`.
#![expect(clippy::print_stdout, reason = "an example speaks")]

use multiproc::{Barrier, ErrorKind, Process, Result};
use std::time::Duration;

fn work(name: String, barrier: Barrier) {
    for part in 1..=2 {
        println!("{name} does part {part}");
        let index = barrier.wait().expect("nobody breaks it");
        // Each has another index.
        if index == 0 {
            println!("part {part} is done");
        }
        // So that part 2 begins after this has been said.
        barrier.wait().expect("nobody breaks it");
    }
}

fn main() -> Result<()> {
    let action = || println!("three are here");
    let barrier = Barrier::builder(3).action(action).build()?;
    let mut workers = Vec::new();
    for name in ["egon", "alex", "piao"] {
        let mut worker = Process::new(work, (name.to_owned(), barrier.clone()));
        worker.start()?;
        workers.push(worker);
    }
    for worker in &mut workers {
        worker.join()?;
    }

    // Nobody comes any more.
    let alone = barrier.wait_timeout(Duration::from_millis(10));
    let broken = alone.is_err_and(|error| error.kind() == ErrorKind::BrokenBarrier);
    println!("alone: {broken}, broken: {}", barrier.broken());
    barrier.reset()?;
    println!("broken after reset: {}", barrier.broken());
    Ok(())
}
