//! What the processes of the storm do: every verb of everything, each once, with what must hold while something is held.

use crate::board::Board;
use crate::sync_storm::PROTECTED;
use multiproc::sync::Guard;
use multiproc::{
    AcquireError, Array, Barrier, BoundedSemaphore, Condition, ErrorKind, Event, Lock, RLock,
    RwLock, Semaphore, TryAcquireError, Value,
};
use serde::{Deserialize, Serialize};
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

/// Random enough to hit every place.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(0x9e37_79b9_7f4a_7c15 ^ seed.wrapping_mul(0x2545_f491_4f6c_dd1d))
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() >> 33).unwrap() % limit
    }

    fn one_in(&mut self, many: usize) -> bool {
        self.below(many) == 0
    }

    /// Around the time that the others need.
    fn time(&mut self) -> Duration {
        Duration::from_micros(self.below(100) as u64)
    }
}

/// One of each.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct World {
    lock: Lock,
    rlock: RLock,
    rwlock: RwLock,
    semaphore: Semaphore,
    bounded: BoundedSemaphore,
    event: Event,
    /// Over the lock.
    condition: Condition,
    /// Over a lock of its own.
    meeting: Condition,
    barrier: Barrier,
    value: Value<Four>,
    array: Array<u64>,
}

type Four = [u64; 4];

/// One in so many waits has no deadline: somebody has to come. Most waited there if there were more of them.
const RARELY: usize = 1000;

const PERMITS: u32 = 2;
const PARTIES: u32 = 3;

/// A verb, or several that belong together.
type Verb = fn(&World, &Board, &mut Dice);

/// The last [`WAITS`] of them wait for others, and last a hundred times as long.
pub(crate) const VERBS: [(&str, Verb); 21] = [
    ("Lock::acquire", lock),
    ("Lock::acquire_timeout", lock_timeout),
    ("Lock::release", lock_release),
    ("RLock", rlock),
    ("RwLock::read", read),
    ("RwLock::read_timeout", read_timeout),
    ("RwLock::write", write),
    ("RwLock::write_timeout", write_timeout),
    ("Semaphore::acquire", semaphore),
    ("Semaphore::release", semaphore_release),
    ("BoundedSemaphore", bounded),
    ("BoundedSemaphore::release", bounded_release),
    ("Event::set, clear", event_set),
    ("Condition::notify", condition_notify),
    ("Value::update", value_update),
    ("Value::lock", value_lock),
    ("Array::lock", array_lock),
    ("Event::wait", event_wait),
    ("Condition::wait", condition_wait),
    ("Condition::wait, own lock", meeting_wait),
    ("Barrier::wait", barrier),
];

/// How many of the verbs wait.
const WAITS: usize = 4;

/// One of the verbs. Those that wait come more rarely, or nobody would be killed anywhere else.
pub(crate) fn some_verb(dice: &mut Dice) -> usize {
    let short = VERBS.len() - WAITS;
    if dice.one_in(50) {
        short + dice.below(WAITS)
    } else {
        dice.below(short)
    }
}

/// What a lock protects: two numbers that are equal whenever nobody is in between.
fn changes(board: &Board, pair: usize, repair: bool) {
    let [first, second] = [0, 1].map(|n| board.word(PROTECTED + 8 * pair + n));
    if repair {
        second.store(first.load(SeqCst), SeqCst);
    }
    let number = first.load(SeqCst);
    assert_eq!(number, second.load(SeqCst), "two at once, or no news");
    first.store(number + 1, SeqCst);
    std::hint::spin_loop();
    second.store(number + 1, SeqCst);
}

/// The guard, and whether there is something to repair. The news is taken down before it is said to be repaired.
fn heard<G: Guard>(result: Result<G, AcquireError<G>>, repair: impl FnOnce()) -> G {
    match result {
        Ok(guard) => guard,
        Err(AcquireError::OwnerDied(news)) => {
            repair();
            news.repaired()
        }
        Err(AcquireError::Failed(error)) => panic!("{error}"),
    }
}

/// The same within a time.
fn heard_in_time<G: Guard>(
    result: Result<G, TryAcquireError<G>>,
    repair: impl FnOnce(),
) -> Option<G> {
    match result {
        Ok(guard) => Some(guard),
        Err(TryAcquireError::OwnerDied(news)) => {
            repair();
            Some(news.repaired())
        }
        Err(TryAcquireError::Busy) => None,
        Err(TryAcquireError::Failed(error)) => panic!("{error}"),
    }
}

const OF_LOCK: usize = 0;
const OF_RLOCK: usize = 1;
const OF_RWLOCK: usize = 2;
const OF_MEETING: usize = 3;

fn lock(world: &World, board: &Board, _: &mut Dice) {
    let repair = || changes(board, OF_LOCK, true);
    let _guard = heard(world.lock.acquire(), repair);
    changes(board, OF_LOCK, false);
}

