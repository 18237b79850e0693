//! The records of a queue's ring, by a fuzzer: `cargo +nightly fuzz run records`. What must hold is in `tests/records/checks.rs`.

#![no_main]

#[path = "../../tests/records/checks.rs"]
mod checks;
#[path = "../../tests/random/choices.rs"]
mod choices;
mod given;
#[path = "../../src/ipc/ring/position.rs"]
mod position;
#[path = "../../src/ipc/ring/record.rs"]
mod record;

use choices::Choices;
use given::Given;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut choices = Given(bytes);
    match choices.below(3) {
        0 => _ = checks::nonsense(&mut choices),
        1 => _ = checks::round_trip(&mut choices),
        _ => _ = checks::spoilt(&mut choices),
    }
});
