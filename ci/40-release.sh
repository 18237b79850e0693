#!/usr/bin/env bash
# Storms in full size and fault tests, in a release build: races look different when the code is fast.
set -euo pipefail
cd "$(dirname "$0")/.."

export MULTIPROC_SCALE=${MULTIPROC_SCALE:-20}
export MULTIPROC_TEST_DEADLINE=${MULTIPROC_TEST_DEADLINE:-240}
timeout 700 cargo test --release --test it
if [ -e tests/faults/main.rs ]; then
    timeout 600 cargo test --release --test faults
fi
