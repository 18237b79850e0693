//! The supervisor: the one thread that knows which workers live, and sees to it that every task has an outcome.
//!
//! It sleeps on the workers' pidfds and on an eventfd by which the front calls it; there is no polling interval.

use super::shared::{Condemned, Shared};
use super::worker;
use crate::error::{Error, ErrorKind, RemoteError, Result};
use crate::process::{self, Running};
use crate::shm::arena::Arena;
use crate::shm::{Member, member};
use crate::sys::atomic::{AcqRel, Acquire, AtomicBool, Relaxed, Release};
use crate::sys::clock::Deadline;
use crate::sys::event::Event;
use crate::sys::os_thread::{self, OsThread};
use crate::sys::private::Private;
use crate::sys::socket;
use nix::libc::SIGKILL;
use nix::poll::{PollFd, PollFlags};
use std::sync::Arc;
use std::time::Duration;

/// So many workers in a row that died before they took a task are no accident.
const BARREN: u32 = 100;

/// A start that failed is tried again so much later, while others work.
const AGAIN: Duration = Duration::from_millis(100);

/// After so many starts that failed in a row, with no worker left, the pool is broken.
const ATTEMPTS: u32 = 20;

/// How the front speaks to the supervisor, and sees the workers.
#[derive(Debug)]
pub(super) struct Line {
    event: Event,
    terminated: AtomicBool,
    /// The workers that live, as far as is known.
    pub(super) workers: Private<Vec<Arc<Running>>>,
}

impl Line {
    pub(super) fn new(workers: Vec<Arc<Running>>) -> Result<Self> {
        let event = Event::new().map_err(|error| Error::os("eventfd", error))?;
        Ok(Self {
            event,
            terminated: AtomicBool::new(false),
            workers: Private::new(workers),
        })
    }

    /// Something has changed: look.
    pub(super) fn call(&self) {
        self.event.set();
    }

    pub(super) fn terminate(&self) {
        self.terminated.store(true, Release);
        self.call();
    }

    /// Kills the workers with all that they started, and waits until they are gone.
    pub(super) fn kill_workers(&self) {
        let workers = std::mem::take(&mut *self.workers.lock());
        for worker in &workers {
            // The group before the leader is reaped, while its number cannot be another's.
            let _gone = nix::sys::signal::killpg(
                nix::unistd::Pid::from_raw(worker.pid),
                nix::sys::signal::Signal::SIGKILL,
            );
            let _gone = worker.signal(SIGKILL);
        }
        for worker in workers {
            let _ended = worker.wait(Deadline::NEVER);
        }
    }

    fn is_terminated(&self) -> bool {
        self.terminated.load(Acquire)
    }
}

/// Starts a worker of a pool.
pub(super) fn start_worker(
    shared: &Shared,
    number: u32,
    lost: impl FnOnce(Member),
) -> Result<Arc<Running>> {
    process::launch_service(
        format!("PoolWorker-{number}"),
        shared.method,
        worker::work,
        &(shared.pool.clone(),),
        lost,
    )
}

#[derive(Debug)]
pub(super) struct Supervisor {
    pub(super) shared: Arc<Shared>,
    pub(super) line: Arc<Line>,
    /// How many workers there should be.
    pub(super) wanted: usize,
    pub(super) retries: u64,
    /// The number of the last worker.
    pub(super) number: u32,
    /// Workers in a row that died before they took a task, while nobody took one.
    pub(super) barren: u32,
    /// Hints taken until the last death.
    pub(super) taken: u64,
    /// Starts in a row that failed, and why the last one did.
    pub(super) failed: Option<(u32, String)>,
}

impl Supervisor {
    /// Lets it run in a thread of its own.
    pub(super) fn start(self) -> Result<OsThread> {
        let run = move || self.run();
        let started = os_thread::spawn("multiproc-pool", os_thread::STACK, run);
        started.map_err(|error| Error::os("start the supervisor of a pool", error))
    }

    /// Until all workers have left, because the pool was closed, terminated or is broken.
    pub(super) fn run(mut self) {
        loop {
            let workers = self.line.workers.lock().clone();
            if self.line.is_terminated() {
                self.end(|| ErrorKind::Terminated.into());
                return;
            }
            if let Some(text) = self.broken(workers.len()) {
                self.shared.close();
                self.end(|| Error::new(ErrorKind::WorkerDied, text.clone()));
                return;
            }
            if workers.is_empty() && self.shared.is_closed() && !self.shared.has_work() {
                return;
            }
            self.sleep(&workers);
            if self.line.is_terminated() {
                continue;
            }
            for worker in workers {
                if worker.is_over() {
                    self.bury(&worker);
                }
            }
            self.fill();
        }
    }

