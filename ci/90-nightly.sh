#!/usr/bin/env bash
# Miri on the primitives between threads (tests/threads.rs), where a nightly has it.
set -euo pipefail
cd "$(dirname "$0")/.."

if ! cargo +nightly miri --version >/dev/null 2>&1; then
    echo "no nightly with Miri here: nothing checked"
    exit 0
fi
# What Miri needs once, which a machine without the parts of its toolchain cannot make.
if ! timeout 300 cargo +nightly miri setup >/dev/null 2>&1; then
    echo "no sources of the standard library for Miri here: nothing checked"
    exit 0
fi
MIRIFLAGS="-Zmiri-many-seeds=0..4" timeout 400 cargo +nightly miri test --test threads
