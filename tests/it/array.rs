//! Arrays in shared memory, and the lock of each.

use crate::kit::{elsewhere, kind, start};
use crate::runner::{Case, case, scaled};
use crate::sleepers::{Bed, RemoteBed, sleeper};
use crate::ways::{each, fine, run_by};
use multiproc::{Array, ErrorKind, Event, RLock, RawArray, TryAcquireError, Value, arena};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

pub(crate) fn tests() -> Vec<Case> {
    vec![
        case("array::verbs", verbs),
        case("array::empty", empty),
        case("array::index_outside", outside),
        case("array::other_lengths", other_lengths),
        case("array::guard_is_the_array", guard_is_the_array),
        case("array::one_guard_at_a_time", one_guard),
        case("array::under_its_own_lock", under_its_lock),
        case("array::panics", panics),
        case("array::copies_are_independent", copies),
        case("array::prefix_sums_of_a_child", prefix_sums),
        case("array::zeros_in_used_memory", zeros_in_used_memory),
        case("array::of_all_sizes", of_all_sizes),
        case("array::freed_while_allocating", freed_while_allocating),
        case("array::updates_of_processes_are_exact", processes),
        case("array::whole_arrays_are_of_one_moment", of_one_moment),
        case("array::guard_of_a_child", guard_of_a_child),
        case("array::fork_drops_a_copied_guard", fork_drops),
        case("array::larger_than_the_arena", larger_than_the_arena).cold(),
        case("array::no_space_is_told_until_there_is_some", no_space).cold(),
        case("array::sparse", sparse),
    ]
}

fn verbs() {
    let array = Array::from_slice(&[1, 2, 3]).unwrap();
    let same = array.clone();
    assert_eq!(
        (array.len(), array.is_empty(), array.get(2).unwrap()),
        (3, false, 3)
    );
    same.set(0, 10).unwrap();
    assert_eq!(array.update(1, |it| std::mem::replace(it, 20)).unwrap(), 2);
    assert_eq!(same.to_vec().unwrap(), [10, 20, 3]);
    array.lock().unwrap().swap(0, 2);
    same.try_lock().unwrap()[1] += 1;
    array.lock_timeout(Duration::ZERO).unwrap().sort_unstable();
    array.lock_timeout(Duration::MAX).unwrap()[0] -= 3;
    assert_eq!(*same.lock().unwrap(), [0, 10, 21]);
    same.copy_from_slice(&[7, 8, 9]).unwrap();
    assert_eq!(array.to_vec().unwrap(), [7, 8, 9]);
    assert_eq!(array.lock().unwrap().iter().sum::<i32>(), 24);
    assert!(!array.get_lock().locked());
    let guard = array.lock().unwrap();
    assert!(
        format!("{array:?} {guard:?}").contains("len: 3"),
        "{array:?}"
    );
}

fn empty() {
    for array in [
        Array::<u64>::from_slice(&[]),
        Array::zeroed(0),
        Array::sparse(0),
    ] {
        let array = array.unwrap();
        assert_eq!((array.len(), array.is_empty()), (0, true));
        assert_eq!(array.to_vec().unwrap(), [0; 0]);
        assert_eq!(*array.lock().unwrap(), [0; 0]);
        array.copy_from_slice(&[]).unwrap();
        assert_eq!(array.copy().unwrap().len(), 0);
        assert_eq!(kind(array.get(0)), ErrorKind::InvalidInput);
        let looks = |array: Array<u64>| assert!(array.is_empty());
        fine(&start(looks, (array.clone(),)));
    }
}

