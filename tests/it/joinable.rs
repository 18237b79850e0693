//! A queue that knows which of its items are done: its verbs, its counts, its ends.

use crate::kit::start;
use crate::process::Fussy;
use crate::runner::{Case, Gate, RemoteGate, case, scaled};
use crate::sleepers::{sleeper, sleepers};
use crate::ways::{each, fine, start_by};
use multiproc::{
    Error, ErrorKind, GetError, JoinableQueue, PutError, Queue, TryGetError, TryPutError, arena,
};
use std::time::{Duration, Instant};

pub(crate) fn tests() -> Vec<Case> {
    vec![
        case("joinable::every_verb", every_verb),
        case("joinable::counts", counts),
        case("joinable::batches", batches),
        case("joinable::maxsize", maxsize),
        case("joinable::timeouts", timeouts),
        case("joinable::join_again_and_again", join_again),
        case("joinable::all_who_join_are_told", all_are_told),
        case(
            "joinable::join_waits_for_what_is_put_meanwhile",
            put_meanwhile,
        ),
        case("joinable::workers_and_their_sentinels", workers),
        case("joinable::joined_by_every_way", by_every_way),
        case("joinable::iterators", iterators),
        case("joinable::closed", closed),
        case("joinable::shut_at_once", shut_at_once),
        case("joinable::shut_at_once_in_the_middle_of_work", shut_in_work),
        case("joinable::values_that_do_not_travel", fussy_values),
        case("joinable::memory_is_given_back", memory),
        case("joinable::many_to_many", many_to_many),
    ]
}

const SHORT: Duration = Duration::from_millis(1);

fn every_verb() {
    let queue = JoinableQueue::with_maxsize(2).unwrap();
    assert!(queue.is_empty() && !queue.is_full() && !queue.is_closed());
    assert_eq!((queue.maxsize(), queue.len()), (2, 0));
    assert!(matches!(queue.try_get(), Err(TryGetError::Empty)));
    queue.put("a".to_owned()).unwrap();
    queue.try_put("b".to_owned()).unwrap();
    assert!(queue.is_full());
    match queue.try_put("c".to_owned()) {
        Err(TryPutError::Full(back)) => assert_eq!(back, "c"),
        other => panic!("{other:?}"),
    }
    let item = queue.get().unwrap();
    assert_eq!((item.as_str(), item.len(), item.attempts()), ("a", 1, 0));
    assert_eq!(format!("{item:?}"), "Leased(\"a\")");
    assert_eq!(item.task_done(), "a");
    queue.put_timeout("c".to_owned(), Duration::MAX).unwrap();
    assert_eq!(queue.try_get().unwrap().task_done(), "b");
    let last = queue.get_timeout(Duration::MAX).unwrap();
    assert!(!queue.join_timeout(Duration::ZERO).unwrap());
    assert_eq!(last.task_done(), "c");
    assert!(queue.join_timeout(Duration::ZERO).unwrap());
    queue.join().unwrap();
    assert!(format!("{queue:?}").contains("JoinableQueue"));
}

/// What is put is unfinished until it is done; what is taken is not in the queue.
fn counts() {
    let queue = JoinableQueue::new().unwrap();
    let seen = || (queue.unfinished(), queue.len(), queue.failed());
    assert_eq!(seen(), (0, 0, 0));
    for number in 0..100 {
        queue.put(number).unwrap();
        assert_eq!(seen(), (number + 1, number + 1, 0));
    }
    let mut taken: Vec<_> = (0..100).map(|_| queue.get().unwrap()).collect();
    assert_eq!(seen(), (100, 0, 0));
    // In any order.
    for left in (0..100).rev() {
        let item = taken.swap_remove(left / 2);
        item.task_done();
        assert_eq!(seen(), (left, 0, 0));
    }
    let counts = |queue: JoinableQueue<usize>| {
        assert_eq!((queue.unfinished(), queue.len()), (2, 1));
        queue.get().unwrap().task_done();
    };
    queue.put_many([1, 2]).unwrap();
    let item = queue.get().unwrap();
    fine(&start(counts, (queue.clone(),)));
    assert_eq!(seen(), (1, 0, 0));
    item.task_done();
    assert_eq!(seen(), (0, 0, 0));
}

