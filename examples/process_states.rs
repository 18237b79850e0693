//! The three states of a process in every textbook: ready, running, blocked; and stopped, and ended. Python has no name for them.
//!
//! Here `ready` is made and not started; whether a running process has a CPU at this moment is known to the kernel alone.
#![expect(clippy::print_stdout, reason = "an example speaks")]

use multiproc::{Process, ProcessState, Queue, os};
use nix::libc::{SIGCONT, SIGSTOP};

fn work(news: Queue<()>) {
    while news.try_get().is_err() {
        std::hint::spin_loop();
    }
    news.get().expect("main has more news");
}

/// Returns when the process is in this state.
fn await_state(process: &Process, state: ProcessState) -> multiproc::Result<()> {
    while process.state()? != state {
        std::thread::yield_now();
    }
    println!("{state}");
    Ok(())
}

fn main() -> multiproc::Result<()> {
    let news = Queue::new()?;
    let mut process = Process::new(work, (news.clone(),));
    await_state(&process, ProcessState::Ready)?;
    process.start()?;
    await_state(&process, ProcessState::Running)?;
    news.put(())?;
    await_state(&process, ProcessState::Blocked)?;

    let pid = process.pid().expect("it was started");
    os::kill(pid, SIGSTOP)?;
    await_state(&process, ProcessState::Stopped)?;
    os::kill(pid, SIGCONT)?;
    await_state(&process, ProcessState::Blocked)?;
    news.put(())?;
    await_state(&process, ProcessState::Ended)
}
