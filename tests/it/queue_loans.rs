//! Messages that are read where they lie: they stay as they are, and their memory is given back once.

use crate::kit::{kill_and_join, leave, start};
use crate::queue_batches::drained;
use crate::queue_bytes::bytes_of;
use crate::runner::{Case, Gate, RemoteGate, case};
use crate::ways::{each, fine, start_by};
use multiproc::arena::usage;
use multiproc::{Error, ErrorKind, Loan, Process, Queue, arena};
use std::mem::ManuallyDrop;

pub(crate) fn tests() -> Vec<Case> {
    vec![
        case("queue_loans::do_not_change", do_not_change),
        case("queue_loans::memory_is_given_back", given_back),
        case("queue_loans::small_ones_are_copies", small_ones),
        case("queue_loans::outlive_their_queue", outlive),
        case("queue_loans::of_a_queue_that_is_shut", of_a_shut_queue),
        case("queue_loans::of_a_process_that_ends", of_an_end),
        case("queue_loans::of_a_full_arena", of_a_full_arena).cold(),
        case("queue_loans::are_shown", are_shown),
        case("queue_loans::go_to_other_threads", other_threads),
        case("queue_loans::go_with_a_fork", with_a_fork),
    ]
}

type Bytes = Queue<Vec<u8>>;

const MIB: usize = 1 << 20;

/// As many loans of messages of that length.
fn loans(queue: &Bytes, count: usize, length: usize) -> Vec<Loan> {
    (0..count).for_each(|number| queue.put_bytes(&bytes_of(number, length)).unwrap());
    (0..count).map(|_| queue.get_loan().unwrap()).collect()
}

#[track_caller]
fn are_whole(loans: &[Loan], length: usize) {
    for (number, loan) in loans.iter().enumerate() {
        assert!(**loan == *bytes_of(number, length), "loan {number}");
    }
}

/// Whatever is put and got meanwhile, by this process and by another.
fn do_not_change() {
    let works = |queue: Bytes| {
        for round in 0..200 {
            queue.put_bytes(&[0xee; 5_000]).unwrap();
            queue.put(vec![0xdd; round * 100]).unwrap();
            queue.get_loan().unwrap();
            queue.get().unwrap();
        }
    };
    for length in [0, 100, 4096, 4097, 5_000, 100_000] {
        let queue = Queue::new().unwrap();
        let kept = loans(&queue, 10, length);
        let process = start(works, (queue.clone(),));
        fine(&process);
        works(queue.clone());
        are_whole(&kept, length);
        drop(queue);
        are_whole(&kept, length);
    }
}

fn given_back() {
    let before = usage().unwrap();
    let queue = Queue::new().unwrap();
    let mut kept = loans(&queue, 16, MIB);
    assert!(queue.is_empty());
    let with_all = usage().unwrap();
    assert!(with_all.bytes >= before.bytes + 16 * MIB, "{with_all:?}");
    kept.drain(..8);
    let with_half = usage().unwrap();
    assert!(with_half.bytes + 8 * MIB <= with_all.bytes, "{with_half:?}");
    drop(kept);
    let without = usage().unwrap();
    assert!(without.bytes <= before.bytes + 8 * MIB, "{without:?}");
    drop(queue);
    assert_eq!(usage().unwrap(), before);
}

fn small_ones() {
    let before = usage().unwrap();
    let queue = Queue::new().unwrap();
    let kept = loans(&queue, 100, 4096);
    drop(queue);
    assert_eq!(usage().unwrap(), before);
    are_whole(&kept, 4096);
}

fn outlive() {
    let before = usage().unwrap();
    let queue = Queue::new().unwrap();
    let kept = loans(&queue, 5, 50_000);
    queue.put_bytes(&[1; 50_000]).unwrap();
    drop(queue);
    let now = usage().unwrap();
    assert_eq!(
        (now.objects, now.blocks),
        (before.objects, before.blocks + 5)
    );
    // The next queue does not get their memory.
    let next = Queue::new().unwrap();
    let more = loans(&next, 5, 50_000);
    are_whole(&kept, 50_000);
    are_whole(&more, 50_000);
    drop((kept, more, next));
    assert_eq!(usage().unwrap(), before);
}

/// What was taken is not inside any more.
fn of_a_shut_queue() {
    let before = usage().unwrap();
    let queue = Queue::new().unwrap();
    let kept = loans(&queue, 5, 50_000);
    queue.put_many(vec![vec![1; 50_000]; 10]).unwrap();
    let mut batch = queue.get_many(5).unwrap();
    queue.shutdown(true);
    are_whole(&kept, 50_000);
    assert_eq!(batch.next().unwrap().unwrap(), [1; 50_000]);
    drop((kept, batch, queue));
    assert_eq!(usage().unwrap(), before);
}