fn batches() {
    let queue = JoinableQueue::with_maxsize(100).unwrap();
    queue.put_many(0..70).unwrap();
    queue.try_put_many(70..80).unwrap();
    queue.put_many_timeout(80..90, Duration::MAX).unwrap();
    let rest = queue.try_put_many(90..110).unwrap_err().into_inner();
    assert!(rest.into_iter().eq(100..110));
    match queue.put_many_timeout(100..103, SHORT) {
        Err(TryPutError::Full(rest)) => assert_eq!(rest, [100, 101, 102]),
        other => panic!("{other:?}"),
    }
    assert_eq!((queue.unfinished(), queue.len()), (100, 100));
    for expected in 0..100 {
        assert_eq!(queue.get().unwrap().task_done(), expected);
    }
    queue.join().unwrap();
    std::thread::scope(|scope| {
        let puts = sleeper(scope, || queue.put_many(0..300).unwrap());
        for expected in 0..300 {
            assert_eq!(queue.get().unwrap().task_done(), expected);
        }
        puts.join().unwrap();
    });
    queue.join().unwrap();
}

/// Items on lease take no place.
fn maxsize() {
    for size in [1, 2, 70] {
        let queue = JoinableQueue::with_maxsize(size).unwrap();
        let mut taken = Vec::new();
        for _ in 0..3 {
            queue.try_put_many(0..size).unwrap();
            assert!(queue.is_full());
            assert!(matches!(queue.try_put(7), Err(TryPutError::Full(7))));
            taken.extend((0..size).map(|_| queue.get().unwrap()));
            assert!(queue.is_empty());
        }
        assert_eq!(queue.unfinished(), 3 * size);
        for item in taken {
            item.task_done();
        }
        queue.join().unwrap();
        std::thread::scope(|scope| {
            queue.put_many(0..size).unwrap();
            let puts = sleeper(scope, || queue.put(99).unwrap());
            // Room comes when it is taken, not when it is done.
            let first = queue.get().unwrap();
            puts.join().unwrap();
            assert_eq!(first.task_done(), 0);
        });
    }
    let kind = |size| {
        let built = JoinableQueue::<u8>::builder().maxsize(size).build();
        built.unwrap_err().kind()
    };
    assert_eq!(kind(1 << 28), ErrorKind::InvalidInput);
    assert_eq!(kind(usize::MAX), ErrorKind::InvalidInput);
}

fn timeouts() {
    let queue = JoinableQueue::with_maxsize(1).unwrap();
    for time in [0, 1, 30, 110].map(Duration::from_millis) {
        let before = Instant::now();
        let late = queue.get_timeout(time);
        assert!(matches!(late, Err(TryGetError::Empty)));
        assert!(before.elapsed() >= time, "too early");
        queue.put(1).unwrap();
        let before = Instant::now();
        let late = queue.put_timeout(2, time);
        assert!(matches!(late, Err(TryPutError::Full(2))));
        assert!(before.elapsed() >= time, "too early");
        let before = Instant::now();
        assert!(!queue.join_timeout(time).unwrap());
        assert!(before.elapsed() >= time, "too early");
        queue.get().unwrap().task_done();
        assert!(queue.join_timeout(time).unwrap());
        assert!(queue.join_timeout(Duration::MAX).unwrap());
    }
}

fn join_again() {
    let queue = JoinableQueue::new().unwrap();
    queue.join().unwrap();
    queue.join().unwrap();
    for round in 0..scaled(50) {
        std::thread::scope(|scope| {
            queue.put_many(0..round % 5 + 1).unwrap();
            let joins = sleeper(scope, || queue.join().unwrap());
            for _ in 0..=round % 5 {
                assert!(!joins.is_finished());
                queue.get().unwrap().task_done();
            }
            joins.join().unwrap();
        });
        queue.join().unwrap();
    }
}

