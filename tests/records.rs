//! The records of a queue's ring, whatever lies in memory: 100,000 random cases.
//!
//! What is checked are the very files of `src/ipc/ring`, compiled here over memory that complains about every look beside the segment.
//! `fuzz/` does the same with cases that a fuzzer thinks up.

#[path = "records/checks.rs"]
mod checks;
#[path = "../src/ipc/ring/position.rs"]
mod position;
#[path = "../src/ipc/ring/record.rs"]
mod record;

use checks::Choices;

/// The same numbers in every run.
struct Dice(u64);

impl Choices for Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }
}

#[test]
fn of_nonsense() {
    let mut dice = Dice(1);
    let found: u32 = (0..100_000)
        .map(|_| u32::from(checks::nonsense(&mut dice)))
        .sum();
    // Neither all of it is thrown away, nor is all of it taken.
    assert!((10_000..90_000).contains(&found), "{found} of 100000");
}

#[test]
fn written_and_read() {
    let mut dice = Dice(2);
    let records: u64 = (0..1_000).map(|_| checks::round_trip(&mut dice)).sum();
    assert!(records > 15_000, "{records} records");
}

#[test]
fn written_and_spoilt() {
    let mut dice = Dice(3);
    let records: u64 = (0..1_000).map(|_| checks::spoilt(&mut dice)).sum();
    assert!(records > 5_000, "{records} records");
}
