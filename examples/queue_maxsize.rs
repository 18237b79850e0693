//! Python: `q = Queue(3)`, `q.full()`, `q.put_nowait(n)` and `queue.Full`, `q.put(n)` that waits until another process has got one;
//! `q.qsize()`, `q.get_nowait()` and `queue.Empty`.
#![expect(clippy::print_stdout, reason = "an example speaks")]

use multiproc::{Process, Queue, Result, TryGetError, TryPutError};

mod pace;

fn read(queue: Queue<u32>) {
    pace::sleep(0.2);
    for _ in 0..4 {
        println!("read {}", queue.get().expect("four are put"));
    }
}

fn main() -> Result<()> {
    let queue = Queue::with_maxsize(3)?;
    for number in 1..=3 {
        println!("full: {}", queue.is_full());
        queue.put(number)?;
    }
    println!("full: {}, items: {}", queue.is_full(), queue.len());
    match queue.try_put(4) {
        Err(TryPutError::Full(value)) => println!("no room for {value}"),
        other => println!("{other:?}"),
    }

    let mut reader = Process::new(read, (queue.clone(),));
    reader.start()?;
    queue.put(4)?;
    println!("there was room for 4 at last");
    reader.join()?;
    match queue.try_get() {
        Err(TryGetError::Empty) => println!("nothing is left"),
        other => println!("{other:?}"),
    }
    Ok(())
}
