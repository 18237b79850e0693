//! What must hold of a record, whoever wrote the memory. Used by the random cases and by the fuzzer.

use crate::choices::Choices;
use crate::position::{CLOSED, ITEMS, Position, SLEEPERS, WORDS};
use crate::record::{
    LARGEST, Memory, Record, Segment, What, block_head, bytes_head, find, link_head, pad_head,
    words_for,
};
use std::cell::Cell;
use std::collections::VecDeque;

fn index(number: u64) -> usize {
    usize::try_from(number).expect("an index")
}

/// A position anywhere, or shortly before the words come round.
fn position(choices: &mut impl Choices) -> Position {
    let words = match choices.below(3) {
        0 => choices.below(WORDS + 1),
        1 => WORDS - choices.below(2000),
        _ => choices.below(2000),
    };
    let items = choices.below(ITEMS + 1);
    let position = Position { words, items };
    let flags = choices.next() & (SLEEPERS | CLOSED);
    assert_eq!(Position::read(position.word() | flags), position);
    position
}

fn segment(choices: &mut impl Choices, least: u64, most: u64) -> Segment {
    Segment {
        block: 7,
        offset: 64 * choices.below(1 << 30),
        words: 1 << (least + choices.below(most - least + 1)),
    }
}

/// A word that may begin a record.
fn any_head(choices: &mut impl Choices) -> u64 {
    let wild = choices.next();
    let length = match choices.below(4) {
        0 => choices.below(64),
        1 => choices.below(LARGEST as u64 + 20),
        2 => choices.below(1 << 17),
        _ => return wild,
    };
    // Kinds from 0, which is none, to 5, which is none either.
    choices.below(6) | (wild & 0xffff) << 8 | length << 32
}

/// A record that was found lies inside what is published, and inside the segment.
fn inside(segment: Segment, at: Position, used: u64, record: Record) {
    assert!((1..=used).contains(&record.words), "{record:?} of {used}");
    let own = match record.what {
        What::Bytes { length, .. } => words_for(length),
        What::Block(_) | What::Link { .. } => 1,
    };
    let pad = record.words.checked_sub(own).expect("it has its own words");
    let begin = at.plus(pad, 0);
    assert!(own <= segment.room_after(begin), "{record:?} wraps");
    match record.what {
        What::Bytes { offset, length, .. } => {
            assert!(length <= LARGEST);
            assert_eq!(offset, segment.at(begin) + 8);
            let end = segment.offset + segment.words * 8;
            assert!(segment.offset < offset && offset + length as u64 <= end);
        }
        What::Block(_) => {}
        What::Link { words, .. } => assert!(words.is_power_of_two()),
    }
}

/// Two words, the one at which the look begins, and the one behind a pad.
struct Heads {
    segment: Segment,
    heads: [u64; 2],
    looks: Cell<usize>,
}

impl Memory for Heads {
    fn word(&self, offset: u64) -> Option<u64> {
        aligned_inside(self.segment, offset);
        let look = self.looks.replace(self.looks.get() + 1);
        Some(self.heads[look])
    }
}

fn aligned_inside(segment: Segment, offset: u64) -> u64 {
    let beyond = offset
        .checked_sub(segment.offset)
        .expect("before the segment");
    assert!(beyond.is_multiple_of(8) && beyond / 8 < segment.words);
    beyond / 8
}

/// Looks for a record in what nobody wrote on purpose; says whether it found one.
pub(crate) fn nonsense(choices: &mut impl Choices) -> bool {
    let segment = segment(choices, 0, 19);
    let at = position(choices);
    let used = match choices.below(4) {
        0 => choices.below(WORDS + 1),
        1 => choices.below(8),
        _ => choices.below(segment.words + 1),
    };
    let memory = Heads {
        segment,
        heads: [any_head(choices), any_head(choices)],
        looks: Cell::new(0),
    };
    let found = find(&memory, segment, at, used);
    if let Some(record) = found {
        inside(segment, at, used, record);
        says(memory.heads[memory.looks.get() - 1], record.what);
    }
    found.is_some()
}

/// A record says what its head says, by the table in the file that is checked.
fn says(head: u64, what: What) {
    let (kind, who, value) = (head & 0xff, head >> 8 & 0xff_ffff, head >> 32);
    match what {
        What::Bytes { length, by, .. } => {
            assert_eq!((kind, who, value), (2, u64::from(by), length as u64));
        }
        What::Block(block) => assert_eq!((kind, value), (3, u64::from(block))),
        What::Link { block, words } => {
            let logarithm = u64::from(words.ilog2());
            assert_eq!((kind, who, value), (4, logarithm, u64::from(block)));
        }
    }
}

/// A segment with all its words, and both ends of the ring.
struct Ring {
    segment: Segment,
    words: Vec<u64>,
    head: Position,
    tail: Position,
    written: VecDeque<(What, u64, Vec<u8>)>,
}

impl Memory for Ring {
    fn word(&self, offset: u64) -> Option<u64> {
        let index = aligned_inside(self.segment, offset);
        self.words.get(self::index(index)).copied()
    }
}

