//! Python: `class Piao(Process)`, `start()`, `terminate()`, `is_alive()` at once and again a little later.
//!
//! The signal is sent when `terminate` returns, the process may live a moment longer; `join` knows when it is over.
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
    process.start()?;
    println!("alive after the start: {}", process.is_alive());
    process.terminate()?;
    println!("ended with {}", process.join()?);
    println!("alive after the end: {}", process.is_alive());
    Ok(())
}
