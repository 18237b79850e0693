//! Python: `Thread(target=long_time_task, args=(1,))` twice, `start`, `join`, `current_thread().name`, `time.time()`.
//!
//! Both tasks sleep at the same time, so the two take as long as one. Without a name a thread is called after its function.
#![expect(clippy::print_stdout, reason = "an example speaks")]

use multiproc::threading::{Thread, current_thread};
use std::time::Instant;

mod pace;

fn long_time_task(number: u32) {
    println!("{}: task {number}", current_thread().name());
    pace::sleep(2.0);
    println!("result: {}", 8_u64.pow(20));
}

fn main() -> multiproc::Result<()> {
    println!("the main thread: {}", current_thread().name());
    let begin = Instant::now();
    let first = Thread::with_args(long_time_task, (1,));
    let second = Thread::with_args(long_time_task, (2,));
    println!("waiting for both");
    first.start()?;
    second.start()?;
    first.join()?;
    second.join()?;
    let slow = begin.elapsed() >= 2 * pace::lasting(2.0);
    let verdict = if slow { "no less" } else { "less" };
    println!("that took {verdict} than two tasks in turn");
    Ok(())
}
