#!/usr/bin/env bash
# The example program on its own sources, then on 50 MB while its processes are being killed.
set -euo pipefail
cd "$(dirname "$0")/.."

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

timeout 300 cargo build --release --example wordcount
timeout 60 cargo run --quiet --release --example wordcount

find src tests docs examples -type f -print0 | sort -z | xargs -0 cat >"$folder/sources"
size=$(stat -c %s "$folder/sources")
for number in $(seq $((50 * 1000 * 1000 / size + 1))); do
    cp "$folder/sources" "$folder/copy-$number.txt"
done
du -sh "$folder" | cut -f1
timeout 120 cargo run --quiet --release --example wordcount -- --chaos "$folder"
