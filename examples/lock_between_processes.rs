//! Python: `lock = Lock()`, `lock.acquire()` and `lock.release()` around three prints, in two processes.
//!
//! The guard gives the lock back when it is dropped. A lock whose owner was killed says so: here nothing needs repair.
#![expect(clippy::print_stdout, reason = "an example speaks")]

use multiproc::{AcquireError, Lock, Process, Result, current_process};

mod pace;

fn perform(lock: Lock, what: String) {
    let guard = match lock.acquire() {
        Ok(guard) => guard,
        Err(AcquireError::OwnerDied(news)) => news.repaired(),
        Err(AcquireError::Failed(error)) => panic!("{error}"),
    };
    println!("{} has the lock", current_process().name());
    for number in 1..=3 {
        println!("{what} {number}");
        pace::sleep(0.2);
    }
    drop(guard);
}

fn main() -> Result<()> {
    let lock = Lock::new()?;
    let start = |name: &str, what: &str| {
        let arguments = (lock.clone(), what.to_owned());
        Process::builder(perform, arguments).name(name).start()
    };
    let dancer = start("dance_process", "step")?;
    let singer = start("sing_process", "verse")?;
    dancer.join()?;
    singer.join()?;
    println!("free again: {}", !lock.locked());
    Ok(())
}
