//! Python: `lock.acquire()` in one process and `lock.release()` in another: a `Lock` there belongs to nobody.
//!
//! Here a lock has an owner, until the owner gives its guard up. An `RLock` can be released by its owner only.
#![expect(clippy::print_stdout, reason = "an example speaks")]

use multiproc::{Error, ErrorKind, Lock, Process, Result};

fn is_refused(lock: &Lock) -> bool {
    let misuse = |error: Error| error.kind() == ErrorKind::Misuse;
    lock.release().is_err_and(misuse)
}

fn main() -> Result<()> {
    let lock = Lock::new()?;
    let guard = lock.acquire()?;
    if let Some(holder) = lock.holder() {
        let ours = holder.pid() == std::process::id();
        println!("held by {}, which is this process: {ours}", holder.name());
    }
    println!("refused while a guard owns it: {}", is_refused(&lock));

    guard.forget();
    println!("still locked: {}", lock.locked());
    let release = |lock: Lock| lock.release().expect("it was given up");
    let mut process = Process::new(release, (lock.clone(),));
    process.start()?;
    process.join()?;
    println!("locked after the release: {}", lock.locked());
    println!("refused once too often: {}", is_refused(&lock));
    Ok(())
}
