//! Python: `sub_process.start()`, `time.sleep(0.5)`, `sub_process.terminate()`: main ends without waiting for its child.
//!
//! The other way is a daemon (`process_daemon`), which is terminated by itself.
#![expect(clippy::print_stdout, reason = "an example speaks")]

use multiproc::Process;

mod pace;

fn work() {
    for step in 1.. {
        println!("step {step}");
        pace::sleep(0.2);
    }
}

fn main() -> multiproc::Result<()> {
    let mut process = Process::new(work, ());
    process.start()?;
    pace::sleep(0.5);
    process.terminate()?;
    println!("main has nothing more to do");
    Ok(())
}
