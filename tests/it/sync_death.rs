//! Holders that are killed: of everything that has an owner the next one hears, and goes on.

use crate::kit::{
    Numbers, RemoteNumbers, asleep, kill_and_join, kill_and_wait, pid_of, say_and_wait, start,
    stop_and_wait,
};
use crate::runner::{Case, Gate, RemoteGate, case, scaled};
use crate::ways::{fine, start_by};
use multiproc::sync::{AcrossProcesses, ConditionGuard, Guard};
use multiproc::sync::{LockGuard, RLockGuard, RwLockReadGuard, RwLockWriteGuard};
use multiproc::{
    AcquireError, Array, ArrayGuard, Condition, ErrorKind, Lock, Process, Queue, RLock, RwLock,
    StartMethod, TryAcquireError, Value, ValueGuard,
};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::time::Duration;

// Of each: how the dead one had it, and how the next one asks for it.

pub(crate) fn tests() -> Vec<Case> {
    let mut tests = all_killed();
    tests.extend(all_under_waiters());
    tests.extend(all_stopped());
    tests.extend(all_not_reaped());
    tests.extend(others());
    tests
}

fn all_killed() -> Vec<Case> {
    vec![
        case("sync_death::lock_killed", killed::<Lock, Lock>),
        case("sync_death::rlock_killed", killed::<RLock, RLock>),
        case("sync_death::writer_killed", killed::<Writes, Writes>),
        case(
            "sync_death::writer_before_readers_killed",
            killed::<Writes, Reads>,
        ),
        case("sync_death::reader_killed", killed::<Reads, Writes>),
        case(
            "sync_death::condition_killed",
            killed::<Condition, Condition>,
        ),
        case("sync_death::value_killed", killed::<Value<u64>, Value<u64>>),
        case("sync_death::array_killed", killed::<Array<u64>, Array<u64>>),
    ]
}

fn all_under_waiters() -> Vec<Case> {
    vec![
        case(
            "sync_death::lock_killed_under_waiters",
            under_waiters::<Lock, Lock>,
        ),
        case(
            "sync_death::rlock_killed_under_waiters",
            under_waiters::<RLock, RLock>,
        ),
        case(
            "sync_death::writer_killed_under_waiters",
            under_waiters::<Writes, Writes>,
        ),
        case(
            "sync_death::writer_before_readers_killed_under_waiters",
            under_waiters::<Writes, Reads>,
        ),
        case(
            "sync_death::reader_killed_under_waiters",
            under_waiters::<Reads, Writes>,
        ),
        case(
            "sync_death::condition_killed_under_waiters",
            under_waiters::<Condition, Condition>,
        ),
        case(
            "sync_death::value_killed_under_waiters",
            under_waiters::<Value<u64>, Value<u64>>,
        ),
        case(
            "sync_death::array_killed_under_waiters",
            under_waiters::<Array<u64>, Array<u64>>,
        ),
    ]
}

fn all_stopped() -> Vec<Case> {
    vec![
        case("sync_death::lock_stopped", stopped::<Lock, Lock>),
        case("sync_death::rlock_stopped", stopped::<RLock, RLock>),
        case("sync_death::writer_stopped", stopped::<Writes, Writes>),
        case(
            "sync_death::writer_before_readers_stopped",
            stopped::<Writes, Reads>,
        ),
        case("sync_death::reader_stopped", stopped::<Reads, Writes>),
        case(
            "sync_death::condition_stopped",
            stopped::<Condition, Condition>,
        ),
        case(
            "sync_death::value_stopped",
            stopped::<Value<u64>, Value<u64>>,
        ),
        case(
            "sync_death::array_stopped",
            stopped::<Array<u64>, Array<u64>>,
        ),
    ]
}

fn all_not_reaped() -> Vec<Case> {
    vec![
        case("sync_death::lock_not_reaped", not_reaped::<Lock, Lock>),
        case("sync_death::rlock_not_reaped", not_reaped::<RLock, RLock>),
        case(
            "sync_death::writer_not_reaped",
            not_reaped::<Writes, Writes>,
        ),
        case(
            "sync_death::writer_before_readers_not_reaped",
            not_reaped::<Writes, Reads>,
        ),
        case("sync_death::reader_not_reaped", not_reaped::<Reads, Writes>),
        case(
            "sync_death::condition_not_reaped",
            not_reaped::<Condition, Condition>,
        ),
        case(
            "sync_death::value_not_reaped",
            not_reaped::<Value<u64>, Value<u64>>,
        ),
        case(
            "sync_death::array_not_reaped",
            not_reaped::<Array<u64>, Array<u64>>,
        ),
    ]
}

fn others() -> Vec<Case> {
    vec![
        case("sync_death::reader_before_readers", reader_before_readers),
        case("sync_death::forgotten_and_exited", forgotten_and_exited),
        case("sync_death::value_verbs_say_so", value_verbs_say_so),
    ]
}

/// What can be owned, in one way.
trait Owned: Clone + Serialize + DeserializeOwned + Send + Sync + 'static {
    type Guard<'a>: Guard;

    fn make() -> Self;
    fn own(&self) -> Result<Self::Guard<'_>, AcquireError<Self::Guard<'_>>>;
    fn try_own(&self) -> Result<Self::Guard<'_>, TryAcquireError<Self::Guard<'_>>>;
}

