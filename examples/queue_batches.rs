//! Python: `for n in numbers: q.put(n)` in one process, `q.get()` in a loop in another; there is no call for many at once.
//!
//! Here `put_many` and `get_many` lock once and wake once for many values; without haste one calls `put` and `get`.
#![expect(clippy::print_stdout, reason = "an example speaks")]

use multiproc::{Process, Queue, Result, TryPutError};

fn write(queue: Queue<u64>) {
    queue.put_many(1..=10_000).expect("nobody closes it before");
    queue.close();
}

fn main() -> Result<()> {
    let queue = Queue::new()?;
    let mut writer = Process::new(write, (queue.clone(),));
    writer.start()?;
    let (mut count, mut sum, mut largest) = (0, 0, 0);
    // At least one, and what else is there, up to a hundred; an error when the queue is closed and empty.
    while let Ok(batch) = queue.get_many(100) {
        largest = batch.len().max(largest);
        for number in batch {
            sum += number?;
            count += 1;
        }
    }
    writer.join()?;
    println!("{count} numbers, their sum is {sum}");
    println!("no batch of more than 100: {}", largest <= 100);

    let small = Queue::with_maxsize(3)?;
    match small.try_put_many(["a", "b", "c", "d", "e"].map(str::to_owned)) {
        Err(TryPutError::Full(left)) => println!("{} are in it, no room for {left:?}", small.len()),
        other => println!("{other:?}"),
    }
    Ok(())
}
