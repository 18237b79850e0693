//! Python: `lock = RLock()`, acquired again by the same thread, and released as often; and a `Lock`, where that would never end.
#![expect(clippy::print_stdout, reason = "an example speaks")]

use multiproc::{Lock, RLock, Result, TryAcquireError, spawn};

/// Acquires the lock in each of its calls.
fn descend(lock: &RLock, levels: u32) -> Result<()> {
    let _guard = lock.acquire()?;
    println!("level {}", lock.level());
    if levels > 1 {
        descend(lock, levels - 1)?;
    } else {
        println!("free for another process: {}", is_free(lock)?);
    }
    Ok(())
}

/// A child process tries.
fn is_free(lock: &RLock) -> Result<bool> {
    spawn(|lock: RLock| lock.try_acquire().is_ok(), (lock.clone(),))?.join()
}

fn main() -> Result<()> {
    let lock = RLock::new()?;
    descend(&lock, 3)?;
    println!("free after as many releases: {}", is_free(&lock)?);

    let lock = Lock::new()?;
    let guard = lock.acquire()?;
    // `acquire` would wait for ever: a deadlock of one thread.
    match lock.try_acquire() {
        Err(TryAcquireError::Busy) => println!("a Lock cannot be had twice"),
        other => println!("this should not be: {other:?}"),
    }
    drop(guard);
    Ok(())
}
