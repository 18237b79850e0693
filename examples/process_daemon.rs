//! Python: `p.daemon = True` before `start()`. A daemon ends with the program that started it.
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
    process.set_daemon(true)?;
    process.start()?;
    pace::sleep(0.5);
    println!("main has nothing more to do");
    Ok(())
}
