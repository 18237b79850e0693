#!/usr/bin/env bash
# The feature `python`: lints, documentation, and values as pickles, with real Pythons at the other end where there are any.
set -euo pipefail
cd "$(dirname "$0")/.."

timeout 300 cargo clippy --all-targets --features python -- -D warnings
RUSTDOCFLAGS="-D warnings" timeout 300 cargo doc --no-deps --features python
timeout 300 cargo test --features python --doc ipc::pickle
timeout 600 cargo test --features python --test it -- pickle
