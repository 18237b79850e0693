//! Python: `multiprocessing.connection.wait(readers)`, with the loop of the documentation: `for r in wait(readers): try: r.recv()`,
//! `except EOFError: readers.remove(r)`; sentinels of processes beside them.
#![expect(clippy::print_stdout, reason = "an example speaks")]

use multiproc::{Connection, ErrorKind, Pipe, Process, Result, wait};
use std::os::fd::AsFd;
use std::time::Duration;

mod pace;

type Message = (u32, String);

fn counts(end: Connection<Message>, name: String) {
    for number in 0..3 {
        end.send(&(number, name.clone())).expect("main receives");
        pace::sleep(0.1);
    }
}

fn sleeps(seconds: f64) {
    pace::sleep(seconds);
}

/// Whatever comes first, until all are at their end.
fn from_all(mut readers: Vec<Connection<Message>>) -> Result<()> {
    while !readers.is_empty() {
        let objects: Vec<&dyn AsFd> = readers.iter().map(|reader| reader as _).collect();
        // From the last on, so that the places of the others stay theirs when one goes.
        for place in wait(&objects, None)?.into_iter().rev() {
            match readers[place].recv() {
                Ok((number, name)) => println!("{number} of {name}"),
                Err(error) if error.kind() == ErrorKind::Disconnected => {
                    readers.remove(place);
                    println!("one is at its end, {} left", readers.len());
                }
                Err(error) => return Err(error),
            }
        }
    }
    Ok(())
}

fn main() -> Result<()> {
    let mut readers = Vec::new();
    for name in ["egon", "alex", "piao"] {
        let (reader, writer) = Pipe::one_way()?;
        Process::new(counts, (writer, name.to_owned())).start()?;
        readers.push(reader);
    }
    from_all(readers)?;

    // The end of a process is something to wait for, too; so are sockets, files, all that has a descriptor.
    let (ours, _theirs) = Pipe::<u8>::new()?;
    let mut process = Process::new(sleeps, (0.1,));
    process.start()?;
    let sentinel = process.sentinel()?;
    println!("ready: {:?}", wait(&[&ours, &sentinel], None)?);
    let nothing = wait(&[&ours], Some(Duration::from_millis(1)))?;
    println!("in time: {nothing:?}");
    Ok(())
}
