//! Values of threads, made, lent and dropped by many at once: what Miri and ThreadSanitizer look at. An ordinary test as well.

use multiproc::threading::Local;
use std::cell::{Cell, RefCell};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Barrier, OnceLock};
use std::thread;

/// Miri takes its time.
const ROUNDS: usize = if cfg!(miri) { 10 } else { 2_000 };

/// Counts how many of it there are.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, SeqCst);
        Self(Arc::clone(count))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

/// One whose values count themselves.
fn counted() -> (Local<Counted>, Arc<AtomicUsize>) {
    let count = Arc::new(AtomicUsize::new(0));
    let counts = Arc::clone(&count);
    (Local::new(move || Counted::new(&counts)), count)
}

fn in_a_thread<R: Send>(body: impl FnOnce() -> R + Send) -> R {
    // Not a scope: that one goes on when the thread's function ends, before its values are dropped.
    thread::scope(|scope| scope.spawn(body).join().expect("it ends"))
}

#[test]
fn each_thread_has_its_own() {
    let local = Local::new(|| Cell::new(0));
    thread::scope(|scope| {
        for thread in 1..=3 {
            let local = local.clone();
            scope.spawn(move || {
                for round in 1..=ROUNDS {
                    local.with(|count| count.set(count.get() + thread));
                    assert_eq!(local.with(Cell::get), round * thread);
                }
            });
        }
    });
    assert_eq!(local.with(Cell::get), 0);
}

#[test]
fn dropped_with_the_thread() {
    let (local, count) = counted();
    for _ in 0..ROUNDS.min(50) {
        let theirs = local.clone();
        thread::spawn(move || theirs.with(|value| assert_eq!(value.0.load(SeqCst), 1)))
            .join()
            .unwrap();
        assert_eq!(count.load(SeqCst), 0);
    }
}

#[test]
fn dropped_with_the_last_handle() {
    let (local, count) = counted();
    let barrier = Barrier::new(4);
    thread::scope(|scope| {
        for _ in 0..3 {
            let (local, barrier) = (local.clone(), &barrier);
            scope.spawn(move || {
                local.with(|_| ());
                drop(local);
                barrier.wait();
                barrier.wait();
            });
        }
        barrier.wait();
        assert_eq!(count.load(SeqCst), 3);
        let last = local.clone();
        drop(local);
        assert_eq!(count.load(SeqCst), 3);
        drop(last);
        assert_eq!(count.load(SeqCst), 0);
        barrier.wait();
    });
}

/// Threads end while the last handle is dropped: each value is dropped once, by one of them.
#[test]
fn cleared_while_threads_end() {
    for _ in 0..ROUNDS.min(300) {
        let (local, count) = counted();
        let barrier = Arc::new(Barrier::new(4));
        let threads: Vec<_> = (0..3)
            .map(|_| {
                let (local, barrier) = (local.clone(), Arc::clone(&barrier));
                thread::spawn(move || {
                    local.with(|_| ());
                    drop(local);
                    barrier.wait();
                })
            })
            .collect();
        barrier.wait();
        drop(local);
        threads
            .into_iter()
            .for_each(|thread| thread.join().unwrap());
        assert_eq!(count.load(SeqCst), 0);
    }
}

/// The list of a thread grows, and values of others come and go, while one is lent out.
#[test]
fn lent_while_others_come_and_go() {
    let outer = Local::new(|| RefCell::new(vec![1_u8]));
    outer.with(|lent| {
        let others: Vec<_> = (0..40).map(|n| Local::new(move || Cell::new(n))).collect();
        for (n, other) in others.iter().enumerate() {
            assert_eq!(other.with(Cell::get), n);
            lent.borrow_mut().push(2);
        }
        drop(others);
        in_a_thread(|| outer.with(|theirs| theirs.borrow_mut().push(3)));
        lent.borrow_mut().push(4);
    });
    let mine = outer.get().into_inner();
    assert_eq!((mine.len(), mine[0], mine[41]), (42, 1, 4));
}

