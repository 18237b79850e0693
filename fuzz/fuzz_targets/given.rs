//! The numbers of a case from the bytes of a fuzzer.

use crate::choices::Choices;

/// The bytes of a case, eight for a number; zeros when there are no more.
pub(crate) struct Given<'a>(pub(crate) &'a [u8]);

impl Choices for Given<'_> {
    fn next(&mut self) -> u64 {
        let (now, rest) = self.0.split_at(self.0.len().min(8));
        self.0 = rest;
        let mut word = [0; 8];
        word[..now.len()].copy_from_slice(now);
        u64::from_le_bytes(word)
    }
}
