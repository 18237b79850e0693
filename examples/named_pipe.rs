//! Python: `os.mkfifo(path)`, `open(path)` and `open(path, "w")`, `for line in pipe`, `write`; frames as `Connection` writes them.
//!
//! A pipe with a path: any program that knows it can be at the other end. Both ends wait for each other, not longer than is wanted.
#![expect(clippy::print_stdout, reason = "an example speaks")]

use multiproc::{ErrorKind, NamedPipe, Process, Result};
use std::process::Command;
use std::time::Duration;

fn reporter(pipe: NamedPipe) {
    let mut end = pipe.open_writer().expect("main reads");
    for step in 1..=3 {
        end.write_line(&format!("step {step}")).expect("main reads");
    }
}

fn courier(pipe: NamedPipe) {
    let mut end = pipe.open_writer().expect("main reads");
    end.send_bytes(&[7; 100_000]).expect("main reads");
    end.send_bytes(b"that was all").expect("main reads");
}

fn main() -> Result<()> {
    let path = std::env::temp_dir().join(format!("example-{}", std::process::id()));
    let pipe = NamedPipe::create(&path)?;

    let late = pipe.open_reader_timeout(Duration::from_millis(20));
    println!(
        "nobody writes: {:?}",
        late.map_err(|error| error.kind()).err()
    );

    // The path travels; it stays ours.
    let mut process = Process::new(reporter, (NamedPipe::open(&path)?,));
    process.start()?;
    for line in pipe.open_reader()?.lines() {
        println!("read {}", line?);
    }
    process.join()?;

    let mut process = Process::new(courier, (NamedPipe::open(&path)?,));
    process.start()?;
    let mut end = pipe.open_reader()?;
    println!("a message of {} bytes", end.recv_bytes()?.len());
    println!("a message: {}", String::from_utf8_lossy(&end.recv_bytes()?));
    let ended = end.recv_bytes().map_err(|error| error.kind());
    println!(
        "the writer has gone: {}",
        ended == Err(ErrorKind::Disconnected)
    );
    process.join()?;
    drop(end);

    // A program that knows nothing of this crate.
    let script = format!("echo from a shell > '{}'", path.display());
    let mut shell = Command::new("sh").args(["-c", &script]).spawn();
    println!(
        "read {}",
        pipe.open_reader()?.read_line()?.unwrap_or_default()
    );
    let _ended = shell.as_mut().map(std::process::Child::wait);

    drop(pipe);
    println!("the path is still there: {}", path.exists());
    Ok(())
}
