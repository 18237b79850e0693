//! Items on lease: whoever drops one, or ends with it, gives it back.

use crate::kit::{leave, pid_of, start};
use crate::runner::{Case, Gate, RemoteGate, case, scaled};
use crate::sleepers::sleeper;
use crate::ways::{each, fine, start_by};
use multiproc::{
    JoinableQueue, Leased, Process, Queue, StartMethod, TryGetError, TryPutError, arena,
};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::mem::ManuallyDrop;

pub(crate) fn tests() -> Vec<Case> {
    vec![
        case("joinable_leases::dropped_and_got_again", dropped),
        case("joinable_leases::put_back_before_the_others", before_others),
        case("joinable_leases::retries", retries),
        case("joinable_leases::put_back_for_ever", for_ever),
        case("joinable_leases::wake_who_waits", wake_waiters),
        case("joinable_leases::by_every_end_of_a_process", every_end),
        case(
            "joinable_leases::killed_while_the_parent_waits",
            parent_waits,
        ),
        case("joinable_leases::killed_and_not_reaped", not_reaped),
        case(
            "joinable_leases::failed_when_the_taker_dies",
            failed_by_death,
        ),
        case(
            "joinable_leases::put_back_into_a_full_queue",
            back_into_full,
        ),
        case("joinable_leases::outlive_their_handle", outlive),
        case("joinable_leases::done_by_another_thread", other_thread),
        case("joinable_leases::panic_in_a_thread", panic_in_a_thread),
        case("joinable_leases::copies_in_a_fork", copies_in_a_fork),
        case("joinable_leases::with_handles_inside", handles_inside),
        case("joinable_leases::many_dropped", many_dropped),
    ]
}

fn dropped() {
    let queue = JoinableQueue::new().unwrap();
    queue.put("again".to_owned()).unwrap();
    for attempt in 0..5 {
        let item = queue.get().unwrap();
        assert_eq!((item.as_str(), item.attempts()), ("again", attempt));
        assert!(matches!(queue.try_get(), Err(TryGetError::Empty)));
        drop(item);
        // It is unfinished, and does not lie in the queue.
        assert_eq!((queue.unfinished(), queue.failed()), (1, 0));
    }
    assert_eq!(queue.try_get().unwrap().task_done(), "again");
    assert!(matches!(queue.try_get(), Err(TryGetError::Empty)));
    queue.join().unwrap();
}

fn before_others() {
    let queue = JoinableQueue::new().unwrap();
    queue.put_many(0..10).unwrap();
    let taken = [(); 3].map(|()| queue.get().unwrap());
    let mut expected: Vec<u32> = taken.iter().map(|item| **item).collect();
    drop(taken);
    let mut again = [(); 3].map(|()| queue.get().unwrap().task_done());
    again.sort_unstable();
    expected.sort_unstable();
    assert_eq!(again.to_vec(), expected);
    for expected in 3..10 {
        assert_eq!(queue.get().unwrap().task_done(), expected);
    }
    queue.join().unwrap();
}

fn retries() {
    for retries in [0, 1, 3] {
        let queue = JoinableQueue::builder().retries(retries).build().unwrap();
        queue.put_many(["bad", "good"].map(str::to_owned)).unwrap();
        for attempt in 0..=retries {
            let item = queue.get().unwrap();
            assert_eq!((item.as_str(), item.attempts()), ("bad", attempt));
            assert_eq!((queue.failed(), queue.unfinished()), (0, 2));
        }
        assert_eq!(queue.get().unwrap().task_done(), "good");
        queue.join().unwrap();
        assert_eq!((queue.failed(), queue.unfinished()), (1, 0));
        assert!(matches!(queue.try_get(), Err(TryGetError::Empty)));
        // One that is done at last has not failed.
        queue.put("late".to_owned()).unwrap();
        (0..retries).for_each(|_| drop(queue.get().unwrap()));
        assert_eq!(queue.get().unwrap().task_done(), "late");
        queue.join().unwrap();
        assert_eq!(queue.failed(), 1);
    }
}

fn for_ever() {
    let queue = JoinableQueue::builder().maxsize(1).build().unwrap();
    queue.put(vec![1; 3000]).unwrap();
    for attempt in 0..scaled(500) {
        assert_eq!(queue.get().unwrap().attempts(), attempt);
    }
    assert_eq!(queue.get().unwrap().task_done(), vec![1; 3000]);
    assert_eq!(queue.failed(), 0);
}

fn wake_waiters() {
    let queue = JoinableQueue::new().unwrap();
    for _ in 0..scaled(20) {
        queue.put(7).unwrap();
        let item = queue.get().unwrap();
        std::thread::scope(|scope| {
            let gets = sleeper(scope, || queue.get().unwrap().task_done());
            let joins = sleeper(scope, || queue.join().unwrap());
            drop(item);
            assert_eq!(gets.join().unwrap(), 7);
            joins.join().unwrap();
        });
    }
}

type End = fn(Leased<u32>);

