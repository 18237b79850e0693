//! Python: `q = JoinableQueue()`, `q.put(task)`, `q.get()`, `q.task_done()`, `q.join()`, `p.terminate()`.
//!
//! One worker is killed while it has a task. There `q.join()` waits for ever; here the task is put back and another worker does it.
//! There each worker needs a `None` at the end; here the queue is closed.
#![expect(clippy::print_stdout, reason = "an example speaks")]

use multiproc::{JoinableQueue, Process, Queue, Result};

mod pace;

/// On which whoever takes it first makes no progress.
const HARD: u32 = 3;

fn work(number: usize, tasks: JoinableQueue<u32>, stuck: Queue<usize>) {
    for task in &tasks {
        let task = task.expect("numbers decode");
        if *task == HARD && task.attempts() == 0 {
            println!("worker {number} is stuck with task {}", *task);
            stuck.put(number).expect("main listens");
            pace::sleep(600.0);
        }
        pace::sleep(0.05);
        println!("task {} is done, taken before: {}", *task, task.attempts());
        task.task_done();
    }
    println!("worker {number} goes home");
}

fn main() -> Result<()> {
    let (tasks, stuck) = (JoinableQueue::new()?, Queue::new()?);
    let mut workers = Vec::new();
    for number in 0..3 {
        let mut worker = Process::new(work, (number, tasks.clone(), stuck.clone()));
        worker.start()?;
        workers.push(worker);
    }
    for task in 1..=6 {
        tasks.put(task)?;
    }

    let victim = workers.remove(stuck.get()?);
    victim.terminate()?;
    println!("that worker ended with {}", victim.join()?);
    tasks.join()?;
    println!(
        "unfinished: {}, failed: {}",
        tasks.unfinished(),
        tasks.failed()
    );

    tasks.close();
    for worker in &workers {
        worker.join()?;
    }
    Ok(())
}
