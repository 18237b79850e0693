//! Queues between threads whose values misbehave: comparisons and destructors that panic, destructors that use the queue. And what a
//! fork makes of them.

use crate::kit::fork_behind_our_back;
use crate::runner::{Case, case, scaled};
use crate::sleepers::{sleeper, sleepers};
use multiproc::queue::{
    Fifo, Lifo, Order, OrderedQueue, PriorityQueue, Queue, ShutDown, SimpleQueue, Smallest,
    TryGetError, TryPutError,
};
use nix::sys::wait::{WaitStatus, waitpid};
use std::cell::Cell;
use std::cmp::Ordering;
use std::mem::ManuallyDrop;
use std::panic::{catch_unwind, resume_unwind};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

pub(crate) fn tests() -> Vec<Case> {
    vec![
        case("thread_queue_odd::put_that_panics", put_panics),
        case("thread_queue_odd::get_that_panics", get_panics),
        case(
            "thread_queue_odd::putter_takes_the_place_of_one_that_panics",
            place_comes_back,
        ),
        case(
            "thread_queue_odd::getter_is_woken_for_one_that_panics",
            wake_goes_on,
        ),
        case("thread_queue_odd::panics_under_load", panics_under_load),
        case("thread_queue_odd::shut_with_panics", shut_with_panics),
        case(
            "thread_queue_odd::destructors_that_use_the_queue",
            destructors,
        ),
        case(
            "thread_queue_odd::destructors_that_panic",
            destructors_panic,
        ),
        case("thread_queue_odd::values_of_no_size", no_size),
        case("thread_queue_odd::forked", forked),
    ]
}

/// So many comparisons will panic.
static PANICS: AtomicU64 = AtomicU64::new(0);
const ALL: u64 = u64::MAX / 2;

thread_local! {
    /// But not those of this thread.
    static CALM: Cell<bool> = const { Cell::new(false) };
}

/// Values that exist.
static ALIVE: AtomicU64 = AtomicU64::new(0);

#[derive(Debug)]
struct Touchy(u64);

impl Touchy {
    fn new(number: u64) -> Self {
        ALIVE.fetch_add(1, SeqCst);
        Touchy(number)
    }
}

impl Drop for Touchy {
    fn drop(&mut self) {
        ALIVE.fetch_sub(1, SeqCst);
    }
}

