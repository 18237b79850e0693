//! Joinable queues whose takers end before they are done: what they had is put back, nothing is lost, and `join` waits for nobody who is
//! dead.

use crate::kit::{
    asleep, kill_and_join, kill_and_wait, leave, pid_of, say_and_wait, start, stop_and_wait,
};
use crate::runner::{Case, Gate, RemoteGate, case, scaled};
use crate::ways::{WAYS, each, fine, start_by};
use multiproc::{GetError, JoinableQueue, Process, Queue, StartMethod, TryGetError, arena};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::time::Duration;

pub(crate) fn tests() -> Vec<Case> {
    vec![
        case("joinable_death::taker_killed", taker_killed),
        case("joinable_death::every_end_puts_back", every_end),
        case("joinable_death::several_takers_killed", several_takers),
        case(
            "joinable_death::getter_gets_what_was_put_back",
            getter_waits,
        ),
        case("joinable_death::not_reaped_join", not_reaped_join),
        case("joinable_death::not_reaped_get", not_reaped_get),
        case("joinable_death::parent_dead_too", parent_dead_too),
        case("joinable_death::taker_stopped", taker_stopped),
        case("joinable_death::attempts_are_counted", attempts),
        case("joinable_death::retries", retries),
        case("joinable_death::no_retries", no_retries),
        case("joinable_death::joiner_killed", joiner_killed),
        case("joinable_death::put_and_gone", put_and_gone),
        case("joinable_death::closed_and_taker_killed", closed),
        case("joinable_death::last_holder_killed", last_holder),
    ]
}

type Items = JoinableQueue<u64>;

/// A queue of so many items.
fn queue_of(count: u64) -> Items {
    let queue = JoinableQueue::new().unwrap();
    queue.put_many(0..count).unwrap();
    queue
}

/// Takes so many items, says so, and keeps them until it is told.
fn takes(queue: Items, count: usize, here: RemoteGate, there: RemoteGate) {
    let leased: Vec<_> = (0..count).map(|_| queue.get().unwrap()).collect();
    say_and_wait(here, there);
    drop(leased);
}

/// A process started that way that has taken so many items.
fn taker(way: StartMethod, queue: &Items, count: usize) -> (Process, Gate) {
    let (here, there) = (Gate::new(), Gate::new());
    let arguments = (queue.clone(), count, here.remote(), there.remote());
    let process = start_by(way, takes, arguments);
    here.wait();
    (process, there)
}

/// Takes all that there is, each once, and says that it is done; answers how many had been taken before.
#[track_caller]
fn work_off(queue: &Items, expected: impl Iterator<Item = u64>) -> usize {
    let (mut got, mut again) = (Vec::new(), 0);
    while let Ok(leased) = queue.try_get() {
        again += usize::from(leased.attempts() > 0);
        got.push(leased.task_done());
    }
    got.sort_unstable();
    assert_eq!(got, expected.collect::<Vec<_>>());
    again
}

#[track_caller]
fn is_done(queue: &Items) {
    queue.join().unwrap();
    assert_eq!((queue.unfinished(), queue.len()), (0, 0));
    assert!(matches!(queue.try_get(), Err(TryGetError::Empty)));
}

fn taker_killed() {
    let before = arena::usage().unwrap();
    each(|way| {
        for _ in 0..scaled(5) {
            let queue = queue_of(10);
            let (process, _there) = taker(way, &queue, 3);
            assert_eq!((queue.len(), queue.unfinished()), (7, 10));
            kill_and_join(&process);
            assert_eq!((queue.len(), queue.unfinished()), (7, 10));
            // First those that were put back.
            let first = queue.get().unwrap();
            assert!(*first < 3 && first.attempts() == 1);
            drop(first);
            assert_eq!(work_off(&queue, 0..10), 3);
            is_done(&queue);
        }
    });
    assert_eq!(arena::usage().unwrap(), before);
}

/// However it ends, what it has not done is put back, and what it has done is not.
#[expect(clippy::disallowed_methods, reason = "how it ends is the test")]
fn every_end() {
    let ends = |queue: Items, how: i32| {
        let _kept = queue.get().unwrap();
        queue.get().unwrap().task_done();
        let _unwound = queue.get().unwrap();
        match how {
            1 => panic!("on purpose"),
            -6 => std::process::abort(),
            3 => std::process::exit(3),
            4 => leave(4),
            _ => {}
        }
    };
    for way in WAYS {
        for how in [0, 1, 3, 4, -6] {
            let queue = queue_of(4);
            let process = start_by(way, ends, (queue.clone(), how));
            assert_eq!(process.join().unwrap(), how, "{way}");
            assert_eq!(queue.unfinished(), 3);
            assert_eq!(work_off(&queue, [0, 2, 3].into_iter()), 2);
            is_done(&queue);
        }
    }
}

