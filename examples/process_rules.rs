//! Python: `join()` of a process that was not started, `start()` twice, a daemon that starts a process: `AssertionError`; any
//! use after `close()`: `ValueError`. Here they are errors to match on.
#![expect(clippy::print_stdout, reason = "an example speaks")]

use multiproc::{Process, Queue};

fn nothing() {}

fn daemon(answer: Queue<String>) {
    let refused = Process::new(nothing, ()).start();
    let refused = refused.expect_err("daemons may not have children");
    answer.put(refused.to_string()).expect("main reads");
}

fn main() -> multiproc::Result<()> {
    let mut process = Process::new(nothing, ());
    let refused = process.join().expect_err("it was not started");
    println!("join before start: {refused}");
    process.start()?;
    let refused = process.start().expect_err("it was started");
    println!("start twice: {refused}");
    process.join()?;
    process.close()?;
    let refused = process.join().expect_err("it is closed");
    println!("join after close: {refused}");

    let answer = Queue::new()?;
    let process = Process::builder(daemon, (answer.clone(),)).daemon(true);
    let process = process.start()?;
    println!("start in a daemon: {}", answer.get()?);
    process.join()?;
    Ok(())
}
