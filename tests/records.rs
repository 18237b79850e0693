//! The records of a queue's ring, whatever lies in memory: 100,000 random cases.
//!
//! What is checked are the very files of `src/ipc/ring`, compiled here over memory that complains about every look beside the segment.
//! `fuzz/` does the same with cases that a fuzzer thinks up.

#[path = "records/checks.rs"]
mod checks;
#[path = "random/choices.rs"]
mod choices;
#[path = "random/dice.rs"]
mod dice;
#[path = "../src/ipc/ring/position.rs"]
mod position;
#[path = "../src/ipc/ring/record.rs"]
mod record;

use dice::Dice;

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