fn lock_timeout(world: &World, board: &Board, dice: &mut Dice) {
    let repair = || changes(board, OF_LOCK, true);
    let guard = heard_in_time(world.lock.acquire_timeout(dice.time()), repair);
    if guard.is_some() {
        changes(board, OF_LOCK, false);
    }
}

fn lock_release(world: &World, board: &Board, _: &mut Dice) {
    let repair = || changes(board, OF_LOCK, true);
    heard(world.lock.acquire(), repair).forget();
    changes(board, OF_LOCK, false);
    world.lock.release().unwrap();
}

fn rlock(world: &World, board: &Board, dice: &mut Dice) {
    let repair = || changes(board, OF_RLOCK, true);
    let _outer = heard(world.rlock.acquire(), repair);
    for _ in 0..dice.below(3) {
        world.rlock.acquire().unwrap().forget();
        changes(board, OF_RLOCK, false);
    }
    while world.rlock.level() > 1 {
        world.rlock.release().unwrap();
    }
}

/// Under a read lock the numbers are equal, unless somebody has died.
fn looks(board: &Board) {
    let [first, second] = [0, 1].map(|n| board.word(PROTECTED + 8 * OF_RWLOCK + n).load(SeqCst));
    assert_eq!(first, second, "a reader beside a writer");
}

/// A reader may not repair: it has the news, and leaves it to the next one.
fn read(world: &World, board: &Board, _: &mut Dice) {
    match world.rwlock.read() {
        Ok(_guard) => looks(board),
        Err(AcquireError::OwnerDied(_unrepaired)) => {}
        Err(AcquireError::Failed(error)) => panic!("{error}"),
    }
}

fn read_timeout(world: &World, board: &Board, dice: &mut Dice) {
    match world.rwlock.read_timeout(dice.time()) {
        Ok(_guard) => looks(board),
        Err(TryAcquireError::OwnerDied(_) | TryAcquireError::Busy) => {}
        Err(TryAcquireError::Failed(error)) => panic!("{error}"),
    }
}

fn write(world: &World, board: &Board, _: &mut Dice) {
    let repair = || changes(board, OF_RWLOCK, true);
    let _guard = heard(world.rwlock.write(), repair);
    changes(board, OF_RWLOCK, false);
}

fn write_timeout(world: &World, board: &Board, dice: &mut Dice) {
    let repair = || changes(board, OF_RWLOCK, true);
    let guard = heard_in_time(world.rwlock.write_timeout(dice.time()), repair);
    if guard.is_some() {
        changes(board, OF_RWLOCK, false);
    }
}

/// Permits are lost with their takers, so nobody may wait for ever.
fn semaphore(world: &World, _: &Board, dice: &mut Dice) {
    match world.semaphore.acquire_timeout(dice.time()) {
        Ok(guard) if dice.one_in(4) => guard.forget(),
        Ok(guard) => drop(guard),
        Err(error) => assert_eq!(error.kind(), ErrorKind::Busy),
    }
}

fn semaphore_release(world: &World, _: &Board, dice: &mut Dice) {
    if world.semaphore.value() < 4 {
        let count = u32::try_from(dice.below(2)).unwrap() + 1;
        world.semaphore.release_many(count).unwrap();
    }
}

fn bounded(world: &World, _: &Board, _: &mut Dice) {
    let _permit = world.bounded.acquire().unwrap();
    assert!(world.bounded.value() < PERMITS);
}

fn bounded_release(world: &World, _: &Board, dice: &mut Dice) {
    if let Ok(permit) = world.bounded.acquire_timeout(dice.time()) {
        permit.forget();
        world.bounded.release().unwrap();
    }
}

fn event_wait(world: &World, _: &Board, dice: &mut Dice) {
    if dice.one_in(RARELY) {
        world.event.wait().unwrap();
    } else {
        world.event.wait_timeout(dice.time()).unwrap();
    }
}

fn event_set(world: &World, _: &Board, dice: &mut Dice) {
    world.event.set().unwrap();
    if !dice.one_in(8) {
        world.event.clear().unwrap();
    }
}

/// Waits for a notification; the lock is owned before and after, and what it protects is in order.
fn waits(condition: &Condition, board: &Board, pair: usize, dice: &mut Dice) {
    let repair = || changes(board, pair, true);
    let _guard = heard(condition.acquire(), repair);
    let result = if dice.one_in(RARELY) {
        condition.wait()
    } else {
        condition.wait_timeout(dice.time()).map(|_notified| ())
    };
    match result {
        Ok(()) => changes(board, pair, false),
        Err(error) if error.kind() == ErrorKind::OwnerDied => {
            changes(board, pair, true);
            condition.repaired().unwrap();
        }
        Err(error) => panic!("{error}"),
    }
}

