#!/usr/bin/env bash
# Every benchmark runs one round, so that none can rot. Nothing is measured here.
set -euo pipefail
cd "$(dirname "$0")/.."

timeout 400 cargo bench -- --test
# Python's own, where there is one.
if command -v python3 >/dev/null; then
    for bench in benches/python/*.py; do
        timeout 100 python3 "$bench" --test
    done
fi
