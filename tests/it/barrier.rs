//! Barriers: parties that go on together, round after round.

use crate::kit::{elsewhere, kind};
use crate::runner::{Case, both_homes, case, scaled};
use crate::sleepers::{sleeper, sleepers};
use multiproc::sync::{self, AcrossProcesses, Home, WithinProcess};
use multiproc::{ErrorKind, arena};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

pub(crate) fn tests() -> Vec<Case> {
    let mut cases = both_homes! {
        "barrier::new_ones" => new_ones,
        "barrier::lockstep" => lockstep,
        "barrier::indices" => indices,
        "barrier::one_party" => one_party,
        "barrier::action" => action,
        "barrier::action_that_panics" => action_panics,
        "barrier::party_that_panics" => party_panics,
        "barrier::abort" => abort,
        "barrier::reset" => reset,
        "barrier::abort_and_reset" => abort_and_reset,
        "barrier::timeout_breaks_it_for_all" => timeout,
        "barrier::default_timeout" => default_timeout,
        "barrier::shown" => shown,
        "barrier::more_threads_than_parties" => more_threads,
        "barrier::broken_again_and_again" => again_and_again,
        "barrier::dropped" => dropped,
    };
    cases.extend([case("barrier::action_that_aborts", action_aborts)]);
    cases
}

/// Both homes have actions, but not of the same kind.
trait Acts: Home {
    fn acts(builder: sync::BarrierBuilder<Self>) -> sync::BarrierBuilder<Self>
    where
        Self: Sized;
}

/// How often the action of [`Acts`] has run; it panics at the third time.
static ACTED: AtomicUsize = AtomicUsize::new(0);
static FATAL: AtomicUsize = AtomicUsize::new(usize::MAX);

fn acts() {
    if ACTED.fetch_add(1, SeqCst) == FATAL.load(SeqCst) {
        std::panic::resume_unwind(Box::new("on purpose"));
    }
}

impl Acts for AcrossProcesses {
    fn acts(builder: sync::BarrierBuilder<Self>) -> sync::BarrierBuilder<Self> {
        builder.action(acts)
    }
}

impl Acts for WithinProcess {
    fn acts(builder: sync::BarrierBuilder<Self>) -> sync::BarrierBuilder<Self> {
        let here = ACTED.load(SeqCst);
        builder.action(move || {
            assert!(ACTED.load(SeqCst) >= here, "it may capture");
            acts();
        })
    }
}

/// It is broken, and says so.
#[track_caller]
fn is_broken<H: Home>(barrier: &sync::Barrier<H>) {
    assert!(barrier.broken());
    assert_eq!(barrier.n_waiting(), 0);
    let forever = [None, Some(Duration::MAX), Some(Duration::ZERO)];
    for time in forever {
        let waited = time.map_or_else(|| barrier.wait(), |time| barrier.wait_timeout(time));
        assert_eq!(kind(waited), ErrorKind::BrokenBarrier);
    }
}

/// All parties come, and go on.
fn works<H: Home>(barrier: &sync::Barrier<H>) {
    assert!(!barrier.broken());
    std::thread::scope(|scope| {
        for _ in 0..barrier.parties() {
            scope.spawn(|| barrier.wait().unwrap());
        }
    });
    assert_eq!((barrier.n_waiting(), barrier.broken()), (0, false));
}

fn new_ones<H: Home>() {
    let most = (1 << 20) - 1;
    for parties in [1, 2, 5, most] {
        let barrier = sync::Barrier::<H>::new(parties).unwrap();
        assert_eq!((barrier.parties(), barrier.n_waiting()), (parties, 0));
        assert!(!barrier.broken());
        let same = barrier.clone();
        same.abort().unwrap();
        assert!(barrier.broken());
    }
    for parties in [0, most + 1, u32::MAX] {
        let none = sync::Barrier::<H>::new(parties);
        assert_eq!(kind(none), ErrorKind::InvalidInput);
        let none = sync::Barrier::<H>::builder(parties)
            .timeout(Duration::ZERO)
            .build();
        assert_eq!(kind(none), ErrorKind::InvalidInput);
    }
}

