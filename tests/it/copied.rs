//! Primitives of one process in a fork of it behind our back: the child has copies, and they are its own. What is shared with other
//! processes is not copied: whatever the child does with its copies of items, batches and ends is nothing to its parent.

use crate::kit::{elsewhere, fork_behind_our_back, kind};
use crate::queue_ends::{pair, senders_are_gone};
use crate::runner::{Case, Gate, case};
use crate::sleepers::sleeper;
use multiproc::threading::{
    Barrier, BoundedSemaphore, Condition, Event, Lock, RLock, RwLock, Semaphore,
};
use multiproc::{
    ErrorKind, GetError, JoinableQueue, Leased, Loan, Queue, Receiver, Sender, TryGetError, arena,
};
use nix::sys::wait::{WaitStatus, waitpid};
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

pub(crate) fn tests() -> Vec<Case> {
    vec![
        case("copied::guards", guards),
        case("copied::given_up", given_up),
        case("copied::without_owners", without_owners),
        case("copied::held_by_another_thread", by_another_thread),
        case("copied::items_on_lease", items_on_lease),
        case("copied::batches_and_iterators", batches_and_iterators),
        case("copied::loans", loans),
        case("copied::ends_of_a_queue", ends_of_a_queue),
    ]
}

/// Runs it in a fork; what it asserts fails the test.
#[track_caller]
fn in_a_fork(body: impl FnOnce()) {
    let fork = fork_behind_our_back(body);
    assert_eq!(waitpid(fork, None).unwrap(), WaitStatus::Exited(fork, 0));
}

/// The child drops its copies of guards: its locks are free, and it can have them anew.
fn guards() {
    let (lock, recursive, shared) = (
        Lock::new().unwrap(),
        RLock::new().unwrap(),
        [(); 2].map(|()| RwLock::new().unwrap()),
    );
    let (semaphore, bounded) = (
        Semaphore::new(1).unwrap(),
        BoundedSemaphore::new(1).unwrap(),
    );
    let locks = || (lock.acquire().unwrap(), recursive.acquire().unwrap());
    let shares = || (shared[0].read().unwrap(), shared[1].write().unwrap());
    let permits = || (semaphore.acquire().unwrap(), bounded.acquire().unwrap());
    let mut copies = Some((locks(), shares(), permits()));
    let free = || {
        let none = lock.locked() || recursive.locked() || shared[1].locked();
        !none && (shared[0].readers(), semaphore.value(), bounded.value()) == (0, 1, 1)
    };
    in_a_fork(|| {
        assert!(lock.locked() && recursive.locked() && shared[0].readers() == 1);
        drop(copies.take());
        assert!(free());
        drop((locks(), shares(), permits()));
        elsewhere(|| drop((locks(), shares(), permits())));
        assert!(free());
    });
    assert!(lock.locked() && recursive.level() == 1 && shared[1].locked());
    assert_eq!(
        (shared[0].readers(), semaphore.value(), bounded.value()),
        (1, 0, 0)
    );
    drop(copies);
    assert!(free());
}

fn given_up() {
    let (lock, bounded) = (Lock::new().unwrap(), BoundedSemaphore::new(2).unwrap());
    lock.acquire().unwrap().forget();
    bounded.acquire().unwrap().forget();
    in_a_fork(|| {
        lock.release().unwrap();
        bounded.release().unwrap();
        assert_eq!(kind(lock.release()), ErrorKind::Misuse);
        assert_eq!(kind(bounded.release()), ErrorKind::Misuse);
        drop(lock.try_acquire().unwrap());
    });
    assert!(lock.locked());
    assert_eq!(bounded.value(), 1);
    lock.release().unwrap();
    bounded.release().unwrap();
}

/// What one sets, gives or breaks is not set, given or broken in the other.
fn without_owners() {
    let (event, semaphore) = (Event::new().unwrap(), Semaphore::new(1).unwrap());
    let (barrier, condition) = (Barrier::new(1).unwrap(), Condition::new().unwrap());
    in_a_fork(|| {
        event.set().unwrap();
        semaphore.release_many(5).unwrap();
        barrier.abort().unwrap();
        let guard = condition.acquire().unwrap();
        assert_eq!(condition.notify_all().unwrap(), 0);
        assert!(!condition.wait_timeout(Duration::from_millis(5)).unwrap());
        assert_eq!(
            (event.is_set(), semaphore.value(), barrier.broken()),
            (true, 6, true)
        );
        // It ends with the lock.
        guard.forget();
    });
    assert_eq!(
        (event.is_set(), semaphore.value(), barrier.broken()),
        (false, 1, false)
    );
    assert_eq!(barrier.wait().unwrap(), 0);
    drop(condition.try_acquire().unwrap());
}

/// Nobody lets go of it in the child, where that thread is not; a wait with a timeout comes to its end.
fn by_another_thread() {
    let (lock, stop) = (Lock::new().unwrap(), Event::new().unwrap());
    std::thread::scope(|scope| {
        let holder = sleeper(scope, || {
            let _guard = lock.acquire().unwrap();
            stop.wait().unwrap();
        });
        in_a_fork(|| {
            assert!(lock.locked());
            let late = lock.acquire_timeout(Duration::from_millis(120));
            assert!(late.is_err());
            assert_eq!(kind(lock.release()), ErrorKind::Misuse);
            // Python's answer: a new lock in the place of the old one.
            let lock = Lock::new().unwrap();
            drop(lock.acquire().unwrap());
        });
        stop.set().unwrap();
        holder.join().unwrap();
    });
    drop(lock.try_acquire().unwrap());
}

