//! Python: `start()`, `terminate()`, `is_alive()` at once and again a little later.
//!
//! The signal is sent when `terminate` returns, the process may live a moment longer; `join` knows when it is over.
#![expect(clippy::print_stdout, reason = "an example speaks")]

use multiproc::Process;

mod pace;

fn stroll(name: String) {
    println!("{name} strolls");
    pace::sleep(60.0);
    println!("{name} is back");
}

fn main() -> multiproc::Result<()> {
    let mut process = Process::new(stroll, ("egon".to_owned(),));
    process.start()?;
    println!("alive after the start: {}", process.is_alive());
    process.terminate()?;
    println!("ended with {}", process.join()?);
    println!("alive after the end: {}", process.is_alive());
    Ok(())
}
