#!/usr/bin/env bash
# Every benchmark runs one round, so that none can rot. Nothing is measured here.
set -euo pipefail
cd "$(dirname "$0")/.."

timeout 400 cargo bench -- --test
