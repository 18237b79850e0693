#!/usr/bin/env bash
# Miri on the unit tests that need no process (their names say `within_process`), where a nightly has it.
set -euo pipefail
cd "$(dirname "$0")/.."

if ! cargo +nightly miri --version >/dev/null 2>&1; then
    echo "no nightly with Miri here: nothing checked"
    exit 0
fi
timeout 400 cargo +nightly miri test --lib -- within_process
