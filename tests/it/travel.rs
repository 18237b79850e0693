//! Every type by every way: whatever can be shared arrives as the same object, however it goes.

use crate::kit::elsewhere;
use crate::runner::{Case, case};
use crate::ways::{WAYS, fine, run_by, start_by};
use multiproc::{
    Array, Barrier, BoundedSemaphore, Condition, Event, JoinableQueue, Lock, Pool, Process, Queue,
    RLock, RawArray, RawValue, Receiver, RwLock, Semaphore, Sender, SimpleQueue, StartMethod,
    TryAcquireError, Value, arena,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::fmt::Debug;
use std::sync::mpsc::channel;
use std::time::Duration;

pub(crate) fn tests() -> Vec<Case> {
    let long = Duration::from_secs(120);
    vec![case("travel::every_type_by_every_way", every_type_by_every_way).deadline(long)]
}

/// Something that travels.
trait Thing: Clone + Debug + Serialize + DeserializeOwned + Send + Sync + 'static {
    fn make() -> Self;

    /// Gives it a state, and checks that it has another one after `meanwhile`, in which somebody calls [`there`](Self::there).
    fn here(&self, meanwhile: impl FnOnce());

    /// Somewhere else: checks that it has the state that it was given, and changes it.
    fn there(&self);
}

/// The types: one line in the table each.
fn every_type_by_every_way() {
    let before = arena::usage().unwrap();
    by_every_way::<Lock>();
    by_every_way::<RLock>();
    by_every_way::<Semaphore>();
    by_every_way::<BoundedSemaphore>();
    by_every_way::<Condition>();
    by_every_way::<Event>();
    by_every_way::<Barrier>();
    by_every_way::<RwLock>();
    by_every_way::<Value<u64>>();
    by_every_way::<Array<u64>>();
    by_every_way::<RawValue<u64>>();
    by_every_way::<RawArray<u64>>();
    by_every_way::<Queue<u64>>();
    by_every_way::<SimpleQueue<u64>>();
    by_every_way::<JoinableQueue<u64>>();
    by_every_way::<Ends>();
    assert_eq!(arena::usage().unwrap(), before);
}

/// A way to somewhere else.
type Way<T> = fn(&T);

/// The ways: one column each.
fn by_every_way<T: Thing>() {
    let ways: [(&str, Way<T>); 10] = [
        ("captured", captured),
        ("an argument", argument),
        ("through a queue", through_a_queue),
        ("back through a queue", back_through_a_queue),
        ("given to a task", given_to_a_task),
        ("a task's result", a_result),
        ("made by a task", made_by_a_task),
        ("reaches a grandchild", reaches_a_grandchild),
        ("captured by a grandchild", captured_by_a_grandchild),
        ("survives who sent it", survives_who_sent_it),
    ];
    let thing = T::make();
    for (name, way) in ways {
        println!("{}: {name}", std::any::type_name::<T>());
        way(&thing);
    }
    // By all of them the one and only.
    thing.here(|| elsewhere(|| thing.there()));
}

fn captured<T: Thing>(thing: &T) {
    let captured = thing.clone();
    thing.here(|| {
        let mut process = Process::fork(move || captured.there());
        process.start().unwrap();
        fine(&process);
    });
}

fn argument<T: Thing>(thing: &T) {
    for way in WAYS {
        thing.here(|| run_by(way, |thing: T| thing.there(), (thing.clone(),)));
    }
}

fn through_a_queue<T: Thing>(thing: &T) {
    let gets = |queue: Queue<T>| queue.get().unwrap().there();
    for way in WAYS {
        let queue = Queue::new().unwrap();
        let process = start_by(way, gets, (queue.clone(),));
        thing.here(|| {
            queue.put(thing.clone()).unwrap();
            fine(&process);
        });
    }
}

/// There and back again, and it is still the same.
fn back_through_a_queue<T: Thing>(thing: &T) {
    let returns = |queue: Queue<T>, back: Queue<T>| back.put(queue.get().unwrap()).unwrap();
    let (queue, back) = (Queue::new().unwrap(), Queue::new().unwrap());
    queue.put(thing.clone()).unwrap();
    run_by(StartMethod::ForkServer, returns, (queue, back.clone()));
    let same = back.get().unwrap();
    thing.here(|| elsewhere(|| same.there()));
}

fn given_to_a_task<T: Thing>(thing: &T) {
    let pool = Pool::new(1).unwrap();
    thing.here(|| {
        pool.apply(|thing: T| thing.there(), (thing.clone(),))
            .unwrap()
    });
    pool.close();
    pool.join().unwrap();
}

fn a_result<T: Thing>(thing: &T) {
    let pool = Pool::new(1).unwrap();
    let same = pool.apply(|thing: T| thing, (thing.clone(),)).unwrap();
    pool.close();
    pool.join().unwrap();
    thing.here(|| elsewhere(|| same.there()));
}

