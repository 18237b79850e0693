//! Waiters that are killed: they block nobody, and the wake-up that one took with it goes to the next.

use crate::kit::{
    Numbers, RemoteNumbers, asleep, kill_and_join, pid_of, start, stop_and_wait, waiting,
};
use crate::runner::{Case, case, scaled};
use multiproc::sync::Guard;
use multiproc::{
    AcquireError, BoundedSemaphore, Condition, ErrorKind, Event, Lock, Process, RLock, RwLock,
    Semaphore,
};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::Serialize;
use serde::de::DeserializeOwned;

pub(crate) fn tests() -> Vec<Case> {
    vec![
        case("sync_wakes::lock_killed", killed::<Lock>),
        case("sync_wakes::rlock_killed", killed::<RLock>),
        case("sync_wakes::semaphore_killed", killed::<Semaphore>),
        case("sync_wakes::bounded_killed", killed::<BoundedSemaphore>),
        case("sync_wakes::condition_killed", killed::<Condition>),
        case("sync_wakes::rwlock_killed", killed::<RwLock>),
        case("sync_wakes::event_killed", killed::<Event>),
        case("sync_wakes::lock_stopped_and_killed", stopped::<Lock>),
        case("sync_wakes::rlock_stopped_and_killed", stopped::<RLock>),
        case(
            "sync_wakes::semaphore_stopped_and_killed",
            stopped::<Semaphore>,
        ),
        case(
            "sync_wakes::bounded_stopped_and_killed",
            stopped::<BoundedSemaphore>,
        ),
        case(
            "sync_wakes::condition_stopped_and_killed",
            stopped::<Condition>,
        ),
        case("sync_wakes::rwlock_stopped_and_killed", stopped::<RwLock>),
        case("sync_wakes::lock_killed_when_woken", woken::<Lock>),
        case("sync_wakes::rlock_killed_when_woken", woken::<RLock>),
        case(
            "sync_wakes::semaphore_killed_when_woken",
            woken::<Semaphore>,
        ),
        case(
            "sync_wakes::bounded_killed_when_woken",
            woken::<BoundedSemaphore>,
        ),
        case(
            "sync_wakes::condition_killed_when_woken",
            woken::<Condition>,
        ),
        case("sync_wakes::rwlock_killed_when_woken", woken::<RwLock>),
        case("sync_wakes::waiting_writer_killed", waiting_writer),
    ]
}

/// Something that is waited for, and given to one at a time.
pub(crate) trait Kind: Clone + Serialize + DeserializeOwned + Send + 'static {
    fn make() -> Self;

    /// Nobody can have it while `meanwhile` runs; then it is given, once.
    fn give_after(&self, meanwhile: impl FnOnce());

    /// Waits for it, has it, and calls `got`.
    fn wait(&self, got: impl FnOnce());

    /// How many wait, where that can be seen. A process that sleeps may do so for something else, on its way there.
    fn waiting(&self) -> Option<usize> {
        None
    }

    /// Gives it once more, if it does not go from hand to hand by itself.
    fn give_again(&self) {}

    /// Takes back what nobody has got.
    fn take_back(&self) {}

    /// Everything is as it was at the beginning.
    fn check(&self);
}

/// The guard, with or without the news of a death.
fn guard<G: Guard>(result: Result<G, AcquireError<G>>) -> G {
    match result {
        Ok(guard) => guard,
        Err(AcquireError::OwnerDied(news)) => news.repaired(),
        Err(AcquireError::Failed(error)) => panic!("{error}"),
    }
}

macro_rules! lock_kind {
    ($kind:ty, $acquire:ident) => {
        impl Kind for $kind {
            fn make() -> Self {
                Self::new().unwrap()
            }

            fn give_after(&self, meanwhile: impl FnOnce()) {
                let _guard = guard(self.$acquire());
                meanwhile();
            }

            fn wait(&self, got: impl FnOnce()) {
                let _guard = guard(self.$acquire());
                got();
            }

            fn check(&self) {
                drop(guard(self.$acquire()));
                assert!(!self.locked());
            }
        }
    };
}

