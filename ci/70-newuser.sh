#!/usr/bin/env bash
# What a new user meets: a crate of their own that depends on this one, under profiles that change how code is linked
# and how a panic ends. It sees neither our lock file nor our build results.
set -euo pipefail
cd "$(dirname "$0")/.."

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
mkdir "$folder/multiproc"
tar -c --exclude=./target --exclude=./Cargo.lock --exclude=./.git . | tar -x -C "$folder/multiproc"

# new_crate NAME PROFILE: the program below, under these lines of Cargo.toml.
new_crate() {
    mkdir -p "$folder/$1/src"
    printf '[package]\nname = "%s"\nedition = "2024"\n\n[dependencies]\nmultiproc = { path = "../multiproc" }\n\n%s\n' \
        "$1" "$2" >"$folder/$1/Cargo.toml"
    cat >"$folder/$1/src/main.rs" <<'RUST'
use multiproc::{Pool, Process, Queue};

fn produce(queue: Queue<String>) {
    for number in 0..3 {
        queue.put(format!("value {number}")).expect("the queue is open");
    }
}

fn square(x: u64) -> u64 {
    x * x
}

fn main() -> multiproc::Result<()> {
    let queue = Queue::new()?;
    let mut process = Process::new(produce, (queue.clone(),));
    process.start()?;
    for _ in 0..3 {
        println!("{}", queue.get()?);
    }
    println!("produce ended with {}", process.join()?);

    let mut process = Process::new(|| panic!("on purpose"), ());
    process.start()?;
    println!("a panic is a failure: {}", process.join()? != 0);

    let pool = Pool::new(2)?;
    println!("squares {:?}", pool.map(square, 1..6)?);
    pool.close();
    pool.join()
}
RUST
}

cat >"$folder/expected" <<'TEXT'
value 0
value 1
value 2
produce ended with 0
a panic is a failure: true
squares [1, 4, 9, 16, 25]
TEXT

# check NAME CARGO-OPTION...: builds it, runs it, compares what it says.
check() {
    local name=$1
    shift
    echo "new crate: $name"
    (
        cd "$folder/$name"
        export CARGO_TARGET_DIR=$folder/target
        timeout 300 cargo build --quiet "$@"
        timeout 60 cargo run --quiet "$@" | diff "$folder/expected" -
    )
}

new_crate plain ''
new_crate abort $'[profile.dev]\npanic = "abort"'
new_crate lto $'[profile.release]\nlto = "fat"\ncodegen-units = 1\nstrip = true'
check plain
check abort
check lto --release