fn outside() {
    let array = Array::from_slice(&[1_u8; 200]).unwrap();
    for index in [200, 201, 1 << 40, usize::MAX / 2, usize::MAX] {
        let text = array.get(index).unwrap_err().to_string();
        assert!(
            text.contains(&index.to_string()) && text.contains("200"),
            "{text}"
        );
        assert_eq!(kind(array.get(index)), ErrorKind::InvalidInput);
        assert_eq!(kind(array.set(index, 2)), ErrorKind::InvalidInput);
        let never = array.update(index, |_| panic!("there is nothing to change"));
        assert_eq!(kind::<()>(never), ErrorKind::InvalidInput);
    }
    assert_eq!(array.to_vec().unwrap(), [1; 200]);
    assert!(!array.get_lock().locked());
    // Its size is not what is multiplied and wraps.
    let wide = Array::from_slice(&[[1_u64; 4]; 3]).unwrap();
    for index in [3, 1 << 59, (1 << 59) + 1, usize::MAX] {
        assert_eq!(kind(wide.get(index)), ErrorKind::InvalidInput);
        assert_eq!(kind(wide.set(index, [2; 4])), ErrorKind::InvalidInput);
    }
    let guard = catch_unwind(AssertUnwindSafe(|| array.lock().unwrap()[200]));
    assert!(guard.is_err(), "a slice checks its indices");
    assert_eq!(array.get(199).unwrap(), 1);
}

fn other_lengths() {
    let array = Array::from_slice(&[1, 2, 3]).unwrap();
    for length in [0, 2, 4, 1000] {
        let error = array.copy_from_slice(&vec![9; length]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains(&length.to_string()), "{error}");
    }
    assert_eq!(array.to_vec().unwrap(), [1, 2, 3]);
}

/// Without a copy in between: what is written is there, for whoever looks past the lock.
fn guard_is_the_array() {
    let array = Array::<u64>::zeroed(1000).unwrap();
    let mut guard = array.lock().unwrap();
    for (index, it) in guard.iter_mut().enumerate() {
        *it = index as u64;
    }
    let first = guard.as_ptr();
    drop(guard);
    assert_eq!(array.lock().unwrap().as_ptr(), first);
    assert_eq!(array.get(999).unwrap(), 999);
    assert_eq!(array.lock().unwrap().iter().sum::<u64>(), 499_500);
    array.lock().unwrap()[100..200].fill(0);
    assert_eq!(array.lock().unwrap()[99..102], [99, 0, 0]);
    assert_eq!(array.lock().unwrap().chunks(300).last().unwrap().len(), 100);
}

fn one_guard() {
    let array = Array::from_slice(&[1, 2, 3]).unwrap();
    let mut guard = array.lock().unwrap();
    let same = array.clone();
    assert_eq!(kind(same.get(0)), ErrorKind::Misuse);
    assert_eq!(kind(array.set(0, 2)), ErrorKind::Misuse);
    assert_eq!(kind(array.update(0, |it| *it += 1)), ErrorKind::Misuse);
    assert_eq!(kind(array.to_vec()), ErrorKind::Misuse);
    assert_eq!(kind(array.copy()), ErrorKind::Misuse);
    assert_eq!(kind(array.copy_from_slice(&[0; 3])), ErrorKind::Misuse);
    assert_eq!(kind(array.lock().map_err(Into::into)), ErrorKind::Misuse);
    assert_eq!(kind(same.try_lock().map_err(Into::into)), ErrorKind::Misuse);
    guard[0] = 5;
    drop(guard);
    assert_eq!(array.to_vec().unwrap(), [5, 2, 3]);
    let inner = array.update(1, |_| [kind(same.get(0)), kind(same.set(2, 6))]);
    assert_eq!(
        inner.unwrap(),
        [ErrorKind::Misuse; 2],
        "not even another index"
    );
    assert_eq!(array.get_lock().level(), 0);
}

