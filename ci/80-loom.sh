#!/usr/bin/env bash
# All interleavings of the rules by which primitives wait: every one of two threads, of three those with three preemptions.
set -euo pipefail
cd "$(dirname "$0")/.."

CARGO_TARGET_DIR=target/loom RUSTFLAGS="--cfg loom" timeout 1200 cargo test --release --test loom
