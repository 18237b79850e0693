//! Pools of threads: every verb, and what they refuse. Panics are in `thread_pool_panics`, ends and forks in `thread_pool_ends`.

use crate::kit::kind;
use crate::runner::{Case, case, scaled};
use multiproc::threading::{self, Local};
use multiproc::{ErrorKind, ThreadPool, ThreadResult};
use std::cell::Cell;
use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc::channel;
use std::sync::{Arc, Barrier, Mutex};
use std::time::Duration;

pub(crate) fn tests() -> Vec<Case> {
    vec![
        case("thread_pool::apply", apply),
        case("thread_pool::results", results),
        case("thread_pool::map", map),
        case("thread_pool::map_chunks", map_chunks),
        case("thread_pool::starmap", starmap),
        case("thread_pool::imap", imap),
        case("thread_pool::imap_unordered", imap_unordered),
        case("thread_pool::imap_timeouts", imap_timeouts),
        case("thread_pool::imap_of_endless_items", imap_endless),
        case("thread_pool::imap_is_drawn_after_close", imap_after_close),
        case("thread_pool::imap_that_waits_for_items", imap_that_waits),
        case("thread_pool::in_order", in_order),
        case("thread_pool::all_at_the_same_time", at_the_same_time),
        case("thread_pool::names", names),
        case("thread_pool::initializer", initializer),
        case("thread_pool::bad_input", bad_input),
        case("thread_pool::absurd_timeouts", absurd_timeouts),
        case("thread_pool::after_close", after_close),
        case("thread_pool::tasks_give_tasks", tasks_give_tasks),
        case("thread_pool::shared_by_threads", shared_by_threads),
        case("thread_pool::on_one_cpu", on_one_cpu),
        case("thread_pool::sleeping_workers_wake", sleepers_wake),
    ]
}

pub(crate) fn pool(workers: usize) -> ThreadPool {
    ThreadPool::new(workers).unwrap()
}

fn add(a: u64, b: u64) -> u64 {
    a + b
}

fn apply() {
    let pool = pool(2);
    assert_eq!(pool.workers(), 2);
    assert_eq!(pool.apply(add, (2, 3)).unwrap(), 5);
    assert_eq!(pool.apply(|| "nothing", ()).unwrap(), "nothing");
    // Captures, what can be called once only, and what cannot be shared or serialised.
    let (text, cell) = (String::from("text"), Cell::new(5));
    let once = move |more: Box<dyn Fn(&str) -> String + Send>| (more(&text), cell.into_inner());
    let more: Box<dyn Fn(&str) -> String + Send> = Box::new(|text| format!("{text}!"));
    assert_eq!(pool.apply(once, (more,)).unwrap(), ("text!".to_owned(), 5));
    let eight = |a, b, c, d, e, f, g, h| [a, b, c, d, e, f, g, h];
    let sum = pool.apply(eight, (1, 2, 3, 4, 5, 6, 7, 8)).unwrap();
    assert_eq!(sum.iter().sum::<i32>(), 36);
    assert!(format!("{pool:?}").contains("workers: 2"), "{pool:?}");
}

fn results() {
    let pool = pool(1);
    let (go, wait) = channel::<()>();
    let mut result = pool.apply_async(move || wait.recv().is_ok(), ()).unwrap();
    assert!(!result.ready() && !result.wait_timeout(Duration::from_millis(1)));
    assert_eq!(kind(result.successful()), ErrorKind::Misuse);
    let late = result.get_timeout(Duration::from_millis(1));
    assert_eq!(kind(late), ErrorKind::TimedOut);
    go.send(()).unwrap();
    result.wait();
    assert!(result.ready() && result.wait_timeout(Duration::ZERO));
    assert!(result.successful().unwrap());
    assert!(result.get_timeout(Duration::ZERO).unwrap());
    // A value is there once.
    assert_eq!(kind(result.get_timeout(Duration::ZERO)), ErrorKind::Misuse);
    assert_eq!(kind(result.successful()), ErrorKind::Misuse);
    assert!(result.ready() && result.wait_timeout(Duration::ZERO));
    assert!(format!("{result:?}").contains("ready: true"));
    assert_eq!(kind(result.get()), ErrorKind::Misuse);
    // Two threads wait for one.
    let (go, wait) = channel::<()>();
    let result = pool.apply_async(move || wait.recv().is_ok(), ()).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| result.wait());
        scope.spawn(|| assert!(result.wait_timeout(Duration::MAX)));
        go.send(()).unwrap();
    });
    // Results outlive their pool, and one that nobody wants disturbs nobody.
    drop(pool.apply_async(|| 1, ()).unwrap());
    let last = pool.apply_async(|| 2, ()).unwrap();
    pool.close();
    pool.join().unwrap();
    drop(pool);
    assert!(result.get().unwrap());
    assert_eq!(last.get().unwrap(), 2);
}