/// The same object, asked for in another way.
trait Same<Other> {
    fn same(of: &Other) -> Self;
}

impl<O: Owned> Same<O> for O {
    fn same(of: &O) -> Self {
        of.clone()
    }
}

/// A lock that is read.
#[derive(Clone, Serialize, Deserialize)]
struct Reads(RwLock);

/// A lock that is written to.
#[derive(Clone, Serialize, Deserialize)]
struct Writes(RwLock);

impl Same<Reads> for Writes {
    fn same(of: &Reads) -> Self {
        Self(of.0.clone())
    }
}

impl Same<Writes> for Reads {
    fn same(of: &Writes) -> Self {
        Self(of.0.clone())
    }
}

macro_rules! owned {
    ($kind:ty, $guard:ty, $make:expr, $own:ident, $try_own:ident $(, $field:tt)?) => {
        impl Owned for $kind {
            type Guard<'a> = $guard;

            fn make() -> Self {
                $make
            }

            fn own(&self) -> Result<Self::Guard<'_>, AcquireError<Self::Guard<'_>>> {
                self$(.$field)?.$own()
            }

            fn try_own(&self) -> Result<Self::Guard<'_>, TryAcquireError<Self::Guard<'_>>> {
                self$(.$field)?.$try_own()
            }
        }
    };
}

type Across = AcrossProcesses;

owned!(
    Lock,
    LockGuard<'a, Across>,
    Lock::new().unwrap(),
    acquire,
    try_acquire
);
owned!(
    RLock,
    RLockGuard<'a, Across>,
    RLock::new().unwrap(),
    acquire,
    try_acquire
);
owned!(
    Reads,
    RwLockReadGuard<'a, Across>,
    Reads(RwLock::new().unwrap()),
    read,
    try_read,
    0
);
owned!(
    Writes,
    RwLockWriteGuard<'a, Across>,
    Writes(RwLock::new().unwrap()),
    write,
    try_write,
    0
);
owned!(
    Condition,
    ConditionGuard<'a, Across>,
    Condition::new().unwrap(),
    acquire,
    try_acquire
);
owned!(
    Value<u64>,
    ValueGuard<'a, u64>,
    Value::new(1).unwrap(),
    lock,
    try_lock
);
owned!(
    Array<u64>,
    ArrayGuard<'a, u64>,
    Array::from_slice(&[1, 2]).unwrap(),
    lock,
    try_lock
);

/// Takes it, says so, and waits to be told to let go.
fn holds<O: Owned>(object: O, here: RemoteGate, there: RemoteGate) {
    let guard = object.own();
    assert!(guard.is_ok());
    say_and_wait(here, there);
}

/// A process that owns it, and the gate behind which it lets go.
fn holder<O: Owned>(object: &O) -> (Process, Gate) {
    let (here, there) = (Gate::new(), Gate::new());
    let process = start(holds::<O>, (object.clone(), here.remote(), there.remote()));
    here.wait();
    (process, there)
}

/// What an `own` said: was there news? It is repaired if `repair`.
fn news<O: Owned>(object: &O, repair: bool) -> bool {
    match object.own() {
        Ok(_guard) => false,
        Err(AcquireError::OwnerDied(news)) if repair => {
            let _guard = news.repaired();
            true
        }
        Err(AcquireError::OwnerDied(_unrepaired)) => true,
        Err(AcquireError::Failed(error)) => panic!("{error}"),
    }
}

fn busy<O: Owned>(object: &O) -> bool {
    matches!(object.try_own(), Err(TryAcquireError::Busy))
}

/// The news comes until somebody repairs, here and in other processes, and then no more.
fn killed<D: Owned, N: Owned + Same<D>>() {
    let object = D::make();
    let next = N::same(&object);
    let (process, _there) = holder(&object);
    assert!(busy(&next));
    kill_and_join(&process);
    assert!(news(&next, false) && news(&next, false));
    assert!(matches!(next.try_own(), Err(TryAcquireError::OwnerDied(_))));
    let hears = |object: D| assert!(news(&object, false));
    assert_eq!(start(hears, (object.clone(),)).join().unwrap(), 0);
    assert!(news(&next, true));
    assert!(!news(&next, false) && !news(&object, false));
    let clean = |object: D| assert!(!news(&object, false));
    assert_eq!(start(clean, (object.clone(),)).join().unwrap(), 0);

    // One that dies with the news in its hands has repaired nothing.
    kill_and_join(&holder(&object).0);
    let dies = |object: N| {
        let _news = object.own();
        std::process::abort();
    };
    assert_eq!(start(dies, (next.clone(),)).join().unwrap(), -6);
    assert!(news(&next, true));
    assert!(!news(&next, false));
}