/// Nobody is in a round that not all have come to.
fn lockstep<H: Home>() {
    let (parties, rounds) = (5, scaled(200) as usize);
    let barrier = sync::Barrier::<H>::new(5).unwrap();
    let arrived = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..parties {
            scope.spawn(|| {
                for round in 0..rounds {
                    arrived.fetch_add(1, SeqCst);
                    barrier.wait().unwrap();
                    let seen = arrived.load(SeqCst);
                    assert!(seen >= (round + 1) * parties, "{seen} in round {round}");
                    barrier.wait().unwrap();
                    let seen = arrived.load(SeqCst);
                    assert!(seen <= (round + 2) * parties, "{seen} in round {round}");
                    assert!(!barrier.broken());
                }
            });
        }
    });
    assert_eq!(arrived.load(SeqCst), rounds * parties);
    assert_eq!(barrier.n_waiting(), 0);
}

fn indices<H: Home>() {
    let barrier = sync::Barrier::<H>::new(5).unwrap();
    for _ in 0..20 {
        let mut indices = std::thread::scope(|scope| {
            let threads = [(); 5].map(|()| scope.spawn(|| barrier.wait().unwrap()));
            threads.map(|thread| thread.join().unwrap())
        });
        indices.sort_unstable();
        assert_eq!(indices, [0, 1, 2, 3, 4]);
    }
}

fn one_party<H: Home>() {
    let barrier = sync::Barrier::<H>::new(1).unwrap();
    for _ in 0..1000 {
        assert_eq!(barrier.wait().unwrap(), 0);
        assert_eq!(barrier.wait_timeout(Duration::ZERO).unwrap(), 0);
    }
    assert_eq!((barrier.n_waiting(), barrier.broken()), (0, false));
}

fn action<H: Acts>() {
    let barrier = H::acts(sync::Barrier::builder(5)).build().unwrap();
    let plain = sync::Barrier::<H>::new(5).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..5 {
            scope.spawn(|| {
                for round in 1..=50 {
                    barrier.wait().unwrap();
                    assert_eq!(ACTED.load(SeqCst), round, "once, before anybody goes on");
                    plain.wait().unwrap();
                }
            });
        }
    });
    assert_eq!(ACTED.load(SeqCst), 50);
}

fn action_panics<H: Acts>() {
    let barrier = H::acts(sync::Barrier::builder(3)).build().unwrap();
    FATAL.store(1, SeqCst);
    works(&barrier);
    let wait = || {
        catch_unwind(AssertUnwindSafe(|| {
            barrier.wait().map_err(|error| error.kind())
        }))
    };
    std::thread::scope(|scope| {
        let waiters = sleepers(scope, 2, wait);
        assert!(wait().is_err(), "the panic goes to whom the action ran on");
        for waiter in waiters {
            let end = waiter.join().unwrap().unwrap();
            assert_eq!(end, Err(ErrorKind::BrokenBarrier));
        }
    });
    is_broken(&barrier);
    assert_eq!(ACTED.load(SeqCst), 2);
    barrier.reset().unwrap();
    works(&barrier);
    assert_eq!(ACTED.load(SeqCst), 3);
}

/// Then nobody is let go, not even the one on which it ran; the next round asks the action again.
fn action_aborts() {
    type Barrier = multiproc::threading::Barrier;
    let place = std::sync::Arc::new(std::sync::OnceLock::<Barrier>::new());
    let itself = std::sync::Arc::downgrade(&place);
    let action = move || {
        if ACTED.fetch_add(1, SeqCst) == 0 {
            itself.upgrade().unwrap().get().unwrap().abort().unwrap();
        }
    };
    let barrier = Barrier::builder(3).action(action).build().unwrap();
    place.set(barrier.clone()).unwrap();
    std::thread::scope(|scope| {
        let waiters = sleepers(scope, 2, || kind(barrier.wait()));
        assert_eq!(kind(barrier.wait()), ErrorKind::BrokenBarrier);
        for waiter in waiters {
            assert_eq!(waiter.join().unwrap(), ErrorKind::BrokenBarrier);
        }
    });
    is_broken(&barrier);
    barrier.reset().unwrap();
    works(&barrier);
    assert_eq!(ACTED.load(SeqCst), 2);
}

