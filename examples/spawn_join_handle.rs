//! `multiproc::spawn` beside `std::thread::spawn`: a handle whose `join` answers with what the function returned.
//!
//! In Python one needs a `Queue` or a pool for that. A panic in the process is an error with its place, and so is its death.
#![expect(clippy::print_stdout, reason = "an example speaks")]

use multiproc::{ErrorKind, spawn};

fn sum(from: u64, below: u64) -> u64 {
    (from..below).sum()
}

fn panics() -> u64 {
    panic!("no more bananas")
}

fn main() -> multiproc::Result<()> {
    let low = spawn(sum, (0, 500_000))?;
    let high = spawn(sum, (500_000, 1_000_000))?;
    println!("in two processes: {}", low.join()? + high.join()?);
    let thread = std::thread::spawn(|| sum(0, 1_000_000));
    println!("in a thread: {}", thread.join().expect("no panic"));

    let error = spawn(panics, ())?.join().expect_err("it panics");
    assert_eq!(error.kind(), ErrorKind::Panicked);
    let remote = error.remote().expect("it happened in another process");
    println!("a panic is an error: {}", remote.message());

    let handle = spawn(std::thread::park, ())?;
    println!("finished: {}", handle.is_finished());
    handle.process().kill()?;
    let error = handle.join().expect_err("it was killed");
    let code = error.remote().and_then(|remote| remote.exitcode());
    println!("{:?} with {code:?}", error.kind());
    Ok(())
}
