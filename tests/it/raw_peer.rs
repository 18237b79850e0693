//! The other end of a connection, by hand: a socket, frames, and as much of the handshake as a test likes.

use hmac::digest::KeyInit as _;
use hmac::{Hmac, Mac as _};
use multiproc::Address;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixStream};

/// A socket of either family.
pub(crate) trait Socket: Read + Write + Send {}
impl<T: Read + Write + Send> Socket for T {}

/// Connects, and says nothing.
pub(crate) fn connect(address: &Address) -> Box<dyn Socket> {
    match address {
        Address::Tcp(address) => Box::new(TcpStream::connect(address).unwrap()),
        Address::Unix(path) => Box::new(UnixStream::connect(path).unwrap()),
        Address::Abstract(name) => {
            let address = SocketAddr::from_abstract_name(name).unwrap();
            Box::new(UnixStream::connect_addr(&address).unwrap())
        }
        other => panic!("{other}"),
    }
}

/// The bytes of a message.
pub(crate) fn frame(message: &[u8]) -> Vec<u8> {
    let length = i32::try_from(message.len()).unwrap();
    [&length.to_be_bytes(), message].concat()
}

/// A message; none at the end.
pub(crate) fn hear(socket: &mut impl Read) -> Option<Vec<u8>> {
    let mut length = [0; 4];
    match socket.read_exact(&mut length) {
        Err(error) if is_end(&error) => return None,
        other => other.unwrap(),
    }
    let mut message = vec![0; usize::try_from(i32::from_be_bytes(length)).unwrap()];
    socket.read_exact(&mut message).unwrap();
    Some(message)
}

fn is_end(error: &io::Error) -> bool {
    [io::ErrorKind::UnexpectedEof, io::ErrorKind::ConnectionReset].contains(&error.kind())
}

/// Sends a message.
pub(crate) fn say(socket: &mut impl Write, message: &[u8]) {
    socket.write_all(&frame(message)).unwrap();
}

/// The answer to a challenge with the key.
pub(crate) fn answer(key: &[u8], challenge: &[u8]) -> Vec<u8> {
    let challenge = challenge.strip_prefix(b"#CHALLENGE#").unwrap();
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(key).unwrap();
    mac.update(challenge);
    [b"{sha256}", &mac.finalize().into_bytes()[..]].concat()
}

/// A challenge, the same each time.
pub(crate) fn challenge() -> Vec<u8> {
    [&b"#CHALLENGE#{sha256}"[..], &[7; 40]].concat()
}