fn all_are_told() {
    let queue = JoinableQueue::new().unwrap();
    let joins = |queue: JoinableQueue<u32>, here: RemoteGate| {
        here.open(1);
        queue.join().unwrap();
        assert_eq!(queue.unfinished(), 0);
    };
    for _ in 0..scaled(10) {
        queue.put_many(0..3).unwrap();
        let here = Gate::new();
        let processes = [(); 2].map(|()| start(joins, (queue.clone(), here.remote())));
        std::thread::scope(|scope| {
            let threads = sleepers(scope, 3, || queue.join().unwrap());
            let late = sleeper(scope, || queue.join_timeout(Duration::MAX).unwrap());
            processes.iter().for_each(|_| here.wait());
            let items = [(); 3].map(|()| queue.get().unwrap());
            for item in items {
                assert!(item.task_done() < 3);
            }
            threads.into_iter().for_each(|it| it.join().unwrap());
            assert!(late.join().unwrap());
        });
        processes.iter().for_each(fine);
    }
}

/// Whoever works at an item puts more before it is done: not before all of them are done does `join` return.
fn put_meanwhile() {
    let works = |queue: JoinableQueue<u32>, done: Queue<u32>| {
        for item in &queue {
            let item = item.unwrap();
            if *item > 1 {
                queue.put_many([*item / 2, *item - *item / 2]).unwrap();
            } else {
                done.put(1).unwrap();
            }
            item.task_done();
        }
    };
    let (queue, done) = (JoinableQueue::new().unwrap(), Queue::new().unwrap());
    let workers = [(); 3].map(|()| start(works, (queue.clone(), done.clone())));
    for number in [1, 2, scaled(300), 7] {
        queue.put(number).unwrap();
        queue.join().unwrap();
        assert_eq!(done.len(), number as usize);
        for _ in 0..number {
            done.get().unwrap();
        }
    }
    queue.close();
    workers.iter().for_each(fine);
}

/// In Python's words: workers get until they get `None`.
fn workers() {
    let works = |queue: JoinableQueue<Option<u64>>, sums: Queue<u64>| {
        let mut sum = 0;
        loop {
            let item = queue.get().unwrap();
            let Some(number) = *item else {
                sums.put(sum).unwrap();
                item.task_done();
                return;
            };
            sum += number;
            item.task_done();
        }
    };
    let (queue, sums) = (JoinableQueue::new().unwrap(), Queue::new().unwrap());
    let workers = [(); 4].map(|()| start(works, (queue.clone(), sums.clone())));
    let count = u64::from(scaled(500));
    (1..=count).for_each(|number| queue.put(Some(number)).unwrap());
    queue.join().unwrap();
    assert_eq!(queue.unfinished(), 0);
    (0..4).for_each(|_| queue.put(None).unwrap());
    workers.iter().for_each(fine);
    queue.join().unwrap();
    let all: u64 = (0..4).map(|_| sums.get().unwrap()).sum();
    assert_eq!(all, count * (count + 1) / 2);
}

fn by_every_way() {
    let works = |queue: JoinableQueue<String>| {
        for item in &queue {
            item.unwrap().task_done();
        }
    };
    let joins = |queue: JoinableQueue<String>| queue.join().unwrap();
    each(|way| {
        let queue = JoinableQueue::new().unwrap();
        let worker = start_by(way, works, (queue.clone(),));
        let joiner = {
            queue
                .put_many((0..100).map(|n| "x".repeat(n * 90)))
                .unwrap();
            start_by(way, joins, (queue.clone(),))
        };
        queue.join().unwrap();
        fine(&joiner);
        queue.close();
        fine(&worker);
    });
}

