//! Values and arrays in shared memory without a lock: one step where the processor has one, copies otherwise.

use crate::kit::{kind, start};
use crate::runner::{Case, case, scaled};
use crate::ways::{each, fine, run_by};
use multiproc::{ErrorKind, Event, RawArray, RawValue, arena};

pub(crate) fn tests() -> Vec<Case> {
    vec![
        case("raw::verbs", verbs),
        case("raw::array_verbs", array_verbs),
        case("raw::every_integer", every_integer),
        case("raw::every_integer_in_arrays", every_integer_in_arrays),
        case("raw::index_outside", outside),
        case("raw::other_lengths", other_lengths),
        case("raw::changed_by_a_child", changed_by_a_child),
        case("raw::sums_of_processes_are_exact", sums),
        case("raw::sums_of_threads_are_exact", sums_of_threads),
        case("raw::neighbours_are_left_alone", neighbours),
        case("raw::swapped_by_one_only", swapped_by_one),
        case("raw::one_step_is_what_was_or_what_will_be", never_torn),
        case("raw::what_was_written_before_is_seen", ordered),
        case("raw::memory_is_used_again", used_again),
        case("raw::given_back", given_back),
    ]
}

fn verbs() {
    let value = RawValue::new(7_u64).unwrap();
    let same = value.clone();
    assert_eq!((value.get().unwrap(), same.load().unwrap()), (7, 7));
    same.set(8).unwrap();
    assert_eq!(value.load().unwrap(), 8);
    value.store(9).unwrap();
    assert_eq!(same.get().unwrap(), 9);
    assert!(format!("{value:?}").contains("RawValue") && format!("{value:?}").contains('9'));
    let number = RawValue::new(0.5).unwrap();
    number.set(-0.25).unwrap();
    assert_eq!(number.clone().get().unwrap(), -0.25);
    let row = RawValue::new([1_u8; 1000]).unwrap();
    row.set([2; 1000]).unwrap();
    assert_eq!(row.get().unwrap(), [2; 1000]);
}

fn array_verbs() {
    let array = RawArray::from_slice(&[1_i32, 2, 3]).unwrap();
    let same = array.clone();
    assert_eq!((array.len(), array.is_empty()), (3, false));
    same.set(0, -1).unwrap();
    assert_eq!((array.get(0).unwrap(), array.load(0).unwrap()), (-1, -1));
    assert_eq!(array.to_vec().unwrap(), [-1, 2, 3]);
    same.copy_from_slice(&[4, 5, 6]).unwrap();
    array.store(1, 50).unwrap();
    assert_eq!(same.to_vec().unwrap(), [4, 50, 6]);
    assert!(format!("{array:?}").contains("len: 3"), "{array:?}");
    let none = RawArray::<f64>::zeroed(0).unwrap();
    assert_eq!(
        (none.len(), none.is_empty(), none.to_vec().unwrap()),
        (0, true, vec![])
    );
    assert_eq!(
        RawArray::<u16>::sparse(3).unwrap().to_vec().unwrap(),
        [0; 3]
    );
    // Of a size that the processor has no steps for, at all alignments.
    let odd = RawArray::from_slice(&[[1_u8, 2, 3]; 100]).unwrap();
    odd.set(33, [7, 8, 9]).unwrap();
    assert_eq!(
        [32, 33, 34].map(|index| odd.get(index).unwrap()),
        [[1, 2, 3], [7, 8, 9], [1, 2, 3]]
    );
}

/// Every step of each integer type, at the ends of its range.
fn every_integer() {
    macro_rules! each {
        ($($integer:ty)*) => { $({
            let (min, max) = (<$integer>::MIN, <$integer>::MAX);
            let value = RawValue::<$integer>::new(max).unwrap();
            assert_eq!(value.fetch_add(1).unwrap(), max);
            assert_eq!(value.load().unwrap(), min, "it wraps");
            assert_eq!(value.fetch_sub(1).unwrap(), min);
            assert_eq!(value.swap(0b1100).unwrap(), max);
            assert_eq!(value.fetch_and(0b0110).unwrap(), 0b1100);
            assert_eq!(value.fetch_or(0b0011).unwrap(), 0b0100);
            assert_eq!(value.fetch_xor(0b0101).unwrap(), 0b0111);
            assert_eq!(value.fetch_max(5).unwrap(), 0b0010);
            assert_eq!(value.fetch_max(min).unwrap(), 5);
            assert_eq!(value.fetch_min(max).unwrap(), 5);
            assert_eq!(value.fetch_min(min).unwrap(), 5);
            assert_eq!(value.compare_exchange(max, 1).unwrap(), Err(min));
            assert_eq!(value.compare_exchange(min, 1).unwrap(), Ok(min));
            assert_eq!(value.fetch_max(max).unwrap(), 1);
            assert_eq!(value.load().unwrap(), max);
            value.store(min).unwrap();
            assert_eq!(value.get().unwrap(), min);
        })* };
    }
    each!(i8 u8 i16 u16 i32 u32 i64 u64 isize usize);
}

