//! Positions: how far an end of the ring has come.
//!
//! A position is one word:
//!
//! | bits | meaning |
//! |---|---|
//! | 0 | [`SLEEPERS`]: somebody waits for this position to move |
//! | 1 | [`CLOSED`] |
//! | 2..35 | words since the beginning, modulo 2^33 |
//! | 35..64 | records since the beginning, modulo 2^29 |
//!
//! so that the number of records is exact at any instant. What is written here knows nothing of the arena, so that it can be fuzzed.

/// See the table above.
pub(super) const SLEEPERS: u64 = 1;
/// See the table above.
pub(super) const CLOSED: u64 = 2;
pub(super) const WORDS: u64 = (1 << 33) - 1;
pub(super) const ITEMS: u64 = (1 << 29) - 1;

/// A position without its flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Position {
    pub(super) words: u64,
    pub(super) items: u64,
}

impl Position {
    pub(super) fn read(word: u64) -> Self {
        Self {
            words: word >> 2 & WORDS,
            items: word >> 35 & ITEMS,
        }
    }

    pub(super) fn word(self) -> u64 {
        self.items << 35 | self.words << 2
    }

    pub(super) fn plus(self, words: u64, items: u64) -> Self {
        Self {
            words: (self.words + words) & WORDS,
            items: (self.items + items) & ITEMS,
        }
    }

    /// Words and records between an earlier position and this one.
    pub(super) fn since(self, earlier: Self) -> (u64, u64) {
        (
            self.words.wrapping_sub(earlier.words) & WORDS,
            self.items.wrapping_sub(earlier.items) & ITEMS,
        )
    }
}
