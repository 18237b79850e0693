//! Python: `num += 1`, ten thousand times in each of five workers, with `lock.acquire()` and `lock.release()` around it and without.
//!
//! There it is done by threads, and so can processes here. To add one is to read, to add, and to write: whoever does the three as
//! one loses nothing.
#![expect(clippy::print_stdout, reason = "an example speaks")]

use multiproc::{Process, RawValue, Result, Value, current_process};

const TIMES: u32 = 10_000;

fn calc(locked: Value<u32>, atomic: RawValue<u32>, unguarded: RawValue<u32>) -> Result<()> {
    println!("process {} is running...", current_process().name());
    for _ in 0..TIMES {
        locked.update(|number| *number += 1)?;
        atomic.fetch_add(1)?;
        // Somebody else may write between the two.
        let number = unguarded.get()?;
        unguarded.set(number + 1)?;
    }
    println!("process {} ended.", current_process().name());
    Ok(())
}

fn main() -> Result<()> {
    let locked = Value::new(0)?;
    let (atomic, unguarded) = (RawValue::new(0)?, RawValue::new(0)?);
    let work = |a, b, c| calc(a, b, c).expect("main lives");
    let mut processes = Vec::new();
    for _ in 0..5 {
        let numbers = (locked.clone(), atomic.clone(), unguarded.clone());
        let mut process = Process::new(work, numbers);
        process.start()?;
        processes.push(process);
    }
    for process in &mut processes {
        process.join()?;
    }
    println!("with the value's lock: {}", locked.get()?);
    println!("in one instruction: {}", atomic.load()?);
    println!("without a lock: {}", unguarded.get()?);
    Ok(())
}