fn every_integer_in_arrays() {
    macro_rules! each {
        ($($integer:ty)*) => { $({
            let (min, max) = (<$integer>::MIN, <$integer>::MAX);
            let array = RawArray::<$integer>::from_slice(&[42; 5]).unwrap();
            array.store(2, max).unwrap();
            assert_eq!(array.fetch_add(2, 1).unwrap(), max);
            assert_eq!(array.load(2).unwrap(), min, "it wraps");
            assert_eq!(array.fetch_sub(2, 1).unwrap(), min);
            assert_eq!(array.swap(2, 0b1100).unwrap(), max);
            assert_eq!(array.fetch_and(2, 0b0110).unwrap(), 0b1100);
            assert_eq!(array.fetch_or(2, 0b0011).unwrap(), 0b0100);
            assert_eq!(array.fetch_xor(2, 0b0101).unwrap(), 0b0111);
            assert_eq!(array.fetch_max(2, 5).unwrap(), 0b0010);
            assert_eq!(array.fetch_min(2, min).unwrap(), 5);
            assert_eq!(array.compare_exchange(2, max, 1).unwrap(), Err(min));
            assert_eq!(array.compare_exchange(2, min, 1).unwrap(), Ok(min));
            assert_eq!(array.to_vec().unwrap(), [42, 42, 1, 42, 42]);
        })* };
    }
    each!(i8 u8 i16 u16 i32 u32 i64 u64 isize usize);
}

fn outside() {
    let array = RawArray::from_slice(&[1_u32; 3]).unwrap();
    for index in [3, 4, 1 << 62, usize::MAX] {
        let text = array.get(index).unwrap_err().to_string();
        assert!(
            text.contains(&index.to_string()) && text.contains('3'),
            "{text}"
        );
        assert_eq!(kind(array.get(index)), ErrorKind::InvalidInput);
        assert_eq!(kind(array.set(index, 9)), ErrorKind::InvalidInput);
        assert_eq!(kind(array.load(index)), ErrorKind::InvalidInput);
        assert_eq!(kind(array.store(index, 9)), ErrorKind::InvalidInput);
        assert_eq!(kind(array.swap(index, 9)), ErrorKind::InvalidInput);
        assert_eq!(kind(array.fetch_add(index, 9)), ErrorKind::InvalidInput);
        assert_eq!(kind(array.fetch_max(index, 9)), ErrorKind::InvalidInput);
        assert_eq!(
            kind(array.compare_exchange(index, 1, 9)),
            ErrorKind::InvalidInput
        );
    }
    assert_eq!(array.to_vec().unwrap(), [1; 3]);
}

fn other_lengths() {
    let array = RawArray::from_slice(&[1_u8; 3]).unwrap();
    for length in [0, 2, 4, 1000] {
        let copied = array.copy_from_slice(&vec![9; length]);
        assert_eq!(kind(copied), ErrorKind::InvalidInput);
    }
    assert_eq!(array.to_vec().unwrap(), [1; 3]);
}

/// Python's `test_rawvalue` and `test_rawarray`.
fn changed_by_a_child() {
    each(|way| {
        let value = RawValue::new(2.0_f64).unwrap();
        let array = RawArray::from_slice(&[680_i32, 626, 934, 821, 150]).unwrap();
        let changes = |value: RawValue<f64>, array: RawArray<i32>| {
            value.set(value.get().unwrap() * 2.0).unwrap();
            for index in 1..array.len() {
                array
                    .fetch_add(index, array.load(index - 1).unwrap())
                    .unwrap();
            }
        };
        run_by(way, changes, (value.clone(), array.clone()));
        assert_eq!(value.get().unwrap(), 4.0);
        assert_eq!(array.to_vec().unwrap(), [680, 1306, 2240, 3061, 3211]);
    });
}

fn sums() {
    let rounds = scaled(50_000);
    let (sum, least) = (
        RawValue::new(0_u64).unwrap(),
        RawValue::new(i64::MAX).unwrap(),
    );
    let bytes = RawArray::<u8>::zeroed(8).unwrap();
    let body = |sum: RawValue<u64>, least: RawValue<i64>, bytes: RawArray<u8>, rounds: u32| {
        for round in 0..rounds {
            sum.fetch_add(3).unwrap();
            sum.fetch_sub(1).unwrap();
            least.fetch_min(-i64::from(round)).unwrap();
            bytes.fetch_add(round as usize % 8, 1).unwrap();
        }
    };
    let arguments = || (sum.clone(), least.clone(), bytes.clone(), rounds);
    let workers = [(); 4].map(|()| start(body, arguments()));
    workers.iter().for_each(fine);
    assert_eq!(sum.load().unwrap(), 8 * u64::from(rounds));
    assert_eq!(least.load().unwrap(), -i64::from(rounds - 1));
    for (index, byte) in bytes.to_vec().unwrap().into_iter().enumerate() {
        let times = (0..rounds)
            .filter(|round| *round as usize % 8 == index)
            .count();
        assert_eq!(usize::from(byte), 4 * times % 256);
    }
}

