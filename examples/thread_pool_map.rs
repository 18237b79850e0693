//! Python: `pool = ThreadPool(3, initializer)`, `pool.apply`, `pool.map`, `pool.starmap`, `pool.imap`, `pool.imap_unordered`, `pool.close`,
//! `pool.join`.
//!
//! Functions may capture, and nothing is serialised. A panic is the error of one result.
#![expect(clippy::print_stdout, reason = "an example speaks")]

use multiproc::ThreadPool;
use multiproc::threading::{Local, current_thread};
use std::cell::Cell;
use std::collections::HashMap;
use std::sync::Arc;

mod pace;

fn main() -> multiproc::Result<()> {
    let tasks = Local::new(|| Cell::new(0));
    let theirs = tasks.clone();
    let pool = ThreadPool::builder()
        .workers(3)
        .initializer(move || theirs.set(100))
        .build()?;

    println!("2 to the 10th: {}", pool.apply(u64::pow, (2, 10))?);

    // What all tasks look at is captured, not copied.
    let prices = Arc::new(HashMap::from([("tea", 3), ("rice", 5), ("salt", 1)]));
    let price = move |what: &str| prices[what];
    println!("prices: {:?}", pool.map(price, ["salt", "tea", "rice"])?);
    let areas = pool.starmap(|a: u32, b: u32| a * b, [(2, 3), (4, 5)])?;
    println!("areas: {areas:?}");

    // The items may be endless: they are drawn as workers have time.
    let slow_square = |n: u64| {
        pace::sleep(0.01);
        n * n
    };
    let squares = pool.imap(slow_square, 1..)?;
    let squares: Result<Vec<u64>, _> = squares.take(5).collect();
    println!("squares: {:?}", squares?);

    let third = |n: u32| 12 / (3 - n);
    for (n, result) in pool.imap(third, 0..4)?.enumerate() {
        match result {
            Ok(value) => println!("{n}: {value}"),
            Err(error) => println!("{n}: {:?}", error.kind()),
        }
    }

    let count = move |_: u32| {
        tasks.with(|tasks| tasks.set(tasks.get() + 1));
        (current_thread().name(), tasks.with(Cell::get))
    };
    let last: HashMap<String, i32> = pool.map_chunked(count, 0..30, 1)?.into_iter().collect();
    let done: i32 = last.values().map(|number| number - 100).sum();
    println!("workers that took part: at most {}", pool.workers());
    println!("tasks that they counted: {done}");

    pool.close();
    pool.join()
}
