//! Frames of connections, by a fuzzer: `cargo +nightly fuzz run frames`. What must hold is in `tests/frames/checks.rs`.

#![no_main]

#[path = "../../tests/frames/checks.rs"]
mod checks;
#[path = "../../tests/random/choices.rs"]
mod choices;
#[path = "../../src/ipc/frame.rs"]
mod frame;
mod given;

use choices::Choices;
use given::Given;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut choices = Given(bytes);
    match choices.below(3) {
        0 => _ = checks::nonsense(&mut choices),
        1 => _ = checks::round_trip(&mut choices),
        _ => _ = checks::absurd(&mut choices),
    }
});
