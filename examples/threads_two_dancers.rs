//! Python: `lock = threading.Lock()`, `lock.acquire()` and `lock.release()` around two threads' work; no `join`.
//!
//! Who has the lock goes first, all three times. The program waits for its threads by itself.
#![expect(clippy::print_stdout, reason = "an example speaks")]

use multiproc::threading::{Lock, Thread, current_thread};

mod pace;

fn dance(lock: Lock, name: &str, age: u32) {
    let _guard = lock.acquire().expect("threads do not die alone");
    println!("{:?} begins", current_thread());
    for round in 1..=3 {
        println!("{name} ({age}) dances: {round}");
        pace::sleep(0.2);
    }
}

fn sing(lock: Lock) {
    let _guard = lock.acquire().expect("threads do not die alone");
    println!("{:?} begins", current_thread());
    for round in 1..=3 {
        println!("somebody sings: {round}");
        pace::sleep(0.2);
    }
}

fn main() -> multiproc::Result<()> {
    println!("{:?} begins", current_thread());
    let lock = Lock::new()?;
    let dancer = Thread::with_args(dance, (lock.clone(), "Zhang San", 20));
    dancer.set_name("dance_thread");
    let singer = Thread::with_args(sing, (lock,));
    singer.set_name("sing_thread");
    dancer.start()?;
    singer.start()?;
    Ok(())
}
