//! Python: `p.name`, `p.daemon`, `p.pid`, `p.exitcode`, `p.authkey`, before the start, while it runs, and after its end.
#![expect(clippy::print_stdout, reason = "an example speaks")]

use multiproc::{Process, Queue, current_process};

fn wait_for_news(news: Queue<()>) {
    news.get().expect("main has news");
}

fn show(when: &str, process: &Process) -> multiproc::Result<()> {
    let (name, pid) = (process.name(), process.pid().is_some());
    let (alive, code) = (process.is_alive(), process.exitcode()?);
    println!("{when}: {name}, has a pid: {pid}, alive: {alive}, exitcode: {code:?}");
    Ok(())
}

fn main() -> multiproc::Result<()> {
    let news = Queue::new()?;
    let mut process = Process::new(wait_for_news, (news.clone(),));
    process.set_name("reader")?;
    process.set_daemon(true)?;
    show("not started", &process)?;
    process.start()?;
    show("running", &process)?;
    news.put(())?;
    process.join()?;
    show("ended", &process)?;

    let key = process.authkey();
    println!("daemon: {}", process.daemon());
    println!("its key has {} bytes", key.as_bytes().len());
    let own = current_process().authkey();
    println!("it is ours: {}", own.as_bytes() == key.as_bytes());
    Ok(())
}
