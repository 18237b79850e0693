//! Joins and timers under signals: what is waited for ends a wait, and no signal does. (Locks: `struck`.)

use crate::runner::{Case, case};
use crate::struck::{ends_by, lasts, while_struck};
use multiproc::threading::{Event, Thread, Timer};
use std::time::Duration;

pub(crate) fn tests() -> Vec<Case> {
    vec![
        case("thread_signals::timed_waits", timed_waits),
        case("thread_signals::patient_waits", patient_waits),
    ]
}

fn waiter() -> (Event, Thread) {
    let event = Event::new().unwrap();
    let waits = event.clone();
    let thread = Thread::builder(move || waits.wait().unwrap());
    (event, thread.start().unwrap())
}

/// Signals come more often than the time is long, and threads are started meanwhile.
fn timed_waits() {
    let time = Duration::from_millis(70);
    let (event, thread) = waiter();
    while_struck(|| {
        lasts(|| !thread.join_timeout(time).unwrap());
        lasts(|| {
            let timer = Timer::new(time, || ());
            timer.start().unwrap();
            timer.join().is_ok()
        });
    });
    event.set().unwrap();
    thread.join().unwrap();
}

fn patient_waits() {
    let (event, thread) = waiter();
    ends_by(|| thread.join().unwrap(), || event.set().unwrap());
    let timer = Timer::new(Duration::MAX, || unreachable!("for ever is over"));
    timer.start().unwrap();
    ends_by(|| timer.join().unwrap(), || assert!(timer.cancel()));
}