/// Neither done nor put back by a copy; the parent's own does that, once.
fn items_on_lease() {
    let before = arena::usage().unwrap();
    let queue = JoinableQueue::new().unwrap();
    let acts: [fn(Leased<u32>); 3] = [
        |item| drop(item),
        |item| assert_eq!(item.task_done(), 7),
        |item| {
            let _kept = ManuallyDrop::new(item);
        },
    ];
    for act in acts {
        queue.put(7).unwrap();
        let mut item = Some(queue.get().unwrap());
        in_a_fork(|| act(item.take().unwrap()));
        assert_eq!((queue.unfinished(), queue.failed()), (1, 0));
        assert!(matches!(queue.try_get(), Err(TryGetError::Empty)));
        assert_eq!(item.unwrap().task_done(), 7);
        queue.join().unwrap();
    }
    // One that the child takes itself is its own, and comes back when it ends.
    queue.put(8).unwrap();
    in_a_fork(|| {
        let _kept = ManuallyDrop::new(queue.get().unwrap());
    });
    assert_eq!(queue.get().unwrap().task_done(), 8);
    drop(queue);
    assert_eq!(arena::usage().unwrap(), before);
}

/// The values of a batch that lie in private memory come to both, and what a queue holds to one.
fn batches_and_iterators() {
    let before = arena::usage().unwrap();
    let queue = Queue::new().unwrap();
    queue.put_many(0..10).unwrap();
    let mut batch = queue.get_many(5).unwrap();
    assert_eq!(batch.next().unwrap().unwrap(), 0);
    in_a_fork(|| {
        assert_eq!(batch.next().unwrap().unwrap(), 1);
        batch.by_ref().for_each(drop);
        assert_eq!(queue.iter().next().unwrap().unwrap(), 5);
    });
    let rest: Vec<u32> = batch.map(Result::unwrap).collect();
    assert_eq!(rest, [1, 2, 3, 4]);
    assert_eq!(queue.get().unwrap(), 6);
    // One that came in a block is the parent's.
    let large = Queue::new().unwrap();
    large
        .put((Queue::<u8>::new().unwrap(), vec![7; 9_000]))
        .unwrap();
    let mut batch = large.get_many(1).unwrap();
    in_a_fork(|| assert!(batch.by_ref().count() <= 1));
    let (inner, bytes) = batch.next().unwrap().unwrap();
    assert_eq!(bytes, [7; 9_000]);
    inner.put(1).unwrap();
    drop((queue, large, batch, inner));
    assert_eq!(arena::usage().unwrap(), before);
}

/// A copy cannot be read, and gives nothing back.
fn loans() {
    let before = arena::usage().unwrap();
    let queue = Queue::new().unwrap();
    queue.put_bytes(&[1; 50_000]).unwrap();
    let mut loan = Some(queue.get_loan().unwrap());
    in_a_fork(|| {
        let theirs: Loan = loan.take().unwrap();
        let reads = AssertUnwindSafe(|| assert_eq!(theirs[0], 1));
        assert!(catch_unwind(reads).is_err());
        drop(theirs);
        queue.put_bytes(&[2; 50_000]).unwrap();
    });
    assert_eq!(loan.as_deref().unwrap(), [1; 50_000]);
    drop(loan);
    assert_eq!(*queue.get_loan().unwrap(), [2; 50_000]);
    drop(queue);
    assert_eq!(arena::usage().unwrap(), before);
}

/// A copy counts from its first use on, until the fork ends. One that is never used does not.
fn ends_of_a_queue() {
    let (sender, receiver) = pair();
    let (here, there) = (Gate::new(), Gate::new());
    let ends = &mut Some((sender, receiver));
    let mut forked = |uses: bool| {
        fork_behind_our_back(|| {
            let (sender, _receiver): (Sender<u32>, Receiver<u32>) = ends.take().unwrap();
            if uses {
                sender.send(1).unwrap();
            }
            here.open(1);
            there.wait();
        })
    };
    let forks = [forked(false), forked(true)];
    here.wait();
    here.wait();
    let (sender, receiver) = ends.take().unwrap();
    drop(sender);
    assert_eq!(receiver.recv().unwrap(), 1);
    let late = receiver.recv_timeout(Duration::from_millis(1));
    assert!(matches!(late, Err(TryGetError::Empty)), "{late:?}");
    there.open(2);
    for fork in forks {
        assert_eq!(waitpid(fork, None).unwrap(), WaitStatus::Exited(fork, 0));
    }
    assert!(matches!(receiver.recv(), Err(GetError::Disconnected)));
    senders_are_gone(&receiver);
    // Its only user never was a member: nobody waits for it.
    let (sender, receiver) = pair::<u32>();
    let fork = fork_behind_our_back(|| there.wait());
    drop(sender);
    senders_are_gone(&receiver);
    there.open(1);
    assert_eq!(waitpid(fork, None).unwrap(), WaitStatus::Exited(fork, 0));
}
