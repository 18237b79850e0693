//! Python: `q.put(value)`, `q.get(True)` in an endless loop, `pw.join()`, `pr.terminate()`.
//!
//! That the writer has ended does not tell what the reader has read; here the writer's last pause leaves it the time.
#![expect(clippy::print_stdout, reason = "an example speaks")]

use multiproc::{Process, Queue};

mod pace;

fn write(queue: Queue<String>) {
    println!("writer, id {}", std::process::id());
    for value in ["A", "B", "C"] {
        println!("put {value}");
        queue
            .put(value.to_owned())
            .expect("nobody closes the queue");
        pace::sleep(0.5);
    }
}

fn read(queue: Queue<String>) {
    println!("reader, id {}", std::process::id());
    while let Ok(value) = queue.get() {
        println!("got {value}");
    }
}

fn main() -> multiproc::Result<()> {
    let queue = Queue::new()?;
    let mut writer = Process::new(write, (queue.clone(),));
    let mut reader = Process::new(read, (queue,));
    writer.start()?;
    reader.start()?;
    writer.join()?;
    reader.terminate()?;
    println!("reader ended with {}", reader.join()?);
    Ok(())
}
