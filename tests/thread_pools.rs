//! Pools of threads, with everything at once: what Miri and ThreadSanitizer look at. An ordinary test as well.

use multiproc::{ErrorKind, ThreadPool};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;

/// Miri takes its time.
const ROUNDS: u32 = if cfg!(miri) { 3 } else { 300 };

fn next(number: u32) -> u32 {
    number + 1
}

#[test]
fn every_verb() {
    let pool = ThreadPool::new(2).unwrap();
    let boxed = Box::new(5);
    for round in 0..ROUNDS {
        assert_eq!(pool.apply(next, (round,)).unwrap(), round + 1);
        let more = *boxed;
        let map = pool.map_chunked(move |n: Box<u32>| *n + more, [Box::new(1), Box::new(2)], 1);
        assert_eq!(map.unwrap(), [6, 7]);
        assert_eq!(pool.starmap(u32::max, [(1, 2), (4, 3)]).unwrap(), [2, 4]);
        let results = pool.imap(|n: u32| vec![n], 0..5).unwrap();
        let results: Result<Vec<_>, _> = results.collect();
        assert_eq!(results.unwrap().concat(), [0, 1, 2, 3, 4]);
        let results = pool.imap_unordered(|n: u32| Box::new(n), 0..5).unwrap();
        assert_eq!(results.map(|n| *n.unwrap()).sum::<u32>(), 10);
    }
    pool.close();
    pool.join().unwrap();
}

#[test]
fn given_by_many_and_closed() {
    for _ in 0..ROUNDS.min(50) {
        let pool = ThreadPool::new(2).unwrap();
        let (given, done) = (AtomicUsize::new(0), Arc::new(AtomicUsize::new(0)));
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    for _ in 0..ROUNDS {
                        let done = Arc::clone(&done);
                        match pool.apply_async(move || done.fetch_add(1, SeqCst), ()) {
                            Ok(result) => drop((result, given.fetch_add(1, SeqCst))),
                            Err(error) => assert_eq!(error.kind(), ErrorKind::Closed),
                        }
                    }
                });
            }
            pool.close();
        });
        pool.join().unwrap();
        assert_eq!(done.load(SeqCst), given.load(SeqCst));
    }
}

/// Counts how many of it there are.
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

#[test]
fn terminated_anywhere() {
    let count = Arc::new(AtomicUsize::new(0));
    for round in 0..ROUNDS {
        let pool = ThreadPool::new(2).unwrap();
        let theirs = Arc::clone(&count);
        let make = move || {
            theirs.fetch_add(1, SeqCst);
            Counted(Arc::clone(&theirs))
        };
        let items: Vec<_> = (0..20).map(|_| make()).collect();
        let map = pool.map_async(|item: Counted| item, items).unwrap();
        let again = make.clone();
        let items = std::iter::from_fn(move || Some(again()));
        let mut imap = pool.imap(|item: Counted| item, items).unwrap();
        let one = pool.apply_async(drop::<Counted>, (make(),)).unwrap();
        for _ in 0..round % 10 {
            assert!(imap.next().is_some_and(|result| result.is_ok()));
        }
        drop(pool);
        let outcome = |kind| assert_eq!(kind, ErrorKind::Terminated);
        drop(map.get().map_err(|error| outcome(error.kind())));
        one.get().unwrap_or_else(|error| outcome(error.kind()));
        assert!(imap.last().is_some_and(|result| result.is_err()));
        assert_eq!(count.load(SeqCst), 0, "round {round}");
    }
}
