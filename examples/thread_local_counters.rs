//! Python: counters that each thread has for itself: `local_num`, given to every function that needs it; `global_dict[current_thread()]`;
//! `global_data = local()`.
//!
//! A dictionary needs a lock, and forgets nobody who has ended; a `Local` needs none, and a thread's value goes with the thread.
#![expect(clippy::print_stdout, reason = "an example speaks")]

use multiproc::threading::{Local, Thread, current_thread, get_ident};
use std::cell::Cell;
use std::collections::HashMap;
use std::sync::{LazyLock, Mutex};

const TIMES: u32 = 10_000;

/// The first way: from function to function.
fn count_in_a_variable() {
    let mut number = 0;
    for _ in 0..TIMES {
        number += 1;
    }
    tell_variable(number);
}

fn tell_variable(number: u32) {
    println!("a variable of {}: {number}", current_thread().name());
}

/// The second: by thread, under a lock.
static NUMBERS: Mutex<Option<HashMap<u64, u32>>> = Mutex::new(None);

fn count_in_a_dictionary() {
    for _ in 0..TIMES {
        let mut numbers = NUMBERS.lock().expect("nobody panics");
        let numbers = numbers.get_or_insert_default();
        *numbers.entry(get_ident()).or_default() += 1;
    }
    tell_dictionary();
}

fn tell_dictionary() {
    let numbers = NUMBERS.lock().expect("nobody panics");
    let number = numbers.as_ref().map_or(0, |numbers| numbers[&get_ident()]);
    println!("the dictionary for {}: {number}", current_thread().name());
}

/// The third.
static NUMBER: LazyLock<Local<Cell<u32>>> = LazyLock::new(|| Local::new(|| Cell::new(0)));

fn count_in_a_local() {
    for _ in 0..TIMES {
        NUMBER.with(|number| number.set(number.get() + 1));
    }
    tell_local();
}

fn tell_local() {
    let number = NUMBER.with(Cell::get);
    println!("the local of {}: {number}", current_thread().name());
}

fn main() -> multiproc::Result<()> {
    println!("thread {} is running...", current_thread().name());
    for count in [count_in_a_variable, count_in_a_dictionary, count_in_a_local] {
        let threads: Vec<Thread> = (0..5).map(|_| Thread::new(count)).collect();
        threads.iter().try_for_each(Thread::start)?;
        threads.iter().try_for_each(Thread::join)?;
    }
    println!("the local of the main thread: {}", NUMBER.with(Cell::get));
    println!("thread {} ended.", current_thread().name());
    Ok(())
}
