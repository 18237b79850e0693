//! Python: a global `num = random.randint(0, 100)`, `Process(target=show_num)`, `start()`, `join()`: what does the child see?
//!
//! It depends on the start method, there as here. A forked child begins with a copy of this process; a child of the fork server and
//! a spawned one begin as the program began.
#![expect(clippy::print_stdout, reason = "an example speaks")]

use multiproc::{Process, StartMethod, current_process};
use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

static NUMBER: AtomicU64 = AtomicU64::new(0);

fn show_number() {
    let (process, number) = (current_process(), NUMBER.load(Relaxed));
    println!("{}: number is {number}", process.name());
}

fn main() -> multiproc::Result<()> {
    let random = RandomState::new().hash_one(()) % 100 + 1;
    NUMBER.store(random, Relaxed);
    show_number();
    for method in [
        StartMethod::Fork,
        StartMethod::ForkServer,
        StartMethod::Spawn,
    ] {
        let process = Process::builder(show_number, ()).start_method(method);
        process.name(method.to_string()).start()?.join()?;
    }
    Ok(())
}
