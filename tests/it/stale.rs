//! Handles whose object is gone: a fork behind our back has copies that do not count until it uses the crate, and meanwhile their
//! object is freed, and another one made in its place.

use crate::kit::fork_behind_our_back;
use crate::runner::{Case, Gate, case};
use multiproc::{
    Array, Barrier, BoundedSemaphore, Condition, Error, ErrorKind, Event, JoinableQueue, Lock,
    Queue, RLock, RawArray, RawValue, Receiver, Result, RwLock, Semaphore, Sender, SimpleQueue,
    Value, arena,
};
use nix::sys::wait::{WaitStatus, waitpid};
use std::fmt::Debug;
use std::time::Duration;

pub(crate) fn tests() -> Vec<Case> {
    vec![
        case("stale::lock", lock),
        case("stale::rlock", rlock),
        case("stale::semaphore", semaphore),
        case("stale::bounded_semaphore", bounded),
        case("stale::event", event),
        case("stale::condition", condition),
        case("stale::barrier", barrier),
        case("stale::rwlock", rwlock),
        case("stale::value", value),
        case("stale::array", array),
        case("stale::raw_value", raw_value),
        case("stale::raw_array", raw_array),
        case("stale::queue", queue),
        case("stale::queue_of_bytes", queue_of_bytes),
        case("stale::simple_queue", simple_queue),
        case("stale::joinable_queue", joinable_queue),
        case("stale::ends_of_a_queue", ends_of_a_queue),
    ]
}

const TIME: Duration = Duration::from_secs(3600);

/// Without what a verb gives.
fn end<T, E: Into<Error>>(result: Result<T, E>) -> Result<()> {
    result.map(drop).map_err(Into::into)
}

/// In a fork whose handle is stale all of `verbs` say so, and the next object, which may lie in the same place, is not touched:
/// `looks` says what it is like.
fn stale<T: Clone + Debug, L: PartialEq + Debug>(
    make: impl Fn() -> T,
    verbs: impl Fn(&T) -> Vec<Result<()>>,
    looks: impl Fn(&T) -> L,
) {
    let (gate, before) = (Gate::new(), arena::usage().unwrap().objects);
    let mut object = Some(make());
    let fork = fork_behind_our_back(|| {
        let object = object.take().unwrap();
        gate.wait();
        for (number, end) in verbs(&object).into_iter().enumerate() {
            let kind = end.map_err(|error| error.kind());
            assert_eq!(kind, Err(ErrorKind::StaleHandle), "verb {number}");
        }
        // These have no errors, and no answers that mean anything.
        looks(&object);
        println!("{object:?}");
        drop(object.clone());
        drop(object);
    });
    drop(object.take());
    assert_eq!(arena::usage().unwrap().objects, before, "it is gone");
    let next = make();
    let (seen, objects) = (looks(&next), arena::usage().unwrap().objects);
    gate.open(1);
    assert_eq!(waitpid(fork, None).unwrap(), WaitStatus::Exited(fork, 0));
    assert_eq!(looks(&next), seen);
    assert_eq!(arena::usage().unwrap().objects, objects);
}

fn lock() {
    let verbs = |lock: &Lock| {
        vec![
            end(lock.acquire()),
            end(lock.try_acquire()),
            end(lock.acquire_timeout(TIME)),
            lock.release(),
        ]
    };
    let looks = |lock: &Lock| (lock.locked(), lock.holder());
    stale(|| Lock::new().unwrap(), verbs, looks);
    let held = || {
        let lock = Lock::new().unwrap();
        lock.acquire().unwrap().forget();
        lock
    };
    stale(held, verbs, looks);
}

fn rlock() {
    let verbs = |lock: &RLock| {
        vec![
            end(lock.acquire()),
            end(lock.try_acquire()),
            end(lock.acquire_timeout(TIME)),
            lock.release(),
        ]
    };
    let looks = |lock: &RLock| (lock.locked(), lock.holder(), lock.level());
    stale(|| RLock::new().unwrap(), verbs, looks);
    let held = || {
        let lock = RLock::new().unwrap();
        lock.acquire().unwrap().forget();
        lock
    };
    stale(held, verbs, looks);
}

fn semaphore() {
    let verbs = |semaphore: &Semaphore| {
        vec![
            end(semaphore.acquire()),
            end(semaphore.try_acquire()),
            end(semaphore.acquire_timeout(TIME)),
            semaphore.release(),
            semaphore.release_many(3),
        ]
    };
    let looks = |semaphore: &Semaphore| (semaphore.value(), semaphore.locked());
    stale(|| Semaphore::new(0).unwrap(), verbs, looks);
    stale(|| Semaphore::new(3).unwrap(), verbs, looks);
}

