//! Queues that nobody uses at the moment: how long they take to make, what they take up, and whether they slow others down.

use super::crew::Timed;
use super::mode::sized;
use super::table;
use super::traffic::{By, Way, one_to_one};
use super::ways::queue;
use multiproc::{Queue, arena, fork};
use std::time::Instant;

/// How many.
pub(crate) const IDLE: u64 = 10_000;

/// A number goes in and comes out.
pub(crate) fn used<W: Way>(way: W) -> W {
    way.put(7);
    assert_eq!(way.get(), 7);
    way
}

fn some<W>(number: u64, make: impl Fn() -> W) -> Vec<W> {
    (0..number).map(|_| make()).collect()
}

/// So many are made, and only then dropped, which is not in what is measured.
pub(crate) fn kept<W: 'static>(make: impl Fn() -> W + 'static) -> Timed {
    Box::new(move |number| {
        let begin = Instant::now();
        let all = some(number, &make);
        let time = begin.elapsed();
        drop(all);
        time
    })
}

/// From one to one, while so many others lie idle, half of them older and half of them younger.
pub(crate) fn beside_idle(number: u64) -> Timed {
    let idle = || some(number / 2, || used(queue(0)));
    let older = idle();
    let busy = queue(0);
    let younger = idle();
    let timed = one_to_one(By::Processes, busy);
    Box::new(move |messages| {
        assert_eq!(older.len(), younger.len());
        timed(messages)
    })
}

/// What each of so many queues takes: bytes of the arena, and of a process's memory. New ones, and such that were used.
pub(crate) fn memory() {
    memory_of("new", || queue(0));
    memory_of("used", || used(queue(0)));
}

fn memory_of(which: &str, make: fn() -> Queue<u64>) {
    let what = format!("Queue memory of each of 10,000, {which} : arena, RSS");
    if table::is_wanted(&what) {
        let taken = fork(move || taken(sized(IDLE, 16), make)).expect("a process starts");
        let (arena, resident) = taken.join().expect("it tells");
        table::bytes(&what, arena, resident);
    }
}

/// In a process of its own, for what others had before is in memory already.
fn taken(number: u64, make: fn() -> Queue<u64>) -> (u64, u64) {
    let before = (arena_bytes(), resident_bytes());
    let all = some(number, make);
    let after = (arena_bytes(), resident_bytes());
    drop(all);
    ((after.0 - before.0) / number, (after.1 - before.1) / number)
}

fn arena_bytes() -> u64 {
    arena::usage().expect("an arena").bytes as u64
}

/// Of this process, in memory.
fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("procfs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().strip_suffix("kB"));
    let kib: Option<u64> = kib.and_then(|kib| kib.trim().parse().ok());
    kib.expect("the kernel tells it") * 1024
}
