//! No twin in Python: readers are in there together, a writer is alone.
#![expect(clippy::print_stdout, reason = "an example speaks")]

use multiproc::{Result, RwLock, spawn};

/// What a child process may do at this moment: read, write.
fn others_may(lock: &RwLock) -> Result<(bool, bool)> {
    let attempt = |lock: RwLock| {
        let reads = lock.try_read().is_ok();
        (reads, lock.try_write().is_ok())
    };
    spawn(attempt, (lock.clone(),))?.join()
}

fn main() -> Result<()> {
    let lock = RwLock::new()?;
    let say = |when: &str, (read, write)| println!("{when}: read {read}, write {write}");

    say("while nobody is there", others_may(&lock)?);
    let reader = lock.read()?;
    say("while we read", others_may(&lock)?);
    drop(reader);
    let writer = lock.write()?;
    say("while we write", others_may(&lock)?);
    drop(writer);
    println!("readers: {}, a writer: {}", lock.readers(), lock.locked());
    Ok(())
}
