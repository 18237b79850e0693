//! Frames out.

use super::super::frame::{Header, SHORT_HEAD};
use super::{Direction, Stream};
use crate::error::{Error, ErrorKind, Result};
use crate::sys::clock::Deadline;
use crate::sys::stream::{self, Sort};
use crate::wire::descriptors::Luggage;
use std::os::fd::BorrowedFd;

impl Stream {
    /// Sends a frame.
    pub(in crate::ipc) fn send(
        &self,
        body: &[u8],
        luggage: Luggage,
        deadline: Deadline,
    ) -> Result<()> {
        self.may_write()?;
        if !luggage.is_empty() {
            self.must_be_local()?;
        }
        let length = body.len() as u64;
        let begun = self.begun.get();
        let header = if luggage.is_empty() && !begun {
            Header::of(length)
        } else {
            Header::long(length)
        };
        let (header, all) = (header.as_bytes(), header.as_bytes().len() + body.len());
        let mut sent = if begun { SHORT_HEAD } else { 0 };
        let result = self
            .send_luggage(header, &luggage, &mut sent, deadline)
            .and_then(|()| self.send_rest(header, body, &mut sent, deadline));
        // What says that the long form follows is good for any other message too.
        self.begun
            .set(result.is_err() && sent == SHORT_HEAD && header.len() > SHORT_HEAD);
        match &result {
            Ok(()) => drop(luggage.depart()),
            Err(_) if self.begun.get() => {}
            // Where nobody is left, nobody can misread the rest.
            Err(error) if error.kind() == ErrorKind::Disconnected => {}
            Err(_) if sent > 0 && sent < all => self.stop(false, true),
            Err(_) => {}
        }
        result
    }

    fn must_be_local(&self) -> Result<()> {
        if self.local {
            return Ok(());
        }
        let text = "descriptors travel only between processes of one machine";
        Err(Error::new(ErrorKind::Encode, text))
    }

    /// Sends the descriptors, each group of them with a byte of the long form's length: then nobody has to look for some before he has
    /// seen that form.
    fn send_luggage(
        &self,
        header: &[u8],
        luggage: &Luggage,
        sent: &mut usize,
        deadline: Deadline,
    ) -> Result<()> {
        if luggage.is_empty() {
            return Ok(());
        }
        while *sent < SHORT_HEAD {
            *sent += self.patiently(Direction::Out, deadline, |patient| {
                stream::send(self.fd(), [&header[*sent..SHORT_HEAD], &[]], patient)
            })?;
        }
        for fds in luggage.fds().chunks(stream::MOST_DESCRIPTORS) {
            let byte = &header[*sent..=*sent];
            *sent += self.patiently(Direction::Out, deadline, |patient| {
                stream::send_with(self.fd(), [byte, &[]], fds, patient)
            })?;
        }
        Ok(())
    }

    fn send_rest(
        &self,
        header: &[u8],
        body: &[u8],
        sent: &mut usize,
        deadline: Deadline,
    ) -> Result<()> {
        while *sent < header.len() + body.len() {
            let parts = [
                &header[(*sent).min(header.len())..],
                &body[sent.saturating_sub(header.len())..],
            ];
            *sent += self.patiently(Direction::Out, deadline, |patient| {
                stream::send(self.fd(), parts, patient)
            })?;
        }
        Ok(())
    }

    /// Sends a descriptor outside of any frame.
    pub(in crate::ipc) fn send_fd(&self, fd: BorrowedFd<'_>) -> Result<()> {
        self.may_write()?;
        self.must_be_local()?;
        self.must_be_between()?;
        let moves = stream::sort(fd) != Sort::Other;
        let count = |by| {
            if moves {
                stream::count_moves(fd, [true; 2], by);
            }
        };
        // Before it is gone: who gets it may look at once.
        count(1);
        let sent = self.patiently(Direction::Out, Deadline::NEVER, |patient| {
            stream::send_with(self.fd(), [&[1], &[]], &[fd], patient)
        });
        sent.map(drop).inspect_err(|_| count(-1))
    }
}