fn under_its_lock() {
    let lock = RLock::new().unwrap();
    let array = Array::with_lock(&[1, 2, 3], &lock).unwrap();
    let sum = Value::with_lock(0, &lock).unwrap();
    let outer = lock.acquire().unwrap();
    array.set(0, array.get(2).unwrap() * 10).unwrap();
    let mut guard = array.lock().unwrap();
    guard[1] = 0;
    sum.update(|it| *it = guard.iter().sum()).unwrap();
    drop(guard);
    elsewhere(|| {
        let late = array.lock_timeout(Duration::from_millis(5));
        assert!(matches!(late, Err(TryAcquireError::Busy)), "{late:?}");
        assert!(matches!(sum.try_lock(), Err(TryAcquireError::Busy)));
    });
    drop(outer);
    assert_eq!(
        (array.to_vec().unwrap(), sum.get().unwrap()),
        (vec![30, 0, 3], 33)
    );
}

fn panics() {
    let array = Array::from_slice(&[1_u64; 100]).unwrap();
    let update = AssertUnwindSafe(|| {
        array.update(5, |it| {
            *it = 9;
            std::panic::resume_unwind(Box::new("on purpose"));
        })
    });
    assert!(catch_unwind(update).is_err());
    assert_eq!(array.to_vec().unwrap(), [1; 100]);
    let guard = AssertUnwindSafe(|| {
        array.lock().unwrap()[5] = 9;
        let _guard = array.lock().unwrap();
        std::panic::resume_unwind(Box::new("on purpose"));
    });
    assert!(catch_unwind(guard).is_err());
    assert_eq!(
        elsewhere(|| array.try_lock().unwrap()[5]),
        9,
        "given back, no poison"
    );
}

fn copies() {
    let array = Array::from_slice(&(0..500_u32).collect::<Vec<_>>()).unwrap();
    let copy = array.copy().unwrap();
    array.lock().unwrap().fill(0);
    assert_eq!((copy.len(), copy.get(499).unwrap()), (500, 499));
    let _guard = array.lock().unwrap();
    copy.set(0, 7).unwrap();
    drop(_guard);
    assert_eq!(array.get(0).unwrap(), 0);
    drop(array);
    assert_eq!(copy.get(0).unwrap(), 7);
}

/// Python's `test_array`: sums in the child are equal to those of this process.
fn prefix_sums() {
    each(|way| {
        let numbers: Vec<i32> = vec![680, 626, 934, 821, 150, 233, 548, 982, 714, 831];
        let sums = |array: Array<i32>| {
            let mut guard = array.lock().unwrap();
            for index in 1..guard.len() {
                guard[index] += guard[index - 1];
            }
        };
        let array = Array::from_slice(&numbers).unwrap();
        assert_eq!(array.lock().unwrap()[2..7], numbers[2..7]);
        array.lock().unwrap()[4..8].copy_from_slice(&[1, 2, 3, 4]);
        let mut expected = numbers;
        expected[4..8].copy_from_slice(&[1, 2, 3, 4]);
        for index in 1..expected.len() {
            expected[index] += expected[index - 1];
        }
        run_by(way, sums, (array.clone(),));
        assert_eq!(array.to_vec().unwrap(), expected);
    });
}

/// Python's `test_array_from_size`: memory that others have left dirty.
fn zeros_in_used_memory() {
    let before = arena::usage().unwrap();
    for length in [1, 5, 16, 17, 100, 1000, 5000, 100_000] {
        for _ in 0..3 {
            let dirty = Array::from_slice(&vec![u64::MAX; length]).unwrap();
            drop(dirty);
            let zeros = Array::<u64>::zeroed(length).unwrap();
            assert!(zeros.lock().unwrap().iter().all(|it| *it == 0), "{length}");
            zeros.lock().unwrap().fill(u64::MAX);
            drop(zeros);
            let sparse = Array::<u64>::sparse(length).unwrap();
            assert!(sparse.lock().unwrap().iter().all(|it| *it == 0), "{length}");
            sparse.lock().unwrap().fill(u64::MAX);
            drop(sparse);
            let raw = RawArray::<u64>::zeroed(length).unwrap();
            assert!(raw.to_vec().unwrap().iter().all(|it| *it == 0), "{length}");
            raw.copy_from_slice(&vec![u64::MAX; length]).unwrap();
        }
    }
    assert_eq!(arena::usage().unwrap(), before);
}

