//! Python: `socket`, `connect(('127.0.0.1', 9000))`, `input('>>> ').strip()` in a loop, `send`, `recv(1024)`.
//!
//! The client of `echo_server`, which tells its port: `cargo run --example echo_client -- PORT`. It ends with its input. Without a port it
//! talks to a server of its own, in a process, and says one line.
#![expect(clippy::print_stdout, reason = "an example speaks")]

use multiproc::{Fd, Process};
use std::error::Error;
use std::io::{BufRead, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};

fn talk(port: u16, input: impl BufRead) -> std::io::Result<()> {
    let mut connection = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    let mut bytes = [0; 1024];
    for line in input.lines() {
        let line = line?;
        let message = line.trim();
        if message.is_empty() {
            // What was not sent has no answer.
            continue;
        }
        connection.write_all(message.as_bytes())?;
        let length = connection.read(&mut bytes)?;
        println!("{}", String::from_utf8_lossy(&bytes[..length]));
    }
    Ok(())
}

/// Answers one client.
fn serve(server: Fd<TcpListener>) {
    let (mut connection, _address) = server.accept().expect("a client comes");
    let mut bytes = [0; 1024];
    while let Ok(length @ 1..) = connection.read(&mut bytes) {
        let answer = bytes[..length].to_ascii_uppercase();
        connection.write_all(&answer).expect("it waits");
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    if let Some(port) = std::env::args().nth(1) {
        talk(port.parse()?, std::io::stdin().lock())?;
        return Ok(());
    }
    let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let port = server.local_addr()?.port();
    let mut process = Process::new(serve, (Fd::new(server),));
    process.start()?;
    talk(port, &b"hello from a client\n"[..])?;
    println!("the server ended with {}", process.join()?);
    Ok(())
}