/// The only handle of a new one comes from a worker, and goes to another.
fn made_by_a_task<T: Thing>(_thing: &T) {
    let (first, second) = (Pool::new(1).unwrap(), Pool::new(1).unwrap());
    let made = first.apply(T::make, ()).unwrap();
    made.here(|| {
        first
            .apply(|made: T| made.there(), (made.clone(),))
            .unwrap()
    });
    drop(first);
    made.here(|| {
        second
            .apply(|made: T| made.there(), (made.clone(),))
            .unwrap()
    });
}

fn reaches_a_grandchild<T: Thing>(thing: &T) {
    let child = |thing: T, way: StartMethod| {
        run_by(way, |thing: T| thing.there(), (thing,));
    };
    for way in WAYS {
        thing.here(|| run_by(way, child, (thing.clone(), way)));
    }
}

fn captured_by_a_grandchild<T: Thing>(thing: &T) {
    let captured = thing.clone();
    thing.here(|| {
        let mut process = Process::fork(move || {
            let mut grandchild = Process::fork(move || captured.there());
            grandchild.start().unwrap();
            fine(&grandchild);
        });
        process.start().unwrap();
        fine(&process);
    });
}

/// Made by a process that has ended, and used by two that never knew it.
fn survives_who_sent_it<T: Thing>(_thing: &T) {
    let makes = |queue: Queue<T>| queue.put(T::make()).unwrap();
    let queue = Queue::new().unwrap();
    run_by(StartMethod::Spawn, makes, (queue.clone(),));
    let made = queue.get().unwrap();
    made.here(|| {
        run_by(
            StartMethod::ForkServer,
            |made: T| made.there(),
            (made.clone(),),
        )
    });
}

impl Thing for Lock {
    fn make() -> Self {
        Self::new().unwrap()
    }

    fn here(&self, meanwhile: impl FnOnce()) {
        self.acquire().unwrap().forget();
        meanwhile();
        assert!(!self.locked());
    }

    fn there(&self) {
        assert!(matches!(self.try_acquire(), Err(TryAcquireError::Busy)));
        self.release().unwrap();
    }
}

impl Thing for RLock {
    fn make() -> Self {
        Self::new().unwrap()
    }

    fn here(&self, meanwhile: impl FnOnce()) {
        let guard = self.acquire().unwrap();
        meanwhile();
        assert_eq!(self.level(), 1);
        drop(guard);
        assert!(!self.locked());
    }

    /// Only its owner can change it.
    fn there(&self) {
        assert!(matches!(self.try_acquire(), Err(TryAcquireError::Busy)));
        assert!(self.release().is_err());
    }
}

impl Thing for Semaphore {
    fn make() -> Self {
        Self::new(0).unwrap()
    }

    fn here(&self, meanwhile: impl FnOnce()) {
        self.release_many(3).unwrap();
        meanwhile();
        assert_eq!(self.value(), 1);
        self.try_acquire().unwrap().forget();
    }

    fn there(&self) {
        assert_eq!(self.value(), 3);
        self.acquire().unwrap().forget();
        self.acquire().unwrap().forget();
    }
}

impl Thing for BoundedSemaphore {
    fn make() -> Self {
        Self::new(2).unwrap()
    }

    fn here(&self, meanwhile: impl FnOnce()) {
        self.acquire().unwrap().forget();
        self.acquire().unwrap().forget();
        meanwhile();
        assert_eq!(self.value(), 2);
    }

    fn there(&self) {
        assert_eq!((self.value(), self.bound()), (0, 2));
        self.release_many(2).unwrap();
    }
}

impl Thing for Condition {
    fn make() -> Self {
        Self::new().unwrap()
    }

    fn here(&self, meanwhile: impl FnOnce()) {
        std::thread::scope(|scope| {
            let (owns, owned) = channel();
            let waiter = scope.spawn(move || {
                let _guard = self.acquire().unwrap();
                owns.send(()).unwrap();
                self.wait().unwrap();
            });
            owned.recv().unwrap();
            meanwhile();
            waiter.join().unwrap();
        });
    }

    fn there(&self) {
        let _guard = self.acquire().unwrap();
        assert_eq!(self.notify(5).unwrap(), 1);
    }
}

impl Thing for Event {
    fn make() -> Self {
        Self::new().unwrap()
    }

    fn here(&self, meanwhile: impl FnOnce()) {
        self.set().unwrap();
        meanwhile();
        assert!(!self.is_set());
    }

    fn there(&self) {
        assert!(self.is_set());
        self.clear().unwrap();
    }
}

impl Thing for Barrier {
    fn make() -> Self {
        Self::builder(2).action(|| ()).build().unwrap()
    }

