//! Python: `q.put(x)` in several processes, and `q.get()` in a loop that has to be told when they are done: by a `None` from each of
//! them, and one that is killed sends none.
//!
//! Here the queue has two ends. A reader hears when the last process with a sender is gone, however it went; a writer hears when
//! nobody reads any more.
#![expect(clippy::print_stdout, reason = "an example speaks")]

use multiproc::{GetError, Process, PutError, Queue, Result, Sender};

mod pace;

fn produce(name: String, sender: Sender<String>) {
    for number in 1..=3 {
        let message = format!("{name} {number}");
        sender.send(message).expect("main reads");
        pace::sleep(0.02);
        if name == "piao" {
            pace::sleep(600.0);
        }
    }
}

fn main() -> Result<()> {
    let (sender, receiver) = Queue::new()?.split()?;
    let mut producers = Vec::new();
    for name in ["egon", "alex", "piao"] {
        let mut producer = Process::new(produce, (name.to_owned(), sender.clone()));
        producer.start()?;
        producers.push(producer);
    }
    // Our own one counts too.
    drop(sender);

    for message in &receiver {
        let message = message?;
        println!("got {message}");
        if message == "piao 1" {
            producers[2].kill()?;
        }
    }
    match receiver.recv() {
        Err(GetError::Disconnected) => println!("all producers are gone"),
        other => println!("{other:?}"),
    }
    for producer in &producers {
        println!("one ended with {}", producer.join()?);
    }

    let (sender, receiver) = Queue::new()?.split()?;
    drop(receiver);
    match sender.send("hello".to_owned()) {
        Err(PutError::Disconnected(message)) => println!("nobody will read {message:?}"),
        other => println!("{other:?}"),
    }
    Ok(())
}
