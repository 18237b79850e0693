#!/usr/bin/env bash
# What a new user meets: a crate of their own that depends on this one, under profiles that change how code is linked
# and how a panic ends. It sees neither our lock file nor our build results.
set -euo pipefail
cd "$(dirname "$0")/.."

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
mkdir "$folder/multiproc"
tar -c --exclude=./target --exclude=./Cargo.lock --exclude=./.git . | tar -x -C "$folder/multiproc"

# new_crate NAME PROFILE [DEPENDENCIES]: a crate under these lines of Cargo.toml, its program to be written to src/main.rs.
new_crate() {
    mkdir -p "$folder/$1/src"
    printf '[package]\nname = "%s"\nedition = "2024"\n\n[dependencies]\nmultiproc = { path = "../multiproc" }\n%s\n%s\n' \
        "$1" "${3-}" "$2" >"$folder/$1/Cargo.toml"
}

# A library with a static that a constructor fills, as C++ fills its statics. The loader calls it after this crate's own in a plain
# build, and before it under LTO; in a fork server and in its children it has run once all the same.
mkdir -p "$folder/early/src"
printf '[package]\nname = "early"\nedition = "2024"\n' >"$folder/early/Cargo.toml"
cat >"$folder/early/src/lib.rs" <<'RUST'
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

/// How often the constructor has run in this process.
pub static FILLED: AtomicU32 = AtomicU32::new(0);

extern "C" fn fill() {
    FILLED.fetch_add(1, SeqCst);
}

#[used]
#[unsafe(link_section = ".init_array")]
static CONSTRUCTOR: extern "C" fn() = fill;
RUST

