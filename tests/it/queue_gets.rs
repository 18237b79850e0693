//! Python's own cases of queues, as they are told there: each form of a verb at an empty and at a full queue, and how a program ends.

use crate::kit::{elsewhere, start};
use crate::runner::{Case, Gate, RemoteGate, case, program, program_command};
use crate::ways::{each, fine, start_by};
use multiproc::{Process, Queue, TryGetError, TryPutError, arena};
use std::time::{Duration, Instant};

pub(crate) fn tests() -> Vec<Case> {
    vec![
        case("queue_gets::empty_for_all_forms", empty_for_all_forms),
        case("queue_gets::full_for_all_forms", full_for_all_forms),
        case("queue_gets::forked_between_puts", forked_between_puts),
        case("queue_gets::ends_with_much_unread", ends_with_much),
        case("queue_gets::ten_sleep_and_ten_come", ten_and_ten),
        case("queue_gets::clones_are_the_same", clones),
        program("queue_gets::leaves_much_unread", leaves_much_unread),
    ]
}

const TIME: Duration = Duration::from_millis(50);

/// Says whether it was empty, and how long that took at least.
fn empty(queue: &Queue<u32>) {
    assert!(matches!(queue.try_get(), Err(TryGetError::Empty)));
    assert!(matches!(queue.try_get_many(5), Err(TryGetError::Empty)));
    let zero = queue.get_timeout(Duration::ZERO);
    assert!(matches!(zero, Err(TryGetError::Empty)));
    let before = Instant::now();
    assert!(matches!(queue.get_timeout(TIME), Err(TryGetError::Empty)));
    assert!(before.elapsed() >= TIME, "too early");
    let before = Instant::now();
    let late = queue.get_many_timeout(5, TIME);
    assert!(matches!(late, Err(TryGetError::Empty)));
    assert!(before.elapsed() >= TIME, "too early");
}

/// A child puts five, and they are got in five ways; before and after that there is nothing.
fn empty_for_all_forms() {
    let puts = |queue: Queue<u32>, there: RemoteGate| {
        there.wait();
        (1..=5).for_each(|number| queue.put(number).unwrap());
    };
    each(|way| {
        let (queue, there) = (Queue::new().unwrap(), Gate::new());
        empty(&queue);
        let process = start_by(way, puts, (queue.clone(), there.remote()));
        empty(&queue);
        there.open(1);
        assert_eq!(queue.get().unwrap(), 1);
        fine(&process);
        assert_eq!(queue.try_get().unwrap(), 2);
        assert_eq!(queue.get_timeout(Duration::ZERO).unwrap(), 3);
        assert_eq!(queue.get_timeout(Duration::MAX).unwrap(), 4);
        assert_eq!(queue.get_timeout(TIME).unwrap(), 5);
        empty(&queue);
    });
}

fn full(queue: &Queue<u32>) {
    assert!(queue.is_full());
    assert!(matches!(queue.try_put(9), Err(TryPutError::Full(9))));
    let zero = queue.put_timeout(9, Duration::ZERO);
    assert!(matches!(zero, Err(TryPutError::Full(9))));
    let before = Instant::now();
    let late = queue.put_timeout(9, TIME);
    assert!(matches!(late, Err(TryPutError::Full(9))));
    assert!(before.elapsed() >= TIME, "too early");
    let before = Instant::now();
    let late = queue.put_many_timeout([9, 10], TIME);
    assert!(matches!(late, Err(TryPutError::Full(back)) if back == [9, 10]));
    assert!(before.elapsed() >= TIME, "too early");
}

/// The other way round: the parent puts six in six ways, and a child takes them.
fn full_for_all_forms() {
    let takes = |queue: Queue<u32>, there: RemoteGate| {
        there.wait();
        (1..=6).for_each(|number| assert_eq!(queue.get().unwrap(), number));
    };
    each(|way| {
        let (queue, there) = (Queue::with_maxsize(6).unwrap(), Gate::new());
        let process = start_by(way, takes, (queue.clone(), there.remote()));
        assert!(queue.is_empty() && !queue.is_full());
        queue.put(1).unwrap();
        queue.try_put(2).unwrap();
        queue.put_timeout(3, TIME).unwrap();
        queue.put_timeout(4, Duration::ZERO).unwrap();
        queue.put_many([5]).unwrap();
        queue.put_timeout(6, Duration::MAX).unwrap();
        full(&queue);
        there.open(1);
        fine(&process);
        assert!(queue.is_empty());
    });
}

/// What the parent has put is not there twice because a child was forked meanwhile, and the child puts behind it.
fn forked_between_puts() {
    let queue = Queue::new().unwrap();
    queue.put_many(0..10).unwrap();
    let theirs = queue.clone();
    let mut process = Process::fork(move || {
        (10..20).for_each(|number| theirs.put(number).unwrap());
    });
    process.start().unwrap();
    fine(&process);
    queue.put(20).unwrap();
    for expected in 0..=20 {
        assert_eq!(queue.get().unwrap(), expected);
    }
    assert!(matches!(queue.try_get(), Err(TryGetError::Empty)));
}

/// Megabytes that nobody reads, put by this process and by children that have ended.
fn leaves_much_unread() {
    let puts = |queue: Queue<Vec<u8>>| queue.put_many(vec![vec![1; 60_000]; 50]).unwrap();
    let queue = Queue::new().unwrap();
    puts(queue.clone());
    each(|way| fine(&start_by(way, puts, (queue.clone(),))));
    assert_eq!(queue.len(), 200);
    println!("the end");
}

/// A program ends, whatever lies in its queues.
fn ends_with_much() {
    let output = program_command("queue_gets::leaves_much_unread").output();
    let output = output.unwrap();
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.ends_with("the end\n"), "{said}");
}

/// Threads and processes that get before anybody puts, and the other way round: each comes to its own.
fn ten_and_ten() {
    let (queue, sums) = (Queue::<u32>::new().unwrap(), Queue::new().unwrap());
    let gets = |queue: Queue<u32>, sums: Queue<u32>| sums.put(queue.get().unwrap()).unwrap();
    let processes = [(); 5].map(|()| start(gets, (queue.clone(), sums.clone())));
    std::thread::scope(|scope| {
        for _ in 0..5 {
            scope.spawn(|| gets(queue.clone(), sums.clone()));
        }
        for number in 0..5 {
            let queue = &queue;
            scope.spawn(move || queue.put(number).unwrap());
        }
        let puts = |queue: Queue<u32>, number: u32| queue.put(number).unwrap();
        let putters = [5, 6, 7, 8, 9].map(|number| start(puts, (queue.clone(), number)));
        putters.iter().for_each(fine);
    });
    processes.iter().for_each(fine);
    let mut all: Vec<u32> = (0..10).map(|_| sums.get().unwrap()).collect();
    all.sort_unstable();
    assert!(all.into_iter().eq(0..10) && queue.is_empty());
}

fn clones() {
    let before = arena::usage().unwrap();
    let queue = Queue::with_maxsize(3).unwrap();
    let clones = vec![queue.clone(); 100];
    assert_eq!(arena::usage().unwrap().objects, before.objects + 1);
    clones[7].put("one".to_owned()).unwrap();
    clones[8].clone().put("two".to_owned()).unwrap();
    drop(queue);
    assert_eq!(clones[99].len(), 2);
    assert!(format!("{:?}", clones[0]).contains("len: 2"));
    assert_eq!(elsewhere(|| clones[50].get().unwrap()), "one");
    clones[0].close();
    assert!(clones.iter().all(Queue::is_closed));
    drop(clones);
    assert_eq!(arena::usage().unwrap(), before);
}