fn iterators() {
    let queue = JoinableQueue::new().unwrap();
    queue.put_many(0..10).unwrap();
    let mut next = 0;
    for item in &queue {
        assert_eq!(item.unwrap().task_done(), next);
        next += 1;
        if next == 10 {
            queue.close();
        }
    }
    assert_eq!((next, queue.iter().count()), (10, 0));
    queue.join().unwrap();
}

fn closed() {
    let queue = JoinableQueue::new().unwrap();
    queue.put_many([1, 2]).unwrap();
    queue.close();
    assert!(queue.is_closed());
    assert!(matches!(queue.put(3), Err(PutError::Closed(3))));
    assert!(matches!(queue.try_put(3), Err(TryPutError::Closed(3))));
    let many = queue.put_many([3, 4]);
    assert!(matches!(many, Err(PutError::Closed(back)) if back == [3, 4]));
    // What is inside is still worked at, and waited for.
    assert!(!queue.join_timeout(SHORT).unwrap());
    assert_eq!(queue.get().unwrap().task_done(), 1);
    assert_eq!(queue.try_get().unwrap().task_done(), 2);
    queue.join().unwrap();
    assert!(matches!(queue.get(), Err(GetError::Closed)));
    assert!(matches!(queue.try_get(), Err(TryGetError::Closed)));
    let late = queue.get_timeout(Duration::MAX);
    assert!(matches!(late, Err(TryGetError::Closed)));
    assert!(queue.iter().next().is_none());
    queue.shutdown(false);
    queue.join().unwrap();
}

/// What is inside counts as done, and who joins is told, whoever is at work.
fn shut_at_once() {
    for finish in [false, true] {
        let queue = JoinableQueue::new().unwrap();
        queue.put_many((0..100).map(|n| vec![n; 100 * n])).unwrap();
        let item = queue.get().unwrap();
        std::thread::scope(|scope| {
            let joins = sleepers(scope, 2, || queue.join().unwrap());
            queue.shutdown(true);
            joins.into_iter().for_each(|it| it.join().unwrap());
        });
        queue.join().unwrap();
        assert!(queue.join_timeout(Duration::ZERO).unwrap());
        assert!(queue.is_empty() && queue.is_closed());
        assert!(matches!(queue.get(), Err(GetError::Closed)));
        // It can be finished or given up all the same, and does not come back.
        if finish {
            assert!(item.task_done().is_empty());
        } else {
            drop(item);
        }
        assert!(matches!(queue.try_get(), Err(TryGetError::Closed)));
        queue.shutdown(true);
        queue.close();
        queue.join().unwrap();
        assert_eq!(queue.failed(), 0);
    }
}

/// Nobody hangs: neither who works, nor who puts, nor who joins.
fn shut_in_work() {
    let works = |queue: JoinableQueue<u32>| {
        while let Ok(item) = queue.get() {
            item.task_done();
        }
    };
    for round in 0..scaled(20) {
        let queue = JoinableQueue::with_maxsize(round as usize % 3 * 10).unwrap();
        let process = start(works, (queue.clone(),));
        std::thread::scope(|scope| {
            let puts = || while queue.put(1).is_ok() {};
            let threads = [(); 2].map(|()| scope.spawn(puts));
            scope.spawn(|| works(queue.clone()));
            scope.spawn(|| queue.join().unwrap());
            while queue.is_empty() {
                std::thread::yield_now();
            }
            queue.shutdown(true);
            threads.into_iter().for_each(|it| it.join().unwrap());
        });
        fine(&process);
        queue.join().unwrap();
        assert!(queue.is_empty());
    }
}