fn bounded() {
    let verbs = |semaphore: &BoundedSemaphore| {
        vec![
            end(semaphore.acquire()),
            end(semaphore.try_acquire()),
            end(semaphore.acquire_timeout(TIME)),
            semaphore.release(),
            semaphore.release_many(3),
        ]
    };
    let looks = |semaphore: &BoundedSemaphore| (semaphore.value(), semaphore.bound());
    for bound in [0, 3, 500] {
        stale(|| BoundedSemaphore::new(bound).unwrap(), verbs, looks);
    }
    let held = || {
        let semaphore = BoundedSemaphore::new(2).unwrap();
        semaphore.acquire().unwrap().forget();
        semaphore
    };
    stale(held, verbs, looks);
}

fn event() {
    let verbs = |event: &Event| {
        vec![
            event.set(),
            event.clear(),
            event.wait(),
            end(event.wait_timeout(TIME)),
        ]
    };
    stale(|| Event::new().unwrap(), verbs, Event::is_set);
}

fn condition() {
    let verbs = |condition: &Condition| {
        vec![
            end(condition.acquire()),
            end(condition.try_acquire()),
            end(condition.acquire_timeout(TIME)),
            condition.release(),
            condition.wait(),
            end(condition.wait_timeout(TIME)),
            condition.wait_for(|| true),
            end(condition.wait_for_timeout(TIME, || true)),
            end(condition.notify(1)),
            end(condition.notify_all()),
            condition.repaired(),
        ]
    };
    let looks = |condition: &Condition| (condition.locked(), condition.holder());
    stale(|| Condition::new().unwrap(), verbs, looks);
    let over_a_lock = || Condition::with_lock(&Lock::new().unwrap()).unwrap();
    stale(over_a_lock, verbs, looks);
}

fn barrier() {
    let verbs = |barrier: &Barrier| {
        vec![
            end(barrier.wait()),
            end(barrier.wait_timeout(TIME)),
            barrier.abort(),
            barrier.reset(),
        ]
    };
    let looks = |barrier: &Barrier| (barrier.parties(), barrier.n_waiting(), barrier.broken());
    stale(|| Barrier::new(1).unwrap(), verbs, looks);
    stale(|| Barrier::new(2).unwrap(), verbs, looks);
}

fn rwlock() {
    let verbs = |lock: &RwLock| {
        vec![
            end(lock.read()),
            end(lock.try_read()),
            end(lock.read_timeout(TIME)),
            end(lock.write()),
            end(lock.try_write()),
            end(lock.write_timeout(TIME)),
        ]
    };
    let looks = |lock: &RwLock| (lock.locked(), lock.readers(), lock.holder());
    stale(|| RwLock::new().unwrap(), verbs, looks);
}

fn value() {
    let verbs = |value: &Value<u64>| {
        vec![
            end(value.get()),
            value.set(9),
            end(value.update(|it| *it = 9)),
            end(value.lock()),
            end(value.try_lock()),
            end(value.lock_timeout(TIME)),
            value.repair(9),
            end(value.copy()),
            end(value.get_lock().acquire()),
        ]
    };
    let looks = |value: &Value<u64>| (value.get().ok(), value.get_lock().locked());
    stale(|| Value::new(7).unwrap(), verbs, looks);
}

fn array() {
    let verbs = |array: &Array<u64>| {
        vec![
            end(array.get(0)),
            array.set(0, 9),
            end(array.update(0, |it| *it = 9)),
            end(array.lock()),
            end(array.try_lock()),
            end(array.lock_timeout(TIME)),
            end(array.to_vec()),
            array.copy_from_slice(&vec![9; array.len()]),
            end(array.copy()),
        ]
    };
    let looks = |array: &Array<u64>| (array.len(), array.to_vec().ok());
    for length in [1, 5, 5000] {
        stale(
            || Array::from_slice(&vec![7; length]).unwrap(),
            verbs,
            looks,
        );
    }
}

fn raw_value() {
    let verbs = |value: &RawValue<u64>| {
        vec![
            end(value.get()),
            value.set(9),
            end(value.load()),
            value.store(9),
            end(value.swap(9)),
            end(value.fetch_add(9)),
            end(value.fetch_max(9)),
            end(value.compare_exchange(7, 9)),
        ]
    };
    let looks = |value: &RawValue<u64>| value.get().ok();
    stale(|| RawValue::new(7).unwrap(), verbs, looks);
}

fn raw_array() {
    let verbs = |array: &RawArray<u64>| {
        vec![
            end(array.get(0)),
            array.set(0, 9),
            end(array.load(0)),
            array.store(0, 9),
            end(array.fetch_add(0, 9)),
            end(array.compare_exchange(0, 7, 9)),
            end(array.to_vec()),
            array.copy_from_slice(&vec![9; array.len()]),
        ]
    };
    let looks = |array: &RawArray<u64>| (array.len(), array.to_vec().ok());
    for length in [1, 5, 5000] {
        stale(
            || RawArray::from_slice(&vec![7; length]).unwrap(),
            verbs,
            looks,
        );
    }
}

