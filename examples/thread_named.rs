//! Python: `Thread(target=thread_test, args=("test",), name="TestThread")`, `start`, `join`, `current_thread().name`.
#![expect(clippy::print_stdout, reason = "an example speaks")]

use multiproc::threading::{Thread, current_thread};

fn greet(name: &str) {
    println!("thread {} is running...", current_thread().name());
    println!("hello {name}");
    println!("thread {} ended", current_thread().name());
}

fn main() -> multiproc::Result<()> {
    println!("thread {} is running...", current_thread().name());
    println!("hello world");
    let thread = Thread::with_args(greet, ("test",));
    thread.set_name("TestThread");
    thread.start()?;
    thread.join()?;
    println!("thread {} ended", current_thread().name());
    Ok(())
}
