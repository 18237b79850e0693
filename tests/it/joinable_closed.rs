//! A joinable queue that is closed while items are on lease: whoever gets more waits for what may come back, and not for himself.

use crate::kit::{kill_and_join, start};
use crate::runner::{Case, Gate, RemoteGate, case};
use crate::sleepers::sleeper;
use crate::ways::fine;
use multiproc::{GetError, JoinableQueue, Leased, TryGetError, arena};
use std::time::Duration;

pub(crate) fn tests() -> Vec<Case> {
    vec![
        case("joinable_closed::something_may_come_back", closed),
        case("joinable_closed::all_is_done", closed_and_done),
        case("joinable_closed::own_ones_keep_nobody_waiting", own_leases),
        case("joinable_closed::two_who_get_more", two_who_get_more),
        case("joinable_closed::put_back_and_closed", back_and_closed),
    ]
}

/// Takes one, says so, and when it may go on finishes it or gives it up.
fn holds(queue: JoinableQueue<u32>, here: RemoteGate, there: RemoteGate, finishes: bool) {
    let item = queue.get().unwrap();
    crate::kit::say_and_wait(here, there);
    if finishes {
        item.task_done();
    }
}

/// What another has on lease may come back: whoever gets waits for that, also when nothing more is put.
fn closed() {
    let (queue, here, there) = (JoinableQueue::new().unwrap(), Gate::new(), Gate::new());
    for kills in [false, true] {
        let queue = if kills {
            queue.clone()
        } else {
            JoinableQueue::new().unwrap()
        };
        queue.put(7).unwrap();
        let arguments = (queue.clone(), here.remote(), there.remote(), false);
        let process = start(holds, arguments);
        here.wait();
        queue.close();
        assert!(matches!(queue.try_get(), Err(TryGetError::Empty)));
        std::thread::scope(|scope| {
            let gets = sleeper(scope, || queue.get().unwrap().task_done());
            if kills {
                kill_and_join(&process);
            } else {
                there.open(1);
            }
            assert_eq!(gets.join().unwrap(), 7);
        });
        assert!(matches!(queue.get(), Err(GetError::Closed)));
        process.join().unwrap();
    }
}

fn closed_and_done() {
    let (queue, here, there) = (JoinableQueue::new().unwrap(), Gate::new(), Gate::new());
    queue.put_many([7, 8]).unwrap();
    let arguments = || (queue.clone(), here.remote(), there.remote(), true);
    let processes = [(); 2].map(|()| start(holds, arguments()));
    (0..2).for_each(|_| here.wait());
    queue.close();
    std::thread::scope(|scope| {
        let gets = sleeper(scope, || matches!(queue.get(), Err(GetError::Closed)));
        let iterates = sleeper(scope, || queue.iter().next().is_none());
        there.open(1);
        there.open(1);
        assert!(gets.join().unwrap() && iterates.join().unwrap());
    });
    queue.join().unwrap();
    processes.iter().for_each(fine);
}

/// Or who gets until the end, and finishes all at once, would wait for itself.
fn own_leases() {
    let queue = JoinableQueue::new().unwrap();
    queue.put_many(0..5).unwrap();
    queue.close();
    let all: Vec<Leased<u32>> = queue.iter().map(Result::unwrap).collect();
    assert_eq!(all.len(), 5);
    assert!(matches!(queue.get(), Err(GetError::Closed)));
    for item in all {
        item.task_done();
    }
    queue.join().unwrap();
}

/// Neither can finish before it was told that there is nothing more, and neither waits for the other.
fn two_who_get_more() {
    let (queue, here, there) = (JoinableQueue::new().unwrap(), Gate::new(), Gate::new());
    let takes = |queue: JoinableQueue<u32>, here: RemoteGate, there: RemoteGate| {
        let item = queue.get().unwrap();
        crate::kit::say_and_wait(here, there);
        assert!(matches!(queue.get(), Err(GetError::Closed)));
        // Nor does another thread of it wait.
        std::thread::scope(|scope| {
            let closed = || matches!(queue.get(), Err(GetError::Closed));
            assert!(scope.spawn(closed).join().unwrap());
        });
        item.task_done();
    };
    queue.put_many([7, 8]).unwrap();
    let arguments = || (queue.clone(), here.remote(), there.remote());
    let processes = [(); 2].map(|()| start(takes, arguments()));
    (0..2).for_each(|_| here.wait());
    queue.close();
    there.open(2);
    queue.join().unwrap();
    processes.iter().for_each(fine);
    assert_eq!(queue.failed(), 0);
}

/// What was put back is not in the queue, and not lost: a queue that looks empty and is closed still gives it, until it is shut at once.
fn back_and_closed() {
    let before = arena::usage().unwrap();
    for immediate in [false, true] {
        let queue = JoinableQueue::new().unwrap();
        queue.put_many((0..5).map(|n| vec![n; 5000])).unwrap();
        drop([(); 3].map(|()| queue.get().unwrap()));
        let _kept = queue.get().unwrap();
        let _kept = queue.get().unwrap();
        assert_eq!((queue.len(), queue.unfinished()), (2, 5));
        queue.close();
        assert!(!queue.join_timeout(Duration::from_millis(1)).unwrap());
        if immediate {
            queue.shutdown(true);
            assert!(queue.iter().next().is_none());
        } else {
            let rest: Vec<_> = queue.iter().map(Result::unwrap).collect();
            assert_eq!(rest.len(), 3);
            drop(rest);
            let again = (0..3).map(|_| queue.get().unwrap().task_done().len());
            assert!(again.eq([5000; 3]));
            assert!(!queue.join_timeout(Duration::from_millis(1)).unwrap());
        }
        if immediate {
            queue.join().unwrap();
        }
    }
    assert_eq!(arena::usage().unwrap(), before);
}