fn map() {
    let pool = pool(3);
    let offset = 5;
    let more = move |n: u64| n + offset;
    for count in [0, 1, 2, 11, 12, 13, 1000] {
        let expected: Vec<u64> = (5..count + 5).collect();
        assert_eq!(pool.map(more, 0..count).unwrap(), expected);
        let result = pool.map_async(more, 0..count).unwrap();
        assert_eq!(result.get().unwrap(), expected);
    }
    let texts = pool.map(|text: &str| text.len(), ["a", "bb", "ccc"]);
    assert_eq!(texts.unwrap(), [1, 2, 3]);
}

fn map_chunks() {
    let pool = pool(2);
    for chunk in [1, 2, 3, 99, 100, 101, usize::MAX] {
        let doubled = pool.map_chunked(|n: usize| 2 * n, 0..100, chunk);
        let expected: Vec<usize> = (0..100).map(|n| 2 * n).collect();
        assert_eq!(doubled.unwrap(), expected, "chunks of {chunk}");
    }
    assert_eq!(
        pool.map_chunked(|n: u8| n, std::iter::empty(), 1).unwrap(),
        []
    );
}

fn starmap() {
    let pool = pool(2);
    assert_eq!(pool.starmap(add, [(1, 2), (3, 4)]).unwrap(), [3, 7]);
    let factor = 10;
    let scaled = move |n: i32, text: &str| (factor * n, text.len());
    let items = vec![(1, "a"), (2, "bc")];
    assert_eq!(pool.starmap(scaled, items).unwrap(), [(10, 1), (20, 2)]);
}

fn imap() {
    let pool = pool(3);
    let squares: Vec<u64> = pool
        .imap(|n: u64| n * n, 0..100)
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert_eq!(squares, (0..100).map(|n| n * n).collect::<Vec<_>>());
    let mut none = pool.imap(|n: u64| n, std::iter::empty()).unwrap();
    assert!(none.next().is_none() && none.next().is_none());
    // The first does not wait for the second.
    let (go, wait) = channel::<()>();
    let wait = Mutex::new(wait);
    let second_waits = move |n| n == 0 || wait.lock().unwrap().recv().is_ok();
    let mut results = pool.imap(second_waits, 0..2).unwrap();
    assert!(results.next().unwrap().unwrap());
    go.send(()).unwrap();
    assert!(results.next().unwrap().unwrap());
    assert!(results.next().is_none());
    assert!(format!("{results:?}").contains("over: true"));
}

fn imap_unordered() {
    let pool = pool(3);
    let (go, wait) = channel::<()>();
    let wait = Mutex::new(wait);
    let first_waits = move |n: u64| {
        if n == 0 {
            wait.lock().unwrap().recv().unwrap();
        }
        n
    };
    let mut results = pool.imap_unordered(first_waits, 0..100).unwrap();
    let mut seen: HashSet<u64> = results.by_ref().take(99).map(Result::unwrap).collect();
    assert!(!seen.contains(&0));
    let late = results.next_timeout(Duration::ZERO);
    assert_eq!(kind(late.unwrap()), ErrorKind::TimedOut);
    go.send(()).unwrap();
    assert!(seen.insert(results.next().unwrap().unwrap()));
    assert_eq!(seen, (0..100).collect());
    assert!(results.next().is_none());
}