lock_kind!(Lock, acquire);
lock_kind!(RLock, acquire);
lock_kind!(RwLock, write);

impl Kind for Semaphore {
    fn make() -> Self {
        Self::new(0).unwrap()
    }

    fn give_after(&self, meanwhile: impl FnOnce()) {
        meanwhile();
        self.release().unwrap();
    }

    fn wait(&self, got: impl FnOnce()) {
        self.acquire().unwrap().forget();
        got();
    }

    fn give_again(&self) {
        self.release().unwrap();
    }

    fn take_back(&self) {
        if let Ok(guard) = self.try_acquire() {
            guard.forget();
        }
    }

    fn check(&self) {
        assert_eq!(self.value(), 0);
    }
}

impl Kind for BoundedSemaphore {
    fn make() -> Self {
        Self::new(1).unwrap()
    }

    fn give_after(&self, meanwhile: impl FnOnce()) {
        let _guard = self.acquire().unwrap();
        meanwhile();
    }

    fn wait(&self, got: impl FnOnce()) {
        let _guard = self.acquire().unwrap();
        got();
    }

    fn check(&self) {
        assert_eq!(self.value(), 1);
    }
}

impl Kind for Condition {
    fn make() -> Self {
        Self::new().unwrap()
    }

    fn give_after(&self, meanwhile: impl FnOnce()) {
        meanwhile();
        let _guard = guard(self.acquire());
        assert_eq!(self.notify(1).unwrap(), 1);
    }

    fn wait(&self, got: impl FnOnce()) {
        let _guard = guard(self.acquire());
        match Self::wait(self) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::OwnerDied => self.repaired().unwrap(),
            Err(error) => panic!("{error}"),
        }
        got();
    }

    fn waiting(&self) -> Option<usize> {
        Some(waiting(self))
    }

    fn give_again(&self) {
        let _guard = guard(self.acquire());
        self.notify(1).unwrap();
    }

    fn check(&self) {
        let _guard = guard(self.acquire());
        assert_eq!(self.notify_all().unwrap(), 0, "nobody waits");
    }
}

impl Kind for Event {
    fn make() -> Self {
        Self::new().unwrap()
    }

    /// All who wait go on, those who come later do not.
    fn give_after(&self, meanwhile: impl FnOnce()) {
        meanwhile();
        self.set().unwrap();
        self.clear().unwrap();
    }

    fn wait(&self, got: impl FnOnce()) {
        Self::wait(self).unwrap();
        got();
    }

    fn check(&self) {
        assert!(!self.is_set());
    }
}

/// In a waiter's process: waits, and notes that it has got it.
fn waits<K: Kind>(kind: K, numbers: RemoteNumbers) {
    let numbers = numbers.open();
    kind.wait(|| numbers.set(0, 1));
}

/// A process that waits, and sleeps.
fn waiter<K: Kind>(kind: &K, numbers: &Numbers) -> Process {
    started(kind, || start(waits::<K>, (kind.clone(), numbers.remote())))
}

/// A process that is one more who waits, once it sleeps.
fn started<K: Kind>(kind: &K, start: impl FnOnce() -> Process) -> Process {
    let others = kind.waiting();
    let process = start();
    while kind.waiting().is_some_and(|now| Some(now) == others) {
        std::thread::yield_now();
    }
    asleep(pid_of(&process));
    process
}

/// One of three dies while it sleeps: the others get what is given, one after the other.
pub(crate) fn killed<K: Kind>() {
    let (kind, numbers) = (K::make(), Numbers::new());
    for round in 0..scaled(30) as usize {
        let mut waiters = Vec::new();
        kind.give_after(|| {
            waiters.extend([(); 3].map(|()| waiter(&kind, &numbers)));
            kill_and_join(&waiters.remove(round % 3));
        });
        kind.give_again();
        for process in waiters {
            assert_eq!(process.join().unwrap(), 0);
        }
        kind.check();
    }
}