fn sums_of_threads() {
    let (value, rounds) = (RawValue::new(0_u16).unwrap(), scaled(50_000));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..rounds {
                    value.fetch_add(1).unwrap();
                }
            });
        }
    });
    assert_eq!(u32::from(value.load().unwrap()), 4 * rounds % (1 << 16));
}

/// Two processes write next to each other, byte by byte.
fn neighbours() {
    let (array, rounds) = (RawArray::<u8>::zeroed(64).unwrap(), scaled(20_000));
    let body = |array: RawArray<u8>, who: usize, rounds: u32| {
        for round in 0..rounds {
            let number = round.to_le_bytes()[0];
            for index in (who..64).step_by(2) {
                array.set(index, number).unwrap();
            }
            for index in (who..64).step_by(2) {
                assert_eq!(array.get(index).unwrap(), number, "somebody else's");
            }
        }
    };
    let writers = [0, 1].map(|who| start(body, (array.clone(), who, rounds / 64 + 1)));
    writers.iter().for_each(fine);
}

/// Of many who want the next number each gets another one.
fn swapped_by_one() {
    let (next, rounds) = (RawValue::new(0_u32).unwrap(), scaled(5000));
    let taken = RawArray::<u8>::zeroed(rounds as usize).unwrap();
    let body = |next: RawValue<u32>, taken: RawArray<u8>| loop {
        let number = next.load().unwrap();
        if number as usize == taken.len() {
            return;
        }
        if next.compare_exchange(number, number + 1).unwrap() == Ok(number) {
            taken.fetch_add(number as usize, 1).unwrap();
        }
    };
    let takers = [(); 3].map(|()| start(body, (next.clone(), taken.clone())));
    takers.iter().for_each(fine);
    assert_eq!(taken.to_vec().unwrap(), vec![1; rounds as usize]);
}

/// Up to eight bytes are written and read whole, also by the verbs that copy.
fn never_torn() {
    type Both = (RawValue<u64>, RawValue<[u32; 2]>, RawArray<f64>);
    let both: Both = (
        RawValue::new(0).unwrap(),
        RawValue::new([0; 2]).unwrap(),
        RawArray::zeroed(1).unwrap(),
    );
    let stop = Event::new().unwrap();
    let writes = |(number, _pair, real): Both, stop: Event| {
        for round in (0..).take_while(|_| !stop.is_set()) {
            let all: u64 = if round % 2 == 0 { 0 } else { u64::MAX };
            number.set(all).unwrap();
            real.set(0, f64::from_bits(all)).unwrap();
        }
    };
    let writer = start(writes, (both.clone(), stop.clone()));
    let mut seen = [0_u32; 2];
    for _ in 0..scaled(200_000) {
        let number = both.0.get().unwrap();
        assert!(number == 0 || number == u64::MAX, "{number:x}");
        seen[usize::from(number == 0)] += 1;
        let real = both.2.get(0).unwrap().to_bits();
        assert!(real == 0 || real == u64::MAX, "{real:x}");
    }
    stop.set().unwrap();
    fine(&writer);
    println!("seen: {seen:?}");
}

/// A number that is stored in one step brings with it what was written before.
fn ordered() {
    let (flag, data) = (
        RawValue::new(0_u32).unwrap(),
        RawArray::<u64>::zeroed(100).unwrap(),
    );
    let rounds = scaled(2000);
    let body = |flag: RawValue<u32>, data: RawArray<u64>, rounds: u32| {
        for round in 1..=rounds {
            while flag.load().unwrap() != 2 * round - 1 {
                std::thread::yield_now();
            }
            assert_eq!(data.to_vec().unwrap(), vec![u64::from(round); 100]);
            flag.store(2 * round).unwrap();
        }
    };
    let reader = start(body, (flag.clone(), data.clone(), rounds));
    for round in 1..=rounds {
        data.copy_from_slice(&[u64::from(round); 100]).unwrap();
        flag.store(2 * round - 1).unwrap();
        while flag.load().unwrap() != 2 * round {
            std::thread::yield_now();
        }
    }
    fine(&reader);
}

fn used_again() {
    for length in [1, 16, 17, 600, 9000] {
        for _ in 0..5 {
            let dirty = RawArray::from_slice(&vec![u64::MAX; length]).unwrap();
            drop(dirty);
            let zeros = RawArray::<u64>::zeroed(length).unwrap();
            assert_eq!(zeros.to_vec().unwrap(), vec![0; length]);
        }
    }
}

fn given_back() {
    let before = arena::usage().unwrap();
    for _ in 0..100 {
        let value = RawValue::new([1_u64; 50]).unwrap();
        let array = RawArray::<u8>::zeroed(5000).unwrap();
        let clones = (value.clone(), array.clone());
        drop((value, array));
        assert_eq!(clones.0.get().unwrap(), [1; 50]);
        clones.1.set(4999, 1).unwrap();
    }
    assert_eq!(arena::usage().unwrap(), before);
}
