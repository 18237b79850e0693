//! The handshake of connections, by a fuzzer: `cargo +nightly fuzz run handshake`. What must hold is in `tests/handshake/checks.rs`.

#![no_main]

#[path = "../../src/ipc/auth.rs"]
mod auth;
#[path = "../../tests/handshake/checks.rs"]
mod checks;
#[path = "../../tests/random/choices.rs"]
mod choices;
mod given;

use choices::Choices;
use given::Given;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut choices = Given(bytes);
    match choices.below(3) {
        0 => _ = checks::agree(&mut choices),
        1 => checks::spoilt(&mut choices),
        _ => _ = checks::stranger(&mut choices),
    }
});
