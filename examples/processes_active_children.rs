//! Python: `multiprocessing.active_children()` while children run, and after their end.
//!
//! To ask is also to reap: a child that has ended is not a zombie afterwards.
#![expect(clippy::print_stdout, reason = "an example speaks")]

use multiproc::{Process, Queue, active_children};

fn wait_for_news(news: Queue<()>) {
    news.get().expect("main has news");
}

fn show() {
    let children = active_children();
    let mut names: Vec<&str> = children.iter().map(Process::name).collect();
    names.sort_unstable();
    println!("active: {names:?}");
}

fn main() -> multiproc::Result<()> {
    let news = Queue::new()?;
    show();
    for name in ["egon", "alex", "yuanhao"] {
        let process = Process::builder(wait_for_news, (news.clone(),));
        process.name(name).start()?;
    }
    show();
    for _ in 0..3 {
        news.put(())?;
    }
    // Handles of the children come from the list, too.
    for child in active_children() {
        child.join()?;
    }
    show();
    Ok(())
}
