//! Python: `class Piao(Process)`, `p.daemon = True` before `start()`. A daemon ends with the program that started it.
#![expect(clippy::print_stdout, reason = "an example speaks")]

use multiproc::{Process, Run};
use serde::{Deserialize, Serialize};

mod pace;

#[derive(Serialize, Deserialize)]
struct Piao {
    name: String,
}

impl Run for Piao {
    fn run(&mut self) {
        println!("{} strolls", self.name);
        pace::sleep(60.0);
        println!("{} is back", self.name);
    }
}

fn main() -> multiproc::Result<()> {
    let name = "egon".to_owned();
    let mut process = Process::from_run(Piao { name });
    process.set_daemon(true)?;
    process.start()?;
    pace::sleep(0.5);
    println!("main has nothing more to do");
    Ok(())
}
