//! Python: `q = Queue()`, `q.put(n)` in one `Process`, `q.get()` in another, `try ... finally`, `join()` both.
#![expect(clippy::print_stdout, reason = "an example speaks")]

use multiproc::{Process, Queue, Result};

mod pace;

fn write(queue: Queue<u32>) {
    let put = |n| {
        println!("write {n}");
        queue.put(n)?;
        pace::sleep(1.0);
        Ok(())
    };
    let done: Result<()> = (1..5).try_for_each(put);
    println!("writer ends: {done:?}");
}

fn read(queue: Queue<u32>) {
    let get = |_| {
        println!("read {}", queue.get()?);
        pace::sleep(5.0);
        Ok(())
    };
    let done: Result<()> = (1..5).try_for_each(get);
    println!("reader ends: {done:?}");
}

fn main() -> Result<()> {
    let queue = Queue::new()?;
    let mut writer = Process::new(write, (queue.clone(),));
    let mut reader = Process::new(read, (queue,));
    writer.start()?;
    reader.start()?;
    writer.join()?;
    reader.join()?;
    println!("done");
    Ok(())
}
