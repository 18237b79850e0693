//! Python: a global `n = 100`, `Process(target=foo)` whose `foo` sets it to 200, `start()`, `join()`, `print(n)`.
//!
//! Processes share no globals. A child begins with what they held at the start of the program; what else it should know is
//! an argument.
#![expect(clippy::print_stdout, reason = "an example speaks")]

use multiproc::Process;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

static NUMBER: AtomicU32 = AtomicU32::new(100);

fn child() {
    NUMBER.store(200, Relaxed);
    println!("child: {}", NUMBER.load(Relaxed));
}

fn main() -> multiproc::Result<()> {
    let mut process = Process::new(child, ());
    process.start()?;
    process.join()?;
    println!("main: {}", NUMBER.load(Relaxed));
    Ok(())
}
