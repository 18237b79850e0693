//! Python: `pid = os.fork()` and its two answers, `os.getpid()`, `os.getppid()`, `os.waitpid(pid, 0)`; in C the same names.
//!
//! It is unsafe because the child of a program with threads may find locks that nobody will ever release. `Process::fork` is the
//! safe way to have a copy of this process.
#![expect(clippy::print_stdout, reason = "an example speaks")]
#![expect(unsafe_code, reason = "the bare fork is unsafe")]

use multiproc::os::{self, Fork};

fn main() -> multiproc::Result<()> {
    // SAFETY: this program has one thread.
    match unsafe { os::fork() }? {
        Fork::Child => {
            let (me, parent) = (os::getpid(), os::getppid());
            println!("I am child process ({me}) and my parent is ({parent})");
        }
        Fork::Parent { child } => {
            let me = os::getpid();
            println!("I ({me}) just created a child process ({child})");
            println!("it ended with {}", os::waitpid(child)?);
        }
    }
    Ok(())
}
