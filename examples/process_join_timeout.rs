//! Python: `class Piao(Process)` with a `run()`, `start()`, `join(1)`.
//!
//! What a subclass keeps in `self` is an argument here.
#![expect(clippy::print_stdout, reason = "an example speaks")]

use multiproc::Process;

mod pace;

fn stroll(name: String) {
    println!("{name} strolls");
    pace::sleep(2.0);
    println!("{name} is back");
}

fn main() -> multiproc::Result<()> {
    let mut process = Process::new(stroll, ("egon".to_owned(),));
    process.start()?;
    match process.join_timeout(pace::lasting(1.0))? {
        Some(code) => println!("ended with {code}"),
        None => println!("main goes on, the child still runs"),
    }
    Ok(())
}
