//! Lists in shared memory, by a fuzzer: `cargo +nightly fuzz run shareable_list`. What must hold is in `tests/lists/checks.rs`.

#![no_main]

#[path = "../../tests/lists/checks.rs"]
mod checks;
#[path = "../../tests/random/choices.rs"]
mod choices;
mod given;
#[path = "../../src/named/item.rs"]
mod item;
#[path = "../../src/named/list_layout.rs"]
mod list_layout;

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
