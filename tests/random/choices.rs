//! Where the numbers of a random case come from: a die that falls the same in every run, or a fuzzer's bytes.

/// A source of numbers.
pub(crate) trait Choices {
    fn next(&mut self) -> u64;

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    fn one_in(&mut self, many: u64) -> bool {
        self.below(many) == 0
    }

    fn number(&mut self) -> u32 {
        (self.next() >> 32) as u32
    }
}
