//! A handshake over a socket: what has come of it, and what is sent. It never waits.

use super::auth::{Failure, Handshake, LONGEST, Next, Old, RANDOM};
use super::authkey::AuthKey;
use super::frame::{Header, Incoming, Refused};
use crate::error::{Error, ErrorKind, Result};
use crate::sys::{random, stream};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// What one side knows and allows.
#[derive(Clone, Debug)]
pub(super) struct Terms {
    pub(super) key: AuthKey,
    pub(super) old: Old,
}

impl Terms {
    pub(super) fn new(key: &AuthKey, legacy: bool) -> Self {
        Self {
            key: key.clone(),
            old: if legacy { Old::Accepted } else { Old::Refused },
        }
    }
}

/// Why a handshake ended without success.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The other side is not who it should be.
    Refused(Error),
    /// It has gone, or the socket fails.
    Gone(Error),
}

impl Trouble {
    pub(super) fn error(self) -> Error {
        match self {
            Self::Refused(error) | Self::Gone(error) => error,
        }
    }
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        Self::Refused(failed(failure))
    }
}

impl From<Refused> for Trouble {
    fn from(refused: Refused) -> Self {
        let text = match refused {
            Refused::TooLong(length) => {
                format!("a message of {length} bytes where no more than {LONGEST} belong")
            }
            Refused::NoLength(_) => "what came is no message".to_owned(),
        };
        Self::Refused(Error::new(ErrorKind::AuthenticationFailed, text))
    }
}

fn gone() -> Trouble {
    let text = "the other side has gone in the middle of the handshake";
    Trouble::Gone(Error::new(ErrorKind::Disconnected, text))
}

pub(super) fn failed(failure: Failure) -> Error {
    Error::new(ErrorKind::AuthenticationFailed, failure.to_string())
}

/// What one look at the socket has brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// Both sides believe each other.
    Done,
    /// A message has come, and others will.
    Message,
    /// Not even a message.
    Nothing,
}

/// A socket and the handshake over it.
#[derive(Debug)]
pub(super) struct Greeting {
    socket: OwnedFd,
    handshake: Handshake,
    incoming: Incoming,
}

/// Random bytes for a challenge.
pub(super) fn dice() -> Result<[u8; RANDOM]> {
    let mut bytes = [0; RANDOM];
    let filled = random::fill(&mut bytes);
    filled.map_err(|error| Error::os("get random bytes", error))?;
    Ok(bytes)
}

impl Greeting {
    /// Of whoever accepted the socket, and asks first.
    pub(super) fn accepting(socket: OwnedFd, terms: &Terms) -> Result<Self, Trouble> {
        let (handshake, first) = Handshake::accepting(dice().map_err(Trouble::Gone)?, terms.old);
        let greeting = Self::over(socket, handshake);
        greeting.say(&first)?;
        Ok(greeting)
    }

    /// Of whoever connected, and is asked first.
    pub(super) fn connecting(socket: OwnedFd, terms: &Terms) -> Result<Self, Trouble> {
        let handshake = Handshake::connecting(dice().map_err(Trouble::Gone)?, terms.old);
        Ok(Self::over(socket, handshake))
    }

    fn over(socket: OwnedFd, handshake: Handshake) -> Self {
        Self {
            socket,
            handshake,
            incoming: Incoming::default(),
        }
    }

    /// Reads what there is, up to the end of one message, and answers it.
    pub(super) fn step(&mut self, terms: &Terms) -> Result<Progress, Trouble> {
        while self.is_incomplete()? {
            let place = self.incoming.wants(LONGEST)?;
            match stream::recv(self.socket.as_fd(), place, false) {
                Ok(0) => return Err(gone()),
                Ok(came) => self.incoming.came(came),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Ok(Progress::Nothing);
                }
                Err(_) => return Err(gone()),
            }
        }
        let Next { send, end } = self
            .handshake
            .came(terms.key.as_bytes(), self.incoming.body());
        self.incoming.next();
        let said = send.map_or(Ok(()), |message| self.say(&message));
        match end {
            // That the other side has gone meanwhile matters less than that it was the wrong one.
            Some(Err(failure)) => Err(failure.into()),
            Some(Ok(())) => said.map(|()| Progress::Done),
            None => said.map(|()| Progress::Message),
        }
    }

    fn is_incomplete(&mut self) -> Result<bool, Trouble> {
        Ok(!self.incoming.wants(LONGEST)?.is_empty())
    }

    /// Sends a message. The few bytes of a handshake fit into the buffer of any socket; one where they do not is none to wait for.
    fn say(&self, message: &[u8]) -> Result<(), Trouble> {
        let header = Header::of(message.len() as u64);
        let frame = [header.as_bytes(), message].concat();
        match stream::send(self.socket.as_fd(), [&frame, &[]], false) {
            Ok(sent) if sent == frame.len() => Ok(()),
            _ => Err(gone()),
        }
    }

    /// Ends it, for the other side too, whoever has a copy of the socket.
    pub(super) fn end(self) {
        stream::end(self.socket.as_fd(), true, true);
    }

    pub(super) fn into_socket(self) -> OwnedFd {
        self.socket
    }
}

impl AsFd for Greeting {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
