//! Events: a flag that many wait for.

use crate::kit::start;
use crate::runner::{Case, Gate, RemoteGate, both_homes, case, scaled};
use crate::sleepers::{Bed, RemoteBed, sleeper, sleepers};
use crate::ways::{each, run_by};
use multiproc::sync::{self, Home};
use multiproc::{Event, arena};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

pub(crate) fn tests() -> Vec<Case> {
    let mut cases = both_homes! {
        "event::verbs" => verbs,
        "event::wakes_all" => wakes_all,
        "event::timeouts" => timeouts,
        "event::set_and_cleared_at_once" => at_once,
        "event::times_add_up" => add_up,
        "event::to_and_fro" => to_and_fro,
    };
    cases.extend([
        case("event::set_by_a_child", set_by_a_child),
        case("event::children_wait", children_wait),
        case("event::set_in_a_signal_handler", in_a_handler),
    ]);
    cases
}

fn verbs<H: Home>() {
    let before = arena::usage().unwrap();
    let event = sync::Event::<H>::new().unwrap();
    let other = event.clone();
    assert!(!event.is_set());
    assert!(format!("{event:?}").contains("is_set: false"), "{event:?}");
    event.set().unwrap();
    assert!(event.is_set() && other.is_set());
    assert!(format!("{other:?}").contains("is_set: true"), "{other:?}");
    // Twice is once.
    other.set().unwrap();
    event.wait().unwrap();
    assert!(event.is_set(), "to wait takes nothing away");
    assert!(event.wait_timeout(Duration::ZERO).unwrap());
    assert!(other.wait_timeout(Duration::MAX).unwrap());
    event.clear().unwrap();
    assert!(!event.is_set() && !other.is_set());
    event.clear().unwrap();
    assert!(!event.is_set());
    assert!(!event.wait_timeout(Duration::ZERO).unwrap());
    event.set().unwrap();
    drop(event);
    assert!(other.is_set(), "one handle less");
    drop(other);
    assert_eq!(arena::usage().unwrap(), before);
    assert!(!sync::Event::<H>::new().unwrap().is_set(), "a new one");
}

fn wakes_all<H: Home>() {
    let event = sync::Event::<H>::new().unwrap();
    let woken = AtomicUsize::new(0);
    for _ in 0..3 {
        std::thread::scope(|scope| {
            let waiters = sleepers(scope, 5, || {
                event.wait().unwrap();
                assert!(event.wait_timeout(Duration::MAX).unwrap());
                woken.fetch_add(1, SeqCst);
            });
            assert_eq!(woken.load(SeqCst), 0);
            event.set().unwrap();
            waiters.into_iter().for_each(|it| it.join().unwrap());
        });
        assert_eq!(woken.swap(0, SeqCst), 5);
        event.clear().unwrap();
    }
}

fn timeouts<H: Home>() {
    let event = sync::Event::<H>::new().unwrap();
    std::thread::scope(|scope| {
        for _ in 0..5 {
            scope.spawn(|| {
                for time in [0, 1, 70] {
                    let (time, before) = (Duration::from_millis(time), Instant::now());
                    assert!(!event.wait_timeout(time).unwrap());
                    assert!(before.elapsed() >= time, "too early");
                }
            });
        }
    });
    std::thread::scope(|scope| {
        let waiter = sleeper(scope, || event.wait_timeout(Duration::MAX).unwrap());
        event.set().unwrap();
        assert!(waiter.join().unwrap());
    });
}

/// The flag stands for no time, and yet all who waited go on.
fn at_once<H: Home>() {
    let event = sync::Event::<H>::new().unwrap();
    for round in 0..scaled(50) {
        std::thread::scope(|scope| {
            let patient = sleepers(scope, 3, || event.wait().unwrap());
            let timed = sleeper(scope, || {
                event.wait_timeout(Duration::from_secs(3600)).unwrap()
            });
            event.set().unwrap();
            event.clear().unwrap();
            patient.into_iter().for_each(|it| it.join().unwrap());
            assert!(timed.join().unwrap(), "in round {round}");
        });
        assert!(!event.is_set());
        assert!(
            !event.wait_timeout(Duration::ZERO).unwrap(),
            "nothing is left"
        );
    }
}

