//! `Process::fork` and `multiproc::fork`: the closure is copied with everything that it captures, nothing is serialised.
//!
//! Big data that is only read is shared by the kernel until somebody writes; what a child writes, it writes to its copy.
#![expect(clippy::print_stdout, reason = "an example speaks")]

use multiproc::{Process, fork};
use std::sync::Arc;

const NUMBERS: u64 = 1 << 20;

fn main() -> multiproc::Result<()> {
    let numbers: Arc<[u64]> = (0..NUMBERS).collect();
    let mut halves = Vec::new();
    for half in 0..2 {
        let numbers = Arc::clone(&numbers);
        halves.push(fork(move || {
            let middle = numbers.len() / 2;
            let (low, high) = numbers.split_at(middle);
            [low, high][half].iter().sum::<u64>()
        })?);
    }
    for handle in halves {
        println!("half a sum: {}", handle.join()?);
    }

    let mut names = vec!["egon"];
    let mut copied = names.clone();
    let mut process = Process::fork(move || {
        copied.push("alex");
        println!("child: {copied:?}");
    });
    process.start()?;
    process.join()?;
    names.push("yuanhao");
    println!("main: {names:?}");
    Ok(())
}
