//! The queue with the fewest verbs.

use crate::kit::start;
use crate::process::Fussy;
use crate::runner::{Case, Gate, RemoteGate, case, scaled};
use crate::sleepers::{sleeper, sleepers};
use crate::ways::{each, fine, start_by};
use multiproc::{Error, ErrorKind, GetError, Lock, PutError, SimpleQueue, arena};

pub(crate) fn tests() -> Vec<Case> {
    vec![
        case("simple_queue::first_in_first_out", first_in_first_out),
        case("simple_queue::empty_across_processes", empty_across),
        case("simple_queue::closed", closed),
        case("simple_queue::closed_and_never_used", never_used),
        case("simple_queue::closed_by_another", by_another),
        case("simple_queue::close_wakes_sleepers", close_wakes),
        case("simple_queue::nothing_is_left_when_closed", nothing_left),
        case("simple_queue::errors_give_back", errors),
        case("simple_queue::of_all_sizes", of_all_sizes),
        case("simple_queue::handles_inside", handles_inside),
        case("simple_queue::many_to_many", many_to_many),
        case("simple_queue::order_of_each_producer", order),
        case("simple_queue::one_value_for_each_sleeper", one_for_each),
    ]
}

fn first_in_first_out() {
    let queue = SimpleQueue::new().unwrap();
    let count = scaled(5_000);
    let mut next = 0;
    for number in 0..count {
        queue.put((number, number.to_string())).unwrap();
        if number % 3 == 0 {
            assert_eq!(queue.get().unwrap(), (next, next.to_string()));
            next += 1;
        }
    }
    for number in next..count {
        assert!(!queue.is_empty().unwrap());
        assert_eq!(queue.get().unwrap(), (number, number.to_string()));
    }
    assert!(queue.is_empty().unwrap());
    assert!(format!("{queue:?}").contains("SimpleQueue"));
}

/// What one process sees of what the other does, step by step.
fn empty_across() {
    let child = |queue: SimpleQueue<bool>, here: RemoteGate, there: RemoteGate| {
        there.wait();
        assert!(queue.is_empty().unwrap());
        queue.put(queue.is_empty().unwrap()).unwrap();
        queue.put(queue.is_empty().unwrap()).unwrap();
        assert!(!queue.is_empty().unwrap());
        here.open(1);
    };
    each(|way| {
        let (queue, here, there) = (SimpleQueue::new().unwrap(), Gate::new(), Gate::new());
        let process = start_by(way, child, (queue.clone(), here.remote(), there.remote()));
        assert!(queue.is_empty().unwrap());
        there.open(1);
        here.wait();
        assert!(!queue.is_empty().unwrap());
        assert!(queue.get().unwrap());
        assert!(!queue.get().unwrap());
        assert!(queue.is_empty().unwrap());
        fine(&process);
    });
}

/// Every verb says so at once, also when something was inside.
#[track_caller]
fn is_closed(queue: &SimpleQueue<String>) {
    assert!(matches!(queue.get(), Err(GetError::Closed)));
    assert!(matches!(queue.is_empty(), Err(GetError::Closed)));
    match queue.put("back".to_owned()) {
        Err(PutError::Closed(text)) => assert_eq!(text, "back"),
        other => panic!("{other:?}"),
    }
    assert_eq!(
        Error::from(queue.get().unwrap_err()).kind(),
        ErrorKind::Closed
    );
}

fn closed() {
    let queue = SimpleQueue::new().unwrap();
    queue.put("one".to_owned()).unwrap();
    queue.put("two".to_owned()).unwrap();
    assert_eq!(queue.get().unwrap(), "one");
    let other = queue.clone();
    queue.close();
    is_closed(&queue);
    is_closed(&other);
    queue.close();
    other.close();
    is_closed(&queue);
}

fn never_used() {
    let queue = SimpleQueue::new().unwrap();
    queue.close();
    is_closed(&queue);
    queue.close();
    is_closed(&queue.clone());
}

fn by_another() {
    each(|way| {
        let queue = SimpleQueue::new().unwrap();
        queue.put("inside".to_owned()).unwrap();
        let closes = |queue: SimpleQueue<String>| {
            queue.close();
            is_closed(&queue);
        };
        fine(&start_by(way, closes, (queue.clone(),)));
        is_closed(&queue);
        let looks = |queue: SimpleQueue<String>| is_closed(&queue);
        fine(&start_by(way, looks, (queue,)));
    });
}

fn close_wakes() {
    let gets = |queue: SimpleQueue<u8>, here: RemoteGate| {
        here.open(1);
        assert!(matches!(queue.get(), Err(GetError::Closed)));
    };
    for _ in 0..scaled(10) {
        let (queue, here) = (SimpleQueue::new().unwrap(), Gate::new());
        let processes = [(); 2].map(|()| start(gets, (queue.clone(), here.remote())));
        std::thread::scope(|scope| {
            let threads = sleepers(scope, 3, || matches!(queue.get(), Err(GetError::Closed)));
            processes.iter().for_each(|_| here.wait());
            queue.close();
            let mut threads = threads.into_iter();
            assert!(threads.all(|it| it.join().unwrap()));
        });
        processes.iter().for_each(fine);
    }
}

