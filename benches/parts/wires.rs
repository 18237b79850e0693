//! Connections of this crate and bare sockets, as ways for numbers and bytes. Both directions of one pair: one clone goes there, the
//! other back.
#![expect(unsafe_code, reason = "ends that are for one thread at a time")]

use super::traffic::{Freight, Way};
use multiproc::{Connection, Pipe};
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::sync::Arc;

/// What one process or thread has for itself, although all see it.
struct Alone<T>(T);

// SAFETY: of a pair, each member of a crew uses its own end only.
unsafe impl<T: Send> Sync for Alone<T> {}

/// The ends of a pair, and which of them sends.
pub(crate) struct Wire<E> {
    ends: Arc<Alone<(E, E)>>,
    back: bool,
}

impl<E> Clone for Wire<E> {
    fn clone(&self) -> Self {
        Self {
            ends: Arc::clone(&self.ends),
            back: self.back,
        }
    }
}

impl<E> Wire<E> {
    pub(crate) fn new(ends: (E, E)) -> Self {
        Self {
            ends: Arc::new(Alone(ends)),
            back: false,
        }
    }

    /// The same pair, there and back.
    pub(crate) fn both(self) -> (Self, Self) {
        let mut back = self.clone();
        back.back = true;
        (self, back)
    }

    pub(crate) fn sender(&self) -> &E {
        let (left, right) = &self.ends.0;
        if self.back { right } else { left }
    }

    pub(crate) fn receiver(&self) -> &E {
        let (left, right) = &self.ends.0;
        if self.back { left } else { right }
    }
}

/// Messages of bytes.
pub(crate) fn connection() -> Wire<Connection<()>> {
    Wire::new(Pipe::new().expect("a pipe"))
}

/// Numbers as values.
pub(crate) fn values() -> Wire<Connection<u64>> {
    Wire::new(Pipe::new().expect("a pipe"))
}

/// A socket pair as it comes.
pub(crate) fn sockets() -> Wire<UnixStream> {
    Wire::new(UnixStream::pair().expect("a pair"))
}

impl Way for Wire<Connection<()>> {
    fn put(&self, number: u64) {
        let sent = self.sender().send_bytes(&number.to_ne_bytes());
        sent.expect("open");
    }

    fn get(&self) -> u64 {
        let mut bytes = [0; 8];
        let length = self.receiver().recv_bytes_into(&mut bytes);
        assert_eq!(length.expect("open"), 8);
        u64::from_ne_bytes(bytes)
    }
}

impl Freight for Wire<Connection<()>> {
    fn put(&self, bytes: &[u8]) {
        self.sender().send_bytes(bytes).expect("open");
    }

    fn get(&self, buffer: &mut Vec<u8>, look: impl FnOnce(&[u8])) {
        let length = self.receiver().recv_bytes_into(buffer).expect("open");
        look(&buffer[..length]);
    }
}

impl Way for Wire<Connection<u64>> {
    fn put(&self, number: u64) {
        self.sender().send(&number).expect("open");
    }

    fn get(&self) -> u64 {
        self.receiver().recv().expect("open")
    }
}

impl Way for Wire<UnixStream> {
    fn put(&self, number: u64) {
        let sent = self.sender().write_all(&number.to_ne_bytes());
        sent.expect("open");
    }

    fn get(&self) -> u64 {
        let mut bytes = [0; 8];
        self.receiver().read_exact(&mut bytes).expect("open");
        u64::from_ne_bytes(bytes)
    }
}

/// All have the same length, which is not said.
impl Freight for Wire<UnixStream> {
    fn put(&self, bytes: &[u8]) {
        self.sender().write_all(bytes).expect("open");
    }

    fn get(&self, buffer: &mut Vec<u8>, look: impl FnOnce(&[u8])) {
        self.receiver().read_exact(buffer).expect("open");
        look(buffer);
    }
}
