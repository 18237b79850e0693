//! Python: `q.shutdown()`, `q.shutdown(immediate=True)` and `queue.ShutDown`, which `queue.Queue` has and `multiprocessing.Queue` has not:
//! there `q.close()` is for the calling process only.
//!
//! Here both are for all processes, and whoever waits wakes up.
#![expect(clippy::print_stdout, reason = "an example speaks")]

use multiproc::{GetError, Process, PutError, Queue, Result};

/// Everything that is inside, then the reason why no more comes.
fn drain(name: String, queue: Queue<u32>) {
    let reason = loop {
        match queue.get() {
            Ok(number) => println!("{name} got {number}"),
            Err(reason) => break reason,
        }
    };
    println!("{name}: closed {}", matches!(reason, GetError::Closed));
}

fn main() -> Result<()> {
    let queue = Queue::new()?;
    for number in 1..=3 {
        queue.put(number)?;
    }
    queue.shutdown(false);
    match queue.put(4) {
        Err(PutError::Closed(number)) => println!("too late for {number}"),
        other => println!("{other:?}"),
    }
    let mut reader = Process::new(drain, ("egon".to_owned(), queue));
    reader.start()?;
    reader.join()?;

    let queue = Queue::new()?;
    for number in 1..=3 {
        queue.put(number)?;
    }
    queue.shutdown(true);
    println!("closed: {}, items: {}", queue.is_closed(), queue.len());
    let mut reader = Process::new(drain, ("alex".to_owned(), queue));
    reader.start()?;
    reader.join()?;

    // One that sleeps in `get`, or is about to, hears of it too.
    let queue = Queue::new()?;
    let mut reader = Process::new(drain, ("piao".to_owned(), queue.clone()));
    reader.start()?;
    queue.shutdown(false);
    reader.join()?;
    Ok(())
}
