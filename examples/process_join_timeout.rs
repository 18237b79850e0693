//! Python: `class Piao(Process)` with a `run()`, `start()`, `join(1)`.
//!
//! What a subclass keeps in `self` is a value that implements `Run`; it is serialised and sent.
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
        pace::sleep(2.0);
        println!("{} is back", self.name);
    }
}

fn main() -> multiproc::Result<()> {
    let name = "egon".to_owned();
    let mut process = Process::from_run(Piao { name });
    process.start()?;
    match process.join_timeout(pace::lasting(1.0))? {
        Some(code) => println!("ended with {code}"),
        None => println!("main goes on, the child still runs"),
    }
    Ok(())
}