/// How it ends, with loans in its hands.
const ENDS: [fn(Vec<Loan>); 4] = [
    |kept| {
        let _kept = ManuallyDrop::new(kept);
    },
    |kept| {
        are_whole(&kept, 50_000);
        leave(0);
    },
    |kept| panic!("with {} loans", kept.len()),
    |kept| {
        #[expect(clippy::disallowed_methods, reason = "how a process ends is the test")]
        std::process::exit(i32::from(kept.is_empty()));
    },
];

fn of_an_end() {
    let before = usage().unwrap();
    let borrows = |queue: Bytes, end: usize| ENDS[end](loans(&queue, 5, 50_000));
    each(|way| {
        for end in 0..ENDS.len() {
            let queue = Queue::new().unwrap();
            let process = start_by(way, borrows, (queue.clone(), end));
            process.join().unwrap();
            assert!(queue.is_empty());
            drop(queue);
            assert_eq!(usage().unwrap(), before, "{way}: end {end}");
        }
    });
    let borrows = |queue: Bytes, here: RemoteGate| {
        let _kept = loans(&queue, 5, 50_000);
        here.open(1);
        Gate::new().wait();
    };
    let (queue, here) = (Queue::new().unwrap(), Gate::new());
    let process = start(borrows, (queue.clone(), here.remote()));
    here.wait();
    drop(queue);
    let now = usage().unwrap();
    assert!(now.blocks >= before.blocks + 5, "{now:?}");
    kill_and_join(&process);
    assert_eq!(usage().unwrap(), before);
}

/// Their memory is nobody's else while they live, and everybody's afterwards.
fn of_a_full_arena() {
    arena::set_size(8 * MIB).unwrap();
    let queue = Queue::new().unwrap();
    let put = || queue.put_bytes(&[7; MIB]).map_err(Error::from);
    let mut counts = Vec::new();
    for _ in 0..3 {
        let mut kept = Vec::new();
        let error = loop {
            match put() {
                Ok(()) => kept.push(queue.get_loan().unwrap()),
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), ErrorKind::NoSpace);
        assert!(kept.iter().all(|loan| **loan == [7; MIB]));
        counts.push(kept.len());
        drop(kept.pop());
        put().unwrap();
        assert_eq!(drained(&queue, 5), [vec![7; MIB]]);
    }
    assert!(counts[0] >= 2 && counts == [counts[0]; 3], "{counts:?}");
}

fn are_shown() {
    let queue = Queue::new().unwrap();
    for length in [0, 3, 100_000] {
        queue.put_bytes(&bytes_of(1, length)).unwrap();
        let loan = queue.get_loan().unwrap();
        let shown = format!("{loan:?}");
        assert!(!shown.is_empty());
        assert_eq!((loan.len(), loan.is_empty()), (length, length == 0));
        assert_eq!(loan.as_ref(), &loan[..]);
    }
}

fn other_threads() {
    let queue = Queue::new().unwrap();
    let kept = loans(&queue, 4, 50_000);
    std::thread::scope(|scope| {
        for loan in &kept {
            scope.spawn(|| assert_eq!(loan.len(), 50_000));
        }
    });
    are_whole(&kept, 50_000);
    let threads: Vec<_> = kept
        .into_iter()
        .map(|loan| std::thread::spawn(move || loan.len()))
        .collect();
    for thread in threads {
        assert_eq!(thread.join().unwrap(), 50_000);
    }
}

/// What a child does with its copies.
type Act = fn(Vec<Loan>);

/// The child has a copy that it cannot read. Whatever it does with it is nothing to its parent, which gives the memory back.
fn with_a_fork() {
    let before = usage().unwrap();
    let queue = Queue::new().unwrap();
    let acts: [(Act, i32); 3] = [
        (|theirs| drop(theirs), 0),
        (
            |theirs| {
                let _kept = ManuallyDrop::new(theirs);
            },
            0,
        ),
        (|theirs| are_whole(&theirs, 50_000), 1),
    ];
    for (act, code) in acts {
        let parents = loans(&queue, 2, 50_000);
        let theirs = loans(&queue, 3, 50_000);
        let mut process = Process::fork(move || act(theirs));
        process.start().unwrap();
        let more = loans(&queue, 5, 50_000);
        assert_eq!(process.join().unwrap(), code);
        let after = loans(&queue, 5, 50_000);
        are_whole(&parents, 50_000);
        are_whole(&more, 50_000);
        are_whole(&after, 50_000);
        drop((parents, more, after, process));
        assert_eq!(usage().unwrap().objects, before.objects + 1);
    }
    drop(queue);
    assert_eq!(usage().unwrap(), before);
}
