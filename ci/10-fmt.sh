#!/usr/bin/env bash
# Everything is formatted in rustfmt's default style.
set -euo pipefail
cd "$(dirname "$0")/.."

cargo fmt --version >/dev/null 2>&1 || rustup component add rustfmt
timeout 60 cargo fmt --check