fn imap_timeouts() {
    let pool = pool(1);
    let (go, wait) = channel::<()>();
    let wait = Mutex::new(wait);
    let mut results = pool
        .imap(move |n| wait.lock().unwrap().recv().map(|()| n), 0..2)
        .unwrap();
    for number in 0..2 {
        for timeout in [Duration::ZERO, Duration::from_millis(1)] {
            let late = results.next_timeout(timeout).unwrap();
            assert_eq!(kind(late), ErrorKind::TimedOut);
        }
        go.send(()).unwrap();
        let next = results.next_timeout(Duration::MAX).unwrap();
        assert_eq!(next.unwrap(), Ok(number));
    }
    assert!(results.next_timeout(Duration::ZERO).is_none());
}

/// Items are drawn until nobody wants them.
fn imap_endless() {
    let pool = pool(2);
    let mut results = pool.imap(|n: u64| n, 0..).unwrap();
    let sum: u64 = results.by_ref().take(1000).map(Result::unwrap).sum();
    assert_eq!(sum, 499_500);
    assert_eq!(pool.apply(add, (1, 1)).unwrap(), 2);
    drop(results);
    drop(pool.imap_unordered(|n: u64| n, 0..).unwrap());
    pool.close();
    pool.join().unwrap();
}

/// What Python's programs do: the items that are left are not lost.
fn imap_after_close() {
    for round in 0..scaled(50) {
        let pool = pool(1 + round as usize % 3);
        let results = pool.imap(|n: u64| n + 1, 0..100).unwrap();
        let unordered = pool.imap_unordered(|n: u64| n + 1, 0..100).unwrap();
        pool.close();
        pool.join().unwrap();
        drop(pool);
        let results: Vec<u64> = results.map(Result::unwrap).collect();
        assert_eq!(results, (1..=100).collect::<Vec<_>>());
        assert_eq!(unordered.map(Result::unwrap).sum::<u64>(), 5050);
    }
}

/// It has one worker wait; the others work.
fn imap_that_waits() {
    let pool = pool(2);
    let (items, coming) = channel::<u64>();
    let mut results = pool.imap(|n: u64| n + 1, coming).unwrap();
    for number in 0..100 {
        assert_eq!(pool.apply(add, (number, 1)).unwrap(), number + 1);
    }
    for number in 0..10 {
        items.send(number).unwrap();
        assert_eq!(results.next().unwrap().unwrap(), number + 1);
    }
    pool.close();
    drop(items);
    assert!(results.next().is_none());
    pool.join().unwrap();
}

/// One worker does one thing after the other, in the order in which they were given.
fn in_order() {
    let pool = pool(1);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let mut waits: Vec<ThreadResult<()>> = Vec::new();
    for number in 0..100 {
        let seen = Arc::clone(&seen);
        let note = move |number| seen.lock().unwrap().push(number);
        waits.push(pool.apply_async(note, (number,)).unwrap());
    }
    waits.iter().for_each(ThreadResult::wait);
    assert_eq!(*seen.lock().unwrap(), (0..100).collect::<Vec<_>>());
}

/// As many tasks as there are workers meet each other, by each verb.
fn at_the_same_time() {
    let pool = pool(4);
    for _ in 0..scaled(100) {
        let barrier = Arc::new(Barrier::new(4));
        let meet = move |_: u32| barrier.wait().is_leader();
        let leaders = |results: Vec<bool>| results.into_iter().filter(|leads| *leads).count();
        assert_eq!(leaders(pool.map_chunked(meet.clone(), 0..8, 1).unwrap()), 2);
        let results = pool.imap(meet.clone(), 0..8).unwrap();
        assert_eq!(leaders(results.map(Result::unwrap).collect()), 2);
        let results = pool.imap_unordered(meet.clone(), 0..8).unwrap();
        assert_eq!(leaders(results.map(Result::unwrap).collect()), 2);
        let results: Vec<_> = (0..8)
            .map(|n| pool.apply_async(meet.clone(), (n,)).unwrap())
            .collect();
        let results = results.into_iter().map(|result| result.get().unwrap());
        assert_eq!(leaders(results.collect()), 2);
    }
}

