//! The bytes of Python's `ShareableList`, whatever they are: 100,000 random cases.
//!
//! What is checked are the very files `src/named/list_layout.rs` and `item.rs`, over memory that complains about every look beside it. `fuzz/`
//! does the same with cases that a fuzzer thinks up.

#[path = "lists/checks.rs"]
mod checks;
#[path = "random/choices.rs"]
mod choices;
#[path = "random/dice.rs"]
mod dice;
#[expect(unreachable_pub, reason = "public in the crate")]
#[path = "../src/named/item.rs"]
mod item;
#[path = "../src/named/list_layout.rs"]
mod list_layout;

use dice::Dice;

#[test]
fn of_nonsense() {
    let mut dice = Dice(1);
    let read: u32 = (0..60_000)
        .map(|_| u32::from(checks::nonsense(&mut dice)))
        .sum();
    // Neither all of it is refused, nor is all of it taken.
    assert!((5_000..55_000).contains(&read), "{read} of 60000");
}

#[test]
fn written_and_read() {
    let mut dice = Dice(2);
    let items: usize = (0..20_000).map(|_| checks::round_trip(&mut dice)).sum();
    assert!(items > 50_000, "{items} items");
}

#[test]
fn written_and_spoilt() {
    let mut dice = Dice(3);
    let read: usize = (0..20_000).map(|_| checks::spoilt(&mut dice)).sum();
    assert!(read > 20_000, "{read} items");
}
