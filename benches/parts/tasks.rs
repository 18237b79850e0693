//! Small tasks on two workers: this crate's processes, and threads behind a channel.

use crossbeam::channel::{Receiver, Sender, bounded, unbounded};
use multiproc::Pool;
use std::thread::JoinHandle;

pub(crate) const WORKERS: usize = 2;

/// The task: it reads its argument, and its result can be checked.
pub(crate) fn next(number: u64) -> u64 {
    number + 1
}

/// Hands out so many tasks one by one, then collects all results.
pub(crate) fn pool_batch(pool: &Pool, tasks: u64) {
    let results: Vec<_> = (0..tasks)
        .map(|number| pool.apply_async(next, (number,)).expect("the pool is open"))
        .collect();
    for (number, result) in (0..tasks).zip(results) {
        assert_eq!(result.get().expect("a result"), number + 1);
    }
}

/// One task after the other, each result awaited.
pub(crate) fn pool_applies(pool: &Pool, tasks: u64) {
    for number in 0..tasks {
        assert_eq!(pool.apply(next, (number,)).expect("a result"), number + 1);
    }
}

type Task = Box<dyn FnOnce() + Send>;

/// The least that can be called a pool of threads.
pub(crate) struct ThreadPool {
    tasks: Option<Sender<Task>>,
    threads: Vec<JoinHandle<()>>,
}

impl ThreadPool {
    pub(crate) fn new() -> ThreadPool {
        let (tasks, coming) = unbounded::<Task>();
        let worker = |_| {
            let coming = coming.clone();
            std::thread::spawn(move || coming.iter().for_each(|task| task()))
        };
        let threads = (0..WORKERS).map(worker).collect();
        let tasks = Some(tasks);
        ThreadPool { tasks, threads }
    }

    fn apply_async(&self, number: u64) -> Receiver<u64> {
        let (answer, result) = bounded(1);
        let task = Box::new(move || answer.send(next(number)).expect("somebody waits"));
        let tasks = self.tasks.as_ref().expect("open until it is dropped");
        tasks.send(task).expect("open");
        result
    }

    pub(crate) fn batch(&self, tasks: u64) {
        let results: Vec<_> = (0..tasks).map(|number| self.apply_async(number)).collect();
        for (number, result) in (0..tasks).zip(results) {
            assert_eq!(result.recv(), Ok(number + 1));
        }
    }

    pub(crate) fn applies(&self, tasks: u64) {
        for number in 0..tasks {
            assert_eq!(self.apply_async(number).recv(), Ok(number + 1));
        }
    }
}

impl Drop for ThreadPool {
    fn drop(&mut self) {
        drop(self.tasks.take());
        for thread in self.threads.drain(..) {
            thread.join().expect("a worker ends");
        }
    }
}
