//! Python: `socket`, `bind(('127.0.0.1', 9000))`, `listen`, `accept` in a loop, `Process(target=talk, args=(conn, addr))` for each
//! connection, `conn.recv(1024)`, `conn.send(msg.upper())`.
//!
//! The connection is sent to its process as `Fd<TcpStream>`: under every start method, also where a child copies nothing of its parent.
//! There the server never ends. Here it serves as many clients as its first argument says (the second is the port), by default two that
//! it brings with it; `cargo run --example echo_client -- PORT` talks to one that waits for strangers.
#![expect(clippy::print_stdout, reason = "an example speaks")]

use multiproc::{Fd, Process};
use std::error::Error;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};

/// One process for each connection; it ends with its client. It gets the address too, as there, and needs it as little.
fn talk(mut connection: Fd<TcpStream>, _address: SocketAddr) {
    let mut bytes = [0; 1024];
    loop {
        let length = match connection.read(&mut bytes) {
            Ok(length) if length > 0 => length,
            // Gone, or gone without a word.
            _ => break,
        };
        let message = &bytes[..length];
        println!("server heard {}", String::from_utf8_lossy(message));
        if connection.write_all(&message.to_ascii_uppercase()).is_err() {
            break;
        }
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

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let strangers = arguments.next().map(|text| text.parse::<usize>());
    let port = arguments.next().map_or(Ok(0), |text| text.parse())?;
    let server = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
    let port = server.local_addr()?.port();
    let count = match strangers {
        Some(count) => {
            println!("listening at port {port}");
            count?
        }
        None => {
            for name in ["egon", "alex"] {
                Process::new(client, (name.to_owned(), port)).start()?;
            }
            2
        }
    };
    let mut talks = Vec::new();
    for _ in 0..count {
        let (connection, address) = server.accept()?;
        let mut process = Process::new(talk, (Fd::new(connection), address));
        // From here on the connection is the child's alone.
        process.start()?;
        talks.push(process);
    }
    for process in talks {
        println!("talk ended with {}", process.join()?);
    }
    Ok(())
}