/// The first of two waiters is stopped in its sleep; it is its turn; it is killed. The second one gets it.
pub(crate) fn stopped<K: Kind>() {
    let (kind, numbers, ignored) = (K::make(), Numbers::new(), Numbers::new());
    for _ in 0..scaled(200) {
        let mut both = Vec::new();
        kind.give_after(|| {
            both.extend([waiter(&kind, &numbers), waiter(&kind, &ignored)]);
            stop_and_wait(pid_of(&both[0]));
        });
        kill_and_join(&both[0]);
        assert_eq!(both[1].join().unwrap(), 0);
        assert_eq!(numbers.get(0), 0, "it was stopped");
        kind.check();
    }
}

/// The first CPU that this process may use.
fn one_cpu() -> CpuSet {
    let allowed = sched_getaffinity(Pid::from_raw(0)).unwrap();
    let first = (0..CpuSet::count()).find(|&cpu| allowed.is_set(cpu).unwrap());
    let mut one = CpuSet::new();
    one.set(first.unwrap()).unwrap();
    one
}

/// In a waiter's process: it is on the CPU of who wakes it, and runs when nobody else wants to.
fn waits_idly<K: Kind>(kind: K, numbers: RemoteNumbers) {
    sched_setaffinity(Pid::from_raw(0), &one_cpu()).unwrap();
    let param = nix::libc::sched_param { sched_priority: 0 };
    #[expect(unsafe_code, reason = "a call that nix does not have")]
    // SAFETY: because the pointer is to a parameter that lives, and the kernel only reads it.
    let done = unsafe { nix::libc::sched_setscheduler(0, nix::libc::SCHED_IDLE, &raw const param) };
    assert_eq!(done, 0);
    waits(kind, numbers);
}

/// How often a process has left its CPU; `None` when it is dead.
fn switches(pid: Pid) -> Option<Vec<String>> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let count = |line: &&str| line.contains("ctxt_switches");
    let lines: Vec<_> = status.lines().filter(count).map(str::to_owned).collect();
    (lines.len() == 2).then_some(lines)
}

/// The first of two waiters is woken, and killed before it has run an instruction. The second one gets it.
pub(crate) fn woken<K: Kind>() {
    sched_setaffinity(Pid::from_raw(0), &one_cpu()).unwrap();
    let (kind, ignored) = (K::make(), Numbers::new());
    let (mut rounds, mut late) = (0, 0);
    while rounds < scaled(200) {
        let (mut both, mut before) = (Vec::new(), None);
        kind.give_after(|| {
            let idly = || start(waits_idly::<K>, (kind.clone(), ignored.remote()));
            let first = started(&kind, idly);
            both.extend([first, waiter(&kind, &ignored)]);
            before = switches(pid_of(&both[0]));
        });
        // It may have ended already, when somebody else has had the CPU in between.
        _ = kill(pid_of(&both[0]), Signal::SIGKILL);
        if before.is_some() && switches(pid_of(&both[0])) == before {
            rounds += 1;
        } else {
            // It has run, and nobody knows how far.
            late += 1;
            both[0].join().unwrap();
            kind.give_again();
        }
        both[0].join().unwrap();
        assert_eq!(both[1].join().unwrap(), 0);
        kind.take_back();
        kind.check();
        assert!(late <= rounds + 10, "the kills come too late");
    }
    println!("{rounds} killed just after the wake-up; {late} too late");
}

/// A writer that waits keeps new readers out, and when it is dead it does not.
fn waiting_writer() {
    let (lock, ignored) = (RwLock::new().unwrap(), Numbers::new());
    let reads = |lock: RwLock| drop(guard(lock.read()));
    for _ in 0..scaled(30) {
        let reading = lock.read().unwrap();
        let writer = waiter(&lock, &ignored);
        let reader = start(reads, (lock.clone(),));
        asleep(pid_of(&reader));
        kill_and_join(&writer);
        assert_eq!(reader.join().unwrap(), 0);
        drop(reading);
        Kind::check(&lock);
        assert_eq!(lock.readers(), 0);
    }
}
