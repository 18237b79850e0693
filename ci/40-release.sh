#!/usr/bin/env bash
# Larger storms and all fault tests, in a release build: races look different when the code is fast.
set -euo pipefail
cd "$(dirname "$0")/.."

export MULTIPROC_TEST_DEADLINE=${MULTIPROC_TEST_DEADLINE:-240}
MULTIPROC_SCALE=${MULTIPROC_SCALE:-2} timeout 800 cargo test --release --test it
MULTIPROC_SCALE=${MULTIPROC_SCALE:-20} timeout 700 cargo test --release --test faults