# The program that the plain crates run.
program() {
    cat <<'RUST'
use early::FILLED;
use multiproc::{
    Array, Condition, Event, Pool, Process, Queue, Semaphore, StartMethod, Value, all_start_methods, bytemuck,
};
use std::sync::atomic::Ordering::SeqCst;

#[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
#[bytemuck(crate = "multiproc::bytemuck")]
#[repr(C)]
struct Point {
    x: i64,
    y: i64,
}

fn produce(queue: Queue<String>) {
    for number in 0..3 {
        queue.put(format!("value {number}")).expect("the queue is open");
    }
}

fn square(x: u64) -> u64 {
    x * x
}

/// Says that it is there, waits for the start, adds to what all share, and tells the one who waits for three.
fn add(here: Semaphore, start: Event, sum: Value<u64>, points: Array<Point>, done: Condition) {
    here.release().expect("there is room");
    start.wait().expect("the parent lives");
    points.update(1, |point| point.y += 1).expect("nobody dies");
    let _guard = done.acquire().expect("nobody dies");
    sum.update(|sum| *sum += 14).expect("nobody dies");
    done.notify_all().expect("the lock is ours");
}

fn together() -> multiproc::Result<()> {
    let (here, start, done) = (Semaphore::new(0)?, Event::new()?, Condition::new()?);
    let sum = Value::new(0_u64)?;
    let points = Array::from_slice(&[Point { x: 1, y: 2 }; 2])?;
    let handles = (here.clone(), start.clone(), sum.clone(), points.clone(), done.clone());
    let mut processes: Vec<_> = (0..3).map(|_| Process::new(add, handles.clone())).collect();
    for process in &mut processes {
        process.start()?;
        here.acquire()?.forget();
    }
    start.set()?;
    let guard = done.acquire()?;
    done.wait_for(|| sum.get().is_ok_and(|sum| sum == 42))?;
    drop(guard);
    for process in &processes {
        assert_eq!(process.join()?, 0);
    }
    println!("together {} {:?}", sum.get()?, points.to_vec()?);
    Ok(())
}

fn constructed() -> u32 {
    FILLED.load(SeqCst)
}

fn main() -> multiproc::Result<()> {
    let queue = Queue::new()?;
    let mut process = Process::new(produce, (queue.clone(),));
    process.start()?;
    for _ in 0..3 {
        println!("{}", queue.get()?);
    }
    println!("produce ended with {}", process.join()?);

    for method in all_start_methods() {
        let fails = || panic!("on purpose");
        let process = Process::builder(fails, ()).start_method(method).start()?;
        println!("{method}: a panic is a failure: {}", process.join()? != 0);
        let process = Process::builder(produce, (queue.clone(),)).start_method(method).start()?;
        println!("{method}: {} {}", queue.get()?, process.join()?);
        while !queue.is_empty() {
            queue.get()?;
        }
        multiproc::force_start_method(Some(method));
        println!("{method}: constructed {} times", multiproc::spawn(constructed, ())?.join()?);
    }
    multiproc::force_start_method(Some(StartMethod::ForkServer));

    let captured = String::from("captured");
    let mut fork = Process::fork(move || println!("a fork has {captured}"));
    fork.start()?;
    println!("it ended with {}", fork.join()?);
    println!("a value comes back: {}", multiproc::spawn(square, (12,))?.join()?);

    together()?;
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
forkserver: a panic is a failure: true
forkserver: value 0 0
forkserver: constructed 1 times
fork: a panic is a failure: true
fork: value 0 0
fork: constructed 1 times
spawn: a panic is a failure: true
spawn: value 0 0
spawn: constructed 1 times
a fork has captured
it ended with 0
a value comes back: 144
together 42 [Point { x: 1, y: 2 }, Point { x: 1, y: 5 }]
squares [1, 4, 9, 16, 25]
TEXT

# The program of a crate with an asynchronous runtime: many threads, and starts and waits in the middle of them.
asynchronous_program() {
    cat <<'RUST'
use multiproc::{Pool, Process, Queue, StartMethod, all_start_methods};

fn square(x: u64, answers: Queue<u64>) {
    answers.put(x * x).expect("the queue is open");
}

async fn by(method: StartMethod) -> multiproc::Result<u64> {
    let answers = Queue::new()?;
    let mut sum = 0;
    for x in 1..=5 {
        let arguments = (x, answers.clone());
        let process = Process::builder(square, arguments).start_method(method).start()?;
        tokio::task::yield_now().await;
        assert_eq!(process.join()?, 0);
        sum += answers.get()?;
    }
    Ok(sum)
}

async fn forked(number: u64) -> multiproc::Result<u64> {
    let captured = vec![number; 3];
    let child = multiproc::fork(move || captured.into_iter().sum::<u64>())?;
    tokio::task::yield_now().await;
    child.join()
}

async fn pooled(method: StartMethod) -> multiproc::Result<u64> {
    let pool = Pool::builder().workers(2).start_method(method).build()?;
    let squares = pool.map(|x: u64| x * x, 1..=5)?;
    tokio::task::yield_now().await;
    pool.close();
    pool.join()?;
    Ok(squares.into_iter().sum())
}

#[tokio::main]
async fn main() -> multiproc::Result<()> {
    // Others work at the same time, and hold locks when a process is started.
    let busy: Vec<_> = (0..4)
        .map(|task| {
            tokio::spawn(async move {
                let mut kept = Vec::new();
                for round in 0..2_000 {
                    kept.push(format!("{task} {round}"));
                    tokio::task::yield_now().await;
                }
                kept.len()
            })
        })
        .collect();
    for method in all_start_methods() {
        let started: Vec<_> = (0..3).map(|_| tokio::spawn(by(method))).collect();
        for task in started {
            println!("{method}: {}", task.await.expect("no panic")?);
        }
        println!("a pool by {method}: {}", tokio::spawn(pooled(method)).await.expect("no panic")?);
    }
    let forks: Vec<_> = (1..4).map(|number| tokio::spawn(forked(number))).collect();
    for fork in forks {
        println!("forked: {}", fork.await.expect("no panic")?);
    }
    for task in busy {
        assert_eq!(task.await.expect("no panic"), 2_000);
    }
    Ok(())
}
RUST
}

{
    for method in forkserver fork spawn; do
        printf '%s: 55\n' $method $method $method
        printf 'a pool by %s: 55\n' $method
    done
    printf 'forked: %s\n' 3 6 9
} >"$folder/expected-asynchronous"

# check NAME EXPECTED CARGO-OPTION...: builds it, runs it, compares what it says.
check() {
    local name=$1 expected=$2
    shift 2
    echo "new crate: $name"
    (
        cd "$folder/$name"
        export CARGO_TARGET_DIR=$folder/target
        timeout 300 cargo build --quiet "$@"
        timeout 60 cargo run --quiet "$@" | diff "$folder/$expected" -
    )
}

library='early = { path = "../early" }'
new_crate plain '' "$library"
new_crate abort $'[profile.dev]\npanic = "abort"' "$library"
new_crate lto $'[profile.release]\nlto = "fat"\ncodegen-units = 1\nstrip = true' "$library"
for name in plain abort lto; do
    program >"$folder/$name/src/main.rs"
done
new_crate asynchronous '' 'tokio = { version = "1", features = ["rt-multi-thread", "macros"] }'
asynchronous_program >"$folder/asynchronous/src/main.rs"

check plain expected
check abort expected
check lto expected --release
check asynchronous expected-asynchronous