fn of_all_sizes() {
    for length in (0..300).chain([511, 512, 513, 4095, 4096, 4097, 65_536, 1_000_003]) {
        let byte = |index: usize| index.to_le_bytes()[0] ^ 0x5a;
        let bytes: Vec<u8> = (0..length).map(byte).collect();
        let array = Array::from_slice(&bytes).unwrap();
        let other = Array::from_slice(&vec![0xff_u8; length]).unwrap();
        assert_eq!(array.len(), length);
        assert!(*array.lock().unwrap() == *bytes, "{length}");
        array.lock().unwrap().fill(1);
        assert!(
            other.lock().unwrap().iter().all(|it| *it == 0xff),
            "{length}"
        );
    }
}

/// Python's `test_free_from_gc`: what is freed by the end of a value, in the middle of the making of another.
fn freed_while_allocating() {
    struct Holds {
        array: Array<u64>,
        value: Value<[u64; 30]>,
        last: bool,
    }
    impl Drop for Holds {
        fn drop(&mut self) {
            assert_eq!(self.value.get().unwrap()[29], self.array.len() as u64);
            if !self.last {
                // One more, in the middle of an end.
                drop(holds(self.array.len(), true));
            }
        }
    }
    fn holds(length: usize, last: bool) -> Holds {
        Holds {
            array: Array::zeroed(length).unwrap(),
            value: Value::new([length as u64; 30]).unwrap(),
            last,
        }
    }
    let before = arena::usage().unwrap();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !stop.load(SeqCst) {
                    drop(Array::<u64>::zeroed(700).unwrap());
                }
            });
        }
        for round in 0..scaled(500) as usize {
            drop(holds(round % 700, false));
        }
        stop.store(true, SeqCst);
    });
    assert_eq!(arena::usage().unwrap(), before);
}

fn processes() {
    let (array, rounds) = (Array::<u64>::zeroed(50).unwrap(), u64::from(scaled(3000)));
    let body = |array: Array<u64>, rounds: u64| {
        for round in 0..rounds {
            let index = usize::try_from(round % 50).unwrap();
            array.update(index, |it| *it += 1).unwrap();
            array.lock().unwrap()[index] += 1;
        }
    };
    let workers = [(); 4].map(|()| start(body, (array.clone(), rounds)));
    workers.iter().for_each(fine);
    assert_eq!(array.lock().unwrap().iter().sum::<u64>(), 8 * rounds);
}

/// Nobody sees half of what another one writes.
fn of_one_moment() {
    let (array, stop) = (Array::<u32>::zeroed(2000).unwrap(), Event::new().unwrap());
    let body = |array: Array<u32>, stop: Event| {
        for number in (1..).take_while(|_| !stop.is_set()) {
            array.copy_from_slice(&[number; 2000]).unwrap();
            array.lock().unwrap().fill(number);
        }
    };
    let writers = [(); 2].map(|()| start(body, (array.clone(), stop.clone())));
    for _ in 0..scaled(1000) {
        let seen = array.to_vec().unwrap();
        assert!(seen.iter().all(|it| *it == seen[0]));
        let copy = array.copy().unwrap().to_vec().unwrap();
        assert!(copy.iter().all(|it| *it == copy[0]));
    }
    stop.set().unwrap();
    writers.iter().for_each(fine);
}

fn guard_of_a_child() {
    let (array, bed) = (Array::<u8>::zeroed(500).unwrap(), Bed::new());
    let body = |array: Array<u8>, bed: RemoteBed, go: Event| {
        let mut guard = array.lock().unwrap();
        guard.fill(7);
        bed.lie_down();
        go.wait().unwrap();
        guard[0] = 8;
    };
    let go = Event::new().unwrap();
    let child = start(body, (array.clone(), bed.remote(), go.clone()));
    bed.is_slept_in();
    assert!(matches!(array.try_lock(), Err(TryAcquireError::Busy)));
    std::thread::scope(|scope| {
        let reader = sleeper(scope, || array.to_vec().unwrap());
        go.set().unwrap();
        assert_eq!(reader.join().unwrap()[..2], [8, 7]);
    });
    fine(&child);
}

