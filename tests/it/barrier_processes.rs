//! Barriers whose parties are processes.

use crate::kit::{Numbers, RemoteNumbers, kind, start};
use crate::runner::{Case, Gate, RemoteGate, case, scaled};
use crate::sleepers::{Bed, RemoteBed};
use crate::ways::{each, fine, run_by, start_by};
use multiproc::{Barrier, ErrorKind};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

pub(crate) fn tests() -> Vec<Case> {
    vec![
        case("barrier_processes::thousand_rounds", thousand_rounds),
        case("barrier_processes::indices", indices),
        case("barrier_processes::action", action),
        case("barrier_processes::action_that_panics", action_panics),
        case("barrier_processes::abort_and_reset", abort_and_reset),
        case("barrier_processes::timeout_breaks_it_for_all", timeout),
        case(
            "barrier_processes::who_leaves_in_order_breaks_nothing",
            leaves_in_order,
        ),
    ]
}

/// Python's `test_thousand`: in every round all have come before anybody is in the next one.
fn thousand_rounds() {
    let (barrier, numbers) = (Barrier::new(5).unwrap(), Numbers::new());
    let body = |barrier: Barrier, numbers: RemoteNumbers, who: usize, rounds: u64| {
        let numbers = numbers.open();
        for round in 0..rounds {
            numbers.set(who, round);
            barrier.wait().unwrap();
            for other in 0..5 {
                let seen = numbers.get(other);
                assert!(
                    seen == round || seen == round + 1,
                    "{seen} in round {round}"
                );
            }
        }
    };
    let rounds = u64::from(scaled(1000));
    let parties =
        [0, 1, 2, 3, 4].map(|who| start(body, (barrier.clone(), numbers.remote(), who, rounds)));
    parties.iter().for_each(fine);
    assert_eq!((barrier.n_waiting(), barrier.broken()), (0, false));
}

fn indices() {
    each(|way| {
        let (barrier, numbers) = (Barrier::new(4).unwrap(), Numbers::new());
        let body = |barrier: Barrier, numbers: RemoteNumbers| {
            let index = barrier.wait().unwrap();
            numbers.open().add(index, 1);
        };
        let arguments = || (barrier.clone(), numbers.remote());
        let parties = [(); 3].map(|()| start_by(way, body, arguments()));
        let own = barrier.wait_timeout(Duration::MAX).unwrap();
        parties.iter().for_each(fine);
        numbers.add(own, 1);
        assert_eq!([0, 1, 2, 3].map(|index| numbers.get(index)), [1; 4]);
    });
}

/// Where the action of this process counts.
static COUNT: OnceLock<Numbers> = OnceLock::new();

fn counts() {
    COUNT.get().unwrap().add(0, 1);
}

fn panics_at_three() {
    counts();
    if COUNT.get().unwrap().get(0) == 3 {
        std::panic::resume_unwind(Box::new("on purpose"));
    }
}

fn counted(barrier: Barrier, between: Barrier, numbers: RemoteNumbers, rounds: u64) {
    assert!(COUNT.set(numbers.open()).is_ok());
    for round in 1..=rounds {
        barrier.wait().unwrap();
        assert_eq!(
            COUNT.get().unwrap().get(0),
            round,
            "once, before anybody goes on"
        );
        between.wait().unwrap();
    }
}

fn action() {
    let barrier = Barrier::builder(3).action(counts).build().unwrap();
    let (between, numbers) = (Barrier::new(3).unwrap(), Numbers::new());
    let arguments = (barrier.clone(), between.clone(), numbers.remote(), 100);
    let parties = crate::ways::WAYS.map(|way| start_by(way, counted, arguments.clone()));
    parties.iter().for_each(fine);
    assert_eq!(numbers.get(0), 100);
}