/// All of them at once, while a process joins and others go on working.
fn several_takers() {
    let works = |queue: Items| {
        for leased in &queue {
            leased.unwrap().task_done();
        }
    };
    for _ in 0..scaled(5) {
        let queue = queue_of(0);
        let joins = |queue: Items| queue.join().unwrap();
        queue.put_many(0..40).unwrap();
        let takers = [1, 5, 10].map(|count| taker(StartMethod::ForkServer, &queue, count));
        let joiner = start(joins, (queue.clone(),));
        let workers = [(); 2].map(|()| start(works, (queue.clone(),)));
        asleep(pid_of(&joiner));
        assert!(queue.unfinished() >= 16);
        takers
            .iter()
            .for_each(|(process, _)| process.kill().unwrap());
        fine(&joiner);
        is_done(&queue);
        queue.close();
        workers.iter().for_each(fine);
        for (process, _) in takers {
            assert_eq!(process.join().unwrap(), -9);
        }
    }
}

/// Whoever sleeps in `get` is woken for what a dead one leaves.
fn getter_waits() {
    let does = |queue: Items, attempts: u32| {
        let leased = queue.get().unwrap();
        assert_eq!(leased.attempts(), attempts);
        leased.task_done();
    };
    each(|way| {
        let queue = queue_of(1);
        let (process, _there) = taker(way, &queue, 1);
        let getter = start(does, (queue.clone(), 1));
        asleep(pid_of(&getter));
        kill_and_join(&process);
        fine(&getter);
        is_done(&queue);
    });
}

/// A process kills another one, whose parent does not ask for it, when it is told.
fn kills(pid: i32, there: RemoteGate) {
    there.wait();
    kill_and_wait(Pid::from_raw(pid));
}

/// Calls `waits`. Once this process sleeps there, somebody kills a child of it, for whose end nobody asks before `waits` is over.
fn sleeps_while_it_dies(process: &Process, waits: impl FnOnce()) {
    let start_it = Gate::new();
    let killer = start(kills, (pid_of(process).as_raw(), start_it.remote()));
    let me = Pid::this();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            asleep(me);
            start_it.open(1);
        });
        waits();
    });
    fine(&killer);
    assert_eq!(process.join().unwrap(), -9);
}

/// The parent of the dead taker is itself in `join`, and nobody else asks. Another one does what was put back.
fn not_reaped_join() {
    let does = |queue: Items| {
        queue.get().unwrap().task_done();
    };
    each(|way| {
        let queue = queue_of(1);
        let (process, _there) = taker(way, &queue, 1);
        let helper = start(does, (queue.clone(),));
        asleep(pid_of(&helper));
        sleeps_while_it_dies(&process, || queue.join().unwrap());
        fine(&helper);
        is_done(&queue);
    });
}

fn not_reaped_get() {
    each(|way| {
        let queue = queue_of(1);
        let (process, _there) = taker(way, &queue, 1);
        sleeps_while_it_dies(&process, || {
            let leased = queue.get().unwrap();
            assert_eq!((leased.attempts(), leased.task_done()), (1, 0));
        });
        is_done(&queue);
    });
}

/// A process whose child takes; it says which one it is, and waits.
fn parent_of_a_taker(queue: Items, way: String, here: RemoteGate, there: RemoteGate) {
    let way = crate::ways::named(&way);
    let _child = start_by(way, takes, (queue, 2_usize, here, there));
    Gate::new().wait();
}

fn parent_dead_too() {
    each(|way| {
        let queue = queue_of(3);
        let (here, there) = (Gate::new(), Gate::new());
        let arguments = (
            queue.clone(),
            way.to_string(),
            here.remote(),
            there.remote(),
        );
        let parent = start(parent_of_a_taker, arguments);
        here.wait();
        kill_and_join(&parent);
        // The child dies with its parent, but nobody says when.
        let got: Vec<_> = (0..3).map(|_| queue.get().unwrap().task_done()).collect();
        assert_eq!(got.iter().sum::<u64>(), 3);
        is_done(&queue);
    });
}

/// It may go on one day: what it has is not put back.
fn taker_stopped() {
    let queue = queue_of(2);
    let (process, there) = taker(StartMethod::ForkServer, &queue, 1);
    stop_and_wait(pid_of(&process));
    assert_eq!(queue.get().unwrap().task_done(), 1);
    let short = Duration::from_millis(60);
    for _ in 0..3 {
        assert!(matches!(queue.get_timeout(short), Err(TryGetError::Empty)));
        assert!(!queue.join_timeout(short).unwrap());
    }
    kill(pid_of(&process), Signal::SIGCONT).unwrap();
    there.open(1);
    fine(&process);
    assert_eq!(work_off(&queue, 0..1), 1);
    is_done(&queue);
}

fn attempts() {
    let queue = queue_of(1);
    for attempt in 0..scaled(10) {
        let leased = queue.get().unwrap();
        assert_eq!(leased.attempts(), attempt);
        drop(leased);
        let again = queue.get().unwrap();
        assert_eq!(again.attempts(), attempt + 1);
        // The same item, once by another process.
        drop(again);
        let (process, _there) = taker(StartMethod::ForkServer, &queue, 1);
        kill_and_join(&process);
        let leased = queue.get().unwrap();
        assert_eq!(leased.attempts(), attempt + 3);
        leased.task_done();
        queue.put(0).unwrap();
        for _ in 0..=attempt {
            drop(queue.get().unwrap());
        }
    }
    assert_eq!(queue.get().unwrap().task_done(), 0);
    is_done(&queue);
}