/// One that is empty, one with something inside, one that is full, one that is closed.
fn queues() -> [fn() -> Queue<u64>; 4] {
    [
        || Queue::new().unwrap(),
        || {
            let queue = Queue::new().unwrap();
            queue.put_many(0..100).unwrap();
            queue
        },
        || {
            let queue = Queue::with_maxsize(1).unwrap();
            queue.put(7).unwrap();
            queue
        },
        || {
            let queue = Queue::new().unwrap();
            queue.put(7).unwrap();
            queue.close();
            queue
        },
    ]
}

fn queue() {
    let verbs = |queue: &Queue<u64>| {
        queue.close();
        queue.shutdown(true);
        vec![
            end(queue.put(9)),
            end(queue.try_put(9)),
            end(queue.put_timeout(9, TIME)),
            end(queue.put_many([9, 9])),
            end(queue.try_put_many([9, 9])),
            end(queue.put_many_timeout([9, 9], TIME)),
            end(queue.get()),
            end(queue.try_get()),
            end(queue.get_timeout(TIME)),
            end(queue.get_many(5)),
            end(queue.try_get_many(5)),
            end(queue.get_many_timeout(5, TIME)),
            end(queue.iter().next().unwrap()),
            end(queue.clone().split()),
        ]
    };
    let looks = |queue: &Queue<u64>| (queue.len(), queue.is_full(), queue.is_closed());
    for make in queues() {
        stale(make, verbs, looks);
    }
}

fn queue_of_bytes() {
    let verbs = |queue: &Queue<Vec<u8>>| {
        let mut buffer = Vec::new();
        vec![
            end(queue.put(vec![9; 10_000])),
            end(queue.put_bytes(b"9")),
            end(queue.put_bytes(&[9; 10_000])),
            end(queue.try_put_bytes(b"9")),
            end(queue.put_bytes_timeout(b"9", TIME)),
            end(queue.get_into(&mut buffer)),
            end(queue.try_get_into(&mut buffer)),
            end(queue.get_into_timeout(&mut buffer, TIME)),
            end(queue.get_loan()),
            end(queue.try_get_loan()),
            end(queue.get_loan_timeout(TIME)),
        ]
    };
    let full = || {
        let queue = Queue::new().unwrap();
        queue.put_many([vec![7; 10], vec![7; 10_000]]).unwrap();
        queue
    };
    stale(full, verbs, Queue::len);
    stale(|| Queue::new().unwrap(), verbs, Queue::len);
}

fn simple_queue() {
    let verbs = |queue: &SimpleQueue<u64>| {
        queue.close();
        vec![end(queue.put(9)), end(queue.get()), end(queue.is_empty())]
    };
    let full = || {
        let queue = SimpleQueue::new().unwrap();
        queue.put(7).unwrap();
        queue
    };
    let looks = |queue: &SimpleQueue<u64>| queue.is_empty().ok();
    stale(full, verbs, looks);
    stale(|| SimpleQueue::new().unwrap(), verbs, looks);
}

fn joinable_queue() {
    let verbs = |queue: &JoinableQueue<u64>| {
        queue.shutdown(true);
        vec![
            end(queue.put(9)),
            end(queue.try_put(9)),
            end(queue.put_timeout(9, TIME)),
            end(queue.put_many([9, 9])),
            end(queue.try_put_many([9, 9])),
            end(queue.put_many_timeout([9, 9], TIME)),
            end(queue.get()),
            end(queue.try_get()),
            end(queue.get_timeout(TIME)),
            end(queue.iter().next().unwrap()),
            queue.join(),
            end(queue.join_timeout(TIME)),
        ]
    };
    let full = || {
        let queue = JoinableQueue::with_maxsize(5).unwrap();
        queue.put_many([7, 8]).unwrap();
        queue
    };
    let looks = |queue: &JoinableQueue<u64>| (queue.len(), queue.unfinished(), queue.is_closed());
    stale(full, verbs, looks);
    stale(|| JoinableQueue::new().unwrap(), verbs, looks);
}

fn ends_of_a_queue() {
    type Ends = (Sender<u64>, Receiver<u64>);
    let verbs = |(sender, receiver): &Ends| {
        sender.close();
        receiver.close();
        vec![
            end(sender.send(9)),
            end(sender.try_send(9)),
            end(sender.send_timeout(9, TIME)),
            end(sender.send_many([9, 9])),
            end(receiver.recv()),
            end(receiver.try_recv()),
            end(receiver.recv_timeout(TIME)),
            end(receiver.recv_many(5)),
            end(receiver.iter().next().unwrap()),
        ]
    };
    let full = || {
        let (sender, receiver) = Queue::with_maxsize(5).unwrap().split().unwrap();
        sender.send_many([7, 8]).unwrap();
        (sender, receiver)
    };
    let looks = |(sender, receiver): &Ends| (sender.len(), receiver.is_closed());
    stale(full, verbs, looks);
    stale(|| Queue::new().unwrap().split().unwrap(), verbs, looks);
}