    fn here(&self, meanwhile: impl FnOnce()) {
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| self.wait().unwrap());
            while self.n_waiting() == 0 {
                std::thread::yield_now();
            }
            meanwhile();
            assert_eq!(waiter.join().unwrap(), 0);
        });
    }

    fn there(&self) {
        assert_eq!((self.n_waiting(), self.parties()), (1, 2));
        assert_eq!(self.wait().unwrap(), 1);
    }
}

impl Thing for RwLock {
    fn make() -> Self {
        Self::new().unwrap()
    }

    fn here(&self, meanwhile: impl FnOnce()) {
        let guard = self.read().unwrap();
        meanwhile();
        assert_eq!(self.readers(), 1);
        drop(guard);
    }

    /// Only who has it can change it.
    fn there(&self) {
        assert_eq!(self.readers(), 1);
        assert!(matches!(self.try_write(), Err(TryAcquireError::Busy)));
        drop(self.try_read().unwrap());
    }
}

impl Thing for Value<u64> {
    fn make() -> Self {
        Self::new(0).unwrap()
    }

    fn here(&self, meanwhile: impl FnOnce()) {
        self.set(7).unwrap();
        meanwhile();
        assert_eq!(self.get().unwrap(), 8);
    }

    fn there(&self) {
        assert_eq!(self.get().unwrap(), 7);
        *self.lock().unwrap() += 1;
    }
}

impl Thing for Array<u64> {
    fn make() -> Self {
        Self::zeroed(1000).unwrap()
    }

    fn here(&self, meanwhile: impl FnOnce()) {
        self.set(999, 7).unwrap();
        meanwhile();
        assert_eq!(self.get(999).unwrap(), 8);
    }

    fn there(&self) {
        assert_eq!(self.len(), 1000);
        assert_eq!(self.get(999).unwrap(), 7);
        self.lock().unwrap()[999] += 1;
    }
}

impl Thing for RawValue<u64> {
    fn make() -> Self {
        Self::new(0).unwrap()
    }

    fn here(&self, meanwhile: impl FnOnce()) {
        self.store(7).unwrap();
        meanwhile();
        assert_eq!(self.get().unwrap(), 8);
    }

    fn there(&self) {
        assert_eq!(self.fetch_add(1).unwrap(), 7);
    }
}

impl Thing for RawArray<u64> {
    fn make() -> Self {
        Self::zeroed(1000).unwrap()
    }

    fn here(&self, meanwhile: impl FnOnce()) {
        self.store(999, 7).unwrap();
        meanwhile();
        assert_eq!(self.get(999).unwrap(), 8);
    }

    fn there(&self) {
        assert_eq!(self.fetch_add(999, 1).unwrap(), 7);
    }
}

impl Thing for Queue<u64> {
    fn make() -> Self {
        Self::new().unwrap()
    }

    fn here(&self, meanwhile: impl FnOnce()) {
        self.put(7).unwrap();
        meanwhile();
        assert_eq!(self.try_get().unwrap(), 8);
        assert!(self.is_empty());
    }

    fn there(&self) {
        assert_eq!(self.try_get().unwrap(), 7);
        self.put(8).unwrap();
    }
}

impl Thing for SimpleQueue<u64> {
    fn make() -> Self {
        Self::new().unwrap()
    }

    fn here(&self, meanwhile: impl FnOnce()) {
        self.put(7).unwrap();
        meanwhile();
        assert_eq!(self.get().unwrap(), 8);
        assert!(self.is_empty().unwrap());
    }

    fn there(&self) {
        assert_eq!(self.get().unwrap(), 7);
        self.put(8).unwrap();
    }
}

impl Thing for JoinableQueue<u64> {
    fn make() -> Self {
        Self::builder().maxsize(2).retries(5).build().unwrap()
    }

    fn here(&self, meanwhile: impl FnOnce()) {
        self.put(7).unwrap();
        meanwhile();
        assert_eq!(self.unfinished(), 1);
        let item = self.try_get().unwrap();
        assert_eq!(item.task_done(), 8);
        self.join().unwrap();
    }

    fn there(&self) {
        let item = self.try_get().unwrap();
        self.put(8).unwrap();
        assert_eq!((item.task_done(), self.maxsize()), (7, 2));
    }
}

/// Both ends of a queue: one alone would have nobody at the other.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Ends(Sender<u64>, Receiver<u64>);

impl Thing for Ends {
    fn make() -> Self {
        let (sender, receiver) = Queue::with_maxsize(1).unwrap().split().unwrap();
        Ends(sender, receiver)
    }

    fn here(&self, meanwhile: impl FnOnce()) {
        self.0.send(7).unwrap();
        meanwhile();
        assert_eq!(self.1.try_recv().unwrap(), 8);
        assert!(!self.0.is_closed() && !self.1.is_closed());
    }

    fn there(&self) {
        assert!(self.0.is_full());
        assert_eq!(self.1.try_recv().unwrap(), 7);
        self.0.send(8).unwrap();
    }
}
