//! A row of words: some that lie with the others of a primitive, and more where those were not enough.

use crate::sys::atomic::AtomicU64;

/// A row of cells.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cells<'a> {
    inline: &'a [AtomicU64],
    more: &'a [AtomicU64],
}

impl<'a> Cells<'a> {
    pub(crate) fn new(inline: &'a [AtomicU64], more: &'a [AtomicU64]) -> Self {
        Self { inline, more }
    }

    /// The first `count` of them.
    pub(crate) fn first(self, count: usize) -> Self {
        let inline = &self.inline[..self.inline.len().min(count)];
        let more = count.saturating_sub(inline.len()).min(self.more.len());
        Self::new(inline, &self.more[..more])
    }

    pub(crate) fn len(self) -> usize {
        self.inline.len() + self.more.len()
    }

    pub(crate) fn get(self, index: usize) -> Option<&'a AtomicU64> {
        let beyond = index.checked_sub(self.inline.len());
        beyond.map_or_else(|| self.inline.get(index), |index| self.more.get(index))
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = &'a AtomicU64> {
        self.inline.iter().chain(self.more)
    }
}
