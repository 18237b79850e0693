//! Frames: how Python's connections mark where a message ends.
//!
//! A length of at most `0x7fff_ffff` goes before its message as four bytes, signed, the largest first; a larger one as `-1` and eight
//! bytes. Nothing here reads or writes: [`Incoming`] says where the next bytes belong, and is told how many have come. It never makes
//! room for much more than has come already, whatever length was announced.

/// Bytes of the short form, and of what says that the long one follows.
pub(crate) const SHORT_HEAD: usize = 4;

/// Says that the length follows in the long form.
const LONG: i32 = -1;

/// Room that is made for a message before its first byte has come.
const FIRST_ROOM: usize = 1 << 20;

/// The bytes before a message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Header {
    bytes: [u8; 12],
    length: usize,
}

impl Header {
    /// That of a message of so many bytes.
    pub(crate) fn of(length: u64) -> Self {
        let Ok(short) = i32::try_from(length) else {
            return Self::long(length);
        };
        let mut bytes = [0; 12];
        bytes[..SHORT_HEAD].copy_from_slice(&short.to_be_bytes());
        Self {
            bytes,
            length: SHORT_HEAD,
        }
    }

    /// The same in the long form, which is good for every length.
    pub(crate) fn long(length: u64) -> Self {
        let mut bytes = [0; 12];
        bytes[..SHORT_HEAD].copy_from_slice(&LONG.to_be_bytes());
        bytes[SHORT_HEAD..].copy_from_slice(&length.to_be_bytes());
        Self { bytes, length: 12 }
    }

    /// The bytes to send.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

/// Why a message is not received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// It is longer than the limit: so many bytes.
    TooLong(u64),
    /// What came is no length.
    NoLength(i32),
}

/// A message that is being received. Its buffer is used again for the next one.
#[derive(Debug, Default)]
pub(crate) struct Incoming {
    head: [u8; 12],
    /// Bytes of `head` that have come.
    headed: usize,
    /// Known once the head is complete.
    length: Option<u64>,
    /// Its first `filled` bytes are those of the message that have come.
    body: Vec<u8>,
    filled: usize,
}

impl Incoming {
    /// Where the next bytes of a message of at most `limit` bytes belong; empty when it is complete. An error stays one: what follows in the
    /// stream cannot be told from the message.
    pub(crate) fn wants(&mut self, limit: u64) -> Result<&mut [u8], Refused> {
        let Some(length) = self.announced(limit)? else {
            let end = if self.headed < SHORT_HEAD {
                SHORT_HEAD
            } else {
                12
            };
            return Ok(&mut self.head[self.headed..end]);
        };
        let length = usize::try_from(length).map_err(|_| Refused::TooLong(length))?;
        if self.filled == self.body.len() && self.filled < length {
            let room = (self.filled * 2).max(FIRST_ROOM).min(length);
            self.body.resize(room, 0);
        }
        let end = self.body.len().min(length);
        Ok(&mut self.body[self.filled..end])
    }

    /// So many bytes have been written to where they belong.
    pub(crate) fn came(&mut self, bytes: usize) {
        if self.length.is_some() {
            self.filled += bytes;
        } else {
            self.headed += bytes;
        }
    }

    /// The length of the message, when its head is complete.
    pub(crate) fn announced(&mut self, limit: u64) -> Result<Option<u64>, Refused> {
        if self.length.is_none() {
            self.length = self.parse()?;
        }
        match self.length {
            Some(length) if length > limit => Err(Refused::TooLong(length)),
            length => Ok(length),
        }
    }

    fn parse(&self) -> Result<Option<u64>, Refused> {
        let Some(&first) = self.head[..self.headed].first_chunk() else {
            return Ok(None);
        };
        let short = i32::from_be_bytes(first);
        if let Ok(length) = u64::try_from(short) {
            return Ok(Some(length));
        }
        if short != LONG {
            return Err(Refused::NoLength(short));
        }
        let long = self.head[4..self.headed].first_chunk::<8>();
        Ok(long.map(|&long| u64::from_be_bytes(long)))
    }

    /// Is the rest of the long form the next to come?
    pub(crate) fn is_long(&self) -> bool {
        let long = self.headed >= SHORT_HEAD && self.head.starts_with(&LONG.to_be_bytes());
        long && self.length.is_none()
    }

    /// Has nothing of it come?
    pub(crate) fn is_empty(&self) -> bool {
        self.headed == 0
    }

    /// What has come of its body.
    pub(crate) fn body(&self) -> &[u8] {
        &self.body[..self.filled]
    }

    /// Its body, which leaves the buffer.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        let mut body = std::mem::take(&mut self.body);
        body.truncate(self.filled);
        self.next();
        body
    }

    /// It is over: the next bytes begin another one.
    pub(crate) fn next(&mut self) {
        self.headed = 0;
        self.length = None;
        self.filled = 0;
        if self.body.len() > FIRST_ROOM {
            self.body = Vec::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_pythons() {
        const SHORT: u64 = 0x7fff_ffff;
        assert_eq!(Header::of(0).as_bytes(), [0; 4]);
        assert_eq!(Header::of(SHORT).as_bytes(), [0x7f, 0xff, 0xff, 0xff]);
        let long = [0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0x80, 0, 0, 0];
        assert_eq!(Header::of(SHORT + 1).as_bytes(), long);
    }

    #[test]
    fn the_long_form_is_known_by_its_beginning() {
        let mut incoming = Incoming::default();
        for (index, &byte) in Header::long(3).as_bytes().iter().enumerate() {
            assert_eq!(incoming.is_long(), index >= SHORT_HEAD);
            incoming.wants(3).expect("a good length")[0] = byte;
            incoming.came(1);
        }
        assert_eq!(incoming.announced(3), Ok(Some(3)));
        assert!(!incoming.is_long());
    }
}