fn nothing_left() {
    let before = arena::usage().unwrap();
    let queue = SimpleQueue::new().unwrap();
    for number in 0..100 {
        let handles = vec![Lock::new().unwrap(); 3];
        queue.put((handles, vec![number; 100_000])).unwrap();
    }
    queue.close();
    let now = arena::usage().unwrap();
    assert_eq!(now.objects, before.objects + 1);
    assert!(now.bytes <= before.bytes + (1 << 20), "{now:?}");
    drop(queue);
    assert_eq!(arena::usage().unwrap(), before);
}

fn errors() {
    let fussy = |encodes, decodes| Fussy { encodes, decodes };
    let queue = SimpleQueue::new().unwrap();
    queue.put(fussy(true, true)).unwrap();
    match queue.put(fussy(false, true)) {
        Err(PutError::Failed(back, error)) => {
            assert_eq!(back, fussy(false, true));
            assert_eq!(error.kind(), ErrorKind::Encode);
        }
        other => panic!("{other:?}"),
    }
    queue.put(fussy(true, false)).unwrap();
    queue.put(fussy(true, true)).unwrap();
    assert_eq!(queue.get().unwrap(), fussy(true, true));
    match queue.get() {
        Err(GetError::Failed(error)) => {
            let (text, own) = (error.to_string(), std::process::id().to_string());
            assert_eq!(error.kind(), ErrorKind::Decode);
            assert!(text.contains("Fussy") && text.contains(&own), "{text}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(queue.get().unwrap(), fussy(true, true));
    assert!(queue.is_empty().unwrap());
}

fn of_all_sizes() {
    let echo = |there: SimpleQueue<Vec<u8>>, back: SimpleQueue<Vec<u8>>| {
        while let Ok(bytes) = there.get() {
            back.put(bytes).unwrap();
        }
    };
    let (there, back) = (SimpleQueue::new().unwrap(), SimpleQueue::new().unwrap());
    let process = start(echo, (there.clone(), back.clone()));
    for length in [0, 1, 120, 121, 4096, 4097, 65_536, 1 << 20, 5 << 20] {
        let byte = |place: usize| (place % 251).to_le_bytes()[0];
        let bytes: Vec<u8> = (0..length).map(byte).collect();
        there.put(bytes.clone()).unwrap();
        assert!(back.get().unwrap() == bytes, "{length} bytes");
    }
    there.close();
    fine(&process);
}

fn handles_inside() {
    let before = arena::usage().unwrap();
    let outer = SimpleQueue::<(SimpleQueue<u8>, Option<Lock>)>::new().unwrap();
    let answers = |outer: SimpleQueue<(SimpleQueue<u8>, Option<Lock>)>| {
        let (inner, lock) = outer.get().unwrap();
        inner.put(u8::from(lock.unwrap().locked())).unwrap();
    };
    let (inner, lock) = (SimpleQueue::new().unwrap(), Lock::new().unwrap());
    let guard = lock.acquire().unwrap();
    outer.put((inner.clone(), Some(lock.clone()))).unwrap();
    fine(&start(answers, (outer.clone(),)));
    assert_eq!(inner.get().unwrap(), 1);
    drop(guard);
    outer.put((inner, None)).unwrap();
    drop((outer, lock));
    assert_eq!(arena::usage().unwrap(), before);
}

/// Who put it, and which one of his it is; the last one to get ends the others.
type Numbered = (u32, u32);
const END: u32 = u32::MAX;

fn many_to_many() {
    let (queue, sums) = (SimpleQueue::new().unwrap(), SimpleQueue::new().unwrap());
    let count = scaled(1_000);
    let puts = |queue: SimpleQueue<Numbered>, who: u32, count: u32| {
        (0..count).for_each(|number| queue.put((who, number)).unwrap());
    };
    let gets = |queue: SimpleQueue<Numbered>, sums: SimpleQueue<u32>| {
        let (mut next, mut got) = ([0; 4], 0);
        loop {
            let (who, number) = queue.get().unwrap();
            if who == END {
                return sums.put(got).unwrap();
            }
            assert!(number >= next[who as usize], "{number} of {who}");
            next[who as usize] = number + 1;
            got += 1;
        }
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
        (0..4).for_each(|_| queue.put((END, 0)).unwrap());
    });
    consumers.iter().for_each(fine);
    let all: u32 = (0..4).map(|_| sums.get().unwrap()).sum();
    assert_eq!(all, 4 * count);
}

fn order() {
    let queue = SimpleQueue::new().unwrap();
    let count = scaled(1_000);
    let puts = |queue: SimpleQueue<Numbered>, who: u32, count: u32| {
        (0..count).for_each(|number| queue.put((who, number)).unwrap());
    };
    each(|way| {
        let producers = [0, 1, 2].map(|who| start_by(way, puts, (queue.clone(), who, count)));
        let mut next = [0; 3];
        for _ in 0..3 * count {
            let (who, number) = queue.get().unwrap();
            assert_eq!(number, next[who as usize], "{way}: of {who}");
            next[who as usize] += 1;
        }
        producers.iter().for_each(fine);
    });
}

fn one_for_each() {
    let queue = SimpleQueue::new().unwrap();
    for _ in 0..scaled(20) {
        std::thread::scope(|scope| {
            let getters = sleepers(scope, 4, || queue.get().unwrap());
            let last = sleeper(scope, || queue.get().unwrap());
            (0..5).for_each(|number| queue.put(number).unwrap());
            let mut got: Vec<u32> = getters.into_iter().map(|it| it.join().unwrap()).collect();
            got.push(last.join().unwrap());
            got.sort_unstable();
            assert_eq!(got, [0, 1, 2, 3, 4]);
        });
    }
}
