//! Python: `p.terminate()` while `p` holds a `Lock`: there the lock stays locked for ever.
//!
//! Here the next owner is told, and says when it has repaired what the lock guards.
#![expect(clippy::print_stdout, reason = "an example speaks")]

use multiproc::{AcquireError, Lock, Process, Queue};

mod pace;

fn hold(lock: Lock, held: Queue<()>) {
    let _guard = lock.acquire().expect("nobody else has it");
    held.put(()).expect("main reads");
    pace::sleep(60.0);
}

fn main() -> multiproc::Result<()> {
    let (lock, held) = (Lock::new()?, Queue::new()?);
    let mut process = Process::new(hold, (lock.clone(), held.clone()));
    process.start()?;
    held.get()?;
    process.terminate()?;
    println!("the owner ended with {}", process.join()?);
    match lock.acquire() {
        Err(AcquireError::OwnerDied(news)) => {
            println!("the owner died with the lock");
            let _guard = news.repaired();
            println!("repaired, and ours: {}", lock.locked());
        }
        Err(AcquireError::Failed(error)) => return Err(error),
        Ok(_guard) => println!("nobody died"),
    }
    println!("locked: {}", lock.locked());
    Ok(())
}
