//! `Fd`: a socket, a file, whatever has a descriptor, on its way to another process.

use crate::wire::descriptors;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::ops::{Deref, DerefMut};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Something with a descriptor that can be an argument of a process, and go through a [`Connection`](crate::Connection).
///
/// `T` is a `TcpStream`, `TcpListener`, `UnixStream`, `UdpSocket`, `File`, `OwnedFd` or any other type that owns one descriptor and is no more
/// than that. What arrives is another descriptor of the same open file: both processes read from the same place of a file,
/// and a connection is closed when both have closed it. Through a [`Queue`](crate::Queue) it does not go: `put` gives it back with
/// [`ErrorKind::Encode`](crate::ErrorKind::Encode).
///
/// **When a process dies**, its copy is closed; one that is on its way to it is closed too.
///
/// # Examples
/// ```
/// use multiproc::{Fd, Process};
/// use std::io::{Read, Write};
/// use std::net::{TcpListener, TcpStream};
///
/// fn greet(mut client: Fd<TcpStream>) {
///     client.write_all(b"hello").expect("the client listens");
/// }
///
/// let server = TcpListener::bind("127.0.0.1:0").expect("a port");
/// let mut client = TcpStream::connect(server.local_addr().expect("bound")).expect("it listens");
/// let (accepted, _) = server.accept().expect("a client");
/// let mut process = Process::new(greet, (Fd::new(accepted),));
/// process.start()?;
/// let mut text = String::new();
/// client.read_to_string(&mut text).expect("the process ends");
/// assert_eq!(text, "hello");
/// # process.join()?;
/// # Ok::<(), multiproc::Error>(())
/// ```
#[derive(Debug)]
pub struct Fd<T>(T);

impl<T> Fd<T> {
    /// Wraps it.
    pub fn new(value: T) -> Self {
        Self(value)
    }

    /// What is wrapped.
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T> From<T> for Fd<T> {
    fn from(value: T) -> Self {
        Self(value)
    }
}

impl<T> Deref for Fd<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> DerefMut for Fd<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

impl<T: AsFd> AsFd for Fd<T> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl<T: AsFd> Serialize for Fd<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let number = descriptors::put(self.0.as_fd(), None).map_err(serde::ser::Error::custom)?;
        number.serialize(serializer)
    }
}

impl<'de, T: From<OwnedFd>> Deserialize<'de> for Fd<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = Deserialize::deserialize(deserializer)?;
        let fd = descriptors::take(number).map_err(serde::de::Error::custom)?;
        Ok(Self(T::from(fd)))
    }
}
