//! Python: `q.put(data)` and `q.get()` with `bytes`, which are pickled, written to a pipe by a thread, read and unpickled.
//!
//! Here bytes go into shared memory with one copy, and come out with one copy into a buffer that is used again, or with none: a
//! loan is a message that is read where it lies.
#![expect(clippy::print_stdout, reason = "an example speaks")]

use multiproc::{Process, Queue, Result};

const PICTURE: usize = 1 << 20;

fn write(queue: Queue<Vec<u8>>) {
    for text in ["first", "second", ""] {
        queue.put_bytes(text.as_bytes()).expect("main reads");
    }
    let mut picture = vec![0; PICTURE];
    for value in [1, 2] {
        picture.fill(value);
        queue.put_bytes(&picture).expect("main reads");
    }
    queue.put(vec![7; 3]).expect("main reads");
}

fn main() -> Result<()> {
    let queue = Queue::new()?;
    let mut writer = Process::new(write, (queue.clone(),));
    writer.start()?;
    let mut buffer = Vec::new();
    for _ in 0..3 {
        let length = queue.get_into(&mut buffer)?;
        println!("{length} bytes: {:?}", String::from_utf8_lossy(&buffer));
    }
    for _ in 0..2 {
        let picture = queue.get_loan()?;
        let sum: usize = picture.iter().copied().map(usize::from).sum();
        println!("{} bytes, their sum is {sum}", picture.len());
    }
    println!("as a value: {:?}", queue.get()?);
    writer.join()?;
    Ok(())
}
