//! Python: `server.accept()` in a loop, `Process(target=talk, args=(conn, addr))` for each connection, `conn.recv`, `conn.send`;
//! the client's `connect`, `send`, `recv`.
//!
//! The process is a fork, which copies the connection; in `echo_server` it is sent. There the server never ends, here it serves two
//! clients, which are processes too.
#![expect(clippy::print_stdout, reason = "an example speaks")]

use multiproc::Process;
use std::io::{Read as _, Result, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};

fn talk(mut connection: TcpStream) -> Result<()> {
    let mut bytes = [0; 1024];
    loop {
        let length = connection.read(&mut bytes)?;
        if length == 0 {
            return Ok(());
        }
        let message = String::from_utf8_lossy(&bytes[..length]);
        println!("server heard {message}");
        connection.write_all(message.to_uppercase().as_bytes())?;
    }
}

fn client(name: String, port: u16) {
    let connected = TcpStream::connect((Ipv4Addr::LOCALHOST, port));
    let mut connection = connected.expect("the server listens");
    let mut bytes = [0; 1024];
    for word in ["hello", "goodbye"] {
        let sent = connection.write_all(format!("{word} {name}").as_bytes());
        sent.expect("the server reads");
        let length = connection.read(&mut bytes).expect("the server answers");
        println!("client heard {}", String::from_utf8_lossy(&bytes[..length]));
    }
}

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let port = server.local_addr()?.port();
    for name in ["egon", "alex"] {
        Process::new(client, (name.to_owned(), port)).start()?;
    }
    let mut talks = Vec::new();
    for _ in 0..2 {
        let (connection, _address) = server.accept()?;
        let mut process = Process::fork(move || talk(connection).expect("a client that stays"));
        process.start()?;
        talks.push(process);
    }
    for process in talks {
        println!("talk ended with {}", process.join()?);
    }
    Ok(())
}