/// One that is not written was not put; one that is not read has failed, and keeps nobody waiting.
fn fussy_values() {
    let fussy = |encodes, decodes| Fussy { encodes, decodes };
    let queue = JoinableQueue::with_maxsize(3).unwrap();
    for _ in 0..5 {
        match queue.put(fussy(false, true)) {
            Err(PutError::Failed(back, error)) => {
                assert_eq!(back, fussy(false, true));
                assert_eq!(error.kind(), ErrorKind::Encode);
            }
            other => panic!("{other:?}"),
        }
    }
    let error = queue.put_many([fussy(true, true), fussy(false, true), fussy(true, true)]);
    let rest = error.unwrap_err().into_inner();
    assert_eq!(rest, [fussy(false, true), fussy(true, true)]);
    assert_eq!(queue.unfinished(), 1);
    let puts = |queue: JoinableQueue<Fussy>| {
        let bad = Fussy {
            encodes: true,
            decodes: false,
        };
        queue.put(bad).unwrap();
    };
    let process = start(puts, (queue.clone(),));
    let by = process.pid().unwrap().to_string();
    fine(&process);
    queue.put(fussy(true, true)).unwrap();
    assert!(queue.is_full());
    assert_eq!(queue.get().unwrap().task_done(), fussy(true, true));
    assert_eq!(queue.failed(), 0);
    let error = Error::from(queue.get().unwrap_err());
    assert_eq!(error.kind(), ErrorKind::Decode);
    let text = error.to_string();
    assert!(text.contains("Fussy") && text.contains(&by), "{text}");
    assert_eq!((queue.failed(), queue.unfinished()), (1, 1));
    assert_eq!(queue.get().unwrap().task_done(), fussy(true, true));
    queue.join().unwrap();
    assert!(matches!(queue.try_get(), Err(TryGetError::Empty)));
}

fn memory() {
    const MIB: usize = 1 << 20;
    let before = arena::usage().unwrap();
    let queue = JoinableQueue::new().unwrap();
    for length in [500, 50_000] {
        let count = 16 * MIB / length;
        queue
            .put_many((0..count).map(|_| vec![7_u8; length]))
            .unwrap();
        assert!(arena::usage().unwrap().bytes >= before.bytes + 16 * MIB);
        for item in queue.iter().take(count) {
            assert_eq!(item.unwrap().task_done().len(), length);
        }
        let now = arena::usage().unwrap();
        assert!(now.bytes <= before.bytes + 8 * MIB, "{now:?}");
    }
    drop(queue);
    assert_eq!(arena::usage().unwrap(), before);
}

/// Two processes and two threads at either end; everything is done once.
fn many_to_many() {
    let count = scaled(1_000) as usize;
    let (queue, sums) = (
        JoinableQueue::with_maxsize(50).unwrap(),
        Queue::new().unwrap(),
    );
    let puts = |queue: JoinableQueue<usize>, who: usize, count: usize| {
        for number in (who..count * 4).step_by(4) {
            queue.put(number).unwrap();
        }
    };
    let gets = |queue: JoinableQueue<usize>, sums: Queue<[usize; 2]>| {
        let done = queue.iter().map(|item| item.unwrap().task_done());
        let sum = done.fold([0; 2], |[sum, got], number| [sum + number, got + 1]);
        sums.put(sum).unwrap();
    };
    let consumers = [(); 2].map(|()| start(gets, (queue.clone(), sums.clone())));
    let producers = [0, 1].map(|who| start(puts, (queue.clone(), who, count)));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            let ends = (queue.clone(), sums.clone());
            scope.spawn(move || gets(ends.0, ends.1));
        }
        let threads = [2, 3].map(|who| (queue.clone(), who));
        let threads = threads.map(|(queue, who)| scope.spawn(move || puts(queue, who, count)));
        threads.into_iter().for_each(|it| it.join().unwrap());
        producers.iter().for_each(fine);
        queue.join().unwrap();
        assert_eq!((queue.unfinished(), queue.len()), (0, 0));
        queue.close();
    });
    consumers.iter().for_each(fine);
    let add = |all: [usize; 2], one: [usize; 2]| [all[0] + one[0], all[1] + one[1]];
    let all = (0..4).fold([0; 2], |all, _| add(all, sums.get().unwrap()));
    assert_eq!(all, [(0..count * 4).sum::<usize>(), count * 4]);
}