/// Who comes after it was cleared waits for the next time, whatever was before.
fn add_up<H: Home>() {
    let event = sync::Event::<H>::new().unwrap();
    for _ in 0..1000 {
        event.set().unwrap();
        event.clear().unwrap();
    }
    std::thread::scope(|scope| {
        let waiter = sleeper(scope, || event.wait().unwrap());
        assert!(!waiter.is_finished());
        event.clear().unwrap();
        assert!(!event.wait_timeout(Duration::from_millis(60)).unwrap());
        assert!(!waiter.is_finished(), "to clear wakes nobody");
        event.set().unwrap();
        waiter.join().unwrap();
    });
}

/// Each waits for the other's flag: one that is lost ends the test by its deadline.
fn to_and_fro<H: Home>() {
    let (to, fro) = (
        sync::Event::<H>::new().unwrap(),
        sync::Event::<H>::new().unwrap(),
    );
    let rounds = scaled(20_000);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..rounds {
                to.wait().unwrap();
                to.clear().unwrap();
                fro.set().unwrap();
            }
        });
        for _ in 0..rounds {
            to.set().unwrap();
            fro.wait().unwrap();
            fro.clear().unwrap();
        }
    });
    assert!(!to.is_set() && !fro.is_set());
}

fn set_by_a_child() {
    each(|way| {
        let event = Event::new().unwrap();
        assert!(!event.wait_timeout(Duration::ZERO).unwrap());
        let child = crate::ways::start_by(way, |it: Event| it.set().unwrap(), (event.clone(),));
        event.wait().unwrap();
        assert!(event.is_set());
        crate::ways::fine(&child);
        let clears = |event: Event| {
            assert!(event.is_set());
            event.clear().unwrap();
        };
        run_by(way, clears, (event.clone(),));
        assert!(!event.is_set());
    });
}

/// Set and cleared at once for sleepers in other processes.
fn children_wait() {
    let (event, bed) = (Event::new().unwrap(), Bed::new());
    let body = |event: Event, bed: RemoteBed| {
        bed.lie_down();
        assert!(event.wait_timeout(Duration::from_secs(3600)).unwrap());
    };
    for _ in 0..3 {
        let waiters = [(); 3].map(|()| {
            let process = start(body, (event.clone(), bed.remote()));
            bed.is_slept_in();
            process
        });
        event.set().unwrap();
        event.clear().unwrap();
        for waiter in waiters {
            assert_eq!(waiter.join().unwrap(), 0, "{:?}", waiter.panic());
        }
        assert!(!event.is_set());
    }
}

static STOP: std::sync::OnceLock<Event> = std::sync::OnceLock::new();

extern "C" fn sets(_signal: i32) {
    if let Some(event) = STOP.get() {
        let _gone = event.set();
    }
}

/// A handler that comes in the middle of a wait, or of another `set`.
fn in_a_handler() {
    let (event, here, bed) = (Event::new().unwrap(), Gate::new(), Bed::new());
    let body = |event: Event, here: RemoteGate, bed: RemoteBed| {
        use nix::sys::signal::{SigHandler, Signal, signal};
        event.clear().unwrap();
        assert!(STOP.set(event.clone()).is_ok());
        #[expect(unsafe_code, reason = "a handler is the test")]
        // SAFETY: the handler calls `Event::set` only, because that is allowed in one.
        unsafe { signal(Signal::SIGUSR1, SigHandler::Handler(sets)) }.unwrap();
        bed.lie_down();
        event.wait().unwrap();
        here.open(1);
        // Over and over in the middle of the same operation.
        loop {
            event.set().unwrap();
            event.clear().unwrap();
        }
    };
    let child = start(body, (event.clone(), here.remote(), bed.remote()));
    bed.is_slept_in();
    let pid = crate::kit::pid_of(&child);
    let strike = || nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGUSR1).unwrap();
    strike();
    here.wait();
    for _ in 0..scaled(1000) {
        strike();
        // It is still alive and at work.
        while !event.is_set() {
            std::thread::yield_now();
        }
    }
    child.kill().unwrap();
    assert_eq!(child.join().unwrap(), -9);
    event.set().unwrap();
    assert!(event.is_set());
}