impl PartialEq for Touchy {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}
impl Eq for Touchy {}
impl Ord for Touchy {
    fn cmp(&self, other: &Self) -> Ordering {
        let less = |panics: u64| panics.checked_sub(1);
        if !CALM.get() && PANICS.fetch_update(SeqCst, SeqCst, less).is_ok() {
            // No message for each of them.
            resume_unwind(Box::new("incomparable"));
        }
        self.0.cmp(&other.0)
    }
}
impl PartialOrd for Touchy {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Runs what must panic, while comparisons do.
fn touchy<T>(body: impl FnOnce() -> T + std::panic::UnwindSafe) {
    PANICS.store(ALL, SeqCst);
    let result = catch_unwind(body);
    PANICS.store(0, SeqCst);
    assert!(result.is_err(), "it compares");
}

/// Twice with the same queue, by every verb that puts.
fn put_panics() {
    let queue = PriorityQueue::with_maxsize(3);
    for _ in 0..2 {
        for n in [5, 3] {
            queue.put(Touchy::new(n)).unwrap();
        }
        let before = queue.unfinished_tasks();
        touchy(|| queue.put(Touchy::new(4)));
        touchy(|| queue.try_put(Touchy::new(1)));
        touchy(|| queue.put_timeout(Touchy::new(9), Duration::MAX));
        assert_eq!((queue.len(), queue.is_full()), (2, false));
        assert_eq!(queue.unfinished_tasks(), before);
        assert_eq!(ALIVE.load(SeqCst), 2, "what was not put is dropped");
        queue.try_put(Touchy::new(4)).unwrap();
        assert!(matches!(
            queue.try_put(Touchy::new(4)),
            Err(TryPutError::Full(Touchy(4)))
        ));
        let got = [(); 3].map(|()| queue.get().unwrap().0);
        assert_eq!(got, [3, 4, 5]);
    }
    (0..6).for_each(|_| queue.task_done().unwrap());
    queue.task_done().unwrap_err();
    queue.join();
}

fn get_panics() {
    let queue = PriorityQueue::new();
    for n in [5, 3, 1, 2, 4] {
        queue.put(Touchy::new(n)).unwrap();
    }
    for _ in 0..2 {
        touchy(|| queue.get());
        touchy(|| queue.try_get());
        touchy(|| queue.get_timeout(Duration::MAX));
        assert_eq!((queue.len(), queue.unfinished_tasks()), (5, 5));
    }
    for n in 1..=5 {
        assert_eq!(queue.get().unwrap().0, n);
    }
    assert_eq!(queue.try_get(), Err(TryGetError::Empty));
    assert_eq!(ALIVE.load(SeqCst), 0);
}

/// Two sleep at a full queue; there is room for one, who panics: the other one gets in.
fn place_comes_back() {
    for _ in 0..scaled(100) {
        let queue = PriorityQueue::with_maxsize(2);
        queue.put(Touchy::new(1)).unwrap();
        queue.put(Touchy::new(2)).unwrap();
        thread::scope(|scope| {
            let putters = sleepers(scope, 2, || {
                catch_unwind(|| queue.put(Touchy::new(3)).unwrap()).is_ok()
            });
            PANICS.store(1, SeqCst);
            // To get one of two is possible without a comparison, to put beside one is not.
            assert_eq!(queue.get().unwrap().0, 1);
            let put = putters.into_iter().map(|putter| putter.join().unwrap());
            assert_eq!(put.filter(|put| *put).count(), 1);
        });
        assert_eq!(queue.get().unwrap().0, 2);
        assert_eq!(queue.get().unwrap().0, 3);
        assert_eq!((queue.len(), ALIVE.load(SeqCst)), (0, 0));
    }
}

/// Four sleep at an empty queue, three values come, and one of those who are woken may panic: the others get all three.
fn wake_goes_on() {
    CALM.set(true);
    let mut panicked = 0;
    for _ in 0..scaled(200) {
        let (queue, got) = (PriorityQueue::new(), AtomicU64::new(0));
        PANICS.store(1, SeqCst);
        thread::scope(|scope| {
            let getters = sleepers(scope, 4, || {
                let value = catch_unwind(|| queue.get());
                got.fetch_add(u64::from(matches!(value, Ok(Ok(_)))), SeqCst);
                value.is_err()
            });
            (0..3).for_each(|n| queue.put(Touchy::new(n)).unwrap());
            while got.load(SeqCst) < 3 {
                thread::yield_now();
            }
            queue.shutdown(false);
            let panics = getters.into_iter().map(|getter| getter.join().unwrap());
            panicked += panics.filter(|panics| *panics).count();
        });
        assert_eq!((queue.len(), ALIVE.load(SeqCst)), (0, 0));
    }
    println!("{panicked} panicked");
}

/// How many it got until the queue was shut down, whatever panicked.
fn get_all(queue: &PriorityQueue<Touchy>) -> u64 {
    let mut got = 0;
    loop {
        match catch_unwind(|| queue.get()) {
            Ok(Ok(_)) => queue.task_done().unwrap(),
            Ok(Err(ShutDown(()))) => return got,
            Err(_) => continue,
        }
        got += 1;
    }
}

fn panics_under_load() {
    let (queue, over) = (PriorityQueue::with_maxsize(5), AtomicBool::new(false));
    let count = u64::from(scaled(2000));
    thread::scope(|scope| {
        let putters = [(); 2].map(|()| {
            scope.spawn(|| {
                let put = |n| catch_unwind(|| queue.put(Touchy::new(n * 7 % 13)).unwrap());
                (0..count).filter(|&n| put(n).is_ok()).count() as u64
            })
        });
        let getters = [(); 2].map(|()| scope.spawn(|| get_all(&queue)));
        scope.spawn(|| {
            while !over.load(SeqCst) {
                PANICS.store(ALL, SeqCst);
                thread::yield_now();
                PANICS.store(0, SeqCst);
                thread::yield_now();
            }
        });
        let put: u64 = putters.map(|p| p.join().unwrap()).iter().sum();
        queue.join();
        queue.shutdown(false);
        let got: u64 = getters.map(|g| g.join().unwrap()).iter().sum();
        over.store(true, SeqCst);
        assert_eq!(put, got);
        println!("{put} of {} were put", 2 * count);
    });
    assert_eq!((queue.len(), queue.unfinished_tasks()), (0, 0));
    assert_eq!(ALIVE.load(SeqCst), 0);
}

/// At once, and without a comparison.
fn shut_with_panics() {
    let queue = PriorityQueue::new();
    (0..100).for_each(|n| queue.put(Touchy::new(n * 7 % 100)).unwrap());
    PANICS.store(ALL, SeqCst);
    queue.shutdown(true);
    assert_eq!((queue.len(), queue.unfinished_tasks()), (0, 0));
    assert_eq!(ALIVE.load(SeqCst), 0);
    assert!(queue.get().is_err());
}

/// The queue of a [`Busy`], whatever its order.
trait Verbs: std::fmt::Debug {
    fn try_put(&self, value: Busy) -> Result<(), TryPutError<Busy>>;
    fn try_get(&self) -> Result<Busy, TryGetError>;
    fn shutdown(&self);
}

impl<O: Order<Busy>> Verbs for OrderedQueue<Busy, O> {
    fn try_put(&self, value: Busy) -> Result<(), TryPutError<Busy>> {
        Self::try_put(self, value)
    }

