//! The workers of a pool of threads: how they find jobs, when they sleep, when they leave.
//!
//! *Seekers* are workers that look for a job without sleeping, at most one less than there are CPUs. Who gives a job wakes a sleeper only if
//! nobody seeks; a seeker that has found a job, or given up, looks at the queue once more afterwards and calls the next. So either the giver
//! sees that nobody seeks, or who has sought sees the job: each first writes its own word (the queue, the count of seekers) and
//! then reads the other's, with a fence between.
//!
//! A worker leaves when the pool is closed, nobody is in the middle of giving, no source can give more, and the queue is empty. When the pool
//! is terminated, what is in the queue is dropped, by whoever finds it: a worker, who terminates, or who has just given it.

use super::result::{LONG, check_generation, look_for_a_while};
use crate::error::{Error, ErrorKind, Result};
use crate::sync::{Gate, WithinProcess};
use crate::sys::atfork;
use crate::sys::atomic::{
    AcqRel, Acquire, AtomicBool, AtomicU32, AtomicU64, Relaxed, SeqCst, fence_after_rmw,
};
use crate::sys::thread;
use crate::thread::catch;
use crossbeam::queue::SegQueue;
use crossbeam::utils::CachePadded;
use std::cell::Cell;

/// Something to do. What is dropped without having run says so to who waits for it.
pub(super) trait Job: Send {
    /// Panics of tasks are outcomes. If it panics all the same, as a destructor may, the worker goes on.
    fn run(self: Box<Self>, crew: &Crew);
}

/// In [`Crew::state`]: no more jobs are taken.
const CLOSED: u64 = 1;
/// One who gives, or a source.
const GIVER: u64 = 2;

/// What the workers of a pool share.
pub(super) struct Crew {
    /// Of all pools of this program.
    pub(super) number: u32,
    generation: u32,
    jobs: SegQueue<Box<dyn Job>>,
    /// [`CLOSED`], and how many are giving ([`GIVER`]).
    state: CachePadded<AtomicU64>,
    seekers: CachePadded<AtomicU32>,
    gate: CachePadded<Gate>,
    terminated: AtomicBool,
}

thread_local! {
    /// The number of the pool whose worker this thread is.
    static OWN: Cell<u32> = const { Cell::new(0) };
}

impl Crew {
    pub(super) fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(1);
        Self {
            number: NUMBER.fetch_add(1, Relaxed),
            generation: atfork::generation(),
            jobs: SegQueue::new(),
            state: CachePadded::new(AtomicU64::new(0)),
            seekers: CachePadded::new(AtomicU32::new(0)),
            gate: CachePadded::new(Gate::default()),
            terminated: AtomicBool::new(false),
        }
    }

    /// Is this the process of the pool, and no child that a task has forked?
    pub(super) fn is_here(&self) -> bool {
        self.generation == atfork::generation()
    }

    pub(super) fn check_process(&self) -> Result<()> {
        check_generation(self.generation)
    }

    /// Is this thread one of its workers?
    pub(super) fn is_own(&self) -> bool {
        OWN.get() == self.number
    }

    pub(super) fn is_closed(&self) -> bool {
        self.state.load(Acquire) & CLOSED != 0
    }

    pub(super) fn is_terminated(&self) -> bool {
        self.terminated.load(SeqCst)
    }

    /// Lets a worker do it.
    pub(super) fn give(&self, job: Box<dyn Job>) -> Result<()> {
        self.begin()?;
        self.push(job);
        self.end();
        Ok(())
    }

    /// From now on somebody gives, who will [end](Self::end) it: no worker leaves before.
    pub(super) fn begin(&self) -> Result<()> {
        self.check_process()?;
        if self.state.fetch_add(GIVER, AcqRel) & CLOSED == 0 {
            return Ok(());
        }
        self.end();
        Err(Error::new(
            ErrorKind::Closed,
            "the pool takes no more tasks",
        ))
    }

    pub(super) fn end(&self) {
        if self.state.fetch_sub(GIVER, AcqRel) == CLOSED | GIVER {
            self.gate.notify::<WithinProcess>(u32::MAX);
        }
    }

    /// For who has [begun](Self::begin).
    pub(super) fn push(&self, job: Box<dyn Job>) {
        self.jobs.push(job);
        self.call();
        if self.is_terminated() {
            // Perhaps nobody else comes by any more.
            self.drop_jobs();
        }
    }

    /// After a job was put into the queue.
    fn call(&self) {
        fence_after_rmw();
        if self.seekers.load(Relaxed) == 0 {
            self.gate.notify::<WithinProcess>(1);
        }
    }

    pub(super) fn close(&self) {
        self.state.fetch_or(CLOSED, SeqCst);
        self.gate.notify::<WithinProcess>(u32::MAX);
    }

    pub(super) fn terminate(&self) {
        self.terminated.swap(true, SeqCst);
        self.close();
        self.drop_jobs();
    }

    fn drop_jobs(&self) {
        while let Some(job) = self.jobs.pop() {
            guarded(|| drop(job));
        }
    }

    /// The life of a worker.
    pub(super) fn work(&self) {
        OWN.set(self.number);
        while let Some(job) = self.find() {
            if self.is_terminated() {
                guarded(|| drop(job));
            } else {
                guarded(|| job.run(self));
            }
            // A child that the task has forked returns from it too, and there is nothing else to do for it.
            if !self.is_here() {
                return;
            }
        }
    }

    fn find(&self) -> Option<Box<dyn Job>> {
        let next = self.jobs.pop();
        if next.is_some() {
            return next;
        }
        let job = self.wait_for_one()?;
        // Who gave more has perhaps relied on this thread, which looked for one.
        if !self.jobs.is_empty() {
            self.call();
        }
        Some(job)
    }

    /// `None` when there will be none.
    #[cold]
    fn wait_for_one(&self) -> Option<Box<dyn Job>> {
        loop {
            if self.is_over() {
                return None;
            }
            let found = self.seek();
            if found.is_some() {
                return found;
            }
            let ticket = self.gate.arrive();
            let found = self.jobs.pop();
            if found.is_some() {
                return found;
            }
            if !self.is_over() {
                self.gate.sleep::<WithinProcess>(ticket, LONG);
            }
        }
    }

    /// Looks for a while, unless enough others do.
    fn seek(&self) -> Option<Box<dyn Job>> {
        let most = thread::cpus() - 1;
        let more = |seekers| (seekers < most).then_some(seekers + 1);
        self.seekers.fetch_update(SeqCst, Relaxed, more).ok()?;
        let found = look_for_a_while(|| self.jobs.pop());
        self.seekers.fetch_sub(1, SeqCst);
        fence_after_rmw();
        found
    }

    fn is_over(&self) -> bool {
        let over = self.is_terminated() || self.state.load(Acquire) == CLOSED;
        over && self.jobs.is_empty()
    }
}

/// Runs it. A panic, as of a destructor of somebody's value, is told as those of threads are, and ends nobody.
fn guarded(body: impl FnOnce()) {
    let _told = catch(false, body);
}