/// Who panics with a handle will not come: who waits need not wait any more. A round that nobody has come to is not broken.
fn party_panics<H: Home>() {
    let barrier = sync::Barrier::<H>::new(3).unwrap();
    let panics = || {
        let _handle = barrier.clone();
        std::panic::resume_unwind(Box::new("on purpose"));
    };
    assert!(catch_unwind(AssertUnwindSafe(panics)).is_err());
    works(&barrier);
    std::thread::scope(|scope| {
        let waiters = sleepers(scope, 2, || kind(barrier.wait()));
        assert!(catch_unwind(AssertUnwindSafe(panics)).is_err());
        for waiter in waiters {
            assert_eq!(waiter.join().unwrap(), ErrorKind::BrokenBarrier);
        }
    });
    is_broken(&barrier);
    barrier.reset().unwrap();
    works(&barrier);
}

fn abort<H: Home>() {
    let barrier = sync::Barrier::<H>::new(4).unwrap();
    std::thread::scope(|scope| {
        let waiters = sleepers(scope, 3, || kind(barrier.wait()));
        assert_eq!((barrier.n_waiting(), barrier.broken()), (3, false));
        barrier.abort().unwrap();
        for waiter in waiters {
            assert_eq!(waiter.join().unwrap(), ErrorKind::BrokenBarrier);
        }
    });
    is_broken(&barrier);
    barrier.abort().unwrap();
    is_broken(&barrier);
    elsewhere(|| is_broken(&barrier.clone()));
}

fn reset<H: Home>() {
    let barrier = sync::Barrier::<H>::new(4).unwrap();
    works(&barrier);
    std::thread::scope(|scope| {
        let waiters = sleepers(scope, 3, || kind(barrier.wait()));
        barrier.reset().unwrap();
        for waiter in waiters {
            assert_eq!(waiter.join().unwrap(), ErrorKind::BrokenBarrier);
        }
    });
    // It is as new, without any of those who waited.
    assert_eq!((barrier.n_waiting(), barrier.broken()), (0, false));
    works(&barrier);
    barrier.reset().unwrap();
    works(&barrier);
}

fn abort_and_reset<H: Home>() {
    let barrier = sync::Barrier::<H>::new(3).unwrap();
    for _ in 0..20 {
        std::thread::scope(|scope| {
            let waiters = sleepers(scope, 2, || kind(barrier.wait()));
            barrier.abort().unwrap();
            // At once: those who waited learn all the same that their round was broken.
            barrier.reset().unwrap();
            for waiter in waiters {
                assert_eq!(waiter.join().unwrap(), ErrorKind::BrokenBarrier);
            }
        });
        works(&barrier);
    }
}

fn timeout<H: Home>() {
    let barrier = sync::Barrier::<H>::new(4).unwrap();
    for time in [Duration::ZERO, Duration::from_millis(60)] {
        std::thread::scope(|scope| {
            let waiters = sleepers(scope, 2, || kind(barrier.wait_timeout(Duration::MAX)));
            let before = Instant::now();
            assert_eq!(kind(barrier.wait_timeout(time)), ErrorKind::BrokenBarrier);
            assert!(before.elapsed() >= time, "too early");
            for waiter in waiters {
                assert_eq!(waiter.join().unwrap(), ErrorKind::BrokenBarrier);
            }
        });
        is_broken(&barrier);
        barrier.reset().unwrap();
        works(&barrier);
    }
}

