//! Frames of connections, whatever comes: 100,000 random cases.
//!
//! What is checked is the very file `src/ipc/frame.rs`. `fuzz/` does the same with cases that a fuzzer thinks up.

#[path = "frames/checks.rs"]
mod checks;
#[path = "random/choices.rs"]
mod choices;
#[path = "random/dice.rs"]
mod dice;
#[path = "../src/ipc/frame.rs"]
mod frame;

use dice::Dice;

#[test]
fn of_nonsense() {
    let mut dice = Dice(1);
    let whole: u64 = (0..58_000).map(|_| checks::nonsense(&mut dice)).sum();
    // Neither all of it is refused, nor is all of it taken.
    assert!((10_000..1_000_000).contains(&whole), "{whole} messages");
}

#[test]
fn sent_and_received() {
    let mut dice = Dice(2);
    let messages: u64 = (0..40_000).map(|_| checks::round_trip(&mut dice)).sum();
    assert!(messages > 100_000, "{messages} messages");
}

#[test]
fn absurd_lengths() {
    let mut dice = Dice(3);
    let refused: u32 = (0..2_000)
        .map(|_| u32::from(checks::absurd(&mut dice)))
        .sum();
    assert!((400..1_800).contains(&refused), "{refused} of 2000");
}
