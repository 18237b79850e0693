#!/usr/bin/env bash
# What needs a nightly, where there is one: Miri on the primitives between threads (tests/threads.rs), and a fuzzer on the records of
# a queue's ring (fuzz/).
set -euo pipefail
cd "$(dirname "$0")/.."

run_miri() {
    if ! cargo +nightly miri --version >/dev/null 2>&1; then
        echo "no nightly with Miri here: nothing checked"
        return
    fi
    # What Miri needs once, which a machine without the parts of its toolchain cannot make.
    if ! timeout 300 cargo +nightly miri setup >/dev/null 2>&1; then
        echo "no sources of the standard library for Miri here: nothing checked"
        return
    fi
    MIRIFLAGS="-Zmiri-many-seeds=0..4" timeout 400 cargo +nightly miri test --test threads
}

run_fuzzer() {
    if ! cargo +nightly fuzz --version >/dev/null 2>&1; then
        echo "no nightly with cargo-fuzz here: nothing fuzzed"
        return
    fi
    timeout 400 cargo +nightly fuzz run records --target-dir target/fuzz -- -max_total_time=20 -max_len=4096 -verbosity=0
}

run_miri
run_fuzzer