fn default_timeout<H: Home>() {
    let time = Duration::from_millis(60);
    let barrier = sync::Barrier::<H>::builder(3)
        .timeout(time)
        .build()
        .unwrap();
    std::thread::scope(|scope| {
        let waiters = [(); 2].map(|()| {
            scope.spawn(|| {
                let before = Instant::now();
                assert_eq!(kind(barrier.wait()), ErrorKind::BrokenBarrier);
                before.elapsed()
            })
        });
        let elapsed = waiters.map(|waiter| waiter.join().unwrap());
        assert!(
            elapsed.iter().any(|elapsed| *elapsed >= time),
            "too early: {elapsed:?}"
        );
    });
    is_broken(&barrier);
    barrier.reset().unwrap();
    // What is said at the wait comes first.
    std::thread::scope(|scope| {
        let waiters = sleepers(scope, 2, || barrier.wait_timeout(Duration::MAX).unwrap());
        assert_eq!(barrier.wait_timeout(Duration::MAX).unwrap(), 2);
        waiters
            .into_iter()
            .for_each(|it| assert!(it.join().unwrap() < 2));
    });
    let patient = sync::Barrier::<H>::builder(2)
        .timeout(Duration::MAX)
        .build()
        .unwrap();
    std::thread::scope(|scope| {
        let waiter = sleeper(scope, || patient.wait().unwrap());
        assert_eq!(patient.wait().unwrap() + waiter.join().unwrap(), 1);
    });
}

fn shown<H: Home>() {
    let barrier = sync::Barrier::<H>::new(3).unwrap();
    let shows = |parts: [&str; 3]| {
        let text = format!("{barrier:?}");
        assert!(parts.iter().all(|part| text.contains(part)), "{text}");
    };
    shows(["n_waiting: 0", "parties: 3", "broken: false"]);
    std::thread::scope(|scope| {
        let waiters = sleepers(scope, 2, || barrier.wait().unwrap());
        shows(["n_waiting: 2", "parties: 3", "broken: false"]);
        assert_eq!(barrier.wait().unwrap(), 2);
        waiters
            .into_iter()
            .for_each(|it| assert!(it.join().unwrap() < 2));
    });
    shows(["n_waiting: 0", "parties: 3", "broken: false"]);
    barrier.abort().unwrap();
    shows(["n_waiting: 0", "parties: 3", "broken: true"]);
}

/// Three at a time, whoever they are.
fn more_threads<H: Home>() {
    let barrier = sync::Barrier::<H>::new(3).unwrap();
    let (indices, rounds) = ([(); 3].map(|()| AtomicUsize::new(0)), scaled(500) as usize);
    let tickets = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..7 {
            scope.spawn(|| {
                while tickets.fetch_add(1, SeqCst) < 3 * rounds {
                    indices[barrier.wait().unwrap()].fetch_add(1, SeqCst);
                }
            });
        }
    });
    let indices = indices.map(AtomicUsize::into_inner);
    assert_eq!(indices, [rounds; 3]);
}

/// Who waits is told of each break, whatever comes after it.
fn again_and_again<H: Home>() {
    let barrier = sync::Barrier::<H>::new(2).unwrap();
    for round in 0..scaled(300) {
        std::thread::scope(|scope| {
            let waiter = sleeper(scope, || kind(barrier.wait()));
            if round % 2 == 0 {
                barrier.abort().unwrap();
                barrier.reset().unwrap();
            } else {
                barrier.reset().unwrap();
            }
            assert_eq!(
                waiter.join().unwrap(),
                ErrorKind::BrokenBarrier,
                "in round {round}"
            );
        });
        assert!(!barrier.broken());
    }
    works(&barrier);
}

fn dropped<H: Home>() {
    let before = arena::usage().unwrap();
    for _ in 0..100 {
        let barrier = sync::Barrier::<H>::new(2).unwrap();
        barrier.abort().unwrap();
        drop(barrier);
        let next = sync::Barrier::<H>::new(1).unwrap();
        assert!(!next.broken());
        assert_eq!(next.wait().unwrap(), 0);
    }
    assert_eq!(arena::usage().unwrap(), before);
}
