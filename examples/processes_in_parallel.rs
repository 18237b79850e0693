//! Python: a function called twice in a loop, then `Process(target=long_time_task, args=(i,))` twice, `start()`, `join()`,
//! `os.getpid()`, `time.time()`. In turn the naps add up, side by side they do not.
#![expect(clippy::print_stdout, reason = "an example speaks")]

use multiproc::Process;
use std::time::Instant;

mod pace;

fn long_task(number: u32) {
    println!("task {number} in process {}", std::process::id());
    pace::sleep(2.0);
    println!("result {}", 8_u64.pow(20));
}

fn main() -> multiproc::Result<()> {
    println!("parent, id {}", std::process::id());
    let begin = Instant::now();
    long_task(1);
    long_task(2);
    println!("in turn: {:.2} s", begin.elapsed().as_secs_f64());

    let begin = Instant::now();
    let mut first = Process::new(long_task, (3,));
    let mut second = Process::new(long_task, (4,));
    println!("waiting for both");
    first.start()?;
    second.start()?;
    first.join()?;
    second.join()?;
    println!("side by side: {:.2} s", begin.elapsed().as_secs_f64());
    Ok(())
}