    fn try_get(&self) -> Result<Busy, TryGetError> {
        Self::try_get(self)
    }

    fn shutdown(&self) {
        Self::shutdown(self, true);
    }
}

/// A value that, dropped, puts another into its queue and takes one out now and then, and shuts the queue down when it is the last.
#[derive(Debug)]
struct Busy {
    queue: Rc<dyn Verbs>,
    left: u32,
}

impl Drop for Busy {
    fn drop(&mut self) {
        if self.left == 0 {
            return self.queue.shutdown();
        }
        let (queue, left) = (Rc::clone(&self.queue), self.left - 1);
        if let Err(error) = self.queue.try_put(Busy { queue, left }) {
            // Or it would drop itself again and again.
            let _kept = ManuallyDrop::new(error.into_inner());
        } else if left % 3 == 0 {
            drop(self.queue.try_get());
        }
    }
}

impl PartialEq for Busy {
    fn eq(&self, other: &Self) -> bool {
        self.left == other.left
    }
}
impl Eq for Busy {}
impl Ord for Busy {
    fn cmp(&self, other: &Self) -> Ordering {
        self.left.cmp(&other.left)
    }
}
impl PartialOrd for Busy {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

fn destructors() {
    fn run<O: Order<Busy> + 'static>() {
        let queue = OrderedQueue::<Busy, O>::new();
        for _ in 0..20 {
            let (queue, left) = (Rc::new(queue.clone()), 40);
            let put = queue.try_put(Busy {
                queue: queue.clone(),
                left,
            });
            assert!(put.is_ok());
        }
        let dropped = queue.iter().map(drop).count();
        assert!(dropped > 20, "{dropped}");
        assert!(queue.is_shutdown() && queue.is_empty());
    }
    run::<Fifo>();
    run::<Lifo>();
    run::<Smallest>();
}

struct Bomb<'a>(&'a AtomicU64, u64);

impl Drop for Bomb<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(1, SeqCst);
        if self.1 % 3 == 1 {
            resume_unwind(Box::new(self.1));
        }
    }
}

/// All are dropped, all count, and the first panic is told.
fn destructors_panic() {
    let dropped = AtomicU64::new(0);
    let queue = Queue::new();
    (0..10).for_each(|n| assert!(queue.put(Bomb(&dropped, n)).is_ok()));
    let told = catch_unwind(|| queue.shutdown(true)).unwrap_err();
    assert_eq!(told.downcast_ref(), Some(&1_u64));
    assert_eq!(dropped.load(SeqCst), 10);
    assert_eq!((queue.len(), queue.unfinished_tasks()), (0, 0));
    queue.join();
    queue.shutdown(true);
}

fn no_size() {
    let (queue, simple) = (Queue::new(), SimpleQueue::new());
    (0..100).for_each(|_| queue.put(()).unwrap());
    (0..100).for_each(|_| simple.put(()));
    queue.shutdown(false);
    assert_eq!((queue.iter().count(), simple.len()), (100, 100));
    let (last, sorted) = (multiproc::queue::LifoQueue::new(), PriorityQueue::new());
    (0..100).for_each(|_| last.put(()).unwrap());
    (0..100).for_each(|_| sorted.put(()).unwrap());
    last.shutdown(false);
    sorted.shutdown(false);
    assert_eq!((last.iter().count(), sorted.iter().count()), (100, 100));
}

/// The child has a copy with what is in it, which works; the parent's is untouched. Who slept there is not in the child.
fn forked() {
    let (queue, simple) = (Queue::with_maxsize(2), SimpleQueue::new());
    let empty = PriorityQueue::<u64>::new();
    (1..=2).for_each(|n| queue.put(n).unwrap());
    simple.put(3);
    thread::scope(|scope| {
        let putter = sleeper(scope, || queue.put(9));
        let getter = sleeper(scope, || empty.get());
        let child = fork_behind_our_back(|| {
            assert_eq!((queue.get(), queue.get(), simple.get()), (Ok(1), Ok(2), 3));
            assert_eq!(queue.try_get(), Err(TryGetError::Empty));
            empty.put(5).unwrap();
            assert_eq!(empty.get(), Ok(5));
            queue.task_done().unwrap();
            queue.task_done().unwrap();
            queue.join();
            queue.shutdown(true);
            empty.shutdown(false);
            assert_eq!(empty.get(), Err(ShutDown(())));
        });
        let ended = waitpid(child, None).unwrap();
        assert_eq!(ended, WaitStatus::Exited(child, 0));
        assert_eq!(
            (queue.len(), simple.len(), queue.is_shutdown()),
            (2, 1, false)
        );
        assert_eq!(queue.get(), Ok(1));
        putter.join().unwrap().unwrap();
        empty.put(6).unwrap();
        assert_eq!(getter.join().unwrap(), Ok(6));
    });
}
