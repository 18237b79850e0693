//! Queues whose users are killed or stopped: no message twice, none half, none lost but those that the dead had got.

use crate::kit::{Numbers, RemoteNumbers, pid_of, start, stop_and_wait};
use crate::runner::{Case, case, scaled};
use multiproc::{Process, Queue, TryGetError, TryPutError, arena};
use nix::sys::signal::{Signal, kill};
use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

pub(crate) fn tests() -> Vec<Case> {
    vec![
        case("queue_death::small_producers_killed", || {
            producers_killed(40)
        }),
        case("queue_death::large_producers_killed", || {
            producers_killed(3000)
        }),
        case(
            "queue_death::producers_with_handles_killed",
            producers_with_handles,
        )
        .keeps_arena("a kill in the middle of a hand-over may leak the object handed over"),
        case(
            "queue_death::producers_killed_at_a_full_queue",
            killed_when_full,
        ),
        case("queue_death::consumers_killed", consumers_killed),
        case(
            "queue_death::consumers_of_blocks_killed",
            consumers_of_blocks,
        ),
        case("queue_death::stopped_producer", stopped_producer),
        case("queue_death::stopped_consumer", stopped_consumer),
        case("queue_death::owner_of_the_last_handle_killed", last_handle),
    ]
}

/// Who put it, which one it is, and words that must all be its number.
type Numbered = (u32, u64, Vec<u64>);

fn numbered(who: u32, number: u64, longest: u64) -> Numbered {
    let length = number * 37 % longest;
    (who, number, vec![number; usize::try_from(length).unwrap()])
}

fn produces(queue: Queue<Numbered>, who: u32, longest: u64) {
    for number in 0.. {
        queue.put(numbered(who, number, longest)).unwrap();
    }
}

/// Takes messages apart: whole, in order, each once.
#[derive(Default)]
struct Ledger {
    next: BTreeMap<u32, u64>,
}

impl Ledger {
    fn note(&mut self, message: &Numbered, longest: u64) {
        let (who, number, _) = message;
        let next = self.next.entry(*who).or_insert(0);
        assert_eq!(number, next, "of producer {who}");
        *next += 1;
        assert!(
            *message == numbered(*who, *number, longest),
            "half a message"
        );
    }
}

fn kill_and_join(process: &Process) {
    process.kill().unwrap();
    assert_eq!(process.join().unwrap(), -9);
}

fn producers_killed(longest: u64) {
    let before = arena::usage().unwrap();
    let queue = Queue::with_maxsize(50).unwrap();
    let mut ledger = Ledger::default();
    let producer = |who| start(produces, (queue.clone(), who, longest));
    let mut running = [producer(0), producer(1)];
    for who in 2..scaled(100) + 2 {
        for _ in 0..who % 7 * 5 {
            ledger.note(&queue.get().unwrap(), longest);
        }
        let oldest = &mut running[who as usize % 2];
        kill_and_join(oldest);
        *oldest = producer(who);
    }
    running.iter().for_each(kill_and_join);
    while let Ok(message) = queue.try_get() {
        ledger.note(&message, longest);
    }
    assert!(ledger.next.len() > 10);
    queue.put(numbered(u32::MAX, 0, longest)).unwrap();
    ledger.note(&queue.get().unwrap(), longest);
    drop(queue);
    assert_eq!(arena::usage().unwrap(), before);
}

fn producers_with_handles() {
    let queue = Queue::<(u64, Queue<u64>)>::with_maxsize(20).unwrap();
    let body = |queue: Queue<(u64, Queue<u64>)>| {
        for number in 0.. {
            let inner = Queue::new().unwrap();
            inner.put(number).unwrap();
            queue.put((number, inner)).unwrap();
        }
    };
    for round in 0..scaled(50) {
        let producer = start(body, (queue.clone(),));
        for number in 0..u64::from(round % 9) {
            let (known, inner) = queue.get().unwrap();
            assert_eq!((known, inner.get().unwrap()), (number, number));
        }
        kill_and_join(&producer);
        while let Ok((known, inner)) = queue.try_get() {
            assert_eq!(inner.get().unwrap(), known);
            assert!(inner.is_empty());
        }
    }
    // What may leak is one object a kill.
    let left = arena::usage().unwrap().objects - 1;
    println!("{left} objects leaked");
    assert!(left <= scaled(50) as usize);
}

/// Producers that sleep because there is no room are killed; room is used by those who live.
fn killed_when_full() {
    let queue = Queue::with_maxsize(1).unwrap();
    let body = |queue: Queue<Numbered>| produces(queue, 0, 5);
    for _ in 0..scaled(20) {
        let producers = [(); 3].map(|()| start(body, (queue.clone(),)));
        queue.get().unwrap();
        kill_and_join(&producers[0]);
        queue.get().unwrap();
        kill_and_join(&producers[1]);
        for _ in 0..3 {
            queue.get().unwrap();
        }
        kill_and_join(&producers[2]);
        while queue.try_get().is_ok() {}
        assert!(matches!(queue.try_get(), Err(TryGetError::Empty)));
    }
}

