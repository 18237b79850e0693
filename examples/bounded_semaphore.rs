//! Python: `BoundedSemaphore(2)`: one `release()` too many is an error. Here it also gets back what a process held that was killed.
#![expect(clippy::print_stdout, reason = "an example speaks")]

use multiproc::{BoundedSemaphore, Process, Result, Semaphore};

mod pace;

fn hold(permits: BoundedSemaphore, held: Semaphore) {
    let _permit = permits.acquire().expect("one is free");
    held.release().expect("there is room");
    pace::sleep(60.0);
}

fn main() -> Result<()> {
    let permits = BoundedSemaphore::new(2)?;
    permits.acquire()?.forget();
    println!("free: {} of {}", permits.value(), permits.bound());
    permits.release()?;
    let refused = permits.release().is_err();
    println!("free: {}, refused: {refused}", permits.value());

    let held = Semaphore::new(0)?;
    let mut process = Process::new(hold, (permits.clone(), held.clone()));
    process.start()?;
    held.acquire()?.forget();
    println!("free while a child has one: {}", permits.value());
    process.kill()?;
    println!("it ended with {}", process.join()?);

    // In Python the second one would wait for ever.
    let both = (permits.acquire()?, permits.acquire()?);
    println!("both are ours, free: {}", permits.value());
    drop(both);
    println!("free: {}", permits.value());
    Ok(())
}