/// How a process can end without having done what it took.
const ENDS: [End; 6] = [
    |item| drop(item),
    |item| {
        let _kept = ManuallyDrop::new(item);
    },
    |_item| leave(0),
    |_item| {
        #[expect(clippy::disallowed_methods, reason = "how a process ends is the test")]
        std::process::exit(0)
    },
    |_item| panic!("on purpose"),
    |_item| std::process::abort(),
];

fn every_end() {
    let takes = |queue: JoinableQueue<u32>, end: usize| ENDS[end](queue.get().unwrap());
    each(|way| {
        let queue = JoinableQueue::new().unwrap();
        queue.put(7).unwrap();
        for end in 0..ENDS.len() {
            let process = start_by(way, takes, (queue.clone(), end));
            process.join().unwrap();
            assert_eq!((queue.unfinished(), queue.len()), (1, 0), "{way}: {end}");
        }
        let item = queue.try_get().unwrap();
        assert_eq!((*item, item.attempts()), (7, 6), "{way}");
        item.task_done();
        queue.join().unwrap();
    });
}

// ---- killed

fn takes_and_waits(queue: JoinableQueue<u32>, here: RemoteGate, pids: Queue<u32>) {
    let _item = queue.get().unwrap();
    pids.put(std::process::id()).unwrap();
    here.open(1);
    Gate::new().wait();
}

/// In `get`, and in `join` while another works.
fn parent_waits() {
    for _ in 0..scaled(5) {
        let (queue, here, pids) = (
            JoinableQueue::new().unwrap(),
            Gate::new(),
            Queue::new().unwrap(),
        );
        queue.put(7).unwrap();
        let arguments = (queue.clone(), here.remote(), pids.clone());
        let process = start(takes_and_waits, arguments);
        here.wait();
        std::thread::scope(|scope| {
            let gets = sleeper(scope, || queue.get().unwrap());
            let joins = sleeper(scope, || queue.join().unwrap());
            kill(pid_of(&process), Signal::SIGKILL).unwrap();
            let item = gets.join().unwrap();
            assert_eq!((*item, item.attempts()), (7, 1));
            assert!(!joins.is_finished());
            item.task_done();
            joins.join().unwrap();
        });
        assert_eq!(process.join().unwrap(), -9);
    }
}

/// Its parent lives, and has other things to do.
fn not_reaped() {
    let starts = |way: StartMethod,
                  queue: JoinableQueue<u32>,
                  gates: (RemoteGate, RemoteGate),
                  pids: Queue<u32>| {
        let grandchild = start_by(way, takes_and_waits, (queue, gates.0, pids));
        gates.1.wait();
        assert_eq!(grandchild.join().unwrap(), -9);
    };
    each(|way| {
        let (queue, pids) = (JoinableQueue::new().unwrap(), Queue::new().unwrap());
        let (here, there) = (Gate::new(), Gate::new());
        queue.put(7).unwrap();
        let gates = (here.remote(), there.remote());
        let child = start(starts, (way, queue.clone(), gates, pids.clone()));
        here.wait();
        let pid = pids.get().unwrap().cast_signed();
        std::thread::scope(|scope| {
            let gets = sleeper(scope, || queue.get().unwrap().task_done());
            kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
            assert_eq!(gets.join().unwrap(), 7, "{way}");
        });
        queue.join().unwrap();
        there.open(1);
        fine(&child);
    });
}

/// Nobody else takes: who joins finds out by itself.
fn failed_by_death() {
    for round in 0..scaled(5) {
        let queue = JoinableQueue::builder().retries(0).build().unwrap();
        let (here, pids) = (Gate::new(), Queue::new().unwrap());
        queue.put(round).unwrap();
        let arguments = (queue.clone(), here.remote(), pids.clone());
        let process = start(takes_and_waits, arguments);
        here.wait();
        std::thread::scope(|scope| {
            let joins = sleeper(scope, || queue.join().unwrap());
            kill(pid_of(&process), Signal::SIGKILL).unwrap();
            joins.join().unwrap();
        });
        assert_eq!((queue.failed(), queue.unfinished()), (1, 0));
        assert!(matches!(queue.try_get(), Err(TryGetError::Empty)));
        assert_eq!(process.join().unwrap(), -9);
    }
}

// ---- lives

/// It takes no place there, and nobody waits for one.
fn back_into_full() {
    let queue = JoinableQueue::with_maxsize(2).unwrap();
    queue.put_many([1, 2]).unwrap();
    let taken = [(); 2].map(|()| queue.get().unwrap());
    queue.put_many([3, 4]).unwrap();
    assert!(queue.is_full());
    drop(taken);
    assert_eq!((queue.len(), queue.unfinished()), (2, 4));
    assert!(matches!(queue.try_put(5), Err(TryPutError::Full(5))));
    let mut first = [(); 2].map(|()| queue.get().unwrap().task_done());
    first.sort_unstable();
    assert_eq!(first, [1, 2]);
    assert!(queue.is_full());
    assert_eq!(queue.get().unwrap().task_done(), 3);
    queue.try_put(5).unwrap();
    assert_eq!(queue.get().unwrap().task_done(), 4);
    assert_eq!(queue.get().unwrap().task_done(), 5);
    queue.join().unwrap();
}