fn names() {
    let pool = pool(1);
    let name = || threading::current_thread().name();
    assert_eq!(pool.apply(name, ()).unwrap(), "ThreadPool-1_worker-1");
    assert!(
        pool.apply(|| threading::current_thread().daemon(), ())
            .unwrap()
    );
    let second = ThreadPool::new(2).unwrap();
    let barrier = Arc::new(Barrier::new(2));
    let both = second.map_chunked(move |_| (barrier.wait().is_leader(), name()).1, 0..2, 1);
    let both: HashSet<String> = both.unwrap().into_iter().collect();
    let expected = ["ThreadPool-2_worker-1", "ThreadPool-2_worker-2"];
    assert_eq!(both, expected.map(String::from).into());
    let named = ThreadPool::builder()
        .workers(1)
        .name("crunch")
        .build()
        .unwrap();
    assert_eq!(named.apply(name, ()).unwrap(), "crunch_worker-1");
    let listed = || threading::enumerate().len();
    let before = listed();
    drop(named);
    assert_eq!(listed(), before - 1);
}

fn initializer() {
    let (calls, local) = (Arc::new(AtomicUsize::new(0)), Local::new(|| Cell::new(0)));
    let (theirs, values) = (Arc::clone(&calls), local.clone());
    let builder = ThreadPool::builder().workers(3);
    assert!(format!("{builder:?}").contains("initializer: false"));
    let pool = builder
        .initializer(move || values.set(theirs.fetch_add(1, SeqCst) + 1))
        .build()
        .unwrap();
    assert_eq!(calls.load(SeqCst), 3);
    let barrier = Arc::new(Barrier::new(3));
    let values = pool.map_chunked(
        move |()| {
            barrier.wait();
            local.with(Cell::get)
        },
        [(); 3],
        1,
    );
    let values: HashSet<usize> = values.unwrap().into_iter().collect();
    assert_eq!(values, [1, 2, 3].into());
    assert_eq!(calls.load(SeqCst), 3);
}

fn bad_input() {
    assert_eq!(kind(ThreadPool::new(0)), ErrorKind::InvalidInput);
    let none = ThreadPool::builder().workers(0).initializer(|| ()).build();
    assert_eq!(kind(none), ErrorKind::InvalidInput);
    let pool = pool(1);
    let none = pool.map_chunked(|n: u8| n, 0..5, 0);
    assert_eq!(kind(none), ErrorKind::InvalidInput);
    assert_eq!(kind(pool.join()), ErrorKind::Misuse);
    assert_eq!(pool.apply(add, (1, 1)).unwrap(), 2);
    let default = ThreadPool::builder().build().unwrap();
    assert_eq!(default.workers(), multiproc::available_cpus());
}

fn absurd_timeouts() {
    let pool = pool(1);
    for timeout in [Duration::MAX, Duration::from_secs(u64::MAX / 4)] {
        let mut result = pool.apply_async(add, (1, 2)).unwrap();
        assert!(result.wait_timeout(timeout));
        assert_eq!(result.get_timeout(timeout).unwrap(), 3);
        let mut results = pool.imap(|n: u8| n, [7]).unwrap();
        assert_eq!(results.next_timeout(timeout).unwrap().unwrap(), 7);
        assert!(results.next_timeout(timeout).is_none());
    }
    let (go, wait) = channel::<()>();
    let mut result = pool.apply_async(move || wait.recv(), ()).unwrap();
    for timeout in [Duration::ZERO, Duration::from_nanos(1)] {
        assert!(!result.wait_timeout(timeout));
        assert_eq!(kind(result.get_timeout(timeout)), ErrorKind::TimedOut);
    }
    drop(go);
    assert!(result.get().unwrap().is_err());
}

