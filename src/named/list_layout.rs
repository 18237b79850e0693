//! The bytes of Python's `ShareableList`. Nothing here knows of processes, or of where the bytes lie.
//!
//! ```text
//! count                  8 bytes, in the byte order of the machine, as all numbers
//! offsets                8 bytes each, one more than items: where the slot of an item begins and the one before ends
//! slots                  8 bytes or more each, always a multiple of 8
//! formats                8 bytes each: how `struct` is to unpack the slot, NULs behind
//! codes                  1 byte each: 0 a number, 1 text, 2 bytes, 3 nothing
//! ```
//!
//! Python cuts all NULs from the end of text and bytes, because the format of such an item says how long its *slot* is. What ends in a NUL
//! has another format here: its own length, and an `x` (a byte that is skipped). Python understands that, cuts the NULs as ever,
//! and writes a format of its own when it writes the item.
//!
//! Nothing that is read is believed.

use super::item::Item;

/// Where the bytes lie. Eight bytes at a multiple of eight are read and written at once.
pub(crate) trait Memory {
    fn size(&self) -> usize;
    /// `None` when they do not all lie inside.
    fn read(&self, offset: usize, to: &mut [u8]) -> Option<()>;
    /// As [`read`](Self::read).
    fn write(&self, offset: usize, from: &[u8]) -> Option<()>;
}

/// Why an item cannot be read or written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wrong {
    /// These bytes are no list.
    Corrupt(&'static str),
    /// There is no such item.
    Outside,
    /// So many bytes, for which there is room for so many.
    TooLong(usize, usize),
    /// NULs at the end of so long a text cannot be told from what is behind it.
    EndsInNul,
    /// The bytes of a text are none.
    NotText,
}

/// The unit of everything.
const WORD: usize = 8;

/// The longest slot: its length has seven digits, and an `s` follows.
const LONGEST_SLOT: usize = 9_999_992;

/// The longest text or bytes that end in a NUL: six digits, an `s` and an `x`.
const LONGEST_WITH_NUL: usize = 999_999;

const BESIDE: Wrong = Wrong::Corrupt("an item lies outside");

/// Where everything lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    /// Where slots begin, and where the last one ends.
    slots: Vec<usize>,
    formats: usize,
    codes: usize,
}

/// How an item is written.
struct Written<'a> {
    format: [u8; WORD],
    code: u8,
    bytes: Bytes<'a>,
}

enum Bytes<'a> {
    Word([u8; WORD]),
    Long(&'a [u8]),
}

impl Layout {
    /// That of a new list of these items.
    pub(crate) fn of(items: &[Item]) -> Result<Self, Wrong> {
        let mut slots = vec![(items.len() + 2) * WORD];
        let mut end = slots[0];
        for item in items {
            end += slot_for(item)?;
            slots.push(end);
        }
        Ok(Self::with(slots, end))
    }

    fn with(slots: Vec<usize>, formats: usize) -> Self {
        let codes = formats + (slots.len() - 1) * WORD;
        Self {
            slots,
            formats,
            codes,
        }
    }

    /// How many bytes it takes.
    pub(crate) fn size(&self) -> usize {
        self.codes + self.len()
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len() - 1
    }

    /// Writes a new list.
    pub(crate) fn build(&self, memory: &impl Memory, items: &[Item]) -> Result<(), Wrong> {
        let mut head = (self.len() as u64).to_ne_bytes().to_vec();
        for slot in &self.slots {
            head.extend(((slot - self.slots[0]) as u64).to_ne_bytes());
        }
        memory.write(0, &head).ok_or(BESIDE)?;
        let mut numbered = items.iter().enumerate();
        numbered.try_for_each(|(index, item)| self.set(memory, index, item))
    }