/// In one process the panic goes through, in the others the barrier is broken.
fn action_panics() {
    let barrier = Barrier::builder(3).action(panics_at_three).build().unwrap();
    let numbers = Numbers::new();
    let body = |barrier: Barrier, numbers: RemoteNumbers| {
        assert!(COUNT.set(numbers.open()).is_ok());
        loop {
            match catch_unwind(AssertUnwindSafe(|| barrier.wait())) {
                Err(_panic) => return 7,
                Ok(Err(error)) => {
                    assert_eq!(error.kind(), ErrorKind::BrokenBarrier);
                    return 8;
                }
                Ok(Ok(_index)) => {}
            }
        }
    };
    let body = move |barrier: Barrier, numbers: RemoteNumbers, ends: RemoteNumbers| {
        let end = body(barrier, numbers);
        ends.open().set(end, 1);
    };
    let ends = Numbers::new();
    let arguments = || (barrier.clone(), numbers.remote(), ends.remote());
    let parties = [(); 3].map(|()| start(body, arguments()));
    parties.iter().for_each(fine);
    assert_eq!((numbers.get(0), ends.get(7), ends.get(8)), (3, 1, 1));
    assert!(barrier.broken());
}

fn hears(barrier: Barrier, bed: RemoteBed) {
    bed.lie_down();
    assert_eq!(kind(barrier.wait()), ErrorKind::BrokenBarrier);
}

fn abort_and_reset() {
    let (barrier, bed) = (Barrier::new(4).unwrap(), Bed::new());
    let aborts = |barrier: Barrier| barrier.abort().unwrap();
    let resets = |barrier: Barrier| {
        assert_eq!(barrier.n_waiting(), 2);
        barrier.reset().unwrap();
    };
    let waiters = || {
        [(); 2].map(|()| {
            let process = start(hears, (barrier.clone(), bed.remote()));
            bed.is_slept_in();
            process
        })
    };
    each(|way| {
        let waiting = waiters();
        assert_eq!((barrier.n_waiting(), barrier.broken()), (2, false));
        run_by(way, aborts, (barrier.clone(),));
        waiting.iter().for_each(fine);
        assert!(barrier.broken());
        assert_eq!(kind(barrier.wait()), ErrorKind::BrokenBarrier);
        barrier.reset().unwrap();
        let waiting = waiters();
        run_by(way, resets, (barrier.clone(),));
        waiting.iter().for_each(fine);
        assert_eq!((barrier.n_waiting(), barrier.broken()), (0, false));
    });
    let comes = |barrier: Barrier| assert!(barrier.wait().unwrap() < 4);
    let parties = [(); 4].map(|()| start(comes, (barrier.clone(),)));
    parties.iter().for_each(fine);
}

fn timeout() {
    let time = Duration::from_millis(60);
    let barrier = Barrier::builder(4).timeout(time).build().unwrap();
    let bed = Bed::new();
    let waits = |barrier: Barrier, bed: RemoteBed| {
        bed.lie_down();
        assert_eq!(
            kind(barrier.wait_timeout(Duration::MAX)),
            ErrorKind::BrokenBarrier
        );
    };
    let patient = start(waits, (barrier.clone(), bed.remote()));
    bed.is_slept_in();
    // The time of the barrier has travelled with it.
    let late = |barrier: Barrier| {
        let before = Instant::now();
        assert_eq!(kind(barrier.wait()), ErrorKind::BrokenBarrier);
        assert!(before.elapsed() >= Duration::from_millis(60), "too early");
    };
    fine(&start(late, (barrier.clone(),)));
    fine(&patient);
    assert!(barrier.broken());
}

/// A process that ends well before its turn was no party: others can take its part.
fn leaves_in_order() {
    each(|way| {
        let (barrier, bed, gate) = (Barrier::new(3).unwrap(), Bed::new(), Gate::new());
        let comes = |barrier: Barrier, bed: RemoteBed| {
            bed.lie_down();
            assert!(barrier.wait().unwrap() < 3);
        };
        let leaves = |barrier: Barrier, gate: RemoteGate| {
            gate.wait();
            drop(barrier);
        };
        let keeps = |_barrier: Barrier, gate: RemoteGate| gate.wait();
        let leaving = start_by(way, leaves, (barrier.clone(), gate.remote()));
        let keeping = start_by(way, keeps, (barrier.clone(), gate.remote()));
        let party = start_by(way, comes, (barrier.clone(), bed.remote()));
        bed.is_slept_in();
        gate.open(2);
        fine(&leaving);
        fine(&keeping);
        assert_eq!((barrier.n_waiting(), barrier.broken()), (1, false));
        let other = start_by(way, comes, (barrier.clone(), bed.remote()));
        bed.is_slept_in();
        assert_eq!(barrier.wait().unwrap(), 2);
        fine(&party);
        fine(&other);
    });
}
