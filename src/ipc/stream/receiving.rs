//! Frames in.

use super::super::frame::{Incoming, Refused};
use super::{CUT, Direction, ENDED, Stream, ended, gone, refused};
use crate::error::{Error, ErrorKind, Result};
use crate::sys::clock::Deadline;
use crate::sys::limits;
use crate::sys::stream::{self, Came};
use std::io;
use std::os::fd::OwnedFd;

/// A message whose descriptors found no room is lost; the next one is not.
fn all_came(lost: bool) -> Result<()> {
    if lost {
        let full = io::Error::from_raw_os_error(nix::libc::EMFILE);
        return Err(Error::os("receive a descriptor", full));
    }
    Ok(())
}

/// One message leaves half of the descriptors that this process may have to everything else: others that it brings are closed.
fn bound(came: &mut Came) {
    let limit = limits::limit(nix::libc::RLIMIT_NOFILE).map_or(0, |(soft, _)| soft / 2);
    let most = usize::try_from(limit).unwrap_or(usize::MAX);
    if came.fds.len() > most {
        came.fds.truncate(most);
        came.lost = true;
    }
}

impl Stream {
    /// Receives up to the end of a frame, whose body stays in the buffer.
    fn receive(&self, limit: u64, deadline: Deadline) -> Result<()> {
        self.may_read()?;
        let limit = limit.min(self.max_message);
        let mut incoming = self.incoming.borrow_mut();
        loop {
            let laden = self.local && incoming.is_long();
            let place = incoming.wants(limit).map_err(|why| self.refused(why))?;
            if place.is_empty() {
                return Ok(());
            }
            match self.receive_some(place, laden, deadline)? {
                0 => return Err(self.ended(&incoming)),
                came => incoming.came(came),
            }
        }
    }

    /// The rest of the message cannot be told from the next one.
    fn refused(&self, why: Refused) -> Error {
        drop(self.came.take());
        self.stop(true, false);
        refused(why)
    }

    /// What came with a message that will never be whole is closed.
    fn ended(&self, incoming: &Incoming) -> Error {
        drop(self.came.take());
        ended(incoming)
    }

    /// 0 is the end.
    fn receive_some(&self, place: &mut [u8], laden: bool, deadline: Deadline) -> Result<usize> {
        let came = self.patiently(Direction::In, deadline, |patient| {
            if laden {
                let mut came = self.came.borrow_mut();
                let received = stream::recv_with(self.fd(), place, &mut came, patient);
                bound(&mut came);
                received
            } else {
                stream::recv(self.fd(), place, patient)
            }
        });
        match came {
            // It was closed before it had received all that we had sent: what we wanted to know is that it is closed.
            Err(error) if error.kind() == ErrorKind::Disconnected => Ok(0),
            other => other,
        }
    }

    /// Receives a frame and has it read; its buffer is used again.
    pub(in crate::ipc) fn receive_and<T>(
        &self,
        deadline: Deadline,
        read: impl FnOnce(&[u8], Vec<OwnedFd>) -> T,
    ) -> Result<T> {
        self.receive(u64::MAX, deadline)?;
        let came = self.came.take();
        if came.lost {
            self.incoming.borrow_mut().next();
        }
        all_came(came.lost)?;
        // Taken away meanwhile: what reads may receive from us itself.
        let mut incoming = self.incoming.take();
        let value = read(incoming.body(), came.fds);
        incoming.next();
        self.incoming.replace(incoming);
        Ok(value)
    }

    /// Receives the bytes of a frame of at most `limit` bytes. Descriptors that came with it are closed.
    pub(in crate::ipc) fn receive_bytes(&self, limit: u64, deadline: Deadline) -> Result<Vec<u8>> {
        self.receive(limit, deadline)?;
        drop(self.came.take());
        Ok(self.incoming.borrow_mut().take())
    }

    /// Receives the bytes of a frame where they shall be; the whole message, where they have no room.
    pub(in crate::ipc) fn receive_into(&self, buffer: &mut [u8]) -> Result<Result<usize, Vec<u8>>> {
        self.receive_head()?;
        let announced = self.incoming.borrow_mut().announced(self.max_message);
        let length = announced.ok().flatten().unwrap_or(0);
        let place = usize::try_from(length)
            .ok()
            .and_then(|length| buffer.get_mut(..length));
        let Some(place) = place.filter(|_| self.incoming.borrow().body().is_empty()) else {
            let bytes = self.receive_bytes(u64::MAX, Deadline::NEVER)?;
            return Ok(match buffer.get_mut(..bytes.len()) {
                Some(place) => {
                    place.copy_from_slice(&bytes);
                    Ok(bytes.len())
                }
                None => Err(bytes),
            });
        };
        let mut filled = 0;
        while filled < place.len() {
            let came = self.receive_some(&mut place[filled..], false, Deadline::NEVER);
            match came {
                Ok(came) if came > 0 => filled += came,
                other => {
                    // What has come is in the caller's buffer: nobody can go on from here.
                    self.stop(true, false);
                    return Err(other.err().unwrap_or_else(|| gone(CUT)));
                }
            }
        }
        drop(self.came.take());
        self.incoming.borrow_mut().next();
        Ok(Ok(filled))
    }

    /// Receives up to the end of the head of a frame.
    fn receive_head(&self) -> Result<()> {
        self.may_read()?;
        let mut incoming = self.incoming.borrow_mut();
        loop {
            let announced = incoming
                .announced(self.max_message)
                .map_err(|why| self.refused(why))?;
            if announced.is_some() {
                return Ok(());
            }
            let laden = self.local && incoming.is_long();
            let place = incoming.wants(self.max_message).map_err(refused)?;
            match self.receive_some(place, laden, Deadline::NEVER)? {
                0 => return Err(self.ended(&incoming)),
                came => incoming.came(came),
            }
        }
    }

    /// Receives a descriptor that was sent outside of any frame.
    pub(in crate::ipc) fn receive_fd(&self) -> Result<OwnedFd> {
        self.may_read()?;
        self.must_be_between()?;
        let mut received = Came::default();
        let mut byte = [0];
        let came = self.patiently(Direction::In, Deadline::NEVER, |patient| {
            stream::recv_with(self.fd(), &mut byte, &mut received, patient)
        })?;
        all_came(received.lost)?;
        let mut fds = received.fds;
        match (came, fds.pop()) {
            (_, Some(fd)) if fds.is_empty() && byte == [1] => Ok(fd),
            (0, _) => Err(gone(ENDED)),
            _ => {
                let text = "there is no descriptor where one should be";
                Err(Error::new(ErrorKind::Decode, text))
            }
        }
    }
}
