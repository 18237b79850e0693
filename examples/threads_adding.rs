//! Python: `num += 1`, ten thousand times in each of five threads, with `lock.acquire()` and `lock.release()` around it and without.
//!
//! To add one is to read, to add, and to write. Rust has no variable that two threads may write without a lock but the atomics, and those
//! add in one instruction, so the third way has to be asked for.
#![expect(clippy::print_stdout, reason = "an example speaks")]

use multiproc::threading::{Lock, Thread, current_thread};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

const TIMES: u32 = 10_000;

#[derive(Default)]
struct Numbers {
    locked: AtomicU32,
    atomic: AtomicU32,
    unguarded: AtomicU32,
}

fn read_and_write(number: &AtomicU32) {
    // Somebody else may write between the two.
    let before = number.load(Relaxed);
    number.store(before + 1, Relaxed);
}

fn calc(numbers: Arc<Numbers>, lock: Lock) {
    println!("thread {} is running...", current_thread().name());
    for _ in 0..TIMES {
        let guard = lock.acquire().expect("threads do not die alone");
        read_and_write(&numbers.locked);
        drop(guard);
        numbers.atomic.fetch_add(1, Relaxed);
        read_and_write(&numbers.unguarded);
    }
    println!("thread {} ended.", current_thread().name());
}

fn main() -> multiproc::Result<()> {
    println!("thread {} is running...", current_thread().name());
    let (numbers, lock) = (Arc::new(Numbers::default()), Lock::new()?);
    let mut threads = Vec::new();
    for _ in 0..5 {
        let thread = Thread::with_args(calc, (Arc::clone(&numbers), lock.clone()));
        thread.start()?;
        threads.push(thread);
    }
    for thread in threads {
        thread.join()?;
    }
    println!("with a lock: {}", numbers.locked.load(Relaxed));
    println!("in one instruction: {}", numbers.atomic.load(Relaxed));
    println!("without a lock: {}", numbers.unguarded.load(Relaxed));
    println!("thread {} ended.", current_thread().name());
    Ok(())
}
