//! Pools of threads: panics are outcomes, wherever they happen, and the workers live on.

use crate::kit::kind;
use crate::runner::{Case, case};
use crate::thread_pool::pool;
use crate::thread_pool_ends::{busy, fails};
use multiproc::{Error, ErrorKind, ThreadPool};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

pub(crate) fn tests() -> Vec<Case> {
    vec![
        case("thread_pool_panics::of_a_task", of_a_task),
        case("thread_pool_panics::in_map", in_map),
        case("thread_pool_panics::in_imap", in_imap),
        case("thread_pool_panics::of_items", of_items),
        case("thread_pool_panics::in_destructors", in_destructors),
        case("thread_pool_panics::in_the_initializer", in_initializer),
    ]
}

#[track_caller]
fn check_panic(error: &Error, message: &str, name: &str) {
    assert_eq!(error.kind(), ErrorKind::Panicked);
    let remote = error.remote().unwrap();
    assert_eq!(remote.message(), message);
    assert_eq!(remote.thread(), Some(name));
    assert_eq!(remote.pid(), std::process::id());
    assert!(remote.file().unwrap().ends_with("thread_pool_ends.rs"));
    assert!(remote.line().unwrap() > 0);
}

fn of_a_task() {
    let pool = pool(1);
    for _ in 0..100 {
        let error = pool.apply(fails, (7,)).unwrap_err();
        check_panic(&error, "not 7", "ThreadPool-1_worker-1");
        let result = pool.apply_async(fails, (17,)).unwrap();
        result.wait();
        assert!(!result.successful().unwrap());
        assert_eq!(kind(result.get()), ErrorKind::Panicked);
        assert_eq!(pool.apply(fails, (8,)).unwrap(), 8);
    }
    let odd = pool.apply(|| std::panic::panic_any(5_u8), ());
    let odd: multiproc::Result<()> = odd.map(|never: ()| never);
    assert!(odd.unwrap_err().to_string().contains("not text"));
}

fn in_map() {
    let pool = pool(2);
    for chunk in [1, 3, 100] {
        let error = pool.map_chunked(fails, 0..30, chunk).unwrap_err();
        assert_eq!(error.remote().unwrap().message(), "not 7");
    }
    assert_eq!(kind(pool.starmap(fails, [(1,), (7,)])), ErrorKind::Panicked);
    // All others have run when the error is there.
    let calls = Arc::new(AtomicUsize::new(0));
    let theirs = Arc::clone(&calls);
    let counted = move |n| {
        theirs.fetch_add(1, SeqCst);
        fails(n)
    };
    let failed = pool.map_chunked(counted, 0..30, 1);
    assert_eq!(kind(failed), ErrorKind::Panicked);
    assert_eq!(calls.load(SeqCst), 30);
    assert_eq!(pool.map(fails, 0..5).unwrap(), [0, 1, 2, 3, 4]);
}

fn in_imap() {
    let pool = pool(2);
    let results = pool.imap(fails, 0..20).unwrap();
    for (n, result) in (0..20).zip(results) {
        match n % 10 {
            7 => assert_eq!(kind(result), ErrorKind::Panicked),
            _ => assert_eq!(result.unwrap(), n),
        }
    }
    let results = pool.imap_unordered(fails, 0..20).unwrap();
    let (good, bad): (Vec<_>, Vec<_>) = results.partition(Result::is_ok);
    assert_eq!((good.len(), bad.len()), (18, 2));
}

/// The items' own iterator: what it gave is done, and its panic is the last result.
fn of_items() {
    let items = || (0..).inspect(|n| assert!(*n < 5, "no more items"));
    let pool = pool(2);
    let mut results = pool.imap(|n: u32| n, items()).unwrap();
    for n in 0..5 {
        assert_eq!(results.next().unwrap().unwrap(), n);
    }
    let error = results.next().unwrap().unwrap_err();
    assert_eq!(error.remote().unwrap().message(), "no more items");
    assert!(results.next().is_none());
    assert_eq!(pool.imap_unordered(|n: u32| n, items()).unwrap().count(), 6);
    let here = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        pool.map(|n: u32| n, items())
    }));
    assert!(here.is_err());
    pool.close();
    pool.join().unwrap();
}

struct Angry(&'static AtomicUsize);

impl Drop for Angry {
    fn drop(&mut self) {
        self.0.fetch_add(1, SeqCst);
        if !std::thread::panicking() {
            panic!("a destructor");
        }
    }
}

/// Of a value that nobody takes, of what a function captured, of an argument, of a payload.
fn in_destructors() {
    static DROPS: AtomicUsize = AtomicUsize::new(0);
    let pool = pool(1);
    let (go, running) = busy(&pool);
    drop(pool.apply_async(|| Angry(&DROPS), ()).unwrap());
    let captured = Angry(&DROPS);
    let result = pool.apply_async(move || _ = &captured, ()).unwrap();
    let argument = pool.apply_async(drop::<Angry>, (Angry(&DROPS),)).unwrap();
    let payload = pool.apply_async(|| std::panic::panic_any(Angry(&DROPS)), ());
    let payload: multiproc::ThreadResult<()> = payload.unwrap();
    go.send(()).unwrap();
    assert!(running.get().unwrap());
    assert_eq!(kind(result.get()), ErrorKind::Panicked);
    assert_eq!(kind(argument.get()), ErrorKind::Panicked);
    assert_eq!(kind(payload.get()), ErrorKind::Panicked);
    let items = vec![Angry(&DROPS), Angry(&DROPS)];
    assert_eq!(kind(pool.map_chunked(drop, items, 1)), ErrorKind::Panicked);
    assert_eq!(DROPS.load(SeqCst), 6);
    // What has not begun is dropped by whoever terminates.
    let (go, running) = busy(&pool);
    let never = pool.apply_async(drop::<Angry>, (Angry(&DROPS),)).unwrap();
    let after = pool.apply_async(|| (), ()).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| pool.terminate().unwrap());
        assert_eq!(kind(never.get()), ErrorKind::Terminated);
        assert_eq!(kind(after.get()), ErrorKind::Terminated);
        go.send(()).unwrap();
    });
    assert!(running.get().unwrap());
    assert_eq!(DROPS.load(SeqCst), 7);
}

fn in_initializer() {
    let started = Arc::new(AtomicUsize::new(0));
    let theirs = Arc::clone(&started);
    let before = multiproc::threading::active_count();
    let failed = ThreadPool::builder()
        .workers(3)
        .initializer(move || assert!(theirs.fetch_add(1, SeqCst) != 1, "the second"))
        .build();
    let error = failed.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Panicked);
    assert_eq!(error.remote().unwrap().message(), "the second");
    assert_eq!(multiproc::threading::active_count(), before);
}
