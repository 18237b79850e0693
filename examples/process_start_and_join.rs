//! Python: `Process(target=child_proc, args=("test",))`, `start()`, `join()`, `os.getpid()`.
#![expect(clippy::print_stdout, reason = "an example speaks")]

use multiproc::Process;

fn child(name: String) {
    println!("child {name} runs, id {}", std::process::id());
}

fn main() -> multiproc::Result<()> {
    println!("parent, id {}", std::process::id());
    let mut process = Process::new(child, ("test".to_owned(),));
    println!("the child will start");
    process.start()?;
    process.join()?;
    println!("the child has ended");
    Ok(())
}
