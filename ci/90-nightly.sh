#!/usr/bin/env bash
# What needs a nightly, where there is one: Miri and ThreadSanitizer on what there is between threads (tests/threads.rs: primitives;
# tests/queues.rs; tests/locals.rs; tests/thread_pools.rs; tests/spawned.rs: threads themselves), and a fuzzer (fuzz/) on the records of a queue's ring and on what comes from
# outside: frames and handshakes of connections, lists in shared memory.
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
    for subject in threads queues locals thread_pools spawned; do
        MIRIFLAGS="-Zmiri-many-seeds=0..4" timeout 400 cargo +nightly miri test --test "$subject"
    done
}

# The standard library is built along, so that what it does is seen too.
run_thread_sanitizer() {
    local sources target=x86_64-unknown-linux-gnu
    if ! sources=$(rustc +nightly --print sysroot 2>/dev/null)/lib/rustlib/src/rust/library || ! [ -d "$sources" ]; then
        echo "no nightly with the sources of the standard library here: no ThreadSanitizer"
        return
    fi
    if ! rustc +nightly --print host-tuple | grep -qx "$target"; then
        echo "no $target here: no ThreadSanitizer"
        return
    fi
    CARGO_TARGET_DIR=target/tsan RUSTFLAGS=-Zsanitizer=thread timeout 900 \
        cargo +nightly test -Zbuild-std --target "$target" --test threads --test queues --test locals --test thread_pools --test spawned
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
run_thread_sanitizer
run_fuzzer
