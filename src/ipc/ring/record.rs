//! Records: what lies between two positions of a ring.
//!
//! A record begins with a head word, `kind u8 | who u24 | value u32` from the lowest bit:
//!
//! | kind | who | value | behind it |
//! |---|---|---|---|
//! | [`PAD`] | – | bytes to the end of the segment | nothing of worth |
//! | [`BYTES`] | the producer's pid | length in bytes | the payload, padded to words |
//! | [`BLOCK`] | – | the block with the message | – |
//! | [`LINK`] | the next segment's words, as a logarithm | its block | – |
//!
//! What is written here reads words by a trait and knows nothing of the arena, so that it can be fuzzed: whatever lies there, a record
//! that is found lies inside what was published and inside its segment.

use super::position::Position;

/// Payloads above this, in bytes, lie in a block of their own.
pub(super) const LARGEST: usize = 4096;

const PAD: u64 = 1;
const BYTES: u64 = 2;
const BLOCK: u64 = 3;
const LINK: u64 = 4;

/// The most words of a segment, as a logarithm: more than a machine's memory.
const MOST_WORDS: u32 = 40;

/// Where words are read from.
pub(super) trait Memory {
    /// The word at an offset, if there is one.
    fn word(&self, offset: u64) -> Option<u64>;
}

/// A segment: which block it is, where it begins, and how many words it has, a power of two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) block: u32,
    pub(super) offset: u64,
    pub(super) words: u64,
}

impl Segment {
    /// The offset of a position.
    pub(super) fn at(self, position: Position) -> u64 {
        self.offset + (position.words & (self.words - 1)) * 8
    }

    /// Words between a position and the end of the segment.
    pub(super) fn room_after(self, position: Position) -> u64 {
        self.words - (position.words & (self.words - 1))
    }
}

/// What a record says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// The payload itself, put by the process `by`.
    Bytes { offset: u64, length: usize, by: u32 },
    /// The message lies in a block.
    Block(u32),
    /// What follows lies in another segment.
    Link { block: u32, words: u64 },
}

/// A record that was found and checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) what: What,
    /// Words from the position that was asked for to the end of the record, padding included.
    pub(super) words: u64,
}

/// Words of a record with a payload of `length` bytes.
#[inline]
pub(super) fn words_for(length: usize) -> u64 {
    1 + length.div_ceil(8) as u64
}

fn head(kind: u64, who: u32, value: u32) -> u64 {
    u64::from(value) << 32 | u64::from(who & 0xff_ffff) << 8 | kind
}

/// The head of a record of nothing, `words` long: up to the end of the segment.
pub(super) fn pad_head(words: u64) -> u64 {
    head(PAD, 0, u32::try_from((words - 1) * 8).unwrap_or(0))
}

/// The head of a payload of so many bytes, at most [`LARGEST`].
#[inline]
pub(super) fn bytes_head(length: usize, by: u32) -> u64 {
    head(BYTES, by, u32::try_from(length).unwrap_or(0))
}

/// The record of a message in a block.
pub(super) fn block_head(block: u32) -> u64 {
    head(BLOCK, 0, block)
}

/// The record that leads to the next segment.
pub(super) fn link_head(block: u32, words: u64) -> u64 {
    head(LINK, words.ilog2(), block)
}

/// Finds the record at `at`, from where `used` words are published; `None` when what lies there is none.
#[inline]
pub(super) fn find(
    memory: &impl Memory,
    segment: Segment,
    at: Position,
    used: u64,
) -> Option<Record> {
    let (first, words) = read(memory, segment, at, used)?;
    if let Some(what) = first {
        return Some(Record { what, words });
    }
    let behind = at.plus(words, 0);
    let (second, more) = read(memory, segment, behind, used.checked_sub(words)?)?;
    Some(Record {
        what: second?,
        words: words + more,
    })
}

/// What lies at `at`, `None` for a pad, and its words.
#[inline]
fn read(
    memory: &impl Memory,
    segment: Segment,
    at: Position,
    used: u64,
) -> Option<(Option<What>, u64)> {
    let offset = segment.at(at);
    let head = memory.word(offset)?;
    let (who, value) = ((head >> 8 & 0xff_ffff) as u32, (head >> 32) as u32);
    let length = value as usize;
    let (what, words) = match head & 0xff {
        PAD => (None, words_for(length)),
        BYTES if length <= LARGEST => {
            let offset = offset + 8;
            let by = who;
            (Some(What::Bytes { offset, length, by }), words_for(length))
        }
        BLOCK => (Some(What::Block(value)), 1),
        LINK if who <= MOST_WORDS => {
            let (block, words) = (value, 1 << who);
            (Some(What::Link { block, words }), 1)
        }
        _ => return None,
    };
    let ends = words <= used && words <= segment.room_after(at);
    ends.then_some((what, words))
}
