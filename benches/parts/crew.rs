//! Some processes or threads that do rounds of the same work at the same time, and how long these took.
//!
//! Between rounds all sleep, so that crews which are compared do not disturb each other.

use super::clock::now;
use super::cpus::{only, two};
use super::memory::shared;
use super::sem::PosixSemaphore;
use multiproc::{Lock, Process, ProcessBuilder};
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::thread::JoinHandle;
use std::time::Duration;

/// More would not tell more.
const MOST: usize = 8;

/// How long a crew may take for a round before somebody looks whether it lives.
const PATIENCE: Duration = Duration::from_secs(20);

/// The order that means: go home.
const END: u64 = u64::MAX;

/// Where the members of a crew run.
#[derive(Clone, Copy)]
pub(crate) enum Place {
    /// Each on its own of two CPUs.
    Apart,
    /// Wherever the kernel likes, on two CPUs.
    Anywhere,
    /// All on one CPU, and they know that they have only one.
    OneCpu,
}

impl Place {
    /// For a process of its own, or a thread.
    fn take(self, member: usize) {
        count_cpus();
        if let Place::Apart = self {
            only(&two()[member % 2..=member % 2]);
        }
    }
}

/// Lets this process find out how many CPUs it has, which it asks once, when it first waits. A thread that is pinned to
/// one of two would believe that there is one, and who has one does not spin.
pub(crate) fn count_cpus() {
    let lock = Lock::new().expect("a lock");
    let _guard = lock.acquire().expect("nobody died with it");
    let second = lock.acquire_timeout(Duration::from_millis(1));
    assert!(second.is_err(), "it is taken");
}

/// What all members see.
struct Board {
    /// How many rounds of work each is to do.
    rounds: AtomicU64,
    /// Members that came to the start, since the beginning.
    ready: AtomicU64,
    begins: [AtomicU64; MOST],
    ends: [AtomicU64; MOST],
    /// What the work changes.
    number: AtomicU64,
}

/// Does so many rounds, and says how long they took.
pub(crate) type Timed = Box<dyn Fn(u64) -> Duration>;

/// What a member does: its own number, the rounds, the number that each round has to bump.
pub(crate) trait Work: Fn(usize, u64, &AtomicU64) + Clone + Send + 'static {}

impl<F: Fn(usize, u64, &AtomicU64) + Clone + Send + 'static> Work for F {}

enum Members {
    Processes(Vec<Process>),
    Threads(Vec<JoinHandle<()>>),
}

pub(crate) struct Crew {
    board: &'static Board,
    orders: Vec<&'static PosixSemaphore>,
    done: &'static PosixSemaphore,
    members: Members,
}

impl Crew {
    pub(crate) fn processes(size: usize, place: Place, work: impl Work) -> Crew {
        let member = |run: Box<dyn FnOnce() + Send>| {
            let builder = ProcessBuilder::fork(run);
            let builder = match place {
                // By the crate itself, which spins where it believes that there is another CPU.
                Place::OneCpu => builder.cpu_affinity([two()[0]]),
                _ => builder,
            };
            builder.start().expect("a process starts")
        };
        Crew::of(size, place, work, member, Members::Processes)
    }

    pub(crate) fn threads(size: usize, place: Place, work: impl Work) -> Crew {
        Crew::of(size, place, work, std::thread::spawn, Members::Threads)
    }

    fn of<M>(
        size: usize,
        place: Place,
        work: impl Work,
        start: impl Fn(Box<dyn FnOnce() + Send>) -> M,
        members: impl FnOnce(Vec<M>) -> Members,
    ) -> Crew {
        assert!(size <= MOST);
        let board = shared(Board {
            rounds: AtomicU64::new(0),
            ready: AtomicU64::new(0),
            begins: Default::default(),
            ends: Default::default(),
            number: AtomicU64::new(0),
        });
        let orders: Vec<_> = (0..size).map(|_| PosixSemaphore::new(0)).collect();
        let done = PosixSemaphore::new(0);
        let started = orders.iter().copied().enumerate().map(|(member, order)| {
            let work = work.clone();
            start(Box::new(move || {
                place.take(member);
                serve(board, member, size, order, done, work);
            }))
        });
        Crew {
            board,
            members: members(started.collect()),
            orders,
            done,
        }
    }

    /// Every member does so many rounds: the time from when the first began until the last was done.
    pub(crate) fn run(&self, rounds: u64) -> Duration {
        let before = self.board.number.load(SeqCst);
        self.board.rounds.store(rounds, SeqCst);
        self.orders.iter().for_each(|order| order.post());
        for _ in &self.orders {
            while !self.done.wait_for(PATIENCE) {
                assert!(self.lives(), "a member of the crew is gone");
            }
        }
        let size = u64::try_from(self.orders.len()).expect("few");
        let bumped = self.board.number.load(SeqCst) - before;
        assert_eq!(bumped, rounds * size, "something was lost");
        let stamps = |stamps: &'static [AtomicU64; MOST]| {
            let stamps = stamps.iter().take(self.orders.len());
            stamps.map(|stamp| stamp.load(SeqCst))
        };
        let begin = stamps(&self.board.begins).min().expect("a member");
        let end = stamps(&self.board.ends).max().expect("a member");
        Duration::from_nanos(end - begin)
    }

    fn lives(&self) -> bool {
        match &self.members {
            Members::Processes(processes) => processes.iter().all(Process::is_alive),
            Members::Threads(threads) => !threads.iter().any(JoinHandle::is_finished),
        }
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        self.board.rounds.store(END, SeqCst);
        self.orders.iter().for_each(|order| order.post());
        match &mut self.members {
            Members::Processes(processes) => {
                for process in processes {
                    assert_eq!(process.join().expect("it ends"), 0);
                }
            }
            Members::Threads(threads) => {
                for thread in threads.drain(..) {
                    thread.join().expect("it ends");
                }
            }
        }
    }
}

/// The life of a member.
fn serve(
    board: &'static Board,
    member: usize,
    size: usize,
    order: &PosixSemaphore,
    done: &PosixSemaphore,
    work: impl Work,
) {
    let size = u64::try_from(size).expect("few");
    let mut all = 0;
    loop {
        order.wait();
        let rounds = board.rounds.load(SeqCst);
        if rounds == END {
            return;
        }
        all += size;
        board.ready.fetch_add(1, SeqCst);
        while board.ready.load(SeqCst) < all {
            std::thread::yield_now();
        }
        board.begins[member].store(now(), SeqCst);
        work(member, rounds, &board.number);
        board.ends[member].store(now(), SeqCst);
        done.post();
    }
}
