//! Python: `Pipe()`, `Pipe(duplex=False)`, `send`, `recv`, `send_bytes`, `recv_bytes`, `poll`, `close`, `EOFError`.
//!
//! A pipe has two ends; each sends to the other. Who has the other end hears when one is closed, or when its process is dead.
#![expect(clippy::print_stdout, reason = "an example speaks")]

use multiproc::{Connection, ErrorKind, Pipe, Process, Result};
use std::time::Duration;

/// Receives numbers, and sends what they are in words.
fn translator(end: Connection<String, u32>) {
    let words = ["zero", "one", "two", "three"];
    for number in end.iter() {
        let number = number.expect("main sends numbers") as usize;
        let word = words.get(number).copied().unwrap_or("many");
        end.send(&word.to_owned()).expect("main receives");
    }
}

/// The end that only sends: the process ends, and with it what it has to say.
fn reporter(end: Connection<String>) {
    for step in 1..=3 {
        end.send(&format!("step {step}")).expect("main receives");
    }
}

fn never_speaks(end: Connection<String>) {
    let _asked_for_nothing = end.recv_bytes();
}

fn main() -> Result<()> {
    // Both ways, with a type for each.
    let (ours, theirs) = Pipe::<u32, String>::new()?;
    let mut process = Process::new(translator, (theirs,));
    process.start()?;
    for number in [0, 2, 7] {
        ours.send(&number)?;
        println!("{number} is {}", ours.recv()?);
    }
    drop(ours);
    println!("the translator ended with {}", process.join()?);

    // One way, until the end.
    let (reader, writer) = Pipe::one_way()?;
    let mut process = Process::new(reporter, (writer,));
    process.start()?;
    for line in reader.iter() {
        println!("heard {}", line?);
    }
    println!("that was all, it ended with {}", process.join()?);

    // Bytes as they are, a part of them too.
    let (left, right) = Pipe::<()>::new()?;
    left.send_bytes(&b"hello world"[6..])?;
    println!("something to receive: {}", right.poll()?);
    println!("bytes: {}", String::from_utf8_lossy(&right.recv_bytes()?));
    println!("something to receive: {}", right.poll()?);

    // A process that is killed is an end like any other.
    let (ours, theirs) = Pipe::<String>::new()?;
    let mut process = Process::new(never_speaks, (theirs,));
    process.start()?;
    let late = ours.recv_timeout(Duration::from_millis(10));
    println!("nothing in time: {}", late.is_err());
    process.kill()?;
    let gone = ours.recv().map_err(|error| error.kind());
    println!("killed: {}", gone == Err(ErrorKind::Disconnected));
    println!("it ended with {}", process.join()?);
    Ok(())
}