fn condition_wait(world: &World, board: &Board, dice: &mut Dice) {
    waits(&world.condition, board, OF_LOCK, dice);
}

fn meeting_wait(world: &World, board: &Board, dice: &mut Dice) {
    waits(&world.meeting, board, OF_MEETING, dice);
}

fn condition_notify(world: &World, board: &Board, dice: &mut Dice) {
    let pairs = [(&world.condition, OF_LOCK), (&world.meeting, OF_MEETING)];
    let (condition, pair) = pairs[dice.below(2)];
    let repair = || changes(board, pair, true);
    let _guard = heard(condition.acquire(), repair);
    changes(board, pair, false);
    let most = dice.below(3);
    assert!(condition.notify(most).unwrap() <= most);
}

fn barrier(world: &World, _: &Board, dice: &mut Dice) {
    let result = if dice.one_in(RARELY) {
        world.barrier.wait()
    } else {
        world.barrier.wait_timeout(dice.time())
    };
    match result {
        Ok(index) => assert!(index < PARTIES as usize),
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::BrokenBarrier);
            world.barrier.reset().unwrap();
        }
    }
    if dice.one_in(16) {
        world.barrier.abort().unwrap();
    }
}

fn equal(four: &[u64]) {
    assert!(four.iter().all(|number| *number == four[0]), "{four:?}");
}

fn value_update(world: &World, _: &Board, _: &mut Dice) {
    let update = world.value.update(|four| {
        equal(four);
        *four = four.map(|number| number + 1);
    });
    match update {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::OwnerDied => {
            if let Err(AcquireError::OwnerDied(news)) = world.value.lock() {
                *news.repaired() = [0; 4];
            }
        }
        Err(error) => panic!("{error}"),
    }
}

fn value_lock(world: &World, _: &Board, _: &mut Dice) {
    match world.value.lock() {
        Ok(mut guard) => {
            equal(&*guard);
            guard.iter_mut().for_each(|number| *number += 1);
        }
        Err(AcquireError::OwnerDied(news)) => *news.repaired() = [0; 4],
        Err(AcquireError::Failed(error)) => panic!("{error}"),
    }
}

fn array_lock(world: &World, _: &Board, dice: &mut Dice) {
    match world.array.lock_timeout(dice.time()) {
        Ok(mut guard) => {
            equal(&guard);
            guard.iter_mut().for_each(|number| *number += 1);
        }
        Err(TryAcquireError::OwnerDied(news)) => news.repaired().fill(0),
        Err(TryAcquireError::Busy) => {}
        Err(TryAcquireError::Failed(error)) => panic!("{error}"),
    }
}

impl World {
    pub(crate) fn new() -> Self {
        let lock = Lock::new().unwrap();
        Self {
            condition: Condition::with_lock(&lock).unwrap(),
            lock,
            rlock: RLock::new().unwrap(),
            rwlock: RwLock::new().unwrap(),
            semaphore: Semaphore::new(2).unwrap(),
            bounded: BoundedSemaphore::new(PERMITS).unwrap(),
            event: Event::new().unwrap(),
            meeting: Condition::new().unwrap(),
            barrier: Barrier::new(PARTIES).unwrap(),
            value: Value::new([0; 4]).unwrap(),
            array: Array::zeroed(8).unwrap(),
        }
    }

    /// Whoever waits without a deadline gets what it waits for.
    pub(crate) fn releases_all(&self) {
        self.event.set().unwrap();
        self.event.clear().unwrap();
        self.barrier.reset().unwrap();
        for condition in [&self.condition, &self.meeting] {
            let _guard = match condition.acquire() {
                Ok(guard) => guard,
                // Somebody else shall repair it.
                Err(AcquireError::OwnerDied(_unrepaired)) => continue,
                Err(AcquireError::Failed(error)) => panic!("{error}"),
            };
            condition.notify_all().unwrap();
        }
    }

    /// All are gone: everything can be had, and nothing is held or waited for.
    pub(crate) fn is_whole(&self, board: &Board) {
        let mut dice = Dice::new(0);
        for verb in [
            lock,
            rlock,
            write,
            bounded,
            value_update,
            value_lock,
            array_lock,
        ] {
            verb(self, board, &mut dice);
        }
        assert!(!self.lock.locked() && !self.rlock.locked() && !self.rwlock.locked());
        assert_eq!((self.rwlock.readers(), self.bounded.value()), (0, PERMITS));
        for condition in [&self.condition, &self.meeting] {
            let _guard = condition.acquire();
            assert_eq!(condition.notify_all().unwrap(), 0);
        }
        self.barrier.reset().unwrap();
        assert_eq!(
            (self.barrier.n_waiting(), self.barrier.broken()),
            (0, false)
        );
    }
}