/// All who wait get it; the first hears the news, and repairs it for the others.
fn under_waiters<D: Owned, N: Owned + Same<D>>() {
    let hears = |next: N, numbers: RemoteNumbers, number: usize| {
        numbers.open().set(number, 1 + u64::from(news(&next, true)));
    };
    for _ in 0..scaled(10) {
        let (object, numbers) = (D::make(), Numbers::new());
        let (process, _there) = holder(&object);
        let next = N::same(&object);
        let waiter = |n: usize| start(hears, (next.clone(), numbers.remote(), n));
        let waiters = [0, 1, 2].map(waiter);
        waiters.iter().for_each(|waiter| asleep(pid_of(waiter)));
        process.kill().unwrap();
        for waiter in waiters {
            assert_eq!(waiter.join().unwrap(), 0);
        }
        let heard = [0, 1, 2].map(|n| numbers.get(n));
        assert!(heard.contains(&2), "{heard:?}");
        assert_eq!(process.join().unwrap(), -9);
        assert!(!news(&next, false));
    }
}

/// A stopped one is waited for, and goes on as if nothing had been.
fn stopped<D: Owned, N: Owned + Same<D>>() {
    let object = D::make();
    let next = N::same(&object);
    let (process, there) = holder(&object);
    stop_and_wait(pid_of(&process));
    let waits = |next: N| assert!(!news(&next, false));
    let waiter = start(waits, (next.clone(),));
    asleep(pid_of(&waiter));
    // Longer than the slices after which a waiter looks at the owner.
    let never = multiproc::Event::new().unwrap();
    for _ in 0..4 {
        assert!(!never.wait_timeout(Duration::from_millis(60)).unwrap());
        assert!(busy(&next) && waiter.is_alive());
    }
    there.open(1);
    kill(pid_of(&process), Signal::SIGCONT).unwrap();
    fine(&waiter);
    assert_eq!(process.join().unwrap(), 0);
    assert!(!news(&next, false));
}

/// A process starts another one and never asks for its end. It tells its pid, and joins it when told.
fn negligent<D: Owned>(object: D, pids: Queue<i32>, here: RemoteGate, there: RemoteGate) {
    let arguments = (object, here, there);
    let child = start_by(StartMethod::Fork, holds::<D>, arguments);
    pids.put(pid_of(&child).as_raw()).unwrap();
    there.wait();
    assert_eq!(child.join().unwrap(), -9);
}

/// Nobody reaps the dead one: those who wait find out by themselves, one that slept before and one that comes later.
fn not_reaped<D: Owned, N: Owned + Same<D>>() {
    let (object, pids) = (D::make(), Queue::new().unwrap());
    let (next, here, there) = (N::same(&object), Gate::new(), Gate::new());
    let gates = (here.remote(), there.remote());
    let parent = start(
        negligent::<D>,
        (object.clone(), pids.clone(), gates.0, gates.1),
    );
    here.wait();
    let hears = |next: N| assert!(news(&next, false));
    let waiter = start(hears, (next.clone(),));
    asleep(pid_of(&waiter));
    kill_and_wait(Pid::from_raw(pids.get().unwrap()));
    fine(&waiter);
    assert!(news(&next, true));
    assert!(!news(&next, false));
    there.open(1);
    assert_eq!(parent.join().unwrap(), 0);
}

/// A reader cannot have changed anything, and its death is told all the same: also to other readers.
fn reader_before_readers() {
    let lock = RwLock::new().unwrap();
    let reads = Reads(lock.clone());
    let (process, _there) = holder(&reads);
    assert!(!news(&reads, false), "they read together");
    kill_and_join(&process);
    assert!(news(&reads, true));
    assert!(!news(&reads, false));
    assert_eq!(lock.readers(), 0);
}

/// Given up and never released: the end of the process is the end of its ownership, whichever end that is.
#[expect(clippy::disallowed_methods, reason = "how the owner ends is the test")]
fn forgotten_and_exited() {
    let (lock, rlock) = (Lock::new().unwrap(), RLock::new().unwrap());
    let forgets = |lock: Lock, rlock: RLock, code: i32| {
        lock.acquire().unwrap().forget();
        rlock.acquire().unwrap().forget();
        rlock.acquire().unwrap().forget();
        std::process::exit(code);
    };
    for code in [0, 3] {
        let process = start(forgets, (lock.clone(), rlock.clone(), code));
        assert_eq!(process.join().unwrap(), code);
        assert!(news(&lock, true) && news(&rlock, true));
        assert!(!news(&lock, true) && !news(&rlock, true));
        assert_eq!(rlock.level(), 0);
    }
}

/// The short verbs answer with the error until somebody has repaired.
fn value_verbs_say_so() {
    let value = Value::new(5_u64).unwrap();
    let (process, _there) = holder(&value);
    kill_and_join(&process);
    let kind = |result: multiproc::Result<u64>| result.unwrap_err().kind();
    for _ in 0..2 {
        assert_eq!(kind(value.get()), ErrorKind::OwnerDied);
        assert_eq!(kind(value.set(6).map(|()| 0)), ErrorKind::OwnerDied);
        let update = value.update(|number| *number + 1);
        assert_eq!(kind(update), ErrorKind::OwnerDied);
    }
    assert!(news(&value, true));
    value.set(6).unwrap();
    assert_eq!(value.get().unwrap(), 6);
}