    fn sleep(&self, workers: &[Arc<Running>]) {
        let pidfds = workers.iter().filter_map(|worker| worker.pidfd());
        let all = std::iter::once(self.line.event.as_fd()).chain(pidfds);
        let mut fds: Vec<PollFd<'_>> = all.map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
        let deadline = if self.failed.is_some() {
            Deadline::after(AGAIN)
        } else {
            Deadline::NEVER
        };
        if let Err(error) = socket::poll_until(&mut fds, deadline) {
            log::error!("the supervisor of a pool cannot sleep: {error}");
        }
        self.line.event.clear();
    }

    /// Deals with the task of a dead worker, then with the worker.
    fn bury(&mut self, worker: &Arc<Running>) {
        let arena = Arena::existing();
        let slot = arena.and_then(|arena| worker.member.slot(arena));
        let noted = slot.map_or(0, |slot| slot.noted.load(Acquire));
        let condemned = self.shared.condemn(noted, worker.member.slot);
        let ended = worker.try_wait().ok().flatten();
        let code = ended.and_then(|ended| ended.code);
        self.shared.words().forget_searcher(worker.member.slot);
        self.line
            .workers
            .lock()
            .retain(|other| other.member != worker.member);
        let left = code == Some(0) && self.shared.is_closed() && condemned.is_none();
        if !left {
            self.shared.counters.deaths.fetch_add(1, Relaxed);
        }
        let before = std::mem::replace(&mut self.taken, self.shared.words().taken());
        self.barren = match noted == 0 && !left {
            true if before == self.taken => self.barren + 1,
            true => 1,
            false => 0,
        };
        if let Some(condemned) = condemned {
            self.judge(&condemned, worker.name(), worker.pid, code);
        }
    }

    /// Deals with a worker that was started and could not be held: it was killed, and may have taken a task.
    fn bury_lost(&self, member: Member) {
        // If it runs, nobody would ever hear of its end.
        member.end();
        if !member::proved_dead(member.slot, member.generation) {
            return;
        }
        let slot = Arena::existing().and_then(|arena| member.slot(arena));
        let noted = slot.map_or(0, |slot| slot.noted.load(Acquire));
        let condemned = self.shared.condemn(noted, member.slot);
        self.shared.words().forget_searcher(member.slot);
        if let Some(condemned) = condemned {
            self.shared.counters.deaths.fetch_add(1, Relaxed);
            let name = format!("PoolWorker-{}", self.number);
            self.judge(&condemned, &name, 0, Some(-SIGKILL));
        }
    }

    /// The task of a dead worker is tried again, or fails.
    fn judge(&self, condemned: &Condemned, name: &str, pid: i32, code: Option<i32>) {
        self.shared.counters.deaths_in_task.fetch_add(1, Relaxed);
        let deaths = condemned.task.task.deaths.fetch_add(1, AcqRel) + 1;
        if deaths <= self.retries && !self.line.is_terminated() {
            self.shared.retry(condemned);
        } else {
            let error = death(name, pid, code, condemned.task.call().name(), deaths);
            self.shared
                .fail(condemned.hint.cell, &condemned.task, condemned.stage, error);
        }
    }

    /// Starts workers until there are as many as there should be.
    fn fill(&mut self) {
        loop {
            let living = self.line.workers.lock().len();
            let closing = self.shared.is_closed() && !self.shared.has_work();
            if living >= self.wanted || closing || self.line.is_terminated() || process::is_ending()
            {
                return;
            }
            self.number += 1;
            match start_worker(&self.shared, self.number, |member| self.bury_lost(member)) {
                Ok(worker) => {
                    self.failed = None;
                    self.line.workers.lock().push(worker);
                }
                Err(error) => {
                    let times = self.failed.as_ref().map_or(0, |(times, _)| *times);
                    self.failed = Some((times + 1, error.to_string()));
                    return;
                }
            }
        }
    }

    /// Why the pool cannot go on, if it cannot.
    fn broken(&self, living: usize) -> Option<String> {
        if self.barren >= BARREN {
            return Some(format!(
                "{BARREN} workers in a row died before they took a task"
            ));
        }
        let (times, why) = self.failed.as_ref()?;
        (*times >= ATTEMPTS && living == 0).then(|| format!("no worker can be started: {why}"))
    }

    /// Kills the workers, and gives every task an outcome.
    fn end(&self, why: impl Fn() -> Error) {
        // First: no task may get a block that settling a worker frees while a cell still names it.
        self.shared.close();
        self.line.kill_workers();
        self.shared.fail_all(why);
    }
}

fn death(name: &str, pid: i32, code: Option<i32>, function: &str, deaths: u64) -> Error {
    let how = match code {
        Some(code) if code < 0 => format!("killed by signal {}", -code),
        Some(code) => format!("ended with exit code {code}"),
        None => "ended, nobody knows how".to_owned(),
    };
    let message = format!("{how} while it ran {function} (attempt {deaths})");
    let remote = RemoteError {
        process: name.to_owned(),
        thread: None,
        pid: pid.cast_unsigned(),
        message,
        place: None,
        backtrace: None,
        exitcode: code,
    };
    Error::remote_error(ErrorKind::WorkerDied, remote)
}
