//! Python: `Process(target=dance, name="dance_process", args=("Zhang San",), kwargs={"age": 20})`, `start`, `join`,
//! `current_process()`, `os.getpid()`, `os.getppid()`, `os.kill(pid, 9)`.
//!
//! All arguments go into the tuple, by place.
#![expect(clippy::print_stdout, reason = "an example speaks")]

use multiproc::{Process, current_process, os};

mod pace;

fn introduce() {
    let (process, parent) = (current_process(), os::getppid());
    println!("{} is {}, from {parent}", process.name(), os::getpid());
}

fn dance(name: String, age: u32) {
    introduce();
    println!("{name} ({age}) dances");
    os::kill(os::getpid(), 9).expect("a process may kill itself");
}

fn sing() {
    introduce();
    for verse in 1..=3 {
        println!("verse {verse}");
        pace::sleep(0.2);
    }
}

fn main() -> multiproc::Result<()> {
    introduce();
    let singer = Process::builder(sing, ()).name("sing_process").start()?;
    println!("the singer ended with {}", singer.join()?);
    let dancer = Process::builder(dance, ("Zhang San".to_owned(), 20));
    let dancer = dancer.name("dance_process").start()?;
    println!("the dancer ended with {}", dancer.join()?);
    Ok(())
}
