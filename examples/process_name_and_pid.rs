//! Python: `class Piao(Process)`, `p.name`, `p.pid`, before and after `start()`; a name that was not given counts the processes
//! and begins with the name of the class.
#![expect(clippy::print_stdout, reason = "an example speaks")]

use multiproc::{Process, Run, current_process};
use serde::{Deserialize, Serialize};

mod pace;

#[derive(Serialize, Deserialize)]
struct Piao;

impl Run for Piao {
    fn run(&mut self) {
        let process = current_process();
        println!("{} strolls, id {}", process.name(), process.pid());
        pace::sleep(2.0);
        println!("{} is back", process.name());
    }
}

fn main() -> multiproc::Result<()> {
    let mut process = Process::from_run(Piao);
    println!("{} is not started: {:?}", process.name(), process.pid());
    process.start()?;
    println!("{} is started: {:?}", process.name(), process.pid());
    process.join()?;
    Ok(())
}