impl Ring {
    /// Empty, its memory full of remains.
    fn new(choices: &mut impl Choices) -> Self {
        let (segment, at) = (segment(choices, 10, 12), position(choices));
        let remains = choices.next();
        Self {
            words: (0..segment.words)
                .map(|n| n.wrapping_mul(remains))
                .collect(),
            segment,
            head: at,
            tail: at,
            written: VecDeque::new(),
        }
    }

    fn used(&self) -> u64 {
        self.tail.since(self.head).0
    }

    fn write(&mut self, at: Position, word: u64) {
        let index = (self.segment.at(at) - self.segment.offset) / 8;
        self.words[self::index(index)] = word;
    }

    /// Appends a record, as one who puts does: padded to the beginning if it would wrap, and one word is left for a link.
    fn put(&mut self, head: u64, payload: &[u8], what: impl FnOnce(u64) -> What) {
        let needed = words_for(payload.len());
        let room = self.segment.room_after(self.tail);
        let pad = if room < needed { room } else { 0 };
        let linked = self.written.iter().any(|(what, ..)| is_link(*what));
        if linked || self.used() + pad + needed >= self.segment.words {
            return;
        }
        if pad > 0 {
            self.write(self.tail, pad_head(pad));
        }
        let at = self.tail.plus(pad, 0);
        self.write(at, head);
        for (n, bytes) in (1..).zip(payload.chunks(8)) {
            let mut word = [0xff; 8];
            word[..bytes.len()].copy_from_slice(bytes);
            self.write(at.plus(n, 0), u64::from_le_bytes(word));
        }
        let what = what(self.segment.at(at) + 8);
        self.written
            .push_back((what, pad + needed, payload.to_vec()));
        self.tail = at.plus(needed, 1);
    }

    fn put_any(&mut self, choices: &mut impl Choices) {
        let longest = [10, 100, LARGEST as u64][index(choices.below(3))];
        let (number, value) = (choices.next(), choices.number());
        match choices.below(8) {
            0 => self.put(block_head(value), &[], |_| What::Block(value)),
            1 if choices.one_in(8) => {
                let words = 1 << choices.below(20);
                let link = What::Link {
                    block: value,
                    words,
                };
                self.put(link_head(value, words), &[], |_| link);
            }
            _ => {
                let length = index(choices.below(longest + 1));
                let mut payload = number.to_le_bytes().repeat(length / 8 + 1);
                payload.truncate(length);
                let by = value & 0xff_ffff;
                let what = |offset| What::Bytes { offset, length, by };
                // Of a pid that is too large for the head, some bits get lost, and nothing else.
                self.put(bytes_head(length, value), &payload, what);
            }
        }
    }

    /// The bytes of a payload as they lie there.
    fn payload(&self, offset: u64, length: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(length + 8);
        for n in 0..length.div_ceil(8) as u64 {
            let word = self.word(offset + n * 8).expect("it is there");
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        bytes.truncate(length);
        bytes
    }

    /// Takes the oldest record, which must be what was written; before it was all there, it was not there.
    fn get(&mut self, choices: &mut impl Choices) {
        let Some((what, words, payload)) = self.written.pop_front() else {
            assert_eq!(self.used(), 0);
            return;
        };
        let early = choices.below(words);
        assert_eq!(find(self, self.segment, self.head, early), None);
        let record = find(self, self.segment, self.head, self.used());
        assert_eq!(record, Some(Record { what, words }));
        inside(self.segment, self.head, self.used(), Record { what, words });
        if let What::Bytes { offset, length, .. } = what {
            assert!(self.payload(offset, length) == payload);
        }
        self.head = self.head.plus(words, 1);
    }
}

fn is_link(what: What) -> bool {
    matches!(what, What::Link { .. })
}

/// Puts and takes; what was written is read. Answers how many records were taken.
pub(crate) fn round_trip(choices: &mut impl Choices) -> u64 {
    let mut ring = Ring::new(choices);
    let first = ring.head;
    for _ in 0..64 {
        if choices.below(5) < 3 {
            ring.put_any(choices);
        } else {
            ring.get(choices);
        }
    }
    while !ring.written.is_empty() {
        ring.get(choices);
    }
    ring.get(choices);
    ring.head.since(first).1
}

/// Puts, lets a neighbour write somewhere, and takes what can be found. Answers how many records that were.
pub(crate) fn spoilt(choices: &mut impl Choices) -> u64 {
    let mut ring = Ring::new(choices);
    let first = ring.head;
    for _ in 0..64 {
        ring.put_any(choices);
        if choices.one_in(4) {
            ring.get(choices);
        }
    }
    for _ in 0..choices.below(8) {
        let at = ring.head.plus(choices.below(ring.used() + 1), 0);
        let word = any_head(choices);
        ring.write(at, word);
    }
    while let Some(record) = find(&ring, ring.segment, ring.head, ring.used()) {
        inside(ring.segment, ring.head, ring.used(), record);
        if let What::Bytes { offset, length, .. } = record.what {
            assert_eq!(ring.payload(offset, length).len(), length);
        }
        ring.head = ring.head.plus(record.words, 1);
    }
    ring.head.since(first).1
}