    /// Reads where everything lies in a list that somebody has made.
    pub(crate) fn read(memory: &impl Memory) -> Result<Self, Wrong> {
        const CUT: Wrong = Wrong::Corrupt("it is shorter than it says");
        let mut count = [0; WORD];
        memory.read(0, &mut count).ok_or(CUT)?;
        let count = usize::try_from(i64::from_ne_bytes(count)).map_err(|_| CUT)?;
        let head = count
            .checked_add(2)
            .and_then(|words| words.checked_mul(WORD));
        let head = head.filter(|&head| head <= memory.size()).ok_or(CUT)?;
        let mut offsets = vec![0; head - WORD];
        memory.read(WORD, &mut offsets).ok_or(CUT)?;
        let mut slots: Vec<usize> = Vec::with_capacity(count + 1);
        for offset in offsets.as_chunks::<WORD>().0 {
            let offset = usize::try_from(i64::from_ne_bytes(*offset)).map_err(|_| CUT)?;
            let slot = head.checked_add(offset).ok_or(CUT)?;
            let least = slots.last().map_or(head, |last| last + WORD);
            // The first slot begins right behind the offsets.
            let first_is_right = !slots.is_empty() || slot == head;
            if slot < least || !slot.is_multiple_of(WORD) || !first_is_right {
                return Err(Wrong::Corrupt("its offsets are in disorder"));
            }
            if slot > memory.size() {
                return Err(CUT);
            }
            slots.push(slot);
        }
        let formats = slots.last().copied().ok_or(CUT)?;
        let layout = Self::with(slots, formats);
        if layout.size() > memory.size() {
            return Err(CUT);
        }
        Ok(layout)
    }

    /// The slot of an item: its beginning, its length.
    fn slot(&self, index: usize) -> Result<(usize, usize), Wrong> {
        let slot = self
            .slots
            .get(index..)
            .and_then(|slots| slots.first_chunk());
        let [begin, end] = slot.ok_or(Wrong::Outside)?;
        Ok((*begin, end - begin))
    }

    /// How many bytes the text or the bytes of an item may have.
    pub(crate) fn room(&self, index: usize) -> Result<usize, Wrong> {
        Ok(self.slot(index)?.1)
    }

    /// The format of an item, without the NULs behind it.
    pub(crate) fn format(&self, memory: &impl Memory, index: usize) -> Result<Vec<u8>, Wrong> {
        self.slot(index)?;
        let mut format = [0; WORD];
        let at = self.formats + index * WORD;
        memory.read(at, &mut format).ok_or(BESIDE)?;
        Ok(without_nuls(&format).to_vec())
    }

    pub(crate) fn get(&self, memory: &impl Memory, index: usize) -> Result<Item, Wrong> {
        let (begin, length) = self.slot(index)?;
        let format = self.format(memory, index)?;
        let mut code = [0];
        memory.read(self.codes + index, &mut code).ok_or(BESIDE)?;
        let mut word = [0; WORD];
        memory.read(begin, &mut word).ok_or(BESIDE)?;
        match (code, format.as_slice()) {
            ([3], _) => Ok(Item::None),
            ([0], b"q") => Ok(Item::Int(i64::from_ne_bytes(word))),
            ([0], b"d") => Ok(Item::Float(f64::from_ne_bytes(word))),
            ([0], b"xxxxxxx?") => Ok(Item::Bool(word[7] != 0)),
            ([kind @ (1 | 2)], format) => {
                let (bytes, exact) = long_format(format).ok_or(UNKNOWN)?;
                if bytes > length {
                    return Err(BESIDE);
                }
                let mut read = vec![0; bytes];
                memory.read(begin, &mut read).ok_or(BESIDE)?;
                if !exact {
                    read.truncate(without_nuls(&read).len());
                }
                if kind == 2 {
                    return Ok(Item::Bytes(read));
                }
                String::from_utf8(read).map_or(Err(Wrong::NotText), |text| Ok(Item::Str(text)))
            }
            _ => Err(UNKNOWN),
        }
    }