/// An item that kills all who take it comes to an end.
fn retries() {
    each(|way| {
        let queue = JoinableQueue::builder().retries(2).build().unwrap();
        queue.put_many([7, 8]).unwrap();
        for deaths in 0..3 {
            assert_eq!((queue.failed(), queue.unfinished()), (0, 2));
            let (process, _there) = taker(way, &queue, 1);
            kill_and_join(&process);
            assert!(deaths == 2 || !queue.join_timeout(Duration::ZERO).unwrap());
        }
        let leased = queue.get().unwrap();
        assert_eq!((*leased, leased.attempts()), (8, 0));
        assert_eq!((queue.failed(), queue.unfinished()), (1, 1));
        leased.task_done();
        is_done(&queue);
        assert_eq!(queue.failed(), 1);
    });
}

/// Nobody gets any more; who joins counts what has failed.
fn no_retries() {
    each(|way| {
        let queue = JoinableQueue::builder().retries(0).build().unwrap();
        queue.put_many(0..3).unwrap();
        let (process, _there) = taker(way, &queue, 2);
        let joins = |queue: Items| queue.join().unwrap();
        let joiner = start(joins, (queue.clone(),));
        queue.get().unwrap().task_done();
        asleep(pid_of(&joiner));
        assert_eq!((queue.failed(), queue.unfinished()), (0, 2));
        process.kill().unwrap();
        fine(&joiner);
        assert_eq!((queue.failed(), queue.unfinished()), (2, 0));
        is_done(&queue);
        assert_eq!(process.join().unwrap(), -9);
    });
}

/// A joiner that is killed takes nothing with it: the others are told.
fn joiner_killed() {
    let joins = |queue: Items| queue.join().unwrap();
    for round in 0..scaled(10) as usize {
        let queue = queue_of(1);
        let leased = queue.get().unwrap();
        let joiners = [(); 3].map(|()| start(joins, (queue.clone(),)));
        joiners.iter().for_each(|joiner| asleep(pid_of(joiner)));
        kill_and_join(&joiners[round % 3]);
        leased.task_done();
        for (number, joiner) in joiners.iter().enumerate() {
            if number != round % 3 {
                fine(joiner);
            }
        }
        is_done(&queue);
    }
}

/// A process puts and is gone: the items are there, and counted.
fn put_and_gone() {
    let puts = |queue: JoinableQueue<Vec<u8>>, how: i32| {
        queue.put(vec![1; 10]).unwrap();
        queue.put_many([vec![2; 1 << 20], vec![3]]).unwrap();
        leave(how);
    };
    each(|way| {
        let queue = JoinableQueue::new().unwrap();
        let process = start_by(way, puts, (queue.clone(), 5));
        assert_eq!(process.join().unwrap(), 5);
        assert_eq!((queue.len(), queue.unfinished()), (3, 3));
        for expected in [vec![1; 10], vec![2; 1 << 20], vec![3]] {
            assert!(queue.get().unwrap().task_done() == expected);
        }
        queue.join().unwrap();
    });
}

/// A closed queue is not at its end while somebody may still die with an item.
fn closed() {
    let last = |queue: Items, got: Queue<u64>| {
        for leased in &queue {
            got.put(leased.unwrap().task_done()).unwrap();
        }
    };
    each(|way| {
        let (queue, got) = (queue_of(2), Queue::new().unwrap());
        let (process, _there) = taker(way, &queue, 1);
        queue.close();
        let worker = start(last, (queue.clone(), got.clone()));
        assert_eq!(got.get().unwrap(), 1);
        asleep(pid_of(&worker));
        kill_and_join(&process);
        fine(&worker);
        assert_eq!(got.get().unwrap(), 0);
        queue.join().unwrap();
        assert!(matches!(queue.get(), Err(GetError::Closed)));
    });
}

/// The only one who has the queue dies, with items on lease, in the queue and put back: all of it is freed.
fn last_holder() {
    let before = arena::usage().unwrap();
    let body = |here: RemoteGate| {
        let queue = JoinableQueue::new().unwrap();
        for number in 0..30 {
            let inner = Queue::new().unwrap();
            inner.put(vec![number; 5000]).unwrap();
            queue.put(inner).unwrap();
        }
        let mut leased: Vec<_> = (0..20).map(|_| queue.get().unwrap()).collect();
        leased.truncate(10);
        here.open(1);
        Gate::new().wait();
    };
    each(|way| {
        let here = Gate::new();
        let process = start_by(way, body, (here.remote(),));
        here.wait();
        assert_eq!(arena::usage().unwrap().objects, before.objects + 31);
        kill_and_join(&process);
        assert_eq!(arena::usage().unwrap(), before);
    });
}