fn after_close() {
    let pool = pool(2);
    let before = pool.apply_async(add, (1, 2)).unwrap();
    pool.close();
    pool.close();
    assert_eq!(kind(pool.apply(add, (1, 2))), ErrorKind::Closed);
    assert_eq!(kind(pool.apply_async(add, (1, 2))), ErrorKind::Closed);
    assert_eq!(kind(pool.map(|n: u8| n, 0..3)), ErrorKind::Closed);
    assert_eq!(kind(pool.map(|n: u8| n, 0..0)), ErrorKind::Closed);
    assert_eq!(kind(pool.map_async(|n: u8| n, 0..3)), ErrorKind::Closed);
    assert_eq!(kind(pool.starmap(add, [(1, 2)])), ErrorKind::Closed);
    assert_eq!(kind(pool.imap(|n: u8| n, 0..3)), ErrorKind::Closed);
    let unordered = pool.imap_unordered(|n: u8| n, 0..3);
    assert_eq!(kind(unordered), ErrorKind::Closed);
    assert_eq!(before.get().unwrap(), 3);
    pool.join().unwrap();
    pool.join().unwrap();
    pool.terminate().unwrap();
    pool.join().unwrap();
    assert!(format!("{pool:?}").contains("closed: true"));
}

/// A task gives others to its own pool, also after it has given one that was refused.
fn tasks_give_tasks() {
    fn count(pool: &Arc<ThreadPool>, depth: u32, total: &Arc<AtomicUsize>) {
        total.fetch_add(1, SeqCst);
        for _ in 0..if depth > 0 { 3 } else { 0 } {
            let inner = (Arc::clone(pool), depth - 1, Arc::clone(total));
            let task = move || count(&inner.0, inner.1, &inner.2);
            drop(pool.apply_async(task, ()).unwrap());
        }
    }
    let (pool, total) = (Arc::new(pool(2)), Arc::new(AtomicUsize::new(0)));
    count(&pool, 6, &total);
    while total.load(SeqCst) < 1093 {
        std::thread::yield_now();
    }
    // One of two waits for what the other does.
    let inner = Arc::clone(&pool);
    let outer = move || inner.map(|n: u64| n, 0..100).map(|all| all.len());
    assert_eq!(pool.apply(outer, ()).unwrap().unwrap(), 100);
}

fn shared_by_threads() {
    let pool = pool(2);
    let rounds = u64::from(scaled(300));
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let pool = &pool;
            scope.spawn(move || {
                for round in 0..rounds {
                    assert_eq!(pool.apply(add, (thread, round)).unwrap(), thread + round);
                    let sum: u64 = pool.map(move |n| n + thread, 0..10).unwrap().iter().sum();
                    assert_eq!(sum, 45 + 10 * thread);
                    let results = pool.imap_unordered(move |n| n + round, 0..10).unwrap();
                    let sum: u64 = results.map(Result::unwrap).sum();
                    assert_eq!(sum, 45 + 10 * round);
                }
            });
        }
    });
}

/// Nobody spins where that keeps the others from working.
fn on_one_cpu() {
    use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
    let myself = nix::unistd::Pid::from_raw(0);
    let allowed = sched_getaffinity(myself).unwrap();
    let first = (0..CpuSet::count()).find(|&cpu| allowed.is_set(cpu).unwrap());
    let mut one = CpuSet::new();
    one.set(first.unwrap()).unwrap();
    sched_setaffinity(myself, &one).unwrap();
    shared_by_threads();
    let pool = pool(4);
    let sum: u64 = pool
        .map_chunked(|n: u64| n, 0..1000, 1)
        .unwrap()
        .iter()
        .sum();
    assert_eq!(sum, 499_500);
}

/// All workers sleep; each new task finds one, and many at once find all.
fn sleepers_wake() {
    let pool = pool(3);
    for _ in 0..scaled(300) {
        let barrier = Arc::new(Barrier::new(4));
        for _ in 0..3 {
            let barrier = Arc::clone(&barrier);
            let meet = move || barrier.wait().is_leader();
            drop(pool.apply_async(meet, ()).unwrap());
        }
        barrier.wait();
    }
}