fn outlive() {
    let before = arena::usage().unwrap();
    let queue = JoinableQueue::new().unwrap();
    queue.put_many(["a", "b", "c"].map(str::to_owned)).unwrap();
    let (done, given_up) = (queue.get().unwrap(), queue.get().unwrap());
    drop(queue);
    assert_eq!(arena::usage().unwrap().objects, before.objects + 1);
    assert_eq!(done.task_done(), "a");
    assert_eq!(given_up.as_str(), "b");
    drop(given_up);
    assert_eq!(arena::usage().unwrap(), before);
}

fn other_thread() {
    let queue = JoinableQueue::new().unwrap();
    queue.put_many(0..20).unwrap();
    std::thread::scope(|scope| {
        for number in 0..20 {
            let item = queue.get().unwrap();
            scope.spawn(move || assert_eq!(item.task_done(), number));
        }
        queue.join().unwrap();
    });
    queue.put(7).unwrap();
    let item = queue.get().unwrap();
    std::thread::spawn(move || drop(item)).join().unwrap();
    assert_eq!(queue.get().unwrap().task_done(), 7);
}

/// The thread unwinds, the process goes on.
fn panic_in_a_thread() {
    let queue = JoinableQueue::new().unwrap();
    queue.put(7).unwrap();
    std::thread::scope(|scope| {
        let falls = scope.spawn(|| {
            let item = queue.get().unwrap();
            assert_eq!(*item, 8, "on purpose");
            item.task_done();
        });
        assert!(falls.join().is_err());
    });
    let item = queue.get().unwrap();
    assert_eq!((*item, item.attempts()), (7, 1));
    item.task_done();
    queue.join().unwrap();
}

/// The child's copy is not on lease to it: neither its end nor what it does with the copy counts.
fn copies_in_a_fork() {
    let queue = JoinableQueue::new().unwrap();
    let acts: [fn(Leased<u32>); 3] = [
        |item| drop(item),
        |item| {
            let _kept = ManuallyDrop::new(item);
        },
        |item| assert_eq!(item.task_done(), 7),
    ];
    for act in acts {
        queue.put(7).unwrap();
        let (kept, gate) = (queue.get().unwrap(), Gate::new());
        queue.put(7).unwrap();
        let (theirs, remote) = (queue.get().unwrap(), gate.remote());
        let mut process = Process::fork(move || {
            remote.wait();
            act(theirs);
        });
        process.start().unwrap();
        assert!(matches!(queue.try_get(), Err(TryGetError::Empty)));
        gate.open(1);
        fine(&process);
        assert_eq!(kept.task_done(), 7);
        drop(process);
        // The parent's own of what the closure had was dropped with it.
        let item = queue.get().unwrap();
        assert_eq!((item.attempts(), queue.unfinished()), (1, 1));
        item.task_done();
        queue.join().unwrap();
        assert_eq!(queue.failed(), 0);
    }
}

fn handles_inside() {
    type Item = (u32, Queue<u32>, Vec<u8>);
    let before = arena::usage().unwrap();
    let queue = JoinableQueue::<Item>::new().unwrap();
    let results = Queue::new().unwrap();
    for number in 0..20 {
        queue.put((number, results.clone(), vec![1; 5000])).unwrap();
    }
    let works = |queue: JoinableQueue<Item>, keeps: bool| {
        let item = queue.get().unwrap();
        let _kept = keeps.then(|| queue.get().unwrap());
        item.1.put(item.0).unwrap();
        item.task_done();
    };
    for round in 0..10 {
        fine(&start(works, (queue.clone(), round % 2 == 0)));
    }
    while queue.unfinished() > 0 {
        let item = queue.get().unwrap();
        let (number, results, _) = item.task_done();
        results.put(number).unwrap();
    }
    let mut all: Vec<u32> = (0..20).map(|_| results.get().unwrap()).collect();
    all.sort_unstable();
    assert!(all.into_iter().eq(0..20) && results.is_empty());
    drop((queue, results));
    assert_eq!(arena::usage().unwrap(), before);
}

/// Processes that give up every other one: each item is done once, whoever had it before.
fn many_dropped() {
    let works = |queue: JoinableQueue<u32>, done: Queue<u32>| {
        let mut drops = false;
        while let Ok(item) = queue.get() {
            drops = !drops;
            if !drops {
                done.put(item.task_done()).unwrap();
            }
        }
    };
    let (queue, done) = (JoinableQueue::new().unwrap(), Queue::new().unwrap());
    let count = scaled(300);
    let workers = [(); 3].map(|()| start(works, (queue.clone(), done.clone())));
    (0..count).for_each(|number| queue.put(number).unwrap());
    queue.join().unwrap();
    queue.close();
    workers.iter().for_each(fine);
    let mut all: Vec<u32> = (0..count).map(|_| done.get().unwrap()).collect();
    all.sort_unstable();
    assert!(all.into_iter().eq(0..count) && done.is_empty());
    assert_eq!(queue.failed(), 0);
}
