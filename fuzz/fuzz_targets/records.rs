//! The records of a queue's ring, by a fuzzer: `cargo +nightly fuzz run records`. What must hold is in `tests/records/checks.rs`.

#![no_main]

#[path = "../../tests/records/checks.rs"]
mod checks;
#[path = "../../src/ipc/ring/position.rs"]
mod position;
#[path = "../../src/ipc/ring/record.rs"]
mod record;

use checks::Choices;
use libfuzzer_sys::fuzz_target;

/// The bytes of a case, eight for a number; zeros when there are no more.
struct Bytes<'a>(&'a [u8]);

impl Choices for Bytes<'_> {
    fn next(&mut self) -> u64 {
        let (now, rest) = self.0.split_at(self.0.len().min(8));
        self.0 = rest;
        let mut word = [0; 8];
        word[..now.len()].copy_from_slice(now);
        u64::from_le_bytes(word)
    }
}

fuzz_target!(|bytes: &[u8]| {
    let mut choices = Bytes(bytes);
    match choices.below(3) {
        0 => _ = checks::nonsense(&mut choices),
        1 => _ = checks::round_trip(&mut choices),
        _ => _ = checks::spoilt(&mut choices),
    }
});
