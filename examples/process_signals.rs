//! Python: `p.interrupt()` (SIGINT, as Ctrl-C), `p.terminate()` (SIGTERM), `p.kill()` (SIGKILL), `os.kill(pid, n)`, `p.exitcode`.
//!
//! An exit code below zero is the number of the signal that ended it. SIGINT ends a process here as it does every program that
//! does not handle it; in Python it is an exception, and the code 1.
#![expect(clippy::print_stdout, reason = "an example speaks")]

use multiproc::{Process, os};

mod pace;

fn sleep() {
    pace::sleep(60.0);
}

fn started() -> multiproc::Result<Process> {
    Process::builder(sleep, ()).start()
}

fn main() -> multiproc::Result<()> {
    let process = started()?;
    process.interrupt()?;
    println!("interrupted: {}", process.join()?);

    let process = started()?;
    process.terminate()?;
    println!("terminated: {}", process.join()?);

    let process = started()?;
    process.kill()?;
    println!("killed: {}", process.join()?);

    let process = started()?;
    // By its number: only while the handle lives is it certain that the number is still its own.
    os::kill(process.pid().expect("it was started"), 10)?;
    println!("sent SIGUSR1: {}", process.join()?);
    Ok(())
}