/// Notes each number that it gets before it gets the next.
fn notes(queue: Queue<Numbered>, numbers: RemoteNumbers, longest: u64) {
    let numbers = numbers.open();
    loop {
        let message = queue.get().unwrap();
        assert!(message == numbered(0, message.1, longest), "half a message");
        numbers.add(usize::try_from(message.1).unwrap(), 1);
    }
}

/// Kills consumers in the middle of their work; says how often, and how many messages nobody noted.
fn kill_consumers(longest: u64) -> (u32, u32) {
    let (queue, numbers) = (Queue::new().unwrap(), Numbers::new());
    let consumer = || start(notes, (queue.clone(), numbers.remote(), longest));
    let (kills, mut running) = (scaled(60).min(400), [consumer(), consumer()]);
    let mut put = 0;
    for round in 0..kills {
        for _ in 0..20 {
            queue.put(numbered(0, put, longest)).unwrap();
            put += 1;
        }
        while queue.len() > round as usize % 20 {
            std::thread::yield_now();
        }
        let oldest = &mut running[round as usize % 2];
        kill_and_join(oldest);
        *oldest = consumer();
    }
    while !queue.is_empty() {
        std::thread::yield_now();
    }
    running.iter().for_each(kill_and_join);
    assert!(matches!(queue.try_get(), Err(TryGetError::Empty)));
    let noted = (0..put).map(|n| numbers.get(usize::try_from(n).unwrap()));
    let noted: Vec<u64> = noted.collect();
    assert!(
        noted.iter().all(|times| *times <= 1),
        "a message was got twice"
    );
    let lost = noted.iter().filter(|times| **times == 0).count();
    (kills + 2, u32::try_from(lost).unwrap())
}

fn consumers_killed() {
    let (kills, lost) = kill_consumers(20);
    println!("{kills} kills, {lost} messages in the hands of the dead");
    assert!(lost <= kills);
}

fn consumers_of_blocks() {
    let before = arena::usage().unwrap();
    let (kills, lost) = kill_consumers(3000);
    println!("{kills} kills, {lost} messages in the hands of the dead");
    assert!(lost <= kills);
    assert_eq!(arena::usage().unwrap(), before);
}

/// A stopped one may hold an end: others are told `Full` in time, and go on when it does.
fn stopped_producer() {
    let queue = Queue::with_maxsize(50).unwrap();
    let producer = start(produces, (queue.clone(), 0, 40));
    let (mut ledger, mut own, short) = (Ledger::default(), 0, Duration::from_millis(1));
    for _ in 0..scaled(50) {
        ledger.note(&queue.get().unwrap(), 40);
        stop_and_wait(pid_of(&producer));
        while let Ok(message) = queue.try_get() {
            ledger.note(&message, 40);
        }
        match queue.put_timeout(numbered(1, own, 40), short) {
            Ok(()) => own += 1,
            Err(TryPutError::Full(_)) => {}
            Err(other) => panic!("{other}"),
        }
        kill(pid_of(&producer), Signal::SIGCONT).unwrap();
    }
    kill_and_join(&producer);
    while let Ok(message) = queue.try_get() {
        ledger.note(&message, 40);
    }
    queue.put(numbered(1, own, 40)).unwrap();
    ledger.note(&queue.get().unwrap(), 40);
    assert_eq!(ledger.next[&1], own + 1);
}

fn stopped_consumer() {
    let (queue, back) = (Queue::with_maxsize(10).unwrap(), Queue::new().unwrap());
    let body = |queue: Queue<u32>, back: Queue<u32>| {
        while let Ok(number) = queue.get() {
            back.put(number).unwrap();
        }
    };
    let consumer = start(body, (queue.clone(), back.clone()));
    let (mut put, mut got) = (HashSet::new(), HashSet::new());
    for number in 0..scaled(50) * 10 {
        if number % 10 == 0 {
            stop_and_wait(pid_of(&consumer));
        }
        if queue.try_put(number).is_ok() {
            put.insert(number);
        }
        // What it held is got by it, or by us here.
        if let Ok(number) = queue.try_get() {
            assert!(got.insert(number));
        }
        if number % 10 == 9 {
            kill(pid_of(&consumer), Signal::SIGCONT).unwrap();
        }
    }
    queue.close();
    assert_eq!(consumer.join().unwrap(), 0);
    while let Ok(number) = back.try_get() {
        assert!(got.insert(number), "{number} was got twice");
    }
    assert_eq!(put, got);
}

/// The queue of a dead process, with all that is in it, is freed when it is joined.
fn last_handle() {
    let before = arena::usage().unwrap();
    let body = |here: crate::runner::RemoteGate| {
        let queue = Queue::new().unwrap();
        for number in 0..20 {
            let inner = Queue::new().unwrap();
            inner.put(vec![number; 10_000]).unwrap();
            queue.put((inner, vec![number; 10_000])).unwrap();
        }
        here.open(1);
        crate::runner::Gate::new().wait();
    };
    let here = crate::runner::Gate::new();
    let process = start(body, (here.remote(),));
    here.wait();
    assert_eq!(arena::usage().unwrap().objects, before.objects + 21);
    kill_and_join(&process);
    assert_eq!(arena::usage().unwrap(), before);
}
