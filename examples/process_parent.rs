//! Python: `multiprocessing.parent_process()` and `current_process()` in the first process, in a child, in a child's child;
//! `os.getpid()`, `os.getppid()`.
#![expect(clippy::print_stdout, reason = "an example speaks")]

use multiproc::{Process, current_process, os, parent_process};

fn introduce() {
    let (name, pid) = (current_process().name().to_owned(), os::getpid());
    match parent_process() {
        None => println!("{name} ({pid}) is the first process"),
        Some(parent) => {
            let (its_name, its_pid) = (parent.name(), parent.pid());
            println!("{name} ({pid}) is a child of {its_name} ({its_pid})");
            assert_eq!(its_pid, os::getppid());
            assert!(parent.is_alive());
        }
    }
}

fn child() {
    introduce();
    let mut process = Process::new(introduce, ());
    process.start().expect("a child may have children");
    process.join().expect("and wait for them");
}

fn main() -> multiproc::Result<()> {
    introduce();
    let mut process = Process::new(child, ());
    process.start()?;
    process.join()?;
    Ok(())
}
