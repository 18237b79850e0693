//! Python: `p.name`, `p.pid`, before and after `start()`; a name that was not given counts the processes.
#![expect(clippy::print_stdout, reason = "an example speaks")]

use multiproc::{Process, current_process};

mod pace;

fn stroll() {
    let process = current_process();
    println!("{} strolls, id {}", process.name(), process.pid());
    pace::sleep(2.0);
    println!("{} is back", process.name());
}

fn main() -> multiproc::Result<()> {
    let mut process = Process::new(stroll, ());
    println!("{} is not started: {:?}", process.name(), process.pid());
    process.set_name("Piao-1")?;
    process.start()?;
    println!("{} is started: {:?}", process.name(), process.pid());
    process.join()?;
    Ok(())
}
