#!/usr/bin/env bash
# What needs a nightly, where there is one: Miri on the primitives between threads (tests/threads.rs), and a fuzzer (fuzz/) on the
# records of a queue's ring and on what comes from outside: frames and handshakes of connections, lists in shared memory.
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
    for target in records frames handshake shareable_list; do
        timeout 400 cargo +nightly fuzz run "$target" --target-dir target/fuzz -- -max_total_time=20 -max_len=4096 -verbosity=0
    done
}

run_miri
run_fuzzer
