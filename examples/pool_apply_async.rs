//! Python: `cpu_count()`, `Pool(4)`, `apply_async(long_time_task, args=(i,))` five times, `close()`, `join()`.
//!
//! Python drops what the tasks return or raise; here each result says it.
#![expect(clippy::print_stdout, reason = "an example speaks")]

use multiproc::{Pool, Result, cpu_count};
use std::time::Instant;

mod pace;

fn square(x: u64) -> u64 {
    println!("task {x} in process {}", std::process::id());
    pace::sleep(2.0);
    x * x
}

fn main() -> Result<()> {
    println!("{} CPUs, parent {}", cpu_count(), std::process::id());
    let begin = Instant::now();
    let pool = Pool::new(4)?;
    let results = (0..5).map(|x| pool.apply_async(square, (x,)));
    let results = results.collect::<Result<Vec<_>>>()?;
    println!("waiting for all tasks");
    pool.close();
    pool.join()?;
    for (x, result) in results.into_iter().enumerate() {
        println!("task {x} gave {}", result.get()?);
    }
    println!("in all {:.2} s", begin.elapsed().as_secs_f64());
    Ok(())
}
