#!/usr/bin/env bash
# The lints of Cargo.toml and clippy.toml, all of them errors.
set -euo pipefail
cd "$(dirname "$0")/.."

cargo clippy --version >/dev/null 2>&1 || rustup component add clippy
timeout 300 cargo clippy --all-targets -- -D warnings
