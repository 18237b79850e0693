//! Python: `Thread(target=task, daemon=True)`, `sub_thread.setDaemon(True)`. A daemon ends with the program, which waits for the others.
#![expect(clippy::print_stdout, reason = "an example speaks")]

use multiproc::threading::Thread;

mod pace;

fn stroll(name: &str, seconds: f64) {
    println!("{name} strolls");
    pace::sleep(seconds);
    println!("{name} is back");
}

fn main() -> multiproc::Result<()> {
    let daemon = Thread::with_args(stroll, ("the daemon", 60.0));
    daemon.set_daemon(true)?;
    daemon.start()?;
    let other = Thread::with_args(stroll, ("the other", 0.5));
    other.start()?;
    println!("main has nothing more to do");
    Ok(())
}