    /// Writes an item. What an item of this type has already (its format, its code) is not written again, so that a new number instead of an old
    /// one is one step.
    pub(crate) fn set(&self, memory: &impl Memory, index: usize, item: &Item) -> Result<(), Wrong> {
        let (begin, length) = self.slot(index)?;
        let written = written(item, length)?;
        replace(memory, self.formats + index * WORD, &written.format)?;
        replace(memory, self.codes + index, &[written.code])?;
        let done = match written.bytes {
            Bytes::Word(word) => memory.write(begin, &word),
            Bytes::Long(bytes) => {
                let mut whole = bytes.to_vec();
                whole.resize(length, 0);
                memory.write(begin, &whole)
            }
        };
        done.ok_or(BESIDE)
    }
}

const UNKNOWN: Wrong = Wrong::Corrupt("an item of an unknown type");

/// How much room a new item gets: always more than it needs, as in Python.
fn slot_for(item: &Item) -> Result<usize, Wrong> {
    let length = match item {
        Item::Str(text) => text.len(),
        Item::Bytes(bytes) => bytes.len(),
        _ => return Ok(WORD),
    };
    if length >= LONGEST_SLOT {
        return Err(Wrong::TooLong(length, LONGEST_SLOT - 1));
    }
    Ok((length / WORD + 1) * WORD)
}

fn written(item: &Item, slot: usize) -> Result<Written<'_>, Wrong> {
    let word = |format: &str, word| Written {
        format: padded(format),
        code: 0,
        bytes: Bytes::Word(word),
    };
    Ok(match item {
        Item::None => Written {
            code: 3,
            ..word("xxxxxx?x", [0; WORD])
        },
        Item::Bool(value) => word("xxxxxxx?", [0, 0, 0, 0, 0, 0, 0, u8::from(*value)]),
        Item::Int(value) => word("q", value.to_ne_bytes()),
        Item::Float(value) => word("d", value.to_ne_bytes()),
        Item::Str(text) => written_long(1, text.as_bytes(), slot)?,
        Item::Bytes(bytes) => written_long(2, bytes, slot)?,
    })
}

fn written_long(code: u8, bytes: &[u8], slot: usize) -> Result<Written<'_>, Wrong> {
    let length = bytes.len();
    // A list of somebody else's may have slots that no format can say.
    let room = slot.min(LONGEST_SLOT);
    if length > room {
        return Err(Wrong::TooLong(length, room));
    }
    let format = match bytes.last() {
        Some(0) if length > LONGEST_WITH_NUL => return Err(Wrong::EndsInNul),
        Some(0) => format!("{length}sx"),
        _ => format!("{room}s"),
    };
    Ok(Written {
        format: padded(&format),
        code,
        bytes: Bytes::Long(bytes),
    })
}

fn padded(format: &str) -> [u8; WORD] {
    let mut word = [0; WORD];
    for (place, byte) in word.iter_mut().zip(format.bytes()) {
        *place = byte;
    }
    word
}

/// Writes what is not there already.
fn replace(memory: &impl Memory, at: usize, bytes: &[u8]) -> Result<(), Wrong> {
    let mut there = vec![0; bytes.len()];
    memory.read(at, &mut there).ok_or(BESIDE)?;
    if there == bytes {
        return Ok(());
    }
    memory.write(at, bytes).ok_or(BESIDE)
}

/// The length that a format like `16s` says, and whether it is that of the item and not of its slot.
fn long_format(format: &[u8]) -> Option<(usize, bool)> {
    let text = std::str::from_utf8(format).ok()?;
    let (digits, exact) = match text.strip_suffix("sx") {
        Some(digits) => (digits, true),
        None => (text.strip_suffix('s')?, false),
    };
    let number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    Some((digits.parse().ok().filter(|_| number)?, exact))
}

fn without_nuls(bytes: &[u8]) -> &[u8] {
    let length = bytes.iter().rposition(|&byte| byte != 0);
    &bytes[..length.map_or(0, |last| last + 1)]
}