/// A place is used again; what was left there is not found by its next owner.
#[test]
fn places_are_used_again() {
    for round in 0..ROUNDS {
        let local = Local::new(move || round);
        assert_eq!(local.get(), round);
        let other = Local::new(move || (round, "other"));
        assert_eq!(other.get(), (round, "other"));
    }
}

#[test]
fn initialiser_asks_for_itself() {
    static LOCAL: OnceLock<Local<(usize, Counted)>> = OnceLock::new();
    static CALLS: AtomicUsize = AtomicUsize::new(0);
    let count = Arc::new(AtomicUsize::new(0));
    let counts = Arc::clone(&count);
    let local = LOCAL.get_or_init(|| {
        Local::new(move || {
            let call = CALLS.fetch_add(1, SeqCst);
            if call < 3 {
                let inner = LOCAL.get().unwrap().with(|value| value.0);
                assert_eq!(inner, 3);
            }
            (call, Counted::new(&counts))
        })
    });
    assert_eq!(local.with(|value| value.0), 3);
    assert_eq!((CALLS.load(SeqCst), count.load(SeqCst)), (4, 1));
}

#[test]
fn initialiser_panics() {
    let calls = AtomicUsize::new(0);
    let local = Local::new(move || {
        assert!(calls.fetch_add(1, SeqCst) > 0, "not yet");
        7
    });
    let used = std::panic::AssertUnwindSafe(&local);
    let result = std::panic::catch_unwind(|| used.with(|_| ()));
    assert!(result.is_err());
    assert_eq!(local.get(), 7);
}

/// A value whose destructor uses another `Local`, and its own.
struct Busy {
    other: Local<Cell<usize>>,
    drops: Arc<AtomicUsize>,
}

static OWN: OnceLock<Local<Option<Busy>>> = OnceLock::new();

impl Drop for Busy {
    fn drop(&mut self) {
        self.other.with(|count| count.set(count.get() + 1));
        self.drops.fetch_add(1, SeqCst);
        // A new value, without a destructor that does this again.
        let own = OWN.get().expect("it was made");
        own.with(|value| assert!(value.is_none()));
    }
}

#[test]
fn destructors_use_locals() {
    let drops = Arc::new(AtomicUsize::new(0));
    let theirs = Arc::clone(&drops);
    let local = OWN.get_or_init(|| {
        Local::new(move || {
            (theirs.load(SeqCst) == 0).then(|| Busy {
                other: Local::new(|| Cell::new(5)),
                drops: Arc::clone(&theirs),
            })
        })
    });
    let theirs = local.clone();
    thread::spawn(move || theirs.with(|value| assert!(value.is_some())))
        .join()
        .unwrap();
    assert_eq!(drops.load(SeqCst), 1);
}

/// Everybody makes, uses and drops locals, and threads come and go.
#[test]
fn storm() {
    let rounds = ROUNDS / 10;
    let count = Arc::new(AtomicUsize::new(0));
    let shared: Vec<_> = (0..4)
        .map(|_| {
            let count = Arc::clone(&count);
            Local::new(move || (Counted::new(&count), Cell::new(0)))
        })
        .collect();
    let everybody: Vec<_> = (0..3)
        .map(|_| {
            let (shared, count) = (shared.clone(), Arc::clone(&count));
            thread::spawn(move || {
                for round in 1..=rounds {
                    let mine = Arc::clone(&count);
                    let own = Local::new(move || Counted::new(&mine));
                    own.with(|_| ());
                    let theirs = own.clone();
                    in_a_thread(|| theirs.with(|_| ()));
                    for local in &shared {
                        local.with(|(_, number)| number.set(number.get() + 1));
                        assert_eq!(local.with(|(_, number)| number.get()), round);
                    }
                }
            })
        })
        .collect();
    // The end of a scope would not wait for the destructors of its threads.
    everybody
        .into_iter()
        .for_each(|thread| thread.join().unwrap());
    drop(shared);
    assert_eq!(count.load(SeqCst), 0);
}
