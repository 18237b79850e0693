//! Records: the bytes between two positions, and the storage that they lie in.

use super::position::Position;
use crate::error::{Error, ErrorKind, Result};
use crate::shm::arena::Arena;
use crate::shm::blocks::Block;
use crate::shm::message;
use crate::sys::atomic::{Acquire, AtomicU64, Relaxed};

/// Payloads above this, in bytes, lie in a block of their own.
pub(super) const LARGEST: usize = 4096;

/// What a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Nothing, up to the end of the storage.
    Pad = 1,
    /// The payload itself.
    Bytes = 2,
    /// The number of the block with the payload.
    Block = 3,
}

/// The storage of the records: where it begins, and how many words it has, a power of two.
#[derive(Clone, Copy, Debug)]
pub(super) struct Storage {
    pub(super) block: Block,
    pub(super) offset: u64,
    pub(super) words: u64,
}

impl Storage {
    /// The offset of a position.
    pub(super) fn at(self, position: Position) -> u64 {
        self.offset + (position.words & (self.words - 1)) * 8
    }

    /// Words between a position and the end of the storage.
    pub(super) fn room_after(self, position: Position) -> u64 {
        self.words - (position.words & (self.words - 1))
    }
}

/// Words of a record with a payload of `length` bytes.
pub(super) fn words_for(length: usize) -> u64 {
    1 + length.div_ceil(8) as u64
}

/// Writes the head of a record; `length` in bytes.
pub(super) fn write_head(arena: &Arena, offset: u64, length: u64, kind: Kind) -> Result<()> {
    let place = arena.at::<AtomicU64>(offset).ok_or(ErrorKind::Corrupt)?;
    place.store(length << 8 | kind as u64, Relaxed);
    Ok(())
}

/// A record that was found and checked: it lies inside what was published, and inside the storage.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record {
    pub(super) kind: Kind,
    /// Words from the position that was asked for to the end of the record, padding included.
    pub(super) words: u64,
    offset: u64,
    length: usize,
}

/// Finds the record at `head`, of which `used` words are published.
pub(super) fn find(arena: &Arena, storage: Storage, head: Position, used: u64) -> Result<Record> {
    let first = read(arena, storage, head, used)?;
    if first.kind != Kind::Pad {
        return Ok(first);
    }
    let behind = head.plus(first.words, 0);
    let record = read(arena, storage, behind, used - first.words)?;
    if record.kind == Kind::Pad {
        return Err(corrupt());
    }
    Ok(Record {
        words: first.words + record.words,
        ..record
    })
}

fn read(arena: &Arena, storage: Storage, at: Position, used: u64) -> Result<Record> {
    let offset = storage.at(at);
    let head = arena
        .at::<AtomicU64>(offset)
        .ok_or_else(corrupt)?
        .load(Acquire);
    let kind = match head & 0xff {
        1 => Kind::Pad,
        2 => Kind::Bytes,
        3 => Kind::Block,
        _ => return Err(corrupt()),
    };
    let length = usize::try_from(head >> 8).map_err(|_| corrupt())?;
    let words = words_for(length);
    if used > storage.words || words > used || words > storage.room_after(at) {
        return Err(corrupt());
    }
    Ok(Record {
        kind,
        words,
        offset: offset + 8,
        length,
    })
}

fn corrupt() -> Error {
    Error::new(ErrorKind::Corrupt, "a record of a queue")
}

/// A payload that was taken. The block of a large one is ours and is kept until this is dropped, after its handles were decoded: so
/// a kill in between lands them, because settling us frees the block.
#[derive(Debug)]
pub(in super::super) struct Taking {
    small: [u8; 120],
    length: usize,
    large: Vec<u8>,
    block: Option<Block>,
}

impl Taking {
    pub(in super::super) fn empty() -> Self {
        Self {
            small: [0; 120],
            length: 0,
            large: Vec::new(),
            block: None,
        }
    }

    #[inline]
    pub(in super::super) fn as_slice(&self) -> &[u8] {
        if self.large.is_empty() {
            &self.small[..self.length]
        } else {
            &self.large
        }
    }

    /// Takes the message in a block that is ours.
    pub(super) fn hold(&mut self, block: Block) -> Result<()> {
        self.block = Some(block);
        self.large = message::peek(block)?;
        Ok(())
    }
}

impl Drop for Taking {
    #[inline]
    fn drop(&mut self) {
        if let (Some(block), Some(arena)) = (self.block, Arena::existing()) {
            message::discard(arena, block);
        }
    }
}

impl Record {
    /// Copies the payload out.
    #[inline]
    pub(super) fn copy_to(self, arena: &Arena, taking: &mut Taking) -> Result<()> {
        let copied = match taking.small.get_mut(..self.length) {
            Some(place) => {
                taking.length = self.length;
                arena.read_into(self.offset, place)
            }
            None => arena.read(self.offset, self.length, &mut taking.large),
        };
        copied.ok_or_else(corrupt)
    }

    /// The block that the payload lies in.
    pub(super) fn block(self, arena: &Arena) -> Result<Block> {
        let place = arena.at::<AtomicU64>(self.offset).ok_or_else(corrupt)?;
        let unit = u32::try_from(place.load(Acquire)).map_err(|_| corrupt())?;
        Ok(Block(unit))
    }
}