fn fork_drops() {
    let array = Array::from_slice(&[1, 2, 3]).unwrap();
    let mut copy = Some(array.lock().unwrap());
    let fork = crate::kit::fork_behind_our_back(|| {
        drop(copy.take());
        assert!(matches!(array.try_lock(), Err(TryAcquireError::Busy)));
    });
    let status = nix::sys::wait::waitpid(fork, None).unwrap();
    assert_eq!(status, nix::sys::wait::WaitStatus::Exited(fork, 0));
    assert_eq!(
        kind(array.get(0)),
        ErrorKind::Misuse,
        "the guard is still here"
    );
    drop(copy);
    assert_eq!(array.get(0).unwrap(), 1);
}

/// An error and no signal, whatever was asked for.
fn larger_than_the_arena() {
    arena::set_size(2 << 20).unwrap();
    drop(Array::<u8>::zeroed(1).unwrap());
    let before = arena::usage().unwrap();
    let sizes = [
        2 << 20,
        3 << 20,
        1 << 32,
        1 << 60,
        usize::MAX / 8,
        usize::MAX,
    ];
    for size in sizes {
        for array in [Array::<u64>::zeroed(size), Array::sparse(size)] {
            assert_eq!(kind(array), ErrorKind::NoSpace, "{size}");
        }
        for array in [RawArray::<u8>::zeroed(size), RawArray::sparse(size)] {
            assert_eq!(kind(array), ErrorKind::NoSpace, "{size}");
        }
    }
    assert_eq!(
        kind(Array::from_slice(&vec![1_u8; 4 << 20])),
        ErrorKind::NoSpace
    );
    assert_eq!(arena::usage().unwrap(), before, "nothing is left of them");
    let array = Array::<u8>::zeroed(100_000).unwrap();
    assert!(array.lock().unwrap().iter().all(|it| *it == 0));
}

fn no_space() {
    arena::set_size(4 << 20).unwrap();
    let mut arrays = Vec::new();
    let error = loop {
        match Array::from_slice(&[arrays.len(); 8192]) {
            Ok(array) => arrays.push(array),
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), ErrorKind::NoSpace);
    assert!(arrays.len() > 10, "{}", arrays.len());
    assert_eq!(kind(Array::<usize>::zeroed(8192)), ErrorKind::NoSpace);
    assert_eq!(kind(arrays[0].copy()), ErrorKind::NoSpace);
    for (number, array) in arrays.iter().enumerate() {
        assert!(array.lock().unwrap().iter().all(|it| *it == number));
    }
    arrays.pop();
    let zeros = Array::<usize>::zeroed(8192).unwrap();
    assert!(zeros.lock().unwrap().iter().all(|it| *it == 0));
}

/// Larger than what anybody touches of it.
fn sparse() {
    let before = arena::usage().unwrap();
    let table = Array::<u64>::sparse(4_000_000).unwrap();
    let touches = |table: Array<u64>| {
        table.set(3_999_999, 1).unwrap();
        table.update(2_000_000, |it| *it += 2).unwrap();
        assert_eq!(table.get(1_000_000).unwrap(), 0);
    };
    fine(&start(touches, (table.clone(),)));
    assert_eq!(table.len(), 4_000_000);
    let places = [0, 1_999_999, 2_000_000, 3_999_999];
    assert_eq!(places.map(|index| table.get(index).unwrap()), [0, 0, 2, 1]);
    assert_eq!(kind(table.get(4_000_000)), ErrorKind::InvalidInput);
    drop(table);
    assert_eq!(arena::usage().unwrap(), before);
}
